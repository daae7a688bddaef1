"""``load`` for torch modules: counts against PyTorch's own FLOP counter, and laws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tospike as ts
from tospike.network.importers import torch_trace
from tospike.network.importers.torch_provenance import CONSTANT, Info, Parameters, Provenance
from tospike.network.importers.torch_trace import TraceMode, trace

# small tensors: more threads only wait for each other
torch.set_num_threads(1)


class Functional(nn.Module):
    """Plain functions with parameters of any name, also transposed and sliced."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(6, 3, 3, 3))
        self.matrix = nn.Parameter(torch.randn(6, 5))
        self.table = nn.Parameter(torch.randn(4, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.kernel, stride=2).mean((2, 3))
        x = F.linear(x, self.matrix.t())
        return x @ self.table.t() + torch.einsum("bi,oi->bo", x, self.table)


class Residual(nn.Module):
    """Two blocks that share one convolution, depthwise, grouped and string-padded ones."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.shared = nn.Conv2d(8, 8, 3, padding="same", dilation=2, groups=2)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8, padding=1)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.stem(x)), inplace=True)
        x = F.relu(self.shared(x)) + x
        x = F.relu(self.depthwise(self.shared(x))) + x
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Attention(nn.Module):
    def __init__(self, need_weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        y = self.attention(x, x, x, need_weights=self.need_weights)[0]
        return self.attention(y, x, x, need_weights=self.need_weights)[0]


class Cells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.gru, self.rnn = nn.LSTMCell(4, 5), nn.GRUCell(5, 3), nn.RNNCell(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        state: Any = None
        h = x.new_zeros(x.shape[0], 3)
        r = x.new_zeros(x.shape[0], 2)
        for t in range(x.shape[1]):
            state = self.lstm(x[:, t], state)
            h = self.gru(state[0], h)
            r = self.rnn(h, r)
        return r


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embedding(x))


class Hand(nn.Module):
    """A recurrent network written by hand with a learned first state."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.u = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(5, 5))

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], 5)
        for t in range(x.shape[1]):
            h = torch.tanh(F.linear(x[:, t], self.w) + h @ self.u)
        return h


def transformer() -> nn.Module:
    return nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False
    )


#: name -> (module, input of one sample with batch 1). Counted by PyTorch's FLOP counter too.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Tensor]]] = {
    "linear": (lambda: nn.Linear(4, 3), lambda b: torch.randn(b, 4)),
    "linear_tokens": (lambda: nn.Linear(4, 3), lambda b: torch.randn(b, 2, 5, 4)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 5, stride=2, groups=2), lambda b: torch.randn(b, 4, 17)),
    "conv2d": (
        lambda: nn.Conv2d(3, 6, (3, 2), stride=2, padding=1, dilation=(1, 2)),
        lambda b: torch.randn(b, 3, 9, 8),
    ),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2, padding=1), lambda b: torch.randn(b, 2, 4, 5, 3)),
    "transposed": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        lambda b: torch.randn(b, 4, 5, 6),
    ),
    "functional": (Functional, lambda b: torch.randn(b, 3, 7, 7)),
    "residual": (Residual, lambda b: torch.randn(b, 3, 8, 8)),
    "attention": (lambda: Attention(False), lambda b: torch.randn(b, 5, 8)),
    "attention_weights": (lambda: Attention(True), lambda b: torch.randn(b, 5, 8)),
    "transformer": (transformer, lambda b: torch.randn(b, 5, 8)),
    "cells": (Cells, lambda b: torch.randn(b, 3, 4)),
    "gru": (
        lambda: nn.GRU(4, 3, 2, bidirectional=True, batch_first=True),
        lambda b: torch.randn(b, 7, 4),
    ),
    "tied": (Tied, lambda b: torch.randint(0, 11, (b, 7))),
    "hand": (Hand, lambda b: torch.randn(b, 6, 4)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_macs_equal_half_of_the_flop_counter(name: str) -> None:
    make, example = NETWORKS[name]
    module = make().eval()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        module(example(1).requires_grad_(name != "tied"))
    assert ts.load(module, example(1)).n_synapses == counter.get_total_flops() / 2


@pytest.mark.parametrize("name", NETWORKS)
def test_the_batch_size_of_the_example_changes_nothing(name: str) -> None:
    make, example = NETWORKS[name]
    module = make()
    one = ts.load(module, example(1))
    for batch in (2, 5):
        other = ts.load(module, example(batch))
        assert other.layers == one.layers
        assert other.edges == one.edges
        assert other.input_shapes == one.input_shapes


@pytest.mark.parametrize("name", NETWORKS)
def test_meta_and_real_tensors_agree(name: str) -> None:
    make, example = NETWORKS[name]
    with torch.device("meta"):
        module = make()
    assert ts.load(module, example(1)).layers == ts.load(make(), example(1)).layers


@pytest.mark.parametrize("name", NETWORKS)
def test_all_weights_are_found_once(name: str) -> None:
    make, example = NETWORKS[name]
    module = make()
    norms = {n for n, m in module.named_modules() if isinstance(m, nn.LayerNorm | nn.BatchNorm2d)}
    weights = sum(
        p.numel()
        for n, p in module.named_parameters()
        if "bias" not in n and n.rpartition(".")[0] not in norms
    )
    # also where a weight is tied to two layers or a packed projection is used in two parts
    assert ts.load(module, example(1)).n_weights == weights


@pytest.mark.parametrize("name", NETWORKS)
def test_the_module_stays_as_it_was(name: str) -> None:
    make, example = NETWORKS[name]
    module = make().train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    attributes = {n: set(m.__dict__) for n, m in module.named_modules()}
    x = example(2)
    state = torch.random.get_rng_state()
    ts.load(module, x)
    assert all(m.training for m in module.modules())
    assert {n: set(m.__dict__) for n, m in module.named_modules()} == attributes
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(p.is_inference() for p in module.parameters())
    if x.is_floating_point():
        out = module(x)
        (out[0] if isinstance(out, tuple) else out).sum().backward()  # still trains


def exact_by_brute_force(module: nn.Module, x: Tensor) -> int:
    """Products of a convolution that do not meet padding: a convolution of ones with ones."""
    ones = torch.ones_like(x, dtype=torch.float64)
    copy = module.double()
    with torch.no_grad():
        for p in copy.parameters():
            p.fill_(1.0)
        if copy.bias is not None:
            copy.bias.zero_()
        return int(copy(ones).sum().item())


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv1d(4, 6, 5, stride=3, padding=4, groups=2),
        nn.Conv1d(4, 6, 4, padding="same", groups=2),
        nn.Conv1d(4, 6, 4, padding="same", dilation=3),
        nn.ConvTranspose1d(4, 6, 4, stride=3, padding=3, output_padding=2, groups=2),
        nn.ConvTranspose1d(4, 6, 3, dilation=2, padding=1, bias=False),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_border_exact_synapses(module: nn.Module) -> None:
    x = torch.randn(1, 4, 13)
    (layer,) = ts.load(module, x).synaptic_layers
    assert layer.n_synapses_exact == exact_by_brute_force(module, x)
    assert layer.n_synapses_exact < layer.n_synapses


def test_layers_of_a_residual_network_by_hand() -> None:
    net = ts.load(Residual(), torch.randn(1, 3, 8, 8))
    rows = [(x.name, x.kind, x.n_synapses, x.n_weights, x.n_biases, x.calls) for x in net]
    assert rows == [
        ("stem", "conv", 64 * 8 * 27, 216, 0, 1),
        ("bn", "batch_norm", 0, 0, 0, 1),
        ("relu", "relu", 0, 0, 0, 1),
        ("shared", "conv", 2 * 64 * 8 * 36, 288, 8, 2),
        ("relu_1", "relu", 0, 0, 0, 1),
        ("add", "add", 0, 0, 0, 1),
        ("depthwise", "conv", 64 * 8 * 9, 72, 8, 1),
        ("relu_2", "relu", 0, 0, 0, 1),
        ("add_1", "add", 0, 0, 0, 1),
        ("avg_pool", "avg_pool", 0, 0, 0, 1),
        ("fc", "linear", 80, 80, 10, 1),
    ]
    edges = {(e.source, e.target) for e in net.edges}
    assert {("relu", "add"), ("relu_1", "add"), ("add", "add_1"), ("relu_2", "add_1")} <= edges
    assert ("add", "shared") not in edges  # it goes back: the second call of a shared layer
    assert "recurrent connection add -> shared" in net.notes
    assert net.outputs == ("fc",)


def test_a_transformer_layer_has_all_projections_and_both_products() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    net = ts.load(layer, torch.randn(1, 5, 8))
    assert {x.name: x.n_synapses for x in net.synaptic_layers} == {
        "self_attn.in_proj_weight": 5 * 8 * 24,
        "self_attn.scaled_dot_product_attention": 5 * 5 * 8,
        "self_attn.scaled_dot_product_attention_1": 5 * 5 * 8,
        "self_attn.out_proj": 5 * 8 * 8,
        "linear1": 5 * 8 * 16,
        "linear2": 5 * 16 * 8,
    }
    edges = {(e.source, e.target) for e in net.synaptic_edges}
    assert ("self_attn.in_proj_weight", "self_attn.scaled_dot_product_attention_1") in edges
    assert ("self_attn.out_proj", "linear2") not in edges
    assert ("linear1", "linear2") in edges


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers_by_hand(kind: str, batch_first: bool) -> None:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    module = getattr(nn, kind)(4, 5, 2, bidirectional=True, batch_first=batch_first)
    x = torch.randn(2, 7, 4)
    net = ts.load(
        module, x if batch_first else x.transpose(0, 1), batch_dim=0 if batch_first else 1
    )
    assert [x.name for x in net.synaptic_layers[:3]] == [
        "weight_ih_l0",
        "weight_hh_l0",
        "weight_ih_l0_reverse",
    ]
    assert net["weight_ih_l0"].n_synapses == 7 * gates * 5 * 4
    assert net["weight_ih_l1"].n_synapses == 7 * gates * 5 * 10
    assert net["weight_hh_l1_reverse"].n_synapses == 7 * gates * 5 * 5
    assert {x.calls for x in net.synaptic_layers} == {7}
    assert ("weight_hh_l0", "weight_ih_l1") in {(e.source, e.target) for e in net.edges}


def test_lstm_with_projection_by_hand() -> None:
    module = nn.LSTM(4, 5, proj_size=3)
    with pytest.warns(UserWarning, match="projections"):
        net = ts.load(module, torch.randn(7, 1, 4), batch_dim=1)
    assert {x.name: x.n_synapses for x in net} == {
        "weight_ih_l0": 7 * 20 * 4,
        "weight_hh_l0": 7 * 20 * 3,
        "weight_hr_l0": 7 * 3 * 5,
    }


def test_packed_sequences_are_counted() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.gru(nn.utils.rnn.pack_padded_sequence(x, [7]))[1]

    net = ts.load(Packed(), torch.randn(7, 1, 4), batch_dim=1)
    assert net["gru.weight_ih_l0"].n_synapses == 7 * 9 * 4


def test_bilinear_by_hand() -> None:
    module = nn.Bilinear(3, 4, 5)
    net = ts.load(module, (torch.randn(2, 3), torch.randn(2, 4)))
    assert net.n_synapses == 3 * 4 * 5 + 4 * 5
    assert net.layers[0].n_weights == 60


@pytest.mark.parametrize("wrap", ["weight_norm", "spectral_norm", "parametrized_weight_norm"])
def test_reparametrised_weights_keep_the_plain_name(wrap: str) -> None:
    if wrap == "parametrized_weight_norm":
        layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    elif wrap == "weight_norm":
        with pytest.warns(FutureWarning):
            layer = nn.utils.weight_norm(nn.Linear(4, 3))
    else:
        layer = nn.utils.spectral_norm(nn.Linear(4, 3))
    net = ts.load(nn.Sequential(layer), torch.randn(2, 4))
    assert [(x.name, x.n_synapses, x.n_weights) for x in net] == [("0", 12, 12)]


def test_in_place_operations_and_views_make_no_false_edges() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Linear(4, 4) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            y = torch.empty(x.shape[0], 8)
            y[:, :4] = self.a(x)
            y[:, 4:] = self.b(x).relu_()
            left, right = y.chunk(2, dim=1)
            del x
            return self.c(left.add_(right))

    net = ts.load(Model(), torch.randn(2, 4))
    assert {(e.source, e.target) for e in net.synaptic_edges} == {
        ("input", "a"),
        ("input", "b"),
        ("a", "c"),
        ("b", "c"),
    }


def test_no_batch_dimension() -> None:
    net = ts.load(nn.Conv2d(3, 4, 3), torch.randn(3, 8, 8), batch_dim=None)
    assert net.layers[0].n_synapses == 36 * 4 * 27
    assert net.layers[0].input_shape == (3, 8, 8)


def test_keyword_inputs() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, *, x: Tensor, scale: Tensor) -> Tensor:
            return self.fc(x * scale)

    example = {"x": torch.randn(2, 4), "scale": torch.randn(2, 1)}
    assert ts.load(Model(), example).n_synapses == 12


def test_a_module_with_state_is_restored_and_noted() -> None:
    class Neuron(nn.Module):
        v: Any

        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)
            self.v = 0.0
            self.register_buffer("steps", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.v = self.v + self.fc(x)
            self.steps += 1
            return self.v

    module = Neuron()
    net = ts.load(module, torch.randn(1, 4))
    assert module.v == 0.0
    assert module.steps.item() == 0
    assert net.notes == ("keeps state between calls: Neuron",)


def test_a_model_of_one_batch_size_is_counted() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x.reshape(1, 4))

    assert ts.load(Fixed(), torch.randn(1, 4)).n_synapses == 12


def test_spikes_are_declared_by_the_module_that_makes_them() -> None:
    from tospike.network.importers.torch_tables import SPIKING_MODULES

    class Fire(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x > 0).float()

    name = f"{Fire.__module__}.{Fire.__qualname__}"
    SPIKING_MODULES[name] = "spike"
    try:
        module = nn.Sequential(
            nn.Conv2d(1, 2, 3), Fire(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 4), nn.ReLU(),
            nn.Linear(4, 2),
        )  # fmt: skip
        sites = trace(module, torch.randn(1, 1, 8, 8)).sites.values()
        assert {s.layer: s.signal for found in sites for s in found} == {
            "0": "analog",
            "4": "spike",
            "6": "analog",
        }
    finally:
        del SPIKING_MODULES[name]


def test_a_recycled_address_does_not_pass_for_the_tensor_that_was_there() -> None:
    provenance = Provenance(Parameters(nn.Module()))
    for _ in range(100):
        fresh = torch.zeros(10)
        assert provenance.get(fresh) == CONSTANT
        provenance.set(fresh, Info(data=True))
        del fresh


@pytest.mark.parametrize("name", NETWORKS)
def test_interception_does_not_change_the_output(name: str) -> None:
    make, example = NETWORKS[name]
    module, x = make().eval(), example(2)
    mode = TraceMode(module, (x,))
    found, expected = mode.run((x,)), module(x)
    if isinstance(expected, tuple):
        found, expected = found[0], expected[0]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_second_run_on_meta_tensors_gives_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, example = NETWORKS[name]
    module, x = make(), example(1)
    plain = ts.load(module, x)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    monkeypatch.setattr(torch_trace, "SLOW_SECONDS", 0.0)
    assert ts.load(module, x).layers == plain.layers
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert not any(t.is_meta for t in module.state_dict().values())
    module(x)


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.PReLU(4), "prelu"),
        (nn.ReLU6(), "hardtanh"),
        (nn.Hardtanh(0.0, 6.0), "hardtanh"),
        (nn.GELU(), "gelu"),
        (nn.SiLU(), "silu"),
        (nn.Softmax(1), "softmax"),
        (nn.BatchNorm2d(4), "batch_norm"),
        (nn.GroupNorm(2, 4), "group_norm"),
        (nn.LayerNorm(8), "layer_norm"),
        (nn.MaxPool2d(2), "max_pool"),
        (nn.AvgPool2d(2), "avg_pool"),
        (nn.AdaptiveAvgPool2d(2), "avg_pool"),
        (nn.Upsample(scale_factor=2, mode="bilinear"), "upsample"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_layers_without_synapses_are_one_layer_with_its_module_name(
    module: nn.Module, kind: str
) -> None:
    net = ts.load(nn.Sequential(nn.Identity(), module), torch.rand(2, 4, 8, 8))
    assert [(x.name, x.kind, x.n_synapses, x.input_shape) for x in net] == [
        ("1", kind, 0, (4, 8, 8))
    ]


def test_bounds_of_a_clamp_are_kept() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.clamp(0, 6) + x.clamp(min=0.5) + F.hardtanh(x)

    net = ts.load(Model(), torch.rand(1, 3))
    assert [x.extra for x in net if x.kind in ("clamp", "hardtanh")] == [
        {"min": 0.0, "max": 6.0},
        {"min": 0.5},
        {"min": -1.0, "max": 1.0},
    ]


def test_a_weight_that_is_no_parameter_has_the_name_of_its_operation() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = torch.randn(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.matrix)

    net = ts.load(nn.Sequential(Model()), torch.rand(1, 4))
    assert [(x.name, x.kind, x.n_synapses, x.n_weights) for x in net] == [
        ("0.linear", "linear", 12, 12)
    ]


def test_rows_that_depend_on_the_values_are_refused() -> None:
    class Routed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x[x[:, 0] > 0])

    x = torch.tensor([[1.0], [-1.0], [1.0]]).expand(3, 4)
    with pytest.raises(ts.TospikeError, match="give an example input of one sample"):
        ts.load(Routed(), x)
