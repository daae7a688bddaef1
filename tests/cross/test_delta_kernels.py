"""Delta kernels against the slow reference, against torch, and integer sums against exact ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tospike.kernels.delta import STORAGES, DeltaEngine, DeltaLayer, reference
from tospike.kernels.delta.columns import active, add_columns, add_columns_exact
from tospike.kernels.delta.intrinsics import INT8_UNIT
from tospike.kernels.delta.packed import (
    from_pairs,
    from_words,
    stored_weights,
    to_bfloat16,
    to_pairs,
    to_words,
)
from tospike.kernels.delta.record import GATES

KINDS = tuple(GATES)
RECURRENT = tuple(kind for kind in KINDS if kind != "linear")


def random_layer(kind: str, inputs: int, hidden: int, seed: int, theta: float = 0.0) -> DeltaLayer:
    rng = np.random.default_rng(seed)
    rows = GATES[kind] * hidden

    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(hidden)).astype(np.float32)

    w_h = None if kind == "linear" else draw(rows, hidden)
    return DeltaLayer(kind, draw(rows, inputs), w_h, draw(rows), draw(rows), theta, theta)  # type: ignore[arg-type]  # kinds are drawn


def slowly(layer: DeltaLayer, xs: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Outputs and elements sent by the reference in float64."""
    state, outputs, sent = reference.initial(layer), [], [0, 0]
    for x in xs:
        state = reference.step(layer, state, x)
        outputs.append(state.h)
        sent[0] += state.sent_x
        sent[1] += state.sent_h
    return np.array(outputs), sent[0], sent[1]


def walk(steps: int, inputs: int, seed: int) -> np.ndarray:
    """A slowly changing input, as sensors give."""
    rng = np.random.default_rng(seed)
    return np.cumsum(0.2 * rng.standard_normal((steps, inputs)), axis=0).astype(np.float32)


@given(
    kind=st.sampled_from(KINDS),
    inputs=st.integers(1, 40),
    hidden=st.integers(1, 40),
    theta=st.sampled_from([0.0, 1 / 256, 1 / 16, 1 / 4]),
    seed=st.integers(0, 2**16),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_every_kind_agrees_with_the_reference(
    kind: str, inputs: int, hidden: int, theta: float, seed: int
) -> None:
    layer = random_layer(kind, inputs, hidden, seed, theta)
    xs = walk(12, inputs, seed)
    engine = DeltaEngine([layer])
    got = engine.run(xs)
    wanted, sent_x, sent_h = slowly(layer, xs)
    found = engine.statistics[0]
    # The inputs' deltas are the same in float32 and float64 unless one lies at the threshold.
    assert abs(found.sent_x - sent_x) <= 1
    if (found.sent_x, found.sent_h) == (sent_x, sent_h):
        np.testing.assert_allclose(got, wanted, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("kind", RECURRENT)
def test_every_storage_computes_with_the_weights_it_stores(kind: str, storage: str) -> None:
    layer = random_layer(kind, 21, 33, seed=3, theta=1 / 16)
    xs = walk(50, 21, seed=4)
    engine = DeltaEngine([layer], storage=storage)  # type: ignore[arg-type]  # from STORAGES
    w_x, w_h = stored_weights(engine.layers[0])
    same = DeltaLayer(layer.kind, w_x, w_h, layer.b_x, layer.b_h, 1 / 16, 1 / 16)
    np.testing.assert_allclose(engine.run(xs), slowly(same, xs)[0], atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "module"), [("gru", torch.nn.GRU), ("lstm", torch.nn.LSTM), ("rnn_tanh", torch.nn.RNN)]
)
@pytest.mark.parametrize(("inputs", "hidden", "layers"), [(5, 7, 1), (64, 48, 3), (3, 130, 2)])
def test_threshold_zero_is_the_dense_layer_of_torch(
    kind: str, module: type[torch.nn.RNNBase], inputs: int, hidden: int, layers: int
) -> None:
    torch.manual_seed(inputs)
    dense = module(inputs, hidden, num_layers=layers)

    def of(name: str, level: int) -> np.ndarray:
        return getattr(dense, f"{name}_l{level}").detach().numpy()

    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    engine = DeltaEngine(
        [DeltaLayer(kind, *(of(name, level) for name in names)) for level in range(layers)],  # type: ignore[arg-type]  # kinds are drawn
        streams=2,
    )
    xs = torch.randn(30, 2, inputs)
    with torch.inference_mode():
        wanted = dense(xs)[0].numpy()
    np.testing.assert_allclose(engine.run(xs.numpy()), wanted, atol=5e-6)


@given(
    n=st.integers(0, 37),
    rows=st.integers(1, 5),
    seed=st.integers(0, 2**16),
    extreme=st.booleans(),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_integer_sums_are_exact(n: int, rows: int, seed: int, extreme: bool) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (50, 32 * rows)).astype(np.int8)
    limit = 32767
    delta = np.zeros(n + 1, np.int16)
    delta[:n] = rng.choice([-limit, limit], n) if extreme else rng.integers(-limit, limit + 1, n)
    index = np.zeros(n + 1, np.int64)
    index[:n] = rng.choice(50, n, replace=False)
    sums = np.full(32 * rows, 7, np.int32)
    wanted = weights[index[:n]].astype(object).T @ delta[:n].astype(object) if n else 0
    add_columns_exact(weights, index, delta, n, sums)
    assert (sums.astype(object) == wanted).all()


@given(n=st.integers(0, 37), rows=st.integers(1, 5), seed=st.integers(0, 2**16))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_float_sums_agree_with_a_matrix_product(n: int, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((40, 16 * rows)).astype(np.float32)
    index, delta = rng.permutation(40)[:n], rng.standard_normal(n).astype(np.float32)
    sums = np.full(16 * rows, 7, np.float32)
    add_columns(weights, index, delta, n, sums)
    wanted = weights[index].astype(np.float64).T @ delta
    np.testing.assert_allclose(sums, wanted, atol=1e-5)


@given(n=st.integers(0, 37), rows=st.integers(1, 5), seed=st.integers(0, 2**16))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_float_sums_of_int8_weights_agree_with_a_matrix_product(
    n: int, rows: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (40, 32 * rows)).astype(np.int8)
    index, delta = rng.permutation(40)[:n], rng.standard_normal(n).astype(np.float32)
    sums = np.full(32 * rows, 7, np.float32)
    add_columns(to_words(weights), index, delta / np.float32(INT8_UNIT), n, sums)
    wanted = weights[index].astype(np.float64).T @ delta
    np.testing.assert_allclose(sums, wanted, atol=127e-5)


@given(
    size=st.integers(0, 100),
    seed=st.integers(0, 2**16),
    whole=st.booleans(),
    theta=st.sampled_from([0, 1, 2, 5]),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_the_places_of_changes_are_those_of_numpy(
    size: int, seed: int, whole: bool, theta: int
) -> None:
    rng = np.random.default_rng(seed)
    kind = np.int32 if whole else np.float32
    changes = rng.integers(-3, 4, size).astype(kind)
    index = np.full(size + 8, -1, np.int64)
    n = active(changes, kind(theta), index)
    np.testing.assert_array_equal(index[:n], np.flatnonzero(np.abs(changes) > theta))


@pytest.mark.parametrize(("there", "back"), [(to_words, from_words), (to_pairs, from_pairs)])
def test_orders_of_rows_can_be_taken_back(there: object, back: object) -> None:
    rows = np.arange(3 * 96, dtype=np.uint16).reshape(3, 96)
    assert callable(there)
    assert callable(back)
    assert (back(there(rows)) == rows).all()
    assert (there(rows) != rows).any()


def test_bfloat16_rounds_as_torch_does() -> None:
    values = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    wanted = torch.from_numpy(values).bfloat16().view(torch.int16).numpy().view(np.uint16)
    assert (to_bfloat16(values) == wanted).all()
