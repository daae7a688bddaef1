"""The delta engine: two threads against one, results into a given array, thresholds on the way."""

from __future__ import annotations

import copy
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tospike.errors import DataError, OptionError
from tospike.kernels.delta import STORAGES, DeltaEngine, DeltaLayer, sharing
from tospike.kernels.delta import engine as engine_module
from tospike.kernels.delta.packed import stored_weights
from tospike.kernels.delta.record import GATES


def layer(kind: str, inputs: int, hidden: int, seed: int = 0, theta: float = 0.05) -> DeltaLayer:
    rng = np.random.default_rng(seed)
    rows = GATES[kind] * hidden

    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(hidden)).astype(np.float32)

    w_h = None if kind == "linear" else draw(rows, hidden)
    return DeltaLayer(kind, draw(rows, inputs), w_h, draw(rows), draw(rows), theta, theta)  # type: ignore[arg-type]  # kinds are drawn


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


def settle(engine: DeltaEngine) -> None:
    """Wait until the helper has left; it may still be compiling."""
    deadline = time.monotonic() + 60
    while engine._control[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine._control[0] == 0


@pytest.mark.parametrize(
    ("storage", "accumulation"), [*((one, "float") for one in STORAGES), ("int8", "integer")]
)
def test_two_threads_give_the_bits_of_one(
    storage: str, accumulation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "HELPER_PAYS_BYTES", 0)
    # rows that are no multiple of 32, and a layer without states
    stack = [layer("gru", 9, 37), layer("lstm", 37, 21), layer("linear", 21, 5)]
    options = {"storage": storage, "accumulation": accumulation, "streams": 2}
    one, two = (DeltaEngine(stack, threads=n, **options) for n in (1, 2))  # type: ignore[arg-type]  # from the parameters
    xs = noise(300, 2, 9)
    np.testing.assert_array_equal(two.run(xs), one.run(xs))
    for x in xs[:40]:
        np.testing.assert_array_equal(two.step(x), one.step(x))
    # as text: the layer without states has a sparsity of nan
    assert str(two.statistics) == str(one.statistics)


def test_a_helper_stays_from_step_to_step_and_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "HELPER_PAYS_BYTES", 0)
    calls = []
    call = engine_module.call_helper
    monkeypatch.setattr(
        engine_module, "call_helper", lambda *arguments: calls.append(1) or call(*arguments)
    )
    stack, xs = [layer("gru", 8, 64)], noise(2000, 8)
    one, two = (DeltaEngine(stack, threads=n) for n in (1, 2))
    for x in xs:
        np.testing.assert_array_equal(two.step(x), one.step(x))
    assert 1 <= len(calls) < len(xs)
    settle(two)
    np.testing.assert_array_equal(two.step(xs[0]), one.step(xs[0]))


@pytest.mark.parametrize("part", range(sharing.PARTS))
def test_a_step_waits_for_the_part_that_a_helper_took(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "HELPER_PAYS_BYTES", 0)
    one, two = (DeltaEngine([layer("gru", 8, 64)], threads=n) for n in (1, 2))
    x = noise(8)
    for engine in (one, two):
        engine.step(-x)  # compiles
    wanted = one.step(x)
    settle(two)
    taken, limit, done = (word // 8 for word in (sharing.NEXT, sharing.LIMIT, sharing.DONE))
    control = two._control
    # A helper that is there and took the first parts of the next job before it began.
    control[taken : done + 1] = 0
    control[taken], control[0], two._forks = part + 1, 2, engine_module._forks
    control[sharing.ALONE // 8] = 0
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(two.step, x)
        deadline = time.monotonic() + 60
        while control[limit] != sharing.PARTS and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        assert control[limit] == sharing.PARTS
        assert control[done] == sharing.PARTS - part - 1
        assert not step.done()
        for late in range(part + 1):
            sharing._numbered(two._table[0], late)
            assert not step.done()
            control[done] += 1
        np.testing.assert_array_equal(step.result(60), wanted)


def test_single_steps_far_apart_wake_no_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "HELPER_PAYS_BYTES", 1e5)
    monkeypatch.setattr(engine_module, "PAUSE", 0.0)
    calls: list[int] = []
    monkeypatch.setattr(engine_module, "call_helper", lambda *_: calls.append(1))
    engine = DeltaEngine([layer("gru", 8, 64)], threads=2)  # 54 kB of weights
    for x in noise(50, 8):
        engine.step(x)
    assert calls == []


def test_many_engines_share_the_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "HELPER_PAYS_BYTES", 0)
    stack, xs = [layer("gru", 8, 24)], noise(60, 8)
    wanted = DeltaEngine(stack).run(xs)
    engines = [DeltaEngine(stack, threads=2) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda one: np.stack([one.step(x) for x in xs]), engines))
    for got in found:
        np.testing.assert_array_equal(got, wanted)


def test_a_copy_has_buffers_of_its_own() -> None:
    engine = DeltaEngine([layer("gru", 8, 24)], threads=2)
    xs = noise(20, 8)
    engine.run(xs)
    twins = copy.deepcopy(engine), pickle.loads(pickle.dumps(engine))
    wanted = engine.run(xs)
    for twin in twins:
        np.testing.assert_array_equal(twin.run(xs), wanted)


def test_the_result_can_go_into_an_array() -> None:
    engine, twin = DeltaEngine([layer("gru", 8, 24)]), DeltaEngine([layer("gru", 8, 24)])
    xs, out = noise(20, 8), np.empty((20, 24), np.float32)
    assert engine.run(xs, out) is out
    np.testing.assert_array_equal(out, twin.run(xs))
    one = np.empty(24, np.float32)
    assert engine.step(xs[0], one) is one
    np.testing.assert_array_equal(one, twin.step(xs[0]))


@pytest.mark.parametrize(
    "out",
    [
        np.empty(23, np.float32),
        np.empty(24, np.float64),
        np.empty(48, np.float32)[::2],
    ],
)
def test_an_array_that_does_not_fit_is_refused_and_changes_nothing(out: np.ndarray) -> None:
    engine, twin = DeltaEngine([layer("gru", 8, 24)]), DeltaEngine([layer("gru", 8, 24)])
    x = noise(8)
    with pytest.raises(DataError, match="C-contiguous float32 array of shape"):
        engine.step(x, out)
    np.testing.assert_array_equal(engine.step(x), twin.step(x))


def test_inputs_of_any_layout_and_type() -> None:
    engine, twin = DeltaEngine([layer("gru", 8, 24)]), DeltaEngine([layer("gru", 8, 24)])
    xs = noise(20, 8)
    frozen = xs.copy()
    frozen.flags.writeable = False
    wanted = twin.run(xs)
    for form in (frozen, np.asfortranarray(xs), xs.astype(np.float64), xs.tolist()):
        engine.reset()
        np.testing.assert_array_equal(engine.run(form), wanted)
    assert engine.run(np.empty((0, 8), np.float32)).shape == (0, 24)


@pytest.mark.parametrize("storage", ["float32", "int8"])
def test_new_thresholds_act_from_then_on(storage: str) -> None:
    accumulation = "integer" if storage == "int8" else "float"
    options = {"storage": storage, "accumulation": accumulation}
    engine = DeltaEngine([layer("gru", 8, 24, theta=0.0)], **options)  # type: ignore[arg-type]  # from the parameters
    twin = DeltaEngine([layer("gru", 8, 24, theta=0.25)], **options)  # type: ignore[arg-type]  # from the parameters
    engine.set_thresholds([(0.25, 0.25)])
    xs = noise(50, 8)
    np.testing.assert_array_equal(engine.run(xs), twin.run(xs))
    assert engine.layers[0].layer.theta_h == 0.25


def test_bad_thresholds_and_threads_are_refused() -> None:
    engine = DeltaEngine([layer("gru", 8, 24)])
    with pytest.raises(OptionError) as caught:
        engine.set_thresholds([(-1.0, 0.0), (0.0, float("nan"))])
    for part in ("layer 0: -1.0", "layer 1: nan", "2 pairs for 1 layers"):
        assert part in str(caught.value)
    with pytest.raises(OptionError, match="threads is 3"):
        DeltaEngine([layer("gru", 8, 24)], threads=3)


@pytest.mark.parametrize("theta", [0.0, 1 / 16])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("kind", list(GATES))
def test_products_of_many_steps_give_the_bits_of_single_steps(
    kind: str, storage: str, theta: float
) -> None:
    # more columns than a panel has, rows that are no multiple of 16, steps no multiple of 6
    stack = [layer(kind, 300, 37, theta=theta), layer(kind, 37, 21, theta=theta)]
    whole, single, two = (
        DeltaEngine(stack, storage=storage, streams=2, threads=n)  # type: ignore[arg-type]  # from STORAGES
        for n in (1, 1, 2)
    )
    xs = noise(103, 2, 300)
    xs[50:] = xs[50] + 0.01 * xs[50:]  # many inputs change at first, few later
    wanted = np.stack([single.step(x) for x in xs])
    np.testing.assert_array_equal(whole.run(xs), wanted)
    np.testing.assert_array_equal(two.run(xs), wanted)
    for left, right in zip(whole.state, single.state, strict=True):
        np.testing.assert_array_equal(left.memory, right.memory)
        np.testing.assert_array_equal(left.ref_x, right.ref_x)
    for one, other in zip(whole.statistics, single.statistics, strict=True):
        assert (one.sent_x, one.sent_h) == (other.sent_x, other.sent_h)
    assert whole.statistics[0].weight_bytes < single.statistics[0].weight_bytes


def test_int8_weights_have_one_scale_per_row() -> None:
    # rows of very different size: 8 bits of each keep 1 part in 254 of its greatest weight
    made = layer("gru", 40, 30)
    wide = np.geomspace(1e-4, 10, 90).astype(np.float32)[:, None]
    scaled = DeltaLayer("gru", made.w_x * wide, made.w_h * wide, made.b_x, made.b_h)  # type: ignore[operator]  # a GRU has w_h
    stored = stored_weights(DeltaEngine([scaled], storage="int8").layers[0])
    for found, weights in zip(stored, (scaled.w_x, scaled.w_h), strict=True):
        error = np.abs(found - weights).max(axis=1)
        assert (error <= np.abs(weights).max(axis=1) / 253).all()
