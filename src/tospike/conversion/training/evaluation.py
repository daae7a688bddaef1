"""Accuracy, spikes and activity of a directly trained spiking network, by running it densely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tospike.activity import ActivityProfile, LayerActivity
from tospike.conversion.training.direct import DirectSNN
from tospike.conversion.training.taps import Tap, recorded
from tospike.errors import DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a spiking network did on samples.

    Attributes
    ----------
    accuracy : share of samples whose arg-max of the mean output over T steps is the label; None
        without labels. accuracy_at : the same after 1, ..., T steps.
    activity : per synaptic layer, mean per inference, the T steps added up.
    spikes_per_synapse : over all layers that receive spikes: their synaptic operations over
        their synapses. synaptic_operations : of these layers, per inference.
    neuron_spikes : population -> spikes per inference. neuron_count : population -> neurons.
    outputs : (N, ...) mean over the steps, float32.
    """

    accuracy: float | None
    accuracy_at: tuple[float, ...]
    n_samples: int
    timesteps: int
    activity: ActivityProfile
    spikes_per_synapse: float
    synaptic_operations: float
    neuron_spikes: dict[str, float]
    neuron_count: dict[str, int]
    outputs: NDArray[np.float32]


@torch.inference_mode()
def evaluate(
    snn: DirectSNN,
    x: Tensor,
    y: Tensor | None = None,
    *,
    batch_size: int = 100,
    origin: str = "array",
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run ``snn`` on samples ``x`` (N, ...) with labels ``y`` (N,), in evaluation mode.

    Synaptic operations are counted exactly, as products with a non-zero input.

    Raises
    ------
    DataError
        No samples, or not as many labels.
    """
    if len(x) == 0 or (y is not None and len(y) != len(x)):
        raise DataError(
            "evaluate a spiking network",
            received=f"{len(x)} samples and {'no' if y is None else len(y)} labels",
        )
    was_training = snn.training
    snn.eval()
    sums: dict[str, _Sum] = {}
    fired: dict[str, float] = {}
    sizes: dict[str, int] = {}
    hooks = [
        part.register_forward_hook(_counting(name, fired, sizes))
        for name, part in snn.populations().items()
    ]
    right = np.zeros(snn.neuron.timesteps)
    outputs = []
    try:
        for start in range(0, len(x), batch_size):
            rows = x[start : start + batch_size].float()
            if rows.dim() == 4:
                rows = rows.contiguous(memory_format=torch.channels_last)
            with recorded() as record:
                found = snn(rows)
            for tap, values in record:
                sums.setdefault(tap.layer, _Sum(tap)).add(values, len(rows))
            outputs.append(found.mean(dim=0))
            if y is not None:
                best = found.cumsum(dim=0).argmax(dim=2)
                right += (best == y[start : start + batch_size]).sum(dim=1).numpy()
            if progress is not None:
                progress(min(len(x), start + batch_size), len(x))
    finally:
        for hook in hooks:
            hook.remove()
        snn.train(was_training)
    return _evaluation(snn, len(x), y is not None, sums, fired, sizes, right, outputs, origin)


def _evaluation(
    snn: DirectSNN,
    n: int,
    labelled: bool,
    sums: dict[str, _Sum],
    fired: dict[str, float],
    sizes: dict[str, int],
    right: Floats,
    outputs: list[Tensor],
    origin: str,
) -> Evaluation:
    spiking = [total for total in sums.values() if total.tap.timed]
    operations = sum(float(np.mean(np.concatenate(total.operations))) for total in spiking)
    synapses = sum(total.tap.synapses for total in spiking)
    profile = ActivityProfile(
        {name: total.activity(n, snn.neuron.timesteps) for name, total in sums.items()},
        n_samples=n,
        origin=origin,
    )
    at = tuple((right / n).tolist()) if labelled else ()
    return Evaluation(
        accuracy=at[-1] if labelled else None,
        accuracy_at=at,
        n_samples=n,
        timesteps=snn.neuron.timesteps,
        activity=profile,
        spikes_per_synapse=operations / synapses if synapses else 0.0,
        synaptic_operations=operations,
        neuron_spikes={name: count / n for name, count in fired.items()},
        neuron_count=sizes,
        outputs=torch.cat(outputs).float().numpy(),
    )


def _counting(name: str, fired: dict[str, float], sizes: dict[str, int]) -> Callable[..., None]:
    def hook(module: object, inputs: object, output: Tensor) -> None:
        del module, inputs
        fired[name] = fired.get(name, 0.0) + float(output.double().sum())
        sizes[name] = output[0].numel()

    return hook


class _Sum:
    """Running sums over samples of what arrives at one layer."""

    def __init__(self, tap: Tap) -> None:
        self.tap = tap
        self.operations: list[Floats] = []
        self.zeros: list[Floats] = []
        self.events: list[Floats] = []
        self.per_channel: Tensor | None = None
        self.per_place: Tensor | None = None

    def add(self, x: Tensor, samples: int) -> None:
        """Values (steps * samples, C, ...)."""
        sent = (x != 0).reshape(-1, samples, *x.shape[1:]).double().sum(dim=0)
        steps = x.shape[0] // samples
        fan_out = self.tap.get_buffer("fan_out").double()
        space = sent.sum(dim=1) if sent.dim() > 2 else sent
        per_sample = (space * fan_out).reshape(samples, -1).sum(dim=1)
        events = sent.reshape(samples, -1).sum(dim=1)
        self.operations.append(per_sample.numpy())
        self.events.append(events.numpy())
        self.zeros.append(1 - events.numpy() / (steps * sent[0].numel()))
        channel = sent.reshape(samples, sent.shape[1], -1).sum(dim=(0, 2))
        channel = channel / (steps * (sent[0].numel() // sent.shape[1]))
        place = sent.sum(dim=(0, 1)) / (steps * sent.shape[1])
        self.per_channel = channel if self.per_channel is None else self.per_channel + channel
        self.per_place = place if self.per_place is None else self.per_place + place

    def activity(self, n: int, timesteps: int) -> LayerActivity:
        """The mean over all samples."""
        tap = self.tap
        operations, zeros = np.concatenate(self.operations), np.concatenate(self.zeros)
        spike = tap.timed and tap.binary
        assert self.per_channel is not None
        assert self.per_place is not None
        size = int(np.prod(self.per_place.shape)) * len(self.per_channel)
        spread = n >= 2
        return LayerActivity(
            signal="spike" if spike else "analog",
            n_samples=n,
            n_timesteps=float(timesteps if tap.timed else 1),
            zero_fraction=float(zeros.mean()),
            synaptic_operations=float(operations.mean()),
            zero_fraction_std=float(zeros.std()) if spread else float("nan"),
            synaptic_operations_std=float(operations.std()) if spread else float("nan"),
            spikes_per_synapse=float(operations.mean()) / tap.synapses if spike else None,
            spikes_per_neuron=float(np.concatenate(self.events).mean()) / size if spike else None,
            channel_density=(self.per_channel / n).numpy(),
            pixel_density=(self.per_place / n).numpy() if self.per_place.dim() else np.zeros(0),
        )
