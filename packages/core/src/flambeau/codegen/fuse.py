"""Fusion: which nodes share one kernel.

A group of maps and reductions has an iteration space. Its full-level nodes compute one element for each point; if the group has reduced
axes, its row-level nodes (reductions, and maps of their results) compute one for each point of the kept axes. A node joins a group if it
reads members only at its own point or row, and if no path leaves the group and comes back to the node (that would be a circle).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flambeau.codegen.layout import Ints, row_major
from flambeau.codegen.nodes import Access, Buffer, Node
from flambeau.codegen.value import is_half

_RECENT = 8  # how many groups of one space are tried
_MOST = 48  # nodes in a group: compile time grows faster than the code
ENOUGH = 16  # results of a reduction that several threads can share
_WIDE = 1 << 17  # elements from which a reduction to fewer results, or of columns, is done in parts (wide.py): nothing waits for it inside
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

    def sink(self, results: set[Buffer]) -> None:
        """Move maps that a group holds only because it reads what they read to the one group that needs them: they need not be stored."""
        readers: dict[Buffer, list[tuple[Node, Access]]] = {}
        for group in self.groups:
            for node in group.nodes:
                for a in node.accesses():
                    readers.setdefault(a.buffer, []).append((node, a))
        for group in self.groups:
            if group.nodes[0].kind == "contract":
                continue  # its maps cost nothing where they are
            for node in reversed(group.nodes):
                if node.kind != "map" or node in group.rows or node.outputs[0] in results or len(group.nodes) == 1:
                    continue
                homes = {self.home[n.outputs[0]] for n, _ in readers.get(node.outputs[0], ())}
                if len(homes) == 1 and group not in homes:
                    self._move(node, group, homes.pop(), readers)

    def _move(self, node: Node, group: Group, other: Group, readers: dict[Buffer, list[tuple[Node, Access]]]) -> None:
        """Where every reader is at its own point, and nothing has to be stored for it that is not needed elsewhere."""
        big = [a for a in node.accesses() if a.layout.is_contiguous and a.layout.size == _size(node.shape)]
        if (
            len(other.nodes) >= _MOST
            or other.nodes[0].kind not in ("map", "reduce")
            or not other.space
            or node.shape != other.space
            or len(big) > 2
        ):
            return
        for a in node.accesses():
            if self.home.get(a.buffer) is group and any(n is not node and self.home[n.outputs[0]] is group for n, _ in readers[a.buffer]):
                return
        own = row_major(other.space)
        if all(n not in other.rows or n.kind == "reduce" for n, _ in readers[node.outputs[0]]) and all(
            a.layout.offset == 0 and a.layout.strides == own for _, a in readers[node.outputs[0]]
        ):
            group.nodes.remove(node)
            other.nodes.insert(0, node)
            self.home[node.outputs[0]] = other

    def order(self, taken: dict[Buffer, Buffer]) -> list[Group]:
        """Groups sorted so that each comes after its ancestors; those that could run first come first, but groups that store results in
        the memory of inputs wait for groups that read these."""
        urgent = 0  # checks come first, with what they need
        for g in self.groups:
            if g.nodes[0].kind == "check":
                urgent |= g.ancestors | 1 << g.number
        left = {g.number: g for g in sorted(self.groups, key=lambda g: not urgent >> g.number & 1)}
        takes = {g.number: {taken[b] for n in g.nodes for b in n.outputs if b in taken} for g in self.groups}
        reads = {g.number: g.reads() for g in self.groups} if taken else {}
        waiting: dict[Buffer, int] = {}
        for number, buffers in reads.items():
            for b in buffers:
                waiting[b] = waiting.get(b, 0) | 1 << number
        result: list[Group] = []
        done = 0
        while left:
            free = [g for g in left.values() if not g.ancestors & ~done]
            ready = next((g for g in free if not any(waiting.get(b, 0) & ~done & ~(1 << g.number) for b in takes[g.number])), free[0])
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
        if node.kind == "contract":
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
    if _size(node.shape) != _size(first.shape) or any(is_half(b.dtype) for b in (*node.outputs, *(a.buffer for a in node.accesses()))):
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
        columns = len(group.space) - 1 not in group.axes
        if not row and (columns or _size(group.kept) < ENOUGH) and _size(group.space) >= _WIDE:
            return False
        return x.layout.strides == (row_major(group.kept) if row else group.row_strides())
    return not row and x.layout.strides == row_major(group.space)


def _size(shape: Ints) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def fuse(nodes: list[Node], results: list[Buffer], taken: dict[Buffer, Buffer] | None = None) -> list[Group]:
    """The groups of the nodes that the results need. `taken`: results that will be stored in the memory of an input, which groups read
    before that, if they can."""
    fusion = Fusion(_needed(nodes, set(results)))
    fusion.sink(set(results))
    return fusion.order(taken or {})


def _needed(nodes: list[Node], wanted: set[Buffer]) -> list[Node]:
    kept: list[Node] = []
    for node in reversed(nodes):
        effect = node.name == "random" or node.kind == "check"  # a draw moves the generator on, used or not
        if effect or wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(a.buffer for a in node.accesses())
    return kept[::-1]
