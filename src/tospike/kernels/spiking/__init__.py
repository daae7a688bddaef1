"""Spiking networks that really skip: event-driven layers in Numba, each beside a reference."""

from tospike.kernels.spiking.record import (
    INPUT,
    Node,
    Pool,
    Population,
    Reshape,
    SpikingNetwork,
    Sum,
    Synapses,
)

__all__ = [
    "INPUT",
    "Node",
    "Pool",
    "Population",
    "Reshape",
    "SpikingNetwork",
    "Sum",
    "Synapses",
]
