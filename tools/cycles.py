"""Cycles of a directed graph: one example path for each strongly connected part."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Set


def cycles(graph: Mapping[str, Set[str]]) -> list[list[str]]:
    """One shortest cycle for each group of nodes that reach each other, first node repeated at the end.

    >>> cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}})
    [['b', 'c', 'b']]
    """
    found: list[list[str]] = []
    seen: set[str] = set()
    for node in sorted(graph):
        if node in seen:
            continue
        path = _shortest_path_back(graph, node)
        if path:
            found.append(path)
            # Everything that is in a circle with this node is the same knot, reported once.
            seen |= {other for other in _reachable(graph, node) if node in _reachable(graph, other)}
    return found


def _reachable(graph: Mapping[str, Set[str]], start: str) -> set[str]:
    return {end for end, _ in _breadth_first(graph, start)}


def _shortest_path_back(graph: Mapping[str, Set[str]], start: str) -> list[str]:
    came_from = dict(_breadth_first(graph, start))
    if start not in came_from:
        return []
    path = [start]
    node = came_from[start]
    while node != start:
        path.append(node)
        node = came_from[node]
    return [start, *reversed(path)]


def _breadth_first(graph: Mapping[str, Set[str]], start: str) -> Iterator[tuple[str, str]]:
    """Pairs (node, the node it was reached from) for all nodes that can be reached from `start`, itself only through a cycle."""
    queue = deque([start])
    done: set[str] = set()
    while queue:
        node = queue.popleft()
        for target in sorted(graph.get(node, ())):
            if target not in done:
                done.add(target)
                queue.append(target)
                yield target, node
