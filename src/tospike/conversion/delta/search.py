"""Threshold search: as few weight reads as a floor on quality allows.

Equations
    minimise sum over layers G H ((1 - Gamma_x) I + (1 - Gamma_h) H) * bits / 8, subject to
    score >= floor, over one theta_x and one theta_h per layer.

Method
    Greedy and deterministic. All thresholds first rise together, by ``factor`` a step, as long as
    the floor holds. Then each in turn is tried one step up; the trial that reads least and keeps
    the floor is taken, until none does. The step is then refined to its square root, ``refine``
    times.

Range of validity
    A local minimum: nothing says that no better thresholds exist. Thresholds found on some data
    keep the floor on these data; check them on others.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tospike.conversion.delta.changes import checked_theta
from tospike.conversion.delta.convolution import DeltaConv
from tospike.conversion.delta.layers import DeltaLinear, _DeltaRecurrent
from tospike.conversion.delta.recording import recorded
from tospike.conversion.delta.traffic import LayerTraffic, total, traffic
from tospike.errors import ConversionError, DataError, OptionError

#: runs the network on data and says how good it is; higher is better
Score = Callable[[nn.Module], float]
#: name of a threshold: name of the module ("" for the network itself), level, which
Key = tuple[str, int, Literal["theta_x", "theta_h"]]


@dataclass(frozen=True)
class Trial:
    """One evaluation: the thresholds, the score and the weight bytes per step. ``better``: it keeps
    the floor and reads less than the best until then."""

    thetas: Mapping[Key, float]
    score: float
    weight_bytes: float
    better: bool


@dataclass(frozen=True)
class ThresholdSearch:
    """What was found.

    Attributes
    ----------
    thetas : by (module, level, "theta_x" or "theta_h").
    score, floor : reached and asked.
    weight_bytes, dense_weight_bytes : per step and stream, delta layers only.
    layers : Gamma and weights per layer at the thresholds found.
    path : every trial, in order.
    """

    thetas: Mapping[Key, float]
    score: float
    floor: float
    weight_bytes: float
    dense_weight_bytes: float
    layers: tuple[LayerTraffic, ...]
    path: tuple[Trial, ...]

    @property
    def reduction(self) -> float:
        """Dense weight bytes over those read."""
        return self.dense_weight_bytes / self.weight_bytes if self.weight_bytes else math.inf


def thresholds(module: nn.Module) -> dict[Key, float]:
    """All thresholds of the delta layers of ``module``, in their order."""
    found: dict[Key, float] = {}
    for name, part in module.named_modules():
        if isinstance(part, _DeltaRecurrent):
            for level in range(part.num_layers):
                found[name, level, "theta_x"] = _value(part, "theta_x", level)
                found[name, level, "theta_h"] = _value(part, "theta_h", level)
        elif isinstance(part, DeltaLinear | DeltaConv):
            found[name, 0, "theta_x"] = _value(part, "theta_x", 0)
    return found


def _value(part: nn.Module, which: str, level: int) -> float:
    return float(part.get_parameter(which).detach()[level].abs())


def with_thresholds(module: nn.Module, thetas: Mapping[Key, float]) -> nn.Module:
    """A copy of ``module`` with these thresholds; those not named stay.

    Raises
    ------
    OptionError
        A threshold below 0, or of a layer that does not exist; all of the latter are listed.
    """
    known = thresholds(module)
    wrong = [f"there is no threshold {key}" for key in thetas if key not in known]
    if wrong:
        raise OptionError("set delta thresholds", allowed=", ".join(map(str, known)), reasons=wrong)
    made = copy.deepcopy(module)
    _set(made, {key: checked_theta(value, str(key)) for key, value in thetas.items()})
    return made


def _set(module: nn.Module, thetas: Mapping[Key, float]) -> None:
    with torch.no_grad():
        for (name, level, which), value in thetas.items():
            module.get_submodule(name).get_parameter(which)[level] = value


def search_thresholds(
    module: nn.Module,
    score: Score,
    floor: float,
    *,
    first: float = 2.0**-8,
    highest: float = 2.0**6,
    factor: float = 2.0,
    refine: int = 2,
    weight_bits: int = 32,
    progress: Callable[[Trial], None] | None = None,
) -> ThresholdSearch:
    """Find thresholds of a delta network that read few weights and keep ``score >= floor``.

    Parameters
    ----------
    module : with delta layers; their thresholds are ignored. Left unchanged.
    score : runs the network it is given, in evaluation mode, e.g. from :func:`accuracy` or
        :func:`snr`. What the layers send in this call is what is counted.
    floor : lowest score allowed.
    first, highest : first threshold above 0, and the last, in the unit of the signal.
    factor : of the first, coarse steps, above 1. refine : times that its root is taken.
    weight_bits : of a stored weight.
    progress : called after every trial.

    Raises
    ------
    OptionError
        The floor is missed at thresholds of 0, or an option is out of its range.
    ConversionError
        There is no delta layer.
    DataError
        The score is NaN, or the score function does not run the network.
    """
    _check_options(first, highest, factor, refine, weight_bits)
    search = _Search(module, score, floor, weight_bits, progress)
    best = search.trial(dict.fromkeys(search.keys, 0.0))
    if best.score < floor:
        raise OptionError(
            f"keep a score of {floor:g}",
            received=f"{best.score:g} at thresholds of 0, as the dense network",
            fix="lower the floor, or train the network further",
        )
    best = search.together(best, first, highest, factor)
    step = factor
    for _ in range(refine + 1):
        best = search.one_by_one(best, first, highest, step)
        step = math.sqrt(step)
    return search.result(best)


class _Search:
    """The network under search and the trials so far."""

    def __init__(
        self,
        module: nn.Module,
        score: Score,
        floor: float,
        weight_bits: int,
        progress: Callable[[Trial], None] | None,
    ) -> None:
        self.module = copy.deepcopy(module).eval()
        self.keys = tuple(thresholds(module))
        if not self.keys:
            raise ConversionError(
                "search thresholds", received="a network without delta layers",
                fix='convert it first: ts.convert(network, to="delta")',
            )  # fmt: skip
        self.score, self.floor, self.progress = score, floor, progress
        self.bytes = weight_bits / 8
        self.seen: dict[tuple[float, ...], tuple[float, tuple[LayerTraffic, ...]]] = {}
        self.path: list[Trial] = []

    def run(self, thetas: Mapping[Key, float]) -> tuple[float, tuple[LayerTraffic, ...]]:
        """Score and traffic at these thresholds; each set is run once."""
        at = tuple(thetas[key] for key in self.keys)
        if at not in self.seen:
            _set(self.module, thetas)
            with torch.no_grad(), recorded() as record:
                score = float(self.score(self.module))
            if math.isnan(score):
                raise DataError("score a delta network", received="NaN", where=str(dict(thetas)))
            self.seen[at] = score, traffic(self.module, record)
        return self.seen[at]

    def trial(self, thetas: dict[Key, float], best: Trial | None = None) -> Trial:
        """Run, note and report one set."""
        score, layers = self.run(thetas)
        read = total(layers)[0] * self.bytes
        better = score >= self.floor and (best is None or read < best.weight_bytes)
        trial = Trial(thetas, score, read, better)
        self.path.append(trial)
        if self.progress is not None:
            self.progress(trial)
        return trial

    def together(self, best: Trial, first: float, highest: float, factor: float) -> Trial:
        """All thresholds at once, from ``first`` on."""
        theta = first
        while theta <= highest:
            trial = self.trial(dict.fromkeys(self.keys, theta), best)
            if trial.score < self.floor:
                break
            best, theta = trial if trial.better else best, theta * factor
        return best

    def one_by_one(self, best: Trial, first: float, highest: float, step: float) -> Trial:
        """The best single step up, again and again. A step that failed once is not tried again
        at this size: thresholds only rise, so what it breaks stays broken, as a rule."""
        open_keys = list(self.keys)
        while open_keys:
            trials = {}
            for key in open_keys:
                raised = max(first, best.thetas[key] * step)
                if raised <= highest:
                    trials[key] = self.trial({**best.thetas, key: raised}, best)
            open_keys = [key for key, trial in trials.items() if trial.better]
            if open_keys:
                best = min((trials[key] for key in open_keys), key=lambda t: t.weight_bytes)
        return best

    def result(self, best: Trial) -> ThresholdSearch:
        """The record."""
        score, layers = self.run(best.thetas)
        read, dense = total(layers)
        return ThresholdSearch(
            dict(best.thetas),
            score,
            self.floor,
            read * self.bytes,
            dense * self.bytes,
            layers,
            tuple(self.path),
        )


def accuracy(x: Tensor, y: Tensor, decide: Callable[[Tensor], Tensor] | None = None) -> Score:
    """Score: share of samples that the network gets right.

    ``decide`` turns its output into classes, by default the largest element of the last axis.
    """
    if len(x) != len(y) or not len(x):
        raise DataError("score a network", received=f"{len(x)} samples and {len(y)} labels")

    def score(module: nn.Module) -> float:
        output = module(x)
        classes = output.argmax(-1) if decide is None else decide(output)
        if classes.shape != y.shape:
            raise DataError(
                "score a network",
                received=f"classes of shape {tuple(classes.shape)}",
                allowed=f"{tuple(y.shape)}, as the labels",
                fix="give decide=, a function of the output",
            )
        return float((classes == y).double().mean())

    return score


def snr(x: Tensor, reference: Tensor) -> Score:
    """Score: signal-to-noise ratio in dB of the output against ``reference``, the output of the
    dense network on ``x`` (of a recurrent layer, its output sequence). inf where they are equal."""
    power = float(reference.double().square().mean())
    if not power > 0 or not math.isfinite(power):
        raise DataError("score by SNR", received=f"a reference of power {power:g}")

    def score(module: nn.Module) -> float:
        output = module(x)
        values = output[0] if isinstance(output, tuple) else output
        if values.shape != reference.shape:
            raise DataError(
                "score by SNR",
                received=f"an output of shape {tuple(values.shape)}",
                allowed=f"{tuple(reference.shape)}, as the reference",
            )
        noise = float((values.double() - reference.double()).square().mean())
        return math.inf if noise == 0 else 10 * math.log10(power / noise)

    return score


def _check_options(
    first: float, highest: float, factor: float, refine: int, weight_bits: int
) -> None:
    reasons = []
    if not 0 < first <= highest < math.inf:
        reasons.append(f"first is {first} and highest {highest}; 0 < first <= highest is needed")
    if not 1 < factor < math.inf:
        reasons.append(f"factor is {factor}; it must be above 1")
    if refine < 0:
        reasons.append(f"refine is {refine}; it must be at least 0")
    if not 1 <= weight_bits <= 64:
        reasons.append(f"weight_bits is {weight_bits}; it must be from 1 to 64")
    if reasons:
        raise OptionError("search thresholds", reasons=reasons)
