"""Accuracy, agreement with the float network, and what could not be counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tospike.conversion.graph import ExecutableGraph, Synapse


@dataclass
class Score:
    """Running accuracy and agreement with the float network."""

    classes: bool
    labels: Tensor | None
    correct: int = 0
    same: int = 0
    n: int = 0
    kept: list[Tensor] | None = None

    def add(self, start: int, output: Tensor, reference: Tensor) -> None:
        """Outputs of the samples from ``start`` on, and the float network's."""
        self.n += output.shape[0]
        if self.kept is not None:
            self.kept.append(output.float())
        if not self.classes:
            return
        best = output.argmax(dim=1)
        self.same += int((best == reference.argmax(dim=1)).sum())
        if self.labels is not None:
            self.correct += int((best == self.labels[start : start + output.shape[0]]).sum())

    @property
    def accuracy(self) -> float | None:
        """Share of correct samples, None without labels."""
        return self.correct / self.n if self.classes and self.labels is not None else None

    @property
    def agreement(self) -> float | None:
        """Share of samples with the float network's arg-max."""
        return self.same / self.n if self.classes else None

    @property
    def outputs(self) -> Any:
        """Kept outputs, (N, ...) float32, or None."""
        return None if self.kept is None else torch.cat(self.kept).numpy()


def score(graph: ExecutableGraph, labels: Tensor | None, keep: bool) -> Score:
    """An empty score for the network's kind of output."""
    return Score(len(graph[graph.output].shape) == 1, labels, kept=[] if keep else None)


def uncounted(graph: ExecutableGraph) -> tuple[str, ...]:
    """A note on synaptic layers whose activity an executable graph does not count."""
    counted = {node.spec.layer for node in graph.nodes if isinstance(node.spec, Synapse)}
    missing = [name for name in graph.synaptic if name not in counted]
    return (f"activity not counted here: {', '.join(missing)}",) if missing else ()
