"""Fusion: which nodes share one kernel.

A group of maps and reductions has an iteration space. Its full-level nodes compute one element for each point; if the group has reduced
axes, its row-level nodes (reductions, and maps of their results) compute one for each point of the kept axes. A node joins a group if it
reads members only at its own point or row, and if no path leaves the group and comes back to the node (that would be a circle).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flambeau.codegen.layout import Ints, row_major
from flambeau.codegen.nodes import Access, Buffer, Node

_RECENT = 8  # how many groups of one space are tried
_MOST = 48  # nodes in a group: compile time grows faster than the code
_SMALL = 1 << 14  # elements up to which nodes that share nothing still share a kernel, to save calls


@dataclass(eq=False)
class Group:
    """Nodes that run as one step. `axes` are the reduced axes of the space."""

    nodes: list[Node]
    number: int
    space: Ints = ()
    axes: Ints = ()
    rows: set[Node] = field(default_factory=set)
    ancestors: int = 0  # bit set of numbers of the groups that must run before

    @property
    def kept(self) -> Ints:
        """Sizes of the axes that are not reduced."""
        return tuple(n for i, n in enumerate(self.space) if i not in self.axes)

    def row_strides(self) -> Ints:
        """Strides over the space of a row-level buffer."""
        return over_space(row_major(self.kept), self.axes, len(self.space))

    def reads(self) -> set[Buffer]:
        """All buffers that its nodes read."""
        return {a.buffer for n in self.nodes for a in n.accesses()}


def over_space(strides: Ints, axes: Ints, ndim: int) -> Ints:
    """Strides of the kept axes, with 0 for the reduced ones between them."""
    kept = iter(strides)
    return tuple(0 if i in axes else next(kept) for i in range(ndim))


class Fusion:
    """Assigns nodes to groups; `order()` gives the groups in an order in which they can run."""

    def __init__(self, nodes: list[Node]) -> None:
        self.groups: list[Group] = []
        self.home: dict[Buffer, Group] = {}
        self.by_size: dict[int, list[Group]] = {}
        for node in nodes:
            self._add(node)

    def order(self) -> list[Group]:
        """Groups sorted so that each comes after its ancestors; those that could run first come first."""
        left = {g.number: g for g in self.groups}
        result: list[Group] = []
        done = 0
        while left:
            ready = next(g for g in left.values() if not g.ancestors & ~done)
            result.append(left.pop(ready.number))
            done |= 1 << ready.number
        return result

    def _add(self, node: Node) -> None:
        if node.kind in ("map", "reduce"):
            for group in self._candidates(node):
                if self._join(node, group):
                    return
        group = Group([node], len(self.groups))
        self.groups.append(group)
        if node.kind == "contract" and node.params.get("fuses"):
            group.space = node.shape
        if node.kind in ("map", "reduce"):
            group.space, group.axes = node.shape, node.axes
            if node.kind == "reduce":
                group.rows.add(node)
            self._remember(group)
        self._depend(node, group)

    def _remember(self, group: Group) -> None:
        for space in {group.space, group.kept}:
            self.by_size.setdefault(_size(space), []).append(group)

    def _candidates(self, node: Node) -> list[Group]:
        """Groups of the operands first, then recent ones of the same size that read the same memory or are small."""
        found = {self.home[a.buffer]: None for a in node.accesses() if a.buffer in self.home}
        mine = {a.buffer for a in node.accesses()}
        for group in reversed(self.by_size.get(_size(node.shape), [])[-_RECENT:]):
            if _size(node.shape) <= _SMALL or mine & group.reads():
                found[group] = None
        return [g for g in found if g.space or g.nodes[0].kind == "map"]

    def _join(self, node: Node, group: Group) -> bool:
        first = group.nodes[0]
        if len(group.nodes) >= _MOST or first.kind not in ("map", "reduce", "contract") or self._would_circle(node, group):
            return False
        if first.kind == "contract" and not (node.kind == "map" and _fits_contraction(node, first)):
            return False
        if node.kind == "reduce":
            fits = node.shape == group.space and (not group.axes or group.axes == node.axes) and self._reads_level(node, group, False)
            if not fits:
                return False
            if not group.axes:
                group.axes = node.axes
                self.by_size.setdefault(_size(group.kept), []).append(group)
            group.rows.add(node)
        elif self._reads_level(node, group, False):
            pass
        elif group.axes and self._reads_level(node, group, True):
            group.rows.add(node)
        else:
            return False
        group.nodes.append(node)
        self._depend(node, group)
        return True

    def _would_circle(self, node: Node, group: Group) -> bool:
        bit = 1 << group.number
        others = {self.home[a.buffer] for a in node.accesses() if a.buffer in self.home}
        return any(g is not group and g.ancestors & bit for g in others)

    def _reads_level(self, node: Node, group: Group, row: bool) -> bool:
        """Whether the node can be a full-level (or row-level) member; a map's operands are brought to the group's shape."""
        space = group.kept if row else group.space
        operands = list(node.operands)
        if node.shape != space:
            if node.kind == "reduce" or _size(node.shape) != _size(space):
                return False
            for i, x in enumerate(operands):
                if isinstance(x, Access):
                    layout = x.layout.reshape(space)
                    if layout is None:
                        return False
                    operands[i] = Access(x.buffer, layout)
        for x in operands:
            if isinstance(x, Access) and self.home.get(x.buffer) is group and not _reads_own(x, group, row):
                return False
        node.operands, node.shape = tuple(operands), space
        return True

    def _depend(self, node: Node, group: Group) -> None:
        for buffer in node.outputs:
            self.home[buffer] = group
        before = 0
        for a in node.accesses():
            other = self.home.get(a.buffer)
            if other is not None and other is not group:
                before |= other.ancestors | 1 << other.number
        if before & ~group.ancestors:
            group.ancestors |= before
            bit = 1 << group.number
            for other in self.groups:
                if other.ancestors & bit:
                    other.ancestors |= group.ancestors


def _fits_contraction(node: Node, first: Node) -> bool:
    """Whether a map can be applied to the rows of a contraction: its operands are contiguous along them, or the same for all columns."""
    if not first.params.get("fuses") or _size(node.shape) != _size(first.shape):
        return False
    layouts = [x.layout.reshape(first.shape) for x in node.operands if isinstance(x, Access)]
    if first.params["full"][-1] == 1:
        return all(x is not None for x in layouts)
    return all(x is not None and x.strides[-1] in (0, 1) for x in layouts)


def _reads_own(x: Access, group: Group, row: bool) -> bool:
    """Whether an operand that is a member is read at the reader's own point (full member) or row (row-level member)."""
    maker = x.buffer.node
    if x.layout.offset:
        return False
    if maker in group.rows:
        return x.layout.strides == (row_major(group.kept) if row else group.row_strides())
    return not row and x.layout.strides == row_major(group.space)


def _size(shape: Ints) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def fuse(nodes: list[Node], results: list[Buffer]) -> list[Group]:
    """The groups of the nodes that the results need."""
    return Fusion(_needed(nodes, set(results))).order()


def _needed(nodes: list[Node], wanted: set[Buffer]) -> list[Node]:
    kept: list[Node] = []
    for node in reversed(nodes):
        if node.name == "random" or wanted.intersection(node.outputs):  # a draw moves the generator on, used or not
            kept.append(node)
            wanted.update(a.buffer for a in node.accesses())
    return kept[::-1]
