"""The table of neuron classes: each description steps exactly as the class of the framework."""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from frameworks_by_hand import quietly
from torch import Tensor, nn

import tospike as ts
from tospike.errors import ModelError
from tospike.network.importers.neurons import NEURON_CLASSES, neurons_of
from tospike.network.neuron import NEURONS, at_rest

T = 40
DOCS = Path(__file__).parents[2] / "docs" / "frameworks.md"


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    """The descriptions are stepped in float64, so the frameworks are too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def by_call(module: Any, x: Tensor) -> Tensor:
    outs = [module(step) for step in x]
    return torch.stack([out[0] if isinstance(out, tuple) else out for out in outs])


def by_state(module: Any, x: Tensor) -> Tensor:
    state, outs = None, []
    for step in x:
        out, state = module(step, state)
        outs.append(out)
    return torch.stack(outs)


def time_second(module: Any, x: Tensor) -> Tensor:
    out: Tensor = module(x.transpose(0, 1).contiguous())
    return out.transpose(0, 1)


def time_first(module: Any, x: Tensor) -> Tensor:
    out = module(x)
    return out[0] if isinstance(out, tuple) else torch.stack(out) if type(out) is list else out


Run = Callable[[Any, Tensor], Tensor]


def replay(module: nn.Module, run: Run, scale: float) -> tuple[str, float]:
    """(model, mean output) after both have been found the same."""
    (neurons,) = neurons_of(module)
    model = NEURONS[neurons.model]
    x = torch.randn(T, 3, 20, generator=torch.Generator().manual_seed(1)) * 0.6 + 0.3
    with torch.no_grad():
        theirs = run(module.eval(), x * scale).numpy()
    state = at_rest(model, neurons.parameters, tuple(x.shape[1:]))
    ours = []
    for current in (x * scale).numpy():
        state, out = model.step(state, current, neurons.parameters, neurons.reset)
        ours.append(out)
    if model.signal == "spike":
        np.testing.assert_array_equal(np.stack(ours), theirs)
        assert 0.02 < np.mean(theirs > 0) < 0.98
    else:
        np.testing.assert_allclose(np.stack(ours), theirs, atol=1e-6)
    return neurons.model, float(theirs.mean())


def test_spikingjelly_step_by_step() -> None:
    quietly("spikingjelly")
    from spikingjelly.activation_based import neuron

    for v_reset in (None, 0.0, 0.1):
        for mode, run in (("s", by_call), ("m", time_first)):
            own: dict[str, Any] = {"v_reset": v_reset, "step_mode": mode}
            assert replay(neuron.IFNode(**own), run, 1)[0] == "if"
            for cls in (neuron.LIFNode, neuron.ParametricLIFNode):
                assert replay(cls(decay_input=True, **own), run, 2)[0] == "lif_input_decay"
                assert replay(cls(decay_input=False, **own), run, 1)[0] == "lif"
        assert replay(neuron.SimpleIFNode(v_reset=v_reset and 0.0), by_call, 1)[0] == "if"
    for v_reset in (None, 0.0):
        assert replay(neuron.CUBALIFNode(v_reset=v_reset), by_call, 0.5)[0] == "cuba_lif"
    assert replay(neuron.HalfThresholdIFNode(), by_call, 1)[0] == "if"
    assert replay(neuron.NonSpikingLIFNode(), time_first, 1)[0] == "li"
    assert replay(neuron.NonSpikingIFNode(), time_first, 1)[0] == "i"


def test_snntorch_step_by_step() -> None:
    snn = quietly("snntorch")
    for mechanism in ("subtract", "zero", "none"):
        own: dict[str, Any] = {"reset_mechanism": mechanism}
        assert replay(snn.Leaky(0.9, **own), by_call, 0.5)[0] == "lif"
        assert replay(snn.Synaptic(0.8, 0.9, **own), by_call, 0.2)[0] == "cuba_lif"
        assert replay(snn.Alpha(0.9, 0.8, **own), by_call, 1)[0] == "alpha"
        if mechanism != "subtract":
            assert replay(snn.Leaky(0.9, reset_delay=False, **own), by_call, 0.5)[0] == "lif"
        if mechanism != "zero":
            assert replay(snn.Lapicque(0.9, **own), by_call, 5)[0] == "lif"
            assert replay(snn.Lapicque(R=2.0, C=3.0, **own), by_call, 3)[0] == "lif"
    per_neuron = snn.Leaky(torch.linspace(0.2, 1.4, 20), threshold=torch.linspace(0.5, 2, 20))
    assert replay(per_neuron, by_call, 1)[0] == "lif"


def test_sinabs_step_by_step() -> None:
    quietly("sinabs")
    import sinabs.activation as sa
    import sinabs.layers as sl

    for fire in (sa.SingleSpike, sa.MultiSpike, sa.MaxSpike(2)):
        for reset in (sa.MembraneSubtract(), sa.MembraneReset()):
            own: dict[str, Any] = {"spike_fn": fire, "reset_fn": reset}
            assert replay(sl.IAF(**own), time_second, 2)[0] == "if"
            assert replay(sl.LIF(5.0, min_v_mem=-0.5, **own), time_second, 8)[0] == "lif"
            module = sl.LIF(5.0, tau_syn=3.0, norm_input=False, **own)
            assert replay(module, time_second, 0.5)[0] == "cuba_lif"
        assert replay(sl.ALIF(5.0, 10.0, spike_fn=fire), time_second, 8)[0] == "alif"
    assert replay(sl.ExpLeak(5.0), time_second, 1)[0] == "li"


def test_norse_step_by_step() -> None:
    norse = quietly("norse.torch")
    from norse.torch.functional.lif_box import LIFBoxParameters
    from norse.torch.functional.reset import reset_subtract

    assert replay(norse.LIF(), time_first, 4)[0] == "cuba_lif"
    assert replay(norse.LIFCell(), by_state, 4)[0] == "cuba_lif"
    assert replay(norse.IAF(), time_first, 1)[0] == "if"
    assert replay(norse.LIFBoxCell(), by_state, 10)[0] == "lif"
    soft = norse.LIFBoxCell(LIFBoxParameters(reset_method=reset_subtract))
    assert replay(soft, by_state, 10)[0] == "lif"
    assert replay(norse.LI(), time_first, 1)[0] == "cuba_li"
    assert replay(norse.LIBoxCell(), by_state, 1)[0] == "li"


def test_what_no_model_computes_has_a_name_of_its_own() -> None:
    """Resets that differ from every model in ``NEURONS`` are not given one of its names."""
    snn, _ = quietly("snntorch"), quietly("sinabs")
    import sinabs.activation as sa
    import sinabs.layers as sl

    for module, name in (
        (snn.Leaky(0.9, reset_delay=False), "lif_own_reset"),
        (snn.Lapicque(0.9, reset_mechanism="zero"), "lif_own_reset"),
        (sl.IAF(reset_fn=sa.MembraneReset(0.2)), "if_own_reset"),
        (sl.LIF(5.0, reset_fn=sa.MembraneSubtract(0.7)), "lif_own_reset"),
        (sl.ALIF(5.0, 9.0, tau_syn=3.0), "cuba_alif"),
    ):
        (neurons,) = neurons_of(module)
        assert neurons.model == name
        assert name not in NEURONS


def test_a_class_of_the_users_is_one_line() -> None:
    snn = quietly("snntorch")

    class Mine(nn.Module):
        """Written from scratch, with the attributes of snnTorch's Leaky."""

        def __init__(self) -> None:
            super().__init__()
            self.beta, self.threshold = torch.tensor(0.5), torch.tensor(1.0)
            self.graded_spikes_factor, self.reset_mechanism = torch.tensor(1.0), "zero"
            self.mem: Any = 0.0

        def forward(self, x: Tensor) -> Tensor:
            self.mem = self.beta * self.mem + x
            spikes = (self.mem > self.threshold).to(x)
            self.mem = self.mem * (1 - spikes)
            return spikes

    net = nn.Sequential(nn.Linear(4, 3), Mine(), nn.Linear(3, 2))
    x = torch.rand(5, 4) * 9
    assert ts.measure(net, x, timesteps=3).neurons == {}
    name = f"{Mine.__module__}.{Mine.__qualname__}"
    NEURON_CLASSES[name] = NEURON_CLASSES["snntorch.Leaky"]
    try:
        found = ts.measure(nn.Sequential(*net), x, timesteps=3)
        assert found.neurons["1"].n_timesteps == 3
        assert found["2"].signal == "spike"
        del net[1].threshold
        with pytest.raises(ModelError, match="give the class a line of its own"):
            neurons_of(net)
    finally:
        del NEURON_CLASSES[name]
    assert neurons_of(snn.Leaky(0.5))[0].model == "lif"


def every_class() -> dict[str, type | None]:
    """Class of the table -> the class of the framework, also if it does not leave its file."""
    found: dict[str, type | None] = {}
    for name in NEURON_CLASSES:
        path, _, cls = name.rpartition(".")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            package = importlib.import_module(path)
        files = [m for key, m in sys.modules.items() if key.startswith(f"{package.__name__}.")]
        found[name] = next((vars(m)[cls] for m in (package, *files) if cls in vars(m)), None)
    return found


def test_every_class_of_the_table_is_a_class_of_its_framework() -> None:
    for framework in ("spikingjelly", "snntorch", "sinabs", "norse"):
        quietly(framework)
    from tospike.network.importers.neurons_record import find

    for name, cls in every_class().items():
        assert cls is not None, name
        entry = find(NEURON_CLASSES, cls)
        assert entry is not None
        assert entry[1] is NEURON_CLASSES[name], name


def test_no_neuron_of_a_framework_is_left_out() -> None:
    """Every class that a framework exports as a neuron is in the table, or named here."""
    sj, snn, sl = (quietly(n) for n in ("spikingjelly", "snntorch", "sinabs.layers"))
    norse = quietly("norse.torch")
    assert sj
    from spikingjelly.activation_based import neuron

    from tospike.network.importers.neurons_record import find

    # a user's own dynamics; weights given at every call; a counter of spikes
    left = {"FlexSN", "LIFCorrelation", "RegularizationCell"}
    unknown = []
    for package, pattern in (
        (neuron, r"Node$|PSN$|FlexSN$"),
        (snn, r"Leaky|Synaptic|Lapicque|Alpha|LSTM$"),
        (sl, r"^IAF|^LIF|^ALIF|^ExpLeak"),
        (norse, r"(Cell|^LIF\w*|^IAF|^LI|^LSNN\w*|^Izhikevich\w*)$"),
    ):
        for name in dir(package):
            cls = getattr(package, name)
            if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
                continue
            if re.search(pattern, name) and name not in left and find(NEURON_CLASSES, cls) is None:
                unknown.append(f"{package.__name__}.{name}")
    assert unknown == []


def test_the_documented_table_is_the_table() -> None:
    rows = re.findall(
        r"^\| `([\w.]+)` \| ([\w ,()]+) \| (\w+) \| (\w+).* \| `?(\w*)`? \|$",
        DOCS.read_text("utf-8"),
        re.MULTILINE,
    )
    assert [(name, time, signal, back) for name, _, time, signal, back in rows] == [
        (name, entry.time, entry.signal, entry.recurrent) for name, entry in NEURON_CLASSES.items()
    ]
    for _, models, *_ in rows:
        family = models.endswith(" (family)")
        assert all((m not in NEURONS) == family for m in models.split(" (")[0].split(", "))


def test_the_documented_program_runs() -> None:
    quietly("snntorch")
    torch.set_default_dtype(torch.float32)
    program = re.search(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert program is not None
    names: dict[str, Any] = {}
    exec(program[1], names)  # the documentation's own text
    assert names["activity"]["2"].n_timesteps == 8
