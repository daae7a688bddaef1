"""``RunResult``: what one execution of a network showed. A record only; no torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tospike.activity import ActivityProfile
from tospike.implementation import Mode


@dataclass(frozen=True)
class RunResult:
    """Accuracy and activity of one implementation, measured by running it.

    Attributes
    ----------
    mode : "ann", "qnn" or "snn" (a hybrid is "snn" with ``spiking`` smaller than all eligible).
    accuracy : share of correct arg-max in [0, 1]; None without labels.
    agreement : share of samples whose arg-max equals the float network's; None where the output
        is not (N, classes).
    n_samples : samples run.
    timesteps : T (1 for "ann" and "qnn").
    activation_bits : bits of activations; 0 for float.
    activity : per synaptic layer, mean per inference. In an SNN the synaptic operations are the
        events times their fan-out, exact at borders and strides, summed over T.
    spiking : layers whose synapses received spikes.
    skip_events : population -> additions per inference made by spikes on identity (residual)
        connections; they are not part of any synaptic layer.
    neuron_spikes : population -> spikes per inference that its neurons emitted.
    neuron_count : population -> number of its neurons.
    outputs : (N, ...) float32 network outputs, only if asked for.
    classes : (N,) arg-max of every sample; None where the output is not (N, classes).
    """

    mode: Mode
    accuracy: float | None
    agreement: float | None
    n_samples: int
    timesteps: int
    activation_bits: int
    activity: ActivityProfile
    spiking: tuple[str, ...] = ()
    skip_events: Mapping[str, float] = field(default_factory=dict)
    neuron_spikes: Mapping[str, float] = field(default_factory=dict)
    neuron_count: Mapping[str, int] = field(default_factory=dict)
    outputs: NDArray[np.float32] | None = None
    classes: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()
