"""``place``: neurons on cores, as blocks of channels times parts of the positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tospike.architecture import Architecture
from tospike.errors import ModelError
from tospike.machines.spikes import Geometry, SpikeInput, capacity, read_parameters

Ints = NDArray[np.int64]
#: the level that holds weights and states together; else there are "weights" and "states"
UNIFIED = "core_memory"
#: cores that may be spent, relative to the fewest, to send fewer messages
SPARE = 1.1


@dataclass(frozen=True, eq=False)
class Placement:
    """Cores of one layer: ``len(channels) - 1`` blocks of channels times ``parts`` of positions.

    first : number of the first core; block b and part p stand on core first + b * parts + p.
    channels : (blocks + 1,) bounds of the blocks. bounds : (parts + 1,) bounds of the parts, in
    output positions, row by row.
    """

    first: int
    channels: Ints
    bounds: Ints

    @property
    def blocks(self) -> int:
        """Blocks of channels."""
        return self.channels.size - 1

    @property
    def parts(self) -> int:
        """Parts of the output positions."""
        return self.bounds.size - 1

    @property
    def cores(self) -> int:
        """Cores of this layer."""
        return self.blocks * self.parts

    @property
    def neurons(self) -> NDArray[np.float64]:
        """Neurons by block and part, (blocks, parts)."""
        return np.multiply.outer(np.diff(self.channels), np.diff(self.bounds)).astype(np.float64)

    def core_of(self, of: Geometry) -> Ints:
        """Core of every neuron, (out_channels, out_pixels)."""
        block = np.searchsorted(self.channels, np.arange(of.out_channels), "right") - 1
        part = np.searchsorted(self.bounds, np.arange(of.out_pixels), "right") - 1
        return self.first + block[:, None] * self.parts + part[None, :]


@dataclass(frozen=True, slots=True)
class _Limits:
    """What one core holds, in bytes and neurons; inf where nothing binds."""

    unified: bool
    weights: float
    states: float
    neurons: float
    weight_bytes: float
    state_bytes: float
    shared: bool


def place(inputs: Sequence[SpikeInput], architecture: Architecture) -> tuple[Placement, ...]:
    """Place all layers, one after the other; each layer starts on a new core.

    A core holds a block of channels at a part of the positions. Of the cuts with about the fewest
    cores the one is taken whose spikes reach the fewest cores. With ``shared_kernels`` a core
    stores each weight of its channels once, else one word per synapse.

    Raises :class:`ModelError` with every layer that fits no core, or if the cores do not suffice.
    """
    limits = _limits(architecture)
    n_cores = architecture.n_pe // int(architecture.parameter("lanes_per_core"))
    placed, reasons, first = [], [], 0
    for one in inputs:
        found = _cut(one, limits)
        if isinstance(found, str):
            reasons.append(f"{one.layer.name}: {found}")
            continue
        placed.append(Placement(first, *found))
        first += placed[-1].cores
    if not reasons and first > n_cores:
        reasons.append(f"{first} cores are needed, there are {n_cores}")
        most = sorted(zip(placed, inputs, strict=True), key=lambda pair: -pair[0].cores)[:3]
        reasons += [f"{one.layer.name} takes {place.cores} cores" for place, one in most]
    if reasons:
        raise ModelError(
            f"place the neurons on {architecture.name!r}",
            where=f"{len(inputs)} layers",
            fix="more cores (n_pe), more memory in a core, fewer bits, or shared_kernels: 1",
            reasons=reasons,
        )
    return tuple(placed)


def _limits(architecture: Architecture) -> _Limits:
    numbers = read_parameters(
        architecture, ("weight_bits", "state_bits", "lanes_per_core"), ("shared_kernels",)
    )
    unified = any(level.name == UNIFIED for level in architecture.levels)
    states = math.inf
    if not unified:
        size = architecture.level("states").capacity
        states = math.inf if size is None else size.value
    bound = architecture.parameters.get("neurons_per_core")
    return _Limits(
        unified=unified,
        weights=capacity(architecture, UNIFIED if unified else "weights"),
        states=states,
        neurons=math.inf if bound is None else bound.value,
        weight_bytes=numbers["weight_bits"] / 8,
        state_bytes=numbers["state_bits"] / 8,
        shared=numbers["shared_kernels"] > 0,
    )


def _cut(one: SpikeInput, limits: _Limits) -> tuple[Ints, Ints] | str:
    """Bounds of the channel blocks and of the parts, or why nothing fits."""
    of = one.of

    def fits(channels: int, positions: int) -> bool:
        neurons = channels * positions
        words = 0
        if one.kind != "current":
            per_channel = of.taps if limits.shared else of.taps * positions
            words = channels * of.in_per_group * per_channel
        # a constant current is stored beside the potential that it drives
        states = neurons * limits.state_bytes * (2 if one.kind == "current" else 1)
        weights = words * limits.weight_bytes
        room = (
            weights + states <= limits.weights
            if limits.unified
            else weights <= limits.weights and states <= limits.states
        )
        return room and neurons <= limits.neurons

    if not fits(1, 1):
        return (
            f"one neuron with {of.in_per_group * of.taps} weights does not fit into a core of "
            f"{limits.weights:g} bytes"
        )
    cuts = []
    sizes = {-(-of.out_pixels // (1 << n)) for n in range(of.out_pixels.bit_length() + 1)}
    for positions in sorted(sizes, reverse=True):
        if not fits(1, positions):
            continue
        blocks = -(-of.out_channels // _largest(of.out_channels, positions, fits))
        parts = -(-of.out_pixels // positions)
        cuts.append((blocks * _parts_reached(of, positions), blocks * parts, blocks, parts))
    fewest = min(cut[1] for cut in cuts)
    _, _, blocks, parts = min(cut for cut in cuts if cut[1] <= SPARE * fewest)
    return _even(of.out_channels, blocks), _even(of.out_pixels, parts)


def _parts_reached(of: Geometry, positions: int) -> float:
    """Parts of so many positions, row by row, that a spike of a convolution reaches, about."""
    if positions >= of.out_pixels:
        return 1.0
    width, along = of.out_space[-1], of.kernel[-1]
    lines = of.taps // along
    if positions >= width:
        return 1.0 + (lines - 1) * width / positions
    return lines * (1.0 + (along - 1) / positions)


def _largest(most: int, positions: int, fits: Callable[[int, int], bool]) -> int:
    """Most channels, up to ``most``, that fit with so many positions; one does."""
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle, positions) else (low, middle - 1)
    return low


def _even(n: int, blocks: int) -> Ints:
    """Bounds of ``blocks`` blocks whose sizes differ by at most one."""
    return np.arange(blocks + 1) * n // blocks
