"""Laws of direct training: what is counted, what the losses are, what comes out of it."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tospike.conversion.qcfs import qcfs_modules
from tospike.conversion.training import (
    Neuron,
    Recipe,
    Spiking,
    direct_snn,
    evaluate,
    folded,
    load_snn,
    save_snn,
    spiking_record,
    to_spikingjelly,
    train_network,
)
from tospike.conversion.training.augment import mirrored, shifted
from tospike.conversion.training.losses import tet
from tospike.conversion.training.methods import qcfs_start
from tospike.conversion.training.taps import recorded, spikes_per_synapse
from tospike.conversion.training.tdbn import ThresholdBatchNorm
from tospike.kernels.spiking.engine import SpikingEngine


class Net(nn.Module):
    """Strides, borders, groups, a residual sum, functions and modules, one ReLU called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(6)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=2)
        self.conv3 = nn.Conv2d(6, 6, 1)
        self.conv4 = nn.Conv2d(6, 4, 3, dilation=2, padding=1)
        self.fc = nn.Linear(4 * 2 * 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.norm1(self.conv1(x))))
        x = self.relu(self.conv2(x))
        x = x + F.relu(self.conv3(x))
        x = torch.relu(self.conv4(x))
        return self.fc(x.view(x.size(0), -1))


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(3)
    made = Net()
    made.train()
    for _ in range(20):  # running statistics that are not those of the start
        made(torch.rand(16, 2, 16, 16))
    return made.eval()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(5, 2, 16, 16, generator=torch.Generator().manual_seed(0))


def brute_force(x: Tensor, conv: nn.Conv2d) -> float:
    """Products with a non-zero input, output by output; x (samples, C, H, W)."""
    (kh, kw), (sh, sw), (ph, pw) = conv.kernel_size, conv.stride, conv.padding
    dilation, groups = conv.dilation[0], conv.groups
    height, width = x.shape[-2:]
    rows, columns = conv(x[:1]).shape[-2:]
    per_group = x.shape[1] // groups
    count = 0
    for o, i, j in itertools.product(range(conv.out_channels), range(rows), range(columns)):
        first = (o // (conv.out_channels // groups)) * per_group
        for a, b in itertools.product(range(kh), range(kw)):
            u, v = i * sh - ph + a * dilation, j * sw - pw + b * dilation
            if 0 <= u < height and 0 <= v < width:
                count += int((x[:, first : first + per_group, u, v] != 0).sum())
    return float(count)


def test_the_penalty_counts_synaptic_operations(net: nn.Module, x: Tensor) -> None:
    snn = direct_snn(net, Neuron("lif", 3, decay=0.8), x, calibration_data=x).eval()
    with recorded() as record, torch.no_grad():
        snn(x)
    parts = {"conv2": net.conv2, "conv3": net.conv3, "conv4": net.conv4}
    operations, synapses = 0.0, 0
    for tap, values in record:
        if tap.layer in parts:
            conv = parts[tap.layer]
            expected = brute_force(values, conv)
            if tap.binary:
                assert float(tap.operations(values)) == expected
                operations += expected
            outputs = conv(values[:1])[0].numel()
            assert tap.synapses == outputs * conv.weight[0].numel()
            synapses += tap.synapses
    kinds = {tap.layer: (tap.timed, tap.binary) for tap, _ in record}
    # a sum of spikes may be 2: it is no spike any more
    assert kinds == {
        "conv1": (False, False), "conv2": (True, True), "conv3": (True, True),
        "conv4": (True, False), "fc": (True, True),
    }  # fmt: skip
    fc = next(values for tap, values in record if tap.layer == "fc")
    summed = next(tap.operations(values) for tap, values in record if tap.layer == "conv4")
    whole = operations + float(fc.sum()) * 3 + float(summed)
    total = spikes_per_synapse(record, len(x))
    assert float(total) == pytest.approx(whole / (len(x) * (synapses + 16 * 3)), rel=1e-6)


def test_the_measured_activity_is_brute_force(net: nn.Module, x: Tensor) -> None:
    snn = direct_snn(net, Neuron("if", 4), x, calibration_data=x).eval()
    found = evaluate(snn, x, torch.tensor([0, 1, 2, 0, 1]), batch_size=2)
    with recorded() as record, torch.no_grad():
        outputs = snn(x)
    inputs = {tap.layer: values for tap, values in record}
    for name in ("conv1", "conv2", "conv3", "conv4"):
        layer = found.activity[name]
        expected = brute_force(inputs[name], net.get_submodule(name)) / len(x)  # type: ignore[arg-type]
        assert layer.synaptic_operations == pytest.approx(expected, rel=1e-12)
        zeros = float((inputs[name] == 0).double().mean())
        assert layer.zero_fraction == pytest.approx(zeros, rel=1e-9)
        assert layer.channel_density.mean() == pytest.approx(1 - zeros, rel=1e-9)
        assert layer.pixel_density.mean() == pytest.approx(1 - zeros, rel=1e-9)
    assert found.activity["conv2"].signal == "spike"
    assert found.activity["conv4"].signal == found.activity["conv1"].signal == "analog"
    assert (found.activity["conv1"].n_timesteps, found.activity["conv2"].n_timesteps) == (1, 4)
    torch.testing.assert_close(torch.from_numpy(found.outputs), outputs.mean(0))
    right = outputs.cumsum(0).argmax(2) == torch.tensor([0, 1, 2, 0, 1])
    assert found.accuracy_at == tuple(right.double().mean(1).tolist())


def test_tet_by_hand() -> None:
    # softmax of (0, 0) is 1/2; of (ln 3, 0) it is 3/4
    outputs = torch.tensor([[[0.0, 0.0]], [[math.log(3), 0.0]]])
    y = torch.tensor([0])
    entropy = (math.log(2) + math.log(4 / 3)) / 2
    assert float(tet(outputs, y, 0.0)) == pytest.approx(entropy)
    square = (1 + 1 + (math.log(3) - 1) ** 2 + 1) / 4
    assert float(tet(outputs, y, 0.05)) == pytest.approx(0.95 * entropy + 0.05 * square)
    # equal outputs at every step: the same as cross entropy of the mean
    same = outputs[1:].expand(4, 1, 2)
    assert float(tet(same, y, 0.0)) == pytest.approx(float(F.cross_entropy(same.mean(0), y)))


def test_tdbn_is_the_papers_formula() -> None:
    x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 3 + 1
    norm = ThresholdBatchNorm.of(nn.BatchNorm2d(3, eps=1e-3), 0.5 * 0.8)  # alpha * V_th
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 0.5]))
        norm.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
        found = norm.train()(x)
    # time is in the first axis: statistics over samples, steps and positions
    for c in range(3):
        values = x[:, c].double()
        normed = (values - values.mean()) / (values.var(correction=0) + 1e-3).sqrt()
        expected = norm.weight[c].item() * 0.4 * normed + norm.bias[c].item()
        torch.testing.assert_close(found[:, c].double(), expected, atol=1e-5, rtol=1e-5)


def test_from_scratch_batch_norms_take_the_threshold(net: nn.Module, x: Tensor) -> None:
    snn = direct_snn(net, Neuron(threshold=0.5, alpha=0.8), x)
    norm = snn.graph.get_submodule("norm1")
    assert isinstance(norm, ThresholdBatchNorm)
    assert norm.scale == pytest.approx(0.4)
    kept = direct_snn(net, Neuron(), x, calibration_data=x).graph.get_submodule("norm1")
    assert isinstance(kept, nn.BatchNorm2d)


def test_many_steps_without_leak_are_the_ann(net: nn.Module, x: Tensor) -> None:
    """Rates of integrate-and-fire neurons approach a rectifier as 1 / T.

    Not behind a max-pool: the largest of four spikes comes more often than each of them.
    """
    net.pool = nn.AvgPool2d(2)  # type: ignore[assignment]
    neuron = Neuron("if", 512, percentile=100.0)
    snn = direct_snn(net, neuron, x, calibration_data=x).eval()
    with torch.no_grad():
        ann, rates = net(x), snn(x).mean(dim=0)
    spread = float(ann.max() - ann.min())
    assert float((ann - rates).abs().max()) < 0.02 * spread


def test_the_given_network_stays(net: nn.Module, x: Tensor) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    direct_snn(net, Neuron(), x, calibration_data=x)
    assert all(torch.equal(net.state_dict()[name], before[name]) for name in before)
    assert isinstance(net.relu, nn.ReLU)  # type: ignore[attr-defined]


def test_the_engine_runs_what_was_trained(net: nn.Module, x: Tensor) -> None:
    snn = direct_snn(net, Neuron("plif", 4, decay=0.9), x, calibration_data=x).eval()
    plain = folded(snn)
    with torch.no_grad():
        torch.testing.assert_close(plain(x), snn(x), atol=1e-4, rtol=1e-4)
    run = SpikingEngine(spiking_record(snn)).run(x.numpy(), 4)
    found = evaluate(plain, x)
    np.testing.assert_allclose(run.means, found.outputs, atol=1e-4, rtol=1e-4)
    for name in ("conv1", "conv2", "conv3", "conv4", "fc"):
        per_sample = run.operations[name].sum(axis=0).mean()
        assert per_sample == pytest.approx(found.activity[name].synaptic_operations)
    for name, spikes in found.neuron_spikes.items():
        assert run.spikes[name].sum(axis=0).mean() == pytest.approx(spikes)


def test_frames_are_another_input_at_each_step(net: nn.Module) -> None:
    frames = torch.rand(3, 4, 2, 16, 16, generator=torch.Generator().manual_seed(5))
    first, all_frames = frames[:, 0], frames.flatten(0, 1)
    neuron = Neuron("lif", 4, percentile=80.0)
    snn = direct_snn(net, neuron, first, calibration_data=all_frames, frames=True).eval()
    still = direct_snn(net, neuron, first, calibration_data=all_frames).eval()
    with torch.no_grad():
        repeated = frames[:, :1].expand(3, 4, 2, 16, 16)
        torch.testing.assert_close(snn(repeated), still(first))
        assert not torch.equal(snn(frames), snn(repeated))
    record = spiking_record(snn)
    assert not record.constant_input


def test_a_file_gives_the_same_network(net: nn.Module, x: Tensor, tmp_path: Path) -> None:
    for calibration in (None, x):
        snn = direct_snn(net, Neuron("plif", 3), x, calibration_data=calibration).eval()
        save_snn(tmp_path / "a.pt", snn, accuracy=0.5)
        again = load_snn(tmp_path / "a.pt", Net())
        with torch.no_grad():
            assert torch.equal(snn(x), again(x))
        assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_spikingjellys_neurons_in_the_whole_network(net: nn.Module, x: Tensor) -> None:
    pytest.importorskip("spikingjelly")
    for kind in ("if", "plif"):
        snn = direct_snn(net, Neuron(kind, 4, decay=0.75), x, calibration_data=x).eval()
        other = to_spikingjelly(snn)
        with torch.no_grad():
            torch.testing.assert_close(other(x), snn(x), atol=1e-5, rtol=1e-5)


def images(n: int) -> tuple[Tensor, Tensor]:
    """Bright bars, lying or standing: two classes that no mirror mixes up."""
    generator = torch.Generator().manual_seed(7)
    x = 0.1 * torch.rand(n, 1, 8, 8, generator=generator)
    y = torch.arange(n) % 2
    for i in range(n):
        at = int(torch.randint(1, 7, (1,), generator=generator))
        if y[i]:
            x[i, 0, at] += 0.8
        else:
            x[i, 0, :, at] += 0.8
    return x, y


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1),
        nn.Linear(128, 2),
    )  # fmt: skip


@pytest.mark.parametrize("method", ["ann", "qcfs", "direct"])
def test_every_method_learns(method: str) -> None:
    x, y = images(128)
    recipe = Recipe(epochs=6, batch=16, rate=0.01, shift=1, flip=True)
    made = train_network(small(), x, y, method, recipe, objective=Spiking("ce"))
    with torch.no_grad():
        outputs = made.module(x)
    scores = outputs.mean(dim=0) if method == "direct" else outputs
    assert float((scores.argmax(1) == y).float().mean()) >= 0.95
    assert made.history[-1].loss < 0.5 * made.history[0].loss
    assert not made.module.training


def test_qcfs_starts_at_a_percentile_of_what_the_ann_does() -> None:
    x, _ = images(64)
    network = small()
    start = qcfs_start(network, 4, x, 90.0)
    with torch.no_grad():
        first = network[:2].eval()(x)
    positive = np.sort(first[first > 0].numpy())
    expected = positive[math.ceil(0.9 * positive.size) - 1]
    assert float(start.get_submodule("2").threshold.detach()) == pytest.approx(expected)  # type: ignore[operator]
    assert all(module.quantising for module in qcfs_modules(start).values())


def test_the_penalty_is_a_knob_on_spikes() -> None:
    x, y = images(128)
    recipe = Recipe(epochs=5, batch=16, rate=0.01)
    spikes = []
    for objective in (Spiking(), Spiking(penalty=3.0), Spiking(penalty=3.0, target=10.0)):
        made = train_network(small(), x, y, "direct", recipe, objective=objective)
        spikes.append(evaluate(made.module, x).spikes_per_synapse)  # type: ignore[arg-type]
    assert spikes[1] < 0.7 * spikes[0]
    assert spikes[2] == spikes[0]  # below the target nothing is paid


def test_augmentation_moves_and_mirrors_whole_samples() -> None:
    x = torch.arange(2 * 3 * 5 * 6, dtype=torch.float32).reshape(2, 3, 5, 6) + 1
    x = x.repeat(20, 1, 1, 1)
    seen = set()
    moved = shifted(x, 1, torch.Generator().manual_seed(0))
    padded = F.pad(x, (1, 1, 1, 1))
    for one, whole in zip(moved, padded, strict=True):
        places = [
            (i, j)
            for i, j in itertools.product(range(3), range(3))
            if torch.equal(one, whole[:, i : i + 5, j : j + 6])
        ]
        assert len(places) == 1
        seen.update(places)
    assert len(seen) == 9
    turned = mirrored(x, torch.Generator().manual_seed(0))
    same = [torch.equal(a, b) for a, b in zip(turned, x, strict=True)]
    assert all(s or torch.equal(a, b.flip(-1)) for s, a, b in zip(same, turned, x, strict=True))
    assert 0 < sum(same) < len(same)
