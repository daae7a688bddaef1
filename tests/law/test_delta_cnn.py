"""Delta CNNs: the counts against a simulated layer, the break-even against its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d

from tospike.equations.delta_cnn import (
    CnnLayer,
    break_even,
    delta,
    energy_ratio,
    recomputed,
)
from tospike.errors import OptionError, RangeError
from tospike.pricing import price

TECHNOLOGY = "horowitz_2014_45nm"
SHARES = st.floats(0.0, 1.0)


def conv(cin: int, cout: int, side: int) -> CnnLayer:
    """3 x 3 convolution with padding."""
    return CnnLayer(
        9 * cin * cout * side**2, cin * side**2, cout * side**2, 9 * cin * cout, name="conv"
    )


LAYERS = [conv(3, 64, 32), conv(64, 64, 32), conv(512, 512, 14)]
MACHINES = [(u, m) for u in ("event", "frame") for m in ("sram", "dram")]


@pytest.mark.parametrize("updates", ["event", "frame"])
def test_counts_are_those_of_a_simulated_layer(updates: str) -> None:
    """A delta convolution run value by value on random frames; every access counted."""
    rng = np.random.default_rng(0)
    side, kernel = 6, rng.standard_normal((3, 3))
    reference, sums = np.zeros((side, side)), np.zeros((side - 2, side - 2))
    frames = [rng.integers(0, 3, (side, side)).astype(float) for _ in range(4)]
    seen = dict.fromkeys(("read ref", "write ref", "mac", "read state", "write state"), 0)
    inputs = 0
    for frame in frames:
        touched = set()
        for i, j in np.ndindex(side, side):
            inputs += 1
            seen["read ref"] += 1
            change = frame[i, j] - reference[i, j]
            if change == 0:
                continue
            reference[i, j] = frame[i, j]
            seen["write ref"] += 1
            for y, x in np.ndindex(sums.shape):
                if 0 <= i - y < 3 and 0 <= j - x < 3:
                    sums[y, x] += change * kernel[i - y, j - x]
                    seen["mac"] += 1
                    touched.add((y, x))
                    if updates == "event":
                        seen["read state"] += 1
                        seen["write state"] += 1
        if updates == "frame":
            seen["read state"] += sums.size
            seen["write state"] += sums.size
        np.testing.assert_allclose(sums, correlate2d(frame, kernel, "valid"), atol=1e-12)
        assert len(touched) <= sums.size
    # a sparsity weighted by fan-out makes the MACs exact; that of the values the references
    n = len(frames)
    layer = CnnLayer(9 * sums.size * n, inputs, sums.size * n, 9)
    by_value = delta(layer, temporal_sparsity=1 - seen["write ref"] / inputs, updates=updates)
    by_mac = delta(layer, temporal_sparsity=1 - seen["mac"] / layer.n_syn, updates=updates)
    assert by_value.total(datatype="reference", action="read") == seen["read ref"]
    assert by_value.total(datatype="reference", action="write") == pytest.approx(seen["write ref"])
    assert by_mac.total(action="mac") == pytest.approx(seen["mac"])
    for action in ("read", "write"):
        found = by_mac.total(datatype="state", action=action)
        assert found == pytest.approx(seen[f"{action} state"])


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.sampled_from(LAYERS), st.sampled_from(MACHINES), SHARES, SHARES)
def test_break_even_is_where_both_cost_the_same(
    layer: CnnLayer, machine: tuple, zeros: float, gamma: float
) -> None:
    updates, memory = machine
    found = break_even(layer, TECHNOLOGY, zero_fraction=zeros, updates=updates, state_memory=memory)
    again = float(price(recomputed(layer, zero_fraction=zeros), TECHNOLOGY).energy)
    counts = delta(layer, temporal_sparsity=gamma, updates=updates, state_memory=memory)
    changed = float(price(counts, TECHNOLOGY).energy)
    assert found.energy(gamma) == pytest.approx(changed)
    assert found.recomputed == pytest.approx(again)
    if abs(gamma - found.temporal_sparsity) > 1e-6:
        assert (changed < again) == (gamma > found.temporal_sparsity)
    assert found.ever == (found.temporal_sparsity < 1)
    if 0 <= found.temporal_sparsity <= 1:
        assert found.energy(found.temporal_sparsity) == pytest.approx(again)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("machine", MACHINES)
def test_zeros_that_are_skipped_anyway_raise_the_bar(layer: CnnLayer, machine: tuple) -> None:
    updates, memory = machine
    bars = [
        break_even(
            layer, TECHNOLOGY, zero_fraction=zeros, updates=updates, state_memory=memory
        ).temporal_sparsity
        for zeros in (0.0, 0.3, 0.6, 0.9)
    ]
    assert bars == sorted(bars)
    assert bars[0] < bars[-1]


@pytest.mark.parametrize("layer", LAYERS)
def test_dearer_state_raises_the_bar(layer: CnnLayer) -> None:
    def bar(updates: str, memory: str) -> float:
        found = break_even(layer, TECHNOLOGY, updates=updates, state_memory=memory)
        return found.temporal_sparsity

    assert bar("frame", "sram") < bar("frame", "dram")
    assert bar("event", "sram") < bar("event", "dram")
    assert bar("frame", "sram") < bar("event", "sram")


def test_never_pays_is_said() -> None:
    found = break_even(LAYERS[0], TECHNOLOGY, state_memory="dram")
    assert found.temporal_sparsity > 1
    assert not found.ever
    # nothing changes at all, and it is still dearer
    assert found.energy(1.0) > found.recomputed


def test_sums_for_every_event_need_very_high_sparsity() -> None:
    # Liu & Delbruck: "only ... when this sparsity is very high"
    for layer in LAYERS:
        found = break_even(layer, TECHNOLOGY, updates="event", zero_fraction=0.5)
        assert 0.8 < found.temporal_sparsity < 1


def test_free_state_leaves_the_zeros_to_beat() -> None:
    # without state costs, changing less than what is not zero is all that is needed
    assert energy_ratio(0.3, 1e3, access_over_mac=0.0) == pytest.approx(0.3)
    assert energy_ratio(0.0, 9.0, access_over_mac=3.0) == pytest.approx(1.0)
    grid = energy_ratio(np.linspace(0, 1, 5), 64.0, access_over_mac=10.0)
    assert (np.diff(grid) > 0).all()


@pytest.mark.parametrize("gamma", [-0.1, 1.1, float("nan")])
def test_shares_are_checked(gamma: float) -> None:
    with pytest.raises(RangeError, match="temporal_sparsity"):
        delta(LAYERS[0], temporal_sparsity=gamma)
    with pytest.raises(RangeError, match="zero_fraction"):
        break_even(LAYERS[0], TECHNOLOGY, zero_fraction=gamma)


def test_names_are_checked() -> None:
    with pytest.raises(OptionError, match="'event', 'frame'"):
        delta(LAYERS[0], temporal_sparsity=0.5, updates="never")
    with pytest.raises(OptionError, match="'sram', 'dram'"):
        delta(LAYERS[0], temporal_sparsity=0.5, state_memory="disk")


def test_the_page_says_what_the_code_does() -> None:
    """Every row of the table in docs/equations/delta_cnn.md."""
    page = (Path(__file__).parents[2] / "docs/equations/delta_cnn.md").read_text("utf-8")
    shapes = {
        "conv1_1": (3, 64, 224),
        "conv1_2": (64, 64, 224),
        "conv2_2": (128, 128, 112),
        "conv3_3": (256, 256, 56),
        "conv5_3": (512, 512, 14),
    }
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if "| conv" in line]
    assert len(rows) == 8
    for name, zeros, *cells in rows:
        for cell, (updates, memory) in zip(
            cells, (("frame", "sram"), ("frame", "dram"), ("event", "sram")), strict=True
        ):
            found = break_even(
                conv(*shapes[name]),
                TECHNOLOGY,
                zero_fraction=float(zeros),
                updates=updates,
                state_memory=memory,
                sram_bytes=2**20,
            )
            percent = 100 * found.temporal_sparsity
            said = f"{percent:.1f} %" if found.ever else f"never ({percent:.0f} %)"
            assert cell == said, (name, zeros, updates, memory)
