"""HOW OFTEN: activity of a network on real data."""

from tospike.activity.profile import ActivityProfile, LayerActivity, NeuronActivity, Signal
from tospike.activity.temporal import temporal_sparsity

__all__ = ["ActivityProfile", "LayerActivity", "NeuronActivity", "Signal", "temporal_sparsity"]
