"""Laws of delta layers: drift, references, monotony, refusal of NaN, state, pickling, threads."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tospike.errors import DataError, OptionError
from tospike.kernels.delta import DeltaEngine, DeltaLayer
from tospike.kernels.delta.activations import sigmoid, tanh
from tospike.kernels.delta.packed import stored_weights

RNG = np.random.default_rng(0)


def gru(inputs: int = 6, hidden: int = 10, theta: float = 1 / 16, seed: int = 0) -> DeltaLayer:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / 3).astype(np.float32)

    rows = 3 * hidden
    return DeltaLayer(
        "gru", draw(rows, inputs), draw(rows, hidden), draw(rows), draw(rows), theta, theta
    )


def noise(steps: int, inputs: int = 6) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((steps, inputs)).astype(np.float32)


def memory_from_references(engine: DeltaEngine) -> np.ndarray:
    """What the memories would be if they were computed at once, in float64."""
    packed, (state,) = engine.layers[0], engine.state
    w_x, w_h = (matrix.astype(np.float64) for matrix in stored_weights(packed))
    layer, size = packed.layer, packed.layer.hidden
    from_x, from_h = state.ref_x[0] @ w_x.T + layer.b_x, state.ref_h[0] @ w_h.T + layer.b_h
    both = from_x[: 2 * size] + from_h[: 2 * size]
    return np.concatenate([both, from_x[2 * size :], from_h[2 * size :]])


def test_memories_are_those_of_the_references_after_100_000_steps() -> None:
    engine = DeltaEngine([gru()])
    engine.run(noise(100_000))
    drift = np.abs(engine.state[0].memory[0] - memory_from_references(engine)).max()
    # Rounding of 1e5 float32 sums of size 1 is a random walk of 1e5^0.5 x 6e-8 = 2e-5.
    assert 0 < drift < 2e-4
    engine.refresh()
    # what is left is the rounding of b_x + b_h in float32
    assert np.abs(engine.state[0].memory[0] - memory_from_references(engine)).max() < 1e-7


def test_integer_accumulation_never_drifts() -> None:
    engine = DeltaEngine([gru()], storage="int8", accumulation="integer", fraction_bits=8)
    engine.run(noise(100_000))
    packed, (state,) = engine.layers[0], engine.state
    assert packed.h is not None
    rows = 3 * packed.layer.hidden
    for matrix, references, memory in (
        (packed.x, state.ref_x[0], state.memory[0, 0]),
        (packed.h, state.ref_h[0], state.memory[0, 1]),
    ):
        wanted = references.astype(object) @ matrix.columns.astype(object)
        assert (memory.astype(object) == wanted[:rows]).all()


@pytest.mark.parametrize("theta", [0.0, 1 / 64, 1 / 4])
def test_references_lag_by_at_most_the_threshold(theta: float) -> None:
    engine = DeltaEngine([gru(theta=theta)])
    for x in noise(200):
        engine.step(x)
        assert np.abs(engine.state[0].ref_x[0] - x).max() <= theta


def test_the_last_sent_value_is_the_reference_and_not_the_last_value() -> None:
    # A ramp of steps below the threshold must be sent as soon as it has left the reference by more.
    layer = DeltaLayer(
        "linear", np.ones((1, 1), np.float32), None, np.zeros(1, np.float32),
        np.zeros(1, np.float32), theta_x=1.0,
    )  # fmt: skip
    engine = DeltaEngine([layer])
    ramp = np.arange(1, 11, dtype=np.float32)[:, None] * np.float32(0.4)
    # 0.4, 0.8, 1.2 > 1: sent; then 1.6, 2.0 (0.8 away), 2.4 > 1 away: sent; 3.6; so every third
    wanted = np.repeat([0, 1.2, 2.4, 3.6], [2, 3, 3, 2]).astype(np.float32)
    np.testing.assert_allclose(engine.run(ramp)[:, 0], wanted, rtol=1e-6)
    assert engine.statistics[0].sent_x == 3


def test_a_constant_input_is_sent_once() -> None:
    engine = DeltaEngine([gru(theta=1 / 16)])
    engine.run(np.ones((1000, 6), np.float32))
    assert engine.statistics[0].sent_x == 6
    assert engine.statistics[0].sparsity_x == pytest.approx(1 - 6 / 6000)


def test_bytes_are_active_columns_times_their_size() -> None:
    engine = DeltaEngine([gru(theta=1 / 8)])
    for x in noise(64):
        engine.step(x)
    found = engine.statistics[0]
    column = 4 * 32  # 30 rows padded to 32 float32
    assert found.weight_bytes == (found.sent_x + found.sent_h) * column
    assert found.sent_weight_bytes == found.weight_bytes
    assert found.dense_weight_bytes == 64 * (6 + 10) * column


def test_a_product_of_many_steps_reads_the_input_matrix_once() -> None:
    engine, twin = DeltaEngine([gru(theta=1 / 8)]), DeltaEngine([gru(theta=1 / 8)])
    engine.run(noise(64))  # products of 48 and of 16 steps
    for x in noise(64):
        twin.step(x)
    found, stepped = engine.statistics[0], twin.statistics[0]
    assert (found.sent_x, found.sent_h) == (stepped.sent_x, stepped.sent_h)
    assert found.sent_weight_bytes == stepped.sent_weight_bytes
    assert found.weight_bytes == (2 * 6 + found.sent_h) * 4 * 32


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_and_changes_nothing(bad: float) -> None:
    engine, twin = DeltaEngine([gru()]), DeltaEngine([gru()])
    xs = noise(20)
    engine.run(xs)
    twin.run(xs)
    wrong = noise(5)
    wrong[3, 2] = bad
    with pytest.raises(DataError, match="step 3, stream 0, element 2"):
        engine.run(wrong)
    np.testing.assert_array_equal(engine.run(xs), twin.run(xs))


def test_run_and_step_give_the_same_numbers_and_the_state_can_be_taken_back() -> None:
    engine = DeltaEngine([gru(), gru(inputs=10, seed=1)])
    xs = noise(30)
    engine.run(xs[:10])
    kept = engine.state
    whole = engine.run(xs[10:])
    engine.state = kept
    np.testing.assert_array_equal(np.stack([engine.step(x) for x in xs[10:]]), whole)
    engine.reset()
    fresh = DeltaEngine([gru(), gru(inputs=10, seed=1)])
    np.testing.assert_array_equal(engine.run(xs), fresh.run(xs))


def test_a_stream_does_not_see_the_others() -> None:
    xs = np.stack([noise(30), 2 * noise(30), -noise(30)], axis=1)
    together = DeltaEngine([gru()], streams=3).run(xs)
    for i in range(3):
        np.testing.assert_array_equal(together[:, i], DeltaEngine([gru()]).run(xs[:, i]))


def test_a_pickled_engine_goes_on_where_it_was() -> None:
    engine = DeltaEngine([gru()], storage="bfloat16")
    engine.run(noise(20))
    twin = pickle.loads(pickle.dumps(engine))
    np.testing.assert_array_equal(twin.run(noise(20)), engine.run(noise(20)))


def test_threads_do_not_mix_the_steps_of_one_engine() -> None:
    engine, alone = DeltaEngine([gru(theta=0.0)]), DeltaEngine([gru(theta=0.0)])
    # One constant input from all threads: every order of the steps gives the same states.
    x = np.ones(6, np.float32)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: engine.step(x), range(400)))
    wanted = [alone.step(x) for _ in range(400)][-1]
    np.testing.assert_array_equal(engine.state[0].h[0], wanted)
    assert engine.statistics[0].steps == 400


def test_a_saturated_integer_delta_is_caught_up_in_the_next_steps() -> None:
    layer = DeltaLayer(
        "linear", np.ones((1, 1), np.float32), None, np.zeros(1, np.float32),
        np.zeros(1, np.float32),
    )  # fmt: skip
    engine = DeltaEngine([layer], storage="int8", accumulation="integer", fraction_bits=8)
    out = engine.run(np.full((4, 1), 300, np.float32))[:, 0]
    # 32767 / 256 = 127.99609375 per step at most
    np.testing.assert_allclose(out, [127.99609375, 255.9921875, 300, 300])


def test_activations_stay_within_their_bounds_everywhere() -> None:
    x = np.arange(-12, 12, 1e-4).astype(np.float32)
    got = np.array([tanh(value) for value in x[::7]])
    assert np.abs(got - np.tanh(x[::7].astype(np.float64))).max() < 4e-7
    assert np.abs(got).max() <= 1
    got = np.array([sigmoid(value) for value in x[::7]])
    assert np.abs(got - 1 / (1 + np.exp(-x[::7].astype(np.float64)))).max() < 3e-7
    assert got.min() >= 0
    assert got.max() <= 1
    assert np.isnan(tanh(np.float32(np.nan)))


def test_faults_of_a_layer_are_told_all_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        DeltaLayer(
            "gru", np.full((7, 3), np.nan, np.float32), np.zeros((7, 7), np.float32),
            np.zeros(7, np.float32), np.zeros(6, np.float32), theta_x=-1.0,
        )  # fmt: skip
    text = str(caught.value)
    for part in ("theta_x is -1.0", "no multiple of the 3 gates", "b_h has shape (6,)", "NaN"):
        assert part in text


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"storage": "int4"}, "float32, float16, bfloat16, int8"),
        ({"accumulation": "integer"}, "needs int8"),
        ({"storage": "int8", "accumulation": "integer", "fraction_bits": 99}, "from 0 to 14"),
        ({"streams": 0}, "at least 1"),
    ],
)
def test_bad_options_are_refused(arguments: dict[str, object], part: str) -> None:
    with pytest.raises(OptionError, match=part):
        DeltaEngine([gru()], **arguments)  # type: ignore[arg-type]  # deliberately wrong


def test_wrong_shapes_say_which_are_allowed() -> None:
    engine = DeltaEngine([gru()])
    with pytest.raises(DataError, match=r"allowed: \(6,\) or \(1, 6\)"):
        engine.step(np.zeros(5))
    with pytest.raises(DataError, match=r"allowed: \(T, 6\) or \(T, 1, 6\)"):
        engine.run(np.zeros((3, 5)))
    with pytest.raises(DataError, match=r"allowed: \(2, 6\)"):
        DeltaEngine([gru()], streams=2).step(np.zeros(6))
