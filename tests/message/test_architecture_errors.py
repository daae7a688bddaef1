"""Files of architectures and DRAM chips: read whole, or refused with every fault at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tospike.architecture import load_architecture
from tospike.errors import TechnologyError, UnknownNameError
from tospike.technology.dram import load_device

CHIP = """
title: "A chip"
machine: eyeriss
source: horowitz_2014
execution: folded
dataflow: row_stationary
n_pe: 168
clock: {value: "200 MHz", locator: "Table I", quoted: "200 MHz"}
zero_handling: {activation: gate}
technology: horowitz_2014_45nm
levels:
  - {name: glb, component: sram, bits: 64,
     capacity: {value: "100 KiB", locator: "text", quoted: "100 kB"}}
parameters:
  p_max: {value: "24", locator: "text", quoted: "24"}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "chip.yaml"
    path.write_text(text, "utf-8")
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    chip = load_architecture(written(tmp_path, CHIP))
    assert chip.name == "chip"
    assert chip.clock.value == 200e6
    assert chip.level("glb").capacity.value == 102_400
    assert chip.parameter("p_max") == 24
    assert chip.zero_handling == {"activation": "gate"}
    assert chip.sources == ("horowitz_2014",)
    with pytest.raises(UnknownNameError, match="p_max"):
        chip.parameter("p_mux")
    with pytest.raises(UnknownNameError, match="glb"):
        chip.level("gbl")


def test_memories_hold_something_and_have_names_of_their_own(tmp_path: Path) -> None:
    level = CHIP.partition("levels:\n")[2].partition("parameters:")[0]
    twice = CHIP.replace(level, level + level).replace("100 KiB", "0 B", 1)
    with pytest.raises(TechnologyError) as error:
        load_architecture(written(tmp_path, twice))
    assert sorted(error.value.reasons) == [
        "levels.0.capacity is '0 B'; more than 0 is needed",
        "levels: 2 are called 'glb'",
    ]


def test_every_fault_of_the_values_at_once(tmp_path: Path) -> None:
    text = CHIP.replace("200 MHz", "200 pJ", 1).replace('"24", l', '"many", l')
    text = text.replace('locator: "text", quoted: "100 kB"', 'locator: "x", quoted: "y", source: z')
    with pytest.raises(TechnologyError) as error:
        load_architecture(written(tmp_path, text))
    assert [reason.partition(":")[0] for reason in error.value.reasons] == [
        "clock", "levels.0.capacity", "parameters.p_max",
    ]  # fmt: skip


def test_every_fault_of_the_form_at_once(tmp_path: Path) -> None:
    text = CHIP.replace("n_pe: 168", "n_pe: 0").replace("folded", "bent") + "wings: 2\n"
    with pytest.raises(TechnologyError) as error:
        load_architecture(written(tmp_path, text))
    assert len(error.value.reasons) == 3


@pytest.mark.parametrize("read", [load_architecture, load_device])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a YAML NoneType"),
        ("- 1\n- 2\n", "a YAML list"),
        ("a: [1, 2\n", "text that is no YAML"),
        ("a: " + "[" * 5000, "text that is no YAML"),
        ("? {a: 1}\n: 2\n", "text that is no YAML"),
        ("a: !!timestamp x\n", "text that is no YAML"),
    ],
)
def test_hostile_text(tmp_path: Path, read: Callable[[Path], Any], text: str, said: str) -> None:
    with pytest.raises(TechnologyError, match=said):
        read(written(tmp_path, text))


@pytest.mark.parametrize("read", [load_architecture, load_device])
def test_a_missing_file(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    with pytest.raises(TechnologyError, match="No such file"):
        read(tmp_path / "none.yaml")
