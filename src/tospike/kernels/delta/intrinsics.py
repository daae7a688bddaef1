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

#: rows that are handled at a time; columns are padded to a multiple
BLOCK = 2 * _ROWS
#: the same with int8 weights: four of them lie in 32 bits
WIDE = 4 * _ROWS
#: what :func:`add_block` makes of an int8 weight of 1: the weight in the upper 8 of 32 bits
INT8_UNIT = 2.0**24
#: time steps that :func:`add_times` handles at a time: its 12 sums fill 16 vector registers
TIMES = 6


def _pattern(lanes: list[int]) -> Any:
    return ir.Constant(ir.VectorType(_I32, len(lanes)), lanes)


@operation
def add_products(typing: Any, sums: Any, row: Any, columns: Any, pairs: Any) -> Any:
    """``sums[r] += sum_k w_k[r] * delta_k`` for 32 rows from ``row`` on, in exact int32.

    ``sums``: address of all sums; ``columns``: addresses of an even number of int8 columns;
    ``pairs``: two int16 deltas each, the first in the low half.
    """
    bytes_, sums32 = ir.VectorType(_I8, WIDE), ir.VectorType(_I32, _ROWS)
    words, products = ir.VectorType(_I16, BLOCK), ir.VectorType(_I32, BLOCK)
    even, odd = _pattern(list(range(0, BLOCK, 2))), _pattern(list(range(1, BLOCK, 2)))
    count, quarters, eight = len(pairs), ir.VectorType(_I32, 4), list(range(_ROWS))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, first, addresses, factors = arguments
        places = _vectors(builder, target, first, quarters, WIDE // 4)
        found = [builder.load(place, align=4) for place in places]
        # Four rows each of the lower and of the upper half, as that is how weights come out.
        totals = [builder.shuffle_vector(*found[part::4], _pattern(eight)) for part in range(4)]
        for k in range(count):
            left, right = (
                builder.load(
                    builder.inttoptr(
                        builder.add(builder.extract_value(addresses, one), first),
                        bytes_.as_pointer(),
                    ),
                    align=1,
                )
                for one in (2 * k, 2 * k + 1)
            )
            factor = _everywhere(builder, builder.extract_value(factors, k), sums32)
            deltas = builder.sext(builder.bitcast(factor, words), products)
            for part, pair in enumerate(_interleaved(builder, left, right)):
                product = builder.mul(builder.sext(pair, products), deltas)
                low = builder.shuffle_vector(product, product, even)
                high = builder.shuffle_vector(product, product, odd)
                totals[part] = builder.add(totals[part], builder.add(low, high))
        for one, place in enumerate(places):
            half = _pattern(eight[:4] if one < 4 else eight[4:])
            total = totals[one % 4]
            builder.store(builder.shuffle_vector(total, total, half), place, align=4)
        return context.get_dummy_value()

    address = types.int64
    return types.void(address, address, columns, pairs), generate


def _vectors(builder: Any, address: Any, first: Any, vector: Any, count: int) -> list[Any]:
    """Places of ``count`` vectors of 32-bit numbers, from number ``first`` on."""
    place = builder.add(address, builder.mul(first, ir.Constant(_I64, 4)))
    low = builder.inttoptr(place, vector.as_pointer())
    return [builder.gep(low, [ir.Constant(_I32, one)]) for one in range(count)]


def _everywhere(builder: Any, value: Any, vector: Any) -> Any:
    """``value`` in every lane."""
    nothing = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, nothing, _pattern([0] * vector.count))


def _interleaved(builder: Any, left: Any, right: Any) -> list[Any]:
    """2 x 32 bytes as four times 16 words: byte of the one, byte of the other.

    Number p holds bytes 4 p to 4 p + 3, and the same of the upper 16. x86 shuffles within 16 bytes;
    doubled bytes and a shift take it half the time of its ``vpmovsxbw``, which crosses them.
    """
    half = BLOCK // 2
    found = []
    for upper in (0, 1):
        lanes = []
        for lane in (0, BLOCK):
            for byte in range(lane + half * upper, lane + half * (upper + 1)):
                lanes += [byte, WIDE + byte]
        both = builder.shuffle_vector(left, right, _pattern(lanes))
        for quarter in (0, 1):
            twice = []
            for lane in (0, BLOCK):
                for byte in range(lane + half * quarter, lane + half * (quarter + 1)):
                    twice += [byte, byte]
            doubled = builder.shuffle_vector(both, both, _pattern(twice))
            words = ir.VectorType(_I16, BLOCK)
            found.append(
                builder.ashr(builder.bitcast(doubled, words), ir.Constant(words, [8] * BLOCK))
            )
    return found


@operation
def pointer(typing: Any, address: Any, example: Any) -> Any:
    """The address of an array as a pointer to values of the type of ``example``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(example)(types.int64, example), generate


@operation
def append_beyond(typing: Any, address: Any, theta: Any, first: Any, target: Any) -> Any:
    """Places, ``first`` being that of the first, of 8 values with |value| > theta; how many.

    float32 values at ``address`` with a float32 theta (NaN is never beyond), or int32 with int32.
    Eight int64 are written at ``target``, of which only as many as are returned mean something:
    whether a value is beyond decides about no branch.
    """
    if theta not in (types.float32, types.int32):
        raise TypingError(f"thresholds of type {theta} are not compared")
    bytes_, words = ir.VectorType(_I8, _ROWS), ir.VectorType(_I64, _ROWS)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where, limit, start, place = arguments
        scalar = ir.FloatType() if theta == types.float32 else _I32
        vector = ir.VectorType(scalar, _ROWS)
        values = builder.load(builder.inttoptr(where, vector.as_pointer()), align=4)
        limits = _everywhere(builder, limit, vector)
        if theta == types.float32:
            above = builder.fcmp_ordered(">", values, limits)
            below = builder.fcmp_ordered("<", values, builder.fneg(limits))
        else:
            above = builder.icmp_signed(">", values, limits)
            below = builder.icmp_signed("<", values, builder.neg(limits))
        bits = builder.zext(builder.bitcast(builder.or_(above, below), _I8), _I64)
        row = builder.gep(_places_of_bits(builder), [ir.Constant(_I64, 0), bits])
        found = builder.load(builder.bitcast(row, bytes_.as_pointer()), align=1)
        found = builder.add(builder.zext(found, words), _everywhere(builder, start, words))
        builder.store(found, builder.inttoptr(place, words.as_pointer()), align=8)
        return builder.ctpop(bits)

    return types.int64(types.int64, theta, types.int64, types.int64), generate


def _places_of_bits(builder: Any) -> Any:
    """Table: the set bits of 0 to 255, from the lowest on, in 8 bytes each."""
    rows = []
    for bits in range(256):
        places = [bit for bit in range(8) if bits >> bit & 1]
        rows.append(ir.Constant(ir.ArrayType(_I8, 8), places + [0] * (8 - len(places))))
    table = ir.Constant(ir.ArrayType(ir.ArrayType(_I8, 8), 256), rows)
    return cgutils.global_constant(builder, "places_of_bits", table)  # type: ignore[no-untyped-call]  # of Numba


@operation
def add_block(typing: Any, sums: Any, row: Any, columns: Any, deltas: Any, example: Any) -> Any:
    """``sums[r] += sum_k w_k[r] * delta_k`` for 16 rows from ``row`` on (int8: 32), float32.

    ``sums``: address of all sums; ``columns``: addresses of some columns, ``deltas``: as many
    float32, with int8 divided by :data:`INT8_UNIT`; ``example``: a value of the stored type,
    float32, int8, uint16 = bfloat16 in the order of :func:`~tospike.kernels.delta.packed.to_pairs`
    or int16 = float16. int8 lies as :func:`~tospike.kernels.delta.packed.to_words` puts it.
    """
    width = {types.float32: 4, types.int8: 1, types.uint16: 2, types.int16: 2}[example]
    parts = WIDE // BLOCK if example == types.int8 else 1

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, first, addresses, factors, _ = arguments
        vector = ir.VectorType(ir.FloatType(), _ROWS)
        places = _vectors(builder, target, first, vector, 2 * parts)
        totals = [builder.load(one, align=4) for one in places]
        offset = builder.mul(first, ir.Constant(_I64, width))
        for k in range(len(columns)):
            factor = _everywhere(builder, builder.extract_value(factors, k), vector)
            address = builder.add(builder.extract_value(addresses, k), offset)
            weights = []
            for part in range(parts):
                weights += _widened(builder, address, example, ir.Constant(_I32, part))
            for one, wide in enumerate(weights):
                product = builder.fmul(wide, factor, flags=("contract",))
                totals[one] = builder.fadd(totals[one], product, flags=("contract",))
        for one, total in zip(places, totals, strict=True):
            builder.store(total, one, align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, columns, deltas, example), generate


def _widened(builder: Any, address: Any, stored: Any, part: Any) -> list[Any]:
    """16 stored weights as two vectors of 8 float32; int8: half ``part`` of 32, times 2^24."""
    floats, words = ir.VectorType(ir.FloatType(), _ROWS), ir.VectorType(_I32, _ROWS)
    if stored in (types.uint16, types.int8):
        packed = builder.load(builder.inttoptr(address, words.as_pointer()), align=1)
    if stored == types.uint16:
        # Two weights in 32 bits: the even places are rows 0 to 7, the odd ones rows 8 to 15.
        sixteen = ir.Constant(words, [16] * _ROWS)
        upper = ir.Constant(words, [0xFFFF0000] * _ROWS)
        halves = builder.shl(packed, sixteen), builder.and_(packed, upper)
        return [builder.bitcast(half, floats) for half in halves]
    if stored == types.int8:
        # Four weights in 32 bits. Upwards, as a mask is cheaper than a second shift.
        upper = ir.Constant(words, [0xFF000000] * _ROWS)
        found = []
        for half in (0, 1):
            bits = builder.mul(part, ir.Constant(_I32, 16))
            bits = builder.sub(ir.Constant(_I32, 24 - 8 * half), bits)
            shifted = builder.shl(packed, _everywhere(builder, bits, words))
            found.append(builder.sitofp(builder.and_(shifted, upper), floats))
        return found
    scalar = ir.FloatType() if stored == types.float32 else ir.HalfType()
    pointer_ = builder.inttoptr(address, ir.VectorType(scalar, _ROWS).as_pointer())
    found = [
        builder.load(builder.gep(pointer_, [ir.Constant(_I32, half)]), align=2) for half in (0, 1)
    ]
    return found if stored == types.float32 else [builder.fpext(one, floats) for one in found]


@operation
def widen_block(typing: Any, stored: Any, part: Any, target: Any, example: Any) -> Any:
    """16 stored weights at address ``stored`` as float32 to address ``target``.

    int8: half ``part``, 0 or 1, of the 32 that lie there, times :data:`INT8_UNIT`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, half, place, _ = arguments
        vector = ir.VectorType(ir.FloatType(), _ROWS)
        places = _vectors(builder, place, ir.Constant(_I64, 0), vector, 2)
        which = builder.trunc(half, _I32)
        for one, weights in zip(places, _widened(builder, source, example, which), strict=True):
            builder.store(weights, one, align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, example), generate


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
