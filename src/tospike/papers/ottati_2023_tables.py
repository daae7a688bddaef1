"""Tables I, II and III of Ottati et al. 2023, printed beside recomputed."""

from __future__ import annotations

from collections.abc import Mapping

from tospike.papers import ottati_2023_energy as neuron
from tospike.papers import ottati_2023_static as images
from tospike.papers import ottati_2023_temporal as audio
from tospike.papers.cells import COMPARISON, compared, printed_cell
from tospike.papers.claim import Claim, Recomputed
from tospike.papers.counted import counted
from tospike.papers.ottati_2023_data import StaticAccelerator, TemporalAccelerator, table_2, table_3
from tospike.tables import Column, Table, Value
from tospike.technology import alu_energy, load, sram_energy

_PAPER = "ottati_2023"
Row = Mapping[str, Value]


def table_1() -> Table:
    """Table I: energies from Horowitz 2014, densities from the energies."""
    source = load("horowitz_2014_45nm")
    add, multiply = (alu_energy(source, action, 8) for action in ("add", "mul"))
    given = neuron.given()
    read = sram_energy(source, given["cache_bytes"].value)
    size = given["read_bits"].value / 8.0
    rows: list[Row] = []
    for name, energy, width, printed in (
        ("Add 8 b", add.energy if add else float("nan"), 1.0, (0.03, 0.03)),
        ("Multiply 8 b", multiply.energy if multiply else float("nan"), 1.0, (0.20, 0.20)),
        ("Read 64 b (8 kB)", read.energy, size, (10.00, 2.50)),
    ):
        pico = energy * 1e12
        for quantity, unit, value, found in (
            ("energy", "pJ", printed[0], Recomputed(pico, f"Horowitz 2014: {pico:.3g} pJ")),
            (
                "energy density",
                "pJ/B",
                printed[1],
                neuron.density(_claim("Table I", printed[1], 2))
                if width == size
                else Recomputed(pico / width, f"{pico:.3g} pJ / {width:g} B"),
            ),
        ):
            rows.append(
                {
                    "row": name,
                    "quantity": quantity,
                    "unit": unit,
                    **compared(_claim(f"Table I, {name}, {quantity}", value, 2), found),
                }
            )
    return Table(
        key="ottati_2023_table_1",
        title="Table I of Ottati et al. 2023: energy per operation and per byte at 45 nm",
        columns=(
            Column("row", "operation"),
            Column("quantity", "quantity"),
            Column("unit", "unit"),
            *COMPARISON,
        ),
        rows=tuple(rows),
        assumptions=(
            "Energies are read from the technology horowitz_2014_45nm",
            "The density is the energy of the access divided by the bytes that it moves",
        ),
        sources=(_PAPER, "horowitz_2014"),
    )


def _claim(where: str, value: float, decimals: int) -> Claim:
    return printed_cell(_PAPER, where, value, decimals)


def table_2_recomputed() -> Table:
    """Table II: energy, operations, parameters and node of each accelerator; cycles of Fig. 1b."""
    rows: list[Row] = []
    for row in table_2().values():
        rows += _static_rows(row)
    return Table(
        key="ottati_2023_table_2",
        title="Table II of Ottati et al. 2023: accelerators on ImageNet, per inference",
        columns=(
            Column("work", "work"),
            Column("kind", "kind"),
            Column("quantity", "quantity"),
            Column("unit", "unit"),
            *COMPARISON,
        ),
        rows=tuple(rows),
        assumptions=(
            "Energy per inference is power / throughput",
            "Operations per inference are twice the MACs of the named network, counted here "
            "(MobileNetTPU as MobileNetEdgeTPU 1.0, ResNet with the stride in the 3x3)",
            "Cycles per inference are clock / throughput (Fig. 1b); they are not in the table",
        ),
        sources=(
            _PAPER,
            *(row.source for row in table_2().values()),
            "torchvision",
            "timm_models",
        ),
        notes=(
            "The clock of Keller'23 is that of its highest supply voltage, not that at which it "
            "draws the printed 56 mW.",
            "Power and throughput of Mo'21 are close to the means over four networks that its "
            "journal abstract prints (131.6 mW, 117.4 FPS): they need not be those of ResNet-50.",
            "The operations of Park'22, Mo'21 and C-DNN'23 are those chips' TOPS/W times the "
            "rounded energy, so that efficiencies derived from the table are circular.",
            "The 61.4 GOP of SNPU'23 are 17 times one dense pass of ResNet-18; the time steps "
            "that would explain them are not printed.",
            *_dominance(),
        ),
    )


def _dominance() -> tuple[str, ...]:
    """Which ANN accelerators dominate SNPU'23, in words."""
    by_energy = images.dominators("SNPU'23", lambda row: row.energy)
    by_cycles = images.dominators("SNPU'23", lambda row: row.interval)
    return (
        f"SNPU'23 is dominated in energy against error by {', '.join(by_energy)}.",
        f"In cycles against error it is dominated by {', '.join(by_cycles)} only.",
    )


def _static_rows(row: StaticAccelerator) -> list[Row]:
    network = counted(row.counted_as)
    millions = network.parameters / 1e6
    down = "; printed rounded down" if int(millions) == row.parameters_m else ""
    head = {"work": row.work, "kind": row.kind}
    energy = _claim(f"Table II, {row.work}, energy", row.energy_mj, 1)
    gop = _claim(f"Table II, {row.work}, operations", row.operations_gop, 1)
    rows: list[Row] = [
        {**head, "quantity": "energy", "unit": "mJ",
         **compared(energy, images.energy(row.work)(energy))},
        {**head, "quantity": "operations", "unit": "GOP",
         **compared(gop, images.operations(row.work)(gop))},
        {**head, "quantity": "parameters", "unit": "M",
         **compared(
             _claim(f"Table II, {row.work}, parameters", row.parameters_m, 0),
             Recomputed(
                 millions,
                 f"{row.network}: {network.parameters} parameters{down}",
                 why=f"{row.network} has {millions:.2f} M parameters.",
             ))},
    ]  # fmt: skip
    if row.node_in_title_nm is not None:
        node = _claim(f"Table II, {row.work}, process", row.process_nm, 0)
        text = f"title of the cited paper: {row.node_in_title_nm:g} nm"
        found = Recomputed(row.node_in_title_nm, text, why=f"{text.capitalize()}.")
        rows.append({**head, "quantity": "process", "unit": "nm", **compared(node, found)})
    rows.append(
        {
            **head,
            "quantity": "cycles",
            "unit": "M",
            "computed": row.interval / 1e6,
            "note": f"{row.clock_mhz:g} MHz / {row.throughput_fps:g} FPS; error "
            f"{row.error_pct:.1f} %",
        }
    )
    return rows


def table_3_recomputed() -> Table:
    """Table III with the definitions of an inference's energy side by side."""
    return Table(
        key="ottati_2023_table_3",
        title="Table III of Ottati et al. 2023: three definitions of energy per inference",
        columns=(
            Column("work", "work"),
            Column("task", "task"),
            Column("power", "P", "uW"),
            Column("latency", "t", "ms"),
            Column("printed", "printed", "nJ", digits=5),
            Column("computed", "P x t", "nJ"),
            Column("by_frame", "P x frame", "nJ"),
            Column("deviation", "dev.", "%", digits=2),
            Column("verdict", "verdict"),
            Column("note", "note"),
        ),
        rows=tuple(_temporal_row(row) for row in table_3().values()),
        assumptions=(
            "P is the power, t the latency; P x t is taken as the stated method, since it gives "
            "three of the six printed energies",
            "The frame periods (10 and 16 ms) are not in the table: they are usual frame shifts of "
            "speech processing",
        ),
        sources=(_PAPER, *(row.source for row in table_3().values())),
        notes=(
            "The table mixes three definitions: power x frame period (voice activity), power x "
            "latency (three keyword spotters) and one that is not stated (Frenkel'22).",
            "With power x latency for all, Oh'19 needs 72.7 nJ and Frenkel'22 450 nJ: the SNN is "
            "then the keyword spotter with the highest energy, not the second lowest.",
            "Yang'19 is listed as SNN; its abstract calls it a binarised multilayer perceptron.",
            *_undominated(),
        ),
    )


def _undominated() -> tuple[str, ...]:
    """Chips that Shan'23 does not dominate in printed energy against error, in words."""
    best = table_3()["Shan'23"]
    point = (best.energy_nj, best.error_pct)
    others = [row for row in table_3().values() if row.work != best.work]
    free = [row for row in others if not images.dominates(point, (row.energy_nj, row.error_pct))]
    if not free:
        return ()
    names = ", ".join(f"{row.work} ({row.task})" for row in free)
    return (
        f"V-B says that Shan'23 dominates all other chips of Fig. 2; with the printed numbers it "
        f"does not dominate {names}.",
    )


def _temporal_row(row: TemporalAccelerator) -> Row:
    decimals = 0 if float(row.energy_nj).is_integer() else 1
    claim = _claim(f"Table III, {row.work}, energy", row.energy_nj, decimals)
    return {
        "work": row.work,
        "task": row.task,
        "power": row.power_uw,
        "latency": row.latency_ms,
        "by_frame": row.energy_by_frame,
        **compared(claim, audio.energy(row.work)(claim)),
    }
