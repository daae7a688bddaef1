"""Damaged ONNX files: each is read, or gives one TospikeError. Never another exception."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tospike.errors import ModelError, TospikeError
from tospike.network import Network
from tospike.network.importers.onnx_graph import load_onnx


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small model with a convolution, a GRU, control data and a classifier."""
    rng = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> object:
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"], name="conv", pads=[1, 1]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[2, 0, 1]),
        helper.make_node("GRU", ["t", "W", "R"], ["", "h"], name="gru", hidden_size=3),
        helper.make_node("Squeeze", ["h", "zero"], ["s"]),
        helper.make_node("Gemm", ["s", "g"], ["y"], name="fc"),
    ]
    stored = [
        weights("w", 2, 2, 3),
        weights("b", 2),
        weights("W", 1, 9, 2),
        weights("R", 1, 9, 3),
        weights("g", 3, 4),
        numpy_helper.from_array(np.array([0], np.int64), "zero"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path_factory.mktemp("healthy") / "net.onnx"
    onnx.save(model, path)
    assert load_onnx(path).n_weights == 12 + 18 + 27 + 12
    return path.read_bytes()


def outcome(path: Path, raw: bytes) -> str:
    """ "read" or "refused"; any other exception goes through and fails the test."""
    path.write_bytes(raw)
    try:
        network = load_onnx(path)
    except TospikeError as error:
        caught = error
    else:
        caught = None
    if caught is not None:
        assert isinstance(caught, ModelError)
        assert str(caught).startswith("cannot ")
        assert "Traceback" not in str(caught)
        return "refused"
    assert isinstance(network, Network)
    assert all(layer.n_synapses >= 0 for layer in network)
    return "read"


def test_truncated_files(tmp_path: Path, healthy: bytes) -> None:
    """Every length from 0 on, in steps: a truncated graph is refused."""
    lengths = range(0, len(healthy) - 1, max(1, len(healthy) // 120))
    results = [outcome(tmp_path / "net.onnx", healthy[:length]) for length in lengths]
    assert len(results) >= 100
    # cutting the last bytes can leave a whole graph: then it is read
    assert results.count("refused") >= 0.95 * len(results)


def test_flipped_bits(tmp_path: Path, healthy: bytes) -> None:
    rng = random.Random(0)
    results = []
    for _ in range(250):
        raw = bytearray(healthy)
        for _ in range(rng.choice((1, 1, 2, 8))):
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        results.append(outcome(tmp_path / "net.onnx", bytes(raw)))
    assert "refused" in results
    assert "read" in results  # a flipped bit in a weight is still a weight


def test_random_bytes(tmp_path: Path) -> None:
    rng = random.Random(1)
    for length in (1, 2, 3, 8, 20, 100, 1000, 5000):
        for _ in range(8):
            raw = rng.randbytes(length)
            assert outcome(tmp_path / "net.onnx", raw) == "refused"


def test_shuffled_blocks(tmp_path: Path, healthy: bytes) -> None:
    """Blocks doubled, dropped and exchanged."""
    rng = random.Random(2)
    for _ in range(60):
        a, b = sorted(rng.sample(range(len(healthy)), 2))
        for raw in (
            healthy[:a] + healthy[b:],
            healthy[:b] + healthy[a:],
            healthy[b:] + healthy[:a],
        ):
            outcome(tmp_path / "net.onnx", raw)


def test_random_bytes_do_not_pass_for_a_network(tmp_path: Path, healthy: bytes) -> None:
    """The check itself can fail: a healthy file is not refused."""
    assert outcome(tmp_path / "net.onnx", healthy) == "read"
