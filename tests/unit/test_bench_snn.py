"""``tospike bench snn``: cases, peers with the same spikes, ratios, page. Nothing is timed here."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from tospike.bench.snn import Options, bench_snn, compare, identical
from tospike.bench.snn_cases import (
    FRACTION,
    Case,
    Neurons,
    as_int8,
    chain,
    draw,
    force,
    off_grid,
    on_grid,
)
from tospike.bench.snn_networks import bernoulli, events
from tospike.bench.snn_ours import VARIANTS, our_run
from tospike.bench.snn_peers import Setting, peers
from tospike.bench.snn_report import as_markdown, bench_figure, bench_table, crossing, crossings
from tospike.bench.snn_simulate import simulate
from tospike.bench.snn_trained import exact
from tospike.cli import app
from tospike.errors import ModelError, OptionError
from tospike.kernels.spiking import reference
from tospike.kernels.spiking.record import Population, Sum, Synapses

CONV = [("conv", 5, 1), "P", ("conv", 6, 2), "F", 9, 4]
LINEAR = [12, 11, 4]
PEERS = ["torch", "torch channels_last", "SpikingJelly", "SpikingJelly channels_last", "snnTorch",
         "sinabs", "ONNX Runtime", "OpenVINO"]  # fmt: skip


def tiny(kind: str, wanted: float = 0.1) -> Case:
    """Three small networks: analog images, spikes into leaky neurons, spikes into linear layers."""
    if kind == "analog":
        net = chain((2, 8, 8), CONV, draw(CONV, (2, 8, 8), 0), Neurons(half_start=True),
                    constant_input=True)  # fmt: skip
        inputs = np.random.default_rng(0).integers(0, 256, (4, 2, 8, 8)) / 256
        return force(net, inputs.astype(np.float32), 4, [wanted] * 3)
    if kind == "leaky":
        net = chain((2, 8, 8), CONV, draw(CONV, (2, 8, 8), 1), Neurons(decay=0.5, hard=True),
                    constant_input=False)  # fmt: skip
        return force(net, bernoulli((4, 4, 2, 8, 8), 0.3), 4, [wanted] * 3)
    net = chain((20,), LINEAR, draw(LINEAR, (20,), 2), Neurons(), constant_input=False)
    return force(net, bernoulli((4, 4, 20), 0.3), 4, [wanted] * 2)


KINDS = ("analog", "leaky", "linear")


@pytest.mark.parametrize("kind", KINDS)
def test_the_simulation_equals_the_slow_reference_of_the_kernels(kind: str) -> None:
    case = tiny(kind)
    trace = simulate(case.network, case.inputs, 4)
    values = reference.run(case.network, case.inputs, 4).values
    for name, spikes in trace.spikes.items():
        assert np.array_equal(values[name], spikes)
    assert np.array_equal(values[case.network.nodes[-1].name].sum(axis=0), trace.outputs)


@pytest.mark.parametrize("kind", KINDS)
def test_densities_are_what_was_asked_for_and_what_is_counted(kind: str) -> None:
    case = tiny(kind, 0.1)
    trace = simulate(case.network, case.inputs, 4)
    for name, spikes in trace.spikes.items():
        assert case.densities[name] == spikes.mean()
        assert abs(spikes.mean() - 0.1) < 0.02
    count = sum(int(spikes.sum()) for spikes in trace.spikes.values())
    size = sum(spikes.size for spikes in trace.spikes.values())
    assert case.density == pytest.approx(count / size)


def test_weights_lie_on_a_grid_and_thresholds_never_on_that_of_potentials() -> None:
    weight, unit = on_grid(np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32))
    whole = weight / unit
    assert np.array_equal(whole, np.round(whole))
    assert 64 <= np.abs(whole).max() <= 127
    assert float(np.log2(unit)).is_integer()
    for wanted in (0.3, 1.0, 17.25):
        odd = off_grid(wanted, 0.5) / (0.5 * FRACTION)
        assert odd % 2 == 1
        assert abs(odd * 0.5 * FRACTION - wanted) <= 0.5 * FRACTION
    # no potential equals a threshold: currents on the grid, less 0 to 3 thresholds, decay 1/2
    theta = off_grid(17.25, 1.0)
    for k, sent in itertools.product(range(-99, 100), itertools.product((0, 1), repeat=3)):
        v = k / 8 - theta * sum(s * 0.5**i for i, s in enumerate(sent))
        assert v != theta


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("batch", [1, 2])
def test_peers_send_the_same_spikes(kind: str, name: str, batch: int) -> None:
    found = {peer.implementation: peer for peer in peers()[0]}
    if name not in found:
        pytest.skip(f"{name} is not installed")
    case = tiny(kind)
    trace = simulate(case.network, case.inputs, 4)
    run = found[name].make(Setting(case.network, 4, batch, 1))
    assert identical(run, case, trace, batch)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda one: one.name)
def test_ours_sends_the_same_spikes(kind: str, variant) -> None:  # type: ignore[no-untyped-def]
    case = tiny(kind)
    trace = simulate(case.network, case.inputs, 4)
    assert identical(our_run(Setting(case.network, 4, 2, 1), variant), case, trace, 2)


def test_one_wrong_spike_or_layer_is_seen() -> None:
    case = tiny("linear")
    trace = simulate(case.network, case.inputs, 4)
    run = our_run(Setting(case.network, 4, 2, 1), VARIANTS[0])
    assert identical(run, case, trace, 2)
    for name in trace.spikes:
        wrong = {key: spikes.copy() for key, spikes in trace.spikes.items()}
        wrong[name].flat[-1] ^= 1
        assert not identical(run, case, replace(trace, spikes=wrong), 2)
    assert not identical(run, case, replace(trace, spikes={}), 2)
    assert not identical(run, case, replace(trace, outputs=trace.outputs + 1), 2)


def test_int8_weights_are_the_same_weights() -> None:
    case = tiny("analog")
    for a, b in zip(case.network.nodes, as_int8(case.network).nodes, strict=True):
        if isinstance(a, Synapses):
            assert isinstance(b, Synapses)
            assert b.scale is not None
            scale = b.scale.reshape(-1, *(1,) * (a.weight.ndim - 1))
            assert np.array_equal(b.weight.astype(np.float32) * scale, a.weight)


def test_a_trained_network_is_put_on_the_grid_with_its_gains_in_the_weights() -> None:
    case = tiny("analog")
    nodes = [
        replace(node, gain=np.float32(0.37), decay=np.float32(0.8))
        if isinstance(node, Population)
        else node
        for node in case.network.nodes
    ]
    network, units = exact(replace(case.network, nodes=tuple(nodes)))
    for before, after in zip(nodes, network.nodes, strict=True):
        if isinstance(after, Population):
            assert (float(after.gain), float(after.decay)) == (1.0, 0.75)
        elif isinstance(after, Synapses) and after is not network.nodes[-1]:
            assert isinstance(before, Synapses)
            stretch = 256 / 255 if after is network.nodes[0] else 1
            error = np.abs(after.weight - 0.37 * stretch * before.weight).max()
            assert error <= 0.51 * on_grid(after.weight)[1]
    assert set(units) == {node.name for node in nodes if isinstance(node, Population)}
    branch = Sum("sum", (nodes[0].name, nodes[0].name), nodes[0].out_shape)  # type: ignore[union-attr]
    with pytest.raises(ModelError, match="chain"):
        exact(replace(case.network, nodes=(nodes[0], branch)))


def test_events_are_binary_and_sparse() -> None:
    frames = events(2, 3, 64)
    assert frames.shape == (3, 2, 2, 64, 64)
    assert set(np.unique(frames)) == {0.0, 1.0}
    assert 0.001 < frames.mean() < 0.05


def _row(name: str, latency: float, same: bool = True, **more: object) -> dict[str, object]:
    return {"implementation": name, "latency_ms_median": latency, "identical_spikes": same} | more


def test_ratios_are_to_the_best_peer_with_identical_spikes() -> None:
    rows = [
        _row("snnTorch", 2.0, same=False), _row("SpikingJelly", 6.0), _row("sinabs", 8.0),
        _row("ONNX Runtime", 3.0), _row("tospike", 1.5),
    ]  # fmt: skip
    compare(rows)
    assert rows[-1]["best_peer"] == "SpikingJelly"
    assert rows[-1]["speedup_over_best_peer"] == 4.0
    assert rows[-1]["best_dense"] == "ONNX Runtime"
    assert rows[-1]["speedup_over_best_dense"] == 2.0
    assert rows[1]["speedup_over_best_peer"] == 1.0
    without = [_row("torch", 3.0), _row("tospike", 1.5)]
    compare(without)
    assert without[1]["speedup_over_best_peer"] == 2.0


@pytest.mark.parametrize(
    ("points", "found"),
    [
        ([(0.01, 4.0), (0.1, 2.0)], 1.0),
        ([(0.01, 0.5), (0.1, 0.3)], None),
        ([(0.01, 3.0), (0.05, 2.0), (0.1, 0.5)], 0.05 + 0.05 * 2 / 3),
        ([(0.01, 3.0), (0.05, 0.9), (0.1, 1.5)], 0.01 + 0.04 * 2.0 / 2.1),
    ],
)
def test_crossing(points: list[tuple[float, float]], found: float | None) -> None:
    assert crossing(points) == pytest.approx(found)


def test_options_refuse_all_at_once() -> None:
    with pytest.raises(OptionError) as error:
        Options(networks=("vgg",), densities=(0.9,), threads=(0,), timesteps=9)
    for part in ("vgg", "0.9", "threads", "timesteps"):
        assert part in str(error.value)


def test_the_rows_of_a_run_and_what_is_shown_of_them() -> None:
    ticks = itertools.count()
    options = Options(
        networks=("mlp",), densities=(0.01, 0.1), threads=(1,), batches=(1, 2), rounds=2, images=2
    )
    seen: list[tuple[str, int, int]] = []
    result = bench_snn(
        options, clock=lambda: 1e-3 * next(ticks), progress=lambda *call: seen.append(call)
    )
    rows = result["rows"]
    assert {row["batch"] for row in rows} == {1, 2}
    for row in rows:
        assert row["identical_spikes"]
        assert row["latency_ms_median"] == pytest.approx(1.0)
        assert row["speedup_over_best_peer"] == pytest.approx(1.0)
    own = [row for row in rows if row["implementation"] == "tospike"]
    assert [row["density_wanted"] for row in own] == [0.01, 0.1] * 2
    json.dumps(result, allow_nan=False)
    assert seen[-1][2] == 2
    page = as_markdown(result)
    assert "| at 2 % density or less | >= 10 | 1.00 to 1.00 | 1.00 to 1.00 |" in page
    assert len(bench_table(result).rows) == len(rows)
    assert [panel.title for panel in bench_figure(result).panels][-1] == "MLP"
    assert all(row["density"] == 1.0 for row in crossings(rows, "speedup_over_best_peer"))


def test_a_missing_checkpoint_is_said_and_bad_options_end_the_command() -> None:
    runner = CliRunner()
    common = ["bench", "snn", "--networks", "fashion", "--rounds", "1", "--json"]
    done = runner.invoke(app, [*common, "--network", "nothing.pt"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["rows"] == []
    assert "nothing.pt" in found["absent"][0]
    assert runner.invoke(app, [*common, "--densities", "many"]).exit_code != 0
