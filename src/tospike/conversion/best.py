"""The calibration that suits a number of time steps best, of those that the package knows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tospike.conversion.calibration import Calibration, with_method
from tospike.conversion.converted import MSE_UP_TO, best_method
from tospike.conversion.correction import n_fitted
from tospike.conversion.graph import ExecutableGraph
from tospike.conversion.regression import kept_layers


def best_calibrations(
    graph: ExecutableGraph, calibration: Calibration, timesteps: Sequence[int]
) -> dict[int, Calibration]:
    """T -> the calibration that suits it best, from the activations of ``calibration``.

    Up to T = 8 each T has its own, with moved weights; larger T share one object.
    """
    found: dict[int, Calibration] = {}
    shared: Calibration | None = None
    for step in timesteps:
        method = best_method(graph, step)
        if step <= MSE_UP_TO:
            found[step] = with_method(graph, calibration, method, timesteps=step)
        else:
            shared = shared or with_method(graph, calibration, method)
            found[step] = shared
    return found


def in_words(calibration: Calibration) -> str:
    """Rule of the thresholds and what is corrected: "mse, weights, T=4", "percentile, fit"."""
    parts: list[str] = [calibration.method, calibration.correction]
    if calibration.timesteps is not None:
        parts.append(f"T={calibration.timesteps}")
    return ", ".join(parts)


def for_first_spikes(calibration: Calibration) -> Calibration:
    """``calibration`` as time-to-first-spike coding needs it.

    A network trained with QCFS is exact there, so that nothing is corrected.
    """
    if calibration.method != "qcfs":
        return calibration
    return replace(calibration, correction="none")


def unmoved(
    graph: ExecutableGraph, calibration: Calibration, spiking: Collection[str]
) -> dict[str, str]:
    """Spiking layers whose weights are not moved although ``calibration`` moves weights: why."""
    if calibration.correction != "weights":
        return {}
    return kept_layers(graph, spiking, n_fitted(graph, calibration))
