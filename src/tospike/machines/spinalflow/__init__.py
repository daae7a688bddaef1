"""Spikes sorted by time, one output neuron per PE, nothing of its potential ever stored."""

from tospike.machines.spinalflow.simulate import merge_passes, simulate

__all__ = ["merge_passes", "simulate"]
