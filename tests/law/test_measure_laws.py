"""Laws of ``measure``: batch size, memory, state of the module, order of samples, signals."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tospike as ts
from tospike.activity import ActivityProfile
from tospike.activity.accumulate import LayerAccumulator
from tospike.errors import StatisticError
from tospike.network import Layer
from tospike.network.importers.torch_tables import SPIKING_MODULES

# small tensors: more threads only wait for each other
torch.set_num_threads(1)


class Fire(nn.Module):
    """Integrate and fire with soft reset; the state comes and goes as an argument."""

    def forward(self, x: Tensor, v: Tensor | float) -> tuple[Tensor, Tensor]:
        v = v + x
        spikes = (v >= 1.0).to(x.dtype)
        return spikes, v - spikes


class Spiking(nn.Module):
    """A small SNN that loops over T time steps inside, its input repeated."""

    def __init__(self, steps: int = 3) -> None:
        super().__init__()
        self.steps = steps
        self.conv, self.fc = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(48, 4)
        self.fire, self.pool = Fire(), nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        v: Tensor | float = 0.0
        out = torch.zeros(x.shape[0], 4)
        for _ in range(self.steps):
            s, v = self.fire(self.conv(x), v)
            out = out + self.fc(self.pool(s).flatten(1))
        return out


class Merged(nn.Module):
    """The same with time and batch merged into one dimension, time first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(192, 4)

    def forward(self, x: Tensor) -> Tensor:
        steps = torch.stack([x, x.relu(), -x.relu()])
        y = self.conv(steps.flatten(0, 1)).relu()
        return self.fc(y.flatten(1)).unflatten(0, (3, -1)).sum(0)


class Stateful(nn.Module):
    """Keeps its membrane between calls, as many SNN libraries do."""

    v: Any

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.v = nn.Linear(6, 5), nn.Linear(5, 2), 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.v = self.v + self.a(x)
        return self.b((self.v > 0.5).to(x.dtype))


class Einsum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(5, 6))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("btc,oc->bot", x.relu(), self.w)


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)
    )


#: name -> (module, one sample's shape)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "cnn": (cnn, (2, 8, 8)),
    "spiking": (Spiking, (2, 8, 8)),
    "merged": (Merged, (2, 8, 8)),
    "stateful": (Stateful, (6,)),
    "einsum": (Einsum, (4, 6)),
    "gru": (lambda: nn.GRU(4, 5, 2, batch_first=True, bidirectional=True), (6, 4)),
    "lstm": (lambda: nn.LSTM(4, 5, 2, batch_first=True), (6, 4)),
    "attention": (
        lambda: nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, activation="relu"),
        (5, 8),
    ),
}


def make(name: str, samples: int = 7) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(3)
    factory, shape = NETWORKS[name]
    return factory(), torch.randn(samples, *shape)


def same(one: ActivityProfile, two: ActivityProfile) -> None:
    """Bit for bit."""
    assert list(one) == list(two)
    for name in one:
        a, b = one[name], two[name]
        for field in a.__dataclass_fields__:
            left, right = getattr(a, field), getattr(b, field)
            if isinstance(left, np.ndarray):
                np.testing.assert_array_equal(left, right, err_msg=f"{name}.{field}")
            elif isinstance(left, float) and math.isnan(left):
                assert math.isnan(right), (name, field)
            else:
                assert left == right, (name, field)


@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "attention"])
def test_the_batch_size_changes_nothing(name: str) -> None:
    module, x = make(name)
    # Torch's own kernels round differently at other batch sizes; with weights and inputs that
    # are small multiples of 1/8 every sum is exact, so only the counting is compared.
    with torch.no_grad():
        for p in module.parameters():
            p.copy_((p * 16).round() / 8)
    x = (x * 4).round() / 4
    thresholds = (0.0,) if name in ("gru", "lstm") else ()
    whole = ts.measure(module, x, batch_size=64, thresholds=thresholds)
    for batch_size in (1, 3):
        other = ts.measure(module, x, batch_size=batch_size, thresholds=thresholds)
        if name in ("gru", "lstm"):  # tanh and sigmoid are not exact
            same_zeros(whole, other)
        else:
            same(whole, other)


def same_zeros(one: ActivityProfile, two: ActivityProfile) -> None:
    for name in one:
        assert one[name].zero_fraction == two[name].zero_fraction
        assert one[name].synaptic_operations == two[name].synaptic_operations


@pytest.mark.parametrize("name", NETWORKS)
def test_every_synaptic_layer_is_measured(name: str) -> None:
    module, x = make(name)
    net, found = ts.load(module, x[:2]), ts.measure(module, x)
    assert list(found) == [layer.name for layer in net.synaptic_layers]
    for layer in net.synaptic_layers:
        activity = found[layer.name]
        assert 0 <= activity.zero_fraction <= 1
        assert 0 <= activity.synaptic_operations <= layer.n_synapses_exact
        assert activity.n_samples == 7
        assert activity.n_timesteps == layer.calls
        assert len(activity.channel_density) == layer.input_shape[0 if layer.kind == "conv" else -1]


def test_dense_positive_input_gives_all_exact_synapses() -> None:
    module = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Sigmoid(), nn.Flatten(),
                           nn.Linear(64, 3))  # fmt: skip
    x = torch.rand(2, 2, 8, 8) + 0.1
    net, found = ts.load(module, x), ts.measure(module, x)
    for layer in net.synaptic_layers:
        assert found[layer.name].synaptic_operations == layer.n_synapses_exact


@pytest.mark.parametrize("name", NETWORKS)
def test_the_module_stays_as_it_was(name: str) -> None:
    module, x = make(name)
    module.train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    rng = torch.random.get_rng_state()
    ts.measure(module, x, batch_size=3)
    assert all(m.training for m in module.modules())
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), rng)
    if name == "stateful":
        assert module.v == 0.0


def test_the_mean_over_time_steps_of_a_spiking_network() -> None:
    module, x = make("spiking")
    SPIKING_MODULES[f"{Fire.__module__}.Fire"] = "spike"
    try:
        net, found = ts.load(module, x), ts.measure(module, x)
    finally:
        del SPIKING_MODULES[f"{Fire.__module__}.Fire"]
    spikes = torch.zeros(len(x), dtype=torch.float64)
    v: Any = 0.0
    for _ in range(3):
        s, v = module.fire(module.conv(x).detach(), v)
        spikes += module.pool(s).flatten(1).sum(1)
    mean = spikes.mean().item()
    fc = found["fc"]
    assert (found["conv"].signal, fc.signal) == ("analog", "spike")
    assert fc.synaptic_operations == pytest.approx(4 * mean, rel=1e-12)
    assert fc.spikes_per_neuron == pytest.approx(mean / 48, rel=1e-12)
    assert fc.spikes_per_synapse == pytest.approx(mean / 48, rel=1e-12)
    assert fc.zero_fraction == pytest.approx(1 - mean / (3 * 48), rel=1e-12)
    assert fc.n_timesteps == net["fc"].calls == 3
    assert found["conv"].spikes_per_synapse is None


def test_values_are_checked_against_a_declared_spike_signal() -> None:
    class Graded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.relu()

    name = f"{Graded.__module__}.{Graded.__qualname__}"
    SPIKING_MODULES[name] = "spike"
    try:
        with pytest.raises(StatisticError, match="other than 0 and 1"):
            ts.measure(nn.Sequential(Graded(), nn.Linear(4, 2)), torch.rand(3, 4))
    finally:
        del SPIKING_MODULES[name]


def test_state_goes_on_over_a_sequence_and_not_over_samples() -> None:
    module, x = make("stateful")
    with torch.no_grad():
        values = module.a(x)
    apart = (values > 0.5).sum().item()
    together = (values.cumsum(0) > 0.5).sum().item()
    assert apart != together
    assert ts.measure(module, x)["b"].zero_fraction == 1 - apart / values.numel()
    assert ts.measure(module, x, sequence=True)["b"].zero_fraction == pytest.approx(
        1 - together / values.numel(), abs=1e-12
    )


class Loader:
    """A data loader of (x, y) batches of uneven size that can be run through once."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start, stop in ((0, 2), (2, 3), (3, len(self.x))):
            yield self.x[start:stop], torch.zeros(stop - start)


def test_forms_of_data_agree(tmp_path: Any) -> None:
    module, x = make("cnn")
    whole = ts.measure(module, x)
    np.save(tmp_path / "x.npy", x.numpy())
    for data in (
        x.numpy(),
        x.double().numpy(),
        Loader(x),
        iter(Loader(x)),
        {"input": x},
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=4),
        tmp_path / "x.npy",
    ):
        same(whole, ts.measure(module, data))
    single = list(x)
    conv = nn.Conv2d(2, 4, 3)
    same(ts.measure(conv, x), ts.measure(conv, single, batch_dim=None))
    same(ts.measure(conv, x[:5]), ts.measure(conv, Loader(x), max_samples=5))


def test_memory_grows_neither_with_samples_nor_with_time_steps() -> None:
    layers = [
        Layer("c", "conv", (4, 8, 8), (4, 8, 8), (3, 3), (1, 1), (1, 1), (1, 1)),
        Layer("r", "rnn_input", (16,), (48,)),
    ]

    def peak(batches: int, steps: int) -> int:
        rng = np.random.default_rng(0)
        image = rng.random((4, 4, 8, 8), dtype=np.float32)
        step = rng.random((1, 4, 16), dtype=np.float32)
        accumulators = [LayerAccumulator(layer, thresholds=(0.1,)) for layer in layers]
        tracemalloc.start()
        for _ in range(batches):
            accumulators[0].update(image, n_samples=4)
            for _ in range(steps):
                accumulators[1].update_sequence(step)
            for accumulator in accumulators:
                accumulator.end_batch()
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    peak(1, 1)  # compiles
    few, many = peak(10, 10), peak(100, 100)
    assert many < few + 2048  # one batch of inputs has 4096 bytes


def test_a_trace_is_made_again_when_weights_change() -> None:
    module, x = make("cnn")
    ts.measure(module, x)
    with torch.no_grad():
        module[0].weight.fill_(float("nan"))
    with pytest.raises(ts.TospikeError, match="NaN"):
        ts.measure(module, x)
