"""The NIR executor against a slow scalar one on random graphs, and against exact arithmetic."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frameworks_by_hand import quietly
from hypothesis import given, settings
from hypothesis import strategies as st
from nir_by_hand import ByHand

import tospike as ts
from tospike.activity.batches import read_source
from tospike.activity.measure_nir import measure_nir, measure_nir_samples, time_first
from tospike.conversion.nir import run_nir
from tospike.errors import OptionError, StatisticError
from tospike.network.importers.nir_neurons import NirOptions

nir: Any = quietly("nir")

DT = 0.5
Nodes = dict[str, tuple[str, dict[str, Any]]]


class Draw:
    """A random graph: a chain of random nodes, with a skip, a loop or a delay now and then."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        image = self.rng.random() < 0.5
        self.shape: tuple[int, ...] = (2, 5, 4) if image else (int(self.rng.integers(2, 5)),)
        self.nodes: Nodes = {"in": ("Input", {"shape": np.array(self.shape)})}
        self.edges: list[tuple[str, str]] = []
        self.late: set[tuple[str, str]] = set()
        self.last = "in"
        for _ in range(int(self.rng.integers(2, 5))):
            self.synapses()
            self.population()
        self.add("Output", {"shape": np.array(self.shape)}, "out")

    def add(self, kind: str, parameters: dict[str, Any], name: str = "") -> str:
        name = name or f"n{len(self.nodes)}"
        self.nodes[name] = (kind, parameters)
        self.edges.append((self.last, name))
        self.last = name
        return name

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.normal(0.3, 1.0, shape)

    def uniform(self, low: float, high: float) -> np.ndarray:
        return self.rng.uniform(low, high, self.shape)

    def synapses(self) -> None:
        if len(self.shape) == 1:
            n = int(self.rng.integers(2, 6))
            weight = self.normal(n, self.shape[0])
            if self.rng.random() < 0.5:
                self.add("Linear", {"weight": weight})
            else:
                self.add("Affine", {"weight": weight, "bias": self.normal(n)})
            self.shape = (n,)
            return
        choice = self.rng.integers(0, 4)
        if choice == 0 and min(self.shape[1:]) >= 2:
            kind = str(self.rng.choice(["SumPool2d", "AvgPool2d"]))
            padding = int(self.rng.integers(0, 2))
            sizes = {"kernel_size": (2, 2), "stride": (2, 1), "padding": (padding, 0)}
            self.add(kind, {k: np.array(v) for k, v in sizes.items()})
            h, w = self.shape[1:]
            self.shape = (self.shape[0], (h + 2 * padding - 2) // 2 + 1, w - 1)
        elif choice == 1:
            self.add("Flatten", {"start_dim": 0, "end_dim": -1})
            self.shape = (int(np.prod(self.shape)),)
        else:
            groups = int(self.rng.integers(1, 3))
            c, h, w = self.shape
            groups = groups if c % groups == 0 else 1
            weight = self.normal(2 * groups, c // groups, 3, 2) * 0.7
            sizes = {"stride": (1, 2), "padding": (1, 1), "dilation": (1, 1)}
            self.add(
                "Conv2d",
                {
                    "weight": weight,
                    "bias": self.normal(2 * groups),
                    "groups": groups,
                    **{k: np.array(v) for k, v in sizes.items()},
                },
            )
            self.shape = (2 * groups, h, (w + 2 - 2) // 2 + 1)

    def population(self) -> None:
        kinds = ["IF", "LIF", "CubaLIF", "I", "LI", "CubaLI", "Threshold", "Scale", "Delay"]
        kind = str(self.rng.choice(kinds))
        before = self.last
        parameters: dict[str, Any] = {
            "IF": ("r", "v_threshold", "v_reset"),
            "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
            "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
            "I": ("r",),
            "LI": ("tau", "r", "v_leak"),
            "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
            "Threshold": ("threshold",),
            "Scale": ("scale",),
            "Delay": ("delay",),
        }
        ranges = {"r": (0.5, 2), "scale": (-1, 2), "w_in": (0.5, 2), "v_leak": (-0.2, 0.2)}
        ranges |= {"v_threshold": (0.5, 1.5), "threshold": (0, 1), "v_reset": (-0.5, 0)}
        values = {
            key: self.uniform(*ranges.get(key, (1.0, 4.0)))  # type: ignore[arg-type]
            for key in parameters[kind]
        }
        if kind == "Delay":
            values = {"delay": self.rng.integers(0, 4, self.shape) * DT}
        name = self.add(kind, values)
        if kind in ("IF", "LIF", "CubaLIF") and self.rng.random() < 0.4:
            if len(self.shape) == 1:  # recurrent weights: spikes arrive one step late
                self.add("Linear", {"weight": self.normal(*self.shape * 2)})
                self.edges.append((self.last, name))
                self.late.add((name, self.last))
            else:
                self.add("Scale", {"scale": self.uniform(-1, 1)})
                self.edges.append((self.last, name))
                self.late.add((name, self.last))
            self.last = name
        elif kind == "Scale" and self.rng.random() < 0.5:
            self.last = before
            other = self.add("Scale", {"scale": self.uniform(-1, 1)})
            self.last = name
            self.add("Scale", {"scale": np.ones(self.shape)})
            self.edges.append((other, self.last))

    def graph(self) -> Any:
        made = {}
        for name, (kind, p) in self.nodes.items():
            if kind == "Input":
                made[name] = nir.Input(p["shape"])
            elif kind == "Output":
                made[name] = nir.Output(p["shape"])
            elif kind == "Flatten":
                made[name] = nir.Flatten(None, **p)
            elif kind == "Conv2d":
                made[name] = nir.Conv2d(input_shape=None, **p)
            else:
                made[name] = getattr(nir, kind)(**p)
        return nir.NIRGraph(made, self.edges, metadata={}, type_check=False)


@given(
    seed=st.integers(0, 10**6),
    reset=st.sampled_from(["hard", "soft", "none"]),
    delay=st.sampled_from([0, 1]),
    exact=st.booleans(),
    tie=st.booleans(),
)
@settings(deadline=None, derandomize=True, max_examples=40)
def test_random_graphs(seed: int, reset: Any, delay: int, exact: bool, tie: bool) -> None:
    drawn = Draw(seed)
    x = np.random.default_rng(seed + 1).uniform(-0.5, 2, (7, 2, *drawn.nodes["in"][1]["shape"]))
    firing = [n for n, (k, _) in drawn.nodes.items() if k in ("IF", "LIF", "CubaLIF", "Threshold")]
    result = run_nir(
        drawn.graph(),
        x,
        dt=DT,
        reset=reset,
        reset_delay=delay,
        discretisation="exponential_euler" if exact else "forward_euler",
        tie_fires=tie,
        record=tuple(drawn.nodes),
    )
    assert {(s, n.name) for n in result.graph.nodes for s in n.delayed} == drawn.late
    for sample in range(2):
        slow = ByHand(
            drawn.nodes,
            drawn.edges,
            drawn.late,
            dt=DT,
            reset=reset,
            reset_delay=delay,
            exact=exact,
            tie_fires=tie,
        ).run(x[:, sample])
        for name in drawn.nodes:
            assert np.allclose(result.recorded[name][:, sample], slow[name], atol=1e-9), name
        for name in firing:
            assert np.array_equal(result.spikes[name][:, sample], slow[name])


@pytest.mark.parametrize("seed", range(4))
def test_files_and_objects_are_the_same(seed: int, tmp_path: Path) -> None:
    drawn = Draw(seed + 40)
    graph = drawn.graph()
    for node in graph.nodes.values():  # nir cannot write what it has not inferred
        if type(node).__name__ == "Conv2d":
            node.input_shape = (1, 1)
    if any(type(node).__name__ in ("Conv2d", "Flatten") for node in graph.nodes.values()):
        pytest.skip("nir 1.0.8 does not write a shape that it has not inferred")
    path = tmp_path / "g.nir"
    nir.write(path, graph)
    x = np.random.default_rng(0).uniform(0, 2, (6, 3, *drawn.nodes["in"][1]["shape"]))
    one, two = (run_nir(g, x, dt=DT, reset="hard") for g in (graph, path))
    assert np.array_equal(one.output, two.output)
    assert two.graph.sha256
    assert two.graph.version


def lif(n: int, **changed: Any) -> Any:
    values = {"tau": 4.0, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **changed}
    return nir.LIF(**{k: np.full(n, v) for k, v in values.items()})


def chain(*nodes: Any, shape: tuple[int, ...], out: tuple[int, ...]) -> Any:
    names = ["in", *(f"n{i}" for i in range(len(nodes))), "out"]
    ends = nir.Input(np.array(shape)), nir.Output(np.array(out))
    made = dict(zip(names, (ends[0], *nodes, ends[1]), strict=True))
    return nir.NIRGraph(made, list(pairwise(names)), metadata={}, type_check=False)


def test_recurrent_weights_read_the_spikes_of_the_step_before() -> None:
    """IF with theta 1, itself as the only recurrent input (weight 1): one pulse runs for ever."""
    nodes = {
        "in": nir.Input(np.array([1])),
        "n": nir.IF(np.ones(1), np.full(1, 1.0), np.zeros(1)),
        "w": nir.Affine(np.ones((1, 1)), np.full(1, 0.125)),
        "out": nir.Output(np.array([1])),
    }
    edges = [("in", "n"), ("n", "w"), ("w", "n"), ("n", "out")]
    graph = nir.NIRGraph(nodes, edges, metadata={}, type_check=False)
    x = np.zeros((6, 1, 1))
    x[0] = 1
    result = run_nir(graph, x, dt=1.0, reset="soft", record=("w",))
    assert result.output.ravel().tolist() == [1] * 6
    assert result.recorded["w"].ravel().tolist() == [0.125] + [1.125] * 5  # bias from the start
    assert result.graph["w"].delayed == ("n",)
    assert "closes a cycle" in result.activity.notes[1]


def test_a_delay_breaks_a_cycle_by_itself() -> None:
    """n -> delay of 3 steps -> n: a pulse comes back every third step, with no further delay."""
    nodes = {
        "in": nir.Input(np.array([1])),
        "n": nir.IF(np.ones(1), np.full(1, 0.5), np.zeros(1)),
        "d": nir.Delay(np.full(1, 3.0)),
        "out": nir.Output(np.array([1])),
    }
    edges = [("in", "n"), ("n", "d"), ("d", "n"), ("n", "out")]
    graph = nir.NIRGraph(nodes, edges, metadata={}, type_check=False)
    x = np.zeros((8, 1, 1))
    x[0] = 1
    result = run_nir(graph, x, dt=1.0, reset="hard")
    assert result.output.ravel().tolist() == [1, 0, 0, 1, 0, 0, 1, 0]
    assert not any(node.delayed for node in result.graph.nodes)


def test_nested_graphs_are_the_flat_graph() -> None:
    inner = chain(nir.Linear(np.eye(2) * 0.75), lif(2), shape=(2,), out=(2,))
    nested = chain(nir.Linear(np.ones((2, 3))), inner, shape=(3,), out=(2,))
    flat = chain(
        nir.Linear(np.ones((2, 3))), nir.Linear(np.eye(2) * 0.75), lif(2), shape=(3,), out=(2,)
    )
    x = np.random.default_rng(0).uniform(0, 0.5, (12, 2, 3))
    a, b = (run_nir(g, x, dt=1.0, reset="soft") for g in (nested, flat))
    assert np.array_equal(a.output, b.output)
    assert a.output.any()
    assert a.graph["n1.n1"].type == "LIF"


def test_samples_do_not_see_each_other() -> None:
    graph = chain(nir.Linear(np.ones((4, 3))), lif(4), shape=(3,), out=(4,))
    x = np.random.default_rng(0).uniform(0, 0.5, (12, 5, 3))
    together = run_nir(graph, x, dt=1.0, reset="soft").output
    for i in range(5):
        assert np.array_equal(
            run_nir(graph, x[:, i : i + 1], dt=1.0, reset="soft").output[:, 0], together[:, i]
        )


def test_initial_potential_from_argument_and_metadata(tmp_path: Path) -> None:
    node = nir.IF(np.ones(2), np.ones(2), np.zeros(2))
    graph = chain(node, shape=(2,), out=(2,))
    x = np.full((4, 1, 2), 0.25)
    given = run_nir(graph, x, dt=1.0, reset="soft", initial={"n0": np.array([0.75, 0.0])})
    assert given.output[:, 0].T.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]
    ties = run_nir(
        graph, x, dt=1.0, reset="soft", initial={"n0": np.array([0.75, 0.0])}, tie_fires=True
    )
    assert ties.output[:, 0].T.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    node.metadata["tospike"] = {"v_initial": np.array([0.75, 0.0])}
    graph.metadata["tospike"] = {"dt": 1.0, "reset": "soft", "tie_fires": 1}
    nir.write(tmp_path / "m.nir", graph)
    kept = run_nir(tmp_path / "m.nir", x)
    assert np.array_equal(kept.output, ties.output)


def test_same_padding_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    weight = np.random.default_rng(0).normal(size=(3, 2, 4, 3))
    node = nir.Conv2d(None, weight, 1, "same", (2, 1), 1, np.zeros(3))
    graph = chain(node, shape=(2, 6, 7), out=(3, 6, 7))
    x = np.random.default_rng(1).normal(size=(2, 3, 2, 6, 7))
    mine = run_nir(graph, x, dt=1.0, reset="none").output
    theirs = torch.nn.functional.conv2d(
        torch.from_numpy(x[0]), torch.from_numpy(weight), padding="same", dilation=(2, 1)
    )
    assert np.allclose(mine[0], theirs.numpy())


# -- load and measure ------------------------------------------------------------------------------


def test_load_and_measure_equal_brute_force(tmp_path: Path) -> None:
    """Events times exact fan-out, counted by setting one input at a time (border-exact)."""
    rng = np.random.default_rng(0)
    weight = rng.normal(0.2, 0.5, (4, 2, 3, 3))
    graph = nir.NIRGraph(
        {
            "in": nir.Input(np.array([2, 6, 6])),
            "c": nir.Conv2d((6, 6), weight, (2, 2), (1, 1), (1, 1), 1, np.zeros(4)),
            "n": nir.IF(*(np.full((4, 3, 3), v) for v in (1.0, 0.75, 0.0))),
            "f": nir.Flatten(np.array([4, 3, 3]), 0, -1),
            "w": nir.Linear(rng.normal(size=(5, 36))),
            "m": lif(5),
            "out": nir.Output(np.array([5])),
        },
        [("in", "c"), ("c", "n"), ("n", "f"), ("f", "w"), ("w", "m"), ("m", "out")],
        metadata={},
    )
    path = tmp_path / "g.nir"
    nir.write(path, graph)
    network = ts.load(path)
    assert [layer.kind for layer in network] == ["conv", "if", "flatten", "linear", "lif"]
    assert network["c"].n_synapses == 4 * 9 * 2 * 9
    assert network["c"].n_synapses_exact == 4 * 2 * 8 * 8  # 3 + 3 + 2 taps per dimension
    assert network["w"].n_synapses == 180
    x = (rng.random((8, 3, 2, 6, 6)) < 0.3).astype(float)
    options = NirOptions(1.0, "soft")
    activity = measure_nir(path, [x[:, :2], x[:, 2:]], options, input_signal="spike")
    run = run_nir(path, x, dt=1.0, reset="soft", input_signal="spike")
    # outputs that see each of 6 rows: kernel 3, stride 2, padding 1
    taps = np.array([sum(0 <= i + 1 - 2 * o <= 2 for o in range(3)) for i in range(6)])
    fan_out = 4 * np.multiply.outer(taps, taps)
    expected = (x * fan_out).sum() / 3
    for found in (activity, run.activity):
        assert found["c"].synaptic_operations == pytest.approx(expected)
        assert found["c"].signal == "spike"
        assert found["c"].n_timesteps == 8
        assert found["w"].synaptic_operations == pytest.approx(run.spikes["n"].sum() * 5 / 3)
        assert found["w"].signal == "spike"
        assert found.neurons["n"].spikes == pytest.approx(run.spikes["n"].sum() / 3)
        assert found.neurons["n"].updates == 36 * 8
    assert run.spikes["n"].any()


def test_pools_and_sums_make_analog_values() -> None:
    graph = chain(
        nir.IF(*(np.full((2, 4, 4), v) for v in (1.0, 0.5, 0.0))),
        nir.SumPool2d(*(np.array(v) for v in ((2, 2), (2, 2), (0, 0)))),
        nir.Flatten(None, 0, -1),
        nir.Linear(np.ones((3, 8))),
        shape=(2, 4, 4),
        out=(3,),
    )
    x = np.full((3, 1, 2, 4, 4), 0.75)
    result = run_nir(graph, x, dt=1.0, reset="soft")
    assert result.output.max() == 4 * 8
    assert result.activity["n3"].signal == "analog"
    with pytest.raises(StatisticError, match="a value other than 0 and 1"):
        run_nir(
            chain(nir.Linear(np.ones((3, 8))), shape=(8,), out=(3,)),
            np.full((1, 1, 8), 0.5),
            dt=1.0,
            reset="soft",
            input_signal="spike",
        )


def test_measure_on_samples(tmp_path: Path) -> None:
    """Any batch size, and a static sample shown T times, give the same activity."""
    graph = chain(
        nir.Linear(np.full((4, 3), 0.5)), lif(4), nir.Linear(np.ones((2, 4))), shape=(3,), out=(2,)
    )
    nir.write(tmp_path / "g.nir", graph)
    x = np.random.default_rng(0).uniform(0, 1, (5, 3)).astype(np.float32)
    options = NirOptions(1.0, "soft")
    seen: list[tuple[int, int | None]] = []
    one = measure_nir_samples(
        tmp_path / "g.nir",
        read_source(x, n_inputs=1),
        options=options,
        timesteps=6,
        batch_size=2,
        progress=lambda *done: seen.append(done),
    )
    moving = np.repeat(x[:, None], 6, axis=1)
    two = measure_nir_samples(tmp_path / "g.nir", read_source(moving, n_inputs=1), options=options)
    assert seen == [(2, 5), (4, 5), (5, 5)]
    front = ts.measure(str(tmp_path / "g.nir"), x, timesteps=6, nir=options)
    assert front["n2"].synaptic_operations == one["n2"].synaptic_operations
    with pytest.raises(OptionError) as wrong:
        ts.measure(str(tmp_path / "g.nir"), moving, time_dim=1, thresholds=(0.1,), nir=options)
    assert len(wrong.value.reasons) == 2
    for name in ("n0", "n2"):
        assert one[name].synaptic_operations == two[name].synaptic_operations > 0
        assert one[name].n_timesteps == 6
    assert one.n_samples == two.n_samples == 5
    with pytest.raises(OptionError, match="no dt and no reset"):
        measure_nir_samples(tmp_path / "g.nir", read_source(x, n_inputs=1), timesteps=6)
    with pytest.raises(OptionError, match="give timesteps"):
        measure_nir_samples(tmp_path / "g.nir", read_source(x, n_inputs=1), options=options)


def test_samples_first_become_time_first() -> None:
    graph = chain(nir.Linear(np.ones((2, 3))), shape=(3,), out=(2,))
    from tospike.network.importers.nir_file import read_nir

    checked = read_nir(graph)
    static = np.arange(6.0).reshape(2, 3)
    (shown,) = time_first(checked, [static], timesteps=4)
    assert shown.shape == (4, 2, 3)
    assert np.array_equal(shown[3], static)
    moving = np.arange(24.0).reshape(2, 4, 3)
    (moved,) = time_first(checked, [moving])
    assert np.array_equal(moved[1], moving[:, 1])
