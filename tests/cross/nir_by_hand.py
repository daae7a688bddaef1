"""A slow executor of NIR graphs that reads like Table 1 of Pedersen 2024: one neuron at a time.

It shares no code with tospike. Time is discretised as asked; the edges in ``late`` deliver what
their source gave one step before (0 before the first step).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class ByHand:
    """``nodes``: name -> (type, parameters); ``edges``: pairs; one sample at a time."""

    def __init__(
        self,
        nodes: dict[str, tuple[str, dict[str, Any]]],
        edges: list[tuple[str, str]],
        late: set[tuple[str, str]],
        *,
        dt: float,
        reset: str,
        reset_delay: int,
        exact: bool,
        tie_fires: bool,
    ) -> None:
        self.nodes, self.edges, self.late = nodes, edges, late
        self.dt, self.reset, self.reset_delay = dt, reset, reset_delay
        self.exact, self.tie_fires = exact, tie_fires

    def run(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """x (T, *shape) -> node -> (T, *shape of the node)."""
        self.x = x
        self.values: dict[tuple[str, int], np.ndarray] = {}
        self.states: dict[tuple[str, str], np.ndarray] = {}
        for t in range(len(x)):
            for name in self.nodes:
                self.value(name, t)
        return {
            name: np.stack([self.values[name, t] for t in range(len(x))]) for name in self.nodes
        }

    def value(self, name: str, t: int) -> np.ndarray:
        if (name, t) not in self.values:
            kind, p = self.nodes[name]
            if kind == "Input":
                self.values[name, t] = self.x[t]
            elif kind == "Delay":
                self.values[name, t] = self.delayed(name, p, t)
            else:
                self.values[name, t] = self.apply(name, kind, p, self.total(name, t))
        return self.values[name, t]

    def total(self, name: str, t: int) -> Any:
        """The sum of what arrives at a node at step t."""
        total: Any = 0.0
        for source, target in self.edges:
            if target == name and (source, target) not in self.late:
                total = total + self.value(source, t)
            elif target == name and t > 0:
                total = total + self.value(source, t - 1)
            elif target == name:
                kind, p = self.nodes[name]
                total = total + np.zeros(
                    p["weight"].shape[1] if kind == "Linear" else p["scale"].shape
                )
        return total

    def delayed(self, name: str, p: dict[str, Any], t: int) -> np.ndarray:
        """y(t) = x(t - delay)"""
        y = np.zeros(p["delay"].shape)
        for index in np.ndindex(*y.shape):
            then = t - round(float(p["delay"][index]) / self.dt)
            if then >= 0:
                y[index] = self.total(name, then)[index]
        return y

    def apply(self, name: str, kind: str, p: dict[str, Any], x: np.ndarray) -> np.ndarray:
        if kind in ("Linear", "Affine"):
            y = np.array([sum(w * v for w, v in zip(row, x, strict=True)) for row in p["weight"]])
            return y + p["bias"] if kind == "Affine" else y
        if kind == "Scale":
            return x * p["scale"]
        if kind in ("Conv1d", "Conv2d"):
            return self.convolution(p, x)
        if kind in ("SumPool2d", "AvgPool2d"):
            return self.pool(kind, p, x)
        if kind == "Flatten":
            return x.reshape(-1)
        if kind == "Output":
            return x
        y = np.zeros(x.shape)
        for index in np.ndindex(*x.shape):
            own = {key: float(np.broadcast_to(v, x.shape)[index]) for key, v in p.items()}
            y[index] = self.neuron(name, index, kind, own, float(x[index]))
        return y

    def convolution(self, p: dict[str, Any], x: np.ndarray) -> np.ndarray:
        """sum over input channels of the group and kernel taps, zeros outside of the input"""
        weight, groups = p["weight"], p["groups"]
        rank = weight.ndim - 2
        stride, padding, dilation = (np.ravel(p[k]) for k in ("stride", "padding", "dilation"))
        sizes = [
            (x.shape[1 + d] + 2 * padding[d] - dilation[d] * (weight.shape[2 + d] - 1) - 1)
            // stride[d]
            + 1
            for d in range(rank)
        ]
        y = np.zeros((weight.shape[0], *sizes))
        per_group = weight.shape[0] // groups
        for out in np.ndindex(*y.shape):
            total = float(p["bias"][out[0]])
            for tap in np.ndindex(*weight.shape[1:]):
                channel = out[0] // per_group * weight.shape[1] + tap[0]
                at = [
                    out[1 + d] * stride[d] + tap[1 + d] * dilation[d] - padding[d]
                    for d in range(rank)
                ]
                if all(0 <= a < x.shape[1 + d] for d, a in enumerate(at)):
                    total += weight[(out[0], *tap)] * x[(channel, *at)]
            y[out] = total
        return y

    def pool(self, kind: str, p: dict[str, Any], x: np.ndarray) -> np.ndarray:
        kernel, stride, padding = (np.ravel(p[k]) for k in ("kernel_size", "stride", "padding"))
        sizes = [(x.shape[1 + d] + 2 * padding[d] - kernel[d]) // stride[d] + 1 for d in range(2)]
        y = np.zeros((x.shape[0], *sizes))
        for c, i, j in np.ndindex(*y.shape):
            for a in range(kernel[0]):
                for b in range(kernel[1]):
                    row, column = i * stride[0] + a - padding[0], j * stride[1] + b - padding[1]
                    if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                        y[c, i, j] += x[c, row, column]
        return y / (kernel[0] * kernel[1]) if kind == "AvgPool2d" else y

    def neuron(self, name: str, index: Any, kind: str, p: dict[str, float], x: float) -> float:
        """One step of one neuron: tau dv/dt = (v_leak - v) + R I; z = 1 if v > v_threshold."""
        threshold = p.get("v_threshold", p.get("threshold", math.inf))
        if kind == "Threshold":
            return float(self.above(x, threshold))
        start = p.get("v_leak", p.get("v_reset", 0.0) if self.reset == "hard" else 0.0)
        key = (name, index)
        v, i, spiked = self.states.get(key, (start, 0.0, False))
        late = self.reset_delay == 1
        current = x
        if kind in ("CubaLI", "CubaLIF"):
            i = current = self.relax(i, p["w_in"] * x, p["tau_syn"])
        cuba = kind == "CubaLIF"
        if late and spiked and self.reset == "hard" and not cuba:
            v = p["v_reset"]
        if kind in ("I", "IF"):
            v = v + self.dt * p["r"] * current
        else:
            v = self.relax(v, p["v_leak"] + p["r"] * current, p.get("tau", p.get("tau_mem", 0.0)))
        if late and spiked and self.reset == "soft":
            v -= threshold
        if late and spiked and self.reset == "hard" and cuba:
            v = p["v_reset"]
        if kind in ("I", "LI", "CubaLI"):
            self.states[key] = (v, i, False)
            return v
        z = self.above(v, threshold)
        if z and not late:
            v = {"hard": p.get("v_reset", 0.0), "soft": v - threshold, "none": v}[self.reset]
        self.states[key] = (v, i, z)
        return float(z)

    def relax(self, value: float, target: float, tau: float) -> float:
        """tau d value/dt = target - value over one step"""
        if self.exact:
            return target + (value - target) * math.exp(-self.dt / tau)
        return value + self.dt / tau * (target - value)

    def above(self, v: float, threshold: float) -> bool:
        return v >= threshold if self.tie_fires else v > threshold
