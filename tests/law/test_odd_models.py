"""Models off the beaten track: each is counted rightly. The MACs are worked out by hand."""

from __future__ import annotations

import warnings
from collections import namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

import tospike as ts
from tospike.errors import DataError, ModelError, OptionError, UnsupportedOperatorError
from tospike.network.importers.torch_tables import SPIKING_MODULES, signal_of_module

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


class Masked(nn.Module):
    """A pruned weight, computed in every forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4))
        self.mask = torch.randn(6, 4) > 0

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.relu(), self.weight * self.mask)


class LowRank(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(8, 8)
        self.u, self.v = nn.Parameter(torch.randn(2, 8)), nn.Parameter(torch.randn(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.relu(), self.base.weight + self.v @ self.u, self.base.bias)


class WeightsFirst(nn.Module):
    """An einsum of three operands: the two weights are multiplied first."""

    def __init__(self) -> None:
        super().__init__()
        self.u, self.v = nn.Parameter(torch.randn(4, 5)), nn.Parameter(torch.randn(5, 6))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("ij,jk,bi->bk", self.u, self.v, x.relu())


class Writes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> None:
        self.fc(x.mul_(2).relu_())


class Grouped(nn.Module):
    """Three linear layers side by side, through bmm."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, 5))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.view(x.shape[0], 3, 4).transpose(0, 1).relu()
        return torch.bmm(rows, self.weight).transpose(0, 1)


class Causal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(16, 48)

    def forward(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, 4, 4).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class CellLoop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.LSTMCell(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
        return self.out(state[0])


def normed() -> nn.Module:
    return nn.Sequential(weight_norm(nn.Linear(8, 6)), nn.ReLU(), spectral_norm(nn.Linear(6, 4)))


#: module, shape of the input, MACs, weights
ODD: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, int]] = {
    "weight_norm": (normed, (3, 8), 8 * 6 + 6 * 4, 8 * 6 + 6 * 4),
    "masked": (Masked, (3, 4), 24, 24),
    "low rank": (LowRank, (3, 8), 64, 64),
    "weights first": (WeightsFirst, (3, 4), 24, 24),
    "writes its input": (Writes, (3, 4), 12, 12),
    "grouped": (Grouped, (3, 12), 3 * 4 * 5, 60),
    # dense: 5 x 5 scores of 4 heads of 4, twice
    "causal": (Causal, (3, 5, 16), 5 * 16 * 48 + 2 * 4 * 5 * 5 * 4, 768),
    "cell loop": (CellLoop, (3, 5, 4), 5 * (24 * 4 + 24 * 6) + 12, 24 * 4 + 24 * 6 + 12),
    "transposed 1-d": (
        lambda: nn.ConvTranspose1d(4, 6, 5, stride=3, padding=1, output_padding=2, groups=2),
        (3, 4, 7),
        7 * 4 * 5 * 3,
        4 * 3 * 5,
    ),
    "embedding bag": (
        lambda: nn.Sequential(nn.EmbeddingBag(10, 4), nn.Linear(4, 3)),
        (3, 6),
        12,
        52,
    ),
    "scripted": (
        lambda: torch.jit.script(nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))),
        (3, 8),
        66,
        66,
    ),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_odd_models_are_counted_and_measured(name: str) -> None:
    make, shape, macs, weights = ODD[name]
    module = make()
    x = torch.randint(0, 10, shape) if name == "embedding bag" else torch.randn(shape)
    net = ts.load(module, x)
    assert (net.n_synapses, net.n_weights) == (macs, weights)
    many, one = ts.measure(module, x), ts.measure(module, x, batch_size=1)
    for layer in net.synaptic_layers:
        activity = many[layer.name]
        assert activity.synaptic_operations == one[layer.name].synaptic_operations
        assert activity.zero_fraction == one[layer.name].zero_fraction
        if layer.kind == "linear":  # every input has the same fan-out
            expected = (1 - activity.zero_fraction) * layer.n_synapses
            assert activity.synaptic_operations == pytest.approx(expected)


def test_a_compiled_module_is_the_module() -> None:
    plain = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    x = torch.randn(3, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own
        compiled = torch.compile(plain, backend="eager")
        compiled(x)
        inside = nn.Sequential(torch.compile(plain[0], backend="eager"), plain[1], plain[2])
        assert ts.load(compiled, x).layers == ts.load(plain, x).layers
        assert ts.load(inside, x).n_synapses == 66
        ours, theirs = ts.measure(compiled, x), ts.measure(plain, x)
    assert ours["2"].synaptic_operations == theirs["2"].synaptic_operations


def test_packed_parts_of_a_parameter_count_once() -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 4))

        def forward(self, x: Tensor) -> Tensor:
            some = F.linear(x, self.weight[:2]) + F.linear(x, self.weight[4:])
            return torch.cat([some, F.linear(x, self.weight)], 1)

    net = ts.load(Parts(), torch.zeros(2, 4))
    assert [layer.n_weights for layer in net.synaptic_layers] == [8, 8, 24]
    assert net.synaptic_layers[2].extra["tied_weights"] == 16
    assert net.n_weights == 24


def test_products_by_broadcasting_are_said() -> None:
    class Broadcast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 4))

        def forward(self, x: Tensor) -> Tensor:
            return (x[:, None, :] * self.weight).sum(-1)

    notes = ts.load(Broadcast(), torch.zeros(2, 4)).notes
    assert notes == ("elementwise products with 'weight' are not counted as synapses",)


Pair = namedtuple("Pair", "a b")


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.p, self.q = nn.Linear(4, 2), nn.Linear(6, 2)

    def forward(self, a: Tensor, b: Tensor, scale: float = 1.0) -> Tensor:
        return self.p(a * scale) + self.q(b)


def test_named_tuples_and_arrays_are_inputs() -> None:
    class Named(Two):
        def forward(self, pair: Any) -> Any:  # type: ignore[override]
            return Pair(self.p(pair.a), self.q(pair.b))

    pair = Pair(torch.zeros(2, 4), torch.zeros(2, 6))
    assert ts.load(Named(), (pair,)).n_synapses == 20
    assert ts.load(Two(), (np.zeros((2, 4)), np.zeros((2, 6)))).n_synapses == 20


def forms(a: Tensor, b: Tensor) -> Iterator[tuple[Any, dict[str, Any]]]:
    yield {"a": a, "b": b}, {}
    yield {"scale": 1.0, "a": a, "b": b}, {}
    yield {"scale": torch.tensor(1.0), "a": a, "b": b}, {}
    yield [((a, b), torch.zeros(5))], {}
    yield [(a, b)], {"example_input": (a, b)}
    yield (
        [(a[:2], b[:2], torch.zeros(2)), (a[2:], b[2:], torch.zeros(3))],
        {"example_input": (a, b)},
    )


def test_several_inputs_in_every_form_of_data() -> None:
    module, a, b = Two(), torch.randn(5, 4).relu(), torch.randn(5, 6).relu()
    for data, options in forms(a, b):
        for batch_size in (1, 2, 64):
            found = ts.measure(module, data, batch_size=batch_size, **options)
            assert found["p"].synaptic_operations == float((a != 0).sum()) * 2 / 5
            assert found["q"].synaptic_operations == float((b != 0).sum()) * 2 / 5


def test_spikes_of_several_steps_ahead_of_the_batch_are_calls() -> None:
    """(T, B, features) into a linear layer counts as T steps, as a loop over T does."""

    class Fire(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x > 0).float()

    class Loop(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.net(step) for step in x])

    multi = nn.Sequential(Fire(), nn.Linear(6, 5))
    x = torch.randn(4, 3, 6)
    name = f"{Fire.__module__}.{Fire.__qualname__}"
    SPIKING_MODULES[name] = "spike"
    try:
        for module, layer in ((multi, "1"), (Loop(multi), "net.1")):
            record = ts.load(module, x, batch_dim=1)[layer]
            assert (record.calls, record.n_synapses) == (4, 4 * 30)
            found = ts.measure(module, [x], batch_dim=1)[layer]
            events = float((x > 0).sum()) / 3
            assert (found.signal, found.n_timesteps) == ("spike", 4)
            assert found.spikes_per_synapse == pytest.approx(events * 5 / 30)
            assert found.spikes_per_neuron == pytest.approx(events / 6)
    finally:
        del SPIKING_MODULES[name]


def test_classes_that_moved_into_sub_modules_keep_their_signal() -> None:
    base = type("BaseNode", (nn.Module,), {})
    base.__module__ = "spikingjelly.activation_based.neuron.base_node"
    assert signal_of_module(type("Own", (base,), {})()) == "spike"
    graded = type("LIAFNode", (base,), {})
    graded.__module__ = "spikingjelly.activation_based.neuron.lif_variants"
    assert signal_of_module(graded()) == "analog"
    assert signal_of_module(nn.ReLU()) is None


def broken() -> Iterator[Tensor]:
    yield torch.zeros(2, 4)
    raise ValueError("disk")


BAD: dict[str, tuple[type[Exception], Callable[[], object], str]] = {
    "batch_dim": (
        OptionError,
        lambda: ts.load(nn.Linear(4, 2), torch.zeros(3, 4), batch_dim=-1),
        "batch_dim is -1; None or a whole number >= 0 is needed",
    ),
    "measure batch_dim": (
        OptionError,
        lambda: ts.measure(nn.Linear(4, 2), torch.zeros(3, 4), batch_dim=-1),
        "batch_dim is -1",
    ),
    "batch_size": (
        OptionError,
        lambda: ts.measure(nn.Linear(4, 2), torch.zeros(3, 4), batch_size=2.5),  # type: ignore[arg-type]
        "batch_size is 2.5; a whole number",
    ),
    "thresholds": (
        OptionError,
        lambda: ts.measure(nn.Linear(4, 2), torch.zeros(3, 4), thresholds=0.1),  # type: ignore[arg-type]
        "thresholds is 0.1; a tuple of numbers is needed",
    ),
    "data that raise": (
        DataError,
        lambda: ts.measure(nn.Linear(4, 2), broken()),
        "received: ValueError: disk",
    ),
    "unnamed inputs": (
        DataError,
        lambda: ts.measure(Two(), [(torch.zeros(2, 4), torch.zeros(2, 6), torch.zeros(2))]),
        "3 arrays in a tuple",
    ),
    "unequal inputs": (
        DataError,
        lambda: ts.measure(Two(), [{"a": torch.zeros(2, 4), "b": torch.zeros(3, 6)}]),
        "samples by input: {'a': 2, 'b': 3}",
    ),
    "nested lists": (DataError, lambda: ts.measure(Two(), [[[1.0], [2.0]]]), "without arrays"),
    "lazy": (
        ModelError,
        lambda: ts.measure(nn.LazyLinear(3), torch.zeros(2, 4)),
        "weight: not initialised",
    ),
    "file of another format": (
        ModelError,
        lambda: ts.load("model.pt"),
        "received: a path that ends in '.pt'",
    ),
    "unknown operator, whatever the example": (
        UnsupportedOperatorError,
        lambda: ts.measure(Distances(), [torch.zeros(30, 4)], example_input=torch.zeros(30, 4)),
        "unknown operators that take weights",
    ),
}


class Distances(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.randn(30, 4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cdist(x, self.points)


@pytest.mark.parametrize("name", BAD)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_bad_uses_give_one_clear_error(name: str) -> None:
    error, call, part = BAD[name]
    with pytest.raises(error) as raised:
        call()
    assert part in str(raised.value)


def test_a_model_that_raises_pages_gives_one_screen() -> None:
    class Talks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("boom\n" * 500)

    with pytest.raises(ModelError) as raised:
        ts.load(Talks(), torch.zeros(1, 2))
    assert len(str(raised.value).splitlines()) <= 20


@pytest.mark.parametrize("form", ["reversed", "big-endian", "long double", "Fortran", "read-only"])
def test_arrays_in_any_memory_layout(form: str) -> None:
    x = np.maximum(np.random.default_rng(0).standard_normal((6, 4)), 0).astype(np.float32)
    forms = {
        "reversed": x[::-1, ::-1],
        "big-endian": x.astype(">f4"),
        "long double": x.astype(np.longdouble),
        "Fortran": np.asfortranarray(x),
        "read-only": np.lib.stride_tricks.as_strided(x, x.shape, x.strides, writeable=False),
    }
    found = ts.measure(nn.Sequential(nn.Linear(4, 3)), forms[form])
    assert found["0"].synaptic_operations == np.count_nonzero(x) * 3 / 6


def test_masked_arrays_are_refused() -> None:
    x = np.ma.masked_array(np.ones((6, 4)), np.eye(6, 4))
    with pytest.raises(DataError, match="a masked array"):
        ts.measure(nn.Linear(4, 3), x)
