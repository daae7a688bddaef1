"""Which temporal sparsity a published latency needs: ``gamma_needed``, ``least_gamma``."""

from __future__ import annotations

import math

import numpy as np

from tospike.architecture import Architecture
from tospike.errors import RangeError
from tospike.machines.delta_rnn.chip import read_chip
from tospike.machines.delta_rnn.fetch import starts
from tospike.machines.delta_rnn.record import Chip, Stage
from tospike.machines.delta_rnn.run import stage_steps, step_cycles
from tospike.machines.delta_rnn.sent import Sent, drawn
from tospike.machines.delta_rnn.stages import Zeros, check_zeros, columns_of, stages_of
from tospike.network import Network
from tospike.units import si

#: time steps per trial, so that fractions of a column count
STEPS = 32


def mean_latency(
    architecture: Architecture,
    network: Network,
    gamma: float,
    *,
    weight_zeros: Zeros | None = None,
) -> float:
    """Mean seconds of a step, in the long run, if a share ``gamma`` of all inputs and of all
    states is not sent.

    Raises :class:`RangeError` for ``gamma`` outside of 0 to 1, and what :func:`steps` raises.
    """
    if not 0 <= gamma <= 1:
        raise RangeError("simulate a temporal sparsity", received=f"{gamma}", allowed="0 to 1")
    chip = read_chip(architecture)
    stages = stages_of(network, chip)
    check_zeros(weight_zeros or {}, stages, network)
    return _mean(stages, chip, gamma, weight_zeros)


def _mean(stages: tuple[Stage, ...], chip: Chip, gamma: float, weight_zeros: Zeros | None) -> float:
    columns = [columns_of(stage, chip, weight_zeros) for stage in stages]
    addresses = starts(stages, columns, chip)
    done = []
    for number, stage in enumerate(stages):
        n = stage.calls * STEPS
        x = drawn((1 - gamma) * stage.n_x, stage.n_x, n, 2 * number, fresh=True)
        h = drawn((1 - gamma) * stage.n_h, stage.n_h, n, 2 * number + 1, fresh=True)
        sent = Sent(x, h, np.zeros(n, np.bool_))
        done.append(stage_steps(stage, columns[number], sent, chip, int(addresses[number])))
    return float(step_cycles(done, STEPS, chip).mean()) / chip.clock


def gamma_needed(
    architecture: Architecture,
    network: Network,
    latency: float,
    *,
    weight_zeros: Zeros | None = None,
) -> float:
    """The least temporal sparsity, of all inputs and states alike, with a mean latency (second
    per step) of at most ``latency``; 0 if the machine is that fast without skipping.

    Raises :class:`RangeError` if it is slower even when nothing is sent, and what :func:`steps`
    raises.
    """
    if not (math.isfinite(latency) and latency > 0):
        raise RangeError(
            "solve for a temporal sparsity", received=f"{latency} s", allowed="a time above 0"
        )
    chip = read_chip(architecture)
    stages = stages_of(network, chip)
    check_zeros(weight_zeros or {}, stages, network)
    if _mean(stages, chip, 0.0, weight_zeros) <= latency:
        return 0.0
    least = _mean(stages, chip, 1.0, weight_zeros)
    if least > latency:
        raise RangeError(
            f"find a temporal sparsity for {si(latency, 's')} per step on {chip.name}",
            received=f"a step takes {si(least, 's')} when nothing is sent",
            allowed=f"at least {si(least, 's')}",
            fix="the rest is scanning, gates and pipeline; see the parameters of the architecture",
        )
    low, high = 0.0, 1.0  # too slow at low, fast enough at high
    resolution = 0.25 / (STEPS * sum(stage.n_x + stage.n_h for stage in stages))
    while high - low > resolution:
        middle = (low + high) / 2
        if _mean(stages, chip, middle, weight_zeros) <= latency:
            high = middle
        else:
            low = middle
    return high


def least_gamma(architecture: Architecture, network: Network, latency: float) -> float:
    """The temporal sparsity below which no machine of this width can be that fast, whatever its
    overheads: multiplications (and bytes over the port) of all columns in the given time.

    Raises what :func:`gamma_needed` raises for the network and the architecture.
    """
    chip = read_chip(architecture)
    stages = stages_of(network, chip)
    dense = 0.0
    for stage in stages:
        columns = columns_of(stage, chip)
        per_column = float(columns.cost[-1]) / chip.arrays
        if chip.port is not None:
            bytes_ = float(columns.stored_bytes[-1])
            per_column = max(per_column, bytes_ / chip.port.bytes_per_cycle)
        dense += per_column * (stage.n_x + stage.n_h)
    return max(0.0, 1.0 - latency * chip.clock / dense)
