"""``ts.compile``: a recurrent network as a streaming program in NumPy.

Recurrent and linear layers run in the delta kernels, with their state; what stands between them
runs in NumPy. Networks whose forward is a chain of known layers are compiled.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from tospike.conversion.delta.chain import Clip
from tospike.conversion.delta.layers import DeltaLinear, _DeltaRecurrent
from tospike.conversion.delta.replace import delta_network
from tospike.errors import ConversionError, DataError
from tospike.kernels.delta import DeltaEngine, DeltaLayer, LayerState, LayerStatistics
from tospike.kernels.delta.packed import Accumulation, PackedLayer
from tospike.kernels.delta.record import Storage

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Function:
    """A function of every element, by its name in :data:`FUNCTIONS`, or "clip" to [low, high]."""

    name: str
    low: float = -math.inf
    high: float = math.inf

    def __call__(self, x: Floats) -> Floats:
        """Element by element, in float32."""
        if self.name == "clip":
            clipped: Floats = np.clip(x, np.float32(self.low), np.float32(self.high))
            return clipped
        return FUNCTIONS[self.name](x)


def _relu(x: Floats) -> Floats:
    rectified: Floats = np.maximum(x, np.float32(0))
    return rectified


def _sigmoid(x: Floats) -> Floats:
    # exp of a negative number only, so that nothing overflows
    e = np.exp(-np.abs(x))
    share: Floats = (np.where(x >= 0, 1, e) / (1 + e)).astype(np.float32)
    return share


def _tanh(x: Floats) -> Floats:
    return np.tanh(x).astype(np.float32)


#: element-wise functions between the layers
FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "relu": _relu,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
}

#: torch modules that are such a function, or nothing at all in inference
_MODULES: dict[type[nn.Module], str | None] = {
    nn.ReLU: "relu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.Dropout: None,
    nn.Identity: None,
}

Stage = DeltaLayer | Function


class Compiled:
    """A chain of delta layers and functions that runs step by step: NumPy in, NumPy out.

    ``step(x)``, ``run(sequence)`` (time first), ``reset()``, ``state`` and ``statistics`` are those
    of :class:`~tospike.kernels.delta.DeltaEngine`, over all layers. Picklable; one instance may be
    used from several threads. An input that is not finite is refused before any state changes;
    should a finite input overflow float32 between two layers, the layers before it have moved on
    and :meth:`reset` is due.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        streams: int = 1,
        storage: Storage = "float32",
        accumulation: Accumulation = "float",
        fraction_bits: int = 8,
        threads: int = 1,
    ) -> None:
        self.streams = streams
        self._stages: list[DeltaEngine | Function] = []
        pending: list[DeltaLayer] = []

        def flush() -> None:
            if pending:
                engine = DeltaEngine(
                    list(pending), streams=streams, storage=storage, accumulation=accumulation,
                    fraction_bits=fraction_bits, threads=threads,
                )  # fmt: skip
                self._stages.append(engine)
                pending.clear()

        for stage in stages:
            if isinstance(stage, DeltaLayer):
                pending.append(stage)
            else:
                flush()
                self._stages.append(stage)
        flush()
        if not self._engines:
            raise ConversionError("compile a network without a layer")
        self._lock = threading.Lock()

    @property
    def _engines(self) -> list[DeltaEngine]:
        return [stage for stage in self._stages if isinstance(stage, DeltaEngine)]

    @property
    def inputs(self) -> int:
        """Elements of one input vector."""
        return self._engines[0].inputs

    @property
    def outputs(self) -> int:
        """Elements of one output vector."""
        return self._engines[-1].outputs

    @property
    def layers(self) -> tuple[PackedLayer, ...]:
        """The layers with their weights as they are stored, from input to output."""
        return tuple(layer for engine in self._engines for layer in engine.layers)

    def step(self, x: ArrayLike, out: Floats | None = None) -> Floats:
        """One time step: (I,) or (streams, I) -> (O,) or (streams, O).

        ``out``: C-contiguous float32 array for the result, which is then returned; without it a new
        one is made.
        """
        return self._through(np.asarray(x, np.float32), "step", out)

    def run(self, sequence: ArrayLike, out: Floats | None = None) -> Floats:
        """A sequence (T, I) or (T, streams, I) -> (T, O) or (T, streams, O), from the state on.

        The same numbers as T calls of :meth:`step`; ``out`` as there.
        """
        return self._through(np.asarray(sequence, np.float32), "run", out)

    def _through(self, values: Floats, how: str, out: Floats | None) -> Floats:
        if out is not None:
            self._check_out(values, out)
        with self._lock:
            last = self._stages[-1]
            for stage in self._stages:
                if isinstance(stage, Function):
                    values = stage(values)
                else:
                    into = out if stage is last else None
                    values = stage.step(values, into) if how == "step" else stage.run(values, into)
        if out is not None and out is not values:
            out[...] = values
            return out
        return values

    def _check_out(self, values: Floats, out: Floats) -> None:
        """Before any layer has moved on."""
        shape = (*values.shape[:-1], self.outputs)
        if out.shape != shape or out.dtype != np.float32 or not out.flags.carray:
            raise DataError(
                "run the compiled network",
                received=f"out of shape {out.shape} and type {out.dtype}",
                allowed=f"a writable C-contiguous float32 array of shape {shape}",
            )

    def reset(self) -> None:
        """All states to where they were at the start. Statistics are kept."""
        with self._lock:
            for engine in self._engines:
                engine.reset()

    def reset_statistics(self) -> None:
        """Counters to zero."""
        with self._lock:
            for engine in self._engines:
                engine.reset_statistics()

    @property
    def state(self) -> tuple[tuple[LayerState, ...], ...]:
        """Copies of the states, per engine and layer; may be assigned to go back."""
        with self._lock:
            return tuple(engine.state for engine in self._engines)

    @state.setter
    def state(self, state: tuple[tuple[LayerState, ...], ...]) -> None:
        with self._lock:
            for engine, saved in zip(self._engines, state, strict=True):
                engine.state = saved

    @property
    def statistics(self) -> tuple[LayerStatistics, ...]:
        """Per layer, from input to output."""
        with self._lock:
            return tuple(one for engine in self._engines for one in engine.statistics)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(saved)
        self._lock = threading.Lock()


def compile(
    module: nn.Module,
    *,
    streams: int = 1,
    storage: Storage = "float32",
    accumulation: Accumulation = "float",
    fraction_bits: int = 8,
    threads: int = 1,
) -> Compiled:
    """Compile a recurrent torch network into a streaming NumPy program.

    Parameters
    ----------
    module : a GRU, LSTM, RNN or their delta layers, or a ``Sequential`` of these with ``Linear``,
        ``ReLU``, ``Sigmoid``, ``Tanh``, ``Dropout`` and ``Identity``, nested as you like. Dense
        layers run with a threshold of 0: they skip only what does not change at all.
    streams : independent sequences side by side.
    storage, accumulation, fraction_bits, threads : see :class:`~tospike.kernels.delta.DeltaEngine`.

    Raises
    ------
    ConversionError
        Other modules; all are listed.
    """
    reasons: list[str] = []
    stages = _stages(module, "", reasons)
    if reasons:
        raise ConversionError(
            f"compile {type(module).__name__}",
            allowed="GRU, LSTM, RNN, their delta layers, Linear, "
            + ", ".join(kind.__name__ for kind in _MODULES)
            + ", and Sequential of these",
            fix="compile the recurrent part by itself",
            reasons=reasons,
        )
    return Compiled(
        stages,
        streams=streams,
        storage=storage,
        accumulation=accumulation,
        fraction_bits=fraction_bits,
        threads=threads,
    )


def _stages(module: nn.Module, name: str, reasons: list[str]) -> list[Stage]:
    if isinstance(module, nn.Sequential):
        return [
            stage
            for child, part in module.named_children()
            for stage in _stages(part, f"{name}.{child}".lstrip("."), reasons)
        ]
    if isinstance(module, _DeltaRecurrent):
        return list(_recurrent(module))
    if isinstance(module, nn.RNNBase):
        dense = delta_network(module)
        assert isinstance(dense, _DeltaRecurrent)
        return list(_recurrent(dense))
    if isinstance(module, nn.Linear):
        return [_linear(module)]
    if isinstance(module, Clip):
        return [Function("clip", module.low, module.high)]
    if type(module) in _MODULES:
        function = _MODULES[type(module)]
        return [] if function is None else [Function(function)]
    where = f" ({name})" if name else ""
    reasons.append(f"{type(module).__name__}{where}")
    return []


def _recurrent(module: _DeltaRecurrent) -> list[DeltaLayer]:
    def array(name: str) -> Floats:
        return np.ascontiguousarray(module.get_parameter(name).detach().float().numpy())

    layers = []
    for level in range(module.num_layers):
        rows = module.gates * module.hidden_size
        nothing = np.zeros(rows, np.float32)
        layers.append(
            DeltaLayer(
                module.kind,
                array(f"weight_ih_l{level}"),
                array(f"weight_hh_l{level}"),
                array(f"bias_ih_l{level}") if module.bias else nothing,
                array(f"bias_hh_l{level}") if module.bias else nothing,
                theta_x=float(abs(module.get_parameter("theta_x").detach()[level])),
                theta_h=float(abs(module.get_parameter("theta_h").detach()[level])),
            )
        )
    return layers


def _linear(module: nn.Linear) -> DeltaLayer:
    weight = np.ascontiguousarray(module.weight.detach().float().numpy())
    nothing = np.zeros(len(weight), np.float32)
    bias = nothing if module.bias is None else module.bias.detach().float().numpy()
    theta = float(abs(module.theta_x.detach()[0])) if isinstance(module, DeltaLinear) else 0.0
    return DeltaLayer("linear", weight, None, bias, nothing, theta_x=theta)
