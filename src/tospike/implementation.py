"""How a network may run: ``Implementation`` and ``Partition``. Records only (rank 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Mode = Literal["ann", "qnn", "snn", "delta"]
MODES: tuple[Mode, ...] = ("ann", "qnn", "snn", "delta")


@dataclass(frozen=True, slots=True)
class Implementation:
    """One way to run one layer or a whole network.

    Attributes
    ----------
    mode : "ann" (dense or zero-skipping), "qnn" (the same, quantised), "snn", "delta".
    neuron : neuron model of an SNN: "if_inst", "lif_inst", "if_cont", "lif_cont".
    n_timesteps : T of an SNN, or sequence steps of a delta network.
    delta_threshold : Theta of a delta network.
    weight_bits, activation_bits, state_bits : operand widths as counted.
    """

    mode: Mode
    neuron: str = "if_inst"
    n_timesteps: int = 1
    delta_threshold: float = 0.0
    weight_bits: int = 8
    activation_bits: int = 8
    state_bits: int = 8


@dataclass(frozen=True, slots=True)
class Partition:
    """layer name -> mode. ``borders(edges)`` are where the mode changes; they are priced too."""

    modes: Mapping[str, Mode]

    def borders(self, edges: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """The (source, target) pairs whose ends run in different modes.

        A source that is not in the partition (the network input) counts as "ann".
        """
        return tuple(
            (source, target)
            for source, target in edges
            if self.modes.get(source, "ann") != self.modes.get(target, "ann")
        )

    @property
    def spiking(self) -> tuple[str, ...]:
        """Names of the layers whose synapses receive spikes."""
        return tuple(name for name, mode in self.modes.items() if mode == "snn")
