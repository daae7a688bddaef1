"""``SpikingEngine``: runs a ``SpikingNetwork``, event-driven or dense, layer by layer.

What is guaranteed: see :class:`SpikingEngine`.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tospike.errors import DataError, OptionError
from tospike.kernels.spiking.costs import ALWAYS, Costs, kind_of, load
from tospike.kernels.spiking.execute import CONTROL_WORDS, assist, execute, unit_address
from tospike.kernels.spiking.places import BITS, SLOTS, Frame
from tospike.kernels.spiking.plan import Plan, plan
from tospike.kernels.spiking.record import SpikingNetwork
from tospike.kernels.spiking.workspace import Workspace, bytes_per_slot

Outputs = NDArray[np.float64]
Policy = Literal["calibrated", "event", "dense"]
POLICIES: tuple[Policy, ...] = ("calibrated", "event", "dense")

#: bytes of all buffers beyond which fewer are taken
_ROOM = 1 << 27
#: slots that a layer works through before the next one begins, and more as long as all lie near
_FEW, _NEAR = 16, 1 << 18

_BAD = int(Frame.BAD)

_helpers: list[ThreadPoolExecutor] = []
_helpers_lock = threading.Lock()


def _call_helper(work: Callable[..., None], *arguments: object) -> None:
    """Let another thread do ``work``, sooner or later."""
    with _helpers_lock:
        if not _helpers:
            name = "tospike-spiking"
            _helpers.append(ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), name))
    _helpers[0].submit(work, *arguments)


# The threads of a pool do not live on in a child process.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.clear)


@dataclass(frozen=True, eq=False)
class SpikingRun:
    """What :meth:`SpikingEngine.run` gives.

    accumulated : (T, N, *shape) float64, the sum of the outputs of the last node over the first
        1, 2, ..., T steps: spike counts, or currents.
    spikes : population -> (T, N) int64, spikes sent.
    operations : synapse node -> (T, N) int64, synaptic operations: for every active input (spike,
        or analog value other than 0) the synapses that it reaches, exact at borders, strides and
        groups. What is computed once per inference (constant input) stands in step 0.
    event_driven : synapse node -> (T, N) bool, True where it went event-driven, False where dense.
    """

    accumulated: NDArray[np.float64]
    spikes: Mapping[str, NDArray[np.int64]]
    operations: Mapping[str, NDArray[np.int64]]
    event_driven: Mapping[str, NDArray[np.bool_]]

    @property
    def timesteps(self) -> int:
        return len(self.accumulated)

    @property
    def outputs(self) -> NDArray[np.float64]:
        """(N, *shape): sums over all T steps."""
        total: NDArray[np.float64] = self.accumulated[-1]
        return total

    @property
    def means(self) -> NDArray[np.float64]:
        """(N, *shape): means over all T steps."""
        return self.prefix(self.timesteps)

    def prefix(self, timesteps: int) -> NDArray[np.float64]:
        """(N, *shape): means over the first steps; one run gives every T up to its own."""
        if not 1 <= timesteps <= self.timesteps:
            raise OptionError(
                "read the outputs of fewer steps",
                received=f"timesteps = {timesteps}",
                allowed=f"1 to {self.timesteps}, the steps that were run",
            )
        mean: NDArray[np.float64] = self.accumulated[timesteps - 1] / timesteps
        return mean


class SpikingEngine:
    """Runs a spiking network: NumPy in, NumPy out.

    Parameters
    ----------
    network : nodes in order of execution.
    threads : how many threads share a call. Results are the same bit by bit.
    policy : "calibrated" takes for every layer, step and sample the path that the measured costs
        say is faster; "event" and "dense" take always the same.
    costs : measured costs; by default those of :func:`~tospike.kernels.spiking.costs.load`.

    Spikes do not depend on the path, the batch, or the number of threads:

    - float32 weights: every sum runs over the taps of the kernel (row by row), then over the input
      channels, from 0, one rounding per product-and-sum; then ``scale * sum + bias``. Another
      framework adds in another order, and gets the same spikes for certain only if all sums are
      exact: weights, biases and thresholds on a grid 2^-k with sums below 2^(24 - k).
    - int8 weights and spikes as inputs: sums of whole numbers, exact in any order.
    - neurons: ``v = decay * v + gain * current`` in float32, every operation rounded by itself; a
      tie (v == threshold) fires. With ``reset_delay`` = 1 the spike of the step before is read off
      the stored potential: soft reset gives ``decay * v + gain * current - threshold``, hard reset
      ``decay * reset + gain * current``.

    A NaN or infinite input raises :class:`~tospike.errors.DataError`. One instance may be used from
    several threads: calls are serialised. Instances can be pickled, with their state.
    """

    def __init__(
        self,
        network: SpikingNetwork,
        *,
        threads: int = 1,
        policy: Policy = "calibrated",
        costs: Costs | None = None,
    ) -> None:
        reasons = []
        if threads < 1:
            reasons.append(f"threads is {threads}; it must be at least 1")
        if policy not in POLICIES:
            reasons.append(f"policy is {policy!r}; it must be one of {', '.join(POLICIES)}")
        if reasons:
            raise OptionError("make a spiking engine", reasons=reasons)
        self.network = network
        self.threads = threads
        self.policy = policy
        self.costs = load() if costs is None else costs
        self._plan = plan(network)
        self._shapes = {
            op.neurons.name: op.neurons.shape for op in self._plan.operations if op.neurons
        }
        # computed once, as a small network takes no longer than this would in every call
        size = max(1, bytes_per_slot(self._plan))
        self._slots = max(1, min(SLOTS, max(_FEW, _NEAR // size), _ROOM // size))
        self._limits = self._make_limits()
        self._names = (*self._plan.populations, *self._plan.synapses)
        self._size = math.prod(self._plan.output_shape)
        self._constant = tuple(self._names.index(name) for name in self._plan.constant)
        self._prepare()

    def _make_limits(self) -> dict[str, NDArray[np.int64]]:
        layers = {op.synapses.name: op for op in self._plan.operations if op.synapses}
        if self.policy == "event":
            return dict.fromkeys(layers, np.full(SLOTS, ALWAYS))
        if self.policy == "dense":
            return dict.fromkeys(layers, np.full(SLOTS, -1))
        return {
            name: np.array(
                [
                    self.costs.limit(op.synapses, kind_of(op.synapses, op.input.kind == BITS), n)
                    for n in (*range(1, self._slots), *[self._slots] * (SLOTS + 1 - self._slots))
                ]
            )
            for name, op in layers.items()
            if op.synapses is not None and op.input is not None
        }

    def _prepare(self) -> None:
        """What cannot be pickled, or holds addresses."""
        self._lock = threading.Lock()
        self._run_space: Workspace | None = None
        self._step_space: Workspace | None = None
        self._fresh = True
        self._frame = np.zeros(len(Frame), np.int64)
        self._control = np.zeros(CONTROL_WORDS, np.int64)
        self._unit = unit_address()

    @property
    def plan(self) -> Plan:
        """The operations that are run."""
        return self._plan

    def run(self, x: ArrayLike, timesteps: int) -> SpikingRun:
        """T steps from the initial potentials; the state of :meth:`step` is left alone.

        x : (N, *input_shape) if the network's input is constant, else (T, N, *input_shape).
        """
        if timesteps < 1:
            raise OptionError(
                "run the spiking network", received=f"timesteps = {timesteps}", allowed="at least 1"
            )
        constant = self.network.constant_input
        lead = () if constant else (timesteps,)
        values, samples = self._checked(x, lead)
        with self._lock:
            space = self._space_for(samples, timesteps)
            return self._collect(space, values, timesteps, samples)

    def _checked(self, x: ArrayLike, lead: tuple[int, ...]) -> tuple[NDArray[np.float32], int]:
        values = np.ascontiguousarray(x, np.float32)
        shape = tuple(self.network.input_shape)
        if values.shape[: len(lead)] != lead or values.shape[len(lead) + 1 :] != shape:
            wanted = ", ".join([*map(str, lead), "N", *map(str, shape)])
            raise DataError(
                "run the spiking network",
                received=f"an input of shape {np.shape(x)}",
                allowed=f"({wanted})",
            )
        return values, values.shape[len(lead)]

    def _space_for(self, samples: int, steps: int) -> Workspace:
        slots = self._slots
        steps = min(steps, slots)
        samples = max(1, min(samples, slots // steps))
        space = self._run_space
        if space is None or space.steps < steps or space.samples < samples:
            space = self._make_space(steps, samples)
            self._run_space = space
        return space

    def _make_space(self, steps: int, samples: int) -> Workspace:
        return Workspace(
            self._plan, self._limits, steps=steps, samples=samples, threads=self.threads
        )

    def _collect(
        self, space: Workspace, values: NDArray[np.float32], timesteps: int, samples: int
    ) -> SpikingRun:
        names = self._names
        shape = (timesteps, samples)
        statistics = np.zeros((len(names), *shape), np.int64)
        paths = np.zeros((len(names), *shape), np.uint8)
        outputs = np.empty((*shape, self._size), np.float64)
        addresses = values, outputs, statistics, paths
        pointers = tuple(array.ctypes.data for array in addresses)
        frame = self._frame
        for sample in range(0, samples, space.samples):
            count = min(space.samples, samples - sample)
            for step in range(0, timesteps, space.steps):
                last = step + space.steps >= timesteps
                # in the order of Frame
                frame[:] = (
                    min(space.steps, timesteps - step), count, timesteps, samples, step, sample,
                    *pointers, 0, step == 0, last, step > 0, 0,
                )  # fmt: skip
                self._execute(space)
                if frame[_BAD]:
                    raise _not_finite(values, self.network.constant_input)
        before = len(self._plan.populations)
        event = paths.view(np.bool_)
        for row in self._constant:
            event[row] = event[row, :1]
        return SpikingRun(
            outputs.reshape(*shape, *self._plan.output_shape),
            dict(zip(names[:before], statistics, strict=False)),
            dict(zip(names[before:], statistics[before:], strict=True)),
            dict(zip(names[before:], event[before:], strict=True)),
        )

    def step(self, x: ArrayLike | None = None, out: NDArray[np.float64] | None = None) -> Outputs:
        """One step (N, *input_shape) -> outputs of the last node (N, *shape), float64.

        Goes on from the potentials of the step before. With a constant input x may be left out
        after the first step. ``out``: a C-contiguous float64 array for the result; without it one
        is made, and nothing else is allocated for a C-contiguous float32 x.
        """
        with self._lock:
            space = self._step_space
            if x is None:
                if space is None or not self.network.constant_input:
                    raise DataError(
                        "step the spiking network",
                        received="no input",
                        allowed="an input in every step, or in the first one if it is constant",
                    )
                values, samples = None, space.samples
            else:
                values, samples = self._checked(x, ())
            if space is not None and space.samples != samples:
                raise DataError(
                    "step the spiking network",
                    received=f"{samples} samples",
                    allowed=f"{space.samples}, as in the step before",
                    fix="call reset() before another batch",
                )
            if space is None:
                self._use(self._make_space(1, samples), fresh=True)
            shape = (samples, *self._plan.output_shape)
            if out is None:
                out = np.empty(shape, np.float64)
            elif out.shape != shape or out.dtype != np.float64 or not out.flags.carray:
                raise DataError(
                    "step the spiking network",
                    received=f"out of shape {out.shape} and type {out.dtype}",
                    allowed=f"a writable C-contiguous float64 array of shape {shape}",
                )
            self._one_step(values, out)
        return out

    def _use(self, space: Workspace, *, fresh: bool) -> None:
        """Potentials of this space are the state from now on, or ``fresh`` the initial ones."""
        self._step_space, self._fresh = space, fresh
        rows = len(self._plan.populations) + len(self._plan.synapses)
        self._counts = np.zeros((rows, 1, space.samples), np.int64)
        self._paths = np.zeros((rows, 1, space.samples), np.uint8)

    def _one_step(self, values: NDArray[np.float32] | None, out: Outputs) -> None:
        space, frame = self._step_space, self._frame
        if space is None:
            return
        arrays = out, self._counts, self._paths
        pointers = tuple(array.ctypes.data for array in arrays)
        # in the order of Frame
        frame[:] = (
            1, space.samples, 1, space.samples, 0, 0, 0 if values is None else values.ctypes.data,
            *pointers, 0, self._fresh, 0, values is None, 1,
        )  # fmt: skip
        self._execute(space)
        self._fresh = False
        if frame[_BAD] and values is not None:
            raise _not_finite(values, True)

    def reset(self) -> None:
        """Forget the potentials: the next step starts from the initial ones, with any batch."""
        with self._lock:
            self._step_space = None

    @property
    def state(self) -> dict[str, NDArray[np.float32]]:
        """Population -> potentials (N, *shape) after the last step; empty before the first."""
        with self._lock:
            return self._potentials()

    @state.setter
    def state(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        with self._lock:
            self._restore(state)

    def _potentials(self) -> dict[str, NDArray[np.float32]]:
        space = self._step_space
        if space is None or self._fresh:
            return {}
        found = {}
        for name, v in space.potentials.items():
            shape = self._shapes[name]
            found[name] = v[:, :, : shape[0]].swapaxes(1, 2).reshape(len(v), *shape).copy()
        return found

    def _restore(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        if not state:
            self._step_space = None
            return
        samples = len(next(iter(state.values())))
        wanted = {name: (samples, *shape) for name, shape in self._shapes.items()}
        reasons = [
            f"{name}: shape {np.shape(state[name]) if name in state else 'missing'}, not {shape}"
            for name, shape in wanted.items()
            if name not in state or np.shape(state[name]) != shape
        ]
        reasons += [f"{name} is no population" for name in state if name not in wanted]
        reasons += [
            f"{n}: potentials are not finite" for n, v in state.items() if not np.isfinite(v).all()
        ]
        if reasons:
            raise DataError("set the state of the spiking network", reasons=reasons)
        space = self._make_space(1, samples)
        for name, v in space.potentials.items():
            channels = self._shapes[name][0]
            v[:, :, :channels] = np.reshape(state[name], (samples, channels, -1)).swapaxes(1, 2)
        self._use(space, fresh=False)

    def _execute(self, space: Workspace) -> None:
        if self.threads == 1:
            execute(space.table, self._frame, 0, self._unit)
            return
        control = self._control
        generation = int(control[0])
        for thread in range(1, self.threads):
            _call_helper(assist, space.table, self._frame, control, generation, thread, self._unit)
        try:
            execute(space.table, self._frame, int(control.ctypes.data), self._unit)
        finally:
            # The helpers, which may not even have begun, go home.
            control[0] = generation + 1

    def __getstate__(self) -> dict[str, Any]:
        # Addresses hold only here; the plan is made anew.
        return {
            "network": self.network,
            "threads": self.threads,
            "policy": self.policy,
            "costs": self.costs,
            "state": self.state,
        }

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__init__(  # type: ignore[misc]  # made anew, with its state
            saved["network"],
            threads=saved["threads"],
            policy=saved["policy"],
            costs=saved["costs"],
        )
        self._restore(saved["state"])


def _not_finite(values: NDArray[np.float32], constant: bool) -> DataError:
    where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
    lead = ("sample",) if constant else ("step", "sample")
    named = [f"{name} {i}" for name, i in zip(lead, where, strict=False)]
    return DataError(
        "run the spiking network",
        received=f"{values[where]} in the input",
        where=", ".join([*named, f"element {where[len(lead) :]}"]),
        allowed="finite numbers",
        fix="replace or leave out the sample",
    )
