"""Delta networks that are really run: what was sent, what was read, and how good the output is.

Equations
    weights read per step of one matrix: (1 - Gamma) n_weights, Gamma the share of its inputs that
    did not differ from the last sent value by more than the threshold (Liu & Delbruck 2019, VII).
    SNR = 10 log10(mean(y^2) / mean((y' - y)^2)) of the output y' against the float network's y.

Imports torch; import it inside of functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tospike.conversion.delta.layers import DeltaLinear, _DeltaRecurrent
from tospike.conversion.delta.quantisation import FLOAT, Quantisation
from tospike.conversion.delta.recording import recorded
from tospike.conversion.delta.replace import delta_network
from tospike.conversion.delta.search import Key, search_thresholds, with_thresholds
from tospike.conversion.delta.traffic import LayerTraffic, traffic
from tospike.decision.delta_plan import BATCH, DeltaPlan
from tospike.errors import ConversionError

#: the threshold search sees so many samples; without classes so many time steps of each
SEARCHED_SAMPLES, SEARCHED_STEPS = 256, 400
#: the search keeps this much more than the floor, because it sees only a part: dB, and a share
MARGIN_DB, MARGIN = 1.0, 0.0


@dataclass(frozen=True)
class Quality:
    """How good an output is: against labels, against the float network's classes, and in dB.

    ``accuracy`` and ``agreement`` are None where the output is no class score; ``snr_db`` is
    infinite where the outputs are equal.
    """

    accuracy: float | None
    agreement: float | None
    snr_db: float


@dataclass(frozen=True)
class DeltaRun:
    """One run. ``thetas`` and ``sparsity`` by network layer, in the units of its input.

    ``bits``, ``weight_bits`` : widths in which delta layers computed; None: float32.
    """

    thetas: Mapping[str, float]
    sparsity: Mapping[str, float]
    quality: Quality
    bits: int | None
    weight_bits: int | None


def quality(output: Tensor, reference: Tensor, y: NDArray[Any] | None) -> Quality:
    """Compare outputs (N, ...) with those of the float network, and with labels (N,) or None."""
    if output.shape != reference.shape:
        raise ConversionError(
            "run it as a delta network",
            received=f"an output of shape {tuple(output.shape)}, {tuple(reference.shape)} before",
        )
    accuracy = agreement = None
    if output.ndim == 2 and output.shape[1] > 1:
        best, base = output.argmax(dim=1), reference.argmax(dim=1)
        agreement = float((best == base).double().mean())
        if y is not None:
            accuracy = float((best == torch.from_numpy(y)).double().mean())
    return Quality(accuracy, agreement, snr_db(output, reference))


def snr_db(output: Tensor, reference: Tensor) -> float:
    """Power of the reference over that of the difference in dB; infinite where they are equal."""
    noise = float((output.double() - reference.double()).square().mean())
    power = float(reference.double().square().mean())
    if noise == 0:
        return math.inf
    if not math.isfinite(noise):
        raise ConversionError("run it as a delta network", received="outputs that are not finite")
    return 10 * math.log10(power / noise) if power > 0 else -math.inf


def delta_module(
    plan: DeltaPlan, thetas: Mapping[Key, float], bits: int | None, weight_bits: int | None
) -> nn.Module:
    """The delta network in these widths; activations in the fixed-point format that just holds
    what was seen in calibration (sign included), weights with one scale per row."""
    network = delta_network(plan.module, 0.0, linear=plan.linear)
    for name, part in network.named_modules():
        if not isinstance(part, _DeltaRecurrent | DeltaLinear):
            continue
        if isinstance(part, DeltaLinear):
            part.batch_first = plan.batch_first
        part.quantisation = _format(plan.peaks[name], bits, weight_bits)
    made = with_thresholds(network, thetas)
    return made.eval()


def _format(peak: float, bits: int | None, weight_bits: int | None) -> Quantisation:
    if bits is None:
        return FLOAT if weight_bits is None else Quantisation(16, None, weight_bits)
    integer = 1 + max(0, math.ceil(math.log2(peak))) if peak > 0 else 1
    integer = min(integer, 16)
    return Quantisation(integer, min(16, max(0, bits - integer)), weight_bits)


def run(
    plan: DeltaPlan,
    thetas: Mapping[Key, float],
    x: NDArray[Any],
    y: NDArray[Any] | None,
    reference: Tensor,
    *,
    bits: int | None = None,
    weight_bits: int | None = None,
) -> DeltaRun:
    """Run samples ``x`` at these thresholds (those left out are 0) and measure."""
    module = delta_module(plan, thetas, bits, weight_bits)
    outputs = []
    sums = dict.fromkeys((site.layer for site in plan.sites), 0.0)
    for start in range(0, len(x), BATCH):
        rows = x[start : start + BATCH]
        # one record per batch: it keeps the outputs of every layer
        with recorded() as record:
            outputs.append(plan.called(module, rows))
        found = {(one.name, one.level): one for one in traffic(module, record)}
        for site in plan.sites:
            sums[site.layer] += len(rows) * _sparsity(found, site.key)
    return DeltaRun(
        {site.layer: float(thetas.get(site.key, 0.0)) for site in plan.sites},
        {name: value / len(x) for name, value in sums.items()},
        quality(torch.cat(outputs), reference, y),
        bits,
        weight_bits,
    )


def _sparsity(found: Mapping[tuple[str, int], LayerTraffic], key: Key) -> float:
    name, level, which = key
    one = found[name, level]
    value = one.sparsity_x if which == "theta_x" else one.sparsity_h
    assert value is not None  # a linear layer has no theta_h
    return value


def searched(
    plan: DeltaPlan,
    x: NDArray[Any],
    *,
    floor: float,
    by_class: bool,
    bits: int | None,
    weight_bits: int,
) -> dict[Key, float]:
    """One threshold per layer, found greedily on a part of the samples ``x``.

    ``floor`` : least share of samples that keep the class of the dense network of the same widths
    (``by_class``), or least SNR in dB against the float network.

    Raises :class:`~tospike.errors.OptionError` if the floor is missed even at thresholds of 0.
    """
    few = x[:SEARCHED_SAMPLES]
    # the classes at the end of a sample need all of it
    few = few[:, :SEARCHED_STEPS] if few.ndim == 3 and not by_class else few
    module = delta_module(plan, {}, bits, weight_bits)
    reference = plan.called(module if by_class else plan.module, few)

    def score(module: nn.Module) -> float:
        found = quality(plan.called(module, few), reference, None)
        if by_class:
            return -1.0 if found.agreement is None else found.agreement
        return found.snr_db

    found = search_thresholds(
        module,
        score,
        min(1.0, floor + MARGIN) if by_class else floor + MARGIN_DB,
        first=2.0**-6,
        highest=2.0**2,
        factor=2.0,
        refine=0,
        weight_bits=weight_bits,
    )
    return dict(found.thetas)
