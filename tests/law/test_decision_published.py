"""What each published model says of a network: against counts and prices by hand, and laws."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tospike as ts
from tospike.activity import ActivityProfile
from tospike.conversion import calibrate, executable, run_qnn, run_snn
from tospike.conversion.best import best_calibrations
from tospike.decision import Decision, Options, PublishedVerdict, analyze
from tospike.decision import published as ours
from tospike.decision.candidates import Candidate, analog_modes, modes_with
from tospike.decision.energy import Design
from tospike.decision.published import (
    CLOSE,
    DO_NOT,
    NOT_APPLIED,
    SPIKE,
    Comparison,
    check_registry,
    chosen_models,
    overall,
    published_verdicts,
    summary,
    with_neuron,
    word,
    word_bits,
)
from tospike.equations import MODELS, EquationOptions
from tospike.equations.published import PUBLISHED, PublishedModel
from tospike.implementation import Implementation
from tospike.network import Network
from tospike.pricing import Cost
from tospike.technology import Technology, load

T = 8
KEYS = tuple(PUBLISHED)
#: the SNN of these tests codes in rates
RATE = Options(first_spikes=False)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The tensors are tiny: threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 6),
    ).eval()


@pytest.fixture(scope="module")
def samples() -> tuple[np.ndarray, np.ndarray]:
    """Data to score and to calibrate on."""
    x = np.random.default_rng(0).random((96, 1, 6, 6), dtype=np.float32)
    return x[:64], x[64:]


@pytest.fixture(scope="module")
def decision(net: nn.Module, samples: tuple[np.ndarray, np.ndarray]) -> Decision:
    x, calibration = samples
    return analyze(
        net, x, calibration=calibration, timesteps=(T,), hybrids=0, samples=512, options=RATE
    )


@pytest.fixture(scope="module")
def runs(
    net: nn.Module, samples: tuple[np.ndarray, np.ndarray]
) -> tuple[Network, ActivityProfile, ActivityProfile]:
    """The network, and the activity as 8-bit network and as SNN: run apart from ``analyze``."""
    x, held = samples
    graph = executable(net, x[:4])
    calibration = calibrate(graph, held)
    qnn = run_qnn(graph, calibration, x, None, activation_bits=8, weight_bits=8)
    suited = best_calibrations(graph, calibration, (T,))[T]
    snn = run_snn(graph, suited, x, None, timesteps=(T,))[T]
    return ts.load(net, torch.from_numpy(x[:1])), qnn.activity, snn.activity


def by_key(decision: Decision) -> dict[str, PublishedVerdict]:
    return {item.key: item for item in decision.published}


def words_of(technology: str) -> int:
    """8-bit words where the table prints them, else what it prints; floats are of 32 bit."""
    if technology.endswith("_fp"):
        return 32
    table = load(technology)
    widths = [bits for where, what, bits in table.energies if (where, what) == ("alu", "mac")]
    widths = widths or [8]
    return 8 if min(widths) <= 8 <= max(widths) else min(widths, key=lambda bits: abs(bits - 8))


def priced(model: PublishedModel, network: Network, activity: ActivityProfile, mode: str) -> Cost:
    """``ts.price`` of ``ts.count`` with everything said by hand; borders are tospike's own."""
    bits = words_of(model.technology)
    counts = ts.count(
        network,
        activity,
        Implementation(
            mode, n_timesteps=T, weight_bits=bits, activation_bits=bits, state_bits=bits
        ),
        equation={"ann": model.ann, "snn": model.snn},
        options=EquationOptions(bias="never"),
    )
    return ts.price(counts.select(lambda entry: entry.part != "border"), model.technology)


# --- the numbers, by another route -------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
def test_the_ratio_is_that_of_count_and_price(key: str, decision: Decision, runs) -> None:
    network, qnn, snn = runs
    found, model = by_key(decision)[key], PUBLISHED[key]
    assert found.verdict != NOT_APPLIED, found.why_not
    ann_cost, snn_cost = priced(model, network, qnn, "ann"), priced(model, network, snn, "snn")
    assert found.energy_ann_J == pytest.approx(float(ann_cost.energy), rel=1e-9, abs=0)
    assert found.energy_snn_J == pytest.approx(float(snn_cost.energy), rel=1e-9, abs=0)
    assert found.ratio == pytest.approx(float(ann_cost.energy / snn_cost.energy), rel=1e-9)


def test_compute_only_is_4_6_and_0_9_picojoule(decision: Decision, runs) -> None:
    """Horowitz's printed numbers, times operations counted by PyTorch's shapes and the run."""
    network, _, snn = runs
    macs = {"0": 36 * 4 * 9, "2": 16 * 8 * 36, "5": 128 * 6}
    events = sum(snn[name].synaptic_operations for name in ("2", "5"))
    found = by_key(decision)["compute_only"]
    assert found.energy_ann_J == pytest.approx(4.6e-12 * sum(macs.values()), rel=1e-9, abs=0)
    expected = 4.6e-12 * macs["0"] + 0.9e-12 * events
    assert found.energy_snn_J == pytest.approx(expected, rel=1e-9, abs=0)
    assert found.break_even_spikes_per_synapse == pytest.approx(4.6 / 0.9)
    assert found.spikes_per_synapse == pytest.approx(events / (macs["2"] + macs["5"]))
    assert found.distance == pytest.approx(found.spikes_per_synapse * 0.9 / 4.6)
    assert network.n_synapses == sum(macs.values())


def test_p_of_compute_only_against_another_sampler(decision: Decision, runs) -> None:
    """Triangular in the logarithm, by SciPy: MACs up to 4.1 times, ACs up to 6.2 times dearer."""
    from scipy.stats import triang

    network, _, snn = runs
    n = 200_000
    mac = 4.6 * np.exp(math.log(4.1) * triang.rvs(0, size=n, random_state=1))
    ac = 0.9 * np.exp(math.log(6.2) * triang.rvs(0, size=n, random_state=2))
    events = sum(snn[name].synaptic_operations for name in ("2", "5"))
    ratio = mac * network.n_synapses / (mac * network["0"].n_synapses + ac * events)
    found = by_key(decision)["compute_only"]
    p = float((ratio > 1).mean())
    assert found.p_snn_cheaper == pytest.approx(p, abs=0.01 + 4 * math.sqrt(p * (1 - p) / 512))
    low, high = np.quantile(ratio, (0.05, 0.95))
    assert (found.ratio_low, found.ratio_high) == pytest.approx((low, high), rel=0.08)


def test_break_even_rates_of_vgg16_are_those_printed() -> None:
    """Dampfhoffer 2022, Table III (1.38, 0.28, 0.15, 0.44) and 4.6/0.9: no SNN is needed."""
    found = by_key(analyze("vgg16", samples=4))
    printed = {
        "dampfhoffer_naive": 1.38,
        "dampfhoffer_reuse": 0.28,
        "dampfhoffer_best": 0.15,
        "dampfhoffer_eyeriss_v1": 0.44,
    }
    for key, value in printed.items():
        assert round(found[key].break_even_spikes_per_synapse, 2) == value
    assert found["compute_only"].break_even_spikes_per_synapse == pytest.approx(4.6 / 0.9)
    for item in found.values():
        assert (item.verdict, item.ratio, item.p_snn_cheaper) == (NOT_APPLIED, None, None)
        assert item.why_not.startswith("no SNN was run: ")
        assert item.energy_ann_J > 0
        assert item.energy_snn_J is None


@pytest.mark.parametrize("key", KEYS)
def test_at_the_break_even_both_cost_the_same(key: str, decision: Decision, runs) -> None:
    network, qnn, snn = runs
    found, model, bits = by_key(decision)[key], PUBLISHED[key], words_of(PUBLISHED[key].technology)
    even = found.break_even_spikes_per_synapse
    if even == 0 or even > T:
        pytest.skip("no rate that T steps can show")
    how = [
        Implementation(mode, n_timesteps=T, weight_bits=bits, activation_bits=bits, state_bits=bits)
        for mode in ("ann", "snn")
    ]
    joule = [0.0, 0.0]
    for name in ("2", "5"):
        layer, shown = network[name], snn[name]
        rate = replace(
            shown,
            spikes_per_synapse=even,
            spikes_per_neuron=even * shown.spikes_per_neuron / shown.spikes_per_synapse,
            synaptic_operations=even * layer.n_synapses,
        )
        for i, (equation, activity) in enumerate(((model.ann, qnn[name]), (model.snn, rate))):
            counts = MODELS[equation].count_layer(
                layer, activity, how[i], EquationOptions(bias="never")
            )
            joule[i] += float(ts.price(counts, model.technology).energy)
    assert joule[0] == pytest.approx(joule[1], rel=1e-6, abs=0)
    assert found.distance == pytest.approx(found.spikes_per_synapse / even)


# --- laws --------------------------------------------------------------------------------------


def test_every_model_of_the_registry_is_there_once_and_in_order(decision: Decision) -> None:
    assert tuple(item.key for item in decision.published) == KEYS
    for item in decision.published:
        model = PUBLISHED[item.key]
        assert (item.title, item.paper, item.leaves_out) == (
            model.title,
            model.paper,
            model.leaves_out,
        )
        assert model.paper in item.sources
        assert any("QNN, 8 bit" in text for text in item.assumptions)
        assert set(item.sources) <= {source["key"] for source in decision.sources}


def test_probabilities_ranges_and_verdicts_agree(decision: Decision) -> None:
    for item in decision.published:
        assert 0 <= item.p_snn_cheaper <= 1
        assert 0 < item.ratio_low <= item.ratio_high
        expected = {SPIKE: item.ratio_low >= 1, DO_NOT: item.ratio_high <= 1}
        assert expected.get(item.verdict, True)
        if item.ratio_low > 1 and item.ratio > 1:
            assert item.verdict == SPIKE
        if item.ratio_high < 1 and item.ratio < 1:
            assert item.verdict == DO_NOT
        if item.distance < 1:
            # all other layers cost nearly the same on both sides
            assert item.ratio > 0.99


def test_the_overall_probability_is_the_mean(decision: Decision) -> None:
    found = decision.published_summary
    values = [item.p_snn_cheaper for item in decision.published]
    words = [item.verdict for item in decision.published]
    assert found.mean_p_snn_cheaper == pytest.approx(sum(values) / len(values))
    papers = {
        paper: np.mean([item.p_snn_cheaper for item in decision.published if item.paper == paper])
        for paper in {item.paper for item in decision.published}
    }
    assert found.mean_p_by_paper == pytest.approx(sum(papers.values()) / len(papers))
    assert (found.lowest_p_snn_cheaper, found.highest_p_snn_cheaper) == (min(values), max(values))
    assert found.n_spike == words.count(SPIKE)
    assert found.n_spike + found.n_do_not_spike + found.n_too_close == len(values)
    assert found.share_spike == pytest.approx(words.count(SPIKE) / len(words))
    assert "not independent" in found.definition
    expected = {True: found.mean_p_snn_cheaper, False: 0.0, None: None}
    assert decision.p_snn_wins_published == expected[found.snn_meets_floor]


def test_overall_counts_the_floor(decision: Decision) -> None:
    found = replace(decision.published_summary, mean_p_snn_cheaper=0.25)
    assert overall(replace(found, snn_meets_floor=True)) == 0.25
    assert overall(replace(found, snn_meets_floor=False)) == 0.0
    assert overall(replace(found, snn_meets_floor=None)) is None
    assert overall(replace(found, snn_meets_floor=True, mean_p_snn_cheaper=None)) is None
    assert overall(None) is None


def test_the_models_do_not_change_the_verdict(
    decision: Decision, net: nn.Module, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    x, calibration = samples
    bare = analyze(
        net, x, calibration=calibration, timesteps=(T,), hybrids=0, samples=512, options=RATE,
        models=None,
    )  # fmt: skip
    assert (bare.published, bare.published_summary, bare.p_snn_wins_published) == ((), None, None)
    mine = {"published": (), "published_summary": None, "p_snn_wins_published": None}
    assert replace(decision, **mine, sources=bare.sources) == bare


@pytest.mark.parametrize("key", KEYS)
def test_first_spikes_have_their_own_neuron_where_the_paper_gives_one(key: str, runs) -> None:
    """Eq. (10) of Dampfhoffer 2022 in place of eq. (4); the SNN of every other paper as it is."""
    network, _, _ = runs
    made = comparison(network, 0.2)
    design = replace(made.snn.design, snn_model="snn_if_cont")
    timed = replace(made, snn=replace(made.snn, design=design))
    (model,) = with_neuron([PUBLISHED[key]], timed.snn)
    expected = {"snn_if_inst": "snn_if_cont"}.get(PUBLISHED[key].snn, PUBLISHED[key].snn)
    assert model.snn == expected
    (found,) = published_verdicts(timed, [model])
    cost = priced(model, network, design.activity, "snn")
    assert found.energy_snn_J == pytest.approx(float(cost.energy), rel=1e-9, abs=0)
    assert with_neuron([PUBLISHED[key]], made.snn) == (PUBLISHED[key],)


# --- on hand-made activity ---------------------------------------------------------------------


def comparison(
    network: Network, rate: float, *, zeros: float = 0.5, seed: int = 0, **more: object
) -> Comparison:
    """ANN with the same zeros everywhere, SNN with the same rate in all layers but the first."""
    analog = ActivityProfile.assumed(network, zero_fraction=zeros, origin="by hand")
    first, *others = [layer.name for layer in network.synaptic_layers]
    layers = {
        name: replace(
            analog[name],
            signal="spike",
            spikes_per_synapse=rate,
            spikes_per_neuron=rate,
            synaptic_operations=rate * network[name].n_synapses,
        )
        for name in others
    }
    spiking = ActivityProfile({first: analog[first], **layers}, 1, "by hand")
    ann = Candidate(
        Design("QNN, 8 bit", "qnn", analog_modes(network), analog, Implementation("qnn"))
    )
    snn = Candidate(
        Design(
            "SNN", "snn", modes_with(network, others), spiking, Implementation("snn", n_timesteps=T)
        ),
        timesteps=T,
    )
    fields = {
        "network": network,
        "ann": ann,
        "snn": snn,
        "snn_meets": True,
        "why_no_snn": "",
        "able": tuple(others),
        "options": EquationOptions(),
        "samples": 256,
        "seed": seed,
    }
    return Comparison(**{**fields, **more})


@pytest.fixture(scope="module")
def network(runs) -> Network:
    return runs[0]


@pytest.mark.parametrize("key", KEYS)
def test_without_ranges_p_is_0_or_1_and_the_ratio_is_sharp(
    key: str, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exact(name: str) -> Technology:
        table = load(name)
        return replace(table, ranges=dict.fromkeys(table.ranges, (1.0, 1.0)))

    monkeypatch.setattr(ours, "load", exact)
    for rate in (0.01, 1.0, 7.0):
        (found,) = published_verdicts(comparison(network, rate), [PUBLISHED[key]])
        assert found.p_snn_cheaper == float(found.ratio > 1)
        assert found.verdict == (SPIKE if found.ratio > 1 else DO_NOT)
        assert (found.ratio_low, found.ratio_high) == pytest.approx((found.ratio,) * 2)


@pytest.mark.parametrize("key", KEYS)
def test_an_snn_without_spikes_is_for_spiking(key: str, network: Network) -> None:
    """Unless the model charges time steps so much that no rate is low enough."""
    (found,) = published_verdicts(comparison(network, 0.0), [PUBLISHED[key]])
    steps = found.break_even_spikes_per_synapse == 0
    assert (found.ratio > 1) == (not steps)
    if not steps:
        assert found.distance == 0
    event_driven = PUBLISHED[key].snn in ("snn_compute_only", "snn_if_inst")
    if event_driven:
        assert (found.verdict, found.p_snn_cheaper) == (SPIKE, 1.0)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.sampled_from(KEYS), st.floats(0.0, 6.0), st.floats(0.01, 1.0), st.floats(0.0, 0.95))
def test_more_spikes_never_favour_the_snn(key: str, rate: float, more: float, zeros: float) -> None:
    network = _chain()
    model = [PUBLISHED[key]]
    (few,) = published_verdicts(comparison(network, rate, zeros=zeros), model)
    (many,) = published_verdicts(comparison(network, rate + more, zeros=zeros), model)
    assert many.ratio <= few.ratio * (1 + 1e-12)
    assert many.p_snn_cheaper <= few.p_snn_cheaper


def _chain() -> Network:
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    return ts.load(net, torch.zeros(1, 8))


def test_the_order_of_the_models_changes_nothing(network: Network) -> None:
    models = list(PUBLISHED.values())
    forward = published_verdicts(comparison(network, 0.8), models)
    backward = published_verdicts(comparison(network, 0.8), models[::-1])
    assert forward == backward[::-1]
    given = comparison(network, 0.8)
    one, other = summary(given, forward), summary(given, backward)
    assert one == other


def test_the_same_seed_gives_the_same_draws(network: Network) -> None:
    models = list(PUBLISHED.values())
    first = published_verdicts(comparison(network, 1.2, seed=3), models)
    assert first == published_verdicts(comparison(network, 1.2, seed=3), models)
    other = published_verdicts(comparison(network, 1.2, seed=4), models)
    assert [item.ratio for item in other] == [item.ratio for item in first]
    assert [item.ratio_low for item in other] != [item.ratio_low for item in first]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(0, 2), st.floats(0, 2), st.integers(0, 100), st.integers(0, 100))
def test_the_word_needs_prices_and_draws_to_agree(
    ann: float, snn: float, cheaper: int, tied: int
) -> None:
    p_snn = cheaper / 100
    p_ann = max(0.0, 1 - p_snn - tied / 100)
    found, mirrored = word(ann, snn, p_snn, p_ann), word(snn, ann, p_ann, p_snn)
    assert mirrored == {SPIKE: DO_NOT, DO_NOT: SPIKE, CLOSE: CLOSE}[found]
    assert (found == SPIKE) == (snn < ann and p_snn >= 0.95)
    assert word(ann, ann, p_snn, p_ann) == CLOSE


# --- what cannot be applied --------------------------------------------------------------------

_OTHER = PublishedModel(
    "other", "Other", "tang_2023", "abstract", "ann_naive", "snn_if_inst", "seneca_22nm", "much"
)


def test_a_technology_that_cannot_price_is_a_reason_and_no_number(network: Network) -> None:
    found, good = published_verdicts(
        comparison(network, 1.0), [_OTHER, PUBLISHED["dampfhoffer_naive"]]
    )
    assert found.verdict == NOT_APPLIED
    assert "without a price" in found.why_not
    assert "(sram, read, 8 bit)" in found.why_not
    numbers = (found.energy_ann_J, found.energy_snn_J, found.ratio, found.p_snn_cheaper)
    assert numbers == (None, None, None, None)
    both = summary(comparison(network, 1.0), (found, good))
    assert (both.n_not_applied, both.mean_p_snn_cheaper) == (1, good.p_snn_cheaper)


def test_an_snn_that_the_equation_refuses_is_a_reason(network: Network) -> None:
    """More than one spike per synapse and step is outside of Ottati's algorithm."""
    (found,) = published_verdicts(comparison(network, T + 1.0), [PUBLISHED["ottati"]])
    assert found.verdict == NOT_APPLIED
    assert "spikes per synapse in 8 time steps" in found.why_not
    assert found.energy_ann_J > 0
    assert found.p_snn_cheaper is None


def test_no_layer_that_can_spike_is_a_reason() -> None:
    net = nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 3)).eval()
    x = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    found = analyze(net, x, calibration=x, timesteps=(2,), hybrids=0, samples=8)
    assert len(found.published) == len(KEYS)
    for item in found.published:
        assert item.verdict == NOT_APPLIED
        assert "no layer of this network can receive spikes" in item.why_not
        assert item.energy_ann_J > 0
        assert (item.energy_snn_J, item.break_even_spikes_per_synapse) == (None, None)
    assert found.p_snn_wins_published is None
    assert found.published_summary.n_not_applied == len(KEYS)


# --- words and the registry --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("technology", "wanted", "expected"),
    [
        ("dampfhoffer_2022_45nm_8b", 8, 8),
        ("dampfhoffer_2022_45nm_8b", 4, 8),
        ("dampfhoffer_2022_65nm_16b", 8, 16),
        ("horowitz_2014_45nm_fp", 8, 32),
        ("horowitz_2014_45nm", 8, 8),
        ("horowitz_2014_45nm", 12, 12),
        ("horowitz_2014_45nm", 4, 8),
        ("seneca_22nm", 6, 6),
    ],
)
def test_words_are_as_wide_as_the_table_of_the_paper(
    technology: str, wanted: int, expected: int
) -> None:
    assert word_bits(load(technology), wanted) == expected


def test_the_shipped_table_names_what_exists() -> None:
    check_registry(PUBLISHED.values())
    assert all(key == model.key for key, model in PUBLISHED.items())
    assert len({model.title for model in PUBLISHED.values()}) == len(PUBLISHED)
    assert all(model.leaves_out for model in PUBLISHED.values())


@pytest.mark.parametrize("asked", [None, "none", (), []])
def test_no_models(asked: object) -> None:
    assert chosen_models(asked) == ()


def test_chosen_models() -> None:
    assert chosen_models("all") == tuple(PUBLISHED.values())
    pair = (PUBLISHED["ottati"], PUBLISHED["compute_only"])
    assert chosen_models("ottati, compute_only,ottati") == pair
    assert chosen_models(["ottati", "compute_only"]) == pair
