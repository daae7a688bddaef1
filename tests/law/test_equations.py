"""Laws over every registered equation, technology and a set of layers."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fixture_equations import (
    BY_MODE,
    CONV,
    DEPTHWISE,
    IMPLEMENTATION,
    LAYERS,
    LINEAR,
    NAMES,
    PRICED,
    RECURRENT,
    THETA,
    activity_of,
    counts_of,
    energy,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.equations import (
    MODELS,
    EquationModel,
    EquationOptions,
    beyond,
    borders,
    break_even,
    breakeven_table,
    compute_only,
    dampfhoffer_2022,
    davidson_furber_2021,
    lemaire_2022,
    liu_delbruck_2019,
    ottati_2023,
    shen_2024,
    weight_fetches,
    yan_2026,
)
from tospike.equations.models import eyeriss_reuse, zero_share
from tospike.errors import OptionError, RangeError
from tospike.implementation import Implementation
from tospike.network import Layer
from tospike.pricing import price, priceable
from tospike.sources import SOURCES
from tospike.technology import names

#: joules are about 1e-12, so that the default absolute tolerance of pytest would hide any fault
approx = partial(pytest.approx, rel=1e-9, abs=0.0)


def table_for(model: EquationModel, technology: str) -> str:
    """``technology``, or the paper's own where it cannot price what this equation counts."""
    counts = counts_of(model, CONV)
    return technology if priceable(counts, technology) else model.technology


QUICK = settings(max_examples=25, deadline=None, derandomize=True)


def test_the_expected_equations_are_registered() -> None:
    assert list(MODELS) == [
        "ann_naive",
        "ann_reuse",
        "ann_reuse_sparsity",
        "ann_eyeriss_v1",
        "ann_eyeriss_v2",
        "ann_ottati",
        "ann_nullhop",
        "ann_liu",
        "ann_compute_only",
        "ann_lemaire",
        "ann_davidson_furber",
        "ann_yan",
        "ann_shen",
        "snn_if_inst",
        "snn_lif_inst",
        "snn_if_cont",
        "snn_lif_cont",
        "snn_ottati",
        "snn_compute_only",
        "snn_lemaire",
        "snn_davidson_furber",
        "snn_yan",
        "snn_shen",
        "delta_liu",
    ]


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
@pytest.mark.parametrize("layer", LAYERS, ids=NAMES)
def test_counts_are_sourced_finite_and_priced_by_the_papers_own_technology(
    model: EquationModel, layer: Layer
) -> None:
    counts = counts_of(model, layer)
    assert counts.layers == (layer.name,)
    assert counts.route == "equation"
    assert counts.assumptions
    assert counts.sources
    assert set(counts.sources) <= set(SOURCES)
    assert model.paper in SOURCES
    assert all(np.isfinite(entry.count).all() for entry in counts)
    assert priceable(counts, model.technology)


def rising_with_zeros(model: EquationModel, layer: Layer, technology: str) -> list[float]:
    """Zero fractions at which an ANN costs more than at a smaller one."""
    grid = np.linspace(0, 1, 21)
    energies = [energy(counts_of(model, layer, zeros=zeros), technology) for zeros in grid]
    return [
        float(grid[i + 1])
        for i in range(len(grid) - 1)
        if energies[i + 1] > energies[i] * (1 + 1e-12)
    ]


@pytest.mark.parametrize("technology", PRICED)
@pytest.mark.parametrize("layer", LAYERS, ids=NAMES)
@pytest.mark.parametrize("model", BY_MODE["ann"], ids=lambda model: model.key)
def test_more_zeros_never_cost_more(model: EquationModel, layer: Layer, technology: str) -> None:
    assert rising_with_zeros(model, layer, table_for(model, technology)) == []


def test_the_sparsity_law_sees_a_planted_fault() -> None:
    """An equation that takes the zero fraction for the density goes red."""

    def inverted(layer, activity, implementation, options=None, /):  # type: ignore[no-untyped-def]
        return dampfhoffer_2022.ann_reuse_sparsity(
            n_syn=layer.n_synapses, zero_fraction=1 - zero_share(layer, activity)
        )

    planted = replace(MODELS["ann_reuse_sparsity"], count_layer=inverted)
    assert rising_with_zeros(planted, CONV, PRICED[0])


@pytest.mark.parametrize("layer", LAYERS, ids=NAMES)
@pytest.mark.parametrize("model", BY_MODE["snn"], ids=lambda model: model.key)
def test_snn_energy_is_linear_in_spikes(model: EquationModel, layer: Layer) -> None:
    table = table_for(model, "horowitz_2014_45nm")

    def at(spikes: float) -> float:
        return energy(counts_of(model, layer, spikes=spikes), table)

    zero, one = at(0.0), at(1.0)
    for spikes in (0.1, 0.37, 2.5, 8.0):
        assert at(spikes) == approx(zero + spikes * (one - zero))
    assert one > zero


@pytest.mark.parametrize("layer", LAYERS, ids=NAMES)
@pytest.mark.parametrize("model", BY_MODE["snn"], ids=lambda model: model.key)
def test_without_spikes_there_is_no_synaptic_work(model: EquationModel, layer: Layer) -> None:
    counts = counts_of(model, layer, spikes=0.0)
    assert counts.total(part="synapse", datatype="weight") == 0
    assert counts.total(part="synapse", action="ac") == 0
    if model.event_driven:
        table = table_for(model, "horowitz_2014_45nm")
        assert float(price(counts, table).total(part="synapse")) == 0


@pytest.mark.parametrize("layer", LAYERS, ids=NAMES)
def test_delta_network_saves_in_proportion(layer: Layer) -> None:
    model = MODELS["delta_liu"]
    energies = [
        energy(counts_of(model, layer, gamma=gamma), "horowitz_2014_45nm")
        for gamma in np.linspace(0, 1, 11)
    ]
    assert all(np.diff(energies) < 0)
    assert counts_of(model, layer, gamma=1.0).total(datatype="weight") == 0
    dense = liu_delbruck_2019.dense_layer(
        n_syn=layer.n_synapses, n_inputs=layer.n_inputs, n_neurons=layer.n_neurons
    )
    if layer.kind in ("rnn_hidden", "linear"):
        assert energy(dense, "horowitz_2014_45nm") == energy(
            counts_of(MODELS["ann_liu"], layer), "horowitz_2014_45nm"
        )
    assert energies[0] > energy(dense, "horowitz_2014_45nm")  # references are not free
    assert counts_of(model, layer, gamma=0.0).total(datatype="weight") == dense.total(
        datatype="weight"
    )


@pytest.mark.parametrize("technology", PRICED)
@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_cost_grows_with_bits(model: EquationModel, technology: str) -> None:
    table = table_for(model, technology)
    energies = [energy(counts_of(model, CONV, bits=bits), table) for bits in (4, 8, 16, 32)]
    assert all(np.diff(energies) > 0)


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_cost_never_falls_with_the_capacity_of_the_memory(model: EquationModel) -> None:
    counts = counts_of(model, CONV)
    table = table_for(model, "horowitz_2014_45nm")
    energies = [
        energy(counts, table, sram_bytes=size) for size in (1024, 8192, 20_000, 2**20, 2**24)
    ]
    assert all(np.diff(energies) >= 0)


@pytest.mark.parametrize("layer", LAYERS, ids=NAMES)
def test_anns_are_ordered_as_the_paper_says(layer: Layer) -> None:
    """Ideal reuse with sparsity is the best case, then ideal reuse; the naive ANN the worst."""
    found = {
        key: energy(counts_of(MODELS[key], layer, zeros=0.58), "dampfhoffer_2022_65nm_16b")
        for key in ("ann_reuse_sparsity", "ann_reuse", "ann_naive", "ann_eyeriss_v2")
    }
    assert found["ann_reuse_sparsity"] <= found["ann_reuse"] <= found["ann_naive"]
    v1 = energy(counts_of(MODELS["ann_eyeriss_v1"], layer, zeros=0.58), "dampfhoffer_2022_65nm_16b")
    assert v1 == approx(1.15 * found["ann_eyeriss_v2"])


def test_fully_connected_layers_fetch_their_weights_from_distant_memory() -> None:
    """RF_weight = 1 at batch 1: N_syn distant weight reads, unless the paper's neglect is asked."""
    for key in ("ann_reuse", "ann_reuse_sparsity", "ann_eyeriss_v1"):
        counts = counts_of(MODELS[key], LINEAR, zeros=0.0)
        assert counts.total(component="sram", datatype="weight") == LINEAR.n_synapses
    paper = counts_of(
        MODELS["ann_eyeriss_v1"], LINEAR, options=EquationOptions(eyeriss_weight_fetch=False)
    )
    assert paper.total(component="sram", datatype="weight") == 0


def test_recurrent_layers_fetch_every_weight_in_every_step() -> None:
    """Reuse over time steps is out of reach: the next step waits for this one."""
    for key in ("ann_reuse", "ann_reuse_sparsity", "ann_eyeriss_v1", "ann_liu"):
        counts = counts_of(MODELS[key], RECURRENT, zeros=0.0)
        distant = counts.total(component="sram", datatype="weight")
        assert distant == RECURRENT.n_weights * RECURRENT.calls, key


def test_weight_fetches_of_every_mode() -> None:
    """Once per pass; per synaptic event, at most once per step; the columns that are sent."""
    how = Implementation("snn", n_timesteps=8, delta_threshold=THETA)
    analog = activity_of(RECURRENT, gamma=0.75)
    assert weight_fetches(CONV, activity_of(CONV), "ann", how) == approx(CONV.n_weights)
    assert weight_fetches(RECURRENT, analog, "ann", how) == RECURRENT.n_synapses
    assert weight_fetches(RECURRENT, analog, "delta", how) == approx(RECURRENT.n_synapses / 4)
    few = activity_of(LINEAR, spikes=0.5)
    assert weight_fetches(LINEAR, few, "snn", how) == LINEAR.n_synapses / 2
    many = activity_of(CONV, spikes=0.5)  # far more events than 8 loads of the whole kernel
    assert weight_fetches(CONV, many, "snn", how) == 8 * CONV.n_weights


def test_delta_layer_by_hand() -> None:
    """100 inputs of which 30 are sent, 10 neurons: every access of the reference memory."""
    counts = liu_delbruck_2019.delta_layer(
        n_syn=1000, n_inputs=100, n_neurons=10, temporal_sparsity=0.7
    )
    expected = {
        ("sram", "read", "iact"): 100,
        ("sram", "read", "reference"): 100,
        ("sram", "write", "reference"): 30,
        ("alu", "add", "delta"): 100,
        ("alu", "compare", "delta"): 100,
        ("sram", "read", "weight"): 300,
        ("alu", "mac", "none"): 300,
        ("register", "read", "psum"): 300,
        ("register", "write", "psum"): 300,
        ("sram", "read", "psum"): 10,
        ("sram", "write", "psum"): 10,
    }
    found = {(e.component, e.action, e.datatype): float(e.count) for e in counts}
    assert found.keys() == expected.keys()
    for key, number in expected.items():
        assert found[key] == approx(number), key


def test_eyeriss_reuse_never_exceeds_the_layers_own() -> None:
    assert eyeriss_reuse(CONV) == 25
    assert eyeriss_reuse(CONV, EquationOptions(eyeriss_reuse=80)) == 80
    assert eyeriss_reuse(DEPTHWISE) == approx(9)  # RF_iact = RF_psum = 9
    bound = 3 / (1 / 120 + 2 / 400)
    assert eyeriss_reuse(LINEAR, EquationOptions(eyeriss_reuse=1e9)) == approx(bound)


def test_gamma_counts_products_with_padding_as_zeros() -> None:
    activity = replace(activity_of(CONV), synaptic_operations=float(CONV.n_synapses_exact))
    assert zero_share(CONV, activity) == approx(20_000 / CONV.n_synapses)
    assert zero_share(CONV, activity, EquationOptions(gamma="zero_fraction")) == 0.5


LOW_LEVEL = [
    (dampfhoffer_2022.ann_naive, {"n_syn"}),
    (dampfhoffer_2022.snn_if_inst, {"n_syn", "spikes_per_synapse"}),
    (dampfhoffer_2022.snn_lif_inst, {"n_syn", "n_neur", "spikes_per_synapse", "n_timesteps"}),
    (dampfhoffer_2022.snn_if_cont, {"n_syn", "n_neur", "spikes_per_synapse", "n_timesteps"}),
    (dampfhoffer_2022.snn_lif_cont, {"n_syn", "n_neur", "spikes_per_synapse", "n_timesteps"}),
    (dampfhoffer_2022.ann_reuse, {"n_syn", "reuse_iact", "reuse_weight", "reuse_psum"}),
    (
        dampfhoffer_2022.ann_reuse_sparsity,
        {"n_syn", "zero_fraction", "reuse_iact", "reuse_weight", "reuse_psum"},
    ),
    (
        dampfhoffer_2022.ann_eyeriss_v1,
        {"n_syn", "zero_fraction", "reuse_average", "weight_fetches"},
    ),
    (dampfhoffer_2022.ann_eyeriss_v2, {"n_syn", "zero_fraction", "reuse_average"}),
    (ottati_2023.snn_conv, {"n_reads", "n_neurons", "n_timesteps", "density"}),
    (ottati_2023.ann_conv, {"n_reads", "n_neurons", "density"}),
    (ottati_2023.ann_recurrent, {"n_inputs", "n_recurrent", "n_neurons", "density"}),
    (
        liu_delbruck_2019.ann_nullhop,
        {"n_syn", "n_inputs", "n_weights", "n_neurons", "zero_fraction"},
    ),
    (liu_delbruck_2019.delta_layer, {"n_syn", "n_inputs", "n_neurons", "temporal_sparsity"}),
    (liu_delbruck_2019.dense_layer, {"n_syn", "n_inputs", "n_neurons"}),
    (compute_only.ann_compute_only, {"n_syn"}),
    (compute_only.snn_compute_only, {"n_syn", "spikes_per_synapse"}),
    (lemaire_2022.ann_conv, {"n_syn", "n_inputs", "n_outputs", "addressed_weights"}),
    (lemaire_2022.ann_fc, {"n_syn", "n_inputs", "n_outputs"}),
    (
        lemaire_2022.snn_conv,
        {"spikes_in", "spikes_out", "fan_out", "fan_out_computed", "kernel_size"}
        | {"n_outputs", "n_timesteps"},
    ),
    (lemaire_2022.snn_fc, {"spikes_in", "spikes_out", "n_inputs", "n_outputs", "n_timesteps"}),
    (davidson_furber_2021.ann_layer, {"n_syn"}),
    (davidson_furber_2021.snn_layer, {"n_syn", "spikes_per_synapse"}),
    (yan_2026.ann_qnn, {"n_syn", "zero_fraction", "hops"}),
    (yan_2026.snn_if, {"n_syn", "n_neur", "spikes_per_synapse", "n_timesteps", "hops"}),
    (shen_2024.ann_qann, {"n_syn"}),
    (shen_2024.s_ace, {"n_syn", "n_timesteps"}),
    (shen_2024.ns_ace, {"n_syn", "spikes_per_synapse"}),
    (borders.ann_to_snn, {"n_values", "n_timesteps"}),
    (borders.snn_to_ann, {"n_values"}),
    (beyond.bias_current, {"n_neur", "n_timesteps"}),
]
OWN_TABLES = ("yan_2026_22nm", "shen_2024_bit_budget")
SHARES = {"zero_fraction", "density", "temporal_sparsity"}


@pytest.mark.parametrize(
    ("function", "arguments"), LOW_LEVEL, ids=[f.__name__ for f, _ in LOW_LEVEL]
)
@QUICK
@given(data=st.data())
def test_broadcasting_equals_a_loop_over_scalars(function, arguments, data) -> None:  # type: ignore[no-untyped-def]
    """Arguments of shapes (2, 1) and (3,) give the energies of six scalar calls."""
    grids: dict[str, np.ndarray] = {}
    for index, name in enumerate(sorted(arguments)):
        values = st.floats(0, 1) if name in SHARES else st.floats(1, 1e6)
        shape = (2, 1) if index % 2 else (3,)
        size = 2 if index % 2 else 3
        drawn = data.draw(st.lists(values, min_size=size, max_size=size), label=name)
        grids[name] = np.reshape(drawn, shape)
    counts = function(**grids)
    table = next(name for name in (PRICED[0], *OWN_TABLES) if priceable(counts, name))
    together = price(counts, table).energy
    full = {name: np.broadcast_to(grid, (2, 3)) for name, grid in grids.items()}
    looped = [
        [
            energy(function(**{name: grid[i, j] for name, grid in full.items()}), table)
            for j in range(3)
        ]
        for i in range(2)
    ]
    np.testing.assert_allclose(np.broadcast_to(together, (2, 3)), looped, rtol=1e-12)


def test_a_million_design_points_are_priced_together() -> None:
    rng = np.random.default_rng(1)
    spikes = rng.uniform(0, 2, (1000, 1))
    steps = rng.integers(1, 64, 1000)
    start = time.perf_counter()
    cost = price(
        dampfhoffer_2022.snn_lif_inst(
            n_syn=1e6, n_neur=1e3, spikes_per_synapse=spikes, n_timesteps=steps
        ),
        "horowitz_2014_45nm",
    )
    assert cost.energy.shape == (1000, 1000)
    assert time.perf_counter() - start < 5
    one = dampfhoffer_2022.snn_lif_inst(
        n_syn=1e6, n_neur=1e3, spikes_per_synapse=spikes[7, 0], n_timesteps=steps[11]
    )
    assert cost.energy[7, 11] == approx(energy(one, "horowitz_2014_45nm"))


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize(
    ("function", "name", "rest"),
    [
        (dampfhoffer_2022.ann_reuse_sparsity, "zero_fraction", {"n_syn": 1}),
        (ottati_2023.ann_conv, "density", {"n_reads": 1}),
        (liu_delbruck_2019.sparsity_map_bits, "zero_fraction", {"n_pixels": 1}),
    ],
)
def test_shares_outside_of_0_to_1_are_refused(function, name, rest, bad) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RangeError, match=rf"use {name} in an equation"):
        function(**rest, **{name: bad})


def test_reuse_below_one_is_refused() -> None:
    with pytest.raises(RangeError, match="reuse_psum"):
        dampfhoffer_2022.ann_reuse(n_syn=1, reuse_psum=0.5)


def partner(snn: EquationModel) -> str:
    """The ANN of the same paper."""
    (key,) = [model.key for model in BY_MODE["ann"] if model.paper == snn.paper]
    return key


@pytest.mark.parametrize("technology", PRICED)
@pytest.mark.parametrize("layer", LAYERS, ids=NAMES)
@pytest.mark.parametrize("snn", BY_MODE["snn"], ids=lambda model: model.key)
def test_break_even_is_where_the_energies_meet(
    snn: EquationModel, layer: Layer, technology: str
) -> None:
    table = table_for(snn, technology)
    ann = MODELS["ann_eyeriss_v1" if table == technology else partner(snn)]
    technology, how = table, Implementation("snn", n_timesteps=8)
    target = break_even(layer, activity_of(layer), how, ann.key, snn.key, technology)
    e_ann = energy(counts_of(ann, layer), technology)
    if target == 0.0:
        assert energy(counts_of(snn, layer, spikes=0.0), technology) >= e_ann
    elif target <= 8:  # more than one spike per step is no activity of this SNN
        assert energy(counts_of(snn, layer, spikes=target), technology) == approx(e_ann)


#: what Table III needs beside the naive ANN: registers, and gated accesses
EVERY = counts_of(MODELS["ann_eyeriss_v1"], CONV)


def test_break_even_wants_one_ann_and_one_snn() -> None:
    with pytest.raises(OptionError, match="'snn_if_inst' counts 'snn', not 'ann'"):
        break_even(CONV, activity_of(CONV), IMPLEMENTATION, "snn_if_inst", "ann_naive", PRICED[0])


@pytest.mark.parametrize(
    "technology",
    [
        n
        for n in names()
        if priceable(dampfhoffer_2022.ann_naive(n_syn=1), n) and priceable(EVERY, n)
    ],
)
def test_break_even_table_has_a_value_inside_its_range_for_every_technology(
    technology: str,
) -> None:
    rows = breakeven_table(technology)
    assert len(rows) == 6
    for row in rows:
        assert 0 < row.low <= row.spikes_per_synapse <= row.high
        assert row.printed is None


def test_the_documentation_names_every_equation() -> None:
    folder = Path(__file__).parents[2] / "docs" / "equations"
    index = (folder / "index.md").read_text()
    assert all(f"`{key}`" in index for key in MODELS)
    assert {model.paper for model in MODELS.values()} - {"horowitz_2014"} <= {
        path.stem for path in folder.glob("*.md")
    }
