"""Spiking networks of frameworks counted by hand, with forward hooks: events times exact fan-out.

A ``Case`` is a network with its data. ``by_hand`` counts it without tospike: convolutions of ones
give the number of products with a non-zero input, border-exact; linear layers have their outputs.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import tospike as ts
from tospike.activity import ActivityProfile, LayerActivity
from tospike.network import Network

torch.set_num_threads(1)


def quietly(name: str) -> Any:
    """A framework, without the warnings that it prints when it is imported; else skip."""
    import pytest

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


@dataclass(frozen=True)
class Case:
    """A network, its data, how to run it plainly, and what is to be found.

    run : (module, data) -> None, all samples at once, from rest. signals : layer -> signal.
    neurons : path -> (neurons, fires). options : of ``measure``.
    """

    make: Callable[[], nn.Module]
    data: Callable[[], Tensor]
    run: Callable[[nn.Module, Tensor], Any]
    n_samples: int
    n_timesteps: int
    signals: Mapping[str, str]
    neurons: Mapping[str, int]
    options: Mapping[str, Any] = field(default_factory=dict)

    def module(self) -> nn.Module:
        """The network, the same one at every call, in evaluation mode."""
        torch.manual_seed(7)
        module = self.make()
        for m in module.modules():
            if isinstance(m, nn.BatchNorm2d):
                nn.init.uniform_(m.running_mean, -0.2, 0.2)
                nn.init.uniform_(m.running_var, 0.3, 1.5)
                nn.init.uniform_(m.weight, 0.8, 2.0)
                nn.init.uniform_(m.bias, -0.1, 0.4)
        return module.eval()

    def measure(self, **options: Any) -> ActivityProfile:
        """With tospike."""
        return ts.measure(self.module(), self.data(), **{**self.options, **options})


def conv_operations(x: Tensor, m: nn.Conv2d) -> int:
    """Products with a non-zero input, without those with padding."""
    events = (x != 0).double()
    ones = torch.ones(m.weight.shape, dtype=torch.float64)
    out = F.conv2d(events, ones, None, m.stride, m.padding, m.dilation, m.groups)
    return round(out.sum().item())


def by_hand(case: Case) -> tuple[Counter[str], Counter[str]]:
    """(operations by layer, spikes by population), totals over all samples."""
    module, x = case.module(), case.data()
    operations: Counter[str] = Counter()
    spikes: Counter[str] = Counter()

    def hook(name: str, m: nn.Module) -> Callable[..., None]:
        def count(_: nn.Module, inputs: Any, output: Any) -> None:
            first = inputs[0]
            if isinstance(m, nn.Conv2d):
                planes = first.reshape(-1, *first.shape[-3:])
                operations[name] += conv_operations(planes, m)
            elif isinstance(m, nn.Linear):
                operations[name] += int((first != 0).sum()) * m.out_features
            elif isinstance(m, nn.LSTMCell):
                for part, tensor in (("ih", first), ("hh", inputs[1][0])):
                    operations[f"{name}.weight_{part}"] += int((tensor != 0).sum()) * (
                        4 * m.hidden_size
                    )
            elif isinstance(m, nn.RNN):
                operations[f"{name}.weight_ih_l0"] += int((first != 0).sum()) * m.hidden_size
                hidden = int((output[0][:-1] != 0).sum())
                operations[f"{name}.weight_hh_l0"] += hidden * m.hidden_size
            if name in case.neurons:
                z = output[0] if isinstance(output, tuple) else output
                spikes[name] += int((z != 0).sum())
            own = dict(m.named_parameters(recurse=False))
            if "recurrent_weights" in own:  # Norse: (T, B, features) -> (T, B, hidden)
                hidden = own["recurrent_weights"].shape[0]
                operations[f"{name}.input_weights"] += int((first != 0).sum()) * hidden
                before = int((output[0][:-1] != 0).sum())
                operations[f"{name}.recurrent_weights"] += before * hidden

        return count

    for name, m in module.named_modules():
        m.register_forward_hook(hook(name, m))
    with torch.no_grad():
        case.run(module, x)
    return operations, spikes


def check_counts(case: Case) -> ActivityProfile:
    """Every figure of ``measure`` against the hand count."""
    operations, spikes = by_hand(case)
    found = case.measure()
    net = load(case)
    n, steps = case.n_samples, case.n_timesteps
    assert {k: a.signal for k, a in found.layers.items()} == dict(case.signals)
    for name, a in found.layers.items():
        assert a.n_samples == n
        assert a.n_timesteps == steps, name
        assert round(a.synaptic_operations * n, 6) == operations[name], name
        layer = net[name]
        assert layer.calls == steps, name
        if a.signal == "spike":
            per_step = layer.n_synapses / layer.calls
            assert a.spikes_per_synapse is not None
            np.testing.assert_allclose(a.spikes_per_synapse, operations[name] / n / per_step)
        else:
            assert a.spikes_per_synapse is None
    assert {k: a.n_neurons for k, a in found.neurons.items()} == dict(case.neurons)
    for path, a in found.neurons.items():
        assert a.n_timesteps == steps
        assert a.updates == steps * case.neurons[path]
        if a.spikes is not None:
            assert round(a.spikes * n, 6) == spikes[path], path
    assert sum(spikes.values()) > 0, "a silent network shows nothing"
    return found


def load(case: Case) -> Network:
    """The network, over all time steps of an inference."""
    timesteps = case.n_timesteps if {"timesteps", "time_dim"} & set(case.options) else None
    batch_dim = case.options.get("batch_dim", 0)
    return ts.load(case.module(), _one(case), batch_dim=batch_dim, timesteps=timesteps)


def _one(case: Case) -> Tensor:
    """The input of one call, for ``load``."""
    x = case.data()
    if "time_dim" in case.options:
        return x.select(case.options["time_dim"], 0)
    batch_dim = case.options.get("batch_dim", 0)
    return x if batch_dim == 0 else x.movedim(0, batch_dim)


def check_batches(case: Case) -> None:
    """Counts per inference do not depend on the batch that they were measured in."""
    one = case.measure(batch_size=1)
    for size in (2, case.n_samples):
        other = case.measure(batch_size=size)
        assert one.neurons == other.neurons
        for name, a in one.layers.items():
            assert same(a, other[name]), (name, size)


def same(one: LayerActivity, two: LayerActivity) -> bool:
    """All fields the same, to the last bit."""
    return all(
        np.array_equal(getattr(one, key), getattr(two, key), equal_nan=True)
        if not isinstance(getattr(one, key), str | dict | type(None))
        else getattr(one, key) == getattr(two, key)
        for key in one.__slots__
    )


def check_left_as_found(case: Case) -> None:
    """State, flags and the random generator are as before, also after a run that left a state."""
    module = case.module().train()
    x = case.data()
    module.eval()
    with torch.no_grad():
        case.run(module, x)
    module.train()
    before = snapshot(module)
    rng = torch.random.get_rng_state()
    found = ts.measure(module, x, **case.options)
    assert torch.equal(torch.random.get_rng_state(), rng)
    assert all(m.training for m in module.modules())
    after = snapshot(module)
    assert before.keys() == after.keys()
    for key, value in before.items():
        now = after[key]
        assert torch.equal(value, now) if isinstance(value, Tensor) else value == now, key
    # and the state that was left did not leak into the counts
    clean = case.measure()
    assert found.neurons == clean.neurons
    assert all(same(a, clean[name]) for name, a in found.layers.items())


def snapshot(module: nn.Module) -> dict[str, Any]:
    """Buffers, parameters and memories, copied."""
    found: dict[str, Any] = {}
    for name, m in module.named_modules():
        for key, value in (*m._buffers.items(), *m._parameters.items()):
            found[f"{name}.{key}"] = value.clone() if value is not None else None
        for key, value in vars(m).get("_memories", {}).items():
            found[f"{name}.{key}"] = value.clone() if isinstance(value, Tensor) else value
    return found
