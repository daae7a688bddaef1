"""Two operations that Numba has no word for: widening of stored weights, and pairs of products.

Both are plain LLVM vector code without a word about the machine; on x86 the compiler makes
``vcvtph2ps`` and ``vpmaddwd`` of them, elsewhere what fits.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_ROWS = 8
_PAIRS = 4

#: rows that :func:`add_products` handles at a time; columns are padded to a multiple
BLOCK = 2 * _ROWS


@intrinsic
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


@intrinsic
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
