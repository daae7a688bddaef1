"""NIR files and options that are wrong: one clear error each, all reasons at once, no traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import tospike as ts
from tospike.cli import app
from tospike.conversion.nir import run_nir
from tospike.conversion.nir.write import write_nir
from tospike.errors import DataError, ModelError, OptionError, TospikeError, UnknownNameError
from tospike.network.importers.nir_file import graph_of_tree, read_nir

pytest.importorskip("h5py")

IF = {"type": "IF", "r": np.ones(2), "v_threshold": np.ones(2), "v_reset": np.zeros(2)}


def tree(**changed: Any) -> dict[str, Any]:
    """Input (3) -> Affine (2, 3) -> IF (2) -> Output (2); ``changed``: nodes, None to drop one."""
    nodes: dict[str, Any] = {
        "in": {"type": "Input", "shape": np.array([3])},
        "w": {"type": "Affine", "weight": np.ones((2, 3)), "bias": np.zeros(2)},
        "n": dict(IF),
        "out": {"type": "Output", "shape": np.array([2])},
    }
    edges = changed.pop("edges", [("in", "w"), ("w", "n"), ("n", "out")])
    nodes.update(changed)
    nodes = {name: node for name, node in nodes.items() if node is not None}
    return {"type": "NIRGraph", "nodes": nodes, "edges": np.array(edges, dtype=object)}


def message(made: dict[str, Any]) -> str:
    with pytest.raises(ModelError) as caught:
        graph_of_tree(made, "net.nir")
    return str(caught.value)


def test_all_reasons_at_once() -> None:
    """The whole text."""
    made = tree(
        w={"type": "Affine", "weight": np.ones((2, 3)), "bias": np.array([0.0, np.nan])},
        n={"type": "Izhikevich", "a": np.ones(2)},
        m={"type": "LIF", "tau": np.ones(2), "r": np.ones(3), "v_leak": np.zeros(2)},
        edges=[("in", "w"), ("w", "n"), ("n", "gone"), ("m", "out")],
    )
    assert message(made) == (
        "cannot read the NIR graph 'net.nir'\n"
        "  allowed: a graph of NIR 1.0.8 nodes between Input and Output, with all shapes\n"
        "  reasons:\n"
        "    - node 'w' (Affine): parameter 'bias' has 1 values that are NaN or infinite\n"
        "    - node 'n' has the unknown type 'Izhikevich'\n"
        "    - node 'm' (LIF): parameter 'v_threshold' is missing\n"
        "    - edge 'n' -> 'gone': no node 'gone'\n"
        "    - node 'm' (LIF) receives no input"
    )


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (tree(out=None, edges=[("in", "w"), ("w", "n")]), "the graph has no Output node"),
        (tree(**{"in": None}, edges=[("w", "n"), ("n", "out")]), "the graph has no Input node"),
        (tree(**{"in": {"type": "Input"}}), "parameter 'shape' is missing"),
        (
            tree(**{"in": {"type": "Input", "shape": np.array([0])}}),
            "node 'in' (Input): the shape is (0,); sizes of at least 1 are needed",
        ),
        (
            tree(**{"in": {"type": "Input", "shape": np.array([1, 3])}}),
            "node 'w' (Affine): the weight (2, 3) takes (3,), its input is (1, 3)",
        ),
        (
            tree(out={"type": "Output", "shape": np.array([5])}),
            "node 'out' (Output): it declares the shape (5,), its input is (2,)",
        ),
        (tree(n={**IF, "r": np.ones(3)}), "parameters of different shapes: r (3,), v_reset (2,)"),
        (tree(n={**IF, "r": "much"}), "parameter 'r' is the text 'much', not a number"),
        (tree(n={**IF, "speed": np.ones(2)}), "parameter 'speed' is not one of NIR 1.0.8"),
        (tree(n={"type": 5}), "node 'n' has no type"),
        (tree(w={"type": "Affine", "weight": np.ones((2, 3)), "bias": np.zeros(3)}), "bias has"),
        (
            tree(
                w={"type": "Linear", "weight": np.ones((2, 3))},
                n={"type": "LIF", **dict.fromkeys(("tau", "r", "v_leak", "v_threshold"), 0.0)},
            ),
            "node 'n' (LIF): tau has values <= 0; a time constant is positive",
        ),
        (
            tree(edges=[("in", "w"), ("w", "n"), ("w", "n"), ("n", "out")]),
            "edge 'w' -> 'n' is there twice",
        ),
        (tree(edges=[("in", "w"), ("w",)]), "not a pair of node names"),
        (
            tree(w={"type": "Linear", "weight": np.ones((2, 3))}, extra=dict(IF)),
            "node 'extra' (IF) receives no input",
        ),
    ],
)
def test_faults_of_a_graph(made: dict[str, Any], reason: str) -> None:
    assert reason in message(made)


CONV = {
    "type": "Conv2d",
    "weight": np.ones((2, 1, 3, 3)),
    "bias": np.zeros(2),
    "stride": np.array([1, 1]),
    "padding": np.array([0, 0]),
    "dilation": np.array([1, 1]),
    "groups": 1,
}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"stride": np.array([0, 1])}, "stride is [0, 1]; 2 whole numbers >= 1 are needed"),
        ({"groups": 3}, "2 output channels do not divide into 3 groups"),
        ({"padding": "full"}, "padding is 'full'; whole numbers are needed"),
        ({"padding": "same", "stride": 2}, "padding 'same' with stride 2; stride 1 is needed"),
        ({"weight": np.ones((2, 1, 3))}, "weight has shape (2, 1, 3); rank 4 without zeros"),
        ({"weight": np.ones((2, 1, 9, 3))}, "a window of 9 does not fit into 5 values"),
        ({"weight": np.ones((2, 4, 3, 3))}, "takes (4, height, width), its input is (1, 5, 5)"),
        ({"input_shape": np.array([7, 7])}, "input_shape is (7, 7), its input (5, 5)"),
        ({"stride": np.array([1.5, 1])}, "parameter 'stride' is [1.5, 1.0], not whole numbers"),
    ],
)
def test_faults_of_a_convolution(changed: dict[str, Any], reason: str) -> None:
    made = tree(
        **{"in": {"type": "Input", "shape": np.array([1, 5, 5])}},
        w={**CONV, **changed},
        n={"type": "Flatten", "start_dim": 0, "end_dim": -1},
        out={"type": "Output"},
    )
    assert reason in message(made)
    good = tree(
        **{"in": {"type": "Input", "shape": np.array([1, 5, 5])}},
        w=dict(CONV),
        n={"type": "Flatten", "start_dim": 0, "end_dim": -1},
        out={"type": "Output"},
    )
    assert graph_of_tree(good, "net.nir")["out"].out_shape == (18,)


def test_graphs_in_graphs() -> None:
    inner = tree()
    inner["nodes"]["in2"] = {"type": "Input", "shape": np.array([3])}
    inner["edges"] = np.array([("in", "w"), ("in2", "w"), ("w", "n"), ("n", "out")], dtype=object)
    made = tree(w=inner, n=None, edges=[("in", "w"), ("w", "out")])
    assert "graph 'w' has 2 Input nodes, one is needed" in message(made)
    deep: dict[str, Any] = {"type": "NIRGraph", "nodes": {}, "edges": []}
    for _ in range(60):
        deep = {"type": "NIRGraph", "nodes": {"g": deep}, "edges": []}
    assert "nested more than 32 deep" in message(deep)


def test_a_graph_that_is_none() -> None:
    with pytest.raises(ModelError, match=r"an object of type builtins\.int"):
        read_nir(5)
    with pytest.raises(ModelError, match="a root of type 'IF'"):
        graph_of_tree(dict(IF), "net.nir")


# -- files -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nir") / "net.nir"
    write_nir(tree(), path)
    return path


def test_files_that_are_none(tmp_path: Path, file: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        ts.load(tmp_path / "none.nir")
    (tmp_path / "text.nir").write_text("hello")
    with pytest.raises(ModelError, match="it is truncated or corrupt"):
        ts.load(tmp_path / "text.nir")
    (tmp_path / "empty.nir").write_bytes(b"")
    with pytest.raises(ModelError, match="it is truncated or corrupt"):
        ts.load(tmp_path / "empty.nir")
    import h5py

    with h5py.File(tmp_path / "other.nir", "w") as other:
        other["x"] = 1
    with pytest.raises(ModelError, match="without the group 'node'"):
        ts.load(tmp_path / "other.nir")
    with h5py.File(tmp_path / "link.nir", "w") as other:
        other["node"] = h5py.ExternalLink(str(file), "node")
        other.create_group("a")
    with h5py.File(tmp_path / "inner.nir", "w") as other:
        other.create_group("node")["nodes"] = h5py.SoftLink("/node")
    with pytest.raises(ModelError, match="is a link to another place"):
        ts.load(tmp_path / "inner.nir")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_truncated_files(tmp_path: Path, file: Path, kept: float) -> None:
    raw = file.read_bytes()
    cut = tmp_path / "cut.nir"
    cut.write_bytes(raw[: int(len(raw) * kept)])
    with pytest.raises(ModelError, match="it is truncated or corrupt"):
        ts.load(cut)


def test_files_on_which_the_library_crashes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen on random corruption: a segmentation fault in HDF5. Another process meets it first."""
    from tospike.network.importers import nir_file

    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr(nir_file, "_PROBE", crash)
    with pytest.raises(ModelError, match="the HDF5 library crashes on it"):
        ts.load(file)


def outcome(source: Any) -> str:
    """The error of reading and running, if there is one; anything but a TospikeError passes on."""
    try:
        graph = graph_of_tree(source, "net.nir") if isinstance(source, dict) else read_nir(source)
        inputs = {node.name: np.ones((2, 1, *node.out_shape)) for node in graph.inputs}
        run_nir(graph, inputs, dt=1.0, reset="hard")
    except TospikeError as error:
        return str(error)
    return "ran\n"


@given(data=st.data())
@settings(
    deadline=None,
    derandomize=True,
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_corrupt_files_give_a_network_or_one_error(
    data: st.DataObject, tmp_path: Path, file: Path
) -> None:
    raw = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    broken = tmp_path / "broken.nir"
    broken.write_bytes(raw)
    assert "\n" in outcome(broken)


LEAVES = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.floats(allow_nan=True),
    st.text(max_size=4),
    st.sampled_from(["IF", "LIF", "Input", "Output", "Affine", "Conv2d", "NIRGraph", "Delay"]),
    st.lists(st.floats(-2, 2), max_size=3).map(np.array),
)


@given(
    node=st.sampled_from(["in", "w", "n", "out"]),
    key=st.sampled_from(["type", "shape", "weight", "bias", "r", "v_threshold", "v_reset", "x"]),
    value=LEAVES,
    edges=st.lists(st.tuples(*[st.sampled_from(["in", "w", "n", "out", "z"])] * 2), max_size=5),
    keep_edges=st.booleans(),
)
@settings(deadline=None, derandomize=True, max_examples=150)
def test_random_trees_give_a_graph_or_one_error(
    node: str, key: str, value: Any, edges: list[tuple[str, str]], keep_edges: bool
) -> None:
    made = tree() if keep_edges else tree(edges=edges or [("in", "out")])
    made["nodes"][node] = {**made["nodes"][node], key: value}
    assert "\n" in outcome(made)


# -- options and data ------------------------------------------------------------------------------


def test_options_have_no_silent_default(file: Path) -> None:
    x = np.ones((2, 1, 3))
    with pytest.raises(OptionError, match="no dt and no reset"):
        run_nir(file, x)
    with pytest.raises(OptionError, match="no reset"):
        run_nir(file, x, dt=1.0)
    with pytest.raises(OptionError) as caught:
        run_nir(file, x, dt=-1.0, reset="gentle", reset_delay=2, initial={"w": 0})  # type: ignore[arg-type]
    text = str(caught.value)
    for reason in ("dt is -1.0", "reset is 'gentle'", "reset_delay is 2", "initial names 'w'"):
        assert reason in text
    with pytest.raises(ModelError, match="allowed: finite numbers that broadcast to"):
        run_nir(file, x, dt=1.0, reset="soft", initial={"n": np.ones(5)})
    with pytest.raises(UnknownNameError, match="NIR node 'm'"):
        run_nir(file, x, dt=1.0, reset="soft", record=("m",))


def test_time_steps_that_are_too_long() -> None:
    lif = {"type": "LIF", "tau": np.full(2, 0.5), "r": np.ones(2), "v_leak": np.zeros(2)}
    made = tree(n={**lif, "v_threshold": np.ones(2)})
    graph = graph_of_tree(made, "net.nir")
    x = np.ones((2, 1, 3))
    with pytest.raises(OptionError, match=r"dt 1 is longer than tau 0\.5; forward Euler needs"):
        run_nir(graph, x, dt=1.0, reset="soft")
    assert run_nir(graph, x, dt=1.0, reset="soft", discretisation="exponential_euler").output.any()
    late = graph_of_tree(tree(n={"type": "Delay", "delay": np.array([1.0, 2.5])}), "net.nir")
    with pytest.raises(OptionError, match="is not a whole number of steps of 1"):
        run_nir(late, x, dt=1.0, reset="soft")


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.ones((2, 3)), "has shape (2, 3); (T, samples, 3) is needed"),
        (np.ones((0, 1, 3)), "has shape (0, 1, 3); (T, samples, 3) is needed"),
        (np.full((2, 1, 3), np.nan), "has values that are NaN or infinite"),
        ("spikes", "is no array of numbers"),
        ({"other": np.ones((2, 1, 3))}, "the graph has no input 'other'"),
    ],
)
def test_data_that_do_not_fit(file: Path, x: Any, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        run_nir(file, x, dt=1.0, reset="soft")
    assert reason in str(caught.value)


def test_values_that_run_away() -> None:
    made = tree(
        w={"type": "Linear", "weight": np.eye(2)},
        n={"type": "I", "r": np.ones(2)},
        g={"type": "Scale", "scale": np.full(2, 1e200)},
        **{"in": {"type": "Input", "shape": np.array([2])}},
        edges=[("in", "w"), ("w", "n"), ("n", "g"), ("g", "n"), ("n", "out")],
    )
    graph = graph_of_tree(made, "net.nir")
    with pytest.raises(ModelError, match="values that are no longer finite"):
        run_nir(graph, np.ones((6, 1, 2)), dt=1.0, reset="soft")


# -- command line ----------------------------------------------------------------------------------


def call(*words: str) -> Any:
    return CliRunner().invoke(app, ["nir", *words])


def test_show_and_check(file: Path) -> None:
    shown = call("show", str(file))
    assert shown.exit_code == 0
    assert "Affine" in shown.output
    data = json.loads(call("show", str(file), "--json").output)
    assert [node["type"] for node in data["nodes"]] == ["Input", "Affine", "IF", "Output"]
    assert "| node" in call("show", str(file), "--format", "markdown").output
    sound = call("check", str(file))
    assert sound.exit_code == 0
    assert "give --dt and --reset" in sound.output
    run = json.loads(
        call("check", str(file), "--dt", "1", "--reset", "soft", "--scale", "2", "--json").output
    )
    assert run["sound"]
    assert run["spikes"]["n"] > 0
    assert run["agrees"] is None


def test_check_against_a_module(tmp_path: Path, file: Path) -> None:
    """Exit status 0 if equal, 1 if not, 2 (raised) if something is wrong."""
    pytest.importorskip("torch")
    text = """
import torch


class n(torch.nn.Module):
    def __init__(self, reset):
        super().__init__()
        self.reset = reset
        self.v = 0

    def forward(self, x):
        self.v = self.v + x
        z = (self.v > 1).to(x.dtype)
        self.v = self.v - z if self.reset == "soft" else self.v * (1 - z)
        return z


def make(reset="soft"):
    net = torch.nn.Sequential()
    net.add_module("w", torch.nn.Linear(3, 2))
    net.add_module("n", n(reset))
    torch.nn.init.ones_(net.w.weight)
    torch.nn.init.zeros_(net.w.bias)
    return net


def hard():
    return make("hard")
"""
    (tmp_path / "model.py").write_text(text)
    words = ["check", str(file), "--dt", "1", "--reset", "soft", "--scale", "1"]
    good = call(*words, "--against", f"{tmp_path / 'model.py'}:make")
    assert good.exit_code == 0, good.output
    assert "EQUAL in every step: n, out" in good.output
    bad = call(*words, "--against", f"{tmp_path / 'model.py'}:hard")
    assert bad.exit_code == 1
    assert "DIVERGES at step" in bad.output
    assert (
        "but agrees with: NIR executed with dt=1, forward_euler, reset hard, spikes" in bad.output
    )
    found = json.loads(call(*words, "--against", f"{tmp_path / 'model.py'}:hard", "--json").output)
    assert found["divergence"]["node"] == "n"
    for extra in (
        ["--against", "model"],
        ["--calling", "often", "--against", f"{tmp_path / 'model.py'}:make"],
        ["--weights", "w.pt"],
    ):
        assert isinstance(call(*words, *extra).exception, TospikeError)


def test_replay_on_given_data(tmp_path: Path, file: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 5, 3), np.float32))
    words = ["check", str(file), "--dt", "1", "--reset", "soft", "--json"]
    found = json.loads(call(*words, "--data", str(tmp_path / "x.npy")).output)
    assert (found["steps"], found["samples"]) == (5, 2)
    assert found["spikes"]["n"] == 2 * 2 * 5
