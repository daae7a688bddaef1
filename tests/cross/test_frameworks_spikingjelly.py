"""SpikingJelly's networks, unedited: counts equal to a hand count and to its own counter."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from frameworks_by_hand import (
    Case,
    by_hand,
    check_batches,
    check_counts,
    check_left_as_found,
    load,
    quietly,
)
from torch import Tensor, nn

import tospike as ts
from tospike.errors import DataError, OptionError
from tospike.implementation import Implementation
from tospike.network.importers.neurons import neurons_of

quietly("spikingjelly")
from spikingjelly.activation_based import functional, layer, neuron  # noqa: E402

T, N = 3, 4


def images() -> Tensor:
    return torch.rand(N, T, 2, 8, 8, generator=torch.Generator().manual_seed(1)) * 2


class Block(nn.Module):
    """Spikes plus spikes: the sum is analog."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = layer.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn = layer.BatchNorm2d(4)
        self.sn = neuron.LIFNode(decay_input=False, v_reset=None)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.sn(self.bn(self.conv(x)))


def vgg(mode: str) -> nn.Sequential:
    net = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1), layer.BatchNorm2d(4), neuron.IFNode(),
        layer.MaxPool2d(2), Block(), layer.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        neuron.LIFNode(), layer.AvgPool2d(2), layer.Flatten(), layer.Dropout(0.2),
        layer.Linear(6, 5), neuron.ParametricLIFNode(init_tau=1.5), layer.Linear(5, 3),
    )  # fmt: skip
    functional.set_step_mode(net, mode)
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, nn.Linear | nn.Conv2d):
                m.weight.mul_(12 if isinstance(m, nn.Linear) else 3)
    return net


class Loop(nn.Module):
    """T steps of a single-step network, inside of forward."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self.net)
        return torch.stack([self.net(x[:, t]) for t in range(x.shape[1])]).mean(0)


class Recurrent(nn.Module):
    """An elementwise and a linear recurrent container between linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = layer.Linear(12, 8)
        self.rec = layer.LinearRecurrentContainer(neuron.IFNode(), 8, 8)
        self.fc2 = layer.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        return torch.stack([self.fc2(self.rec(self.fc1(x[:, t]))) for t in range(x.shape[1])])


def steps_of(module: nn.Module, x: Tensor) -> None:
    functional.reset_net(module)
    for t in range(x.shape[1]):
        module(x[:, t])


def multi(module: nn.Module, x: Tensor) -> None:
    functional.reset_net(module)
    module(x.transpose(0, 1))


SIGNALS = {
    "0": "analog", "4.conv": "spike", "5": "analog", "10": "analog", "12": "spike"
}  # fmt: skip
NEURONS = {"2": 256, "4.sn": 64, "6": 24, "11": 5}


def prefixed(found: dict[str, Any]) -> dict[str, Any]:
    return {f"net.{key}": value for key, value in found.items()}


class Tokens(nn.Module):
    """(T, B, tokens, features), as in spiking transformers; the head sees the mean over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = layer.Linear(6, 8), layer.Linear(8, 4), layer.Linear(4, 3)
        self.sn1, self.sn2 = neuron.IFNode(step_mode="m"), neuron.LIFNode(step_mode="m")
        with torch.no_grad():
            self.two.weight.mul_(6)

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        x = self.sn2(self.two(self.sn1(self.one(x))))
        return self.head(x.mean(2)).mean(0)


CASES = {
    "tokens": Case(
        Tokens,
        lambda: torch.rand(N, T, 5, 6, generator=torch.Generator().manual_seed(2)) * 4,
        lambda m, x: m(x.transpose(0, 1)),
        N,
        T,
        {"one": "analog", "two": "spike", "head": "analog"},
        {"sn1": 40, "sn2": 20},
        {"batch_dim": 1},
    ),
    "multi-step": Case(lambda: vgg("m"), images, multi, N, T, SIGNALS, NEURONS, {"batch_dim": 1}),
    "one call per step": Case(
        lambda: vgg("s"), images, steps_of, N, T, SIGNALS, NEURONS, {"time_dim": 1}
    ),
    "time first": Case(
        lambda: vgg("s"),
        lambda: images().transpose(0, 1),
        lambda m, x: steps_of(m, x.transpose(0, 1)),
        N,
        T,
        SIGNALS,
        NEURONS,
        {"time_dim": 0},
    ),
    "same image": Case(
        lambda: vgg("s"),
        lambda: images()[:, 0],
        lambda m, x: steps_of(m, x[:, None].expand(-1, 5, -1, -1, -1)),
        N,
        5,
        SIGNALS,
        NEURONS,
        {"timesteps": 5},
    ),
    "loop in forward": Case(
        lambda: Loop(vgg("s")),
        images,
        lambda m, x: m(x),
        N,
        T,
        prefixed(SIGNALS),
        prefixed(NEURONS),
    ),
    "recurrent": Case(
        Recurrent,
        lambda: torch.rand(N, T, 12, generator=torch.Generator().manual_seed(2)) * 6,
        lambda m, x: m(x),
        N,
        T,
        {"fc1": "analog", "rec.rc": "analog", "fc2": "spike"},
        {"rec.sub_module": 8},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_counts_equal_the_hand_count(name: str) -> None:
    check_counts(CASES[name])


@pytest.mark.parametrize("name", ["tokens", "multi-step", "one call per step", "recurrent"])
def test_counts_do_not_depend_on_the_batch(name: str) -> None:
    check_batches(CASES[name])


@pytest.mark.parametrize("name", ["multi-step", "time first", "same image", "recurrent"])
def test_the_module_is_left_as_found(name: str) -> None:
    check_left_as_found(CASES[name])


def test_three_ways_to_run_one_network_cost_the_same() -> None:
    """Multi-step, one call per step and a loop in forward: the same spikes, the same joules."""
    costs = []
    for name in ("multi-step", "one call per step", "loop in forward"):
        network, activity = load(CASES[name]), CASES[name].measure()
        for kind in ("if_inst", "lif_inst", "lif_cont"):
            counts = ts.count(network, activity, Implementation("snn", kind, n_timesteps=T))
            costs.append(float(ts.price(counts, "dampfhoffer_2022_45nm_8b").energy))
    assert costs[:3] == pytest.approx(costs[3:6], rel=1e-12)
    assert costs[:3] == pytest.approx(costs[6:], rel=1e-12)


@pytest.mark.parametrize("name", ["multi-step", "one call per step"])
def test_the_counted_synaptic_events_are_the_measured_ones(name: str) -> None:
    """Dampfhoffer 2022, eq. 4 and 7: one AC and one weight read per spike and synapse, and with
    a leak one multiplication per neuron and time step."""
    case = CASES[name]
    network, activity = load(case), case.measure()
    operations, _ = by_hand(case)
    spiking = [k for k, signal in SIGNALS.items() if signal == "spike"]
    counts = ts.count(network, activity, Implementation("snn", "lif_inst", n_timesteps=T))

    def total(layer: str, action: str, datatype: str, part: str) -> float:
        return sum(
            float(e.count)
            for e in counts
            if (e.layer, e.action, e.datatype, e.part) == (layer, action, datatype, part)
        )

    reads = {layer: total(layer, "read", "weight", "synapse") for layer in spiking}
    assert min(reads.values()) > 0
    assert reads == {layer: pytest.approx(operations[layer] / N) for layer in spiking}
    # 4.conv feeds 64 neurons, 12 has 3 outputs: their states are leaked in all T steps
    leaks = {layer: total(layer, "write", "state", "neuron") for layer in spiking}
    assert leaks == {"4.conv": 64 * T, "12": 3 * T}


def test_another_number_of_time_steps_is_refused() -> None:
    case = CASES["one call per step"]
    once = ts.load(case.module(), case.data()[:, 0])
    with pytest.raises(OptionError, match="load with the number of calls") as caught:
        ts.count(once, case.measure(), Implementation("snn", n_timesteps=T))
    assert "0: 1 calls loaded, 3 measured" in str(caught.value)
    with pytest.raises(OptionError, match="n_timesteps=2"):
        ts.count(load(case), case.measure(), Implementation("snn", n_timesteps=2))


def test_a_network_that_spikes_already_is_not_asked_whether_to_spike() -> None:
    case = CASES["loop in forward"]
    with pytest.raises(OptionError, match="spikes already: 4 populations") as caught:
        ts.decide(load(case), case.measure())
    assert "Implementation('snn', n_timesteps=3)" in str(caught.value)


@pytest.mark.parametrize("name", ["multi-step", "same image", "recurrent"])
def test_spikingjellys_own_counter_agrees(name: str) -> None:
    """Its SynOpCounter takes the products whose input is binary; ours, those declared as spikes."""
    from spikingjelly.activation_based import op_counter

    case = CASES[name]
    counter = op_counter.SynOpCounter()
    with torch.no_grad(), op_counter.DispatchCounterMode([counter]):
        case.run(case.module(), case.data())
    spiking = [a for a in case.measure().layers.values() if a.signal == "spike"]
    assert counter.get_total() == round(sum(a.synaptic_operations for a in spiking) * N) > 0


#: calls so far, and tensors alive at the end of every tenth of them; outside of the module, whose
#: own attributes are put back
CALLS, ALIVE = [0], list[int]()


class Watched(nn.Module):
    """Counts the tensors that are alive when a step ends."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        out = self.net(x)
        CALLS[0] += 1
        if CALLS[0] % 10 == 0:
            ALIVE.append(sum(type(o) is Tensor for o in gc.get_objects()))
        return out


def test_memory_does_not_grow_with_the_time_steps() -> None:
    ALIVE.clear()
    ts.measure(Watched(vgg("s")).eval(), images()[:, 0], timesteps=50)
    # the last three are all of the run of fifty steps
    assert len(ALIVE) >= 4
    assert max(ALIVE[-3:]) <= ALIVE[-4]


def test_options_that_do_not_fit() -> None:
    net, x = vgg("s"), images()
    cases: dict[str, dict[str, Any]] = {
        "timesteps is 0": {"timesteps": 0},
        "time_dim is -1": {"time_dim": -1},
        "have their own time steps": {"timesteps": 3, "time_dim": 1},
        "samples are time steps there": {"timesteps": 3, "sequence": True},
        "input_signal is 'delta'": {"input_signal": "delta"},
    }
    for text, options in cases.items():
        with pytest.raises(OptionError, match=text):
            ts.measure(net, x[:, 0], **options)
    with pytest.raises(OptionError, match="keeps no state from one call to the next"):
        ts.measure(nn.Conv2d(2, 4, 3), x[:, 0], timesteps=3)
    with pytest.raises(DataError, match=r"shape \(4, 2, 8, 8\), time_dim 4"):
        ts.measure(net, x[:, 0], time_dim=4)
    with pytest.raises(OptionError, match="timesteps is 0"):
        ts.load(net, x[:, 0], timesteps=0)


def test_one_call_of_a_stateful_model_is_said() -> None:
    notes = ts.measure(vgg("s"), images()[:, 0]).notes
    assert any("give timesteps= or time_dim=" in note for note in notes)
    assert any(note.startswith("neurons: 1 x if (SpikingJelly IFNode)") for note in notes)


def test_signals_through_the_graph() -> None:
    """What keeps spikes and what makes them analog, one operation at a time."""

    def signal_after(*between: nn.Module) -> str:
        net = nn.Sequential(layer.Conv2d(2, 4, 3), neuron.IFNode(), *between, nn.LazyConv2d(2, 1))
        net.eval()(torch.rand(1, 2, 8, 8))
        functional.reset_net(net)
        return ts.measure(net, images()[:, 0], timesteps=2)[str(len(net) - 1)].signal

    keeps = (nn.MaxPool2d(2), nn.Dropout(0.5), nn.Identity(), nn.ZeroPad2d(1), nn.PixelShuffle(2),
             nn.UpsamplingNearest2d(scale_factor=2), nn.Upsample(scale_factor=2))  # fmt: skip
    changes = (nn.AvgPool2d(2), nn.BatchNorm2d(4), nn.Upsample(scale_factor=2, mode="bilinear"),
               nn.AdaptiveAvgPool2d(2), nn.ReLU())  # fmt: skip
    assert {type(m).__name__: signal_after(m) for m in keeps} == {
        type(m).__name__: "spike" for m in keeps
    }
    assert {type(m).__name__: signal_after(m) for m in changes} == {
        type(m).__name__: "analog" for m in changes
    }


class Joined(nn.Module):
    """Two spike trains, joined in one of several ways."""

    def __init__(self, how: Any) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 4), nn.Linear(6, 4)
        self.sn1, self.sn2 = neuron.IFNode(), neuron.IFNode()
        self.fc = nn.LazyLinear(3)
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.how(self.sn1(self.one(x)), self.sn2(self.two(x))))


@pytest.mark.parametrize(
    ("how", "signal"),
    [
        (lambda a, b: torch.cat([a, b], -1), "spike"),
        (lambda a, b: torch.stack([a, b], -1).flatten(-2), "spike"),
        (lambda a, b: a * b, "spike"),  # AND
        (lambda a, b: a + b, "analog"),
        (lambda a, b: a * 0.5, "analog"),
        (lambda a, b: (1 - a) * b, "analog"),
        (lambda a, b: torch.cat([a, b * 2], -1), "analog"),
    ],
)
def test_joined_spikes(how: Any, signal: str) -> None:
    net = Joined(how).eval()
    net(torch.rand(1, 6))
    functional.reset_net(net)
    x = torch.rand(N, T, 6, generator=torch.Generator().manual_seed(3)) * 4
    assert ts.measure(net, x, time_dim=1)["fc"].signal == signal


@pytest.mark.parametrize(
    "make",
    [
        lambda: neuron.TernaryIFNode(),
        lambda: neuron.ILIFNode(),
        lambda: neuron.LIAFNode(torch.relu, False),
    ],
)
def test_graded_and_signed_neurons_are_analog(make: Any) -> None:
    net = nn.Sequential(nn.Linear(6, 4), make(), nn.Linear(4, 3))
    x = torch.rand(N, T, 6) * 4
    found = ts.measure(net, x, time_dim=1)
    assert found["2"].signal == "analog"
    assert found["2"].spikes_per_synapse is None


def test_neurons_of_names_every_population() -> None:
    found = neurons_of(vgg("m"))
    assert [(n.name, n.model, n.reset.kind) for n in found] == [
        ("2", "if", "hard"),
        ("4.sn", "lif", "soft"),
        ("6", "lif_input_decay", "hard"),
        ("11", "lif_input_decay", "hard"),
    ]
    assert found[3].parameters["tau"] == pytest.approx(1.5)
    net = ts.load(vgg("m"), images().transpose(0, 1), batch_dim=1)
    assert {k: net[k].neuron for k in SIGNALS} == {
        "0": "if", "4.conv": "lif", "5": "lif_input_decay", "10": "lif_input_decay", "12": None,
    }  # fmt: skip
