"""The same network on several machines: throughput, efficiency, DRAM traffic, energy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import machines_workloads as w

import tospike as ts
from tospike.architecture import Architecture, load_architecture
from tospike.errors import TospikeError
from tospike.machines import MachineRun, Workload
from tospike.machines.delta_rnn import with_thresholds
from tospike.tables import Column, Table, Value

#: prices that all machines share in the last column; DRAM by command keeps its own
COMMON = "horowitz_2014_45nm"
Report = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One network on one machine. All figures of one inference (of one time step: streams).

    evidence : of the activity. remark : how much of an expanded machine is used.
    """

    network: str
    machine: str
    what: str
    seconds: float
    ops: float
    joule: float
    dram: float
    common: float | None
    operations: float
    macs: float
    evidence: str
    remark: str = ""

    @property
    def efficiency(self) -> float:
        """Op/s/W: 2 Op per MAC of the dense network."""
        return 2 * self.macs / self.joule


def run_row(
    case: w.Case,
    chip: str | Architecture,
    what: str,
    works: Sequence[Workload] = (),
    steps: int = 1,
) -> Row:
    """The mean over workloads (of ``case`` alone if there are none); ``steps`` of one inference."""
    where = load_architecture(chip) if isinstance(chip, str) else chip
    runs = [ts.simulate(work, where) for work in (works or [case.workload])]
    share = 1 / (len(runs) * steps)

    def mean(values: Iterator[float]) -> float:
        return share * sum(values)

    seconds = mean(run.latency / run.batch for run in runs)
    macs = mean(run.macs / run.batch for run in runs)
    return Row(
        network=case.name,
        machine=where.name,
        what=what,
        seconds=seconds,
        ops=2 * macs / seconds,
        joule=mean(ts.price_run(run).total / run.batch for run in runs),
        dram=mean(_dram(run) / run.batch for run in runs),
        common=_common(runs, share),
        operations=mean(sum(layer.operations for layer in run.layers) / run.batch for run in runs),
        macs=macs,
        evidence=case.evidence,
        remark=next((text for text in runs[0].assumptions if "cores are used" in text), ""),
    )


def _dram(run: MachineRun) -> float:
    outside = {level.name for level in run.architecture.levels if level.component == "dram"}
    return sum(
        moved.total
        for layer in run.layers
        for name, moved in layer.bytes.items()
        if name in outside
    )


def _common(runs: Sequence[MachineRun], share: float) -> float | None:
    """Joule with the common prices, without clock and leakage; None where an action has none."""
    try:
        return share * sum(ts.price_run(_dynamic(run), COMMON).total / run.batch for run in runs)
    except TospikeError:
        return None


def _dynamic(run: MachineRun) -> MachineRun:
    from dataclasses import replace

    kept = run.counts.select(lambda entry: entry.component not in ("static", "noc"))
    return replace(run, counts=kept)


def trunk(n_photos: int, report: Report) -> list[Row]:
    """The VGG-16 trunk: dense, with its real zeros, and as spikes."""
    cases = [w.trunk_photo(n) for n in range(n_photos)]
    works = [case.workload for case in cases]
    first = cases[0]
    dense = w.dense(first.workload)
    assumed = w.Case(first.name, dense, "assumed")
    rows = []
    for machine in ("eyeriss_v1", "nullhop", "eyeriss_v2"):
        rows.append(run_row(assumed, machine, "dense: no zeros"))
        rows.append(run_row(first, machine, f"ANN, {n_photos} photographs", works))
        report(f"trunk on {machine}")
    spikes = w.trunk_spikes()
    for machine in ("event_core", "spinalflow"):
        rows.append(run_row(spikes, machine, f"SNN, T = {w.T_TRUNK}, one photograph"))
        report(f"trunk on {machine}")
    return rows


def recurrent(report: Report) -> list[Row]:
    """NSNet2's GRUs on speech, per time step, and 2L-768H at the Gamma that its figure needs."""
    case = w.denoiser()
    steps = case.workload.network.synaptic_layers[0].calls
    rows = []
    chip = load_architecture("edgedrnn")
    everything = w.Case(case.name, w.all_sent(case.workload), "assumed")
    rows.append(run_row(everything, chip, "dense: everything is sent", steps=steps))
    for theta, text in ((1 / 16, "1/16"), (1 / 8, "1/8"), (1 / 4, "1/4")):
        there = with_thresholds(chip, theta_x=theta, theta_h=theta)
        rows.append(run_row(case, there, f"delta network, Θ = {text}", steps=steps))
    report("NSNet2 on edgedrnn")
    for gamma in (0.0, w.GAMMA_PUBLISHED):
        published = w.large_gru(gamma)
        what = "dense" if gamma == 0 else f"delta network, Γ = {gamma:g} (needed for 20.2 GOp/s)"
        rows.append(run_row(published, "edgedrnn", what, steps=w.STEPS_LARGE))
    return rows


def refusals(report: Report) -> list[str]:
    """Which other machines do not run NSNet2's GRUs, and why, in their own words."""
    case = w.denoiser()
    said = []
    for machine in ("deltarnn", "eyeriss_v1", "nullhop", "event_core"):
        try:
            ts.simulate(case.workload, machine)
        except TospikeError as error:
            why = error.reasons[0] if error.reasons else error.received
            said.append(f"{machine} does not run them: {why}.")
        report(f"NSNet2 on {machine}")
    return said


def classifier(report: Report) -> list[Row]:
    """The Fashion-MNIST CNN: dense, with its zeros, and as spikes."""
    case, spikes = w.fashion(), w.fashion_spikes()
    dense = w.Case(case.name, w.dense(case.workload), "assumed")
    rows = []
    for machine in ("eyeriss_v1", "nullhop", "eyeriss_v2"):
        rows.append(run_row(dense, machine, "dense: no zeros"))
        rows.append(run_row(case, machine, "ANN, one test image"))
    for machine in ("event_core", "seneca", "loihi", "minitaur", "spinalflow"):
        rows.append(run_row(spikes, machine, f"SNN, T = {w.T_CNN}, one test image"))
        report(f"Fashion-MNIST on {machine}")
    return rows


def table(rows: Sequence[Row], key: str, title: str, per: str = "inference") -> Table:
    """The rows as the page shows them."""
    several = len({row.network for row in rows}) > 1
    large = max(row.joule for row in rows) > 1e-2
    energy, traffic = (1e3, 1e6) if large else (1e6, 1e3)
    joule, byte = ("mJ", "MB") if large else ("µJ", "kB")
    cells: list[dict[str, Value]] = [
        {
            "machine": row.machine,
            "what": row.what,
            **({"network": row.network} if several else {}),
            "latency": 1e3 * row.seconds,
            "ops": row.ops / 1e9,
            "efficiency": row.efficiency / 1e9,
            "dram": row.dram / traffic,
            "energy": energy * row.joule,
            "common": None if row.common is None else energy * row.common,
            "executed": 100 * row.operations / row.macs,
            "evidence": f"simulated; activity {row.evidence}",
        }
        for row in rows
    ]
    return Table(
        key=key,
        title=title,
        columns=(
            Column("machine", "machine"),
            Column("what", "what runs"),
            *((Column("network", "network"),) if several else ()),
            Column("latency", "latency", "ms", digits=3),
            Column("ops", "throughput", "GOp/s", digits=3),
            Column("efficiency", "efficiency", "GOp/s/W", digits=3),
            Column("dram", "DRAM", byte, digits=3),
            Column("energy", f"energy per {per}", joule, digits=3),
            Column("common", f"priced with {COMMON}", joule, digits=3),
            Column("executed", "executed", "% of MACs", digits=3),
            Column("evidence", "evidence"),
        ),
        rows=tuple(cells),
    )


def accuracies(report: Report) -> str:
    """What the classifier and its conversion get right, in a sentence."""
    ann, snn, n = w.fashion_accuracies()
    report("Fashion-MNIST accuracies")
    return (
        f"On {n} test images the network is right on {100 * ann:.1f} %, its conversion to spikes "
        f"at T = {w.T_CNN} on {100 * snn:.1f} %."
    )
