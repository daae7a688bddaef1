"""WHAT is computed: layers, networks, importers, the zoo of published topologies."""

from tospike.network.layer import SYNAPTIC_KINDS, Layer, Reuse
from tospike.network.network import INPUT, Edge, Network, Origin

__all__ = ["INPUT", "SYNAPTIC_KINDS", "Edge", "Layer", "Network", "Origin", "Reuse"]
