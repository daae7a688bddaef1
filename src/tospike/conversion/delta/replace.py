"""``delta_network``: a trained torch network with its recurrent layers replaced by delta layers,
and the linear and convolution layers that are named."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from torch import nn

from tospike.conversion.delta.changes import checked_theta
from tospike.conversion.delta.convolution import CONVOLUTIONS, delta_convolution
from tospike.conversion.delta.layers import (
    DeltaGRU,
    DeltaLinear,
    DeltaLSTM,
    DeltaReLURNN,
    DeltaRNN,
)
from tospike.conversion.delta.quantisation import FLOAT, Quantisation
from tospike.errors import ConversionError, OptionError

Theta = float | Mapping[str, float]


def delta_network(
    module: nn.Module,
    theta: Theta = 0.0,
    *,
    theta_x: Theta | None = None,
    linear: Sequence[str] = (),
    quantisation: Quantisation = FLOAT,
    learnable: bool = False,
) -> nn.Module:
    """A copy of ``module`` in which every GRU, LSTM and RNN is a delta layer with its parameters,
    and so is every linear or convolution layer that has a threshold of its own.

    Parameters
    ----------
    module : trained network, left unchanged; it may itself be a recurrent layer.
    theta : delta threshold of hidden states and inputs; one number, or by name of the layer.
        Recurrent layers without an entry get 0; linear and convolution layers with an entry are
        replaced too, 0 included. A convolution takes its first axis for time: (T, C, ...), frames
        of one stream; so does a linear layer, or its second where the recurrent layers have
        ``batch_first``.
    theta_x : threshold of the inputs, where it differs.
    linear : names of further ``Linear`` layers to replace; their input must be a sequence.
    quantisation : fixed-point formats for quantisation-aware training.
    learnable : thresholds become parameters.

    Raises
    ------
    ConversionError
        Nothing to replace, or some layers that cannot be delta layers (bidirectional,
        ``proj_size``); all are listed.
    OptionError
        A threshold below 0, or for a layer that does not exist.
    """
    parts = dict(module.named_modules())
    names = [name for name, part in parts.items() if isinstance(part, nn.RNNBase)]
    others = [*linear, *_named(parts, (theta, theta_x), linear)]
    _check(module, names, linear, others, (theta, theta_x))
    batch_first = any(getattr(parts[name], "batch_first", False) for name in names)
    network = copy.deepcopy(module)
    for name in (*names, *others):
        part = network.get_submodule(name)
        at = _at(theta, name), _at(theta if theta_x is None else theta_x, name)
        made = _delta_layer(part, *at, quantisation, learnable)
        made.train(part.training)
        if isinstance(made, DeltaLinear):
            made.batch_first = batch_first
        if not name:
            return made
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, made)
    return network


def _at(theta: Theta, name: str) -> float:
    return theta.get(name, 0.0) if isinstance(theta, Mapping) else theta


def _named(
    parts: Mapping[str, nn.Module], thetas: tuple[Theta | None, ...], linear: Sequence[str]
) -> list[str]:
    """Linear and convolution layers with a threshold of their own, in the order of the network."""
    own = {name for theta in thetas if isinstance(theta, Mapping) for name in theta} - {*linear}
    kinds = (nn.Linear, *CONVOLUTIONS)
    return [name for name, part in parts.items() if name in own and type(part) in kinds]


def _check(
    module: nn.Module,
    names: Sequence[str],
    linear: Sequence[str],
    others: Sequence[str],
    thetas: tuple[Theta | None, ...],
) -> None:
    parts = dict(module.named_modules())
    reasons = []
    for name in names:
        part = parts[name]
        assert isinstance(part, nn.RNNBase)
        shown = name or type(part).__name__
        if part.bidirectional:
            reasons.append(f"{shown} is bidirectional: a stream has no future")
        if part.proj_size:
            reasons.append(f"{shown} has proj_size={part.proj_size}")
    reasons += [
        f"{name} is no Linear layer"
        for name in linear
        if not isinstance(parts.get(name), nn.Linear)
    ]
    if not names and not others:
        reasons.append(
            "there is no GRU, LSTM or RNN layer, and no linear or convolution layer was named"
        )
    if reasons:
        raise ConversionError(
            "convert the network to a delta network",
            allowed="networks with one-directional GRU, LSTM or RNN layers; linear and convolution "
            "layers by name, theta={'conv1': 1/16}, where consecutive frames follow each other on "
            "the first axis",
            reasons=reasons,
        )
    known = {*names, *others}
    wrong = []
    for theta in thetas:
        if isinstance(theta, Mapping):
            wrong += [f"there is no delta layer {name!r}" for name in theta if name not in known]
            for name, value in theta.items():
                checked_theta(value, name)
        elif theta is not None:
            checked_theta(theta, "theta")
    if wrong:
        raise OptionError(
            "use these delta thresholds",
            allowed=", ".join(sorted(known)),
            fix="name the layers as in module.named_modules()",
            reasons=wrong,
        )


def _delta_layer(
    part: nn.Module, theta_h: float, theta_x: float, quantisation: Quantisation, learnable: bool
) -> nn.Module:
    parameter = next(part.parameters())
    made: nn.Module
    if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        made = delta_convolution(part, theta_x, learnable=learnable, quantisation=quantisation)
    elif isinstance(part, nn.Linear):
        made = DeltaLinear(
            part.in_features,
            part.out_features,
            part.bias is not None,
            theta_x=theta_x,
            learnable=learnable,
            quantisation=quantisation,
        )
    else:
        assert isinstance(part, nn.RNNBase)
        kinds = {
            "GRU": DeltaGRU,
            "LSTM": DeltaLSTM,
            "RNN_TANH": DeltaRNN,
            "RNN_RELU": DeltaReLURNN,
        }
        made = kinds[part.mode](
            part.input_size,
            part.hidden_size,
            part.num_layers,
            part.bias,
            part.batch_first,
            part.dropout,
            theta_x=theta_x,
            theta_h=theta_h,
            learnable=learnable,
            quantisation=quantisation,
        )
    made = made.to(parameter.device, parameter.dtype)
    made.load_state_dict(part.state_dict(), strict=False)
    return made
