"""Files as the installed onnx writes them by default: format and operator set of today.

onnxruntime lags behind onnx; a network must not be refused for the number in its header.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tospike as ts
from tospike.conversion import executable, run_ann


@pytest.mark.parametrize("settings", [{}, {"opset_imports": [helper.make_opsetid("", 17)]}])
def test_default_format_and_operator_set(tmp_path: Path, settings: dict) -> None:
    rng = np.random.default_rng(0)
    first = rng.standard_normal((5, 6)).astype(np.float32)
    second = rng.standard_normal((6, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "v"], ["a"], name="one"),
            helper.make_node("Relu", ["a"], ["r"]),
            helper.make_node("Gemm", ["r", "w"], ["y"], name="two"),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(first, "v"), numpy_helper.from_array(second, "w")],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, **settings), path)
    x = rng.standard_normal((20, 5)).astype(np.float32)
    hidden = np.maximum(x @ first, 0)
    assert [layer.n_synapses for layer in ts.load(str(path)).synaptic_layers] == [30, 18]
    found = ts.measure(str(path), x)
    assert found["two"].zero_fraction == pytest.approx((hidden == 0).mean(), abs=1e-12)
    result = run_ann(executable(str(path), x[:1]), x, keep_outputs=True)
    np.testing.assert_allclose(result.outputs, hidden @ second, rtol=1e-4, atol=1e-5)
