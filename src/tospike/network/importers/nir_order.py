"""Order of execution of a graph that may have cycles, and the edges that arrive one step late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush
from typing import Any


def execution_order(
    nodes: Mapping[str, Any],
    edges: Iterable[tuple[str, str]],
    delays: frozenset[str],
    stateless: frozenset[str],
) -> tuple[list[str], frozenset[tuple[str, str]]]:
    """(nodes in order, edges that arrive one step late).

    A depth-first walk from the graph's inputs, along the edges in their order, finds the edges
    that lead back to a node under way. Each of them is cut, or rather, where it comes from a
    chain of ``stateless`` nodes (recurrent weights), the edge that enters the chain: recurrent
    weights read the spikes of the step before. ``delays`` are nodes whose output depends on
    earlier steps only: a cycle through one of them needs no cut. In the order, every node comes
    after what feeds it in the same step.
    """
    edges = list(edges)
    ring = _rings(nodes, edges)
    within = [
        (source, target)
        for source, target in edges
        if target not in delays or ring[source] != ring[target]
    ]
    following: dict[str, list[str]] = {name: [] for name in nodes}
    fed = set()
    for source, target in within:
        following[source].append(target)
        fed.add(target)
    roots = [name for name in nodes if name not in fed]
    visited: dict[str, int] = {}
    late: set[tuple[str, str]] = set()
    for root in [*roots, *nodes]:
        if root not in visited:
            _walk(root, following, visited, late)
    late = {_upstream(edge, within, stateless) for edge in late}
    return _sorted(nodes, [edge for edge in within if edge not in late], visited), frozenset(late)


def _upstream(
    edge: tuple[str, str], edges: list[tuple[str, str]], stateless: frozenset[str]
) -> tuple[str, str]:
    """The edge that enters the chain of stateless nodes at whose end ``edge`` stands."""
    found = edge
    seen = set()
    while found[0] in stateless and found[0] not in seen:
        seen.add(found[0])
        before = [e for e in edges if e[1] == found[0]]
        after = [e for e in edges if e[0] == found[0]]
        if len(before) != 1 or len(after) != 1:
            return found
        found = before[0]
    return edge if found[0] in seen else found


def _rings(nodes: Mapping[str, Any], edges: list[tuple[str, str]]) -> dict[str, int]:
    """node -> number of the strongly connected component that it is in"""
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges)
    components = enumerate(nx.strongly_connected_components(graph))
    return {name: number for number, members in components for name in members}


def _walk(
    root: str,
    following: Mapping[str, list[str]],
    visited: dict[str, int],
    late: set[tuple[str, str]],
) -> None:
    """Depth-first without recursion: graphs are deeper than Python's stack."""
    under_way = {root}
    visited[root] = len(visited)
    stack = [(root, iter(following[root]))]
    while stack:
        name, targets = stack[-1]
        for target in targets:
            if target in under_way:
                late.add((name, target))
            elif target not in visited:
                visited[target] = len(visited)
                under_way.add(target)
                stack.append((target, iter(following[target])))
                break
        else:
            under_way.discard(name)
            stack.pop()


def _sorted(
    nodes: Mapping[str, Any], edges: list[tuple[str, str]], rank: Mapping[str, int]
) -> list[str]:
    """Topological order; among nodes that are ready, the first visited."""
    waiting = dict.fromkeys(nodes, 0)
    following: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in edges:
        waiting[target] += 1
        following[source].append(target)
    ready = [(rank[name], name) for name, count in waiting.items() if count == 0]
    heapify(ready)
    order = []
    while ready:
        _, name = heappop(ready)
        order.append(name)
        for target in following[name]:
            waiting[target] -= 1
            if waiting[target] == 0:
                heappush(ready, (rank[target], target))
    return order
