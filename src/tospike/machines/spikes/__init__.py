"""Spikes as event-driven machines meet them: which arrive, in which order, what they reach."""

from tospike.machines.spikes.geometry import (
    Connections,
    Geometry,
    brute_force_operations,
    connections,
    fan_out,
    geometry,
    received,
)
from tospike.machines.spikes.inputs import SpikeInput, random_traces, read_inputs
from tospike.machines.spikes.order import ORDERS, EventStream, Order, event_stream
from tospike.machines.spikes.parameters import capacity, dram_system, read_parameters

__all__ = [
    "ORDERS",
    "Connections",
    "EventStream",
    "Geometry",
    "Order",
    "SpikeInput",
    "brute_force_operations",
    "capacity",
    "connections",
    "dram_system",
    "event_stream",
    "fan_out",
    "geometry",
    "random_traces",
    "read_inputs",
    "read_parameters",
    "received",
]
