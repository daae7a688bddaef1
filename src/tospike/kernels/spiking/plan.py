"""``plan``: a ``SpikingNetwork`` as operations on tensors, before any buffer exists."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tospike.kernels.spiking import places
from tospike.kernels.spiking.packed import (
    LANES,
    Longs,
    PackedPopulation,
    PackedSynapses,
    pack_population,
    pack_synapses,
    rounded_up,
)
from tospike.kernels.spiking.places import BITS, FLOATS, Place
from tospike.kernels.spiking.record import (
    INPUT,
    Pool,
    Population,
    Reshape,
    SpikingNetwork,
    Sum,
    Synapses,
)
from tospike.kernels.spiking.shapes import check, padded


@dataclass(frozen=True, eq=False)
class Tensor:
    """Values between operations, channels last: see :mod:`~tospike.kernels.spiking.places`."""

    kind: int
    places: int
    channels: int
    constant: bool
    tight: bool = False

    @property
    def stride(self) -> int:
        """Floats from place to place; ``tight``: nothing lies between the places."""
        return self.channels if self.tight else rounded_up(self.channels, LANES)

    @property
    def words(self) -> int:
        """Words of 64 spikes of a place."""
        return -(-self.channels // 64)

    @property
    def slot_bytes(self) -> int:
        bytes_ = self.places * (8 * self.words if self.kind == BITS else 4 * self.stride)
        return rounded_up(bytes_, 64) if self.tight else bytes_

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Is it stored as this shape (channels first) asks?"""
        return self.channels == shape[0] and self.places == math.prod(shape[1:])


@dataclass(frozen=True, eq=False)
class Operation:
    """One row of the table; what has an address later stands by itself."""

    kind: int
    constant: bool
    input: Tensor | None = None
    output: Tensor | None = None
    numbers: dict[Place, int] = field(default_factory=dict)
    synapses: PackedSynapses | None = None
    neurons: PackedPopulation | None = None
    index: Longs | None = None
    summands: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class Plan:
    """``populations`` and ``synapses``: names, in the order of the rows of the statistics.

    ``constant``: the synapses whose input is the same in every step. ``input_end``: operations
    that copy the input stand before it.
    """

    operations: tuple[Operation, ...]
    populations: tuple[str, ...]
    synapses: tuple[str, ...]
    constant: tuple[str, ...]
    output_shape: tuple[int, ...]


class _Planner:
    """Collects operations while the nodes are read in order."""

    def __init__(self, network: SpikingNetwork) -> None:
        self.network = network
        self.operations: list[Operation] = []
        self.tensors: dict[str, Tensor] = {}
        self.shapes: dict[str, tuple[int, ...]] = {INPUT: tuple(network.input_shape)}
        self.populations = [n.name for n in network.nodes if isinstance(n, Population)]
        self.synapses = [n.name for n in network.nodes if isinstance(n, Synapses)]
        self.constant: list[str] = []
        self.users: dict[str, list[str]] = {}
        for node in network.nodes:
            for name in node.inputs:
                self.users.setdefault(name, []).append(node.name)
        self.by_name = {node.name: node for node in network.nodes}

    def emit(self, kind: int, source: Tensor, output: Tensor | None, **parts: object) -> None:
        constant = source.constant and kind not in (places.FIRE, places.OUTPUT)
        self.operations.append(Operation(kind, constant, source, output, **parts))  # type: ignore[arg-type]  # fields

    def unpacked(self, source: Tensor) -> Tensor:
        """Spikes as floats."""
        if source.kind == FLOATS:
            return source
        out = Tensor(FLOATS, source.places, source.channels, source.constant)
        self.emit(places.UNPACK, source, out)
        return out

    def stored_as(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """The tensor of a node as a shape wants it, permuted if need be."""
        source = self.tensors[name]
        if source.fits(shape):
            return source
        source = self.unpacked(source)
        channels, count = shape[0], math.prod(shape[1:])
        out = Tensor(FLOATS, count, channels, source.constant)
        flat = np.arange(channels * count).reshape(channels, count).T.reshape(-1)
        index = flat % source.places * source.stride + flat // source.places
        self.emit(places.PERMUTE, source, out, index=index.astype(np.int64))
        return out

    def plan(self) -> Plan:
        shape = self.shapes[INPUT]
        constant = self.network.constant_input
        # only synapses read it value by value; whoever reads vectors needs whole ones
        users = (self.by_name[name] for name in self.users.get(INPUT, []))
        tight = all(isinstance(user, Synapses) for user in users)
        first = Tensor(FLOATS, math.prod(shape[1:]), shape[0], constant, tight)
        self.tensors[INPUT] = first
        self.operations.append(Operation(places.COPY_INPUT, constant, first, first))
        for node in self.network.nodes:
            if isinstance(node, Synapses):
                self.read_synapses(node)
            elif isinstance(node, Population):
                self.read_population(node)
            elif isinstance(node, Pool):
                self.read_pool(node)
            elif isinstance(node, Reshape):
                self.tensors[node.name] = self.tensors[node.inputs[0]]
            else:
                self.read_sum(node)
            self.shapes[node.name] = tuple(
                node.shape if isinstance(node, Population) else node.out_shape
            )
        last = self.network.nodes[-1].name
        self.emit(places.OUTPUT, self.tensors[last], None)
        return Plan(
            tuple(self.operations),
            tuple(self.populations),
            tuple(self.synapses),
            tuple(self.constant),
            self.shapes[last],
        )

    def follower(self, node: Synapses) -> Population | None:
        """The population that alone reads these synapses, step by step: both become one pass."""
        users = self.users.get(node.name, [])
        if len(users) != 1 or node.name in self.constant:
            return None
        user = self.by_name[users[0]]
        return user if isinstance(user, Population) and tuple(user.shape) == tuple(
            node.out_shape
        ) else None  # fmt: skip

    def read_synapses(self, node: Synapses) -> None:
        if node.kind == "linear":
            source = self.tensors[node.inputs[0]]
        else:
            source = self.stored_as(node.inputs[0], tuple(node.in_shape))
        if source.constant:
            self.constant.append(node.name)
        packed = pack_synapses(node, source.places, source.channels, source.kind == BITS)
        g = packed.geometry
        numbers = {
            Place.H: g.size[0], Place.W: g.size[1], Place.H_OUT: g.out_size[0],
            Place.W_OUT: g.out_size[1], Place.KH: g.kernel[0], Place.KW: g.kernel[1],
            Place.SY: g.stride[0], Place.SX: g.stride[1], Place.PY: g.padding[0],
            Place.PX: g.padding[1], Place.DY: g.dilation[0], Place.DX: g.dilation[1],
            Place.GROUPS: g.groups, Place.ROW_KIND: packed.row_kind, Place.LANES: packed.lanes,
            Place.EXACT_EVENTS: packed.exact_events, Place.RUNS: len(packed.offsets),
            Place.RUN_LENGTH: g.run_length, Place.IMAGE_H: g.image[0], Place.IMAGE_W: g.image[1],
            Place.STATISTIC: len(self.populations) + self.synapses.index(node.name),
        }  # fmt: skip
        user = self.follower(node)
        out_places = math.prod(g.out_size)
        kind = FLOATS if user is None else BITS
        out = Tensor(kind, out_places, g.outputs, source.constant and user is None)
        neurons = None if user is None else pack_population(user)
        numbers[Place.FIRES] = int(user is not None)
        for step in (places.PREPARE, places.MULTIPLY, places.SYNAPSES):
            self.emit(step, source, out, numbers=numbers, synapses=packed, neurons=neurons)
        self.tensors[node.name] = out

    def read_population(self, node: Population) -> None:
        source = self.tensors[node.inputs[0]]
        before = self.by_name.get(node.inputs[0])
        if isinstance(before, Synapses) and self.follower(before) is node:
            out = source
        else:
            source = self.unpacked(self.stored_as(node.inputs[0], tuple(node.shape)))
            out = Tensor(BITS, source.places, source.channels, False)
            self.emit(places.FIRE, source, out, neurons=pack_population(node))
        numbers = {Place.STATISTIC: self.populations.index(node.name)}
        self.emit(places.COUNT, out, None, numbers=numbers)
        self.tensors[node.name] = out

    def read_pool(self, node: Pool) -> None:
        source = self.stored_as(node.inputs[0], tuple(node.in_shape))
        spikes = node.kind == "max" and source.kind == BITS
        if not spikes:
            source = self.unpacked(source)
        rank = len(node.in_shape) - 1

        def pair(values: tuple[int, ...], default: int) -> tuple[int, int]:
            both = (default,) * (2 - rank) + tuple(values)
            return both[0], both[1]

        size, out_size = pair(node.in_shape[1:], 1), pair(node.out_shape[1:], 1)
        kernel, stride = pair(node.kernel, 1), pair(node.stride, 1)
        padding = pair(padded(node.padding, rank, 0), 0)
        numbers = {
            Place.H: size[0], Place.W: size[1], Place.H_OUT: out_size[0],
            Place.W_OUT: out_size[1], Place.KH: kernel[0], Place.KW: kernel[1],
            Place.SY: stride[0], Place.SX: stride[1], Place.PY: padding[0], Place.PX: padding[1],
            Place.MAX_POOL: int(node.kind == "max"),
        }  # fmt: skip
        out = Tensor(source.kind, math.prod(out_size), source.channels, source.constant)
        kind = places.POOL_BITS if spikes else places.POOL_FLOATS
        self.emit(kind, source, out, numbers=numbers)
        self.tensors[node.name] = out

    def read_sum(self, node: Sum) -> None:
        parts = tuple(self.stored_as(name, tuple(node.out_shape)) for name in node.inputs)
        constant = all(part.constant for part in parts)
        out = Tensor(FLOATS, parts[0].places, parts[0].channels, constant)
        self.operations.append(
            Operation(places.ADD, constant, out, out, summands=parts)
        )  # the first tensor only says whether it is constant
        self.tensors[node.name] = out


def plan(network: SpikingNetwork) -> Plan:
    """Checks the network and lists its operations.

    Raises
    ------
    ModelError
        With all reasons, if the network is not sound.
    """
    check(network)
    return _Planner(network).plan()
