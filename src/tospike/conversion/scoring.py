"""Accuracy, agreement with the float network, and what could not be counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tospike.conversion.forward import forward
from tospike.conversion.graph import ExecutableGraph, Synapse
from tospike.errors import DataError


@dataclass
class Score:
    """Running accuracy and agreement with the float network.

    ``scores_classes`` : the output is (N, classes). ``best`` : arg-max of every batch.
    """

    scores_classes: bool
    labels: Tensor | None
    correct: int = 0
    same: int = 0
    n: int = 0
    kept: list[Tensor] | None = None
    best: list[Tensor] = field(default_factory=list)

    def add(self, start: int, output: Tensor, reference: Tensor | None) -> None:
        """Outputs of the samples from ``start`` on, and the float network's classes (N,)."""
        self.n += output.shape[0]
        if self.kept is not None:
            self.kept.append(output.float())
        if not self.scores_classes:
            return
        best = output.argmax(dim=1)
        self.best.append(best)
        if reference is not None:
            self.same += int((best == reference).sum())
        if self.labels is not None:
            self.correct += int((best == self.labels[start : start + output.shape[0]]).sum())

    @property
    def accuracy(self) -> float | None:
        """Share of correct samples, None without labels."""
        return self.correct / self.n if self.scores_classes and self.labels is not None else None

    @property
    def agreement(self) -> float | None:
        """Share of samples with the float network's arg-max."""
        return self.same / self.n if self.scores_classes else None

    @property
    def classes(self) -> NDArray[np.int64] | None:
        """Arg-max of every sample, (N,), or None where the output is no class score."""
        return torch.cat(self.best).numpy() if self.scores_classes and self.best else None

    @property
    def outputs(self) -> Any:
        """Kept outputs, (N, ...) float32, or None."""
        return None if self.kept is None else torch.cat(self.kept).numpy()


@dataclass(frozen=True, eq=False)
class FloatClasses:
    """Arg-max of the float network: as it was given, or by running it when it is asked for."""

    graph: ExecutableGraph
    known: Tensor | None

    def of(self, start: int, rows: Tensor) -> Tensor | None:
        """Classes of ``rows``, which are the samples from ``start`` on; None without classes."""
        if len(self.graph[self.graph.output].shape) != 1:
            return None
        if self.known is not None:
            return self.known[start : start + len(rows)]
        return forward(self.graph, rows).argmax(dim=1)


def float_classes(graph: ExecutableGraph, known: Any, n: int) -> FloatClasses:
    """:class:`FloatClasses` of ``n`` samples; ``known`` (n,) from an earlier run, or None."""
    if known is None:
        return FloatClasses(graph, None)
    found = torch.as_tensor(np.asarray(known))
    if tuple(found.shape) != (n,):
        raise DataError(
            "compare with the float network",
            received=f"classes of shape {tuple(found.shape)} for {n} samples",
            fix="give RunResult.classes of run_ann on the same samples",
        )
    return FloatClasses(graph, found)


def score(graph: ExecutableGraph, labels: Tensor | None, keep: bool) -> Score:
    """An empty score for the network's kind of output."""
    return Score(len(graph[graph.output].shape) == 1, labels, kept=[] if keep else None)


def uncounted(graph: ExecutableGraph) -> tuple[str, ...]:
    """A note on synaptic layers whose activity an executable graph does not count."""
    counted = {node.spec.layer for node in graph.nodes if isinstance(node.spec, Synapse)}
    missing = [name for name in graph.synaptic if name not in counted]
    return (f"activity not counted here: {', '.join(missing)}",) if missing else ()
