"""EdgeDRNN, DeltaRNN and Spartus: machines that read the weights of what changed."""

from tospike.machines.delta_rnn.chip import read_chip, with_thresholds
from tospike.machines.delta_rnn.machine import simulate
from tospike.machines.delta_rnn.record import Chip, Fetch, Stage, StageSteps, StepsRun
from tospike.machines.delta_rnn.run import steps
from tospike.machines.delta_rnn.solve import gamma_needed, least_gamma, mean_latency

__all__ = [
    "Chip",
    "Fetch",
    "Stage",
    "StageSteps",
    "StepsRun",
    "gamma_needed",
    "least_gamma",
    "mean_latency",
    "read_chip",
    "simulate",
    "steps",
    "with_thresholds",
]
