"""``ts.convert``: a trained network as a spiking or quantised network that runs on data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from tospike.conversion.calibration import Calibration, calibrate
from tospike.conversion.correction import corrected
from tospike.conversion.counting import wiring
from tospike.conversion.data import Progress, as_samples
from tospike.conversion.eligibility import plan
from tospike.conversion.forward import walk
from tospike.conversion.graph import ExecutableGraph
from tospike.conversion.load import executable
from tospike.conversion.prepare import prepare
from tospike.conversion.quantised import checked_bits, matched_bits, quantise, run_qnn
from tospike.conversion.result import RunResult
from tospike.conversion.run import checked_spiking, checked_timesteps, run_snn
from tospike.conversion.spiking import Chunk
from tospike.errors import ConversionError

Target = Literal["snn", "qnn"]


@dataclass(frozen=True)
class Settings:
    """How a converted network runs."""

    to: Target
    timesteps: int
    spiking: tuple[str, ...]
    weight_bits: int
    activation_bits: int


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
        if settings.to == "snn":
            layers = frozenset(settings.spiking)
            rough = prepare(graph, plan(graph, layers), calibration, settings.weight_bits)
            self.prepared = corrected(rough, calibration)
        else:
            self.quantised = quantise(
                graph, calibration, settings.activation_bits, settings.weight_bits
            )

    def forward(self, x: Any) -> Tensor:
        """Outputs of the converted network for samples ``x`` (N, ...)."""
        samples = as_samples(self.graph, x, asked="run the converted network")
        if self.settings.to == "snn":
            prefixes = (self.settings.timesteps,)
            outputs, _ = Chunk(self.prepared, samples, prefixes, wiring(self.graph)).run()
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
        return run_snn(
            self.graph,
            self.calibration,
            x,
            y,
            timesteps=(settings.timesteps,),
            spiking=settings.spiking,
            weight_bits=settings.weight_bits,
            batch_size=batch_size,
            progress=progress,
        )[settings.timesteps]


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
) -> Any:
    """Convert a trained network; nothing is trained.

    Parameters
    ----------
    model : a ``torch.nn.Module`` (left unchanged) or the path of an ``.onnx`` file.
    to : "snn" (or a hybrid, with ``spiking``), "qnn", or "delta".
    calibration_data : a few hundred samples (n, ...) without labels; not needed for "delta".
    theta : delta threshold, one number or by name of the recurrent layer ("delta" only).
    timesteps : T of the spiking network; also sets the default of ``activation_bits``.
    activation_bits : of the quantised network; None means ceil(log2(T + 1)).
    spiking : layers whose synapses receive spikes; None means all that may.

    Returns
    -------
    :class:`Converted`; for "delta" a ``torch.nn.Module`` with the interface of ``model``, see
    :func:`~tospike.conversion.delta.replace.delta_network`.

    Raises
    ------
    ConversionError, DataError, OptionError, UnknownNameError
    """
    if to not in ("snn", "qnn", "delta"):
        raise ConversionError(
            f"convert a network to {to!r}", received=repr(to), allowed="'snn', 'qnn', 'delta'"
        )
    if to == "delta":
        return _to_delta(model, theta)
    if theta is not None or calibration_data is None:
        raise ConversionError(
            f"convert a network to {to!r}",
            received="a delta threshold" if theta is not None else "no calibration data",
            allowed="theta with 'delta' only; calibration_data with 'snn' and 'qnn'",
        )
    (steps,) = checked_timesteps((timesteps,))
    bits = matched_bits(steps) if activation_bits is None else activation_bits
    checked_bits(bits, weight_bits)
    graph = executable(model, calibration_data)
    layers = checked_spiking(graph, spiking) if to == "snn" else frozenset()
    target: Target = "snn" if to == "snn" else "qnn"
    settings = Settings(target, steps, tuple(sorted(layers)), weight_bits, bits)
    return Converted(graph, calibrate(graph, calibration_data, percentile=percentile), settings)


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
