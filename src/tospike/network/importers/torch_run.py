"""Run an unedited module with every operation intercepted, and leave no trace in the module.

:class:`Interceptor` sees the operations below autograd and above their decomposition, so that a
``linear`` is one ``linear``. It knows the module under way, takes the operations with synapses
apart (:mod:`tospike.network.importers.torch_synapses`) and hands them to a subclass.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch.func import functional_call
from torch.nn.modules import module as nn_module
from torch.utils._python_dispatch import TorchDispatchMode

from tospike.errors import ModelError, TospikeError
from tospike.network.importers import torch_tables as tables
from tospike.network.importers.neurons import reset_states
from tospike.network.importers.torch_synapses import SYNAPSES, Operation

#: (module path, operation, how often it ran before in this call of the module)
Key = tuple[str, str, int]


@dataclass(slots=True)
class Frame:
    """One module call under way."""

    module: torch.nn.Module
    path: str
    counts: dict[str, int] = field(default_factory=dict)


class _Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Passes every operation on to an :class:`Interceptor`."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Else torch imports its compiler (seconds) and wraps every call (microseconds).
        return False

    def __init__(self, target: Interceptor) -> None:
        cast(Any, super()).__init__()
        self.target = target

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.target.dispatch(self, func, args, kwargs or {})


class Interceptor:
    """Base of the tracing mode and of the measuring mode."""

    def __init__(self, root: torch.nn.Module) -> None:
        self.root = root
        self.paths = {id(m): path for path, m in root.named_modules()}
        self.frames = [Frame(root, "")]

    # -- to be written by the subclass -----------------------------------------------------

    def on_synapses(
        self, key: Key, operation: Operation, outputs: tuple[torch.Tensor, ...]
    ) -> None:
        """An operation with synapses has run."""
        raise NotImplementedError

    def on_other(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run any other operation, and return its result."""
        raise NotImplementedError

    def on_enter(self, module: torch.nn.Module, path: str, inputs: Any) -> None:
        """A module is called."""

    def on_module(self, module: torch.nn.Module, path: str, output: Any) -> None:
        """A module has returned."""

    # -- dispatch ----------------------------------------------------------------------------

    def dispatch(self, mode: _Mode, func: Any, args: Any, kwargs: Any) -> Any:
        """Run one operation: taken apart, decomposed or as it is."""
        parse = SYNAPSES.get(func)
        if parse is not None:
            outputs, operations = parse(func, args, kwargs)
            for operation, results in operations:
                self.on_synapses(self.key(operation.op), operation, results)
            return outputs
        if tables.must_decompose(func):
            with mode:
                return func.decompose(*args, **kwargs)
        return self.on_other(func, args, kwargs)

    def key(self, op: str) -> Key:
        """The next key of ``op`` in the module under way."""
        frame = self.frames[-1]
        index = frame.counts.get(op, 0)
        frame.counts[op] = index + 1
        return frame.path, op, index

    # -- modules -----------------------------------------------------------------------------

    def _enter(self, module: torch.nn.Module, inputs: Any) -> None:
        path = self.paths.get(id(module))
        if path is not None:
            self.on_enter(module, path, inputs)
            self.frames.append(Frame(module, path))

    def _leave(self, module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        if id(module) not in self.paths:
            return
        # Frames above belong to modules whose exception was caught inside the model.
        while len(self.frames) > 1 and self.frames.pop().module is not module:
            pass
        self.on_module(module, self.paths[id(module)], output)

    def run(
        self,
        inputs: Mapping[str, Any] | tuple[Any, ...],
        tensors: Mapping[str, torch.Tensor] | None = None,
    ) -> Any:
        """``root(*inputs)`` intercepted; a failing model becomes a :class:`ModelError`.

        ``tensors`` stand in for the parameters and buffers of these names.
        """
        positional, named = (), {}
        if isinstance(inputs, Mapping):
            named = dict(inputs)
        else:
            positional = inputs
        self.frames = [Frame(self.root, "")]
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(_below_autograd())
            stack.enter_context(_plain_attention())
            stack.enter_context(_uncompiled())
            handles = (
                nn_module.register_module_forward_pre_hook(self._enter),
                nn_module.register_module_forward_hook(self._leave),
            )
            for handle in handles:
                stack.callback(handle.remove)
            stack.enter_context(_Mode(self))
            try:
                if tensors is not None:
                    return functional_call(self.root, dict(tensors), positional, named)
                return self.root(*positional, **named)
            except TospikeError:
                raise
            except Exception as error:
                raise self._failure(error, inputs) from error

    def _failure(self, error: Exception, inputs: Any) -> ModelError:
        path = self.frames[-1].path
        module = self.frames[-1].module
        name = f"layer {path!r}" if path else "the model"
        text = str(error).strip()
        # some models raise pages; the error must fit on a screen
        text = text if len(text) <= 800 else f"{text[:800]} [...]"
        text = "\n".join(text.splitlines()[:12])
        return ModelError(
            f"run the model {type(self.root).__name__}",
            received=f"{type(error).__name__}: {text}",
            where=f"{name} ({type(module).__name__}), model input {describe(inputs)}",
            allowed="a model that runs on the input given",
            fix="check that model(input) runs in plain PyTorch, with this shape and dtype",
        )


def describe(value: Any) -> str:
    """Shapes and dtypes of tensors in (nested) inputs: "(1, 3, 32, 32) float32"."""
    if isinstance(value, torch.Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={describe(item)}" for key, item in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(describe(item) for item in value) or "nothing"
    return type(value).__name__


def _below_autograd() -> Any:
    """Guard under which composite operations reach the mode whole (not so with autograd)."""
    return torch._C._AutoDispatchBelowAutograd()


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Without the fused transformer path, which hides the projections."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _uncompiled() -> AbstractContextManager[Any]:
    """Code that went through ``torch.compile`` runs as written, so that its operations show."""
    # Else torch imports its compiler (seconds) for models that never use it.
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


def uncompiled(model: torch.nn.Module) -> torch.nn.Module:
    """The module inside of the wrapper that ``torch.compile`` puts around it."""
    if "torch._dynamo" in sys.modules:
        wrapper = sys.modules["torch._dynamo"].OptimizedModule
        while isinstance(model, wrapper):
            model = model._orig_mod
    return model


class ModuleState:
    """State of a module: training flags, buffers, plain attributes, the random generator.

    Parameters are never written by a forward pass without gradients and are not copied.
    """

    def __init__(self, root: torch.nn.Module) -> None:
        self.flags = [(m, m.training) for m in root.modules()]
        # Compiled modules keep their attributes outside of Python; only their tensors are saved.
        self.modules = [
            (m, dict(m.__dict__), dict(m._buffers), _contents(m))
            for m in root.modules()
            if not isinstance(m, torch.jit.ScriptModule)
        ]
        self.tensors = [
            (t, t.detach().clone())
            for m in root.modules()
            for t in (*m._buffers.values(), *_plain_tensors(m))
            if t is not None and t.device.type != "meta"
        ]
        self.rng = torch.random.get_rng_state()

    def changed(self) -> tuple[str, ...]:
        """Class names of modules whose attributes or buffers differ from the saved state."""
        found = []
        ids = {id(t): c for t, c in self.tensors}
        for m, attributes, buffers, contents in self.modules:
            now = {k: v for k, v in m.__dict__.items() if k != "training"}
            same = all(attributes.get(k) is v for k, v in now.items())
            same = same and all(m._buffers.get(k) is v for k, v in buffers.items())
            same = same and all(_equal_contents(c, copy) for c, copy in contents)
            for t in (*buffers.values(), *_plain_tensors(m)):
                if t is not None and id(t) in ids:
                    same = same and torch.equal(t, ids[id(t)])
            if not same:
                found.append(type(m).__name__)
        return tuple(sorted(set(found)))

    def restore(self) -> None:
        """Put everything back."""
        with torch.no_grad():
            for tensor, copy in self.tensors:
                if tensor.shape == copy.shape:
                    tensor.copy_(copy)
        for m, attributes, buffers, contents in self.modules:
            m.__dict__.clear()
            m.__dict__.update(attributes)
            m._buffers.clear()
            m._buffers.update(buffers)
            for container, copy in contents:
                container.clear()
                if isinstance(container, dict):
                    container.update(copy)
                else:
                    container.extend(copy)
        for m, training in self.flags:
            m.training = training
        torch.random.set_rng_state(self.rng)


#: attributes that torch.nn.Module itself keeps
_OWN = frozenset(torch.nn.Module().__dict__) - {"training"}


def _contents(m: torch.nn.Module) -> list[tuple[Any, Any]]:
    """(container, copy) of the plain lists and dicts of a module."""
    return [
        (value, value.copy())
        for key, value in m.__dict__.items()
        if key not in _OWN and type(value) in (dict, list)
    ]


def _equal_contents(container: Any, copy: Any) -> bool:
    if len(container) != len(copy):
        return False
    if isinstance(container, dict):
        return all(copy.get(key) is value for key, value in container.items())
    return all(a is b for a, b in zip(container, copy, strict=True))


def _plain_tensors(m: torch.nn.Module) -> list[torch.Tensor]:
    """Tensors kept as plain attributes, also one level down in lists and dicts."""
    found = []
    for key, value in m.__dict__.items():
        if key in _OWN:
            continue
        items = (
            value.values() if type(value) is dict else value if type(value) is list else (value,)
        )
        found += [t for t in items if type(t) is torch.Tensor and t.device.type != "meta"]
    return found


@contextmanager
def untouched(root: torch.nn.Module) -> Iterator[ModuleState]:
    """Evaluation mode and neurons at rest inside; afterwards all is as before.

    The state that is handed out is the one inside, to be restored between inferences.
    """
    state = ModuleState(root)
    try:
        root.eval()
        yield ModuleState(root) if reset_states(root) else state
    finally:
        state.restore()


def as_inputs(example: Any) -> Mapping[str, Any] | tuple[Any, ...]:
    """An example input as positional or keyword arguments."""
    if isinstance(example, Mapping):
        return dict(example)
    if isinstance(example, tuple | list):
        return tuple(example)
    return (example,)


def map_tensors(function: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """``function`` on every tensor of nested tuples, lists and mappings."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {key: map_tensors(function, item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = [map_tensors(function, item) for item in value]
        named = isinstance(value, tuple) and type(value) is not tuple  # a namedtuple
        return type(value)(*items) if named else type(value)(items)
    return value


def with_tensors(value: Any, dtype: torch.dtype) -> Any:
    """NumPy arrays in nested inputs as tensors; floating-point ones of ``dtype``."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiubc":
        tensor = torch.tensor(value)
        return tensor.to(dtype) if value.dtype.kind == "f" else tensor
    if isinstance(value, Mapping):
        return {key: with_tensors(item, dtype) for key, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)(with_tensors(item, dtype) for item in value)
    return value


def tensors_in(value: Any) -> list[torch.Tensor]:
    """All tensors in nested tuples, lists and mappings, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [t for item in value for t in tensors_in(item)]
    return []


def batch_dim_faults(batch_dim: Any) -> list[str]:
    """Reasons against a ``batch_dim``."""
    whole = isinstance(batch_dim, int) and not isinstance(batch_dim, bool)
    if batch_dim is None or (whole and batch_dim >= 0):
        return []
    return [f"batch_dim is {batch_dim!r}; None or a whole number >= 0 is needed"]


def n_samples_of(inputs: Any, batch_dim: int) -> int:
    """Size along ``batch_dim`` of the first tensor that has this dimension; 0 without any."""
    sizes = (int(t.shape[batch_dim]) for t in tensors_in(inputs) if t.dim() > batch_dim)
    return next(sizes, 0)


def resized(inputs: Any, batch_dim: int, wanted: int) -> Any:
    """The inputs with ``wanted`` samples, the first one repeated where more are needed."""
    n_samples = n_samples_of(inputs, batch_dim)
    if not n_samples:
        return inputs

    def resize(t: torch.Tensor) -> torch.Tensor:
        if t.dim() <= batch_dim or t.shape[batch_dim] != n_samples:
            return t
        if wanted <= n_samples:
            return t.narrow(batch_dim, 0, wanted)
        first = t.narrow(batch_dim, 0, 1)
        return torch.cat([t, *[first] * (wanted - n_samples)], dim=batch_dim)

    return map_tensors(resize, inputs)
