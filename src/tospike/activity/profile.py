"""HOW OFTEN: ``LayerActivity`` and ``ActivityProfile``, measured or assumed. Records only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tospike.errors import unknown_name
from tospike.network import Network

Signal = Literal["analog", "spike", "delta"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LayerActivity:
    """Activity at the INPUT of one synaptic layer, mean per inference over all samples.

    Attributes
    ----------
    signal : declared by what produced the input, never guessed from values.
    n_samples : inferences measured.
    n_timesteps : calls of the layer per inference.
    zero_fraction : gamma, share of input values that are exactly 0, in [0, 1].
    zero_fraction_std : standard deviation of gamma over samples (nan with fewer than 2).
    synaptic_operations : operations with a non-zero input per inference, exact at borders and
        strides (products with padding are not counted).
    synaptic_operations_std : its standard deviation over samples.
    spikes_per_synapse : for spike signals: synaptic_operations over the synapses of ONE call,
        ``layer.n_synapses / layer.calls``, so that the T steps of an inference add up; else None.
    spikes_per_neuron : for spike signals: events per input neuron of one call and inference, the
        T steps added up; else None.
    temporal_sparsity : threshold Theta -> Gamma(Theta): share of input values that need not be
        sent because they differ by at most Theta from the last *transmitted* value.
    channel_density : (C,) share of non-zero values per input channel or feature.
    pixel_density : spatial shape of the input; share of non-zero values per position over
        channels; empty for inputs without space.
    """

    signal: Signal
    n_samples: int
    n_timesteps: float
    zero_fraction: float
    synaptic_operations: float
    zero_fraction_std: float = float("nan")
    synaptic_operations_std: float = float("nan")
    spikes_per_synapse: float | None = None
    spikes_per_neuron: float | None = None
    temporal_sparsity: Mapping[float, float] = field(default_factory=dict)
    channel_density: Floats = field(default_factory=lambda: np.zeros(0))
    pixel_density: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, slots=True)
class NeuronActivity:
    """What one population of neurons does, mean per inference over all samples.

    Attributes
    ----------
    model : neuron model, a key of ``tospike.network.neuron.NEURONS`` or a family beside it.
    cls : full name of the class of the framework.
    signal : declared output: "spike" (0 or 1), or "analog" (graded values, or several in a step).
    n_samples : inferences measured.
    n_neurons : neurons of the population, of one time step.
    n_timesteps : T, time steps per inference.
    spikes : non-zero outputs per inference, the T steps added up; None for neurons that never
        fire. Several spikes in one step count as one output.
    updates : membrane updates per inference, n_neurons times T: a state that leaks changes in
        every step.
    """

    model: str
    cls: str
    signal: Signal
    n_samples: int
    n_neurons: float
    n_timesteps: float
    spikes: float | None
    updates: float

    @property
    def spikes_per_neuron(self) -> float | None:
        """Spikes of one neuron per inference, the T steps added up."""
        return None if self.spikes is None else self.spikes / self.n_neurons


@dataclass(frozen=True)
class ActivityProfile:
    """Activity of every synaptic layer. ``origin`` says on what it rests (data, samples).

    ``neurons``: module path -> what its spiking neurons do, for neurons that are recognised.
    """

    layers: Mapping[str, LayerActivity]
    n_samples: int
    origin: str
    measured: bool = True
    notes: tuple[str, ...] = ()
    neurons: Mapping[str, NeuronActivity] = field(default_factory=dict)

    def __getitem__(self, name: str) -> LayerActivity:
        try:
            return self.layers[name]
        except KeyError:
            raise unknown_name("measured layer", name, tuple(self.layers)) from None

    def __contains__(self, name: object) -> bool:
        return name in self.layers

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    @classmethod
    def assumed(cls, network: Network, *, zero_fraction: float, origin: str) -> ActivityProfile:
        """One zero fraction for all layers of a network: an assumption, and labelled so."""
        return cls(
            {
                layer.name: LayerActivity(
                    signal="analog",
                    n_samples=0,
                    n_timesteps=layer.calls,
                    zero_fraction=zero_fraction,
                    synaptic_operations=(1 - zero_fraction) * layer.n_synapses_exact,
                )
                for layer in network.synaptic_layers
            },
            n_samples=0,
            origin=origin,
            measured=False,
        )
