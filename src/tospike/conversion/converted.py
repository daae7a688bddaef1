"""``ts.convert``: a trained network as a spiking or quantised network that runs on data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from tospike.conversion.calibration import Calibration, calibrate, trained_scales
from tospike.conversion.correction import corrected
from tospike.conversion.counting import wiring
from tospike.conversion.data import Progress, as_samples
from tospike.conversion.eligibility import plan
from tospike.conversion.forward import walk
from tospike.conversion.graph import ExecutableGraph
from tospike.conversion.load import executable
from tospike.conversion.prepare import DEFAULT_RULES, Rules, checked_rules, prepare
from tospike.conversion.quantised import checked_bits, matched_bits, quantise, run_qnn
from tospike.conversion.result import RunResult
from tospike.conversion.run import checked_spiking, checked_timesteps, run_snn
from tospike.conversion.spiking import Chunk
from tospike.conversion.thresholds import Correction, Method
from tospike.conversion.ttfs import TimedChunk, run_ttfs, timed
from tospike.errors import ConversionError

Target = Literal["snn", "qnn"]
Coding = Literal["rate", "ttfs"]
#: largest T up to which "mse" with moved weights is the default
MSE_UP_TO = 8
TARGETS = ("snn", "qnn", "delta", "sigma_delta")


@dataclass(frozen=True)
class Settings:
    """How a converted network runs."""

    to: Target
    timesteps: int
    spiking: tuple[str, ...]
    weight_bits: int
    activation_bits: int
    coding: Coding = "rate"
    rules: Rules = DEFAULT_RULES


class Converted(torch.nn.Module):
    """A converted network. Calling it maps samples (N, ...) to outputs (N, ...), float32.

    ``run`` measures accuracy and activity on data.
    """

    def __init__(
        self, graph: ExecutableGraph, calibration: Calibration, settings: Settings
    ) -> None:
        super().__init__()
        self.graph = graph
        self.calibration = calibration
        self.settings = settings
        layers, bits = frozenset(settings.spiking), settings.weight_bits
        if settings.to == "qnn":
            self.quantised = quantise(graph, calibration, settings.activation_bits, bits)
        elif settings.coding == "ttfs":
            self.prepared = timed(
                graph, layers, calibration, settings.timesteps, bits, correct=True
            )
        else:
            rough = prepare(graph, plan(graph, layers), calibration, bits, settings.rules)
            self.prepared = corrected(rough, calibration, bits)

    def forward(self, x: Any) -> Tensor:
        """Outputs of the converted network for samples ``x`` (N, ...)."""
        samples = as_samples(self.graph, x, asked="run the converted network")
        if self.settings.to == "snn":
            wires, steps = wiring(self.graph), self.settings.timesteps
            chunk = (
                TimedChunk(self.prepared, samples, (1,), wires, levels=steps)
                if self.settings.coding == "ttfs"
                else Chunk(self.prepared, samples, (steps,), wires)
            )
            outputs, _ = chunk.run()
            return outputs[-1].float()
        output: Tensor | None = None
        for node, _, value in walk(self.quantised.graph, samples, self.quantised.before):
            if node.name == self.graph.output:
                output = value
        assert output is not None
        return output

    def run(
        self, x: Any, y: Any = None, *, batch_size: int = 128, progress: Progress | None = None
    ) -> RunResult:
        """Accuracy and activity on samples ``x`` (N, ...) with labels ``y`` (N,) or None."""
        settings = self.settings
        if settings.to == "qnn":
            return run_qnn(
                self.graph,
                self.calibration,
                x,
                y,
                activation_bits=settings.activation_bits,
                weight_bits=settings.weight_bits,
                batch_size=batch_size,
                progress=progress,
            )
        steps = settings.timesteps
        if settings.coding == "ttfs":
            return run_ttfs(
                self.graph,
                self.calibration,
                x,
                y,
                timesteps=(steps,),
                spiking=settings.spiking,
                weight_bits=settings.weight_bits,
                batch_size=batch_size,
                progress=progress,
            )[steps]
        return run_snn(
            self.graph,
            self.calibration,
            x,
            y,
            timesteps=(steps,),
            spiking=settings.spiking,
            weight_bits=settings.weight_bits,
            max_pool=settings.rules.max_pool,
            schedule=settings.rules.schedule,
            batch_size=batch_size,
            progress=progress,
        )[steps]


def convert(
    model: torch.nn.Module | str | Path,
    to: str,
    *,
    calibration_data: Any = None,
    theta: Any = None,
    timesteps: int = 32,
    activation_bits: int | None = None,
    weight_bits: int = 8,
    spiking: Collection[str] | None = None,
    percentile: float = 99.9,
    method: Method | None = None,
    correction: Correction | None = None,
    coding: Coding = "rate",
    max_pool: str = "exact",
    schedule: str = "together",
) -> Any:
    """Convert a trained network; nothing is trained.

    Parameters
    ----------
    model : a ``torch.nn.Module`` (left unchanged) or the path of an ``.onnx`` file.
    to : "snn" (or a hybrid, with ``spiking``), "qnn", "delta", or "sigma_delta".
    calibration_data : a few hundred samples (n, ...) without labels; not needed for "delta".
    theta : threshold of "delta", one number or by name of the recurrent layer; or of
        "sigma_delta", one number or by name of the layer, as a share of the 99.9-percentile of
        the values that the layer reads on ``calibration_data``.
    timesteps : T of the spiking network; also sets the default of ``activation_bits``.
    activation_bits : of the quantised network; None means ceil(log2(T + 1)).
    spiking : layers whose synapses receive spikes; None means all that may.
    method, correction : see :func:`~tospike.conversion.calibration.calibrate`; no method means
        "qcfs" for a network that was trained with QCFS, "percentile" for "qnn", else
        :func:`best_method` of T.
    coding : "rate", or "ttfs" (time to first spike, see ``ttfs.py``).
    max_pool, schedule : see :class:`~tospike.conversion.prepare.Rules`; rate code only.

    Returns
    -------
    :class:`Converted`; for "delta" a ``torch.nn.Module`` with the interface of ``model``, see
    :func:`~tospike.conversion.delta.replace.delta_network`; for "sigma_delta" a
    :class:`~tospike.conversion.sigma_delta.SigmaDelta` on frames (F, N, ...).

    Raises
    ------
    ConversionError, DataError, OptionError, UnknownNameError
    """
    if to == "delta":
        return _to_delta(model, theta)
    reasons = _misfits(to, calibration_data, theta, coding, max_pool, schedule)
    if reasons:
        raise ConversionError(
            f"convert a network to {to!r}",
            allowed=", ".join(map(repr, TARGETS)),
            fix="mend what is listed",
            reasons=reasons,
        )
    if to == "sigma_delta":
        return _to_sigma_delta(model, theta, calibration_data)
    rules = checked_rules(max_pool, schedule)
    (steps,) = checked_timesteps((timesteps,))
    bits = matched_bits(steps) if activation_bits is None else activation_bits
    checked_bits(bits, weight_bits)
    graph = executable(model, calibration_data)
    layers = checked_spiking(graph, spiking) if to == "snn" else frozenset()
    target: Target = "snn" if to == "snn" else "qnn"
    settings = Settings(target, steps, tuple(sorted(layers)), weight_bits, bits, coding, rules)
    chosen = method or ("percentile" if to == "qnn" else best_method(graph, steps))
    calibration = calibrate(
        graph,
        calibration_data,
        method=chosen,
        timesteps=steps,
        percentile=percentile,
        correction=usual_correction(graph, correction, coding, schedule),
    )
    return Converted(graph, calibration, settings)


def best_method(graph: ExecutableGraph, timesteps: int) -> Method:
    """The rule with the best accuracy at T in ``docs/conversion.md``.

    "qcfs" if the network was trained for it; else "mse" with moved weights up to T = 8, and
    "percentile" above.
    """
    if trained_scales(graph):
        return "qcfs"
    return "mse" if timesteps <= MSE_UP_TO else "percentile"


def usual_correction(
    graph: ExecutableGraph, correction: Correction | None, coding: str, schedule: str
) -> Correction | None:
    """``correction``, or "none" where a QCFS network runs without unevenness error."""
    exact = coding == "ttfs" or schedule == "layers"
    return "none" if correction is None and exact and trained_scales(graph) else correction


def _misfits(
    to: str, calibration_data: Any, theta: Any, coding: str, max_pool: str, schedule: str
) -> list[str]:
    """Everything that does not fit together, before anything is run."""
    if to not in TARGETS:
        return [f"there is no target {to!r}"]
    plain = (coding, max_pool, schedule) == ("rate", "exact", "together")
    reasons = []
    if to == "sigma_delta":
        if theta is None:
            reasons.append("no threshold: give theta=1/16, or theta={'conv1': 1/16}")
    elif theta is not None:
        reasons.append(f"a delta threshold belongs to 'delta' and 'sigma_delta', not to {to!r}")
    if calibration_data is None:
        reasons.append("no calibration data: give calibration_data, a few hundred samples")
    if coding not in get_args(Coding):
        reasons.append(f"coding = {coding!r} is not 'rate' or 'ttfs'")
    if to != "snn" and not plain:
        reasons.append(f"coding, max_pool and schedule belong to 'snn', not to {to!r}")
    elif coding == "ttfs" and (max_pool, schedule) != ("exact", "together"):
        reasons.append("max_pool and schedule belong to the rate code, not to 'ttfs'")
    return reasons


def _to_sigma_delta(
    model: torch.nn.Module | str | Path, theta: Any, calibration_data: Any
) -> torch.nn.Module:
    from tospike.conversion.sigma_delta import sigma_delta_network

    graph = executable(model, calibration_data)
    return sigma_delta_network(graph, theta, calibration_data=calibration_data)


def _to_delta(model: torch.nn.Module | str | Path, theta: Any) -> torch.nn.Module:
    from tospike.conversion.delta.replace import delta_network

    if theta is None:
        raise ConversionError(
            "convert a network to 'delta'",
            received="no threshold",
            fix="give theta=1/16, or theta={'gru': 1/16}",
        )
    if isinstance(model, torch.nn.Module):
        return delta_network(model, theta)
    from tospike.conversion.delta.from_onnx import load_chain

    return delta_network(load_chain(model), theta)
