"""Operations of the spiking kernels that Numba has no word for, as plain LLVM vector code.

The sums stay in registers over all events of an output pixel; a spike costs one load and one add
per vector of outputs. Nothing here names a machine; on x86 with AVX2 a vector is one register.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from tospike.kernels.delta.intrinsics import operation

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_F32 = ir.FloatType()
_FLOATS = ir.VectorType(_F32, 8)
_SHORTS = ir.VectorType(_I16, 16)

#: bytes of a vector, float32 or int16 lanes in it
VECTOR = 32
#: pixels and outputs that :func:`multiply` handles at a time; their 12 sums fill 16 registers
PIXELS, OUTPUTS = 6, 16
#: pixels that a thread multiplies with a panel of weights before it takes the next panel
UNIT_PIXELS = 8 * PIXELS


def _at(builder: Any, address: Any, kind: Any, index: Any = None) -> Any:
    """Pointer to element ``index`` of type ``kind`` at an address."""
    place = builder.inttoptr(address, kind.as_pointer())
    return place if index is None else builder.gep(place, [index])


def _everywhere(builder: Any, value: Any) -> Any:
    """A float32 in all 8 lanes."""
    nothing = ir.Constant(_FLOATS, ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, 8), [0] * 8)
    return builder.shuffle_vector(one, nothing, zeros)


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once, of 8 lanes."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v8f32")  # type: ignore[no-untyped-call]  # of Numba
    return builder.call(function, [a, b, c])


def _gather(vectors: int, kind: str) -> Any:
    """``gather(out, rows, values, n, offset, scale, bias)``.

    out = scale * sum + bias, in float32, with the sum over i < n of values[i] * the lanes at
    address rows[i] + offset, in this order. Values are 1 for spikes. Kind "raw" writes int16 sums
    as they are. All arguments are addresses or numbers; those of out, scale and bias already point
    to the lanes.
    """
    short = kind in ("int16", "raw")
    vector = _SHORTS if short else _FLOATS

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, rows, values, n, offset, scale, bias = arguments
        zero = ir.Constant(vector, None)
        totals = [cgutils.alloca_once_value(builder, zero) for _ in range(vectors)]  # type: ignore[no-untyped-call]  # of Numba
        with cgutils.for_range(builder, n) as loop:
            address = builder.load(_at(builder, rows, _I64, loop.index))
            row = _at(builder, builder.add(address, offset), vector)
            factor = None
            if kind == "valued":
                value = builder.load(_at(builder, values, _F32, loop.index))
                factor = _everywhere(builder, value)
            for k, total in enumerate(totals):
                weights = builder.load(
                    builder.gep(row, [ir.Constant(_I64, k)]), align=2 if short else 4
                )
                before = builder.load(total)
                if factor is not None:
                    after = _fused(builder, factor, weights, before)
                elif short:
                    after = builder.add(before, weights)
                else:
                    after = builder.fadd(before, weights)
                builder.store(after, total)
        sums = [builder.load(total) for total in totals]
        if kind == "raw":
            _store_all(builder, out, vector, sums)
        else:
            floats = [half for total in sums for half in _as_floats(builder, total)]
            _store_all(builder, out, _FLOATS, _scaled(builder, floats, scale, bias))
        return context.get_dummy_value()

    def typed(
        typing: Any, out: Any, rows: Any, values: Any, n: Any, offset: Any, scale: Any, bias: Any
    ) -> Any:
        return types.void(*[types.int64] * 7), generate

    return operation(typed)


@operation
def rows_of_8(typing: Any, entries: Any, base: Any, factor: Any, to: Any) -> Any:
    """Eight int64 at ``to``: base + factor * entry, of eight int32 that are not negative.

    0 <= factor < 2^32.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, start, times, target = arguments
        few, wide = ir.VectorType(_I32, 8), ir.VectorType(_I64, 8)

        def everywhere(value: Any) -> Any:
            nothing = ir.Constant(ir.VectorType(value.type, 8), ir.Undefined)
            one = builder.insert_element(nothing, value, ir.Constant(_I32, 0))
            return builder.shuffle_vector(one, nothing, ir.Constant(few, [0] * 8))

        found = builder.zext(builder.load(_at(builder, place, few), align=4), wide)
        # 32 bits of both factors: a product of 64 takes several times as long
        scale = builder.zext(everywhere(builder.trunc(times, _I32)), wide)
        total = builder.add(builder.mul(found, scale), everywhere(start))
        builder.store(total, _at(builder, target, wide), align=8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@operation
def copy_4(typing: Any, from_: Any, to: Any) -> Any:
    """Four float32 from one address to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        few = ir.VectorType(_F32, 4)
        values = builder.load(_at(builder, arguments[0], few), align=4)
        builder.store(values, _at(builder, arguments[1], few), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _store_all(builder: Any, address: Any, vector: Any, values: list[Any]) -> None:
    place = _at(builder, address, vector)
    for k, value in enumerate(values):
        builder.store(value, builder.gep(place, [ir.Constant(_I64, k)]), align=2)


def _as_floats(builder: Any, total: Any) -> list[Any]:
    """A vector of 8 floats as it is, one of 16 int16 as two of floats."""
    if total.type == _FLOATS:
        return [total]
    nothing = ir.Constant(_SHORTS, ir.Undefined)
    halves = (
        builder.shuffle_vector(
            total, nothing, ir.Constant(ir.VectorType(_I32, 8), list(range(8 * h, 8 * h + 8)))
        )
        for h in range(2)
    )
    return [builder.sitofp(half, _FLOATS) for half in halves]


def _scaled(builder: Any, sums: list[Any], scale: Any, bias: Any) -> list[Any]:
    """scale * sum + bias, rounded twice."""
    found = []
    for k, total in enumerate(sums):
        factor, more = (
            builder.load(_at(builder, address, _FLOATS, ir.Constant(_I64, k)), align=4)
            for address in (scale, bias)
        )
        found.append(builder.fadd(builder.fmul(factor, total), more))
    return found


spikes_1, spikes_2, spikes_4, spikes_8 = (_gather(n, "float32") for n in (1, 2, 4, 8))
exact_1, exact_2, exact_4, exact_8 = (_gather(n, "int16") for n in (1, 2, 4, 8))
values_1, values_2, values_4, values_8 = (_gather(n, "valued") for n in (1, 2, 4, 8))
raw_1 = _gather(1, "raw")


@operation
def multiply(
    typing: Any, targets: Any, places: Any, shift: Any, offsets: Any, runs: Any, length: Any,
    panel: Any, scale: Any, bias: Any,
) -> Any:  # fmt: skip
    """Currents of 6 places and 16 outputs over all inputs of a place, in the order of the events.

    ``target i [j] = scale[j] * sum + bias[j]`` with the sum over runs r and k < length of
    ``input(places[i] + shift + offsets[r])[k] * panel[r * length + k][j]``. ``targets``,
    ``places``: 6 addresses each; ``offsets``: bytes of every run; ``panel``: (runs * length, 16).
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        targets_, where, shift_, table, count, size, weights, scale_, bias_ = arguments
        zero = ir.Constant(_FLOATS, None)
        totals = [cgutils.alloca_once_value(builder, zero) for _ in range(2 * PIXELS)]  # type: ignore[no-untyped-call]  # of Numba
        pixels = [
            builder.add(builder.load(_at(builder, where, _I64, ir.Constant(_I64, i))), shift_)
            for i in range(PIXELS)
        ]
        first = _at(builder, weights, _FLOATS)
        with cgutils.for_range(builder, count) as outer:
            offset = builder.load(_at(builder, table, _I64, outer.index))
            inputs = [_at(builder, builder.add(pixel, offset), _F32) for pixel in pixels]
            done = builder.mul(outer.index, size)
            with cgutils.for_range(builder, size) as inner:
                k = builder.mul(builder.add(done, inner.index), ir.Constant(_I64, 2))
                pair = [
                    builder.load(
                        builder.gep(first, [builder.add(k, ir.Constant(_I64, half))]), align=4
                    )
                    for half in range(2)
                ]
                for i in range(PIXELS):
                    value = builder.load(builder.gep(inputs[i], [inner.index]), align=4)
                    factor = _everywhere(builder, value)
                    for half in range(2):
                        total = totals[2 * i + half]
                        after = _fused(builder, factor, pair[half], builder.load(total))
                        builder.store(after, total)
        for i in range(PIXELS):
            target = builder.load(_at(builder, targets_, _I64, ir.Constant(_I64, i)))
            sums = [builder.load(total) for total in totals[2 * i : 2 * i + 2]]
            _store_all(builder, target, _FLOATS, _scaled(builder, sums, scale_, bias_))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 9), generate


def _fire(vectors: int, hard: bool, delayed: bool) -> Any:
    """``fire(current, skip, v, to, threshold, decay, gain, reset, out, out_skip, steps)``.

    Steps of 8 neurons per vector, their potentials in registers; their spikes are the bits of one
    byte per vector and step. ``current`` (+ ``skip`` bytes per step), ``v`` and ``to`` (potentials
    before and after), ``threshold``, ``decay`` and ``gain`` are addresses of float32, ``out``
    (+ ``out_skip``) of the bytes. Every product and sum is rounded by itself, as in the reference.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        current, skip, place, to, threshold, decay, gain, reset, out, out_skip, steps = arguments
        numbers = [ir.Constant(_I64, k) for k in range(vectors)]
        start, limits, leaks, factors = (
            [builder.load(_at(builder, address, _FLOATS, k), align=4) for k in numbers]
            for address in (place, threshold, decay, gain)
        )
        after, zero = _everywhere(builder, reset), ir.Constant(_FLOATS, None)
        potentials = [cgutils.alloca_once_value(builder, one) for one in start]  # type: ignore[no-untyped-call]  # of Numba
        with cgutils.for_range(builder, steps) as loop:
            address = builder.add(current, builder.mul(loop.index, skip))
            bits = builder.add(out, builder.mul(loop.index, out_skip))
            for k, potential, limit, leak, factor in zip(
                numbers, potentials, limits, leaks, factors, strict=True
            ):
                flow = builder.load(_at(builder, address, _FLOATS, k), align=4)
                v = builder.load(potential)
                before = builder.fcmp_ordered(">=", v, limit) if delayed else None
                if delayed and hard:
                    v = builder.select(before, after, v)
                v = builder.fadd(builder.fmul(leak, v), builder.fmul(factor, flow))
                if delayed and not hard:
                    v = builder.fsub(v, builder.select(before, limit, zero))
                spikes = builder.fcmp_ordered(">=", v, limit)
                if not delayed:
                    v = builder.select(spikes, after if hard else builder.fsub(v, limit), v)
                builder.store(v, potential)
                builder.store(builder.bitcast(spikes, _I8), _at(builder, bits, _I8, k), align=1)
        _store_all(builder, to, _FLOATS, [builder.load(potential) for potential in potentials])
        return context.get_dummy_value()

    def typed(
        typing: Any, current: Any, skip: Any, v: Any, to: Any, threshold: Any, decay: Any,
        gain: Any, reset: Any, out: Any, out_skip: Any, steps: Any,
    ) -> Any:  # fmt: skip
        whole = types.int64
        return types.void(*[whole] * 7, types.float32, *[whole] * 3), generate

    return operation(typed)


#: two vectors fill the channels of any tensor, which are a multiple of 16
soft_2, hard_2 = _fire(2, False, False), _fire(2, True, False)
soft_late_2, hard_late_2 = _fire(2, False, True), _fire(2, True, True)
#: the most common kind, for 32 channels at a time
soft_4 = _fire(4, False, False)


@operation
def count_bits(typing: Any, word: Any) -> Any:
    """Set bits of an int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), generate


@operation
def active_16(typing: Any, address: Any) -> Any:
    """Which of the 16 float32 at ``address`` are not 0, a bit each; NaN is one, -0 is none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.VectorType(_F32, 16)
        values = builder.load(_at(builder, arguments[0], wide), align=4)
        beyond = builder.fcmp_unordered("!=", values, ir.Constant(wide, None))
        return builder.zext(builder.bitcast(beyond, _I16), _I64)

    return types.int64(types.int64), generate


@operation
def fused(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` in float32, rounded once, as in :func:`multiply`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


@operation
def lowest_bit(typing: Any, word: Any) -> Any:
    """Place of the lowest set bit of an int64 that is not 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


@operation
def increment(typing: Any, address: Any) -> Any:
    """Adds 1 to the int64 at ``address``, whatever other threads do; the number before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _at(builder, arguments[0], _I64)
        return builder.atomic_rmw("add", place, ir.Constant(_I64, 1), "acq_rel")

    return types.int64(types.int64), generate


@operation
def call(typing: Any, function: Any, row: Any, frame: Any, unit: Any, thread: Any) -> Any:
    """Calls the function at an address: what it compiles to is not compiled into the caller."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_I64] * 4)
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate
