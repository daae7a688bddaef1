"""Eyeriss v2-like machines: sparse PEs that skip zero activations and zero weights."""

from tospike.machines.eyeriss_v2.csc import Csc, decode, encode
from tospike.machines.eyeriss_v2.simulate import simulate
from tospike.machines.eyeriss_v2.tensors import with_drawn_traces

__all__ = ["Csc", "decode", "encode", "simulate", "with_drawn_traces"]
