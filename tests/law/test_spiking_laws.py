"""Laws of the spiking engine, the choice of its paths, and what it refuses."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tospike.errors import DataError, ModelError, OptionError
from tospike.kernels.spiking import costs as costing
from tospike.kernels.spiking.calibrate import calibrate
from tospike.kernels.spiking.costs import Costs, EventCost, kind_of
from tospike.kernels.spiking.engine import SpikingEngine
from tospike.kernels.spiking.record import (
    INPUT,
    Pool,
    Population,
    Reshape,
    SpikingNetwork,
    Sum,
    Synapses,
)

ONE, ZERO = np.float32(1), np.float32(0)


def population(name: str, source: str, shape: tuple[int, ...], threshold: float = 1) -> Population:
    return Population(name, (source,), shape, np.float32(threshold), ONE, ONE, ZERO)


def network(seed: int = 0, *, constant: bool = False, bias: bool = False) -> SpikingNetwork:
    """Spikes or analog values -> convolution with stride -> pool -> linear."""
    rng = np.random.default_rng(seed)
    first = Synapses(
        "conv", ("relay",), "conv", (rng.integers(-8, 12, (20, 3, 3, 3)) / 16).astype(np.float32),
        (3, 12, 12), (20, 6, 6), bias=np.full(20, 0.125, np.float32) if bias else None,
        stride=(2, 2), padding=(1, 1),
    )  # fmt: skip
    nodes = (
        population("relay", INPUT, (3, 12, 12)),
        first,
        population("hidden", "conv", (20, 6, 6)),
        Pool("pool", ("hidden",), "max", (20, 6, 6), (20, 3, 3), (2, 2), (2, 2)),
        Reshape("flat", ("pool",), (180,)),
        Synapses(
            "linear",
            ("flat",),
            "linear",
            (rng.integers(-8, 12, (7, 180)) / 16).astype(np.float32),
            (180,),
            (7,),
        ),
        population("out", "linear", (7,)),
    )
    return SpikingNetwork((3, 12, 12), nodes, constant)


def spikes(seed: int, steps: int, samples: int, density: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((steps, samples, 3, 12, 12)) < density).astype(np.float32)


@pytest.mark.parametrize("policy", ["event", "dense", "calibrated"])
def test_no_input_no_events(policy: str) -> None:
    found = SpikingEngine(network(), policy=policy).run(np.zeros((5, 2, 3, 12, 12)), 5)  # type: ignore[arg-type]
    assert not found.outputs.any()
    for counts in (*found.spikes.values(), *found.operations.values()):
        assert not counts.any()


def test_fewer_steps_are_the_first_ones() -> None:
    """One run of 40 steps (several blocks of steps) holds every shorter run."""
    x = spikes(1, 40, 2)
    long = SpikingEngine(network(bias=True)).run(x, 40)
    for steps in (1, 3, 16, 17, 33, 40):
        short = SpikingEngine(network(bias=True)).run(x[:steps], steps)
        np.testing.assert_array_equal(short.accumulated, long.accumulated[:steps])
        np.testing.assert_array_equal(short.means, long.prefix(steps))
        for name, counts in short.spikes.items():
            np.testing.assert_array_equal(counts, long.spikes[name][:steps])


def test_a_sample_does_not_depend_on_its_batch() -> None:
    x = spikes(2, 6, 21)
    engine = SpikingEngine(network())
    together = engine.run(x, 6)
    for n in (0, 7, 20):
        alone = engine.run(x[:, n : n + 1], 6)
        np.testing.assert_array_equal(alone.accumulated[:, 0], together.accumulated[:, n])
        for name, counts in alone.operations.items():
            np.testing.assert_array_equal(counts[:, 0], together.operations[name][:, n])


def test_operations_are_those_of_a_walk_over_all_synapses() -> None:
    """Every spike, every output, every tap, one by one; strides and borders included."""
    x = spikes(3, 1, 1)
    found = SpikingEngine(network()).run(x, 1)
    count = 0
    for c, row, column in zip(*np.nonzero(x[0, 0]), strict=True):
        assert 0 <= c < 3
        for y in range(6):
            for x0 in range(6):
                for kh in range(3):
                    for kw in range(3):
                        if (2 * y + kh - 1, 2 * x0 + kw - 1) == (row, column):
                            count += 20
    assert found.operations["conv"].item() == count
    assert found.spikes["relay"].item() == x.sum()


def test_every_neuron_at_its_threshold_fires() -> None:
    node = population("n", INPUT, (3,), 0.75)
    x = np.array(
        [[0.75, np.nextafter(np.float32(0.75), ONE), np.nextafter(np.float32(0.75), ZERO)]]
    )
    found = SpikingEngine(SpikingNetwork((3,), (node,))).run(x, 1)
    assert found.outputs.tolist() == [[1, 1, 0]]


def test_an_empty_batch_is_an_empty_result() -> None:
    found = SpikingEngine(network()).run(np.zeros((4, 0, 3, 12, 12)), 4)
    assert found.accumulated.shape == (4, 0, 7)
    assert found.spikes["out"].shape == (4, 0)


# -- the choice of the path -----------------------------------------------------------------------

TABLE = Costs(
    {
        kind: EventCost(4.0, 6.0, 1.0, 2.0, ((1000.0, 0.5), (100000.0, 1.5)))
        for kind in ("spikes", "int16", "values", "grouped")
    },
    place=1.0,
    place_vector=0.5,
    block=20.0,
    product=3.0,
    stream=0.5,
    machine="a table made up",
)


def test_the_path_is_the_cheaper_one_of_the_table() -> None:
    """Of every layer, step and sample; both paths occur."""
    x = np.concatenate([spikes(s, 4, 3, density) for s, density in enumerate((0.01, 0.5, 1.0))])
    engine = SpikingEngine(network(), costs=TABLE)
    found = engine.run(x, 12)
    layers = {op.synapses.name: op.synapses for op in engine.plan.operations if op.synapses}
    taken = set()
    for name, packed in layers.items():
        outputs = packed.geometry.outputs
        for operations, event in zip(
            found.operations[name].flat, found.event_driven[name].flat, strict=True
        ):
            rows = operations / outputs
            event_ns = TABLE.event_ns(packed, kind_of(packed, True), rows, 12)
            # 12 steps of one sample are a call; 12 places of the linear layer are two blocks
            cheaper = event_ns <= TABLE.dense_ns(packed, 12)
            assert bool(event) == cheaper
            taken.add(cheaper)
    assert taken == {True, False}


def test_the_table_by_hand() -> None:
    """conv: 36 places, 24 lanes = 3 vectors, 27 x 24 x 4 = 2592 bytes; 2 panels of 27 inputs."""
    engine = SpikingEngine(network(), costs=TABLE)
    packed = next(op.synapses for op in engine.plan.operations if op.synapses)
    assert packed.rows.nbytes == 2592
    vector = 0.5 + math.log2(2.592) / math.log2(100)
    touched = 36 * (1 - math.exp(-100 / 36))
    assert TABLE.event_ns(packed, "spikes", 100) == pytest.approx(
        36 * 4 + touched * (6 + 3) + 100 * (2 + 3 * vector)
    )
    dense = 36 * (1 + 0.5 * 2.5) + 2 * 6 * (20 + 3 * 27)
    assert TABLE.dense_ns(packed) == pytest.approx(dense)
    linear = [op.synapses for op in engine.plan.operations if op.synapses][-1]
    assert TABLE.dense_ns(linear, 1) == pytest.approx(1 + 0.5 * 7 / 8 + 20 + 3 * 180)
    assert TABLE.dense_ns(linear, 9) == pytest.approx(1 + 3.5 / 8 + 2 / 9 * (20 + 3 * 180))
    # n events cost no more than the dense path; n + 1 do
    n = TABLE.limit(packed, "spikes") // 20
    reached = [36 * 4 + 36 * 9 * (1 - math.exp(-k / 36)) + k * (2 + 3 * vector) for k in (n, n + 1)]
    assert reached[0] <= dense < reached[1]


def test_weights_beyond_the_cache_by_hand() -> None:
    """1000 inputs and 200 outputs: 800 000 bytes in blocks of 64 channels, 256 000 bytes; dense 13
    panels of 64 000 bytes, of which 327 680 lie in the second cache.
    """
    weight = np.zeros((200, 1000), np.float32)
    nodes = (
        population("relay", INPUT, (1000,)),
        Synapses("linear", ("relay",), "linear", weight, (1000,), (200,)),
    )
    engine = SpikingEngine(SpikingNetwork((1000,), nodes, False), costs=TABLE)
    packed = next(op.synapses for op in engine.plan.operations if op.synapses)
    assert (packed.rows.nbytes, packed.block, packed.blocks) == (800000, 64, 4)
    # 25 vectors; beyond 100 000 bytes the table says 1.5 ns
    alone = 4 + (6 + 25) * (1 - math.exp(-100)) + 100 * (2 + 25 * 1.5)
    assert TABLE.event_ns(packed, "spikes", 100, 1) == pytest.approx(alone)
    table = replace(
        TABLE, events={"spikes": EventCost(4.0, 6.0, 1.0, 2.0, ((256000.0, 0.5), (800000.0, 1.5)))}
    )
    # with 40 slots each of the 1000 rows comes from afar once, 25 in every slot
    shared = 4 + (6 + 25) * (1 - math.exp(-100)) + 100 * (2 + 25 * 0.5) + 25 * 25 * 1.0
    assert table.event_ns(packed, "spikes", 100, 40) == pytest.approx(shared)
    fetched = 0.5 * (13 * 64000 - 327680)
    assert TABLE.dense_ns(packed, 6) == pytest.approx(13.5 + (13 * 3020 + fetched) / 6)
    assert TABLE.dense_ns(packed, 60) == pytest.approx(13.5 + (130 * 3020 + 2 * fetched) / 60)


def test_calibration_measures_this_machine(tmp_path: Path) -> None:
    """Costs are above 0, grow with the weights' distance, and come back from their file."""
    measured = calibrate(keep=False)
    assert measured.machine == costing.fingerprint()
    assert measured.product > 0
    for cost in measured.events.values():
        assert cost.idle > 0
        assert cost.place > 0
        assert all(ns >= 0 for _, ns in cost.row_vector)
        assert cost.touched(1, 8) > 0
        assert cost.row + cost.vector(1e6) > 0
    path = costing.save(measured, tmp_path / "sub" / "costs.json")
    assert costing.load(path) == measured
    assert [one.name for one in path.parent.iterdir()] == ["costs.json"]


def test_costs_of_another_machine_are_not_used(tmp_path: Path) -> None:
    assert costing.load(tmp_path / "none.json") is costing.DEFAULT
    path = costing.save(replace(costing.DEFAULT, machine="another"), tmp_path / "costs.json")
    assert costing.load(path) is costing.DEFAULT


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"events": {}}', "truncated {"])
def test_a_file_that_holds_no_costs_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"costs\.json[\s\S]*delete the file"):
        costing.load(path)
    good = json.loads(costing.save(costing.DEFAULT, path).read_text())
    good["block"] = "fast"
    path.write_text(json.dumps(good))
    with pytest.raises(DataError, match="'fast' is no cost"):
        costing.load(path)


# -- what is refused ------------------------------------------------------------------------------


def test_all_faults_of_a_network_are_named_at_once() -> None:
    weight = np.ones((4, 3, 3, 3), np.float32)
    weight[0, 0, 0, 0] = np.nan
    nodes = (
        Synapses("conv", (INPUT,), "conv", weight, (3, 8, 8), (4, 8, 8), stride=(1, 1)),
        Population("n", ("later",), (4, 8, 8), np.zeros(5, np.float32), ONE, ONE, ZERO),
        Population("n", ("conv",), (4, 6, 6), ZERO, ONE, ONE, ZERO, reset_delay=2),
        Pool("later", ("nobody",), "avg", (4, 8, 8), (4, 4, 4), (2, 2), (2, 2), (2, 2)),
        Reshape("flat", ("conv",), (17,)),
        Sum("sum", ("conv", "flat"), (4, 8, 8)),
        Synapses("int", ("flat",), "linear", np.ones((2, 17), np.int8), (17,), (2,)),
    )
    with pytest.raises(ModelError) as caught:
        SpikingEngine(SpikingNetwork((3, 8, 8), nodes))
    assert str(caught.value) == (
        "cannot run the spiking network\n"
        "  reasons:\n"
        "    - conv: weights are not finite\n"
        "    - conv: out_shape is (4, 8, 8), the convolution gives (4, 6, 6)\n"
        "    - n: its input 'later' stands later in the order\n"
        "    - n: threshold has shape (5,); () or (4,) or (4, 8, 8) fit\n"
        "    - n: the name occurs twice\n"
        "    - n: its input has shape (4, 8, 8), shape is (4, 6, 6)\n"
        "    - n: a threshold is not above 0\n"
        "    - n: reset_delay is 2; it must be 0 or 1\n"
        "    - later: its input 'nobody' is no node\n"
        "    - later: padding is at most half the kernel\n"
        "    - later: out_shape is (4, 4, 4), the pool gives (4, 6, 6)\n"
        "    - flat: (4, 8, 8) has 256 values, out_shape (17,) has 17\n"
        "    - sum: an input has shape (17,), out_shape is (4, 8, 8)\n"
        "    - int: int8 weights need a scale"
    )


def test_inputs_that_do_not_fit_are_refused() -> None:
    engine = SpikingEngine(network())
    with pytest.raises(DataError) as caught:
        engine.run(np.zeros((5, 2, 3, 12, 11)), 5)
    assert str(caught.value) == (
        "cannot run the spiking network\n"
        "  received: an input of shape (5, 2, 3, 12, 11)\n"
        "  allowed: (5, N, 3, 12, 12)"
    )
    with pytest.raises(OptionError, match="timesteps = 0"):
        engine.run(np.zeros((0, 2, 3, 12, 12)), 0)
    with pytest.raises(DataError, match="no input"):
        engine.step()
    engine.step(np.zeros((2, 3, 12, 12)))
    with pytest.raises(DataError, match=r"3 samples[\s\S]*reset\(\)"):
        engine.step(np.zeros((3, 3, 12, 12)))
    with pytest.raises(OptionError, match="1 to 2"):
        engine.run(np.zeros((2, 1, 3, 12, 12)), 2).prefix(3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_inputs_that_are_not_finite_are_refused(bad: float) -> None:
    x = spikes(0, 20, 2)
    x[18, 1, 2, 3, 4] = bad
    engine = SpikingEngine(network())
    with pytest.raises(DataError) as caught:
        engine.run(x, 20)
    assert f"received: {bad} in the input" in str(caught.value)
    assert "where: step 18, sample 1, element (2, 3, 4)" in str(caught.value)
    # the engine goes on as if nothing had happened
    x[18, 1, 2, 3, 4] = 0
    np.testing.assert_array_equal(
        engine.run(x, 20).accumulated, SpikingEngine(network()).run(x, 20).accumulated
    )


def test_a_refused_step_changes_no_potential() -> None:
    engine = SpikingEngine(network())
    engine.step(spikes(0, 1, 1)[0])
    before = engine.state
    with pytest.raises(DataError, match="sample 0, element"):
        engine.step(np.full((1, 3, 12, 12), np.nan))
    for name, values in engine.state.items():
        np.testing.assert_array_equal(values, before[name])


def test_options_that_do_not_exist_are_refused() -> None:
    with pytest.raises(OptionError) as caught:
        SpikingEngine(network(), threads=0, policy="fast")  # type: ignore[arg-type]
    assert len(caught.value.reasons) == 2
    engine = SpikingEngine(network())
    with pytest.raises(DataError) as fault:
        engine.state = {"hidden": np.zeros((1, 2), np.float32), "other": np.zeros(3, np.float32)}
    assert fault.value.reasons == (
        "relay: shape missing, not (1, 3, 12, 12)",
        "hidden: shape (1, 2), not (1, 20, 6, 6)",
        "out: shape missing, not (1, 7)",
        "other is no population",
    )
