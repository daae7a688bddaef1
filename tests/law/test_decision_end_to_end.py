"""``analyze`` on a small trained network: every number against an independent route or a law."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tospike.activity import ActivityProfile
from tospike.decision import Decision, Options, analyze, decide
from tospike.decision.breakeven import network_energies
from tospike.decision.candidates import analog_modes, modes_with
from tospike.decision.energy import Design, as_spikes, energy_of, make_pricer
from tospike.decision.samples import as_data
from tospike.decision.schema import PATH
from tospike.equations import EquationOptions, break_even
from tospike.errors import (
    DataError,
    OptionError,
    StatisticError,
    TechnologyError,
    UnknownNameError,
)
from tospike.implementation import Implementation
from tospike.network import Network
from tospike.network.importers import load

MODES = ("ann", "qnn", "snn", "hybrid")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The tensors are tiny: threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, np.ndarray, np.ndarray, np.ndarray]:
    """A network trained for a second on scikit-learn's digits, and data it has not seen."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    torch.manual_seed(0)
    net = small_net()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    images, labels = torch.from_numpy(x[:1200]), torch.from_numpy(y[:1200])
    for _ in range(12):
        for rows in torch.randperm(1200).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
            optimizer.step()
    return net.eval(), x[1200:], y[1200:], x[:200]


@pytest.fixture(scope="module")
def decision(trained) -> Decision:
    net, x, y, calibration = trained
    return analyze(net, (x, y), calibration=calibration, timesteps=(1, 4, 16), samples=512)


def pick(decision: Decision, name: str):
    return next(item for item in decision.implementations if item.name == name)


def test_every_kind_is_there_with_a_measured_accuracy(decision: Decision) -> None:
    assert {item.mode for item in decision.implementations} == set(MODES)
    assert all(item.evidence == "measured" for item in decision.implementations)
    assert all(0 <= item.accuracy <= 1 for item in decision.implementations)
    names = [i.name for i in decision.implementations if i.mode == "snn"]
    assert names == ["SNN, T=1", "SNN, T=4", "SNN, T=16", "SNN, TTFS, T=4"]
    bits = {i.activation_bits for i in decision.implementations if i.mode == "qnn"}
    assert bits == {8, 5, 3, 1}  # 8, and ceil(log2(T + 1)) of T = 16, 4, 1
    assert len({item.name for item in decision.implementations}) == len(decision.implementations)


def test_every_snn_names_its_calibration(decision: Decision) -> None:
    """Few steps have a calibration of their own; hybrids have that of the SNN of the same T."""
    said = {1: "mse, weights, T=1", 4: "mse, weights, T=4", 16: "percentile, fit"}
    for item in decision.implementations:
        assert item.calibration == (said[item.timesteps] if item.mode in ("snn", "hybrid") else "")
        if item.calibration:
            assert f"calibrated with {item.calibration}" in item.notes


def test_a_calibration_for_few_steps_is_nearer_to_the_float_network(
    trained, decision: Decision
) -> None:
    """The rule for one T against the one rule for all, on digits that neither has seen."""
    from tospike.conversion import calibrate, executable, run_snn

    net, x, y, calibration = trained
    graph = executable(net, calibration)
    shared = run_snn(graph, calibrate(graph, calibration), x, y, timesteps=(1, 4))
    own = [pick(decision, f"SNN, T={step}").agreement for step in shared]
    assert sum(own) > sum(result.agreement for result in shared.values())


def test_calibrations_come_from_the_calibration_data_alone(trained) -> None:
    """Other scored samples, other labels: the same calibrations, and the same again."""
    from tospike.conversion import executable
    from tospike.conversion.correction import corrected
    from tospike.conversion.eligibility import plan
    from tospike.conversion.prepare import prepare
    from tospike.decision.evidence import gather
    from tospike.decision.samples import split

    net, x, y, calibration = trained
    graph = executable(net, calibration)
    found = []
    for rows in (slice(0, 60), slice(60, 150), slice(0, 60)):
        held = split(as_data(x[rows], y[rows]), calibration)
        evidence = gather(
            graph, held, timesteps=(2,), baseline_bits=8, weight_bits=8, accuracy_floor=None
        )
        suited = evidence.calibrations[2]
        rough = prepare(graph, plan(graph, frozenset(graph.eligible)), suited, 8)
        grids = corrected(rough, suited).synapses
        found.append({name: grid.weight for name, grid in grids.items()})
    for other in found[1:]:
        assert all(torch.equal(weight, other[name]) for name, weight in found[0].items())


def test_layers_that_are_too_costly_to_move_are_named(trained, monkeypatch) -> None:
    from tospike.conversion import calibrate, executable, regression
    from tospike.conversion.best import best_calibrations
    from tospike.decision.evidence import kept_notes

    net, _, _, calibration = trained
    graph = executable(net, calibration)
    few, many = best_calibrations(graph, calibrate(graph, calibration), (4, 16)).values()
    spiking = frozenset(graph.eligible)
    assert kept_notes(graph, few, spiking) == ()
    monkeypatch.setattr(regression, "MOST", 0.0)
    (note,) = kept_notes(graph, few, spiking)
    assert note.startswith("calibrated with trained weights in 3 layers, not moved ones (")
    assert all(f"{name}: " in note for name in graph.eligible)
    assert "multiplications" in note
    assert kept_notes(graph, many, spiking) == ()  # no weights are moved there


def test_first_spikes_are_counted_with_their_own_neuron(decision: Decision) -> None:
    """Eq. (10) of Dampfhoffer 2022; at most one spike per neuron, fewer than at a rate."""
    timed, rate = pick(decision, "SNN, TTFS, T=4"), pick(decision, "SNN, T=4")
    assert timed.energy_model == "ann_eyeriss_v1 + snn_if_cont"
    assert rate.energy_model == "ann_eyeriss_v1 + snn_if_inst"
    assert timed.spikes_per_synapse < rate.spikes_per_synapse
    assert timed.spikes_per_synapse <= 1
    assert any("latency" in note for note in timed.notes)


def test_the_float_accuracy_is_that_of_torch(decision: Decision, trained) -> None:
    net, x, y, _ = trained
    with torch.no_grad():
        right = (net(torch.from_numpy(x)).argmax(1).numpy() == y).mean()
    assert pick(decision, "ANN, float32").accuracy == pytest.approx(right, abs=1e-12)
    assert decision.data == {"origin": "data", "n_samples": len(x), "labelled": True}
    assert decision.accuracy_floor == pytest.approx(right - 0.01)


def test_the_reference_is_the_cheapest_analog_one_that_keeps_the_floor(decision: Decision) -> None:
    good = [i for i in decision.implementations if i.mode in ("ann", "qnn") and i.meets_floor]
    reference = min(good, key=lambda item: item.energy_J)
    assert [i.name for i in decision.implementations if i.reference] == [reference.name]
    winner = pick(decision, decision.winner)
    rivals = [i for i in decision.implementations if i.mode in ("snn", "hybrid") and i.meets_floor]
    better = [i for i in rivals if i.energy_J < reference.energy_J and i.p_cheaper >= 0.5]
    assert winner == min(better, key=lambda item: item.energy_J, default=reference)
    assert decision.challenger == min(better or rivals, key=lambda item: item.energy_J).name
    first = {"ann": "Do not spike: ", "qnn": "Do not spike: ", "snn": "Spike: "}
    assert decision.verdict.startswith(first.get(winner.mode, "Spike in part (hybrid): "))
    assert decision.partition == winner.partition


def test_energies_are_inside_their_ranges_and_sum_up(decision: Decision) -> None:
    for item in decision.implementations:
        assert item.energy_low_J < item.energy_high_J
        total = sum(part.energy_J for part in item.parts)
        # the default absolute tolerance (1e-12) is more than a picojoule
        assert total == pytest.approx(item.energy_J, rel=1e-9, abs=0.0)


def test_spikes_per_synapse_of_the_network_is_that_of_its_layers(decision: Decision) -> None:
    shown = [layer for layer in decision.layers if layer.spikes_per_synapse is not None]
    spikes = sum(layer.spikes_per_synapse * layer.n_synapses for layer in shown)
    rate = spikes / sum(layer.n_synapses for layer in shown)
    assert decision.spikes_per_synapse == pytest.approx(rate, rel=1e-9)
    assert [layer.eligible for layer in decision.layers] == [False, True, True, True]
    assert "analog input" in decision.layers[0].why_not


def test_probabilities(decision: Decision) -> None:
    assert decision.p_snn_wins == decision.p_snn_wins_by_model[decision.reference_model]
    assert all(0 <= value <= 1 for value in decision.p_snn_wins_by_model.values())
    assert set(decision.break_even_by_model) == set(decision.p_snn_wins_by_model)
    # the bound that no ANN can beat is never easier for the SNN than the naive ANN
    by_model = decision.p_snn_wins_by_model
    assert by_model["ann_reuse_sparsity"] <= by_model["ann_naive"]


def test_p_snn_wins_is_the_snn_s_own_where_it_wins(trained) -> None:
    """Against the naive ANN an SNN with far less than 1.38 spikes per synapse wins, and says so.

    The break-even is Dampfhoffer 2022, Table III; a winner costs less in half of the draws.
    """
    net, x, y, calibration = trained
    found = analyze(
        net, (x[:200], y[:200]), calibration=calibration, timesteps=(1,), hybrids=0,
        reference_model="ann_naive", accuracy_floor=0.0, samples=512,
    )  # fmt: skip
    snn = pick(found, "SNN, T=1")
    assert snn.spikes_per_synapse < 1.0
    assert found.winner == snn.name
    assert found.p_snn_wins == snn.p_cheaper == found.p_snn_wins_by_model["ann_naive"]
    assert found.p_snn_wins > 0.9
    assert "P(SNN cheaper) > 99 %" in found.verdict or found.p_snn_wins < 0.99


def test_the_json_satisfies_the_schema(decision: Decision) -> None:
    import jsonschema

    body = json.loads(json.dumps(decision.as_dict(), allow_nan=False))
    jsonschema.Draft202012Validator(json.loads(PATH.read_text())).validate(body)


def test_it_says_what_it_rests_on(decision: Decision) -> None:
    keys = {source["key"] for source in decision.sources}
    assert {"dampfhoffer_2022", "horowitz_2014", "tospike"} <= keys
    assert any("log-triangular" in text for text in decision.assumptions)
    assert any("few samples" not in text for text in decision.assumptions)


def test_break_even_by_two_routes(decision: Decision, trained) -> None:
    """Layer by layer: ours from energies, and ``tospike.equations.break_even``."""
    net, x, _, _ = trained
    network = load(net, torch.from_numpy(x[:1]))
    activity = ActivityProfile.assumed(network, zero_fraction=0.58, origin="test")
    pricer = make_pricer(network, "horowitz_2014_45nm", "ann_eyeriss_v1", Options())
    implementation = Implementation("snn", n_timesteps=4, activation_bits=5)
    models = pricer.ann_models(activity)
    assert len(models) >= 5
    found = network_energies(pricer, activity, implementation, models)
    for layer in network.synaptic_layers:
        for model in models:
            expected = break_even(
                layer, activity[layer.name], implementation, model, "snn_if_inst",
                "horowitz_2014_45nm",
            )  # fmt: skip
            assert found[layer.name].break_even(model) == pytest.approx(expected, rel=1e-9)


def test_a_hybrid_optimum_is_no_dearer_than_the_pure_networks(trained) -> None:
    """Modelled from one set of rates: the optimum is over all partitions, pure ones among them."""
    from tospike.decision.candidates import Candidate
    from tospike.decision.hybrids import hybrid_problem

    net, x, _, _ = trained
    network = load(net, torch.from_numpy(x[:1]))
    pricer = make_pricer(network, "horowitz_2014_45nm", "ann_eyeriss_v1", Options())
    free = ["2", "6", "8"]
    rng = np.random.default_rng(1)
    for _ in range(20):
        activity = spiking_activity(network, free, rng.random(3) * 1.2)
        snn = Design("snn", "snn", modes_with(network, free), activity, Implementation("snn"))
        ann = Design("ann", "qnn", analog_modes(network), activity, Implementation("qnn"))
        problem = hybrid_problem(pricer, "ann_eyeriss_v1", Candidate(ann), Candidate(snn))
        pure = [energy_of(pricer.cost(design, "ann_eyeriss_v1")) for design in (ann, snn)]
        best = problem.best()
        assert best.energy <= min(pure) * (1 + 1e-9)
        # the partition's energy is that of counting and pricing the whole network anew
        mixed = replace(snn, modes=best.partition.modes)
        priced = energy_of(pricer.cost(mixed, "ann_eyeriss_v1"))
        assert priced == pytest.approx(best.energy, rel=1e-9, abs=0.0)


def spiking_activity(network: Network, layers: list[str], rates) -> ActivityProfile:
    base = ActivityProfile.assumed(network, zero_fraction=0.5, origin="test")
    held = dict(base.layers)
    for name, rate in zip(layers, rates, strict=True):
        held[name] = replace(
            held[name],
            signal="spike",
            spikes_per_synapse=float(rate),
            synaptic_operations=float(rate) * network[name].n_synapses,
        )
    return replace(base, layers=held)


@pytest.fixture(scope="module")
def vgg() -> Network:
    return load("vgg9")


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.floats(0, 1), st.floats(0, 1))
def test_more_zeros_never_cost_more(vgg: Network, one: float, other: float) -> None:
    pricer = make_pricer(vgg, "horowitz_2014_45nm", "ann_eyeriss_v1", Options())
    energies = []
    for zeros in sorted((one, other)):
        activity = ActivityProfile.assumed(vgg, zero_fraction=zeros, origin="test")
        design = Design("a", "qnn", analog_modes(vgg), activity, Implementation("qnn"))
        energies.append(
            {m: energy_of(pricer.cost(design, m)) for m in ("ann_naive", "ann_eyeriss_v1")}
        )
    for model, energy in energies[0].items():
        assert energies[1][model] <= energy * (1 + 1e-12)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.floats(0, 8), st.floats(0, 8))
def test_fewer_spikes_never_cost_more(vgg: Network, one: float, other: float) -> None:
    pricer = make_pricer(vgg, "horowitz_2014_45nm", "ann_eyeriss_v1", Options())
    layers = [layer.name for layer in vgg.synaptic_layers][1:]
    energies = []
    for rate in sorted((one, other)):
        activity = spiking_activity(vgg, layers, [rate] * len(layers))
        design = Design(
            "s", "snn", modes_with(vgg, layers), activity, Implementation("snn", n_timesteps=8)
        )
        energies.append(energy_of(pricer.cost(design, "ann_eyeriss_v1")))
    assert energies[0] <= energies[1] * (1 + 1e-12)


def test_a_topology_without_weights_is_undecided(vgg: Network) -> None:
    decision = analyze("vgg9", samples=64)
    assert decision.verdict.startswith("Undecided: spiking pays in ")
    assert "Reason: no weights and data" in decision.verdict
    assert decision.winner == ""
    assert decision.p_snn_wins is None
    assert decision.break_even_spikes_per_synapse is not None
    assert f"{decision.break_even_spikes_per_synapse:.3g} spikes" in decision.verdict
    assert all(item.evidence == "modelled" for item in decision.implementations)
    assert any("assumed, not measured" in text for text in decision.assumptions)


class Recurrent(nn.Module):
    """A GRU classifier of sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(6, 16, batch_first=True)
        self.out = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.gru(x)
        return self.out(states[:, -1])


def test_a_recurrent_network_gets_delta_networks_and_the_reason() -> None:
    torch.manual_seed(0)
    steps = np.random.default_rng(0).standard_normal((30, 4, 6)) * 0.05
    decision = analyze(
        Recurrent().eval(), np.cumsum(steps, axis=1).astype(np.float32), timesteps=(2,), samples=64
    )
    assert decision.verdict.startswith("Use a delta network: ")
    assert "not measured" not in decision.verdict
    assert decision.p_snn_wins is None
    deltas = [item for item in decision.implementations if item.mode == "delta"]
    assert {item.evidence for item in deltas} == {"measured"}
    keeping = [item for item in deltas if item.meets_floor]
    assert decision.winner == min(keeping, key=lambda item: item.energy_J).name
    hidden = next(layer for layer in decision.layers if layer.kind == "rnn_hidden")
    assert hidden.mode == "delta"
    assert not hidden.eligible
    assert set(hidden.temporal_sparsity) == {"0.015625", "0.03125", "0.0625", "0.125"}


def test_a_failed_conversion_leaves_the_ann_and_says_why(trained, monkeypatch) -> None:
    from tospike import conversion
    from tospike.errors import ConversionError

    def refuse(*args, **kwargs):
        raise ConversionError("trace the model", received="a test")

    monkeypatch.setattr(conversion, "executable", refuse)
    net, x, y, _ = trained
    decision = analyze(net, (x[:40], y[:40]), samples=64)
    assert decision.verdict.endswith("No spiking network was run. Reason: a test.")
    assert any(text.endswith("modelled only: a test") for text in decision.warnings)
    assert {item.mode for item in decision.implementations} == {"ann", "qnn"}


def test_a_layer_that_cannot_be_converted_stays_analog(trained, monkeypatch) -> None:
    from tospike import conversion
    from tospike.errors import ConversionError

    run_snn = conversion.run_snn

    def picky(graph, *args, spiking, **named):
        if "6" in spiking:
            raise ConversionError("fold the scale", where="6", received="a test")
        return run_snn(graph, *args, spiking=spiking, **named)

    monkeypatch.setattr(conversion, "run_snn", picky)
    net, x, y, _ = trained
    decision = analyze(net, (x[:40], y[:40]), timesteps=(2,), hybrids=1, samples=64)
    snn = pick(decision, "SNN, T=2")
    assert snn.partition == {"0": "ann", "2": "snn", "6": "ann", "8": "snn"}
    assert "6 stays analog: cannot fold the scale: a test" in decision.warnings
    layer = next(layer for layer in decision.layers if layer.name == "6")
    assert (layer.eligible, layer.why_not) == (False, "cannot fold the scale: a test")


def test_a_programming_error_is_not_swallowed(trained, monkeypatch) -> None:
    from tospike import conversion

    def broken(*args, **kwargs):
        raise TypeError("a mistake in the program")

    monkeypatch.setattr(conversion, "executable", broken)
    net, x, y, _ = trained
    with pytest.raises(TypeError, match="a mistake"):
        analyze(net, (x[:40], y[:40]), samples=64)


def test_the_same_seed_gives_the_same_decision() -> None:
    first, again, other = (analyze("vgg9", samples=64, seed=seed).as_dict() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def arguments(trained, **changes):
    net, x, y, _ = trained
    network = load(net, torch.from_numpy(x[:1]))
    activity = ActivityProfile.assumed(network, zero_fraction=0.5, origin="test")
    given_ = {"model": net, "data": x[:40], "labels": y[:40], "samples": 16, **changes}
    return (network, activity), given_


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"technology": "horowitz_2014_45mn"}, UnknownNameError, "horowitz_2014_45nm"),
        ({"reference_model": "ann_eyeris_v1"}, UnknownNameError, "did you mean 'ann_eyeriss_v1'"),
        ({"timesteps": (0,)}, OptionError, "timesteps holds 0"),
        ({"labels": [1, 2]}, DataError, "2 labels for 40 samples"),
        ({"data": np.zeros((0, 1, 8, 8)), "labels": None}, DataError, "empty"),
        ({"accuracy_floor": 1.0, "timesteps": (1,)}, OptionError, r"with accuracy 0\."),
        ({"labels": None, "accuracy_floor": 0.5}, OptionError, "data without labels"),
        ({"data": None}, OptionError, "labels without data"),
    ],
)
def test_bad_arguments(trained, changes, kind, text: str) -> None:
    positional, named = arguments(trained, **changes)
    with pytest.raises(kind, match=text):
        decide(*positional, **named)


def test_all_faults_at_once(trained) -> None:
    (network, activity), named = arguments(
        trained, technology="nothing", timesteps=(0,), labels=[1], reference_model="ann_naive"
    )
    first = next(iter(activity.layers))
    partial = replace(activity, layers={first: activity[first]})
    with pytest.raises(OptionError) as caught:
        decide(network, partial, **named)
    text = str(caught.value)
    for part in ("'nothing'", "timesteps holds 0", "no activity of layer", "1 labels for 40"):
        assert part in text
    with pytest.raises(StatisticError, match="without some layers"):
        decide(network, partial)


def test_a_topology_takes_no_data() -> None:
    with pytest.raises(DataError, match="without weights"):
        analyze("vgg9", np.zeros((1, 3, 32, 32)))


def test_no_answer_is_nan(decision: Decision) -> None:
    for layer in decision.layers:
        assert layer.break_even_spikes_per_synapse >= 0
        assert layer.distance is None or not math.isnan(layer.distance)


def few(trained, **more) -> Decision:
    net, x, y, _ = trained
    return analyze(net, (x[:40], y[:40]), timesteps=(1, 4), hybrids=1, samples=64, **more)


def test_static_power_given_by_the_user_leaves_every_model_in_place(trained) -> None:
    """It is the same for all, so that no energy difference and no probability may move."""
    terms = EquationOptions(terms=("static",), inference_seconds=1e-3)
    plain = few(trained)
    static = few(trained, options=Options(equations=terms, static_power_w=1e-6))
    assert static.p_snn_wins_by_model.keys() == plain.p_snn_wins_by_model.keys()
    assert static.p_snn_wins == pytest.approx(plain.p_snn_wins)
    for before, after in zip(plain.implementations, static.implementations, strict=True):
        assert after.energy_J - before.energy_J == pytest.approx(1e-9, rel=1e-6, abs=0.0)


def test_what_cannot_be_priced_is_refused_before_the_network_runs(trained, monkeypatch) -> None:
    from tospike import conversion

    def forbidden(*args, **named):
        raise AssertionError("the network was run")

    monkeypatch.setattr(conversion, "executable", forbidden)
    for name in ("seneca_22nm", "yan_2024_22nm"):
        with pytest.raises(TechnologyError, match="sram, read"):
            few(trained, technology=name)
    leakage = EquationOptions(terms=("static",), inference_seconds=1e-3)
    with pytest.raises(TechnologyError, match="static, second"):
        few(trained, options=Options(equations=leakage))
    with pytest.raises(UnknownNameError, match="neuron model 'compute_only'"):
        few(trained, options=Options(neuron="compute_only"))


def test_the_probability_is_the_same_number_everywhere(trained) -> None:
    decision = few(trained, accuracy_floor=0.0)
    good = [item for item in decision.implementations if item.mode == "snn"]
    cheapest = min(good, key=lambda item: item.energy_J)
    assert decision.p_snn_wins == cheapest.p_cheaper


def test_labels_that_do_not_fit_are_said(trained) -> None:
    net, x, y, _ = trained
    wrong = analyze(net, (x[:40], (y[:40] + 1) % 3), timesteps=(1,), hybrids=0, samples=64)
    assert any("check labels and preprocessing" in text for text in wrong.warnings)
    right = analyze(net, (x[:40], y[:40]), timesteps=(1,), hybrids=0, samples=64)
    assert not any("check labels and preprocessing" in text for text in right.warnings)


def test_widths_below_the_printed_ones_are_one_sentence(trained) -> None:
    decision = few(trained)
    widths = {item.activation_bits for item in decision.implementations if item.mode == "qnn"}
    assert len(widths) >= 3
    assert decision.out_of_range == (
        "horowitz_2014_45nm: alu.mac below 8 bit is outside of the printed widths (8, 16, 32 bit); "
        "its energy follows the slope between 8 and 16 bit",
    )


def test_the_methods_of_conversion_are_cited(trained) -> None:
    keys = {source["key"] for source in few(trained).sources}
    assert {"rueckauer_2017", "bu_2022", "li_2021", "nagel_2019"} <= keys
    topology = {source["key"] for source in analyze("vgg11").sources}
    assert not {"rueckauer_2017", "bu_2022", "li_2021", "nagel_2019"} & topology


def test_a_floor_leaves_room_for_one_sample() -> None:
    from tospike.decision.candidates import floor_of
    from tospike.decision.evidence import Evidence, Run

    def run(n: int, accuracy: float | None) -> Evidence:
        activity = ActivityProfile({}, n, "test")
        return Evidence(None, {}, Run(accuracy, 1.0, activity), {}, {})

    assert floor_of(run(20, 0.9), None, Options()).accuracy == pytest.approx(0.85)
    assert floor_of(run(2000, 0.9), None, Options()).accuracy == pytest.approx(0.89)
    assert floor_of(run(20, None), None, Options()).agreement == pytest.approx(0.95)
    assert floor_of(run(2000, None), None, Options()).agreement == pytest.approx(0.99)
    assert floor_of(run(20, 0.9), 0.9, Options()).accuracy == 0.9


def test_spikes_on_identity_paths_and_wide_inputs_are_priced(trained) -> None:
    """Horowitz: a byte of the 64-bit access to 8 kB costs 10/8 pJ, an 8-bit addition 0.03 pJ."""
    net, x, _, _ = trained
    network = load(net, torch.from_numpy(x[:1]))
    pricer = make_pricer(network, "horowitz_2014_45nm", "ann_eyeriss_v1", Options())
    activity = spiking_activity(network, [], [])
    modes = analog_modes(network)

    def joule(bits: int, **more) -> float:
        how = Implementation("qnn", activation_bits=bits)
        return energy_of(pricer.cost(Design("a", "qnn", modes, activity, how, **more), "ann_reuse"))

    skips = joule(8, skip_events={"relu": 1000.0}) - joule(8)
    assert skips == pytest.approx(1000 * (2 * 10 / 8 + 0.03) * 1e-12, rel=1e-6, abs=0.0)
    every = frozenset(layer.name for layer in network.synaptic_layers)
    assert joule(3, wide=every) == pytest.approx(joule(8), rel=1e-9, abs=0.0)
    assert joule(3) < joule(3, wide=frozenset({"0"})) < joule(8)
    assert joule(8, firing_steps=4) == joule(8)  # nothing spikes
    modes = dict.fromkeys(every, "snn")
    activity = as_spikes(activity)
    fires = joule(8, firing_steps=4) - joule(8)
    neurons = sum(layer.n_neurons for layer in network.synaptic_layers)
    assert fires == pytest.approx(neurons * 4 * (10 / 8 + 0.03) * 1e-12, rel=1e-6, abs=0.0)
