"""One call for all methods of training: "ann", "qcfs" and "direct"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from tospike.conversion.qcfs import QCFS, qcfs_modules, qcfs_network
from tospike.conversion.training.direct import Neuron, direct_snn, percentile_of, settings_of
from tospike.conversion.training.loop import Epoch, Keeping, Trained, train
from tospike.conversion.training.losses import CrossEntropy, Spiking
from tospike.conversion.training.recipe import Recipe
from tospike.errors import DataError, ModelError, OptionError

METHODS = ("ann", "qcfs", "direct")
#: percentile of the positive activations that is the first threshold of a QCFS activation: with
#: few levels a network learns more, and its neurons fire more evenly, if large values are cut off
QCFS_PERCENTILE = 94.0
#: first samples of the training data that thresholds are calibrated on
N_CALIBRATION = 512


def train_network(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    method: str,
    recipe: Recipe,
    *,
    levels: int = 4,
    percentile: float = QCFS_PERCENTILE,
    neuron: Neuron | None = None,
    objective: Spiking | None = None,
    initialised: bool = False,
    frames: bool = False,
    keeping: Keeping | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[int, Epoch], None] | None = None,
) -> Trained:
    """Train a copy of ``model``.

    Parameters
    ----------
    model : a classifier (N, ...) -> (N, classes); for "qcfs" and "direct" with rectifiers.
    x, y : samples (N, ...), float32, and labels (N,), int64; with ``frames`` (N, T, ...).
    method : "ann", "qcfs" (with ``levels`` and ``percentile``), or "direct" (with ``neuron`` and
        ``objective``).
    initialised : ``model`` is a trained ANN; thresholds are then calibrated on the first 512
        samples ("direct"; "qcfs" always does so).

    The trained module is of the class of ``model``, a QCFS network, or a
    :class:`~tospike.conversion.training.direct.DirectSNN`.

    Raises
    ------
    OptionError, DataError, ModelError, ConversionError
    """
    if method not in METHODS:
        raise OptionError(
            "train a network", received=f"method {method!r}", allowed=", ".join(METHODS)
        )
    if frames and method != "direct":
        raise OptionError("train on frames", received=f"method {method!r}", allowed="direct")
    _check_labels(model, x, y, frames)
    if method == "direct":
        chosen, direct = neuron or Neuron(), objective or Spiking()
        still = x[:N_CALIBRATION].flatten(0, 1) if frames else x[:N_CALIBRATION]
        start: nn.Module = direct_snn(
            model, chosen, still, calibration_data=still if initialised else None, frames=frames
        )
        settings = {**direct.settings(), **settings_of(chosen, frames)}
        return train(start, x, y, direct, recipe, settings=settings, keeping=keeping,
                     progress=progress, report=report)  # fmt: skip
    plain = CrossEntropy()
    start, settings = model, plain.settings()
    if method == "qcfs":
        start = qcfs_start(model, levels, x[:N_CALIBRATION], percentile)
        settings |= {"method": method, "levels": levels, "percentile": percentile}
    return train(start, x, y, plain, recipe, settings=settings, keeping=keeping,
                 progress=progress, report=report)  # fmt: skip


def qcfs_start(model: nn.Module, levels: int, x: Tensor, percentile: float) -> nn.Module:
    """``model`` with QCFS activations; each threshold is a percentile of its positive inputs.

    x : calibration samples. percentile : in (0, 100].

    Raises
    ------
    ConversionError, OptionError, DataError
    """
    if not 0 < percentile <= 100:
        raise OptionError(
            "make a QCFS network", received=f"percentile {percentile}", allowed="above 0, up to 100"
        )
    network = qcfs_network(model, levels, calibration_data=x)
    modules = qcfs_modules(network)
    found: dict[QCFS, Tensor] = {}
    hooks = [
        module.register_forward_pre_hook(
            lambda module, inputs: found.update({module: inputs[0].detach()})
        )
        for module in modules.values()
    ]
    was_training = network.training
    network.eval()
    for module in modules.values():
        module.quantising = False  # the activations of the network that was given
    try:
        with torch.no_grad():
            network(x)
    finally:
        for hook in hooks:
            hook.remove()
    for module in modules.values():
        module.quantising = True
        with torch.no_grad():
            module.threshold.fill_(percentile_of(found[module], percentile))
    return network.train(was_training)


def load_initial(model: nn.Module, path: str | Path) -> None:
    """Load a state_dict into ``model``.

    Raises
    ------
    ModelError
        The file cannot be read, or does not fit; all differences are listed.
    """
    what = f"start from the weights {Path(path).name!r}"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the bytes make the unpickler stumble over
        raise ModelError(
            what, received=f"a file that cannot be read: {type(error).__name__}", where=str(path)
        ) from error
    own = model.state_dict()
    if not isinstance(state, dict):
        raise ModelError(what, received=f"a {type(state).__name__}", allowed="a state_dict")
    reasons = [f"{name} is missing" for name in own if name not in state]
    reasons += [f"{name} is not in the model" for name in state if name not in own]
    reasons += [
        f"{name} has shape {tuple(state[name].shape)}, the model's {tuple(own[name].shape)}"
        for name in own
        if name in state
        and isinstance(state[name], Tensor)
        and state[name].shape != own[name].shape
    ]
    if reasons:
        raise ModelError(
            what, where=str(path), allowed="a state_dict of the model", reasons=reasons
        )
    model.load_state_dict(state)


def _check_labels(model: nn.Module, x: Tensor, y: Tensor, frames: bool) -> None:
    """The model runs on the data and has a class for each label."""
    what = f"train {type(model).__name__!r}"
    if len(x) == 0 or len(y) == 0:
        raise DataError(what, received=f"{len(x)} samples and {len(y)} labels")
    sample = x[:1, 0] if frames else x[:1]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            output = model(sample)
    except Exception as error:  # the model's own code runs here and may raise anything
        text = str(error).strip().splitlines()
        raise ModelError(
            what,
            received=f"{type(error).__name__}: {text[0] if text else ''}",
            where=f"on a sample of shape {tuple(sample.shape[1:])}",
            fix="give data of the shape that the model takes",
        ) from error
    finally:
        model.train(was_training)
    if not isinstance(output, Tensor) or output.dim() != 2:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ModelError(what, received=f"an output {shape}", allowed="class scores (N, classes)")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= output.shape[1]:
        raise DataError(
            what,
            received=f"labels from {low} to {high}",
            allowed=f"class numbers from 0 to {output.shape[1] - 1}",
        )


@torch.inference_mode()
def accuracy(module: nn.Module, x: Tensor, y: Tensor, batch_size: int = 250) -> float:
    """Share of samples whose largest class score is the label, in evaluation mode."""
    was_training = module.training
    module.eval()
    right = 0
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        right += int((module(x[rows]).argmax(dim=1) == y[rows]).sum())
    module.train(was_training)
    return right / len(x)
