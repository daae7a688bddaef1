"""``run_ann`` and ``run_snn``: execute a network on data and measure accuracy and activity."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tospike.conversion.calibration import Calibration
from tospike.conversion.correction import corrected
from tospike.conversion.counting import Counter, Wiring, count_events, profile, wiring
from tospike.conversion.data import Progress, as_labels, as_samples, batches
from tospike.conversion.eligibility import plan
from tospike.conversion.forward import walk
from tospike.conversion.graph import ExecutableGraph, Synapse
from tospike.conversion.prepare import Prepared, checked_rules, chunk_size, prepare
from tospike.conversion.result import RunResult
from tospike.conversion.scoring import FloatClasses, Score, score, uncounted
from tospike.conversion.scoring import float_classes as classes_of_float
from tospike.conversion.spiking import Chunk, Counts
from tospike.conversion.spiking_network import Program, spiking_network
from tospike.errors import ConversionError, OptionError, unknown_name

TIMESTEPS = (1, 2, 4, 8, 16, 32, 64)
#: values of the largest sequence that is held at once (float32: 20 MB)
BUDGET = 5_000_000


def run_ann(
    graph: ExecutableGraph,
    x: Any,
    y: Any = None,
    *,
    batch_size: int = 128,
    keep_outputs: bool = False,
    progress: Progress | None = None,
) -> RunResult:
    """Run the float network on ``x`` (N, ...) and measure accuracy and zeros.

    Raises
    ------
    DataError
        Empty, wrongly shaped, NaN data; labels of the wrong length or range.
    """
    samples = as_samples(graph, x, asked="run the network")
    labels = as_labels(graph, y, samples.shape[0], asked="measure the accuracy")
    wires = wiring(graph)
    counter = Counter()
    result = score(graph, labels, keep_outputs)
    for start, rows in batches(samples, batch_size, progress):
        output: Tensor | None = None
        for node, inputs, value in walk(graph, rows):
            if isinstance(node.spec, Synapse):
                counter.add(wires[node.name], *count_events(wires[node.name], inputs[0], len(rows)))
            if node.name == graph.output:
                output = value
        assert output is not None
        counter.commit(len(rows))
        best = output.argmax(dim=1) if result.scores_classes else None
        result.add(start, output, best)
    notes = uncounted(graph)
    return RunResult(
        mode="ann",
        accuracy=result.accuracy,
        agreement=result.agreement,
        n_samples=result.n,
        timesteps=1,
        activation_bits=0,
        activity=profile(counter, (), origin="executed as ANN", notes=notes),
        outputs=result.outputs,
        classes=result.classes,
        notes=notes,
    )


def run_snn(
    graph: ExecutableGraph,
    calibration: Calibration,
    x: Any,
    y: Any = None,
    *,
    timesteps: Sequence[int] = TIMESTEPS,
    spiking: Collection[str] | None = None,
    batch_size: int = 128,
    weight_bits: int | None = 8,
    bias_calibration: bool = True,
    max_pool: str = "exact",
    schedule: str = "together",
    keep_outputs: bool = False,
    progress: Progress | None = None,
    early_stop: float | None = None,
    float_classes: Any = None,
) -> dict[int, RunResult]:
    """Run a spiking network, or an ANN/SNN hybrid, and measure accuracy and spikes at every T.

    Parameters
    ----------
    timesteps : values of T, each in [1, 4096]. One run at the largest T gives all of them,
        unless spikes are read out and encoded again further down: then each T has its own run.
    spiking : layers whose synapses receive spikes (a subset of ``graph.eligible``); None means
        all of them.
    weight_bits : of the synapses that receive spikes, symmetric per output channel; None keeps
        about 16 to 24 bits.
    bias_calibration : make the correction that ``calibration`` asks for, on its samples.
    max_pool, schedule : see :class:`~tospike.conversion.prepare.Rules`. With the schedule
        "layers" each T has its own run.
    early_stop : stop raising T as soon as the agreement with the float network reaches this
        share in (0, 1]; larger T are then missing from the result.
    float_classes : ``RunResult.classes`` of :func:`run_ann` on the same samples, so that the
        float network need not run again; None runs it.

    Raises
    ------
    ConversionError, DataError, OptionError, UnknownNameError
    """
    steps = checked_timesteps(timesteps)
    checked_options(weight_bits, early_stop)
    rules = checked_rules(max_pool, schedule)
    layers = checked_spiking(graph, spiking)
    samples = as_samples(graph, x, asked="run the spiking network")
    labels = as_labels(graph, y, samples.shape[0], asked="measure the accuracy")
    if not layers:
        ann = run_ann(
            graph, x, y, batch_size=batch_size, keep_outputs=keep_outputs, progress=progress
        )
        note = "no layer spikes: this is the ANN"
        return {t: replace(ann, mode="snn", timesteps=t, notes=(*ann.notes, note)) for t in steps}
    partition = plan(graph, layers)
    prepared = prepare(graph, partition, calibration, weight_bits, rules)
    if bias_calibration:
        prepared = corrected(prepared, calibration, weight_bits)
    alone = partition.rerun or early_stop is not None or rules.schedule == "layers"
    groups = [(t,) for t in steps] if alone else [steps]
    results: dict[int, RunResult] = {}
    known = classes_of_float(graph, float_classes, samples.shape[0])
    job = _Job(prepared, samples, labels, batch_size, keep_outputs, progress, known)
    for prefixes in groups:
        results.update(_simulate(job, prefixes))
        agreement = results[prefixes[-1]].agreement
        if early_stop is not None and agreement is not None and agreement >= early_stop:
            break
    return results


@dataclass(frozen=True, eq=False)
class _Job:
    prepared: Prepared
    samples: Tensor
    labels: Tensor | None
    batch_size: int
    keep_outputs: bool
    progress: Progress | None
    known: FloatClasses


@dataclass
class _Sums:
    """Events outside of synaptic layers, summed over samples, per prefix."""

    skips: dict[str, float] = field(default_factory=dict)
    neurons: dict[str, float] = field(default_factory=dict)


def _simulate(job: _Job, prefixes: tuple[int, ...]) -> dict[int, RunResult]:
    """One simulation up to the largest T, read out at every prefix."""
    graph = job.prepared.graph
    wires = wiring(graph)
    scores = [score(graph, job.labels, job.keep_outputs) for _ in prefixes]
    counters = [Counter() for _ in prefixes]
    sums = [_Sums() for _ in prefixes]
    size = min(job.batch_size, chunk_size(graph, prefixes[-1], BUDGET))
    program = on_engine(job.prepared)
    for first, rows in batches(job.samples, job.batch_size, job.progress):
        reference = job.known.of(first, rows)
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            if program is None:
                outputs, counts = Chunk(job.prepared, part, prefixes, wires).run()
            else:
                outputs, counts = program.run(part, prefixes, wires)
            for p, stop in enumerate(prefixes):
                output = outputs[min(p, len(outputs) - 1)]
                best = None if reference is None else reference[start : start + len(part)]
                scores[p].add(first + start, output, best)
                tally(counters[p], sums[p], wires, counts, p, stop)
                counters[p].commit(len(part))
    return {t: _result(job, t, scores[p], counters[p], sums[p]) for p, t in enumerate(prefixes)}


def on_engine(prepared: Prepared) -> Program | None:
    """The network on the event-driven engine; None where it is simulated layer by layer.

    The same spikes either way. The engine is faster wherever it takes the network (1.5 times on the
    CNN of the demo), as it does not multiply what did not spike.
    """
    try:
        return spiking_network(prepared, threads=torch.get_num_threads())
    except ConversionError:
        return None


def tally(
    counter: Counter, sums: _Sums, wires: dict[str, Wiring], counts: Counts, p: int, stop: int
) -> None:
    """Add the counts of one chunk over its first ``stop`` steps."""
    for name, (events, operations) in counts.inputs.items():
        counter.add(wires[name], events[:stop].sum(axis=0), operations[:stop].sum(axis=0), stop)
    for name, values in counts.analog.items():
        value = values[min(p, len(values) - 1)]
        samples = next(iter(counts.neurons.values())).shape[1]
        counter.add(wires[name], *count_events(wires[name], value, samples))
    for target, found in ((sums.skips, counts.skips), (sums.neurons, counts.neurons)):
        for name, per_step in found.items():
            target[name] = target.get(name, 0.0) + float(per_step[:stop].sum())


def _result(job: _Job, t: int, score: Score, counter: Counter, sums: _Sums) -> RunResult:
    prepared = job.prepared
    graph = prepared.graph
    layers = tuple(name for name in graph.synaptic if name in prepared.plan.spiking)
    whole = set(layers) == set(graph.eligible)
    n = score.n
    notes = list(uncounted(graph))
    if sums.skips:
        notes.append(
            f"{sum(sums.skips.values()) / n:,.0f} additions per inference on identity and pooling "
            "connections, outside of synaptic layers"
        )
    origin = f"executed as {'SNN' if whole else 'ANN/SNN hybrid'}, T = {t}"
    return RunResult(
        mode="snn",
        accuracy=score.accuracy,
        agreement=score.agreement,
        n_samples=n,
        timesteps=t,
        activation_bits=0,
        activity=profile(counter, layers, origin=origin, notes=tuple(notes)),
        spiking=layers,
        skip_events={name: value / n for name, value in sums.skips.items()},
        neuron_spikes={name: value / n for name, value in sums.neurons.items()},
        neuron_count={
            name: int(population.theta.size) for name, population in prepared.populations.items()
        },
        outputs=score.outputs,
        classes=score.classes,
        notes=tuple(notes),
    )


def checked_options(weight_bits: int | None, early_stop: float | None) -> None:
    """Refuse weight widths and stop criteria that make no sense."""
    wrong = []
    if weight_bits is not None and (not isinstance(weight_bits, int) or not 2 <= weight_bits <= 16):
        wrong.append(f"weight_bits = {weight_bits!r} is not None or an integer from 2 to 16")
    if early_stop is not None and not 0.0 < early_stop <= 1.0:
        wrong.append(f"early_stop = {early_stop!r} is not a share in (0, 1]")
    if wrong:
        raise OptionError("run the spiking network", reasons=wrong)


def checked_timesteps(timesteps: Sequence[int]) -> tuple[int, ...]:
    """Ascending, distinct values of T."""
    values = [timesteps] if isinstance(timesteps, int) else list(timesteps)
    wrong = [
        f"T = {t!r}"
        for t in values
        if isinstance(t, bool) or not isinstance(t, int | np.integer) or not 1 <= t <= 4096
    ]
    if not values:
        wrong = ["no value of T"]
    if wrong:
        raise OptionError(
            "run the spiking network", allowed="integers from 1 to 4096", reasons=wrong
        )
    return tuple(sorted({int(t) for t in values}))


def checked_spiking(graph: ExecutableGraph, spiking: Collection[str] | None) -> frozenset[str]:
    """The layers of a partition; refuses layers that may not spike, with the reasons."""
    if spiking is None:
        if not graph.eligible:
            raise ConversionError(
                f"run {graph.origin!r} as SNN",
                received="a network in which no layer may receive spikes",
                reasons=[f"{name}: {why}" for name, why in graph.eligibility.items()],
            )
        return frozenset(graph.eligible)
    layers = {spiking} if isinstance(spiking, str) else set(spiking)
    for name in sorted(layers):
        if name not in graph.eligibility:
            raise unknown_name("layer", name, graph.synaptic, where="spiking")
    wrong = [f"{name}: {graph.eligibility[name]}" for name in sorted(layers - set(graph.eligible))]
    if wrong:
        raise ConversionError(
            f"run {graph.origin!r} as a hybrid",
            allowed=", ".join(graph.eligible) or "no layer",
            reasons=wrong,
        )
    return frozenset(layers)
