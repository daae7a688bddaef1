"""``read_nir``: a NIR file, or a ``nir.NIRGraph``, as a checked :class:`NirGraph`.

The file is read with h5py alone, so that every fault in it can be told at once; the package
``nir`` is not needed. Nested graphs are flattened. Where the graph has cycles, one edge of each
arrives one step late: see :func:`~tospike.network.importers.nir_order.execution_order`.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tospike.errors import ModelError
from tospike.network.importers.nir_order import execution_order
from tospike.network.importers.nir_record import NirGraph, NirNode, Parameter, Shape
from tospike.network.importers.nir_types import IGNORED, TYPES, ShapeFaultError, parameter_faults

#: graphs in graphs; deeper ones are refused
MAX_DEPTH = 32
#: a dataset that claims more is refused: the file cannot hold it
MAX_BYTES = 1 << 36


@dataclass
class _Flat:
    """What the flattening finds: nodes, edges between them, reasons against the graph."""

    nodes: dict[str, tuple[str, dict[str, Parameter], Mapping[str, Any]]] = field(
        default_factory=dict
    )
    edges: list[tuple[str, str]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def read_nir(source: Any) -> NirGraph:
    """Read and check a NIR graph.

    Parameters
    ----------
    source : the path of a .nir file, or a ``nir.NIRGraph``.

    Raises
    ------
    ModelError : the file is missing, corrupt or truncated; nodes of unknown type, missing or
        unknown parameters, NaN, wrong or missing shapes, edges to nowhere, no Input or Output.
        All reasons at once.
    """
    if isinstance(source, NirGraph):
        return source
    if isinstance(source, str | Path):
        path = Path(source)
        tree, version, sha = _read_tree(path)
        return graph_of_tree(tree, path.name, version, sha)
    if type(source).__name__ == "NIRGraph" and type(source).__module__.startswith("nir."):
        return graph_of_tree(_tree_of(source), "NIRGraph", "", "")
    raise ModelError(
        "read the NIR graph",
        received=f"an object of type {type(source).__module__}.{type(source).__qualname__}",
        allowed="the path of a .nir file, or a nir.NIRGraph",
    )


def _tree_of(graph: Any) -> dict[str, Any]:
    """A ``nir.NIRGraph`` as nested dictionaries; tensors in it become arrays."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): plain(inner) for key, inner in value.items()}
        if type(value).__module__.startswith("torch"):
            import torch

            tensor = isinstance(value, torch.Tensor)
            return value.detach().cpu().numpy() if tensor else list(value)
        return value

    try:
        tree = plain(graph.to_dict())
    except Exception as error:
        raise ModelError(
            "read the NIR graph", received=f"{type(error).__name__}: {error}", where="to_dict()"
        ) from error
    return dict(tree)


# -- the file --------------------------------------------------------------------------------------


def _read_tree(path: Path) -> tuple[dict[str, Any], str, str]:
    """(nested dictionaries, version, sha256) of a file."""
    asked = f"read the NIR file {str(path)!r}"
    try:
        import h5py
    except ImportError as error:
        raise ModelError(
            asked, received="the package h5py is not installed", fix="pip install nir"
        ) from error
    if not path.is_file():
        raise ModelError(asked, received="no such file", where=str(path))
    fault = _crash(path)
    if fault:
        raise ModelError(
            asked,
            received=fault,
            allowed="an intact HDF5 file that nir.write has written",
            fix="write the file again: it is truncated or corrupt",
        )
    try:
        with h5py.File(path, "r") as file:
            if "node" not in file:
                raise ModelError(
                    asked,
                    received="an HDF5 file without the group 'node'",
                    allowed="a file that nir.write has written",
                )
            version = file["version"][()] if "version" in file else b""
            tree = _group(file["node"], h5py, 0)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except ModelError:
        raise
    except Exception as error:  # h5py raises nearly anything for a corrupt file
        line = str(error).strip().splitlines()
        raise ModelError(
            asked,
            received=f"{type(error).__name__}: {line[0] if line else 'no message'}",
            allowed="an intact HDF5 file that nir.write has written",
            fix="write the file again: it is truncated or corrupt",
        ) from error
    text = version.decode("utf8", "replace") if isinstance(version, bytes) else str(version)
    return tree, text, digest


#: reads a whole file and nothing else
_PROBE = """
import sys, h5py
def visit(group):
    for key in group:
        if isinstance(group.get(key, getlink=True), h5py.HardLink):
            item = group[key]
            if isinstance(item, h5py.Group):
                visit(item)
            elif item.size is None or item.size * item.dtype.itemsize <= MAX_BYTES:
                item[()]
with h5py.File(sys.argv[1], "r") as file:
    visit(file)
""".replace("MAX_BYTES", str(MAX_BYTES))


def _crash(path: Path) -> str:
    """Why a file must not be opened here, "" if it may.

    The HDF5 library can crash, or run for ever, on a corrupt file, and would take this process
    with it: another one reads the file first. Its ordinary errors come up again in this process.
    """
    patience = 30 + path.stat().st_size / 10e6
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the HDF5 library does not come to an end with it in {patience:.0f} s"
    except OSError:
        return ""  # no second process can be had: the file is read as it is
    return "the HDF5 library crashes on it" if done.returncode < 0 else ""


def _group(group: Any, h5py: Any, depth: int) -> dict[str, Any]:
    if depth > 3 * MAX_DEPTH:
        raise ValueError("groups are nested too deep")
    found: dict[str, Any] = {}
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(f"{key!r} is a link to another place")
        item = group[key]
        if isinstance(item, h5py.Group):
            found[str(key)] = _group(item, h5py, depth + 1)
            continue
        if item.size is not None and item.size * max(item.dtype.itemsize, 1) > MAX_BYTES:
            raise ValueError(f"{key!r} claims {item.size} values")
        value = item[()]
        found[str(key)] = value.decode("utf8", "replace") if isinstance(value, bytes) else value
    return found


# -- flattening ------------------------------------------------------------------------------------


def graph_of_tree(tree: dict[str, Any], name: str, version: str = "", sha: str = "") -> NirGraph:
    """The checked graph of nested dictionaries as ``nir`` stores them."""
    asked = f"read the NIR graph {name!r}"
    flat = _Flat()
    if tree.get("type") != "NIRGraph":
        raise ModelError(
            asked,
            received=f"a root of type {tree.get('type')!r}",
            allowed="NIRGraph",
            fix="wrap the node in nir.NIRGraph.from_list",
        )
    _flatten(tree, "", flat, 0)
    reasons = [*flat.reasons, *_structure_faults(flat)]
    if reasons:
        raise _refused(asked, reasons)
    order, delayed = execution_order(flat.nodes, flat.edges, _delays(flat), _stateless(flat))
    nodes, notes, faults = _shaped(flat, order, delayed)
    if faults:
        raise _refused(asked, faults)
    metadata = tree.get("metadata")
    kept = dict(metadata) if isinstance(metadata, Mapping) else {}
    return NirGraph(name, tuple(nodes), sha, version, tuple(notes), kept)


def _refused(asked: str, reasons: list[str]) -> ModelError:
    shown = list(dict.fromkeys(reasons))
    if len(shown) > 30:
        shown = [*shown[:30], f"... and {len(shown) - 30} more"]
    return ModelError(
        asked,
        allowed="a graph of NIR 1.0.8 nodes between Input and Output, with all shapes",
        reasons=shown,
    )


def _flatten(tree: Mapping[str, Any], prefix: str, flat: _Flat, depth: int) -> None:
    """Add the nodes and edges of one (nested) graph; inner names get the path in front."""
    here = f"graph {prefix[:-1]!r}" if prefix else "the graph"
    nodes = tree.get("nodes")
    if not isinstance(nodes, Mapping) or not nodes:
        flat.reasons.append(f"{here} has no nodes")
        return
    if depth > MAX_DEPTH:
        flat.reasons.append(f"{here} is nested more than {MAX_DEPTH} deep")
        return
    ports: dict[str, tuple[list[str], list[str]]] = {}
    for key, raw in nodes.items():
        name = f"{prefix}{key}"
        if not isinstance(raw, Mapping) or not isinstance(raw.get("type"), str):
            flat.reasons.append(f"node {name!r} has no type")
        elif raw["type"] == "NIRGraph":
            _flatten(raw, f"{name}.", flat, depth + 1)
            ports[key] = _ports(raw, name)
        else:
            _add_node(name, raw, flat)
    _add_edges(tree, prefix, set(nodes), ports, flat)


def _ports(raw: Mapping[str, Any], name: str) -> tuple[list[str], list[str]]:
    """Inner Input and Output nodes, which stand for a nested graph in edges."""
    inner = raw.get("nodes")
    inner = inner if isinstance(inner, Mapping) else {}
    found: dict[str, list[str]] = {"Input": [], "Output": []}
    for key, node in inner.items():
        if isinstance(node, Mapping) and node.get("type") in found:
            found[node["type"]].append(f"{name}.{key}")
    return found["Input"], found["Output"]


def _add_node(name: str, raw: Mapping[str, Any], flat: _Flat) -> None:
    kind = TYPES.get(raw["type"])
    if kind is None:
        flat.reasons.append(f"node {name!r} has the unknown type {raw['type']!r}")
        return
    if name in flat.nodes:
        flat.reasons.append(f"node name {name!r} is used twice")
    values = dict(raw)
    if raw["type"] == "Flatten":
        values.setdefault("start_dim", 1)
        values.setdefault("end_dim", -1)
        declared = {"input_type": raw["input_type"]} if _is_shape(raw.get("input_type")) else {}
        values = {k: v for k, v in values.items() if k not in IGNORED} | declared
    parameters, faults = parameter_faults(kind, values)
    flat.reasons += [f"node {name!r} ({raw['type']}): {fault}" for fault in faults]
    metadata = raw.get("metadata")
    flat.nodes[name] = (
        raw["type"],
        parameters,
        dict(metadata) if isinstance(metadata, Mapping) else {},
    )


def _is_shape(value: Any) -> bool:
    return value is not None and not isinstance(value, Mapping)


def _add_edges(
    tree: Mapping[str, Any],
    prefix: str,
    own: set[str],
    ports: Mapping[str, tuple[list[str], list[str]]],
    flat: _Flat,
) -> None:
    try:
        pairs = [tuple(_text(end) for end in edge) for edge in tree.get("edges", ())]
    except TypeError:
        pairs = [()]
    for pair in pairs:
        if len(pair) != 2:
            flat.reasons.append(f"an edge is {pair!r}, not a pair of node names")
            continue
        missing = [end for end in pair if end not in own]
        if missing:
            flat.reasons += [f"edge {pair[0]!r} -> {pair[1]!r}: no node {end!r}" for end in missing]
            continue
        ends = []
        for end, side in ((pair[0], 1), (pair[1], 0)):
            found = ports[end][side] if end in ports else [f"{prefix}{end}"]
            if len(found) != 1:
                word = "Output" if side else "Input"
                flat.reasons.append(
                    f"edge {pair[0]!r} -> {pair[1]!r}: graph {end!r} has {len(found)} {word} "
                    "nodes, one is needed"
                )
                break
            ends.append(found[0])
        else:
            edge = (ends[0], ends[1])
            if edge in flat.edges:
                flat.reasons.append(f"edge {pair[0]!r} -> {pair[1]!r} is there twice")
            flat.edges.append(edge)


def _text(end: Any) -> str:
    return end.decode("utf8", "replace") if isinstance(end, bytes) else str(end)


def _structure_faults(flat: _Flat) -> list[str]:
    """Inputs, outputs, and nodes that nothing feeds."""
    fed = {target for _, target in flat.edges}
    read = {source for source, _ in flat.edges}
    reasons = []
    kinds = {name: kind for name, (kind, _, _) in flat.nodes.items()}
    if not any(kind == "Input" and name not in fed for name, kind in kinds.items()):
        reasons.append("the graph has no Input node")
    if not any(kind == "Output" and name not in read for name, kind in kinds.items()):
        reasons.append("the graph has no Output node")
    for name, kind in kinds.items():
        if kind == "Input" and name in fed and "." not in name:
            reasons.append(f"node {name!r} (Input) receives an edge")
        elif kind != "Input" and name not in fed:
            reasons.append(f"node {name!r} ({kind}) receives no input")
    return reasons


def _delays(flat: _Flat) -> frozenset[str]:
    """Delay nodes that delay every value: they need no further delay in a cycle."""
    return frozenset(
        name
        for name, (kind, parameters, _) in flat.nodes.items()
        if kind == "Delay" and np.all(np.asarray(parameters["delay"]) > 0)
    )


def _stateless(flat: _Flat) -> frozenset[str]:
    return frozenset(
        name
        for name, (kind, _, _) in flat.nodes.items()
        if kind != "Delay" and (not TYPES[kind].model or kind == "Threshold")
    )


# -- shapes ----------------------------------------------------------------------------------------


def _shaped(
    flat: _Flat, order: list[str], delayed: frozenset[tuple[str, str]]
) -> tuple[list[NirNode], list[str], list[str]]:
    """(nodes with shapes in order of execution, notes, reasons)."""
    now: dict[str, list[str]] = {name: [] for name in order}
    late: dict[str, list[str]] = {name: [] for name in order}
    for source, target in flat.edges:
        (late if (source, target) in delayed else now)[target].append(source)
    found: dict[str, NirNode] = {}
    reasons: list[str] = []
    waiting, stuck = list(order), False
    while waiting:
        left: list[str] = []
        for name in waiting:
            sources = (*now[name], *late[name])
            known = [found[s].out_shape for s in sources if s in found and found[s].out_shape]
            # Around a cycle one known source is enough; the others are compared afterwards.
            if sources and not known and not stuck and not all(s in found for s in sources):
                left.append(name)
                continue
            stuck = False
            kind, parameters, metadata = flat.nodes[name]
            node = NirNode(
                name, kind, parameters, tuple(now[name]), tuple(late[name]), metadata=metadata
            )
            try:
                found[name] = _with_shapes(node, known)
            except ShapeFaultError as error:
                reasons.append(f"node {name!r} ({kind}): {error}")
                found[name] = node
        stuck = len(left) == len(waiting)
        waiting = left
    nodes = [found[name] for name in order]
    reasons += _misfits(nodes, found)
    if not reasons:
        reasons = [
            f"node {n.name!r} ({n.type}): no input reaches it" for n in nodes if not n.out_shape
        ]
    return nodes, _notes(nodes), reasons


def _misfits(nodes: list[NirNode], found: Mapping[str, NirNode]) -> list[str]:
    """Edges between shapes that differ, where both ends are known."""
    return [
        f"edge {source!r} -> {node.name!r}: {found[source].out_shape} does not fit {node.in_shape}"
        for node in nodes
        for source in (*node.inputs, *node.delayed)
        if node.in_shape and found[source].out_shape not in ((), node.in_shape)
    ]


def _notes(nodes: list[NirNode]) -> list[str]:
    notes = []
    for node in nodes:
        for source in node.delayed:
            notes.append(f"the edge {source!r} -> {node.name!r} closes a cycle: one step late")
        if TYPES[node.type].model or node.type in ("Delay", "Scale"):
            single = [n for n in node.parameters if node.array(n).shape != node.in_shape]
            if single:
                listed = ", ".join(single)
                notes.append(f"node {node.name!r}: {listed} has one value for {node.in_shape}")
    return notes


def _with_shapes(node: NirNode, known: list[Shape]) -> NirNode:
    """``node`` with its shapes, from the known shapes of what feeds it."""
    if node.type == "Input" and not node.inputs and not node.delayed:
        shape = _declared(node)
        if shape is None:
            raise ShapeFaultError("the shape is missing; every graph input states its shape")
        return replace(node, in_shape=shape, out_shape=shape)
    if not known:
        return node  # the fault stands before this node
    first = known[0]
    declared = _declared(node) if node.type in ("Input", "Output") else None
    if declared is not None and declared != first:
        raise ShapeFaultError(f"it declares the shape {declared}, its input is {first}")
    out = TYPES[node.type].shape(node.parameters, first)
    return replace(node, in_shape=first, out_shape=out)


def _declared(node: NirNode) -> Shape | None:
    if "shape" not in node.parameters:
        return None
    shape = tuple(int(v) for v in node.array("shape").reshape(-1))
    if not shape or min(shape) < 1:
        raise ShapeFaultError(f"the shape is {shape}; sizes of at least 1 are needed")
    return shape
