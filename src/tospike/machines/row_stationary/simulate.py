"""Simulator of a dense row-stationary machine with the mapping of least energy per layer."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from tospike.actions import ActionCounts, Entry, count
from tospike.architecture import Architecture
from tospike.errors import RangeError
from tospike.machines.record import LayerRun, MachineRun, Traffic, Workload
from tospike.machines.row_stationary.mapping import Accesses, Limits, Mapping, best_mapping
from tospike.machines.row_stationary.shape import Shape, shapes

Progress = Callable[[int, int], None]

ASSUMPTIONS = (
    "the mapping of each layer has the least energy of all row-stationary mappings that fill the "
    "array (Chen 2016, V and VI); buffer and register blocks divide the loops exactly",
    "dense: zeros are computed, stored and moved; padding counts as data",
    "DRAM and buffer transfers overlap with the computation; cycles are those of the PEs alone",
    "writing a word that comes from DRAM into the buffer is part of the DRAM access",
)


def limits_of(architecture: Architecture) -> Limits:
    """What the mapper needs, from an architecture file.

    Levels "register" and "buffer" (with capacities) and "dram"; parameters ``array_rows``,
    ``array_columns`` and ``cost_mac``, ``cost_register``, ``cost_array``, ``cost_buffer``,
    ``cost_dram``. Raises :class:`UnknownNameError` for what is missing, and :class:`RangeError`
    for an array that does not hold ``n_pe`` PEs or a level without capacity.
    """
    rows, columns = (int(architecture.parameter(f"array_{n}")) for n in ("rows", "columns"))
    reasons = []
    if rows * columns != architecture.n_pe:
        reasons.append(f"array_rows x array_columns is {rows} x {columns}, n_pe is "
                       f"{architecture.n_pe}")  # fmt: skip
    words = {}
    for name in ("register", "buffer"):
        level = architecture.level(name)
        if level.capacity is None:
            reasons.append(f"level {name!r} has no capacity")
        else:
            words[name] = int(level.capacity.value * 8 // level.bits)
    if any(value != "none" for value in architecture.zero_handling.values()):
        reasons.append(
            "zero_handling: this machine is dense, 'none' is needed; 'gate' is for machine "
            "'row_stationary', 'skip' for 'row_stationary_sparse'"
        )
    mac = architecture.parameter("cost_mac")
    if mac <= 0:
        reasons.append(f"cost_mac is {mac}; more than 0 is needed")
    if reasons:
        raise RangeError(
            "map layers on a row-stationary array",
            where=f"architecture {architecture.name!r}",
            fix="mend the architecture file",
            reasons=reasons,
        )
    return Limits(
        array_rows=rows,
        array_columns=columns,
        register_words=words["register"],
        buffer_words=words["buffer"],
        cost_dram=architecture.parameter("cost_dram") / mac,
        cost_buffer=architecture.parameter("cost_buffer") / mac,
        cost_array=architecture.parameter("cost_array") / mac,
        cost_register=architecture.parameter("cost_register") / mac,
    )


def mappings(
    workload: Workload, architecture: Architecture, progress: Progress | None = None
) -> tuple[tuple[Shape, Mapping], ...]:
    """The layers that have MACs and the mapping of each.

    Raises :class:`ModelError` for layers that cannot be mapped, and :class:`RangeError` for layers
    of which not even one pass fits the memories; each with all of them.
    """
    asked = f"map {workload.network.origin.name} on {architecture.name!r}"
    limits = limits_of(architecture)
    layers = shapes(workload.network, workload.batch, asked)
    found: list[tuple[Shape, Mapping]] = []
    known: dict[tuple[int, ...], Mapping | None] = {}
    reasons = []
    for done, shape in enumerate(layers):
        key = _key(shape)
        if key not in known:
            known[key] = best_mapping(shape, limits)
        mapping = known[key]
        if mapping is None:
            reasons.append(f"layer {shape.name!r}: one pass of it needs more than "
                           f"{limits.register_words} words of register file per PE, or more than "
                           f"{limits.buffer_words} words of buffer")  # fmt: skip
        else:
            found.append((shape, mapping))
        if progress is not None:
            progress(done + 1, len(layers))
    if reasons:
        raise RangeError(
            asked,
            fix="give the level 'register' or 'buffer' of the architecture a larger capacity",
            reasons=reasons,
        )
    return tuple(found)


def _key(shape: Shape) -> tuple[int, ...]:
    return tuple(getattr(shape, name) for name in shape.__slots__ if name != "name")


def simulate(
    workload: Workload, architecture: Architecture, *, progress: Progress | None = None
) -> MachineRun:
    """Accesses per level and layer under the mapping of least energy; see :func:`mappings`.

    Activity is not used: the machine is dense. Cycles are those in which the array computes.
    Raises what :func:`limits_of` and :func:`mappings` raise.
    """
    entries: list[Entry] = []
    runs = []
    for shape, mapping in mappings(workload, architecture, progress):
        entries += _entries(shape, mapping.accesses, architecture)
        runs.append(_layer_run(shape, mapping, architecture))
    counts = ActionCounts(
        entries=tuple(entries),
        route="machine",
        model="row-stationary, least energy",
        sources=("chen_2016_isca",),
    )
    return MachineRun(
        architecture=architecture,
        batch=workload.batch,
        layers=tuple(runs),
        counts=counts,
        assumptions=ASSUMPTIONS,
    )


def _entries(shape: Shape, words: Accesses, architecture: Architecture) -> list[Entry]:
    near, far, bits = _bits(architecture)
    name, macs = shape.name, shape.macs
    far_parts = {"iact": words.dram_iact, "psum": words.dram_psum_read}
    near_parts = {"iact": words.buffer_iact, "psum": words.buffer_psum_read}
    made = [count(name, "alu", "mac", "none", macs, bits=bits)]
    made += [
        count(name, "register", "read", datatype, macs, bits=bits)
        for datatype in ("weight", "iact", "psum")
    ]
    made.append(count(name, "register", "write", "psum", macs, bits=bits))
    for datatype, number in (
        ("weight", words.array_weight),
        ("iact", words.array_iact),
        ("psum", words.array_psum),
    ):
        made.append(count(name, "noc", "hop", datatype, number, bits=bits))
    made += [count(name, "sram", "read", kind, n, bits=near) for kind, n in near_parts.items()]
    made.append(count(name, "sram", "read", "weight", words.buffer_weight, bits=near))
    made.append(count(name, "sram", "write", "psum", words.buffer_psum_write, bits=near))
    made += [count(name, "dram", "read", kind, n, bits=far) for kind, n in far_parts.items()]
    made.append(
        count(name, "dram", "read", "weight", words.dram_weight, bits=far,
              part="weights_off_chip")
    )  # fmt: skip
    made.append(count(name, "dram", "write", "psum", words.dram_psum_write, bits=far))
    return made


def _bits(architecture: Architecture) -> tuple[int, int, int]:
    names = ("buffer", "dram", "register")
    near, far, register = (architecture.level(name).bits for name in names)
    return near, far, register


def _layer_run(shape: Shape, mapping: Mapping, architecture: Architecture) -> LayerRun:
    words, array = mapping.accesses, mapping.array
    near, far, bits = (n / 8 for n in _bits(architecture))
    # every PE of a set does one row of the filter along one row of the input per pass
    cycles = shape.groups * mapping.passes * array.folds * shape.columns * shape.out_columns
    set_rows = ceil(shape.rows / array.folds)
    set_columns = ceil(shape.out_rows / array.strips)
    levels = {
        "register": Traffic(3 * shape.macs * bits, shape.macs * bits),
        "buffer": Traffic(
            (
                words.buffer_weight
                + words.buffer_iact
                + words.buffer_psum_read
                + words.dram_psum_write
            )
            * near,
            (words.buffer_psum_write + words.dram_weight + words.dram_iact + words.dram_psum_read)
            * near,
        ),
        "dram": Traffic(
            (words.dram_weight + words.dram_iact + words.dram_psum_read) * far,
            words.dram_psum_write * far,
        ),
    }
    return LayerRun(
        name=shape.name,
        cycles=cycles,
        busy=cycles,
        macs=float(shape.macs),
        operations=float(shape.macs),
        active_pe=set_rows * set_columns * array.channels * array.filters,
        bytes=levels,
    )
