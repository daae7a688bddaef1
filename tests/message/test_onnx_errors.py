"""Every bad ONNX file gives one clear error; the whole text is compared where it is short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tospike.errors import ModelError, UnsupportedOperatorError
from tospike.network.importers.onnx_graph import load_onnx


def value(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def save(
    path: Path,
    nodes: list[Any],
    stored: dict[str, Any],
    inputs: list[Any] | None = None,
    domains: tuple[str, ...] = (),
) -> Path:
    graph = helper.make_graph(
        nodes,
        "net",
        inputs or [value("x", ["N", 4])],
        [value("y", ["N", "M"])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(d, 1) for d in domains)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def dense(path: Path, weight: Any = None, inputs: list[Any] | None = None) -> Path:
    weight = np.ones((4, 3), np.float32) if weight is None else weight
    return save(path, [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weight}, inputs)


def text(path: Path, *args: Any) -> str:
    """The error's text, with the folder of the test taken out."""
    with pytest.raises(ModelError) as error:
        load_onnx(path, *args)
    return str(error.value).replace(f"{path.parent}/", "")


def test_missing_file(tmp_path: Path) -> None:
    assert text(tmp_path / "no.onnx") == (
        "cannot load the ONNX model 'no.onnx'\n"
        "  received: no such file\n"
        "  where: no.onnx\n"
        "  fix: check the path"
    )


def test_folder_and_empty_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").mkdir()
    assert "received: a folder" in text(tmp_path / "net.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert text(tmp_path / "empty.onnx") == (
        "cannot load the ONNX model 'empty.onnx'\n"
        "  received: an empty file\n"
        "  where: empty.onnx\n"
        "  allowed: a complete ONNX file that onnx.checker accepts\n"
        "  fix: export the model again and check that the copy is complete"
    )


def test_not_a_protobuf(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"<html>Not found</html>")
    assert "22 bytes that are no ONNX protobuf" in text(tmp_path / "net.onnx")


def test_truncated(tmp_path: Path) -> None:
    path = dense(tmp_path / "net.onnx")
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot load the ONNX model 'net.onnx'" in text(path)


def test_checker_reason_is_passed_on(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", [helper.make_node("Relu", ["nowhere"], ["y"])], {})
    assert "received: onnx.checker: Nodes in a graph must be topologically sorted" in text(path)


def test_nan_and_infinite_weights_are_listed(tmp_path: Path) -> None:
    weight = np.ones((4, 3), np.float32)
    weight[0, :2] = np.nan
    other = np.ones((3, 2), np.float32)
    other[1, 1] = np.inf
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("MatMul", ["z", "v"], ["y"]),
    ]
    path = save(tmp_path / "net.onnx", nodes, {"w": weight, "v": other})
    assert text(path) == (
        "cannot load the ONNX model 'net.onnx'\n"
        "  received: 2 unusable weight tensors\n"
        "  where: net.onnx\n"
        "  allowed: a complete ONNX file that onnx.checker accepts\n"
        "  fix: train or export the model again; weights must be finite\n"
        "  reasons:\n"
        "    - initializer 'w': 2 of 12 values are NaN or infinite\n"
        "    - initializer 'v': 1 of 6 values are NaN or infinite"
    )


def test_nan_in_a_constant_node(tmp_path: Path) -> None:
    weight = np.ones((4, 3), np.float32)
    nodes = [
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weight)),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    assert load_onnx(save(tmp_path / "net.onnx", nodes, {})).n_weights == 12
    weight[2, 2] = np.nan
    nodes[0] = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weight))
    path = save(tmp_path / "net.onnx", nodes, {})
    assert "initializer 'w': 1 of 12 values are NaN or infinite" in text(path)


def test_attention_mask_of_minus_infinity_is_no_fault(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Add", ["z", "mask"], ["y"]),
    ]
    mask = np.triu(np.full((3, 3), -np.inf, np.float32), 1)
    path = save(
        tmp_path / "net.onnx",
        nodes,
        {"w": np.ones((4, 3), np.float32), "mask": mask},
        [value("x", ["N", 3, 4])],
    )
    assert load_onnx(path).n_synapses == 36


def test_dynamic_dimensions_are_named(tmp_path: Path) -> None:
    path = dense(tmp_path / "net.onnx", inputs=[value("x", ["batch", "frames", 4])])
    assert text(path) == (
        "cannot count the ONNX model 'net.onnx'\n"
        "  received: dynamic dimensions without a size in 'x': (batch, frames, 4)\n"
        "  where: net.onnx\n"
        "  allowed: sizes for all dimensions but the batch\n"
        "  fix: give an example input, or {name: (1, ...)} with full shapes and the batch as 1\n"
        "  reasons:\n"
        "    - input 'x': axis 1 is the dynamic 'frames'"
    )
    assert load_onnx(path, {"x": (1, 10, 4)}).n_synapses == 120
    assert load_onnx(path, (8, 10, 4)).n_synapses == 120
    assert load_onnx(path, np.zeros((1, 10, 4))).n_synapses == 120


def test_wrong_shapes_are_all_named(tmp_path: Path) -> None:
    path = dense(tmp_path / "net.onnx", inputs=[value("x", ["batch", "frames", 4])])
    assert text(path, {"x": (1, 10, 5), "z": (1, 2)}) == (
        "cannot load the ONNX model 'net.onnx' with the given input shapes\n"
        "  where: net.onnx\n"
        "  allowed: x: (batch, frames, 4)\n"
        "  fix: give full shapes with the batch dimension, one for each input\n"
        "  reasons:\n"
        "    - input 'x': axis 2 is 5, the model wants 4\n"
        "    - the model has no input 'z', only x"
    )
    assert "has 2 dimensions, the model wants 3" in text(path, {"x": (1, 4)})
    assert "no shape of positive integers" in text(path, {"x": (1, 0, 4)})
    assert "cannot load the ONNX model" in text(path, {"x": "abc"})


def test_shapes_that_contradict(tmp_path: Path) -> None:
    path = dense(tmp_path / "net.onnx", np.ones((5, 3), np.float32))
    assert "cannot infer the shapes of the ONNX model 'net.onnx'" in text(path)


def test_unsupported_operators_are_listed_at_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Special", ["x", "w"], ["a"], name="s", domain="acme"),
        helper.make_node("Special", ["a", "w"], ["b"], name="t", domain="acme"),
        helper.make_node("FlashAttention", ["b", "b"], ["c"], name="u", domain="acme"),
        helper.make_node("Harmless", ["c"], ["d"], name="v", domain="acme"),
        helper.make_node("Einsum", ["d", "d", "d"], ["y"], name="e", equation="a,a,a->a"),
    ]
    stored = {"w": np.ones((4, 4), np.float32)}
    path = save(tmp_path / "net.onnx", nodes, stored, domains=("acme",))
    with pytest.raises(UnsupportedOperatorError) as error:
        load_onnx(path)
    assert error.value.received == "4 operators with synapses that cannot be counted"
    assert error.value.reasons == (
        "acme.Special ('s') with 1 weight tensors",
        "acme.Special ('t') with 1 weight tensors",
        "acme.FlashAttention ('u')",
        "Einsum ('e')",
    )


def test_synapses_in_control_flow_are_refused_by_name_and_count(tmp_path: Path) -> None:
    def branch(name: str) -> Any:
        nodes = [
            helper.make_node("MatMul", ["x", "w"], [f"{name}_1"]),
            helper.make_node("MatMul", ["x", "w"], [f"{name}_2"]),
        ]
        return helper.make_graph(nodes, name, [], [value(f"{name}_2", ["N", 3])])

    node = helper.make_node(
        "If", ["flag"], ["y"], name="choose", then_branch=branch("a"), else_branch=branch("b")
    )
    path = save(
        tmp_path / "net.onnx",
        [node],
        {"w": np.ones((4, 3), np.float32)},
        [value("x", ["N", 4]), value("flag", [], TensorProto.BOOL)],
    )
    with pytest.raises(UnsupportedOperatorError) as error:
        load_onnx(path)
    assert error.value.reasons == ("If ('choose') with 4 MatMul in its inner graph",)


def test_a_graph_without_synapses(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", [helper.make_node("Relu", ["x"], ["y"])], {})
    assert "received: 1 operators, none with synapses" in text(path)


def external(tmp_path: Path, location: str, size: int = 48) -> Path:
    path = dense(tmp_path / "net.onnx")
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, content in (("location", location), ("offset", "0"), ("length", str(size))):
        tensor.external_data.add(key=key, value=content)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "", "a/../../secret.bin"])
def test_external_data_cannot_leave_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    folder = tmp_path / "model"
    folder.mkdir()
    assert text(external(folder, location)) == (
        "cannot load the ONNX model 'net.onnx'\n"
        "  received: 1 faults in its external data\n"
        "  where: net.onnx\n"
        "  allowed: a complete ONNX file that onnx.checker accepts\n"
        "  fix: keep the data files beside the model, in its folder or below\n"
        "  reasons:\n"
        f"    - initializer 'w': the path {location!r} leaves the folder of the model"
    )


def test_external_data_through_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    assert "'link.bin' leaves the folder" in text(external(folder, "link.bin"))


def test_external_data_missing_or_short(tmp_path: Path) -> None:
    assert "the file 'w.bin' is missing" in text(external(tmp_path, "w.bin"))
    (tmp_path / "w.bin").write_bytes(bytes(40))
    assert "needs bytes 0 to 48 of 'w.bin', which has 40" in text(external(tmp_path, "w.bin"))
    (tmp_path / "w.bin").write_bytes(bytes(48))
    assert load_onnx(external(tmp_path, "w.bin")).n_weights == 12


def test_initializer_that_does_not_fill_its_shape(tmp_path: Path) -> None:
    path = dense(tmp_path / "net.onnx")
    model = onnx.load(path)
    model.graph.initializer[0].raw_data = bytes(44)
    path.write_bytes(model.SerializeToString())
    assert "cannot load the ONNX model 'net.onnx'" in text(path)
