"""Time per step of the trained GRUs on their own test sequences: delta, torch and ONNX Runtime.

Only the GRU is timed: the linear layer after it is the same for all. One thread everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import torch
from delta_tasks import Task
from delta_trained import Trainer
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tospike.bench.timing import interleaved
from tospike.conversion.delta.compiled import Compiled, compile

Floats = NDArray[np.float32]
#: test sequences that are timed, and rounds over them
SEQUENCES = 8
ROUNDS = 15
STEP_TORCH = "torch nn.GRU, step by step"
STEP_ORT = "ONNX Runtime, step by step"
WHOLE_TORCH = "torch nn.GRU, whole sequence"
STEP_DELTA = "delta float32, step by step"


@dataclass(frozen=True)
class Speed:
    """Microseconds per time step of one implementation, median over the rounds."""

    implementation: str
    us_per_step: float


def onnx_step(gru: nn.GRU) -> onnxruntime.InferenceSession:
    """A session that runs one step of a one-layer GRU: (x, h) -> h."""
    size, inputs = gru.hidden_size, gru.input_size

    def order(weight: torch.Tensor) -> Floats:
        """Gates r, z, n of torch as z, r, h of ONNX, with the direction in front."""
        r, z, n = weight.detach().numpy().reshape(3, size, -1)
        return np.concatenate([z, r, n])[None].astype(np.float32)

    bias = np.concatenate([order(gru.bias_ih_l0)[..., 0], order(gru.bias_hh_l0)[..., 0]], axis=1)
    weights = {"W": order(gru.weight_ih_l0), "R": order(gru.weight_hh_l0), "B": bias}
    node = helper.make_node(
        "GRU", ["x", "W", "R", "B", "", "h"], ["", "h_new"], hidden_size=size, linear_before_reset=1
    )
    graph = helper.make_graph(
        [node],
        "step",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, inputs]),
            helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 1, size]),
        ],
        [helper.make_tensor_value_info("h_new", TensorProto.FLOAT, [1, 1, size])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def run_onnx(session: onnxruntime.InferenceSession, sequence: Floats, hidden: int) -> Floats:
    """All states (T, H) of one sequence (T, I)."""
    h = np.zeros((1, 1, hidden), np.float32)
    states = np.empty((len(sequence), hidden), np.float32)
    for i, x in enumerate(sequence):
        (h,) = session.run(None, {"x": x[None, None], "h": h})
        states[i] = h[0, 0]
    return states


@torch.inference_mode()
def run_torch(gru: nn.GRU, sequence: torch.Tensor) -> torch.Tensor:
    """All states (T, H) of one sequence (T, I), one call a step."""
    h = torch.zeros(1, gru.hidden_size)
    states = []
    for x in sequence:
        out, h = gru(x[None], h)
        states.append(out)
    return torch.cat(states)


@torch.inference_mode()
def run_whole(gru: nn.GRU, sequence: torch.Tensor) -> torch.Tensor:
    """The same in one call."""
    states: torch.Tensor = gru(sequence)[0]
    return states


def run_steps(compiled: Compiled, sequence: Floats) -> Floats:
    """All states (T, H), one call a step."""
    compiled.reset()
    return np.stack([compiled.step(x) for x in sequence])


def run_sequence(compiled: Compiled, sequence: Floats) -> Floats:
    """The same in one call."""
    compiled.reset()
    return compiled.run(sequence)


def timings(task: Task, trainer: Trainer) -> list[Speed]:
    """Every implementation on the same sequences, in turn."""
    gru, delta = trainer.dense(0)[0], trainer.retrained(0, task.retrained[0])[0]
    n = min(SEQUENCES, len(task.test))
    chosen = [task.test.x[i, : task.test.length[i]] for i in range(n)]
    arrays = [np.ascontiguousarray(x.numpy()) for x in chosen]
    session = onnx_step(gru)
    dense, float32, int8 = compile(gru), compile(delta), compile(delta, storage="int8")

    def over(run: Callable[[Floats], object]) -> Callable[[], None]:
        def all_sequences() -> None:
            for sequence in arrays:
                run(sequence)

        return all_sequences

    contenders: Mapping[str, Callable[[], object]] = {
        STEP_TORCH: lambda: [run_torch(gru, x) for x in chosen],
        STEP_ORT: over(lambda x: run_onnx(session, x, task.hidden)),
        "compiled, thresholds 0, step by step": over(lambda x: run_steps(dense, x)),
        STEP_DELTA: over(lambda x: run_steps(float32, x)),
        "delta int8, step by step": over(lambda x: run_steps(int8, x)),
        WHOLE_TORCH: lambda: [run_whole(gru, x) for x in chosen],
        "compiled, thresholds 0, whole sequence": over(lambda x: run_sequence(dense, x)),
        "delta float32, whole sequence": over(lambda x: run_sequence(float32, x)),
        "delta int8, whole sequence": over(lambda x: run_sequence(int8, x)),
    }
    steps = sum(map(len, arrays))
    found = interleaved(contenders, baseline=STEP_TORCH, rounds=ROUNDS)
    return [Speed(one.name, 1e6 * one.median_s / steps) for one in found]
