"""Operations that Numba has no word for: widening of stored weights, blocks of products.

All are plain LLVM vector code without a word about the machine; on x86 the compiler makes
``vcvtph2ps`` and ``vpmaddwd`` of them, elsewhere what fits.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

#: Numba's decorator changes the arguments of what it decorates; its stubs do not say so
operation: Any = intrinsic
carray: Any = numba.carray  # type: ignore[attr-defined]  # not in __all__

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_ROWS = 8
_PAIRS = 4

#: rows that :func:`add_products` handles at a time; columns are padded to a multiple
BLOCK = 2 * _ROWS
#: time steps that :func:`add_times` handles at a time: its 12 sums fill 16 vector registers
TIMES = 6


@operation
def widen(typing: Any, stored: Any) -> Any:
    """A stored weight as float32: float32 itself, int8, uint16 = bfloat16, int16 = float16."""
    if stored not in (types.float32, types.int8, types.uint16, types.int16):
        raise TypingError(f"weights of type {stored} cannot be widened")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (value,) = arguments
        if stored == types.float32:
            return value
        if stored == types.int8:
            return builder.sitofp(value, ir.FloatType())
        if stored == types.uint16:
            # bfloat16 is the upper half of a float32
            bits = builder.shl(builder.zext(value, _I32), ir.Constant(_I32, 16))
            return builder.bitcast(bits, ir.FloatType())
        return builder.fpext(builder.bitcast(value, ir.HalfType()), ir.FloatType())

    return types.float32(stored), generate


def _pattern(lanes: list[int]) -> Any:
    return ir.Constant(ir.VectorType(_I32, len(lanes)), lanes)


@operation
def add_products(
    typing: Any,
    sums: Any,
    w0: Any, w1: Any, w2: Any, w3: Any, w4: Any, w5: Any, w6: Any, w7: Any,
    pair0: Any, pair1: Any, pair2: Any, pair3: Any,
) -> Any:  # fmt: skip
    """``sums[r] += sum_k w_k[r] * delta_k`` for 16 rows r and 8 columns k, in exact int32.

    ``sums``: address of 16 int32; ``w0`` to ``w7``: addresses of 16 int8 each; ``pair0`` to
    ``pair3``: two int16 deltas each, the first in the low half.
    """
    bytes_, words = ir.VectorType(_I8, BLOCK), ir.VectorType(_I16, BLOCK)
    sums32, products = ir.VectorType(_I32, _ROWS), ir.VectorType(_I32, BLOCK)
    nothing = ir.Constant(sums32, ir.Undefined)
    even, odd = _pattern(list(range(0, BLOCK, 2))), _pattern(list(range(1, BLOCK, 2)))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, *rest = arguments
        columns, pairs = rest[: 2 * _PAIRS], rest[2 * _PAIRS :]
        first = builder.inttoptr(target, sums32.as_pointer())
        places = [first, builder.gep(first, [ir.Constant(_I64, 1)])]
        totals = [builder.load(place, align=4) for place in places]
        for k, pair in enumerate(pairs):
            left, right = (
                builder.load(builder.inttoptr(column, bytes_.as_pointer()), align=1)
                for column in columns[2 * k : 2 * k + 2]
            )
            one = builder.insert_element(nothing, pair, ir.Constant(_I32, 0))
            everywhere = builder.shuffle_vector(one, nothing, _pattern([0] * _ROWS))
            deltas = builder.sext(builder.bitcast(everywhere, words), products)
            for half in range(2):
                lanes = [
                    lane
                    for row in range(half * _ROWS, (half + 1) * _ROWS)
                    for lane in (row, BLOCK + row)
                ]
                weights = builder.sext(
                    builder.shuffle_vector(left, right, _pattern(lanes)), products
                )
                product = builder.mul(weights, deltas)
                low = builder.shuffle_vector(product, product, even)
                high = builder.shuffle_vector(product, product, odd)
                totals[half] = builder.add(totals[half], builder.add(low, high))
        for place, total in zip(places, totals, strict=True):
            builder.store(total, place, align=4)
        return context.get_dummy_value()

    address, pair = types.int64, types.int32
    return types.void(address, *[address] * (2 * _PAIRS), *[pair] * _PAIRS), generate


@operation
def pointer(typing: Any, address: Any, example: Any) -> Any:
    """The address of an array as a pointer to values of the type of ``example``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(example)(types.int64, example), generate


@operation
def beyond(typing: Any, address: Any, theta: Any) -> Any:
    """Bit k says whether |value k| > theta, for :data:`BLOCK` values at ``address``.

    float32 values with a float32 theta (NaN is never beyond), or int32 with int32.
    """
    if theta not in (types.float32, types.int32):
        raise TypingError(f"thresholds of type {theta} are not compared")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where, limit = arguments
        scalar = ir.FloatType() if theta == types.float32 else _I32
        vector = ir.VectorType(scalar, BLOCK)
        values = builder.load(builder.inttoptr(where, vector.as_pointer()), align=4)
        nothing = ir.Constant(vector, ir.Undefined)
        one = builder.insert_element(nothing, limit, ir.Constant(_I32, 0))
        limits = builder.shuffle_vector(one, nothing, _pattern([0] * BLOCK))
        if theta == types.float32:
            above = builder.fcmp_ordered(">", values, limits)
            below = builder.fcmp_ordered("<", values, builder.fneg(limits))
        else:
            above = builder.icmp_signed(">", values, limits)
            below = builder.icmp_signed("<", values, builder.neg(limits))
        bits = builder.bitcast(builder.or_(above, below), ir.IntType(BLOCK))
        return builder.zext(bits, _I64)

    return types.int64(types.int64, theta), generate


@operation
def lowest_bit(typing: Any, bits: Any) -> Any:
    """Place of the lowest set bit; ``bits`` is not 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


@operation
def add_block(typing: Any, sums: Any, row: Any, columns: Any, deltas: Any, example: Any) -> Any:
    """``sums[r] += sum_k w_k[r] * delta_k`` for 16 rows from ``row`` on and 8 columns, float32.

    ``sums``: address of all sums; ``columns``: addresses of 8 columns, ``deltas``: 8 float32;
    ``example``: a value of the stored type, see :func:`widen`. bfloat16 lies in the order of
    :func:`~tospike.kernels.delta.packed.to_pairs`.
    """
    width = {types.float32: 4, types.int8: 1, types.uint16: 2, types.int16: 2}[example]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, first, addresses, factors, _ = arguments
        vector = ir.VectorType(ir.FloatType(), _ROWS)
        place = builder.add(target, builder.mul(first, ir.Constant(_I64, 4)))
        low = builder.inttoptr(place, vector.as_pointer())
        places = [low, builder.gep(low, [ir.Constant(_I32, 1)])]
        totals = [builder.load(one, align=4) for one in places]
        offset = builder.mul(first, ir.Constant(_I64, width))
        nothing = ir.Constant(vector, ir.Undefined)
        for k in range(2 * _PAIRS):
            factor = builder.insert_element(
                nothing, builder.extract_value(factors, k), ir.Constant(_I32, 0)
            )
            everywhere = builder.shuffle_vector(factor, nothing, _pattern([0] * _ROWS))
            address = builder.add(builder.extract_value(addresses, k), offset)
            for half, weights in enumerate(_widened(builder, address, example)):
                product = builder.fmul(weights, everywhere, flags=("contract",))
                totals[half] = builder.fadd(totals[half], product, flags=("contract",))
        for one, total in zip(places, totals, strict=True):
            builder.store(total, one, align=4)
        return context.get_dummy_value()

    many = types.UniTuple(types.int64, 2 * _PAIRS)
    floats = types.UniTuple(types.float32, 2 * _PAIRS)
    return types.void(types.int64, types.int64, many, floats, example), generate


def _widened(builder: Any, address: Any, stored: Any) -> list[Any]:
    """16 stored weights as two vectors of 8 float32."""
    floats = ir.VectorType(ir.FloatType(), _ROWS)
    if stored == types.uint16:
        # Two weights in 32 bits: the even places are rows 0 to 7, the odd ones rows 8 to 15.
        words = ir.VectorType(_I32, _ROWS)
        pairs = builder.load(builder.inttoptr(address, words.as_pointer()), align=2)
        sixteen = ir.Constant(words, [16] * _ROWS)
        upper = ir.Constant(words, [0xFFFF0000] * _ROWS)
        halves = builder.shl(pairs, sixteen), builder.and_(pairs, upper)
        return [builder.bitcast(half, floats) for half in halves]
    scalar = {types.float32: ir.FloatType(), types.int8: _I8, types.int16: ir.HalfType()}[stored]
    pointer_ = builder.inttoptr(address, ir.VectorType(scalar, _ROWS).as_pointer())
    found = []
    for half in range(2):
        place = builder.gep(pointer_, [ir.Constant(_I32, half)])
        value = builder.load(place, align=1 if stored == types.int8 else 2)
        if stored == types.int8:
            value = builder.sitofp(value, floats)
        elif stored == types.int16:
            value = builder.fpext(value, floats)
        found.append(value)
    return found


@operation
def widen_block(typing: Any, stored: Any, target: Any, example: Any) -> Any:
    """16 stored weights at address ``stored`` as float32 to address ``target``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, place, _ = arguments
        vector = ir.VectorType(ir.FloatType(), _ROWS)
        low = builder.inttoptr(place, vector.as_pointer())
        for half, weights in enumerate(_widened(builder, source, example)):
            builder.store(weights, builder.gep(low, [ir.Constant(_I32, half)]), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, example), generate


@operation
def add_times(
    typing: Any, products: Any, products_stride: Any, deltas: Any, deltas_stride: Any,
    panel: Any, n: Any,
) -> Any:  # fmt: skip
    """``products[t, r] += sum_k panel[k, r] * deltas[t, k]`` for 6 steps t and 16 rows r, float32.

    ``products``, ``deltas``: addresses of step 0, and bytes from step to step; ``panel``: address
    of (n, 16) weights. Every sum runs over k in order, as in :func:`add_block`: the same bits.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, target_stride, source, source_stride, weights, count = arguments
        vector = ir.VectorType(ir.FloatType(), _ROWS)
        nothing = ir.Constant(vector, ir.Undefined)
        zero = ir.Constant(_I32, 0)
        rows, totals, places = [], [], []
        for step in range(TIMES):
            skip = builder.mul(ir.Constant(_I64, step), source_stride)
            address = builder.add(source, skip)
            rows.append(builder.inttoptr(address, ir.FloatType().as_pointer()))
            skip = builder.mul(ir.Constant(_I64, step), target_stride)
            low = builder.inttoptr(builder.add(target, skip), vector.as_pointer())
            for half in range(2):
                places.append(builder.gep(low, [ir.Constant(_I32, half)]))
                totals.append(cgutils.alloca_once_value(builder, builder.load(places[-1], align=4)))  # type: ignore[no-untyped-call]  # of Numba
        first = builder.inttoptr(weights, vector.as_pointer())
        with cgutils.for_range(builder, count) as loop:
            twice = builder.mul(loop.index, ir.Constant(_I64, 2))
            pair = [
                builder.load(
                    builder.gep(first, [builder.add(twice, ir.Constant(_I64, half))]), align=4
                )
                for half in range(2)
            ]
            for step in range(TIMES):
                delta = builder.load(builder.gep(rows[step], [loop.index]), align=4)
                one = builder.insert_element(nothing, delta, zero)
                everywhere = builder.shuffle_vector(one, nothing, _pattern([0] * _ROWS))
                for half in range(2):
                    place = totals[2 * step + half]
                    product = builder.fmul(pair[half], everywhere, flags=("contract",))
                    total = builder.fadd(builder.load(place), product, flags=("contract",))
                    builder.store(total, place)
        for place, total in zip(places, totals, strict=True):
            builder.store(builder.load(total), place, align=4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), generate
