"""``load_torch``: any ``torch.nn.Module``, unedited, to a ``Network``.

The module runs once on the example (and once more at another batch size, to learn where the
samples are in every tensor) with each ATen operation intercepted. Weights are recognised by the
memory they are views of, edges follow from what each tensor was computed from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import torch
from torch.nn.parameter import UninitializedParameter

from tospike.errors import ModelError, UnsupportedOperatorError
from tospike.network.importers import torch_tables as tables
from tospike.network.importers.neurons import Population, neuron_notes
from tospike.network.importers.torch_layers import Samples, add_execution, axes_of, site_of
from tospike.network.importers.torch_nodes import Batch, Nodes
from tospike.network.importers.torch_populations import Populations
from tospike.network.importers.torch_provenance import (
    Info,
    Parameters,
    Provenance,
    Ties,
    common_signal,
    distinct_values,
    layer_name_of,
    storage_id,
    union,
)
from tospike.network.importers.torch_run import (
    Interceptor,
    Key,
    as_inputs,
    map_tensors,
    n_samples_of,
    resized,
    tensors_in,
    untouched,
    with_tensors,
)
from tospike.network.importers.torch_shapes import (
    ShapeMode,
    other_batch,
    second_run,
    shapes_of,
    to_meta,
)
from tospike.network.importers.torch_sites import Draft, Execution, Role, Site
from tospike.network.importers.torch_synapses import Operation
from tospike.network.layer import Layer
from tospike.network.network import INPUT, Network, Origin

#: a first run longer than this is repeated on meta tensors: to load torch's machinery for them
#: takes about two seconds
SLOW_SECONDS = 1.0


class TraceMode(Interceptor):
    """First run: executions, provenance and layers without synapses."""

    def __init__(self, root: torch.nn.Module, inputs: Any, input_signal: str = "analog") -> None:
        super().__init__(root)
        self.parameters = Parameters(root)
        self.provenance = Provenance(self.parameters)
        self.inputs = inputs
        for tensor in tensors_in(inputs):
            self.provenance.set(tensor, Info(frozenset({INPUT}), data=True, signal=input_signal))
        self.executions: list[Execution | None] = []
        self.keys: list[Key] = []
        self.ignored: set[Key] = set()
        self.nodes = Nodes()
        self.unsupported: Counter[str] = Counter()
        self.notes: set[str] = set()
        self.ties = Ties()
        self.populations = Populations(root, self.nodes, self.provenance)

    # -- synapses ----------------------------------------------------------------------------

    def on_synapses(
        self, key: Key, operation: Operation, outputs: tuple[torch.Tensor, ...]
    ) -> None:
        get = self.provenance.get
        a, b = get(operation.a), get(operation.b)
        role = self._role(operation, a, b)
        self.keys.append(key)
        if role is None:
            for out in outputs:
                self.provenance.set(out, union((a, b)))
            self.executions.append(None)
            self.ignored.add(key)
            self.notes.add("products of parameters among themselves are not counted")
            return
        weight, info = (operation.a, a) if role == "b" else (operation.b, b)
        stored = False
        if role == "both" or info.data:
            name, n_weights = self.nodes.product_name(key), 0
        else:
            name = self._weight_name(key, weight, info)
            n_weights = distinct_values(weight)
            stored = self.parameters.name(weight, key[0]) is not None
            if stored:
                self.ties.add(name, weight)
        bias = operation.bias
        weighted_bias = bias is not None and not get(bias).data
        activation = b if role == "b" else a
        signal, steps = activation.signal if activation.data else "none", activation.steps
        own = self.parameters.name(weight, key[0])
        back = self.populations.back_signal(own[0] if own else None)
        if back is not None:
            signal, steps = back, 1
        self.executions.append(
            Execution(
                key,
                name,
                operation.form,
                role,
                operation.linear,
                shapes_of(operation, outputs),
                operation.geometry,
                n_weights,
                self._n_biases(operation) if weighted_bias else 0,
                # a weight computed anew in every run has no address to know it by
                weight.data_ptr() if stored else 0,
                signal,
                operation.packed,
                steps,
            )
        )
        incoming = [operation.b] if role == "b" else [operation.a]
        if role == "both":
            incoming.append(operation.b)
        incoming += [t for t in (operation.c, bias) if t is not None and get(t).data]
        self.nodes.connect(name, [(t, get(t)) for t in incoming])
        made = Info(frozenset({name}), data=True)
        for out in outputs:
            # input and hidden synapses, in both directions, write one output
            shared = operation.form in ("rnn_input", "rnn_hidden")
            self.provenance.set(out, union((get(out), made)) if shared else made)

    def _role(self, operation: Operation, a: Info, b: Info) -> Role | None:
        """Which operand is the activation; None for a product of parameters among themselves."""
        if operation.form != "product" or operation.linear:
            return "both" if b.data else "a"
        if a.data:
            return "both" if b.data else "a"
        if b.data:
            return "b"
        if bool(a.params) == bool(b.params):
            return None
        return "b" if a.params else "a"

    def _n_biases(self, operation: Operation) -> int:
        bias = operation.bias
        if bias is None:
            return 0
        # GRU, LSTM and RNN have one bias per weight matrix
        return distinct_values(bias)

    def _weight_name(self, key: Key, weight: torch.Tensor, info: Info) -> str:
        found = self.parameters.name(weight, key[0])
        if found is not None:
            name, parameter = found
            whole = distinct_values(weight) == parameter.numel()
            part = None if whole else (weight.storage_offset(), distinct_values(weight))
            return self.nodes.weight_name(layer_name_of(name), name, part)
        if info.params:
            largest = max(sorted(info.params), key=lambda n: self.parameters.sizes[n])
            return self.nodes.weight_name(layer_name_of(largest), largest, "computed")
        return self.nodes.product_name(key)

    # -- everything else -----------------------------------------------------------------------

    def on_other(self, func: Any, args: Any, kwargs: Any) -> Any:
        inputs = tensors_in([args, kwargs])
        infos = [(t, self.provenance.get(t)) for t in inputs]
        before = union(info for _, info in infos)
        out = func(*args, **kwargs)
        outputs = tensors_in(out)
        kind = tables.kind_of(func)
        # The second run counts every operation, so the first one does, whether or not it matters.
        key = None if tables.moves_only(func) else self.key(f"other:{kind}")
        if not before.data:
            self._note_outputs(func, args, inputs, outputs, before)
            return out
        if tables.base_name(func) in tables.EMPTY:
            before = replace(before, signal="none")
        if tables.may_hide_synapses(func):
            large = any(not i.data and i.params and t.dim() > 1 for t, i in infos)
            # packed weights of quantised operators are no tensors
            if large or any(isinstance(v, torch.ScriptObject) for v in args):
                self.unsupported[f"{func._schema.name}.{func._overloadname}"] += 1
        if key is None:
            self._note_outputs(func, args, inputs, outputs, before)
            return out
        inside = self.populations.around(self.frames)
        if inside is not None:
            made = self.populations.operation(inside, infos)
            self._note_outputs(func, args, inputs, outputs, made)
            return out
        data = [(t, info) for t, info in infos if info.data]
        first = next(i for i, (_, info) in enumerate(infos) if info.data)
        if kind == "mul":
            self._note_broadcast(infos, outputs)
        name = self.nodes.other(key, kind, self.frames[-1].module, data, first, outputs, args)
        signal = self._signal_of(func, kind, before, infos)
        steps = _steps_after(kind, args, before.steps, inputs, outputs)
        fresh = Info(frozenset({name}), data=True, signal=signal, steps=steps)
        self._note_outputs(func, args, inputs, outputs, fresh)
        return out

    def _signal_of(
        self, func: Any, kind: str, before: Info, infos: list[tuple[torch.Tensor, Info]]
    ) -> str:
        # a product of two spikes is their AND
        both = kind == "mul" and len(infos) == 2 and all(info.data for _, info in infos)
        return before.signal if both or tables.keeps_spikes(func, kind) else "analog"

    def _note_broadcast(
        self, infos: list[tuple[torch.Tensor, Info]], outputs: list[torch.Tensor]
    ) -> None:
        """A product that meets every value with several weights is said: no synapses are seen."""
        size = max(t.numel() for t, info in infos if info.data)
        for t, info in infos:
            matrix = info.params and not info.data and sum(s > 1 for s in t.shape) > 1
            if matrix and outputs and outputs[0].numel() > size:
                name = sorted(info.params)[0]
                self.notes.add(f"elementwise products with {name!r} are not counted as synapses")

    def _note_outputs(
        self,
        func: Any,
        args: Any,
        inputs: list[torch.Tensor],
        outputs: list[torch.Tensor],
        info: Info,
    ) -> None:
        if func._schema.is_mutable:
            for argument, value in zip(func._schema.arguments, args, strict=False):
                if argument.alias_info is not None and argument.alias_info.is_write:
                    for t in tensors_in(value):
                        self.provenance.set(t, info)
            return
        shared = {storage_id(t) for t in inputs}
        for tensor in outputs:
            # A view shares the storage of what it was taken from, whose provenance stands.
            if storage_id(tensor) not in shared:
                self.provenance.set(tensor, info)

    def on_enter(self, module: torch.nn.Module, path: str, inputs: Any) -> None:
        self.populations.on_enter(module, path, inputs)

    def on_module(self, module: torch.nn.Module, path: str, output: Any) -> None:
        if self.populations.on_leave(module, path, output):
            return
        signal = tables.signal_of_module(module)
        tensors = tensors_in(output)
        if signal is not None and tensors:
            info = self.provenance.get(tensors[0])
            self.provenance.set(tensors[0], Info(info.sources, True, info.params, signal))


def _steps_after(
    kind: str, args: Any, steps: int, inputs: list[torch.Tensor], outputs: list[torch.Tensor]
) -> int:
    """Time steps left in the result: a sum or mean over one of the first two axes takes them."""
    if kind not in tables.REDUCES or steps < 2 or not inputs or not outputs or len(args) < 2:
        return steps
    axes = args[1] if isinstance(args[1], list | tuple) else (args[1],)
    first = len(axes) == 1 and axes[0] in (0, 1, -inputs[0].dim(), 1 - inputs[0].dim())
    return 1 if first and outputs[0].numel() * steps == inputs[0].numel() else steps


@dataclass(frozen=True)
class Trace:
    """A network and the places where its layers run."""

    network: Network
    sites: Mapping[Key, tuple[Site, ...]]
    stateful: tuple[str, ...]
    ignored: frozenset[Key]
    populations: Mapping[str, Population]


def load_torch(model: torch.nn.Module, example: Any, *, batch_dim: int | None = 0) -> Network:
    """See :func:`tospike.network.importers.load`."""
    return trace(model, example, batch_dim=batch_dim).network


def trace(
    model: torch.nn.Module,
    example: Any,
    *,
    batch_dim: int | None = 0,
    input_signal: str = "analog",
) -> Trace:
    """Run ``model`` on ``example`` and record all layers. The module is left as it was."""
    check_parameters(model)
    inputs = _on_device(model, as_inputs(_checked_example(model, example)))
    n_samples = _batch_size(inputs, batch_dim)
    with untouched(model) as state:
        # Copies: a model may write into its input.
        again = map_tensors(torch.clone, inputs)
        mode = TraceMode(model, map_tensors(torch.clone, inputs), input_signal)
        start = perf_counter()
        outputs = mode.run(mode.inputs)
        slow = perf_counter() - start > SLOW_SECONDS
        changed = state.changed()
        state.restore()
        model.eval()
        other = other_batch(n_samples)
        second = None
        if batch_dim is not None:
            second = second_run(model, resized(again, batch_dim, other), state, on_meta=slow)
    if mode.unsupported:
        raise UnsupportedOperatorError(
            f"count the synapses of {type(model).__name__}",
            received=f"{len(mode.unsupported)} unknown operators that take weights",
            allowed="operators of PyTorch, and operators without weights",
            fix="write the operator with PyTorch functions, or export the model to ONNX",
            reasons=[f"{name}: {n} times" for name, n in sorted(mode.unsupported.items())],
        )
    return _finish(model, mode, outputs, second, n_samples, other, batch_dim, changed)


def _finish(
    model: torch.nn.Module,
    mode: TraceMode,
    outputs: Any,
    second: ShapeMode | None,
    n_samples: int,
    other: int,
    batch_dim: int | None,
    changed: tuple[str, ...],
) -> Trace:
    if second is not None and [key for key, _ in second.found] != mode.keys:
        second = None
    samples = Samples(n_samples, other, batch_dim is not None)
    drafts: dict[str, Draft] = {}
    sites: dict[Key, list[Site]] = {}
    found = mode.populations
    synaptic = {e.name: e for e in mode.executions if e is not None}
    feeds, near = found.fed_by(mode.nodes.ends, synaptic)
    for i, execution in enumerate(_settled(mode, near)):
        if execution is None:
            continue
        shapes = second.found[i][1] if second is not None else None
        axes = axes_of(execution, shapes, samples)
        name = execution.name
        drafts[name] = add_execution(drafts.get(name), execution, axes, n_samples)
        site = site_of(execution, axes)
        if site not in sites.setdefault(execution.key, []):
            sites[execution.key].append(site)
    notes = set(mode.notes)
    if changed:
        notes.add(f"keeps state between calls: {', '.join(changed)}")
    batch = Batch(n_samples, other, batch_dim, second.others if second is not None else {})
    for name, (holder, n) in mode.ties.found.items():
        drafts[name].extra |= {"tied_to": holder, "tied_weights": n}
    layers, edges, dropped = mode.nodes.finish(drafts, batch)
    layers = tuple(_with_neuron(layer, feeds, found) for layer in layers)
    notes |= {f"recurrent connection {source} -> {target}" for source, target in dropped}
    notes |= set(neuron_notes(found.found))
    ends = [s for t in tensors_in(outputs) for s in sorted(mode.provenance.get(t).sources)]
    network = Network(
        layers=layers,
        edges=edges,
        outputs=tuple(dict.fromkeys(s for s in ends if s != INPUT)),
        origin=Origin("torch", type(model).__name__),
        input_shapes=tuple(_without(t.shape, batch_dim) for t in tensors_in(mode.inputs)),
        notes=tuple(sorted(notes)),
    )
    places = {key: tuple(found) for key, found in sites.items()}
    return Trace(network, places, changed, frozenset(mode.ignored), found.found)


def _with_neuron(layer: Layer, feeds: Mapping[str, str], populations: Populations) -> Layer:
    """The layer with the neuron model that it feeds, or, for a population, that it is."""
    own = {name: path for path, name in populations.names.items()}
    path = feeds.get(layer.name, own.get(layer.name))
    if path is None:
        return layer
    return replace(layer, neuron=populations.found[path].neurons.model)


def _settled(mode: TraceMode, near: Mapping[str, str]) -> list[Execution | None]:
    """The executions with one signal per layer, and the time steps of the neurons nearby.

    One analog call among spikes makes a layer's input analog; zeros fit any.
    """
    signals: dict[str, set[str]] = {}
    steps: dict[str, int] = {}
    for execution in mode.executions:
        if execution is not None:
            signals.setdefault(execution.name, set()).add(execution.signal)
            steps[execution.name] = max(steps.get(execution.name, 0), execution.steps)
    names = mode.populations.names
    for layer, path in near.items():
        if not steps.get(layer):
            steps[layer] = mode.populations.steps.get(names[path], 0)
    return [
        replace(e, signal=common_signal(signals[e.name], "analog"), steps=steps.get(e.name, 0))
        if e is not None
        else None
        for e in mode.executions
    ]


def _without(shape: torch.Size, batch_dim: int | None) -> tuple[int, ...]:
    if batch_dim is None or batch_dim >= len(shape):
        return tuple(shape)
    return tuple(shape[:batch_dim]) + tuple(shape[batch_dim + 1 :])


def _batch_size(inputs: Any, batch_dim: int | None) -> int:
    if batch_dim is None:
        return 1
    n_samples = n_samples_of(inputs, batch_dim)
    if n_samples < 1:
        shapes = [t.shape for t in tensors_in(inputs)]
        raise ModelError(
            "trace the model",
            received=f"an example input of shapes {[tuple(s) for s in shapes]}",
            allowed=f"tensors with at least one sample along dimension {batch_dim}",
            fix="give batch_dim=None for an example that is one sample without batch dimension",
        )
    return n_samples


def _checked_example(model: torch.nn.Module, example: Any) -> Any:
    floating = [p.dtype for p in model.parameters() if p.is_floating_point()]
    example = with_tensors(example, floating[0] if floating else torch.get_default_dtype())
    if not tensors_in(example):
        raise ModelError(
            f"trace the model {type(model).__name__}",
            received="no example input" if example is None else f"a {type(example).__name__}",
            allowed="a torch tensor, a tuple or list of tensors, or a mapping of tensors",
            fix="give an input the model accepts: load(model, torch.zeros(1, 3, 224, 224))",
        )
    return example


def _on_device(model: torch.nn.Module, inputs: Any) -> Any:
    """Inputs on the meta device if the parameters are."""
    if any(p.device.type == "meta" for p in model.parameters()):
        return map_tensors(to_meta, inputs)
    return inputs


def check_parameters(model: torch.nn.Module) -> None:
    """Every parameter is initialised and finite, else one error that lists them."""
    reasons = []
    for name, parameter in model.named_parameters():
        if isinstance(parameter, UninitializedParameter):
            reasons.append(f"{name}: not initialised (lazy module; run it once first)")
        elif parameter.device.type != "meta" and parameter.is_floating_point():
            values = parameter.detach()
            # the sum tells in one fast pass; only a bad one is looked into
            n = 0 if values.sum().isfinite() else int((~torch.isfinite(values)).sum())
            if n:
                reasons.append(f"{name}: {n} of {parameter.numel()} values are NaN or infinite")
    if reasons:
        raise ModelError(
            f"use the parameters of {type(model).__name__}",
            received=f"{len(reasons)} parameters that cannot be used",
            allowed="finite numbers",
            fix="load a checkpoint that is whole, or train without overflow",
            reasons=reasons,
        )
