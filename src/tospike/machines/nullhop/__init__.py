"""NullHop (Aimar 2018): non-zero pixels only, compressed maps, 128 MACs. See docs/machines."""

from tospike.machines.nullhop.codec import decode, decode_rows, encode, encode_rows
from tospike.machines.nullhop.figures import Figures, figures
from tospike.machines.nullhop.simulate import simulate

__all__ = [
    "Figures",
    "decode",
    "decode_rows",
    "encode",
    "encode_rows",
    "figures",
    "simulate",
]
