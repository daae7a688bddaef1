"""The commands behind the page of the spiking networks, on tiny made-up data."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tospike.network.neuron.alif import step
from tospike.network.neuron.record import Reset

FOLDER = Path(__file__).resolve().parents[2] / "validation"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import by name from validation/; torch keeps its threads."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    return importlib.import_module


def _layer(seed: int, scale: float) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    current = 1.5 * torch.randn(11, 3, 6, generator=generator)
    recurrent = 0.6 * torch.randn(6, 6, generator=generator)
    beta, rho = torch.rand(2, 6, generator=generator)
    return current, recurrent, beta, rho


@pytest.mark.parametrize("scale", [0.0, 1.8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fast_recurrent_layer_equals_its_equations(modules: Any, seed: int, scale: float) -> None:
    snn = modules("snn_recurrent")
    found = []
    for form in (snn.reference, snn.run):
        given = [part.clone().requires_grad_() for part in _layer(seed, scale)]
        z = form(*given, scale)
        weights = torch.linspace(-1, 1, z.numel()).reshape(z.shape)
        (z * weights).sum().backward()
        found.append((z.detach(), [part.grad for part in given]))
    (slow, slow_gradients), (fast, fast_gradients) = found
    assert torch.equal(slow, fast)
    assert 0.05 < float(slow.mean()) < 0.95
    for one, other in zip(slow_gradients, fast_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_recurrent_layer_is_the_alif_neuron_of_the_package(modules: Any) -> None:
    snn = modules("snn_recurrent")
    current, recurrent, beta, rho = _layer(5, 1.8)
    z = snn.run(current, recurrent, beta, rho, 1.8).numpy()
    shape = (3, 6)
    state = {name: np.zeros(shape) for name in ("v", "b", "z")}
    parameters = {
        "beta": beta.numpy().astype(float), "rho": rho.numpy().astype(float),
        "scale": np.array(1.8), "gain": np.array(1.0), "v_rest": np.array(0.0),
        "threshold": np.array(1.0), "strict": np.array(0.0),
    }  # fmt: skip
    for t in range(len(z)):
        given = current[t].numpy() + state["z"] @ recurrent.numpy().T
        state, spikes = step(state, given.astype(np.float64), parameters, Reset("soft"))
        np.testing.assert_array_equal(spikes, z[t])


def test_leaky_readout_is_the_recursion(modules: Any) -> None:
    snn = modules("snn_recurrent")
    values, kappa = torch.randn(7, 2, 3), torch.tensor([0.1, 0.5, 0.9])
    y = torch.zeros(2, 3)
    for t, found in enumerate(snn.leaky(values, kappa)):
        y = kappa * y + (1 - kappa) * values[t]
        torch.testing.assert_close(found, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("weights", "inputs"), [(14592, 12), (54144, 13)])
def test_hidden_size_has_the_weights_of_the_gru(modules: Any, weights: int, inputs: int) -> None:
    hidden = modules("snn_recurrent").hidden_for(weights, inputs)
    assert abs(hidden * (inputs + hidden) / weights - 1) < 0.01


def test_temporal_command_runs_resumes_and_counts(
    modules: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = modules("snn_temporal")
    monkeypatch.setattr(command, "NETWORKS", (("alif", 0.0), ("lif", 1.0)))
    given = ["--quick", "--out", str(tmp_path)]
    assert command.main(given) == 0
    rows = json.loads((tmp_path / "temporal-tiny-alif-0-0.json").read_bytes())
    plain, held = rows
    # the GRU has 3 * 8 * (2 + 8) = 240 weights: 14.5 neurons, so 15 * (2 + 15) or 14 * (2 + 14)
    assert (plain["hidden"], plain["n_weights"]) == (15, 255)
    assert plain["gamma_x"] == 0
    assert 0 < held["gamma_x"] < 1
    assert plain["input_macs"] == 2 * 15
    assert plain["synaptic_operations"] == pytest.approx(plain["spikes_per_neuron"] * 15**2)
    assert plain["bytes_int8"] == plain["input_macs"] + plain["synaptic_operations"]
    assert plain["energy_column_sram_j"] < plain["energy_word_sram_j"]
    assert plain["energy_column_sram_j"] < plain["energy_column_dram_j"]
    capsys.readouterr()
    (tmp_path / "temporal-tiny-alif-0-0.json").unlink()  # the checkpoint is there: nothing to train
    assert command.main(given) == 0
    assert "step" not in capsys.readouterr().err
    again = json.loads((tmp_path / "temporal-tiny-alif-0-0.json").read_bytes())
    for one, other in zip(rows, again, strict=True):
        assert {**one, "training_cpu_s": 0} == {**other, "training_cpu_s": 0}


def test_energy_of_a_step_is_the_sum_by_hand(modules: Any) -> None:
    """Dampfhoffer 2022, eq. 7, by hand from the unit prices of the same technology."""
    command, snn = modules("snn_temporal"), modules("snn_recurrent")
    module = snn.RecurrentSNN("lif", 2, 5, 3)
    shown = command.Shown(1.0, 0.0, 0.4)
    counts = command.counts(module, shown, 0.0, "word")
    total: dict[tuple[str, str, str], float] = {}
    for entry in counts:
        key = (entry.component, entry.action, entry.datatype)
        total[key] = total.get(key, 0.0) + float(entry.count)
    spikes = 0.4 * 25
    assert total["sram", "read", "weight"] == pytest.approx(10 + spikes)
    assert total["sram", "read", "state"] == pytest.approx(spikes + 5)
    assert total["sram", "write", "state"] == pytest.approx(spikes + 5)
    assert total["alu", "ac", "none"] == pytest.approx(spikes)
    assert total["alu", "mac", "state"] == 5
    column = command.counts(module, shown, 0.0, "column")
    states = [e for e in column if e.datatype == "state" and e.component == "sram"]
    assert sum(float(e.count) for e in states) == 10


def test_held_inputs_stay_within_the_threshold(modules: Any) -> None:
    x = torch.cumsum(0.1 * torch.randn(4, 50, 3), dim=1)
    values, sent = modules("snn_temporal").held(x, 0.2)
    assert float((values - x).abs().max()) <= 0.2
    assert 0 < float(sent.mean()) < 1
    same, all_sent = modules("snn_temporal").held(x, 0.0)
    assert torch.equal(same, x)
    assert float(all_sent.mean()) == 1


@pytest.fixture
def recording(modules: Any) -> Any:
    """A bar that moves over a small sensor, 40 ms."""
    events = modules("snn_events")
    generator = np.random.default_rng(0)
    t = np.sort(generator.integers(0, 40_000, 3000))
    x = (t // 2500 + generator.integers(0, 3, 3000)) % 20
    return events.Events(t, x, generator.integers(0, 12, 3000), 20, 12)


def test_event_frames_hold_every_event_once(modules: Any, recording: Any) -> None:
    made = modules("snn_events").frames(recording, 10, size=16).numpy()
    assert made.shape == (3, 1, 16, 16)
    assert set(np.unique(made)) == {0.0, 1.0}
    brute = np.zeros_like(made)
    for t, x, y in zip(recording.t, recording.x, recording.y, strict=True):
        if t < 30_000:
            brute[t // 10_000, 0, y * 16 // 12, x * 16 // 20] = 1
    np.testing.assert_array_equal(made, brute)


def test_counts_of_an_event_network_equal_brute_force(modules: Any) -> None:
    events = modules("snn_events")
    torch.manual_seed(0)
    net = nn.Sequential()
    for name, module in (
        ("conv1", nn.Conv2d(1, 3, 3, padding=1, bias=False)),
        ("relu1", nn.ReLU()),
        ("pool1", nn.MaxPool2d(2)),
        ("conv2", nn.Conv2d(3, 2, 3, padding=1, bias=False)),
    ):
        net.add_module(name, module)
    x = (torch.rand(5, 1, 6, 6) < 0.3).float()
    found = events.by_spikes(net, x, [0.2], 0.5)
    v = np.zeros((3, 6, 6))
    operations = 0
    for frame in x:
        current = net[0](frame[None])[0].detach().numpy()
        h = 0.5 * v + current
        spikes = h >= 0.2
        v = h - 0.2 * spikes
        pooled = spikes.reshape(3, 3, 2, 3, 2).any(axis=(2, 4))
        for _, row, column in np.argwhere(pooled):
            rows = min(row + 1, 2) - max(row - 1, 0) + 1
            columns = min(column + 1, 2) - max(column - 1, 0) + 1
            operations += 2 * rows * columns
    assert found["conv2"].synaptic_operations == pytest.approx(operations / 5)
    assert found["conv2"].synaptic_operations > 0


def test_thresholds_give_the_activity_that_was_asked_for(modules: Any) -> None:
    events = modules("snn_events")
    current = torch.randn(16, 400, generator=torch.Generator().manual_seed(0))
    for density in (0.02, 0.1, 0.3):
        threshold = events.threshold_for(current, density, 0.6)
        assert float(events.fire(current, threshold, 0.6).mean()) == pytest.approx(
            density, abs=3e-3
        )


def test_events_are_measured_and_priced(
    modules: Any, recording: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = modules("snn_events")
    monkeypatch.setattr(events, "FACTORS", (1.0, 0.25, 2.0))
    made = events.measure("atis", recording, 10, None, size=16)
    json.dumps(made, allow_nan=False)
    for setting in made["settings"]:
        full, thin, fast = setting["points"]
        assert thin["events_per_second"] < full["events_per_second"]
        # 30 ms in one bin of 10 ms instead of in three: within the noise of the counts
        assert fast["events_per_second"] / full["events_per_second"] == pytest.approx(2, rel=0.1)
        assert full["layers"]["conv1"]["spike_density"] == pytest.approx(full["active_share"])
        naive = full["models"]["dampfhoffer_naive"]
        assert naive["ratio"] == pytest.approx(naive["energy_ann_j"] / naive["energy_snn_j"])


def _points(*pairs: tuple[float, float]) -> list[dict[str, Any]]:
    return [{"events_per_second": rate, "models": {"m": {"ratio": one}}} for rate, one in pairs]


def test_crossover_lies_where_the_ratio_is_one(modules: Any) -> None:
    crossovers = modules("snn_events").crossovers
    # the ratio is 1000 / rate: 1 at 1000
    found = crossovers(_points((4000, 0.25), (100, 10.0)))["m"]
    assert found["kind"] == "measured"
    assert math.isclose(found["events_per_second"], 1000)
    assert crossovers(_points((100, 9.0), (200, 3.0)))["m"]["kind"] == "above"
    assert crossovers(_points((100, 0.9), (200, 0.3)))["m"]["kind"] == "below"


def test_emulated_camera_sends_what_changes(modules: Any) -> None:
    emulated = modules("snn_emulated")
    images = torch.zeros(3, 1, 28, 28)
    images[1, 0, 8:20, 8:20] = 0.9
    images[2] = images[1]
    bins, per_recording = emulated.events(images, 0)
    assert bins.shape == (3, emulated.TIMESTEPS, 2, 32, 32)
    assert float(bins[0].sum()) == 0  # black sends nothing
    assert float(bins[1].sum()) > 0
    assert per_recording > 0
    assert set(bins.unique().tolist()) == {0.0, 1.0}
    # nothing happens far from the edges of the square
    assert float(bins[1, :, :, 15:17, 15:17].sum()) == 0
    again, _ = emulated.events(images, 0)
    assert torch.equal(bins, again)


def _result(name: str, **fields: Any) -> dict[str, Any]:
    """A result file of the network for Fashion-MNIST, made up."""
    spiking = fields.pop("spiking", ())
    layers = {
        layer: {
            "signal": "spike" if layer in spiking else "analog",
            "n_samples": 10, "n_timesteps": 4.0 if layer in spiking else 1.0,
            "zero_fraction": 0.5, "synaptic_operations": synapses / 2,
            "zero_fraction_std": None, "synaptic_operations_std": None,
            "spikes_per_synapse": 0.5 if layer in spiking else None,
            "spikes_per_neuron": 0.5 if layer in spiking else None,
            "channel_density": [], "pixel_density": [],
        }
        for layer, synapses in (
            ("conv1", 225792), ("conv2", 1806336), ("conv3", 3612672), ("conv4", 1806336),
            ("fc1", 401408), ("fc2", 1280),
        )
    }  # fmt: skip
    start = {
        "name": name, "timesteps": 1, "accuracy": 0.93, "accuracy_at": {}, "n_samples": 10,
        "spikes_per_synapse": 0.5 if spiking else None, "settings": {}, "neurons": {},
        "layers": layers,
    }  # fmt: skip
    return start | fields


def test_page_is_made_of_what_is_there(modules: Any, tmp_path: Path) -> None:
    command: ModuleType = modules("measure_snn")
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    assert command.main(["--work", str(work), "--out", str(out)]) == 2  # nothing there at all
    every = ("conv2", "conv3", "conv4", "fc1", "fc2")
    leaky = {"relu1": {"threshold": 1.0, "decay": 0.5, "gain": 1.0}}
    made = [
        _result("ann", method="ann"),
        _result("qnn-8", method="qnn", activation_bits=8),
        _result("qcfs", method="qcfs", timesteps=4, spiking=every, accuracy=0.925),
        _result("direct-0.5", method="direct", timesteps=4, spiking=every, neurons=leaky),
        _result("converted-maxnorm-4", method="converted", timesteps=4, spiking=every,
                accuracy=0.5, neuron="if_inst"),
        _result("ttfs-ann-4", method="ttfs", timesteps=4, spiking=every, neuron="if_cont",
                network="ann", network_sha256="of older weights"),
    ]  # fmt: skip
    for one in made:
        (work / f"{one['name']}.json").write_text(json.dumps(one))
    assert command.main(["--work", str(work), "--out", str(out)]) == 0
    result = json.loads((out / "snn.json").read_bytes())
    rows = {row["name"]: row for row in result["fashion"]}
    assert "ttfs-ann-4" not in rows
    assert "ttfs-ann-4" in result["missing"]
    assert rows["direct-0.5"]["models"]["dampfhoffer_naive"]["snn_model"] == "snn_lif_inst"
    assert rows["qcfs"]["models"]["dampfhoffer_naive"]["snn_model"] == "snn_if_inst"
    # operations alone: 4.6 pJ a MAC; conv1 stays analog, 0.9 pJ an addition (Horowitz 2014)
    synapses = 225792 + 1806336 + 3612672 + 1806336 + 401408 + 1280
    compute = rows["qcfs"]["models"]["compute_only"]
    assert compute["energy_ann_j"] == pytest.approx(4.6e-12 * synapses)
    spikes = 0.5 * (synapses - 225792)
    assert compute["energy_snn_j"] == pytest.approx(4.6e-12 * 225792 + 0.9e-12 * spikes)
    page = (out / "snn.md").read_text("utf-8")
    assert "| QCFS | 4 | 92.50 | 10 | 0.500 |" in page
    assert "| MaxNorm | 4 | 50.00 |" in page
    assert "QCFS within 1.0 points of it at T = 4: 92.50 %, 0.50 points lost, met." in page
    assert "## Not measured yet" in page
    assert "`emulated`" in page
    winners = modules("snn_page").winners(result["fashion"])
    assert {one["snn"]["name"] for one in winners} <= {"qcfs", "direct-0.5"}  # the floor holds


def test_front_is_what_no_other_network_beats(modules: Any) -> None:
    temporal = modules("snn_page_temporal")
    generator = np.random.default_rng(0)
    lines = [
        temporal.Line(str(i), 0.0, False, float(a), float(e), float(e))
        for i, (a, e) in enumerate(generator.integers(0, 12, (40, 2)))
    ]
    brute = {
        (one.accuracy, one.sram)
        for one in lines
        if not any(
            (other.accuracy >= one.accuracy and other.sram < one.sram)
            or (other.accuracy > one.accuracy and other.sram <= one.sram)
            for other in lines
        )
    }
    found = temporal.front(lines, "sram")
    assert {(one.accuracy, one.sram) for one in found} == brute
    assert len(found) == len(brute)


def test_preliminary_rows_decide_nothing(modules: Any) -> None:
    page = modules("snn_page")
    models = {"m": {"title": "M", "energy_ann_j": 2.0, "energy_snn_j": 1.0, "ratio": 2.0,
                    "ratio_low": 1.0, "ratio_high": 3.0, "leaves_out": ""}}  # fmt: skip
    common = {"accuracy": 0.9, "models": models, "timesteps": 4, "activation_bits": 8}
    rows = [
        common
        | {"name": "ann", "method": "ann", "spiking": [], "n_samples": 100}
        | {"activation_bits": None},
        common | {"name": "qnn-8", "method": "qnn", "spiking": [], "n_samples": 100},
        common | {"name": "qcfs", "method": "qcfs", "spiking": ["a"], "n_samples": 10},
    ]
    assert page.winners(rows) == []
    rows[2] = rows[2] | {"n_samples": 100}
    (winner,) = page.winners(rows)
    assert (winner["snn"]["name"], winner["qnn"]["name"], winner["ratio"]) == ("qcfs", "qnn-8", 2.0)
    assert "| QCFS | 4 | 90.00 | QNN, 8 bit | 1 of 1 |" in "\n".join(page.equal_table(rows))


def test_damaged_result_is_named(
    modules: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ann.json").write_text("{")
    command = modules("measure_snn")
    assert command.main(["--work", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "ann.json" in capsys.readouterr().err
    assert not (tmp_path / "out" / "snn.md").exists()


def test_recordings_that_are_missing_are_said(modules: Any, tmp_path: Path) -> None:
    from tospike.errors import DataError

    pytest.importorskip("faery")
    with pytest.raises(DataError, match="make event-recordings"):
        modules("snn_events").read("atis", 1.0, tmp_path / "faery-0.7.1.tar.gz")


def test_stand_in_for_a_build_backend_names_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(FOLDER / "sdist_only")
    monkeypatch.delitem(sys.modules, "maturin", raising=False)
    (tmp_path / "PKG-INFO").write_text("Metadata-Version: 2.4\nName: a-b\nVersion: 1.2\n\nText\n")
    monkeypatch.chdir(tmp_path)
    try:
        name = importlib.import_module("maturin").prepare_metadata_for_build_wheel(str(tmp_path))
    finally:
        sys.modules.pop("maturin", None)
    assert name == "a_b-1.2.dist-info"
    assert "Name: a-b\nVersion: 1.2\n" in (tmp_path / name / "METADATA").read_text()
