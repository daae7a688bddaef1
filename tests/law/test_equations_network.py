"""Laws of counting a whole network: modes, borders, optional terms, refusals."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from fixture_equations import (
    CONV,
    DEPTHWISE,
    IMPLEMENTATION,
    LINEAR,
    PRICED,
    RECURRENT,
    activity_of,
    counts_of,
    energy,
    network,
    profile,
)

from tospike.activity import ActivityProfile
from tospike.equations import (
    MODELS,
    EquationOptions,
    beyond,
    count,
    dampfhoffer_2022,
)
from tospike.errors import OptionError, RangeError, StatisticError, UnknownNameError
from tospike.implementation import Implementation, Partition
from tospike.pricing import price

#: joules are about 1e-12, so that the default absolute tolerance of pytest would hide any fault
approx = partial(pytest.approx, rel=1e-9, abs=0.0)


def test_the_first_layer_of_an_snn_is_counted_as_ann() -> None:
    counts = count(network(), profile("dw", "fc"), IMPLEMENTATION)
    assert counts.total(layer="conv", action="mac_gated") > 0
    assert counts.total(layer="conv", action="ac", part="synapse") == 0
    assert counts.total(layer="dw", action="mac") == 0
    encoding = counts.total(layer="conv", part="border", component="sram")
    assert encoding == 2 * CONV.n_neurons * IMPLEMENTATION.n_timesteps


def test_a_partition_prices_both_borders() -> None:
    modes = Partition({"conv": "ann", "dw": "snn", "fc": "ann"})
    counts = count(network(), profile("dw"), IMPLEMENTATION, modes=modes)
    assert counts.total(part="border", layer="conv", action="compare") == 8 * CONV.n_neurons
    assert counts.total(part="border", layer="dw", action="mul") == DEPTHWISE.n_neurons
    pure = count(network(), profile(), Implementation("ann"))
    assert pure.total(part="border") == 0


def test_layers_add_up() -> None:
    whole = count(network(), profile(), Implementation("ann"), equation="ann_naive")
    alone = [counts_of(MODELS["ann_naive"], layer) for layer in (CONV, DEPTHWISE, LINEAR)]
    assert energy(whole, PRICED[0]) == approx(sum(energy(c, PRICED[0]) for c in alone))


def test_equations_may_be_chosen_by_mode() -> None:
    counts = count(
        network(),
        profile("dw", "fc"),
        IMPLEMENTATION,
        equation={"ann": "ann_naive", "snn": "snn_compute_only"},
    )
    assert counts.model.split(" + ") == ["ann_naive", "snn_compute_only", "border"]
    with pytest.raises(OptionError, match="'ann_naive' counts 'ann', not 'snn'"):
        count(network(), profile(), IMPLEMENTATION, equation={"snn": "ann_naive"})
    with pytest.raises(UnknownNameError, match="did you mean 'ann_naive'"):
        count(network(), profile(), IMPLEMENTATION, equation="ann_naiv")


def test_unknown_layers_and_modes_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="find the layer 'dv'"):
        count(network(), profile(), IMPLEMENTATION, modes={"dv": "snn"})
    with pytest.raises(UnknownNameError, match="find the mode 'spike'"):
        count(network(), profile(), IMPLEMENTATION, modes={"dw": "spike"})  # type: ignore[dict-item]
    with pytest.raises(UnknownNameError, match="neuron model"):
        count(network(), profile("dw"), replace(IMPLEMENTATION, neuron="izhikevich"))


@pytest.mark.parametrize("steps", [0, -1])
def test_time_steps_must_be_positive(steps: int) -> None:
    with pytest.raises(RangeError, match=f"n_timesteps = {steps}"):
        count(network(), profile("dw"), replace(IMPLEMENTATION, n_timesteps=steps))


def test_widths_must_be_positive() -> None:
    with pytest.raises(RangeError) as caught:
        count(network(), profile(), Implementation("ann", weight_bits=0, state_bits=-8))
    assert caught.value.reasons == ("weight_bits = 0", "state_bits = -8")


def test_activity_that_was_not_measured_is_an_error_and_never_zero() -> None:
    with pytest.raises(StatisticError, match="without spikes per synapse"):
        count(network(), profile(), IMPLEMENTATION, modes={"dw": "snn"})
    with pytest.raises(StatisticError, match=r"a measured threshold: 0\.0625"):
        MODELS["delta_liu"].count_layer(
            RECURRENT, activity_of(RECURRENT), Implementation("delta", delta_threshold=0.5)
        )


def test_assumed_activity_is_said() -> None:
    assumed = ActivityProfile.assumed(network(), zero_fraction=0.58, origin="Eyeriss average")
    counts = count(network(), assumed, Implementation("ann"))
    assert any("assumed, not measured: Eyeriss average" in text for text in counts.assumptions)


def test_bias_is_a_term_of_its_own_and_switchable() -> None:
    model = MODELS["snn_if_inst"]
    by_name = {
        bias: counts_of(model, layer, options=EquationOptions(bias=bias))
        for bias, layer in (("when_present", CONV), ("never", CONV), ("always", DEPTHWISE))
    }
    assert by_name["when_present"].total(datatype="bias", action="read") == 8 * CONV.n_neurons
    assert "tospike" in by_name["when_present"].sources
    assert by_name["never"].total(part="neuron") == 0
    assert by_name["always"].total(datatype="bias", action="read") == 8 * DEPTHWISE.n_neurons
    assert counts_of(model, DEPTHWISE).total(part="neuron") == 0
    leaky = counts_of(MODELS["snn_lif_inst"], CONV)  # the leak has brought the state already
    assert leaky.total(datatype="state", action="read", part="neuron") == 8 * CONV.n_neurons


def test_optional_terms_add_their_energy_and_their_sentence() -> None:
    base = count(network(), profile("dw", "fc"), IMPLEMENTATION)
    for term, part, options in (
        (
            "weights_off_chip",
            "weights_off_chip",
            EquationOptions(terms=("weights_off_chip",), on_chip_bytes=1024),
        ),
        ("static", "static", EquationOptions(terms=("static",), inference_seconds=1e-3)),
        (
            "communication",
            "communication",
            EquationOptions(terms=("communication",), hops_per_event=2.0),
        ),
    ):
        counts = count(network(), profile("dw", "fc"), IMPLEMENTATION, options=options)
        assert counts.total(part=part) > 0, term
        assert base.total(part=part) == 0, term
        assert set(counts.assumptions) > set(base.assumptions), term
        more = price(counts, PRICED[0], static_power_w=1e-3)
        assert more.energy > energy(base, PRICED[0]), term


def test_communication_by_hand() -> None:
    """An ANN moves every input once, an SNN one address event per spike."""
    options = EquationOptions(terms=("communication",), hops_per_event=3.0)
    dense = count(network(), profile(), Implementation("ann"), options=options)
    words = CONV.n_inputs + DEPTHWISE.n_inputs + LINEAR.n_inputs
    assert dense.total(component="noc", datatype="iact") == 3 * words
    spiking = profile("fc")
    rate = replace(spiking["fc"], spikes_per_neuron=0.25)
    spiking = replace(spiking, layers={**spiking.layers, "fc": rate})
    hybrid = count(network(), spiking, IMPLEMENTATION, options=options)
    assert hybrid.total(component="noc", datatype="event") == approx(3 * 0.25 * LINEAR.n_inputs)
    (event,) = [e for e in hybrid if e.component == "noc" and e.datatype == "event"]
    assert event.bits == 9  # 400 inputs need 9 address bits


def test_weights_that_fit_on_chip_never_touch_dram() -> None:
    options = EquationOptions(terms=("weights_off_chip",), on_chip_bytes=1e9)
    counts = count(network(), profile(), Implementation("ann"), options=options)
    assert counts.total(component="dram") == 0
    half = EquationOptions(terms=("weights_off_chip",), on_chip_bytes=network().n_weights / 2)
    counts = count(network(), profile(), Implementation("ann"), options=half)
    assert counts.total(component="dram") == approx(network().n_weights / 2)


def test_idle_time_multiplies_the_static_energy() -> None:
    always = beyond.static_energy(inference_seconds=1e-3)
    rarely = beyond.static_energy(inference_seconds=1e-3, duty_cycle=0.01)
    assert rarely.total() == approx(100 * always.total())
    with pytest.raises(RangeError, match="duty cycle"):
        beyond.static_energy(inference_seconds=1e-3, duty_cycle=0.0)


def test_options_report_every_fault() -> None:
    with pytest.raises(OptionError) as caught:
        EquationOptions(terms=("static", "leak"), bias="sometimes")  # type: ignore[arg-type]
    assert caught.value.reasons == (
        "there is no term 'leak'; there are weights_off_chip, static, communication",
        "the term 'static' needs inference_seconds",
        "bias is 'sometimes'; it must be one of when_present, always, never",
    )


def test_products_of_two_activations_have_the_width_of_activations() -> None:
    attention = replace(LINEAR, kind="matmul", n_weights=0, extra={"second_operand": 400 * 120})
    how = Implementation("ann", weight_bits=4, activation_bits=8)
    counts = MODELS["ann_reuse"].count_layer(attention, activity_of(attention), how)
    assert {entry.bits for entry in counts if entry.datatype == "weight"} == {8}
    assert attention.reuse.weight == 1.0


def test_asymmetric_products_are_priced_between_their_widths() -> None:
    assert dampfhoffer_2022.mac_bits(8, 8) == 8
    assert dampfhoffer_2022.mac_bits(8, 2) == 4
    assert dampfhoffer_2022.mac_bits(8, 3) == 5
    assert dampfhoffer_2022.mac_bits(8, 1) == 3
