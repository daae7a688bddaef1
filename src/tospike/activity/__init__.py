"""HOW OFTEN: activity of a network on real data."""

from tospike.activity.profile import ActivityProfile, LayerActivity, Signal

__all__ = ["ActivityProfile", "LayerActivity", "Signal"]
