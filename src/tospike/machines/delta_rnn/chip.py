"""``read_chip``: what an architecture file says to this simulator, checked; ``with_thresholds``."""

from __future__ import annotations

import math
from dataclasses import replace

from tospike.architecture import Architecture, MemoryLevel
from tospike.constant import Constant
from tospike.errors import OptionError, TechnologyError, UnknownNameError
from tospike.machines.delta_rnn.record import Chip, Port
from tospike.machines.dram import DramSystem
from tospike.technology.dram import load_device

#: whole numbers: parameter -> (least, most)
_WHOLE: dict[str, tuple[int, int]] = {
    "arrays": (1, 65536),
    "weight_bits": (1, 64),
    "integer_bits": (1, 32),
    "fraction_bits": (0, 32),
    "sum_bits": (1, 64),
    "send_at_threshold": (0, 1),
    "fifo_depth": (1, 65536),
    "delta_elements_per_cycle": (1, 65536),
    "delta_start_cycles": (0, 65536),
    "delta_latency_cycles": (1, 65536),
    "bias_column": (0, 1),
    "drain_cycles": (0, 65536),
    "activation_units": (1, 65536),
    "activation_interval_gru": (0, 65536),
    "activation_interval_lstm": (0, 65536),
    "output_interval": (0, 65536),
    "activation_latency_cycles": (0, 65536),
    "max_layer_size": (1, 1 << 24),
    "max_layers": (1, 65536),
    "host_cycles": (0, 1 << 40),
}
_PORT: dict[str, tuple[int, int]] = {
    "port_bytes": (1, 65536),
    "dma_queue": (1, 65536),
    "dma_setup_cycles": (0, 65536),
    "dma_gap_cycles": (0, 65536),
}
_SKIPPING: dict[str, tuple[int, int]] = {"index_bits": (0, 64)}


class _Reader:
    """Reads parameters and collects what is wrong with them."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.reasons: list[str] = []

    def whole(self, wanted: dict[str, tuple[int, int]]) -> dict[str, int]:
        found = {}
        for name, (least, most) in wanted.items():
            value = self.number(name, least, most)
            if value != int(value):
                self.reasons.append(f"parameter {name} is {value:g}; a whole number is needed")
            found[name] = int(value)
        return found

    def number(self, name: str, least: float, most: float) -> float:
        try:
            value = self.architecture.parameter(name)
        except UnknownNameError:
            self.reasons.append(f"parameter {name} is missing ({least:g} to {most:g})")
            return least
        if not least <= value <= most:
            self.reasons.append(f"parameter {name} is {value:g}; {least:g} to {most:g} is needed")
            return least
        return value

    def level(self, name: str) -> MemoryLevel:
        for level in self.architecture.levels:
            if level.name == name:
                if level.capacity is not None and level.capacity.value <= 0:
                    self.reasons.append(
                        f"memory level {name!r} holds {level.capacity.value:g} byte"
                    )
                return level
        self.reasons.append(f"memory level {name!r} is missing")
        return MemoryLevel(name, "sram", 64)


def read_chip(architecture: Architecture) -> Chip:
    """The checked parameters of an architecture whose ``machine`` is ``delta_rnn``.

    Memory levels: "state" (references and states), "psum" (pre-activations), and one for the
    weights: the level "weights" on the chip, or a level of component "dram" with a device.

    Raises :class:`TechnologyError` with every parameter that is missing or out of its range.
    """
    reader = _Reader(architecture)
    whole = reader.whole(_WHOLE)
    largest = 2.0 ** (whole["integer_bits"] - 1)
    theta_x = reader.number("theta_x", 0.0, largest)
    theta_h = reader.number("theta_h", 0.0, largest)
    handling = dict(architecture.zero_handling)
    skips = handling.get("weight", "none") == "skip"
    if handling.get("activation") != "skip" or handling.get("weight") == "gate":
        reader.reasons.append(
            "zero_handling: this machine skips what does not change; activation 'skip', and weight "
            "'none' or 'skip', are needed"
        )
    index_bits = reader.whole(_SKIPPING)["index_bits"] if skips else 0
    sparsity = reader.number("weight_sparsity", 0.0, 1.0) if skips else 0.0
    if sparsity >= 1:
        reader.reasons.append("parameter weight_sparsity is 1; below 1 is needed")
    arrays = whole["arrays"]
    if architecture.n_pe % arrays:
        reader.reasons.append(f"n_pe {architecture.n_pe} is not a multiple of arrays {arrays}")
    if arrays > 1 and whole["bias_column"]:
        reader.reasons.append("bias_column needs arrays = 1")
    memories = (reader.level("state"), reader.level("psum"), *_weights(reader))
    if reader.reasons:
        raise TechnologyError(
            f"simulate the architecture {architecture.name!r} as a delta machine",
            where=f"architecture {architecture.name!r}",
            allowed="the parameters and memory levels of edgedrnn, deltarnn or spartus",
            fix="mend the listed entries of the architecture file",
            reasons=reader.reasons,
        )
    return _record(architecture, whole, (theta_x, theta_h), (skips, index_bits, sparsity), memories)


def _record(
    architecture: Architecture,
    whole: dict[str, int],
    thetas: tuple[float, float],
    skipping: tuple[bool, int, float],
    memories: tuple[MemoryLevel, MemoryLevel, MemoryLevel, Port | None],
) -> Chip:
    """Checked numbers as a :class:`Chip`."""
    state, psum, weights, port = memories
    skips, index_bits, sparsity = skipping
    return Chip(
        name=architecture.name,
        clock=architecture.clock.value,
        arrays=whole["arrays"],
        n_pe=architecture.n_pe // whole["arrays"],
        weight_bits=whole["weight_bits"],
        index_bits=index_bits,
        integer_bits=whole["integer_bits"],
        fraction_bits=whole["fraction_bits"],
        sum_bits=whole["sum_bits"],
        theta_x=thetas[0],
        theta_h=thetas[1],
        send_at_threshold=bool(whole["send_at_threshold"]),
        fifo_depth=whole["fifo_depth"],
        scan_rate=whole["delta_elements_per_cycle"],
        scan_start=whole["delta_start_cycles"],
        scan_latency=whole["delta_latency_cycles"],
        bias_column=bool(whole["bias_column"]),
        drain=whole["drain_cycles"],
        gate_units=whole["activation_units"],
        gate_interval={
            "gru": whole["activation_interval_gru"],
            "lstm": whole["activation_interval_lstm"],
            "linear": whole["output_interval"],
        },
        gate_latency=whole["activation_latency_cycles"],
        max_layer_size=whole["max_layer_size"],
        max_layers=whole["max_layers"],
        host=whole["host_cycles"],
        skips_weights=skips,
        kept=1.0 - sparsity,
        state=state,
        psum=psum,
        weights=weights,
        port=port,
    )


def _weights(reader: _Reader) -> tuple[MemoryLevel, Port | None]:
    """The memory that holds the weights, and the port to it if it is DRAM."""
    off_chip = [level for level in reader.architecture.levels if level.component == "dram"]
    on_chip = [level for level in reader.architecture.levels if level.name == "weights"]
    if len(off_chip) + len(on_chip) != 1:
        reader.reasons.append(
            "weights need one memory: a level of component dram, or a level named 'weights'"
        )
        return MemoryLevel("weights", "sram", 64), None
    if on_chip:
        return on_chip[0], None
    level, whole = off_chip[0], reader.whole(_PORT)
    if level.device is None:
        reader.reasons.append(f"memory level {level.name!r} names no DRAM device")
        return level, None
    system = DramSystem(load_device(level.device), chips=level.chips)
    return level, Port(
        system,
        bytes_per_cycle=whole["port_bytes"],
        queue=whole["dma_queue"],
        setup=whole["dma_setup_cycles"],
        gap=whole["dma_gap_cycles"],
    )


def with_thresholds(architecture: Architecture, *, theta_x: float, theta_h: float) -> Architecture:
    """The same chip with other delta thresholds, in the units of the values.

    Raises :class:`OptionError` for thresholds that are not finite or below 0.
    """
    given = {"theta_x": theta_x, "theta_h": theta_h}
    reasons = [
        f"{name} is {value!r}; a finite number >= 0 is needed"
        for name, value in given.items()
        if not (math.isfinite(value) and value >= 0)
    ]
    if reasons:
        raise OptionError("set the delta thresholds", reasons=reasons)
    set_here = {
        name: Constant(
            value=float(value),
            unit="",
            low=float(value),
            high=float(value),
            source="tospike",
            locator="chosen for the run",
            quoted=f"{value:g}",
            method="derived",
        )
        for name, value in given.items()
    }
    return replace(architecture, parameters={**architecture.parameters, **set_here})
