"""The network of a claim: a zoo topology, a table of layer shapes, or only totals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from tospike.checking.record import Claim
from tospike.checking.schema import LayerModel
from tospike.errors import DataError
from tospike.network import INPUT, Edge, Layer, Network, Origin
from tospike.network.zoo import load_zoo


@dataclass(frozen=True)
class Shape:
    """What the claim says about the network, in numbers; None: it does not say.

    ``network`` has one layer named "network" (and one named "first layer") where only totals are
    known; ``macs`` and the others are of one pass, per inference. ``after_addition`` are the
    layers that read the sum of two branches; ``residual_share`` is their share of the MACs
    without an analog first layer.
    """

    network: Network | None
    macs: float | None
    first_macs: float | None
    neurons: float | None
    parameters: float | None
    first: tuple[str, ...]
    after_addition: tuple[str, ...]
    residual_share: float | None
    assumptions: tuple[str, ...] = ()


@cache
def _zoo(name: str) -> Network:
    return load_zoo(name)


def shape_of(claim: Claim) -> Shape:
    """Builds the network and its totals. Printed totals overrule those of a zoo network."""
    form = claim.form.network
    printed = {
        key: found.value if found else None
        for key, found in (
            ("macs", claim.macs),
            ("first_macs", claim.first_layer_macs),
            ("neurons", claim.neurons),
            ("parameters", claim.parameters),
        )
    }
    if not (form.zoo or form.layers):
        return _from_totals(printed, form.residual_share)
    network = _zoo(form.zoo) if form.zoo else _from_layers(form.layers, claim.name)
    unknown = sorted(set(claim.form.snn.layer_firing_rates) - set(network.by_name))
    if unknown:
        raise DataError(
            f"read the claim {claim.name!r}",
            received=f"{len(unknown)} fault(s)",
            allowed=", ".join(layer.name for layer in network.synaptic_layers),
            fix="use the names that `tospike inspect` prints",
            reasons=[f"snn.layer_firing_rates: no layer {name!r}" for name in unknown],
        )
    first = _first(network)
    summed = _after_addition(network, form.layers)
    counted = {
        "macs": float(network.n_synapses),
        "first_macs": float(sum(network[name].n_synapses for name in first)),
        "neurons": float(network.n_neurons),
        "parameters": float(network.n_weights),
    }
    values = {key: value if value is not None else counted[key] for key, value in printed.items()}
    analog = first if claim.form.snn.input == "direct" else ()
    rest = counted["macs"] - sum(network[name].n_synapses for name in analog)
    own = sum(network[name].n_synapses for name in summed if name not in analog)
    share = form.residual_share
    if share is None:
        share = own / rest if rest else 0.0
    return Shape(
        network, values["macs"], values["first_macs"], values["neurons"], values["parameters"],
        first, summed, share,
    )  # fmt: skip


def _first(network: Network) -> tuple[str, ...]:
    """Synaptic layers that read the network input."""
    found = [edge.target for edge in network.synaptic_edges if edge.source == INPUT]
    return tuple(dict.fromkeys(found)) or tuple(layer.name for layer in network.synaptic_layers[:1])


def _after_addition(network: Network, rows: list[LayerModel]) -> tuple[str, ...]:
    """Synaptic layers that an addition of two branches feeds, through layers without synapses."""
    declared = [
        layer.name for layer, row in zip(network.layers, rows, strict=False) if row.after_addition
    ]
    if rows:
        return tuple(declared)
    before: dict[str, list[str]] = {}
    for edge in network.edges:
        before.setdefault(edge.target, []).append(edge.source)
    found = []
    for layer in network.synaptic_layers:
        stack, seen = list(before.get(layer.name, ())), set()
        while stack:
            name = stack.pop()
            if name in seen or name == INPUT or network.by_name[name].synaptic:
                continue
            seen.add(name)
            if network.by_name[name].kind == "add":
                found.append(layer.name)
                break
            stack += before.get(name, ())
    return tuple(found)


def _from_layers(rows: list[LayerModel], name: str) -> Network:
    layers = tuple(_layer(row, i) for i, row in enumerate(rows))
    names = [layer.name for layer in layers]
    if len(set(names)) != len(names):
        raise DataError(
            f"read the claim {name!r}",
            reasons=["network.layers: a given name is also the default name of another layer"],
            fix="name every layer",
        )
    sources = [INPUT, *names[:-1]]
    edges = tuple(
        Edge(source, layer.name, layer.n_inputs)
        for source, layer in zip(sources, layers, strict=True)
    )
    return Network(layers, edges, (names[-1],), Origin("claim", name))


def _layer(row: LayerModel, i: int) -> Layer:
    name = row.name or f"layer{i + 1}"
    if row.kind == "linear":
        n_in, n_out = row.in_features or 0, row.out_features or 0
        return Layer(
            name, "linear", (n_in,), (n_out,), n_synapses=n_in * n_out,
            n_synapses_exact=n_in * n_out, n_neurons=n_out, n_inputs=n_in, n_weights=n_in * n_out,
        )  # fmt: skip
    size = tuple(row.input or ())
    c_in, c_out = row.in_channels or 0, row.out_channels or 0
    kernel, stride, padding = (_wide(v, len(size)) for v in (row.kernel, row.stride, row.padding))
    out = tuple(
        (n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, padding, strict=True)
    )
    if min(out) < 1:
        raise DataError(
            f"read the layer {name!r} of the claim",
            received=f"a kernel of {list(kernel)} on an input of {list(size)}",
            fix="correct kernel, padding or input",
        )
    weights = math.prod(kernel) * c_in // row.groups * c_out
    return Layer(
        name, "conv", (c_in, *size), (c_out, *out), kernel, stride, padding, groups=row.groups,
        n_synapses=weights * math.prod(out), n_synapses_exact=weights * math.prod(out),
        n_neurons=c_out * math.prod(out), n_inputs=c_in * math.prod(size), n_weights=weights,
    )  # fmt: skip


def _wide(value: int | list[int] | None, dimensions: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list) else (value or 0,) * dimensions


def _from_totals(printed: dict[str, float | None], share: float | None) -> Shape:
    """One pseudo-layer, or two if the first layer is known apart."""
    macs, first = printed["macs"], printed["first_macs"]
    neurons, parameters = printed["neurons"], printed["parameters"]
    if macs is None:
        return Shape(None, None, first, neurons, parameters, (), (), share)
    layers, names = [], []
    for name, part in (("first layer", first), ("network", macs - (first or 0.0))):
        if not part or part <= 0:
            continue
        whole = part / macs
        n = round((neurons or 0.0) * whole)
        layers.append(
            Layer(
                name, "conv", n_synapses=round(part), n_synapses_exact=round(part), n_neurons=n,
                n_inputs=n, n_weights=round((parameters or 0.0) * whole),
            )
        )  # fmt: skip
        names.append(name)
    edges = tuple(
        Edge(source, layer.name, layer.n_inputs)
        for source, layer in zip([INPUT, *names[:-1]], layers, strict=True)
    )
    network = Network(tuple(layers), edges, (names[-1],), Origin("claim", "totals"))
    notes = ("only totals are known: reuse and updates are those of one layer of that size",)
    known_first = (names[0],) if first else ()
    return Shape(network, macs, first, neurons, parameters, known_first, (), share, notes)
