"""Neuron models: what they compute, what they store, and one step of each, as in the papers."""

from tospike.network.neuron.record import NeuronModel, Neurons, Reset

__all__ = ["NeuronModel", "Neurons", "Reset"]
