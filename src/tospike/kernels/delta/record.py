"""``DeltaLayer``: the parameters of one delta layer, as arrays. Records only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tospike.errors import OptionError

Kind = Literal["gru", "lstm", "rnn_tanh", "rnn_relu", "linear"]
Storage = Literal["float32", "float16", "bfloat16", "int8"]

#: kind -> gates, each a block of ``hidden`` rows of the weight matrices
GATES: dict[str, int] = {"gru": 3, "lstm": 4, "rnn_tanh": 1, "rnn_relu": 1, "linear": 1}
STORAGES: tuple[Storage, ...] = ("float32", "float16", "bfloat16", "int8")


@dataclass(frozen=True)
class DeltaLayer:
    """One layer of a delta network.

    Attributes
    ----------
    kind : "gru", "lstm", "rnn_tanh", "rnn_relu" or "linear".
    w_x : (G H, I) float32, gates in the order of PyTorch.
    w_h : (G H, H) float32; None for "linear".
    b_x, b_h : (G H,) float32.
    theta_x, theta_h : delta thresholds of inputs and hidden states, in the unit of the signal.
    """

    kind: Kind
    w_x: NDArray[np.float32]
    w_h: NDArray[np.float32] | None
    b_x: NDArray[np.float32]
    b_h: NDArray[np.float32]
    theta_x: float = 0.0
    theta_h: float = 0.0

    def __post_init__(self) -> None:
        reasons = []
        if self.kind not in GATES:
            reasons.append(f"kind is {self.kind!r}; it must be one of {', '.join(GATES)}")
        for name, theta in (("theta_x", self.theta_x), ("theta_h", self.theta_h)):
            if not (math.isfinite(theta) and theta >= 0):
                reasons.append(f"{name} is {theta!r}; it must be a finite number >= 0")
        if self.w_x.ndim != 2 or 0 in self.w_x.shape:
            reasons.append(f"w_x has shape {self.w_x.shape}; it must be (gates x hidden, inputs)")
        elif self.kind in GATES:
            reasons += self._shapes()
        arrays = (("w_x", self.w_x), ("w_h", self.w_h), ("b_x", self.b_x), ("b_h", self.b_h))
        reasons += [
            f"{name} holds NaN or infinite values"
            for name, array in arrays
            if array is not None and not np.isfinite(array).all()
        ]
        if reasons:
            raise OptionError("make a delta layer", reasons=reasons)

    def _shapes(self) -> list[str]:
        rows, gates = self.w_x.shape[0], GATES[self.kind]
        reasons = []
        if rows % gates:
            reasons.append(f"w_x has {rows} rows, no multiple of the {gates} gates of {self.kind}")
        wanted = (rows, rows // gates)
        if self.kind == "linear":
            if self.w_h is not None:
                reasons.append("a linear layer has no w_h")
        elif self.w_h is None or self.w_h.shape != wanted:
            found = None if self.w_h is None else self.w_h.shape
            reasons.append(f"w_h has shape {found}; it must be {wanted}")
        for name, bias in (("b_x", self.b_x), ("b_h", self.b_h)):
            if bias.shape != (rows,):
                reasons.append(f"{name} has shape {bias.shape}; it must be ({rows},)")
        return reasons

    @property
    def gates(self) -> int:
        """G, blocks of rows."""
        return GATES[self.kind]

    @property
    def hidden(self) -> int:
        """H, outputs."""
        return int(self.w_x.shape[0]) // self.gates

    @property
    def inputs(self) -> int:
        """I, inputs."""
        return int(self.w_x.shape[1])
