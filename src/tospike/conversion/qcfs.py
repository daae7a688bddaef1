"""QCFS: the activation whose network can be trained and then run as spikes in few steps.

    h(x) = lambda clip(floor(x L / lambda + 1/2) / L, 0, 1)

is the mean output over T = L steps of an integrate-and-fire neuron with threshold lambda, soft
reset, V(0) = lambda / 2 and the constant current x (Bu et al. 2022, "Optimal ANN-SNN conversion
for high-accuracy and ultra-low-latency spiking neural networks", arXiv:2303.04347; in the
bibliography ``bu_2022_qcfs``). A network that was trained with it loses nothing in the conversion
but the unevenness error: from the second layer on, spikes do not come evenly in time.

Range of validity: L >= 1 levels, lambda > 0, one per activation module (per layer). Gradient:
straight through the floor, so dh/dx = 1 for 0 < x < lambda, else 0.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from tospike.errors import ConversionError, DataError, OptionError

#: largest number of levels: a float32 holds every level of every activation exactly enough
MAX_LEVELS = 4096
#: first lambda where neither a number nor data are given; the value of the authors' programs
FIRST_LAMBDA = 8.0
#: percentile of the positive activations that data give as first lambda
PERCENTILE = 99.9


@torch.library.custom_op("tospike::qcfs", mutates_args=())
def _qcfs(x: Tensor, threshold: Tensor, levels: int) -> Tensor:
    """One operation in exported programs, so that the importer knows it."""
    return quantised(x, float(threshold.detach()), levels)


@_qcfs.register_fake
def _(x: Tensor, threshold: Tensor, levels: int) -> Tensor:
    return torch.empty_like(x)


def quantised(x: Tensor, threshold: float, levels: int) -> Tensor:
    """h(x) without gradient: ``levels + 1`` values from 0 to ``threshold``."""
    k = torch.floor(x * (levels / threshold) + 0.5).clamp_(0, levels)
    return k.mul_(threshold / levels)  # the k-th level, whatever x was rounded from


class QCFS(nn.Module):
    """Quantisation clip-floor-shift activation; replaces a rectifier.

    Parameters
    ----------
    levels : L, in [1, 4096]. The network is meant for T = L time steps.
    initial_lambda : first value of the threshold, > 0, finite.

    Attributes
    ----------
    threshold : lambda, a trainable scalar. Training may not let it reach 0; the conversion
        refuses values that are not positive and finite.
    first_bound : upper end of the rectifier that it replaces (6 for ReLU6); bounds only the first
        threshold.
    quantising : False leaves out the floor: h(x) = clip(x, 0, lambda). Set it to warm up, or to
        compare two networks without the jumps of the floor.
    """

    levels: int

    def __init__(
        self, levels: int, initial_lambda: float = FIRST_LAMBDA, *, first_bound: float = math.inf
    ) -> None:
        super().__init__()
        _check(levels, initial_lambda)
        self.first_bound = first_bound
        self.levels = int(levels)
        self.threshold = nn.Parameter(torch.tensor(float(initial_lambda)))
        self.quantising = True

    def extra_repr(self) -> str:
        return f"levels={self.levels}, lambda={float(self.threshold.detach()):.4g}"

    def forward(self, x: Tensor) -> Tensor:
        """h(x), of the shape of ``x``."""
        if torch.compiler.is_exporting():
            result: Tensor = torch.ops.tospike.qcfs(x, self.threshold, self.levels)
            return result
        share = (x / self.threshold).clamp(0.0, 1.0)
        if self.quantising:
            rounded = torch.floor(share.detach() * self.levels + 0.5) / self.levels
            share = (share - share.detach()) + rounded  # exactly ``rounded``, gradient of share
        return share * self.threshold


def _check(levels: int, initial: float) -> None:
    reasons = []
    if isinstance(levels, bool) or not isinstance(levels, int) or not 1 <= levels <= MAX_LEVELS:
        reasons.append(f"levels = {levels!r} is no integer from 1 to {MAX_LEVELS}")
    if not isinstance(initial, int | float) or not (math.isfinite(initial) and initial > 0):
        reasons.append(f"initial_lambda = {initial!r} is no finite number above 0")
    if reasons:
        raise OptionError("make a QCFS activation", reasons=reasons)


# -- replacing rectifiers -------------------------------------------------------------------

_POOLS = (
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
)  # fmt: skip
#: modules through which a rectified value stays rectified
_KEEPS = (
    nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d,
    nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)  # fmt: skip
_OTHER = (
    nn.GELU, nn.SiLU, nn.Mish, nn.ELU, nn.CELU, nn.SELU, nn.LeakyReLU, nn.PReLU, nn.RReLU,
    nn.Softplus, nn.Softsign, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid,
    nn.GLU, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention,
)  # fmt: skip
_FUNCTIONS = frozenset({"relu", "relu_", "relu6"})


def is_rectifier(module: nn.Module) -> bool:
    """ReLU, ReLU6, Hardtanh from 0, or QCFS itself."""
    if isinstance(module, nn.Hardtanh):  # ReLU6 is one
        return float(module.min_val) == 0.0
    return isinstance(module, nn.ReLU | QCFS)


def _bound(module: nn.Module) -> float:
    return float(module.max_val) if isinstance(module, nn.Hardtanh) else math.inf


@dataclass(frozen=True)
class _Places:
    """Where QCFS goes: modules to replace, average pools to follow, and a traced graph.

    ``traced`` is set only where rectifiers are function calls or one module is called twice.
    """

    rectifiers: tuple[str, ...]
    pools: tuple[str, ...]
    traced: fx.GraphModule | None


def qcfs_network(
    model: nn.Module,
    levels: int,
    *,
    initial_lambda: float | Mapping[str, float] | None = None,
    calibration_data: Any = None,
    pools: bool = True,
) -> nn.Module:
    """A copy of ``model`` with QCFS in place of every rectifier, ready to be trained on.

    Parameters
    ----------
    model : any module; left unchanged. Its rectifiers may be modules (ReLU, ReLU6, Hardtanh from
        0), or calls of ``relu`` and ``relu6`` if torch.fx can trace it. A module that is called
        at several places gets one QCFS for each. Parameters keep their names. (In a traced
        network the argument ``training`` of dropout functions is that of the moment.)
    levels : L of every QCFS.
    initial_lambda : first threshold, one number or by name of the rectifier.
    calibration_data : samples (n, ...); then the first threshold of each QCFS that
        ``initial_lambda`` does not name is the 99.9-percentile of its positive inputs.
        Without both it is 8.
    pools : put a QCFS behind every average pool of rectified values as well, because neurons
        stand there in the spiking network. They keep no accuracy otherwise at few steps.

    Raises
    ------
    ConversionError
        If there is no rectifier, or activations that no spiking neuron gives; all are listed.
    OptionError, DataError
    """
    numbers = (
        {} if initial_lambda is None or isinstance(initial_lambda, Mapping)
        else {"initial_lambda": initial_lambda}
    )  # fmt: skip
    _check(levels, numbers.get("initial_lambda", FIRST_LAMBDA))
    network = copy.deepcopy(model)
    places = _find(network, pools)
    made: dict[str, QCFS] = {}
    if places.traced is not None:
        network = _replace_calls(places.traced, levels, made, pools)
    else:
        _replace_modules(network, places, levels, made)
    known = dict(initial_lambda) if isinstance(initial_lambda, Mapping) else {}
    unknown = [f"there is no rectifier {name!r}" for name in known if name not in made]
    if unknown:
        raise OptionError("make a QCFS network", allowed=", ".join(made), reasons=unknown)
    if calibration_data is not None and not numbers:
        _calibrate(network, made, calibration_data)
    for name, module in made.items():
        value = known.get(name, numbers.get("initial_lambda"))
        if value is not None:
            _check(levels, value)
            _set(module, value)
    network.train(model.training)
    return network


def _find(model: nn.Module, pools: bool) -> _Places:
    parts = dict(model.named_modules())
    rectifiers = tuple(name for name, part in parts.items() if is_rectifier(part))
    reasons = [
        f"{name}: {type(part).__name__} is no rectifier"
        for name, part in parts.items()
        if isinstance(part, _OTHER)
    ]
    reasons += [
        f"{name}: this network has QCFS already"
        for name, part in parts.items()
        if isinstance(part, QCFS)
    ]
    traced, why = _traced(model)
    calls = [] if traced is None else [n for n in traced.graph.nodes if _is_call(n, parts)]
    targets = [str(n.target) for n in calls if n.op == "call_module"]
    simple = len(targets) == len(calls) == len(set(targets))
    if not rectifiers and not calls:
        reasons.append("no ReLU, ReLU6 or Hardtanh from 0" + (f" ({why})" if why else ""))
    if reasons:
        raise ConversionError(
            f"make a QCFS network of {type(model).__name__!r}",
            allowed="a network whose activations are rectifiers",
            reasons=reasons,
        )
    if traced is None:
        return _Places(rectifiers, (), None)
    behind = _pools_behind_rectifiers(traced, parts) if pools else ()
    names = tuple(dict.fromkeys(str(n.target) for n in behind))
    twice = len(names) != len(behind)
    return _Places(rectifiers, names, None if simple and not twice else traced)


def _traced(model: nn.Module) -> tuple[fx.GraphModule | None, str]:
    """The network as torch.fx sees it, or None and why not."""
    try:
        return fx.symbolic_trace(model), ""
    except (
        fx.proxy.TraceError, TypeError, ValueError, RuntimeError, AttributeError,
        NotImplementedError, LookupError,
    ) as error:  # fmt: skip
        text = str(error).strip().splitlines()
        return None, f"torch.fx cannot trace it: {text[0] if text else type(error).__name__}"


def _is_call(node: fx.Node, parts: Mapping[str, nn.Module]) -> bool:
    """Whether a traced node is a rectifier."""
    if node.op == "call_module":
        return is_rectifier(parts[str(node.target)])
    if node.op == "call_method":
        return str(node.target) in _FUNCTIONS
    return node.op == "call_function" and getattr(node.target, "__name__", "") in _FUNCTIONS


def _pools_behind_rectifiers(
    traced: fx.GraphModule, parts: Mapping[str, nn.Module]
) -> list[fx.Node]:
    """Average pools (modules) of rectified values that are not rectified again."""
    found = []
    for node in traced.graph.nodes:
        if node.op != "call_module" or not isinstance(parts[str(node.target)], _POOLS):
            continue
        source = node.all_input_nodes[0]
        while source.op == "call_module" and isinstance(parts[str(source.target)], _KEEPS):
            source = source.all_input_nodes[0]
        again = any(_is_call(user, parts) for user in node.users)
        if _is_call(source, parts) and not again:
            found.append(node)
    return found


def _replace_modules(
    network: nn.Module, places: _Places, levels: int, made: dict[str, QCFS]
) -> None:
    parts = dict(network.named_modules())
    for name in places.rectifiers:
        made[name] = _fresh(levels, _bound(parts[name]))
        _assign(network, name, made[name])
    for name in places.pools:
        made[name] = _fresh(levels, math.inf)
        _assign(network, name, nn.Sequential(parts[name], made[name]))


def _replace_calls(
    traced: fx.GraphModule, levels: int, made: dict[str, QCFS], pools: bool
) -> nn.Module:
    """One QCFS module for every call of a rectifier in a traced network."""
    parts = dict(traced.named_modules())
    calls = [node for node in traced.graph.nodes if _is_call(node, parts)]
    behind = _pools_behind_rectifiers(traced, parts) if pools else []
    for node in (*calls, *behind):
        name = f"qcfs_{node.name}"
        bound = math.inf
        if node.op == "call_module":
            bound = _bound(parts[str(node.target)])
        elif "relu6" in getattr(node.target, "__name__", ""):
            bound = 6.0
        made[name] = _fresh(levels, bound)
        traced.add_submodule(name, made[name])
        with traced.graph.inserting_after(node):
            after = traced.graph.call_module(name, (node,))
        node.replace_all_uses_with(after, delete_user_cb=lambda user, after=after: user != after)
        if node in calls:
            after.replace_input_with(node, node.all_input_nodes[0])
            traced.graph.erase_node(node)
    traced.graph.lint()
    traced.recompile()
    return traced


def _fresh(levels: int, bound: float) -> QCFS:
    return QCFS(levels, min(FIRST_LAMBDA, bound), first_bound=bound)


def _assign(network: nn.Module, name: str, module: nn.Module) -> None:
    owner, _, last = name.rpartition(".")
    setattr(network.get_submodule(owner), last, module)


def _set(module: QCFS, value: float) -> None:
    with torch.no_grad():
        module.threshold.fill_(float(value))


def _calibrate(network: nn.Module, made: Mapping[str, QCFS], data: Any) -> None:
    """Thresholds from the percentile of positive inputs, with every QCFS as a plain rectifier."""
    x = torch.as_tensor(data)
    if x.dim() == 0 or x.shape[0] == 0 or not bool(torch.isfinite(x.double()).all()):
        raise DataError(
            "find the first thresholds of a QCFS network",
            received=f"data of shape {tuple(x.shape)}, empty, NaN or infinite",
            allowed="finite samples (n, ...)",
        )
    found: dict[str, Tensor] = {}

    def look(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            positive = inputs[0].detach().clamp(0.0, made[name].first_bound)
            found[name] = positive.reshape(-1)
            return positive

        return hook

    hooks = [module.register_forward_hook(look(name)) for name, module in made.items()]
    try:
        network.eval()
        with torch.no_grad():
            network(x)
    except (RuntimeError, TypeError, ValueError) as error:
        raise DataError(
            "find the first thresholds of a QCFS network",
            received=f"data of shape {tuple(x.shape)}: {str(error).splitlines()[0]}",
            allowed="samples that the network takes, (n, ...)",
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    for name, values in found.items():
        positive = values[values > 0]
        if positive.numel():
            at = max(1, math.ceil(PERCENTILE / 100 * positive.numel()))
            _set(made[name], float(positive.kthvalue(at).values))


# -- reading a trained network --------------------------------------------------------------


def qcfs_modules(model: nn.Module) -> dict[str, QCFS]:
    """The QCFS activations of a network by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, QCFS)}


def has_qcfs(model: Any) -> bool:
    """Whether ``model`` is a torch module with QCFS activations."""
    return isinstance(model, nn.Module) and bool(qcfs_modules(model))


def unquantised(model: nn.Module) -> nn.Module:
    """``model``, or if it has QCFS a copy whose activations only clip.

    A rounding error of 1e-7 may move a value over a step of the floor. Two forms of one network
    are therefore compared without the floor.
    """
    if not qcfs_modules(model):
        return model
    smooth = copy.deepcopy(model)
    for module in qcfs_modules(smooth).values():
        module.quantising = False
    return smooth


def check_thresholds(model: nn.Module) -> None:
    """Refuse thresholds that are not positive and finite, naming all.

    Raises
    ------
    ConversionError
    """
    values = {name: float(m.threshold.detach()) for name, m in qcfs_modules(model).items()}
    wrong = [
        f"{name}: lambda = {value:g}"
        for name, value in values.items()
        if not (math.isfinite(value) and value > 0)
    ]
    if wrong:
        raise ConversionError(
            "run a QCFS network",
            allowed="thresholds above 0",
            fix="train with a smaller learning rate of the thresholds",
            reasons=wrong,
        )
