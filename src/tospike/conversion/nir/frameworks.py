"""Running a framework's module step by step, as its authors do, and watching its populations.

How a module takes its input is an explicit choice; "auto" goes by the neurons in it:

    SpikingJelly, step_mode "s"; snnTorch with init_hidden=True   "step"      module(x[t])
    SpikingJelly, step_mode "m"                                   "sequence"  module(x), T first
    sinabs ...Squeeze layers                                      "rows"      (samples * T, ...)
    sinabs, other layers                                          "batch"     (samples, T, ...)
    Norse, nirtorch: forward takes a state                        "state"     module(x[t], state)
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tospike.errors import ModelError, OptionError

CALLINGS = ("auto", "step", "sequence", "rows", "batch", "state")
Floats = NDArray[np.float64]


def run_framework(module: nn.Module, x: Floats, calling: str = "auto") -> dict[str, Floats]:
    """Outputs (T, samples, ...) of every submodule, and of the module itself under "".

    The module's neurons are reset, then a copy of it runs in float64 and evaluation mode.
    Submodules that do not run once per step are left out.

    Raises
    ------
    ModelError : the module raises, or is none. OptionError : an unknown ``calling``.
    """
    if calling not in CALLINGS:
        raise OptionError(
            "replay against a module", received=repr(calling), allowed=", ".join(CALLINGS)
        )
    if not isinstance(module, nn.Module):
        raise ModelError(
            "replay against a module",
            received=f"an object of type {type(module).__name__}",
            allowed="a torch.nn.Module",
        )
    how = way_of_calling(module) if calling == "auto" else calling
    steps, samples = x.shape[:2]
    seen: dict[str, list[Tensor]] = {}
    try:
        reset_state(module)
        own = copy.deepcopy(module).double().eval()
        reset_state(own)
        hooks = _watch(own, seen)
        with torch.no_grad():
            last = _run(own, torch.from_numpy(np.ascontiguousarray(x)), how)
        for hook in hooks:
            hook.remove()
    except Exception as error:
        raise ModelError(
            f"run {type(module).__name__} step by step",
            received=f"{type(error).__name__}: {error}",
            where=f"calling={how!r}, input {tuple(x.shape)}",
            fix="give the way it is called: step, sequence, rows, batch or state",
        ) from error
    found: dict[str, Floats] = {}
    for name, values in {"": [last], **seen}.items():
        stepwise = name and how in ("step", "state")
        array = _stacked(values, steps) if stepwise else _time_first(values, how, steps, samples)
        if array is not None and array.shape[:2] == (steps, samples):
            found[name] = array
    return found


def way_of_calling(module: nn.Module) -> str:
    """What "auto" means for this module."""
    origins = [(type(m).__module__, type(m).__name__, m) for m in module.modules()]
    for origin, _, inner in origins:
        if origin.startswith("spikingjelly") and ".neuron" in origin:
            return "sequence" if inner.__dict__.get("_step_mode") == "m" else "step"
        if origin.startswith("sinabs"):
            return "rows" if any("Squeeze" in n for _, n, _ in origins) else "batch"
        if origin.startswith("snntorch"):
            return "step"
    return "state" if "state" in inspect.signature(module.forward).parameters else "step"


def reset_state(module: nn.Module) -> None:
    """Start all neurons anew, with the framework's own reset where it has one."""
    origins = {type(m).__module__.split(".")[0] for m in module.modules()}
    if "spikingjelly" in origins:
        from spikingjelly.activation_based import functional

        functional.reset_net(module)
    if "snntorch" in origins:
        for inner in module.modules():
            if type(inner).__module__.startswith("snntorch._neurons"):
                for name in ("mem", "syn", "spk", "syn_exc", "syn_inh"):
                    if name in inner._buffers:
                        inner._buffers[name] = torch.zeros(0, dtype=torch.float64)
    if "sinabs" in origins:
        for inner in module.modules():
            if type(inner).__module__.startswith("sinabs") and "v_mem" in inner._buffers:
                inner._buffers["v_mem"] = torch.zeros(0, dtype=torch.float64)


def _watch(module: nn.Module, seen: dict[str, list[Tensor]]) -> list[Any]:
    """Keep what every submodule puts out; give every submodule its input in float64."""
    hooks = []
    for name, inner in module.named_modules():
        hooks.append(inner.register_forward_pre_hook(_in_float64))
        if name:
            hooks.append(inner.register_forward_hook(_keeper(name, seen)))
    return hooks


def _in_float64(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    # snnTorch's spikes are float32 whatever the type of its potentials
    del module
    return tuple(
        v.double() if isinstance(v, Tensor) and v.is_floating_point() else v for v in given
    )


def _keeper(name: str, seen: dict[str, list[Tensor]]) -> Callable[..., None]:
    def keep(module: nn.Module, given: Any, output: Any) -> None:
        del module, given
        first = _first(output)
        if first is not None:
            seen.setdefault(name, []).append(first.detach().double().clone())

    return keep


def _first(output: Any) -> Tensor | None:
    while isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


def _run(module: nn.Module, x: Tensor, how: str) -> Tensor:
    """The module's output: (T, samples, ...) for steps, as it comes for the rest."""
    if how == "sequence":
        return _tensor(module(x))
    if how in ("rows", "batch"):
        batch = x.transpose(0, 1)
        return _tensor(module(batch.flatten(0, 1) if how == "rows" else batch))
    outputs, state = [], None
    for now in x:
        if how == "state":
            output, state = module(now, state)
        else:
            output = module(now)
        outputs.append(_tensor(output))
    return torch.stack(outputs)


def _tensor(output: Any) -> Tensor:
    first = _first(output)
    if first is None:
        raise TypeError(f"the output is a {type(output).__name__}, not a tensor")
    return first.detach().double()


def _stacked(values: list[Tensor], steps: int) -> Floats | None:
    """Outputs of single steps, if there is one of each step (a shared submodule has more)."""
    if len(values) != steps or len({value.shape for value in values}) > 1:
        return None
    return np.asarray(torch.stack(values).numpy())


def _time_first(values: list[Tensor], how: str, steps: int, samples: int) -> Floats | None:
    """Output of all steps at once as (T, samples, ...), if there is one."""
    if len(values) != 1:
        return None
    (value,) = values
    if how == "rows" and len(value) == steps * samples:
        value = value.reshape(samples, steps, *value.shape[1:]).transpose(0, 1)
    elif how == "batch" and value.dim() > 1:
        value = value.transpose(0, 1)
    elif how == "sequence" and len(value) == steps * samples != steps:
        value = value.reshape(steps, samples, *value.shape[1:])
    return np.asarray(value.numpy())
