"""Groups that reduce much to little: in two steps, so that several threads take part and memory is walked through in order.

The longest reduced axis is cut into parts, whose number depends on sizes alone; the first step reduces each part, the second the partial
results, and computes what the group makes of them. Where the results lie side by side (column sums), a part is gone over row by row, and
its results are added to where they lie, in the nearest cache.
"""

from __future__ import annotations

from math import prod

from flambeau.codegen import expr
from flambeau.codegen.crosswise import Crosswise, other_axis
from flambeau.codegen.fuse import ENOUGH, Group
from flambeau.codegen.kernel import Form, Place, form_of
from flambeau.codegen.layout import Layout
from flambeau.codegen.llvm import Target
from flambeau.codegen.loops import LARGE, Kernel, Unit, Writer, neutral_of
from flambeau.codegen.nodes import Access, Buffer, Node
from flambeau.codegen.text import scalar_type, splat
from flambeau.codegen.value import V

_PARTS = 16
_LEAST_ROWS = 32  # in a part of column sums, so that partial results are few beside what they are made of
_AT_ONCE = 4  # rows that are added up before their sum is added to memory


def write_group(group: Group, stored: list[Node], target: Target) -> list[list[Kernel]]:
    """The kernels of a group of maps and reductions that stores these nodes' buffers: one step, or two."""
    form = form_of(group, stored)
    if group.axes and form.phases == 1 and prod(form.sizes) * max(len(group.nodes), 4) >= LARGE:
        wide = _Wide(group, stored)
        if wide.count > 1:
            return wide.write(target)
    return [writer_of(form, target).write()]


def writer_of(form: Form, target: Target) -> Writer:
    """What writes a form best."""
    axis = other_axis(form, target)
    return Writer(form, target) if axis is None else Crosswise(form, target, axis)


class _Wide:
    """A group as two: `first` has the full-level nodes and the reductions, into partial results; `second` reduces these."""

    def __init__(self, group: Group, stored: list[Node]) -> None:
        reduces = [n for n in group.nodes if n.kind == "reduce"]
        self.group, self.results = group, prod(group.kept)
        self.partial = {n: Buffer((1, *group.kept), n.outputs[0].dtype) for n in reduces}
        first = [Node("reduce", n.name, n.operands, n.shape, (b,), axes=n.axes) for n, b in self.partial.items()]
        full = [n for n in group.nodes if n not in group.rows]
        self.first = Group([*full, *first], 0, group.space, group.axes, set(first))
        self.stored = {b for n in stored if n in group.rows for b in n.outputs}
        self.form = form_of(self.first, [*(n for n in stored if n not in group.rows), *first])
        self.columns = self.form.lane not in self.form.reduced
        self.axis = max(self.form.reduced, key=lambda i: (self.form.sizes[i], -i))
        self.count, self.block = self._cut()

    def _cut(self) -> tuple[int, int]:
        """How many parts (1: the group is better as it is), and how long each is; what is left over makes one more."""
        size, kept = self.form.sizes[self.axis], len(self.form.sizes) - len(self.form.reduced)
        if self.columns:
            count = min(_PARTS, size // _LEAST_ROWS) if kept == 1 else 1
            return count, size // max(count, 1)
        count = min(_PARTS, size) if self.results < ENOUGH else 1
        block = size // count
        return count, block // 64 * 64 if self.axis == self.form.lane and block > 64 else block

    def write(self, target: Target) -> list[list[Kernel]]:
        """The kernels of both steps."""
        make = Columns if self.columns else Writer
        left = self.form.sizes[self.axis] - self.count * self.block
        kernels = make(self._part(0, self.count, self.block), target).write()
        if left:
            kernels += make(self._part(self.count, 1, left), target).write()
        return [kernels, Writer(self._second(self.count + bool(left)), target).write()]

    def _part(self, first: int, count: int, block: int) -> Form:
        """The form of `count` parts from part `first`: a new outermost axis, along which partial results are row after row."""
        form, axis = self.form, self.axis

        def moved(p: Place, row: bool) -> Place:
            along, start = (self.results, first * self.results) if row else (p.strides[axis] * block, p.strides[axis] * first * self.block)
            return Place(p.buffer, (along, *p.strides), p.offset + start)

        sizes = (count, *form.sizes[:axis], block, *form.sizes[axis + 1 :])
        stores = [(n, moved(p, n in self.first.rows)) for n, p in form.stores]
        places = {key: moved(p, False) for key, p in form.places.items()}
        return Form(self.first, stores, places, sizes, frozenset(i + 1 for i in form.reduced), form.lane + 1, form.phase, form.ready)

    def _second(self, parts: int) -> Form:
        nodes: list[Node] = []
        shape = (parts, *self.group.kept)
        for n in self.group.nodes:
            if n in self.partial:
                self.partial[n].shape = shape
                axes = tuple(i for i, size in enumerate(shape) if size != 1)[:1]
                nodes.append(Node("reduce", n.name, (Access(self.partial[n], Layout.contiguous(shape)),), shape, n.outputs, axes=axes))
            elif n in self.group.rows:
                nodes.append(n)
        second = Group(nodes, 0, shape, (0,), set(nodes))
        return form_of(second, [n for n in nodes if n.outputs[0] in self.stored])


class Columns(Writer):
    """A form whose outermost axis is that of the parts, whose lanes are kept, and which stores its reductions, row by row."""

    def _inner(self, shared: bool) -> None:
        form, code = self.form, self.code
        for units in self._blocks(form.sizes[form.lane], False):
            for n, place in self._sums():
                for unit in units:
                    self.index[form.lane] = unit.at
                    d = place.buffer.dtype
                    value = V(code, splat(neutral_of(n), scalar_type(d), unit.lanes), d, unit.lanes)
                    self._store([(n, place, value)], unit)
        *outer, axis = sorted(form.reduced, key=lambda i: form.sizes[i])
        with self._nest(outer):
            whole, rest = divmod(form.sizes[axis], _AT_ONCE)
            if whole:
                with code.loop(whole, step=_AT_ONCE) as at:
                    self._rows_of(axis, at, _AT_ONCE)
            if rest:
                with code.loop(rest, start=str(whole * _AT_ONCE)) as at:
                    self._rows_of(axis, at, 1)

    def _sums(self) -> list[tuple[Node, Place]]:
        return [(n, p) for n, p in self.form.stores if n.kind == "reduce"]

    def _rows_of(self, axis: int, at: str, count: int) -> None:
        """Add `count` rows to the results."""
        rows = [self._plus(at, k) for k in range(count)]
        for units in self._blocks(self.form.sizes[self.form.lane], False):
            for u, unit in enumerate(units):
                self._columns(axis, rows, u, unit)

    def _columns(self, axis: int, rows: list[str], u: int, unit: Unit) -> None:
        """One vector of some rows: everything is read before anything is written."""
        self.index[self.form.lane] = unit.at
        totals: dict[Node, V] = {}
        values = []
        for row in rows:
            self.index[axis] = row
            self.memo.clear()
            values.append([(n, p, self._value(n, u, unit)) for n, p in self.form.stores if n.kind == "map"])
            for n, _ in self._sums():
                x = self._operand(n.operands[0], u, unit, n)
                totals[n] = expr.COMBINE[n.name](totals[n], x) if n in totals else x
        for n, place in self._sums():
            self._store([(n, place, expr.COMBINE[n.name](self._load(place, unit), totals[n]))], unit)
        for row, stores in zip(rows, values):
            self.index[axis] = row
            self._store(stores, unit)
