"""Lemaire et al. 2022: brute force over a small layer, and the totals of an independent program."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tospike.actions import ActionCounts
from tospike.activity import LayerActivity
from tospike.equations import MODELS, EquationOptions
from tospike.equations import lemaire_2022 as paper
from tospike.errors import OptionError
from tospike.implementation import Implementation
from tospike.network import Layer
from tospike.pricing import price
from tospike.technology import load, sram_energy

#: joules are about 1e-12, so that the default absolute tolerance of pytest would hide any fault
approx = partial(pytest.approx, rel=1e-9, abs=0.0)
TABLE = "lemaire_2022_45nm"
KIB = 1024.0


def picojoule(counts: ActionCounts, technology: str = TABLE) -> float:
    return float(price(counts, technology).energy) * 1e12


@pytest.mark.parametrize(
    ("capacity", "expected"),
    [
        (8 * KIB, 10),
        (32 * KIB, 20),
        (1024 * KIB, 100),
        (4 * KIB, 5),
        (20 * KIB, 15),
        (1, 10 / 8192),
    ],
)
def test_sram_is_linear_between_the_printed_points_and_zero(
    capacity: float, expected: float
) -> None:
    assert sram_energy(load(TABLE), capacity).energy * 1e12 == approx(expected)


def test_above_1_mib_the_technologies_clamp_or_go_on_and_say_so() -> None:
    clamped = sram_energy(load(TABLE), 2048 * KIB)
    assert clamped.energy * 1e12 == approx(100)
    assert "above 1 MiB are priced as one of that size" in clamped.out_of_range
    further = sram_energy(load("lemaire_2022_45nm_extrapolated"), 2048 * KIB)
    assert further.energy * 1e12 == approx(20 + 80 * (2048 - 32) / (1024 - 32))
    assert "followed further" in further.out_of_range
    assert "almost free" in sram_energy(load(TABLE), 4000).out_of_range
    assert sram_energy(load(TABLE), 8 * KIB).out_of_range == ""


@pytest.mark.parametrize("capacity", [64.0, 8 * KIB, 100 * KIB, 1024 * KIB, 4096 * KIB])
def test_the_fitted_line_is_the_one_of_the_laboratory(capacity: float) -> None:
    found = sram_energy(load("lemaire_2022_45nm_fitted"), capacity).energy * 1e12
    assert found == approx(1.09e-5 * capacity * 8 + 13.2)


#: SpikingJelly 2.0, estimate_lemaire_energy, T = 4: spikes counted by it, its total in pJ
PEER_CONV = [
    # C_in, C_out, H_in, H_out, stride, bias, spikes in, spikes out, total
    (64, 64, 32, 32, 1, True, 31599, 1172, 1946011596.2613406),
    (128, 256, 8, 8, 1, True, 3894, 213, 1313713776.3786795),
    (32, 64, 16, 8, 2, False, 3933, 64, 113835634.21016465),
]


@pytest.mark.parametrize("row", PEER_CONV, ids=["VGG9 conv2", "VGG9 conv5", "stride 2"])
def test_spiking_convolutions_cost_what_spikingjelly_says(row: tuple[float, ...]) -> None:
    c_in, c_out, _, side, stride, bias, spikes_in, spikes_out, total = row
    outputs = c_out * side * side
    params = 4.0 * (c_in * c_out * 9 + c_out * bias)
    counts = paper.snn_conv(
        spikes_in=spikes_in,
        spikes_out=spikes_out,
        fan_out=c_out * 9,
        fan_out_computed=c_out * (9 if stride == 1 else 4),
        kernel_size=9,
        n_outputs=outputs,
        n_timesteps=4,
        bias=bool(bias),
        memories=paper.Memories(4000.0, params, params, 4.0 * outputs, 4000.0),
        convention="spikingjelly",
    )
    assert picojoule(counts) == approx(total)


def test_other_layers_cost_what_spikingjelly_says() -> None:
    params = 4.0 * (1024 * 512 + 512)
    spiking = paper.snn_fc(
        spikes_in=499,
        spikes_out=8,
        n_inputs=1024,
        n_outputs=512,
        n_timesteps=4,
        memories=paper.Memories(4000.0, params, params, 2048.0, 4000.0),
        convention="spikingjelly",
    )
    assert picojoule(spiking) == approx(27095058.7859375)
    formal = paper.ann_fc(
        n_syn=1024 * 512,
        n_inputs=1024,
        n_outputs=512,
        memories=paper.Memories(4096.0, params, params, None, 2048.0),
        convention="spikingjelly",
    )
    assert picojoule(formal) == approx(54164326.4)
    params = 4.0 * (64 * 64 * 9 + 64)
    convolution = paper.ann_conv(
        n_syn=64 * 64 * 9 * 1024,
        n_inputs=64 * 1024,
        n_outputs=64 * 1024,
        addressed_weights=64 * 9,
        memories=paper.Memories(4.0 * 65536, params, params, None, 4.0 * 65536),
        convention="spikingjelly",
    )
    assert picojoule(convolution) == approx(2658793727.793548)


def brute_force_conv(spikes: np.ndarray, c_out: int, kernel: int) -> dict[str, int]:
    """Walk through every spike of every step, then through every neuron of every step.

    Circular borders: then every spike meets its whole kernel, as eqs. 7, 9 and 14 count.
    """
    steps, _, height, width = spikes.shape
    rows, columns = range(height), range(width)
    potential = np.zeros((c_out, height, width))
    found = dict.fromkeys(("input", "weight", "read", "write", "add", "bias", "sent"), 0)
    for step in range(steps):
        for _, y, x in np.argwhere(spikes[step]):
            found["input"] += 1
            for channel, dy, dx in itertools.product(range(c_out), range(kernel), range(kernel)):
                found["weight"] += 1
                found["read"] += 1
                potential[channel, (y + dy) % height, (x + dx) % width] += 0.25
                found["add"] += 1
                found["write"] += 1
        for channel, y, x in itertools.product(range(c_out), rows, columns):
            found["bias"] += 1
            found["read"] += 1
            potential[channel, y, x] += 0.05
            found["add"] += 1
            if potential[channel, y, x] >= 1:
                potential[channel, y, x] -= 1
                found["add"] += 1
                found["sent"] += 1
            found["write"] += 1
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_convolution_by_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spikes = rng.random((3, 2, 5, 4)) < 0.3
    slow = brute_force_conv(spikes, c_out=3, kernel=3)
    counts = paper.snn_conv(
        spikes_in=spikes.sum(),
        spikes_out=slow["sent"],
        fan_out=27,
        fan_out_computed=27,
        kernel_size=9,
        n_outputs=60,
        n_timesteps=3,
    )
    assert slow["sent"] > 0
    assert counts.total(action="read", datatype="spike") == slow["input"]
    assert counts.total(action="read", datatype="weight") == slow["weight"]
    assert counts.total(action="read", datatype="state") == slow["read"]
    assert counts.total(action="write", datatype="state") == slow["write"]
    assert counts.total(action="read", datatype="bias") == slow["bias"]
    assert counts.total(action="write", datatype="spike") == slow["sent"]
    additions = counts.total(action="ac") - counts.total(action="ac", datatype="index")
    assert additions == slow["add"]


def test_the_conventions_differ_where_the_article_is_corrected() -> None:
    common = {"spikes_in": 10, "spikes_out": 2, "n_outputs": 7, "n_timesteps": 4}
    corrected = paper.snn_fc(**common, n_inputs=5)
    printed = paper.snn_fc(**common, n_inputs=5, convention="as_printed")
    assert corrected.total(action="ac", datatype="none") == 10 * 7
    assert printed.total(action="ac", datatype="none") == 10 * 5 * 7  # N_in times too many
    assert corrected.total(action="ac", datatype="state") == 2  # the reset
    assert printed.total(action="ac", datatype="state") == 0
    shape = {"fan_out": 27, "fan_out_computed": 27, "kernel_size": 9}
    code = paper.snn_conv(**common, **shape)
    article = paper.snn_conv(**common, **shape, convention="as_printed")
    assert code.total(datatype="index", action="ac") == 10 * 9
    assert article.total(datatype="index", action="ac") == 10 * 27
    with pytest.raises(OptionError, match="lemaire_convention"):
        EquationOptions(lemaire_convention="mine")  # type: ignore[arg-type]


CONV = Layer(
    "conv",
    "conv",
    input_shape=(32, 16, 16),
    output_shape=(64, 8, 8),
    kernel=(3, 3),
    stride=(2, 2),
    padding=(1, 1),
    n_synapses=32 * 64 * 9 * 64,
    n_synapses_exact=32 * 64 * 9 * 64,
    n_neurons=64 * 64,
    n_inputs=32 * 256,
    n_weights=32 * 64 * 9,
)
HOW = Implementation("snn", n_timesteps=4, weight_bits=32, activation_bits=32, state_bits=32)


def activity(rate: float) -> LayerActivity:
    return LayerActivity("spike", 1, 4, 0.5, rate * CONV.n_synapses, spikes_per_synapse=rate)


@pytest.mark.parametrize("known", [True, False], ids=["shapes known", "shapes unknown"])
def test_the_binding_finds_the_geometry_of_a_layer(known: bool) -> None:
    layer = CONV if known else replace(CONV, input_shape=(), output_shape=())
    theta = 0.48 * CONV.n_inputs
    counts = MODELS["snn_lemaire"].count_layer(layer, activity(0.48), HOW)
    assert counts.total(action="read", datatype="weight") == approx(theta * 64 * 9)
    assert counts.total(action="ac", datatype="none") == approx(theta * 64 * 4)
    formal = MODELS["ann_lemaire"].count_layer(layer, activity(0.0), HOW)
    assert formal.total(action="ac", datatype="index") == approx(32 * 256 + 64 * 64 + 64 * 9)
    sizes = {(e.action, e.datatype): e.capacity_bytes for e in counts if e.component == "sram"}
    assert sizes["read", "weight"] == 4 * 32 * 64 * 9
    assert sizes["read", "state"] == 4 * 64 * 64
    assert sizes["read", "spike"] == 4000


def test_leaky_neurons_multiply_once_per_neuron_and_step() -> None:
    leaky = MODELS["snn_lemaire"].count_layer(CONV, activity(0.1), replace(HOW, neuron="lif_inst"))
    assert leaky.total(action="mac", datatype="state") == 4 * CONV.n_neurons
    plain = MODELS["snn_lemaire"].count_layer(CONV, activity(0.1), HOW)
    assert plain.total(action="mac", datatype="state") == 0


def test_spikes_are_batch_invariant_and_broadcast() -> None:
    """A mean over samples is the mean of the costs: the equation is linear in the spikes."""
    rates = np.array([0.1, 0.4, 0.7])
    each = [
        picojoule(MODELS["snn_lemaire"].count_layer(CONV, activity(rate), HOW)) for rate in rates
    ]
    mean = picojoule(MODELS["snn_lemaire"].count_layer(CONV, activity(rates.mean()), HOW))
    assert mean == approx(np.mean(each))
    together = paper.snn_fc(
        spikes_in=rates[:, None] * 100,
        spikes_out=0,
        n_inputs=100,
        n_outputs=10,
        n_timesteps=np.array([1, 2]),
    )
    assert together.shape == (3, 2)
    alone = paper.snn_fc(spikes_in=40.0, spikes_out=0, n_inputs=100, n_outputs=10, n_timesteps=2)
    assert price(together, TABLE).energy[1, 1] == approx(float(price(alone, TABLE).energy))
