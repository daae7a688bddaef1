"""``check_nir``: is a NIR file sound, and does it do what the framework does that wrote it?

The framework's module runs on the same input as our executor, in float64, and the spikes of every
population are compared step by step. Where they differ, all combinations of reset, reset delay
and tie rule are tried: NIR says none of them, so a wrong one is the usual reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tospike.activity.measure_nir import described
from tospike.conversion.nir.run import fires
from tospike.errors import ModelError, OptionError
from tospike.network.importers.nir_file import read_nir
from tospike.network.importers.nir_neurons import NirOptions
from tospike.network.importers.nir_record import NirGraph
from tospike.network.importers.nir_run import checked_inputs, simulate
from tospike.network.neuron.record import ResetKind

Floats = NDArray[np.float64]
#: analog outputs: parameters went through float32 in most exporters
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Divergence:
    """The first place where the file and the framework do not agree.

    neuron : index in the node's shape. expected : of the framework; received : of the file.
    """

    node: str
    module: str
    step: int
    sample: int
    neuron: tuple[int, ...]
    expected: float
    received: float


@dataclass(frozen=True)
class NirCheck:
    """The result. ``compared`` : (node, module) pairs; ``agrees_with`` : options under which the
    file does what the framework does, if those asked for do not."""

    graph: NirGraph
    options: NirOptions
    steps: int
    samples: int
    compared: tuple[tuple[str, str], ...]
    spikes: Mapping[str, int]
    divergence: Divergence | None
    agrees_with: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """True if nothing diverged."""
        return self.divergence is None


def random_input(
    graph: NirGraph, steps: int, samples: int, *, spikes: bool, scale: float, seed: int
) -> dict[str, Floats]:
    """Input node -> (steps, samples, *shape): 0 and 1 with probability ``scale``, or uniform in
    [0, ``scale``)."""
    if steps < 1 or samples < 1 or not 0 < scale < np.inf or (spikes and scale > 1):
        raise OptionError(
            "make random input",
            received=f"{steps} steps, {samples} samples, scale {scale}",
            allowed="at least 1 step and sample; a scale > 0, at most 1 for spikes",
        )
    rng = np.random.default_rng(seed)
    found = {}
    for node in graph.inputs:
        values = rng.random((steps, samples, *node.out_shape))
        found[node.name] = (values < scale).astype(np.float64) if spikes else values * scale
    return found


def check_nir(
    source: Any,
    against: Any,
    x: Any,
    options: NirOptions,
    *,
    calling: str = "auto",
) -> NirCheck:
    """Run a graph, and the framework's module beside it, and compare.

    Parameters
    ----------
    source : path of a .nir file, or a ``nir.NIRGraph``.
    against : the ``torch.nn.Module`` that wrote it (its state is reset; a copy of it runs, in
        float64), or None to run the graph alone.
    x : (T, samples, *shape), or a mapping from Input node to such arrays.
    calling : how the module takes its input, see
        :func:`~tospike.conversion.nir.frameworks.run_framework`.

    Raises
    ------
    ModelError : the file is unsound, or the module raises or has no population of the graph.
    DataError, OptionError : input or options that do not fit.
    """
    graph = read_nir(source)
    given = checked_inputs(graph, x)
    steps, samples = next(iter(given.values())).shape[:2]
    mine = _spikes(graph, given, options)
    counts = {node.name: int(mine[node.name].sum()) for node in graph.nodes if fires(node)}
    notes = list(graph.notes)
    silent = [name for name, count in counts.items() if count == 0]
    if silent:
        notes.append(f"no spike in {', '.join(silent)}: a larger input would say more")
    if against is None:
        return NirCheck(graph, options, steps, samples, (), counts, None, notes=tuple(notes))
    if len(given) != 1:
        raise OptionError(
            "replay the graph against a module",
            received=f"{len(given)} Input nodes",
            allowed="one",
        )
    (only,) = given.values()
    pairs, divergence, agreeing = _replay(graph, against, only, mine, options, calling)
    return NirCheck(
        graph, options, steps, samples, pairs, counts, divergence, agreeing, tuple(notes)
    )


def _replay(
    graph: NirGraph,
    against: Any,
    x: Floats,
    mine: Mapping[str, Floats],
    options: NirOptions,
    calling: str,
) -> tuple[tuple[tuple[str, str], ...], Divergence | None, tuple[str, ...]]:
    """(what was compared, where it diverges, options that agree instead)."""
    from tospike.conversion.nir.frameworks import run_framework

    theirs = run_framework(against, x, calling)
    pairs = _pairs(graph, theirs)
    if not pairs:
        raise ModelError(
            f"compare {graph.name!r} with {type(against).__name__}",
            received="no population and no output that both have",
            allowed="a module whose submodules have the names of the graph's nodes",
            reasons=[f"node {node.name!r}" for node in graph.nodes if fires(node)],
        )
    compared = tuple(pairs.items())
    divergence = first_divergence(mine, theirs, pairs)
    if divergence is None:
        return compared, None, ()
    given = {graph.inputs[0].name: x}
    agreeing = tuple(
        described(other)
        for other in _variants(options)
        if first_divergence(_spikes(graph, given, other), theirs, pairs) is None
    )
    return compared, divergence, agreeing


def _spikes(graph: NirGraph, x: Mapping[str, Floats], options: NirOptions) -> dict[str, Floats]:
    """Outputs (T, samples, *shape) of the neurons that fire and of the Output nodes."""
    wanted = {node.name for node in graph.nodes if fires(node)}
    wanted |= {node.name for node in graph.outputs}
    kept: dict[str, list[Floats]] = {}

    def observe(step: int, node: Any, inputs: Floats, output: Floats) -> None:
        if node.name in wanted:
            kept.setdefault(node.name, []).append(output)

    simulate(graph, x, options, observe)
    return {name: np.stack(values) for name, values in kept.items()}


def _pairs(graph: NirGraph, theirs: Mapping[str, Floats]) -> dict[str, str]:
    """node -> module of the same population, in order of execution; the output is module ""."""
    by_plain = {_plain(name): name for name in theirs}
    found = {}
    for node in graph.nodes:
        if not fires(node):
            continue
        for name in (node.name, node.name.rpartition(".")[0]):
            module = by_plain.get(_plain(name)) if name else None
            if module and theirs[module].shape[2:] == node.out_shape:
                found[node.name] = module
                break
    if len(graph.outputs) == 1 and theirs[""].shape[2:] == graph.outputs[0].out_shape:
        found[graph.outputs[0].name] = ""
    return found


def _plain(name: str) -> str:
    """nirtorch writes "layer.0" as "layer_0" and "0" as "_0"."""
    return name.replace(".", "_").lstrip("_")


def first_divergence(
    mine: Mapping[str, Floats], theirs: Mapping[str, Floats], pairs: Mapping[str, str]
) -> Divergence | None:
    """The earliest step that differs, and in it the first node in order of execution."""
    found: Divergence | None = None
    for node, module in pairs.items():
        a, b = theirs[module], mine[node]
        if module:
            wrong = a != b
        else:
            wrong = ~np.isclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)
        steps = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))
        if not steps.size or (found is not None and steps[0] >= found.step):
            continue
        place = tuple(int(i) for i in np.argwhere(wrong[steps[0]])[0])
        at = (int(steps[0]), *place)
        found = Divergence(node, module, at[0], place[0], place[1:], float(a[at]), float(b[at]))
    return found


def _variants(options: NirOptions) -> list[NirOptions]:
    resets: tuple[ResetKind, ...] = ("hard", "soft", "none")
    kinds = product(resets, (0, 1), (False, True))
    found = [
        replace(options, reset=kind, reset_delay=delay, tie_fires=tie)
        for kind, delay, tie in kinds
        if not (kind == "none" and delay)
    ]
    return [other for other in found if other != options]
