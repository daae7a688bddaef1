"""``delta_network``: a trained torch network with its recurrent layers replaced by delta layers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from torch import nn

from tospike.conversion.delta.changes import checked_theta
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
    """A copy of ``module`` in which every GRU, LSTM and RNN is a delta layer with its parameters.

    Parameters
    ----------
    module : trained network, left unchanged; it may itself be a recurrent layer.
    theta : delta threshold of hidden states and inputs; one number, or by name of the layer (0 for
        layers without an entry).
    theta_x : threshold of the inputs, where it differs.
    linear : names of ``Linear`` layers to replace too; their input must be a sequence.
    quantisation : fixed-point formats for quantisation-aware training.
    learnable : thresholds become parameters.

    Raises
    ------
    ConversionError
        No recurrent layer, or some that cannot be delta layers (bidirectional, ``proj_size``); all
        are listed.
    OptionError
        A threshold below 0, or for a layer that does not exist.
    """
    names = [name for name, part in module.named_modules() if isinstance(part, nn.RNNBase)]
    _check(module, names, linear, (theta, theta_x))
    network = copy.deepcopy(module)
    for name in (*names, *linear):
        part = network.get_submodule(name)
        at = _at(theta, name), _at(theta if theta_x is None else theta_x, name)
        made = _delta_layer(part, *at, quantisation, learnable)
        made.train(part.training)
        if not name:
            return made
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, made)
    return network


def _at(theta: Theta, name: str) -> float:
    return theta.get(name, 0.0) if isinstance(theta, Mapping) else theta


def _check(
    module: nn.Module,
    names: Sequence[str],
    linear: Sequence[str],
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
    if not names and not linear:
        reasons.append("there is no GRU, LSTM or RNN layer, and no linear layer was named")
    if reasons:
        raise ConversionError(
            "convert the network to a delta network",
            allowed="networks with one-directional GRU, LSTM or RNN layers",
            reasons=reasons,
        )
    known = {*names, *linear}
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
    if isinstance(part, nn.Linear):
        made: nn.Module = DeltaLinear(
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
