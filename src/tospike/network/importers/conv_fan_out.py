"""Which products a convolution really does: border-exact counts, in closed form per dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tospike.network.layer import Layer


def fan_out_1d(
    length: int,
    out_length: int,
    *,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    transposed: bool = False,
) -> NDArray[np.int64]:
    """Kernel taps that each input position meets along one dimension, shape (length,).

    Border-exact: only taps that fall on one of the ``out_length`` outputs count. ``padding`` is
    the one at the beginning. The fan-out of a position of a convolution of any rank is the
    product over its dimensions, times the output channels of its group.
    """
    i = np.arange(length)[:, None]
    k = np.arange(kernel_size)[None, :] * dilation
    if transposed:
        target = i * stride - padding + k
        hits = (target >= 0) & (target < out_length)
    else:
        shifted = i + padding - k
        target = shifted // stride
        hits = (shifted % stride == 0) & (target >= 0) & (target < out_length)
    return np.asarray(hits.sum(axis=1), np.int64)


def begin_and_end(padding: tuple[int, ...], rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Padding at the beginning and at the end; ``padding`` has rank or 2*rank values."""
    padding = padding or (0,) * rank
    if len(padding) == 2 * rank:
        return padding[:rank], padding[rank:]
    return padding, padding


def conv_output_size(layer: Layer, spatial: Sequence[int]) -> tuple[int, ...]:
    """Output size of the convolution ``layer`` for an input of size ``spatial``.

    The recorded one if the input has the recorded shape, else from the usual formula.
    """
    rank = len(spatial)
    recorded_in, recorded_out = layer.input_shape[-rank:], layer.output_shape[-rank:]
    if tuple(spatial) == recorded_in:
        return recorded_out
    begin, end = begin_and_end(layer.padding, rank)
    found = []
    for d, length in enumerate(spatial):
        reach = layer.dilation[d] * (layer.kernel[d] - 1)
        pad = begin[d] + end[d]
        if layer.transposed:
            # the output padding is what the recorded shapes have beyond the formula
            found.append(recorded_out[d] + (length - recorded_in[d]) * layer.stride[d])
        else:
            found.append((length + pad - reach - 1) // layer.stride[d] + 1)
    return tuple(found)


def conv_fan_out(layer: Layer, spatial: Sequence[int]) -> NDArray[np.int64]:
    """Operations that one non-zero input of a convolution causes, by position: ``spatial``."""
    table = np.array(layer.output_shape[0] // layer.groups, np.int64)
    for line in _lines(layer, spatial):
        table = np.multiply.outer(table, line)
    return np.asarray(table, np.int64)


def conv_exact_synapses(layer: Layer) -> int:
    """Products of one call of a convolution that do not meet padding (nor a cropped output)."""
    spatial = layer.input_shape[1:]
    lines = (int(line.sum()) for line in _lines(layer, spatial))
    return layer.input_shape[0] * (layer.output_shape[0] // layer.groups) * math.prod(lines)


def _lines(layer: Layer, spatial: Sequence[int]) -> list[NDArray[np.int64]]:
    rank = len(spatial)
    outputs = conv_output_size(layer, spatial)
    begin, _ = begin_and_end(layer.padding, rank)
    return [
        fan_out_1d(
            spatial[d],
            outputs[d],
            kernel_size=layer.kernel[d],
            stride=layer.stride[d],
            padding=begin[d],
            dilation=layer.dilation[d],
            transposed=layer.transposed,
        )
        for d in range(rank)
    ]
