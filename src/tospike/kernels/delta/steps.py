"""Steps of stacked delta layers in one compiled call: delta units, columns, memories, gates.

Nothing is allocated. The call takes no array per buffer, only the table of
:mod:`~tospike.kernels.delta.places`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tospike.kernels.delta import places
from tospike.kernels.delta.activations import sigmoid, tanh
from tospike.kernels.delta.columns import (
    FAST,
    active,
    differences,
    differences_fixed,
    fill_up,
)
from tospike.kernels.delta.intrinsics import INT8_UNIT, TIMES, carray, pointer
from tospike.kernels.delta.places import (
    BOTH,
    EXACT,
    FLOAT32,
    GRU,
    INT8,
    LINEAR,
    LSTM,
    MANY_STEPS,
    RELU,
    STATES_ONLY,
    TANH,
)
from tospike.kernels.delta.products import send_steps
from tospike.kernels.delta.sharing import add_all, column_bytes

#: steps that a layer runs before the next layer takes them over; a multiple of TIMES
CHUNK = 48
#: share of sent inputs from which on a product over many steps beats their columns step by step,
#: with float32 and with narrower weights. Measured on a Zen 3 core with matrices of 128 x 384 to
#: 1024 x 3072: 0.28 to 0.40, and 0.36 to 0.63, for 48 steps
PRODUCT_PAYS, PRODUCT_PAYS_NARROW = 0.31, 0.40

_F32, _F64 = np.float32(0), np.float64(0)
_I16, _I32, _I64 = np.int16(0), np.int32(0), np.int64(0)


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def not_finite(x):  # type: ignore[no-untyped-def]
    """Number of elements that are NaN or infinite."""
    bad = 0
    for i in range(x.shape[0]):
        # abs(NaN) <= anything is false
        bad += not (abs(x[i]) <= np.float32(3.4028235e38))
    return bad


# Without Python's test for a division by 0, which would keep the loops from being vectorised.
@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False, error_model="numpy")
def update(kind, gates, h, c):  # type: ignore[no-untyped-def]
    """New h (and c) from the memories, in place. gates float32, (4 H,) or (G H,)."""
    size = h.shape[0]
    if kind == GRU:
        for i in range(size):
            r, z = sigmoid(gates[i]), sigmoid(gates[size + i])
            n = tanh(gates[2 * size + i] + r * gates[3 * size + i])
            h[i] = n + z * (h[i] - n)
    elif kind == LSTM:
        for i in range(size):
            gate_i, gate_f = sigmoid(gates[i]), sigmoid(gates[size + i])
            c[i] = gate_f * c[i] + gate_i * tanh(gates[2 * size + i])
            h[i] = sigmoid(gates[3 * size + i]) * tanh(c[i])
    elif kind == TANH:
        for i in range(size):
            h[i] = tanh(gates[i])
    elif kind == RELU:
        for i in range(size):
            h[i] = max(gates[i], np.float32(0))
    else:
        for i in range(size):
            h[i] = gates[i]


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def send(value, reference, theta, unit, difference, index, delta):  # type: ignore[no-untyped-def]
    """Delta unit: what is sent goes to ``index`` and ``delta`` and into the reference; count.

    ``unit``: what the deltas are multiplied with.
    """
    differences(value, reference, difference)
    n = active(difference[: value.shape[0]], theta, index)
    for k in range(n):
        j = index[k]
        delta[k] = difference[j] * unit
        reference[j] = value[j]
    return n


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def send_fixed(value, reference, theta, grid, limit, difference, index, delta):  # type: ignore[no-untyped-def]
    """The same on the grid; theta in steps of the grid, whole."""
    differences_fixed(value, reference, grid, limit, difference)
    n = active(difference[: value.shape[0]], theta, index)
    for k in range(n):
        j = index[k]
        delta[k] = difference[j]
        reference[j] += difference[j]
    fill_up(index, delta, n)
    return n


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def add_both(sums_x, sums_h, memory, gates):  # type: ignore[no-untyped-def]
    """memory += sums of inputs and states, and the same in float32."""
    for i in range(gates.shape[0]):
        value = memory[i] + (sums_x[i] + sums_h[i])
        memory[i] = value
        gates[i] = value


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def add_one(sums, memory, gates):  # type: ignore[no-untyped-def]
    """memory += sums, and the same in float32."""
    for i in range(gates.shape[0]):
        value = memory[i] + sums[i]
        memory[i] = value
        gates[i] = value


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def add_to_memories(kind, size, sums_x, sums_h, memory, gates):  # type: ignore[no-untyped-def]
    """memory += sums, and the same in float32. The candidate of a GRU keeps its sums apart."""
    if kind == GRU:
        two, three = 2 * size, 3 * size
        add_both(sums_x, sums_h, memory[:two], gates[:two])
        add_one(sums_x[two:], memory[two:three], gates[two:three])
        add_one(sums_h[two:], memory[three:], gates[three:])
    elif kind == LINEAR:
        add_one(sums_x, memory, gates)
    else:
        add_both(sums_x, sums_h, memory, gates)


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def scaled_both(sums_x, sums_h, scale_x, scale_h, memory, gates):  # type: ignore[no-untyped-def]
    """:func:`add_both` with a scale per row."""
    for i in range(gates.shape[0]):
        value = memory[i] + (sums_x[i] * scale_x[i] + sums_h[i] * scale_h[i])
        memory[i] = value
        gates[i] = value


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def scaled_one(sums, scale, memory, gates):  # type: ignore[no-untyped-def]
    """:func:`add_one` with a scale per row."""
    for i in range(gates.shape[0]):
        value = memory[i] + sums[i] * scale[i]
        memory[i] = value
        gates[i] = value


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def scaled_to_memories(kind, size, sums_x, sums_h, scale_x, scale_h, memory, gates):  # type: ignore[no-untyped-def]
    """:func:`add_to_memories` with a scale per row."""
    if kind == GRU:
        two, three = 2 * size, 3 * size
        scaled_both(sums_x, sums_h, scale_x, scale_h, memory[:two], gates[:two])
        scaled_one(sums_x[two:], scale_x[two:], memory[two:three], gates[two:three])
        scaled_one(sums_h[two:], scale_h[two:], memory[three:], gates[three:])
    elif kind == LINEAR:
        scaled_one(sums_x, scale_x, memory, gates)
    else:
        scaled_both(sums_x, sums_h, scale_x, scale_h, memory, gates)


@njit(cache=True, nogil=True, boundscheck=False)
def delta_unit(place):  # type: ignore[no-untyped-def]
    """What deltas are multiplied with: int8 weights come out of their 32 bits too great."""
    return np.float32(1 / INT8_UNIT) if place[places.STORAGE] == INT8 else np.float32(1)


@njit(cache=True, nogil=True, boundscheck=False)
def multiply_inputs(table, level, control, source, source_stride, reference, steps):  # type: ignore[no-untyped-def]
    """The input sums of ``steps`` steps as one product, if that pays: elements sent, or -1.

    If it does not pay nothing has changed, else the references are those after the steps.
    """
    place = table[level]
    if steps < TIMES or place[places.PRODUCTS] == 0:
        return -1
    inputs = place[places.INPUTS]
    numbers = carray(pointer(place[places.NUMBERS], _F32), 3)
    trial = carray(pointer(place[places.DIFFERENCE], _F32), inputs)
    deltas = carray(pointer(place[places.DELTAS], _F32), (steps, inputs))
    for j in range(inputs):
        trial[j] = reference[j]
    unit = delta_unit(place)
    n = send_steps(source, source_stride, trial, numbers[0], unit, deltas, steps)
    pays = PRODUCT_PAYS if place[places.STORAGE] == FLOAT32 else PRODUCT_PAYS_NARROW
    # widening the weights takes as long as some six steps
    if n < pays * inputs * ((steps + TIMES - 1) // TIMES * TIMES + TIMES):
        return -1
    for j in range(inputs):
        reference[j] = trial[j]
    place[places.STEPS] = steps
    place[places.WORK] = MANY_STEPS
    add_all(table, level, control)
    return n


@njit(cache=True, nogil=True, boundscheck=False)
def layer_float(table, level, control, stream, source, source_stride, target, target_stride, steps):  # type: ignore[no-untyped-def]
    """``steps`` steps of one layer and stream, float accumulation.

    source, target: addresses of the first input and output; strides in bytes.
    """
    place = table[level]
    kind = place[places.KIND]
    inputs, size, rows, states = (
        place[places.INPUTS],
        place[places.HIDDEN],
        place[places.ROWS],
        place[places.STATES],
    )
    room = max(inputs, size) + 16
    h = carray(pointer(place[places.H] + 4 * size * stream, _F32), size)
    c = carray(pointer(place[places.C] + 4 * size * stream, _F32), size)
    ref_x = carray(pointer(place[places.REF_X] + 4 * inputs * stream, _F32), inputs)
    ref_h = carray(pointer(place[places.REF_H] + 4 * size * stream, _F32), size)
    memory = carray(pointer(place[places.MEMORY] + 8 * states * stream, _F64), states)
    gates = carray(pointer(place[places.GATES], _F32), states)
    sums_x = carray(pointer(place[places.SUMS_X], _F32), rows)
    sums_h = carray(pointer(place[places.SUMS_H], _F32), rows)
    scale_x = carray(pointer(place[places.SCALE_X], _F32), rows)
    scale_h = carray(pointer(place[places.SCALE_H], _F32), rows)
    index = carray(pointer(place[places.INDEX], _I64), room)
    delta = carray(pointer(place[places.DELTA], _F32), room)
    index_h = carray(pointer(place[places.INDEX_H], _I64), room)
    delta_h = carray(pointer(place[places.DELTA_H], _F32), room)
    difference = carray(pointer(place[places.DIFFERENCE], _F32), room)
    counts = carray(pointer(place[places.COUNTS], _I64), 2)
    sent = carray(pointer(place[places.SENT], _I64), 4)
    numbers = carray(pointer(place[places.NUMBERS], _F32), 3)
    unit = delta_unit(place)
    counts[0] = multiply_inputs(table, level, control, source, source_stride, ref_x, steps)
    known = counts[0] >= 0
    place[places.WORK] = STATES_ONLY if known else BOTH
    if known:
        sent[0] += counts[0]
        sent[3] += inputs
    for t in range(steps):
        out = carray(pointer(target + t * target_stride, _F32), size)
        if known:
            sums_x = carray(pointer(place[places.PRODUCTS] + 4 * rows * t, _F32), rows)
        else:
            x = carray(pointer(source + t * source_stride, _F32), inputs)
            counts[0] = send(x, ref_x, numbers[0], unit, difference, index, delta)
            sent[0] += counts[0]
            sent[3] += counts[0]
        if kind != LINEAR:
            counts[1] = send(h, ref_h, numbers[1], unit, difference, index_h, delta_h)
        sent[1] += counts[1]
        add_all(table, level, control)
        if place[places.STORAGE] == INT8:
            scaled_to_memories(kind, size, sums_x, sums_h, scale_x, scale_h, memory, gates)
        else:
            add_to_memories(kind, size, sums_x, sums_h, memory, gates)
        update(kind, gates, h, c)
        for i in range(size):
            out[i] = h[i]
    sent[2] += steps


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def exact_both(sums_x, sums_h, memory_x, memory_h, scale_x, scale_h, step, bias, gates):  # type: ignore[no-untyped-def]
    """memories += exact sums; gates = bias + scaled memories. step = 1 / grid."""
    for i in range(gates.shape[0]):
        from_x, from_h = memory_x[i] + sums_x[i], memory_h[i] + sums_h[i]
        memory_x[i] = from_x
        memory_h[i] = from_h
        scaled = scale_x[i] * np.float32(from_x) + scale_h[i] * np.float32(from_h)
        gates[i] = bias[i] + step * scaled


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def exact_one(sums, memory, scale, step, bias, gates):  # type: ignore[no-untyped-def]
    """The same for one matrix."""
    for i in range(gates.shape[0]):
        value = memory[i] + sums[i]
        memory[i] = value
        gates[i] = bias[i] + step * (scale[i] * np.float32(value))


@njit(cache=True, fastmath=FAST, nogil=True, boundscheck=False)
def exact_to_memories(  # type: ignore[no-untyped-def]
    kind, size, sums_x, sums_h, memory, scale_x, scale_h, step, bias, gates
):
    """Like :func:`add_to_memories`; memory (2, G H): sums of inputs and of states apart."""
    if kind == GRU:
        two, three = 2 * size, 3 * size
        exact_both(
            sums_x, sums_h, memory[0, :two], memory[1, :two], scale_x, scale_h, step,
            bias[:two], gates[:two],
        )  # fmt: skip
        exact_one(
            sums_x[two:], memory[0, two:], scale_x[two:], step, bias[two:three], gates[two:three]
        )
        exact_one(sums_h[two:], memory[1, two:], scale_h[two:], step, bias[three:], gates[three:])
    elif kind == LINEAR:
        exact_one(sums_x, memory[0], scale_x, step, bias, gates)
    else:
        exact_both(sums_x, sums_h, memory[0], memory[1], scale_x, scale_h, step, bias, gates)


@njit(cache=True, nogil=True, boundscheck=False)
def layer_exact(table, level, control, stream, source, source_stride, target, target_stride, steps):  # type: ignore[no-untyped-def]
    """The same with integer accumulation."""
    place = table[level]
    kind = place[places.KIND]
    inputs, size, rows, states = (
        place[places.INPUTS],
        place[places.HIDDEN],
        place[places.ROWS],
        place[places.STATES],
    )
    plain = 3 * size if kind == GRU else states
    room, limit = max(inputs, size) + 16, np.int32(place[places.LIMIT])
    scale_x = carray(pointer(place[places.SCALE_X], _F32), rows)
    scale_h = carray(pointer(place[places.SCALE_H], _F32), rows)
    h = carray(pointer(place[places.H] + 4 * size * stream, _F32), size)
    c = carray(pointer(place[places.C] + 4 * size * stream, _F32), size)
    ref_x = carray(pointer(place[places.REF_X] + 4 * inputs * stream, _I32), inputs)
    ref_h = carray(pointer(place[places.REF_H] + 4 * size * stream, _I32), size)
    memory = carray(pointer(place[places.MEMORY] + 16 * plain * stream, _F64), (2, plain))
    bias = carray(pointer(place[places.BIAS], _F32), states)
    gates = carray(pointer(place[places.GATES], _F32), states)
    sums_x = carray(pointer(place[places.SUMS_X], _I32), rows)
    sums_h = carray(pointer(place[places.SUMS_H], _I32), rows)
    index = carray(pointer(place[places.INDEX], _I64), room)
    delta = carray(pointer(place[places.DELTA], _I16), room)
    index_h = carray(pointer(place[places.INDEX_H], _I64), room)
    delta_h = carray(pointer(place[places.DELTA_H], _I16), room)
    difference = carray(pointer(place[places.DIFFERENCE], _I32), room)
    counts = carray(pointer(place[places.COUNTS], _I64), 2)
    sent = carray(pointer(place[places.SENT], _I64), 4)
    numbers = carray(pointer(place[places.NUMBERS], _F32), 3)
    grid = numbers[2]
    # |k| > theta for whole k is |k| > floor(theta)
    theta_x, theta_h = np.int32(min(numbers[0], 1e9)), np.int32(min(numbers[1], 1e9))
    for t in range(steps):
        x = carray(pointer(source + t * source_stride, _F32), inputs)
        out = carray(pointer(target + t * target_stride, _F32), size)
        counts[0] = send_fixed(x, ref_x, theta_x, grid, limit, difference, index, delta)
        if kind != LINEAR:
            counts[1] = send_fixed(h, ref_h, theta_h, grid, limit, difference, index_h, delta_h)
        sent[0] += counts[0]
        sent[1] += counts[1]
        sent[3] += counts[0]
        add_all(table, level, control)
        exact_to_memories(
            kind, size, sums_x, sums_h, memory, scale_x, scale_h, np.float32(1) / grid, bias, gates
        )
        update(kind, gates, h, c)
        for i in range(size):
            out[i] = h[i]
    sent[2] += steps


@njit(cache=True, nogil=True, boundscheck=False)
def bytes_read(table):  # type: ignore[no-untyped-def]
    """Bytes of all columns that were read since the counters were reset."""
    total = np.int64(0)
    for level in range(table.shape[0]):
        place = table[level]
        sent = carray(pointer(place[places.SENT], _I64), 4)
        total += (sent[1] + sent[3]) * column_bytes(place)
    return total


@njit(cache=True, nogil=True, boundscheck=False)
def run(table, control, x, out):  # type: ignore[no-untyped-def]
    """All layers over a sequence: minus the bytes read, or the number of inputs not finite.

    table (layers, 36) int64, see :mod:`~tospike.kernels.delta.places`; x (T B I,) and out (T B H,)
    float32, time first. ``control``: address of the control words of
    :mod:`~tospike.kernels.delta.sharing`, or 0. If an input is not finite nothing is changed.
    """
    bad = not_finite(x)
    if bad:
        return bad
    before = bytes_read(table)
    layers = table.shape[0]
    width, streams = table[0, places.INPUTS], table[0, places.STREAMS]
    total = x.shape[0] // (streams * width)
    last = table[layers - 1, places.HIDDEN]
    for begin in range(0, total, CHUNK):
        steps = min(CHUNK, total - begin)
        source = x.ctypes.data + 4 * begin * streams * width
        inputs = width
        for level in range(layers):
            place = table[level]
            size = place[places.HIDDEN]
            if level == layers - 1:
                target = out.ctypes.data + 4 * begin * streams * last
            else:
                target = place[places.OUTPUT]
            for stream in range(streams):
                arguments = (
                    table, level, control, stream,
                    source + 4 * stream * inputs, 4 * streams * inputs,
                    target + 4 * stream * size, 4 * streams * size, steps,
                )  # fmt: skip
                if place[places.STORAGE] == EXACT:
                    layer_exact(*arguments)
                else:
                    layer_float(*arguments)
            source, inputs = target, size
    return before - bytes_read(table)
