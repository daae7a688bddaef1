"""The table through which the kernels find the buffers of a layer: sizes and addresses.

Handing over some twenty arrays would cost more than a small layer does.

Buffers of one layer; those with a leading B exist once per stream:

    weights_x (I, P), weights_h (H, P)   columns, see :mod:`~tospike.kernels.delta.packed`
    scale_x, scale_h (P,)                float32 per row; read with int8 only
    h, c (B, H)                          state, float32
    ref_x (B, I), ref_h (B, H)           what was last sent; float32, or int32 on the grid
    memory                               pre-activation memories, float64: in float32 their
                                         rounding would add up over a long stream. (B, R), with
                                         R = 4 H for a GRU, G H else; (B, 2, G H) for sums of
                                         inputs and states apart (integer: whole numbers, exact up
                                         to 2^53, and they stay below 127 x 1e9 x columns)
    bias (R,)                            float32
    gates (R,)                           scratch: the memories in float32
    sums_x, sums_h (P,)                  scratch, float32 or int32. P = padded rows
    index, delta, index_h, delta_h       scratch: what is sent of the inputs, and of the states
    difference                           scratch; all five 16 longer than the longer of I and H
    counts (2,)                          how many of each are sent in this step; int64
    sent (4,)                            counters: elements of x, of h, steps, columns of x read;
                                         int64
    numbers (3,)                         theta_x, theta_h, steps of the grid per unit; float32
    output (CHUNK B H,)                  what goes to the next layer; float32
    deltas (CHUNK, I), products (CHUNK, P), panels   scratch of
                                         :mod:`~tospike.kernels.delta.products`, float32; 0 until
                                         a call has enough steps
    steps                                of the product that is asked for
    shared_from                          bytes of weights in a step from which on a helper is let in
    work                                 what :func:`~tospike.kernels.delta.sharing.add_all` does
"""

from __future__ import annotations

from enum import IntEnum

#: kinds of layers, and how weights are stored: values of KIND and STORAGE
GRU, LSTM, TANH, RELU, LINEAR = range(5)
FLOAT32, FLOAT16, BFLOAT16, INT8, EXACT = range(5)
#: values of WORK: sums of inputs and states, sums of states alone, products of many steps
BOTH, STATES_ONLY, MANY_STEPS = range(3)


class Place(IntEnum):
    """Columns of the table of a layer: sizes, then addresses."""

    KIND = 0
    STORAGE = 1
    INPUTS = 2
    HIDDEN = 3
    ROWS = 4
    STATES = 5
    LIMIT = 6
    WEIGHTS_X = 7
    WEIGHTS_H = 8
    SCALE_X = 9
    SCALE_H = 10
    H = 11
    C = 12
    REF_X = 13
    REF_H = 14
    MEMORY = 15
    BIAS = 16
    GATES = 17
    SUMS_X = 18
    SUMS_H = 19
    INDEX = 20
    DELTA = 21
    DIFFERENCE = 22
    SENT = 23
    NUMBERS = 24
    STREAMS = 25
    OUTPUT = 26
    INDEX_H = 27
    DELTA_H = 28
    COUNTS = 29
    DELTAS = 30
    PRODUCTS = 31
    PANELS = 32
    STEPS = 33
    WORK = 34
    SHARED_FROM = 35


# As plain constants, which is what the kernels can use.
(
    KIND, STORAGE, INPUTS, HIDDEN, ROWS, STATES, LIMIT, WEIGHTS_X, WEIGHTS_H,
    SCALE_X, SCALE_H, H, C, REF_X, REF_H, MEMORY, BIAS, GATES,
    SUMS_X, SUMS_H, INDEX, DELTA, DIFFERENCE, SENT, NUMBERS, STREAMS, OUTPUT,
    INDEX_H, DELTA_H, COUNTS, DELTAS, PRODUCTS, PANELS, STEPS, WORK,
    SHARED_FROM,
) = (int(place) for place in Place)  # fmt: skip
