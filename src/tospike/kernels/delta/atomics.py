"""Atomic operations on 64-bit words, for two threads that share the rows of a step."""

from __future__ import annotations

import os
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from tospike.kernels.delta.intrinsics import operation

_I64 = ir.IntType(64)


def _word(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _I64.as_pointer())


@operation
def load(typing: Any, address: Any) -> Any:
    """The word at ``address``, and everything that was written before it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_word(builder, arguments[0]), "acquire", 8)

    return types.int64(types.int64), generate


@operation
def store(typing: Any, address: Any, value: Any) -> Any:
    """Write a word after everything that was written before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[1], _word(builder, arguments[0]), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@operation
def increment(typing: Any, address: Any) -> Any:
    """One more; the word before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        one = ir.Constant(_I64, 1)
        return builder.atomic_rmw("add", _word(builder, arguments[0]), one, "acq_rel")

    return types.int64(types.int64), generate


@operation
def take(typing: Any, address: Any, expected: Any) -> Any:
    """One more if the word still is ``expected``: whether it was."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address_, wanted = arguments
        more = builder.add(wanted, ir.Constant(_I64, 1))
        pair = builder.cmpxchg(_word(builder, address_), wanted, more, "acq_rel", "acquire")
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64), generate


@operation
def give_way(typing: Any) -> Any:
    """Let other threads of the machine run, where the system has a call for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if os.name == "posix":
            kind = ir.FunctionType(ir.IntType(32), [])
            function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]  # of Numba
                builder.module, kind, "sched_yield"
            )
            builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), generate
