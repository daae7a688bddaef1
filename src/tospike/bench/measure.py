"""``tospike bench measure``: the price of measuring, over the bare forward pass."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from tospike.activity.measure import measure
from tospike.bench.timing import interleaved, machine
from tospike.bench.workloads import WORKLOADS, Workload
from tospike.errors import unknown_name

#: peer -> the packages that must be importable
PEERS = {"spikingjelly": ("spikingjelly", "loguru"), "neurobench": ("neurobench", "snntorch")}


def bench_measure(*, rounds: int = 7, threads: int | None = None, only: str = "") -> dict[str, Any]:
    """Time bare forward, ``ts.measure`` and the installed peers on the same work.

    Returns plain data: ``machine``, ``rows`` (network, implementation, seconds, ratio over the
    bare forward, synaptic operations per inference), ``absent`` peers with the reason.
    """
    if only and only not in WORKLOADS:
        raise unknown_name("network", only, tuple(WORKLOADS))
    if threads is not None:
        torch.set_num_threads(threads)
    absent = {
        peer: "not installed: " + ", ".join(missing)
        for peer, packages in PEERS.items()
        if (missing := [p for p in packages if importlib.util.find_spec(p) is None])
    }
    rows: list[dict[str, Any]] = []
    for name, make in WORKLOADS.items():
        if only and name != only:
            continue
        work = make()
        counts: dict[str, float] = {}
        contenders: dict[str, Callable[[], object]] = {
            "bare forward": partial(_bare, work),
            "tospike": partial(_ours, work, counts),
        }
        for peer, run in (("spikingjelly", _spikingjelly), ("neurobench", _neurobench)):
            # Neither peer counts inside of a GRU: SpikingJelly has no rule for spikes there and
            # NeuroBench's metric raises; a time without a result would compare nothing.
            if peer not in absent and name != "gru":
                contenders[peer] = partial(run, work, counts)
        for timing in interleaved(contenders, baseline="bare forward", rounds=rounds):
            rows.append(
                {
                    "network": name,
                    "title": work.title,
                    "implementation": timing.name,
                    "seconds_median": timing.median_s,
                    "seconds_min": timing.minimum_s,
                    "ratio_over_bare_forward": timing.ratio,
                    "synaptic_operations": counts.get(timing.name),
                    "rounds": timing.rounds,
                }
            )
    return {
        "machine": {**machine(), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "rows": rows,
        "absent": absent,
    }


def _batch(work: Workload) -> int:
    """Inferences in one pass: (T, B, ...) for the SNN, (B, ...) otherwise."""
    return work.x.shape[1] if work.name == "vgg9_snn" else work.x.shape[0]


def _bare(work: Workload) -> None:
    with torch.no_grad():
        work.module(work.x)


def _ours(work: Workload, counts: dict[str, float]) -> None:
    batch_dim = 1 if work.name == "vgg9_snn" else 0
    profile = measure(work.module, [work.x], batch_dim=batch_dim)
    counts["tospike"] = sum(layer.synaptic_operations for layer in profile.layers.values())


def _spikingjelly(work: Workload, counts: dict[str, float]) -> None:
    from spikingjelly.activation_based.op_counter import (
        DispatchCounterMode,
        MACCounter,
        SynOpCounter,
    )

    spikes, macs = SynOpCounter(), MACCounter()
    counters = [spikes] if work.name == "vgg9_snn" else [macs]
    with torch.no_grad(), DispatchCounterMode(counters):
        work.module(work.x)
    counts["spikingjelly"] = counters[0].get_total() / _batch(work)


def _neurobench(work: Workload, counts: dict[str, float]) -> None:
    from neurobench.hooks.layer import LayerHook
    from neurobench.metrics.workload.synaptic_operations import SynapticOperations
    from neurobench.models import TorchModel

    model = TorchModel(work.module)
    model.connection_hooks = [LayerHook(layer) for layer in model.connection_layers()]
    with torch.no_grad():
        predictions = model(work.x)
    metric = SynapticOperations()
    found = metric(model, predictions, (torch.empty(_batch(work), 0), None))
    model.close_hooks()
    counts["neurobench"] = found["Effective_ACs"] + found["Effective_MACs"]


def as_markdown(result: dict[str, Any]) -> str:
    """The result of :func:`bench_measure` as a page for docs/results."""
    lines = [
        "# What measuring costs",
        "",
        "`tospike bench measure --markdown docs/results/measure.md` wrote this page. Time of one "
        "pass, median over the rounds; the ratio to the bare forward pass is taken within each "
        "round. The layers are traced once per module, before the first counted round.",
        "",
        ", ".join(f"{key} {value}" for key, value in result["machine"].items()) + ".",
        "",
        "| network | implementation | median | over bare forward | operations per inference |",
        "|---|---|---:|---:|---:|",
    ]
    for row in result["rows"]:
        operations = row["synaptic_operations"]
        lines.append(
            f"| {row['title']} | {row['implementation']} | {row['seconds_median'] * 1e3:.1f} ms "
            f"| {row['ratio_over_bare_forward']:.2f}× "
            f"| {'' if operations is None else f'{operations:,.1f}'} |"
        )
    lines += [
        "",
        "Operations are those with a non-zero input, mean per inference. SpikingJelly counts "
        "VGG-16 by its dense MAC counter (it has no counter of useful MACs); neither peer counts "
        "inside of a GRU.",
    ]
    lines += [f"\n{peer}: {reason}." for peer, reason in result["absent"].items()]
    return "\n".join(lines) + "\n"
