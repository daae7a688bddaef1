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
    calibration_data: Any,
    timesteps: int = 32,
    activation_bits: int | None = None,
    weight_bits: int = 8,
    spiking: Collection[str] | None = None,
    percentile: float = 99.9,
) -> Converted:
    """Convert a trained network; nothing is trained.

    Parameters
    ----------
    model : a ``torch.nn.Module`` (left unchanged) or the path of an ``.onnx`` file.
    to : "snn" (or a hybrid, with ``spiking``) or "qnn". "delta" comes in a later version.
    calibration_data : a few hundred samples (n, ...) without labels.
    timesteps : T of the spiking network; also sets the default of ``activation_bits``.
    activation_bits : of the quantised network; None means ceil(log2(T + 1)).
    spiking : layers whose synapses receive spikes; None means all that may.

    Raises
    ------
    ConversionError, DataError, OptionError, UnknownNameError
    """
    if to not in ("snn", "qnn"):
        later = to == "delta"
        raise ConversionError(
            f"convert a network to {to!r}",
            received="delta networks are not converted by this version" if later else repr(to),
            allowed="'snn', 'qnn'",
            fix="measure temporal sparsity with ts.measure instead" if later else "",
        )
    (steps,) = checked_timesteps((timesteps,))
    bits = matched_bits(steps) if activation_bits is None else activation_bits
    checked_bits(bits, weight_bits)
    graph = executable(model, calibration_data)
    layers = checked_spiking(graph, spiking) if to == "snn" else frozenset()
    target: Target = "snn" if to == "snn" else "qnn"
    settings = Settings(target, steps, tuple(sorted(layers)), weight_bits, bits)
    return Converted(graph, calibrate(graph, calibration_data, percentile=percentile), settings)
