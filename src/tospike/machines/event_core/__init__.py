"""Spatially expanded cores: every neuron has a place, and spikes travel to it as events."""

from tospike.machines.event_core.placement import Placement, place
from tospike.machines.event_core.simulate import simulate

__all__ = ["Placement", "place", "simulate"]
