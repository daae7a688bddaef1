"""Delta networks that are run: laws of what they send, and the decision from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tospike as ts
from tospike.actions import ActionCounts, count
from tospike.decision import Options
from tospike.decision.delta_plan import DeltaPlan, prepare
from tospike.decision.delta_run import DeltaRun, run
from tospike.decision.record import Decision
from tospike.decision.schema import PATH
from tospike.equations import EquationOptions
from tospike.pricing import price
from tospike.technology import load

torch.set_num_threads(1)


class Tagger(nn.Module):
    """Classes from the last state; the last layer sees no sequence."""

    def __init__(self, kind: type[nn.RNNBase] = nn.GRU, layers: int = 2) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.rnn = kind(4, 16, layers, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


class Filter(nn.Module):
    """A sequence to a sequence of the same length."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first = nn.Linear(4, 12)
        self.rnn = nn.GRU(12, 16, batch_first=True)
        self.last = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.last(self.rnn(torch.relu(self.first(x)))[0]))


def slow(samples: int, steps: int = 30, inputs: int = 4, seed: int = 0) -> np.ndarray:
    """(N, T, I) that changes slowly, with a class in its slope."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(samples, steps, inputs)).cumsum(axis=1) / np.sqrt(steps)
    return noise.astype(np.float32)


def planned(module: nn.Module, x: np.ndarray) -> DeltaPlan:
    return prepare(module, ts.load(module, torch.from_numpy(x[:1])), x)


def at(plan: DeltaPlan, theta: float, x: np.ndarray, bits: int | None = None) -> DeltaRun:
    reference = plan.called(plan.module, x)
    thetas = plan.absolute(theta) if theta else {}
    return run(plan, thetas, x, None, reference, bits=bits, weight_bits=8 if bits else None)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
def test_at_threshold_zero_it_is_the_dense_network(kind: type[nn.RNNBase]) -> None:
    """Outputs to float rounding, and nothing but exact repeats is not sent."""
    x = slow(5)
    x[:, 10:20] = x[:, 10:11]  # ten equal steps: nine repeats of 30
    plan = planned(Tagger(kind), x)
    done = at(plan, 0.0, x)
    assert done.quality.snr_db > 100
    assert done.quality.agreement == 1.0
    assert done.sparsity["rnn.weight_ih_l0"] == pytest.approx(9 / 30)


def test_what_was_sent_is_counted_exactly() -> None:
    """Gamma of the first inputs by hand: against the last value that was sent."""
    x = slow(3)
    plan = planned(Tagger(), x)
    theta = 1 / 4
    done = at(plan, theta, x)
    bound = theta * plan.scales["rnn", 0, "theta_x"]
    sent = 0
    for sample in x:
        last = np.zeros(4, np.float32)
        for value in sample:
            here = np.abs(value - last) > bound
            sent += int(here.sum())
            last = np.where(here, value, last)
    assert done.sparsity["rnn.weight_ih_l0"] == pytest.approx(1 - sent / x.size, abs=1e-12)
    assert done.thetas["rnn.weight_ih_l0"] == bound


@pytest.mark.parametrize("module", [Tagger(), Filter()])
def test_a_higher_threshold_reads_less(module: nn.Module) -> None:
    x = slow(8)
    plan = planned(module, x)
    weights = {site.layer: site.n_weights for site in plan.sites}
    reads = []
    for theta in (0.0, 1 / 16, 1 / 4, 1.0, 4.0):
        done = at(plan, theta, x)
        reads.append(sum(n * (1 - done.sparsity[name]) for name, n in weights.items()))
    assert reads == sorted(reads, reverse=True)
    assert reads[-1] < 0.2 * reads[0]


def test_samples_do_not_see_each_other() -> None:
    """Order and batches change neither what is sent nor the outputs."""
    x = slow(150)  # more than one batch
    plan = planned(Tagger(), x)
    order = np.random.default_rng(3).permutation(len(x))
    one, two = at(plan, 1 / 8, x, 16), at(plan, 1 / 8, x[order], 16)
    for name in one.sparsity:
        assert one.sparsity[name] == pytest.approx(two.sparsity[name], abs=1e-3)
    single = [at(plan, 1 / 8, x[i : i + 1], 16).sparsity["rnn.weight_ih_l0"] for i in range(6)]
    whole = at(plan, 1 / 8, x[:6], 16).sparsity["rnn.weight_ih_l0"]
    assert np.mean(single) == pytest.approx(whole, abs=1e-12)


def test_the_unit_of_the_data_is_of_no_consequence() -> None:
    """Inputs 1024 times as large, weights 1024 times as small: the same is sent."""
    x = slow(6)
    small, large = Tagger(layers=1), Tagger(layers=1)
    with torch.no_grad():
        large.rnn.weight_ih_l0.mul_(1 / 1024)
    one, two = (
        at(planned(module, data), 1 / 8, data)
        for module, data in ((small, x), (large, x * np.float32(1024)))
    )
    assert one.sparsity == two.sparsity


def test_which_layers_are_fed_by_a_sequence() -> None:
    x = slow(4)
    assert planned(Tagger(), x).why_not == {"head": "its input is no sequence"}
    plan = planned(Filter(), x)
    assert plan.linear == ("first", "last")
    assert plan.why_not == {}
    assert plan.batch_first


def analyzed(module: nn.Module, x: np.ndarray, **arguments: object) -> Decision:
    options = Options(delta_thresholds=(1 / 16, 1 / 4), delta_search=False)
    return ts.analyze(module, x, **{"samples": 64, "models": None, "options": options, **arguments})


def test_a_classifier_is_run_as_delta_network() -> None:
    """Accuracy, traffic and energies are there, the layers add up, and the JSON holds them."""
    module, x = Tagger(), slow(60)
    with torch.no_grad():
        y = module.eval()(torch.from_numpy(x)).argmax(1).numpy()
    decision = analyzed(module, x, labels=y)
    deltas = [item for item in decision.implementations if item.delta]
    assert deltas[0].name.startswith("delta, Θ=1/16")
    for item in deltas:
        assert item.evidence == "measured"
        assert item.accuracy is not None
        assert item.agreement == pytest.approx(item.accuracy)  # the labels are the network's
        for one in item.delta:
            kept = 1 - one.temporal_sparsity if one.mode == "delta" else 1.0
            assert one.weight_bytes_per_step == pytest.approx(
                kept * one.dense_weight_bytes_per_step
            )
        assert item.dense_weight_bytes_per_step == 3 * 16 * (4 + 16 + 16 + 16)
    float_network = decision.implementations[0]
    assert float_network.accuracy == 1.0
    assert decision.accuracy_floor is not None
    by_name = {layer.name: layer for layer in decision.layers}
    assert by_name["head"].why_no_delta == "its input is no sequence"
    assert decision.winner.startswith("delta")
    assert by_name["rnn.weight_hh_l0"].mode == "delta"
    assert by_name["rnn.weight_hh_l0"].energy_delta_J < by_name["rnn.weight_hh_l0"].energy_ann_J
    import jsonschema

    jsonschema.validate(decision.as_dict(), json.loads(PATH.read_text()))


def test_without_classes_the_output_is_compared_in_decibel() -> None:
    decision = analyzed(Filter(), slow(12))
    assert decision.snr_floor_db == 20.0
    assert decision.accuracy_floor is None
    body = decision.as_dict()
    assert body["implementations"][0]["snr_db"] is None  # equal to itself
    winner = next(item for item in decision.implementations if item.name == decision.winner)
    assert winner.mode == "delta"
    assert winner.snr_db is not None
    assert winner.snr_db >= 20
    assert "dB SNR against the float network" in decision.verdict
    assert "of weights per time step in place of" in decision.verdict


def test_a_high_floor_needs_small_thresholds() -> None:
    """What the verdict names keeps the floor, whatever it is."""
    x = slow(12)
    for floor in (0.0, 30.0, 200.0):
        options = Options(delta_thresholds=(1 / 64, 1 / 2), delta_search=False, snr_floor_db=floor)
        decision = analyzed(Filter(), x, options=options)
        winner = next(item for item in decision.implementations if item.name == decision.winner)
        assert winner.snr_db is not None
    assert winner.snr_db >= floor


def test_weights_off_chip_are_read_by_columns_that_are_sent() -> None:
    """DRAM reads of the delta network: its measured traffic times the share that is off chip."""
    x = slow(12)
    options = Options(
        delta_thresholds=(1 / 4,),
        delta_search=False,
        snr_floor_db=0.0,
        equations=EquationOptions(terms=("weights_off_chip",), on_chip_bytes=0.0),
    )
    decision = analyzed(Filter(), x, options=options)
    delta = next(item for item in decision.implementations if item.delta)
    off = next(part.energy_J for part in delta.parts if part.part == "weights off chip")
    sent = sum(one.weight_bytes_per_step for one in delta.delta if one.mode == "delta")
    # dense layers over a sequence keep a weight on chip for all its steps
    kept = sum(
        one.dense_weight_bytes_per_step
        for one in delta.delta
        if one.mode == "ann" and not one.layer.startswith("rnn")
    )
    steps = x.shape[1]
    read = count("all", "dram", "read", "weight", sent * steps + kept, bits=8)
    table = load(decision.technology["name"])
    joule = float(np.sum(price(ActionCounts((read,), model="by hand"), table).energy))
    assert off == pytest.approx(joule, rel=1e-9)
    assert any(one.layer.startswith("rnn") and one.mode == "delta" for one in delta.delta)


def test_a_stream_reads_dense_linear_layers_in_every_step() -> None:
    """Off chip, and with --sequence only; the recurrent layer reads all of its weights anyway."""
    module, x = Filter(), slow(1, 40)
    options = Options(
        delta_thresholds=(1 / 16,),
        delta_search=False,
        equations=EquationOptions(terms=("weights_off_chip",), on_chip_bytes=0.0),
    )
    off = []
    for sequence in (False, True):
        decision = analyzed(module, x, options=options, sequence=sequence)
        dense = next(item for item in decision.implementations if item.name == "QNN, 8 bit")
        off.append(next(p.energy_J for p in dense.parts if p.part == "weights off chip"))
    linear, recurrent = 4 * 12 + 16 * 4, 3 * 16 * (12 + 16)
    wanted = 40 * (linear + recurrent) / (linear + 40 * recurrent)
    assert off[1] / off[0] == pytest.approx(wanted, rel=1e-9)


def test_a_small_onnx_network_from_end_to_end(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(5)

    def weights(name: str, *shape: int):
        return numpy_helper.from_array(rng.normal(0, 0.4, shape).astype(np.float32), name)

    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2], name="move"),
            helper.make_node("GRU", ["t", "w", "r", "b"], ["y"], hidden_size=12, name="gru",
                             linear_before_reset=1),
            helper.make_node("Squeeze", ["y", "axes"], ["s"], name="squeeze"),
            helper.make_node("Transpose", ["s"], ["back"], perm=[1, 0, 2], name="back"),
            helper.make_node("MatMul", ["back", "m"], ["out"], name="last"),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "time", 4])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", "time", 3])],
        [
            weights("w", 1, 36, 4), weights("r", 1, 36, 12), weights("b", 1, 72),
            weights("m", 12, 3), numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "small.onnx"
    save(model, str(path))
    frames = slow(1, 80)[0]
    decision = analyzed(path, frames, sequence=True)
    delta = [item for item in decision.implementations if item.delta]
    assert [one.layer for one in delta[0].delta] == ["gru.W", "gru.R", "last"]
    assert decision.winner.startswith("delta")
    assert decision.data["n_samples"] == 1
    again = analyzed(path, frames[None], sequence=True)
    assert [item.energy_J for item in again.implementations] == pytest.approx(
        [item.energy_J for item in decision.implementations]
    )


class Stepwise(nn.Module):
    """Calls its GRU once for every time step."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(4, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = None
        for t in range(x.shape[1]):
            y, h = self.rnn(x[:, t : t + 1], h)
        return y[:, -1]


def test_what_cannot_be_run_is_modelled_and_says_why() -> None:
    decision = analyzed(Stepwise(), slow(4, 3))
    assert not any(item.delta for item in decision.implementations)
    assert "is called 3 times per inference, not once" in decision.why_no_delta
    assert any("only modelled" in text for text in decision.warnings)
    for item in decision.implementations:
        if item.mode == "delta":
            assert item.evidence == "modelled"


def test_the_threshold_search_keeps_the_floor_and_reads_less() -> None:
    x = slow(12)
    options = Options(delta_thresholds=(1 / 64,), snr_floor_db=15.0)
    decision = analyzed(Filter(), x, options=options)
    uniform, searched = (item for item in decision.implementations if item.delta)
    assert searched.name.startswith("delta, Θ per layer")
    assert searched.snr_db is not None
    assert searched.snr_db >= 15
    assert searched.weight_bytes_per_step < uniform.weight_bytes_per_step
    assert decision.winner == searched.name
