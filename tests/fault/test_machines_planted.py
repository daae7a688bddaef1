"""The laws of the machines, seen to fail: one planted fault per law."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "law"))
import test_machines as laws

from tospike.actions import count
from tospike.machines import LayerRun, MachineRun, Traffic

NAME = "nullhop"
Fault = Callable[[MachineRun, float, int], MachineRun]


def every_layer(change: Callable[[LayerRun], LayerRun]) -> Fault:
    return lambda run, _zeros, _batch: replace(run, layers=tuple(map(change, run.layers)))


def added(component: str, action: str, datatype: str, number: float) -> Fault:
    """A run with ``number`` more words in its first layer."""

    def plant(run: MachineRun, _zeros: float, _batch: int) -> MachineRun:
        extra = count(run.layers[0].name, component, action, datatype, number, bits=16)
        return replace(run, counts=replace(run.counts, entries=(*run.counts.entries, extra)))

    return plant


def slower_with_zeros(run: MachineRun, zeros: float, _batch: int) -> MachineRun:
    factor = 100 if zeros > 0.9 else 1
    layers = tuple(replace(layer, cycles=factor * layer.cycles) for layer in run.layers)
    return replace(run, layers=layers)


def slower_in_batches(run: MachineRun, _zeros: float, batch: int) -> MachineRun:
    factor = 2 if batch > 1 else 1
    layers = tuple(replace(layer, cycles=factor * layer.cycles) for layer in run.layers)
    return replace(run, layers=layers)


def one_level(traffic: Traffic, name: str = "dram") -> Fault:
    return every_layer(lambda layer: replace(layer, bytes={**layer.bytes, name: traffic}))


FAULTS: dict[str, tuple[Callable[..., None], tuple[object, ...], Fault]] = {
    "half of the cycles are missing": (
        laws.test_no_machine_is_faster_than_its_pes, (0.6,),
        every_layer(lambda layer: replace(layer, cycles=layer.cycles // 20)),
    ),
    "more PEs than there are": (
        laws.test_no_machine_is_faster_than_its_pes, (0.6,),
        every_layer(lambda layer: replace(layer, active_pe=129)),
    ),
    "stalls counted twice": (
        laws.test_no_machine_is_faster_than_its_pes, (0.6,),
        every_layer(lambda layer: replace(layer, stalls={"load": layer.cycles})),
    ),
    "a MAC is lost": (
        laws.test_the_work_is_that_of_the_network, (),
        every_layer(lambda layer: replace(layer, macs=layer.macs - 1)),
    ),
    "a layer is lost": (
        laws.test_the_work_is_that_of_the_network, (),
        lambda run, _z, _b: replace(run, layers=run.layers[1:]),
    ),
    "operations with a value are skipped": (
        laws.test_skipped_operations_are_those_with_a_zero, (),
        every_layer(lambda layer: replace(layer, operations=0.9 * layer.operations)),
    ),
    "weights from nowhere": (
        laws.test_no_memory_is_filled_with_more_than_its_parent_supplies, ("weight",),
        added("pe_sram", "write", "weight", 1e9),
    ),
    "DRAM bytes that nobody pays": (
        laws.test_the_bytes_of_dram_are_those_that_are_priced, (), one_level(Traffic(1e6, 0.0)),
    ),
    "a level that is not in the file": (
        laws.test_traffic_is_finite_and_of_known_levels, (), one_level(Traffic(1.0, 0.0), "cache"),
    ),
    "DRAM faster than its pins": (
        laws.test_dram_is_never_faster_than_its_pins, (),
        every_layer(
            lambda layer: layer
            if layer.dram is None
            else replace(layer, dram=replace(layer.dram, cycles=1))
        ),
    ),
    "zeros that cost time": (
        laws.test_more_zeros_never_cost_more, (), slower_with_zeros,
    ),
    "a batch that costs more": (
        laws.test_a_batch_never_costs_more_than_its_samples_alone, (), slower_in_batches,
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_breaks_its_law(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    law, arguments, plant = FAULTS[fault]
    true = laws.run

    def run(name: str, zeros: float = 0.6, batch: int = 1) -> MachineRun:
        return plant(true(name, zeros, batch), zeros, batch)

    law(NAME, *arguments)
    monkeypatch.setattr(laws, "run", run)
    with pytest.raises(AssertionError):
        law(NAME, *arguments)
