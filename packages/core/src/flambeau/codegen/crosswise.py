"""Maps that read or write some array across its rows (a transposed copy): by squares, turned round in registers."""

from __future__ import annotations

import numpy as np

from flambeau.codegen.kernel import Form, Place
from flambeau.codegen.llvm import Target
from flambeau.codegen.loops import Unit, Writer, shape_of_work
from flambeau.codegen.nodes import Node
from flambeau.codegen.packing import riffled
from flambeau.codegen.value import BOOL, V

_BYTE = np.dtype("u1")
_MOST = 8  # nodes: the code is repeated for each row of a square


def other_axis(form: Form, target: Target) -> int | None:
    """The axis that some accesses walk through in steps of one while the lanes go across; None if squares do not help."""
    lanes = shape_of_work(form, target)[0]
    if form.group.axes or len(form.group.nodes) > _MOST or lanes & (lanes - 1) or lanes < 4 or form.sizes[form.lane] < lanes:
        return None
    places = [*form.places.values(), *(p for _, p in form.stores)]
    for axis, size in enumerate(form.sizes):
        if axis != form.lane and size >= lanes and any(is_across(p, axis, form.lane) for p in places):
            return axis
    return None


def is_across(place: Place, axis: int, lane: int) -> bool:
    """Whether it is contiguous along the other axis only."""
    return place.strides[axis] == 1 and place.strides[lane] not in (0, 1)


class Crosswise(Writer):
    """A form of maps, in squares of lanes by positions along `axis`."""

    def __init__(self, form: Form, target: Target, axis: int) -> None:
        super().__init__(form, target)
        self.axis = axis
        self.turned: dict[Place, list[V]] = {}
        self.row = 0

    def _kept(self) -> list[int]:
        return [i for i in super()._kept() if i != self.axis]

    def _rounds(self) -> int:
        return self.form.sizes[self.axis] // self.lanes

    def _inner(self, shared: bool) -> None:
        size = self.form.sizes[self.axis]
        whole, rest = size // self.lanes, size % self.lanes
        if shared:
            with self.code.span("%end", start="%begin") as number:
                self._strip(self.code.let(f"mul nuw nsw i64 {number}, {self.lanes}"))
        else:
            with self.code.loop(whole, step=self.lanes) as at:
                self._strip(at)
        if rest:
            flag = self.code.let(f"icmp eq i64 %end, {whole}") if shared else "true"
            with self.code.span(self.code.let(f"zext i1 {flag} to i64")), self.code.loop(rest, start=str(size - rest)) as at:
                self.index[self.axis] = at
                for units in self._blocks(self.form.sizes[self.form.lane], False):
                    self._phases(units)

    def _strip(self, at: str) -> None:
        """All squares that begin at one position of the other axis, and the lanes that are left."""
        size = self.form.sizes[self.form.lane]
        with self.code.loop(size // self.lanes, step=self.lanes) as lane:
            self._square(at, lane)
        if size % self.lanes:
            with self.code.loop(self.lanes) as i:
                self.index[self.axis] = self.code.let(f"add nuw nsw i64 {at}, {i}")
                self._phases([Unit(str(size - size % self.lanes), size % self.lanes)])

    def _square(self, at: str, lane: str) -> None:
        unit, axis = Unit(lane, self.lanes), self.axis
        for place in dict.fromkeys(self.form.places.values()):
            if is_across(place, axis, self.form.lane):
                self.turned[place] = self._turned([self._along_axis(place, at, self._plus(lane, j)) for j in range(self.lanes)])
        kept: dict[tuple[Node, Place], list[V]] = {}
        for i in range(self.lanes):
            self.row = i
            self.index[axis], self.index[self.form.lane] = self._plus(at, i), lane
            self.memo.clear()
            values = [(n, p, self._value(n, 0, unit)) for n, p in self.form.stores]
            self._store([(n, p, v) for n, p, v in values if not is_across(p, axis, self.form.lane)], unit)
            for n, p, v in values:
                if is_across(p, axis, self.form.lane):
                    kept.setdefault((n, p), []).append(v)
        self.turned.clear()
        for (_, place), rows in kept.items():
            for j, value in enumerate(self._turned(rows)):
                self.index[axis], self.index[self.form.lane] = at, self._plus(lane, j)
                self._put(self._pointer(place), value, place)

    def _along_axis(self, place: Place, at: str, lane: str) -> V:
        self.index[self.axis], self.index[self.form.lane] = at, lane
        return self._load_at(self._pointer(place), place.buffer.dtype, self.lanes)

    def _turned(self, rows: list[V]) -> list[V]:
        wide = [v.of(f"zext {v.type} {v.text} to <{v.lanes} x i8>", _BYTE) if v.dtype == BOOL else v for v in rows]
        turned = riffled(self.code, [v.text for v in wide], wide[0].type, self.lanes)
        values = [V(self.code, text, wide[0].dtype, self.lanes) for text in turned]
        return [v.differs(0) for v in values] if rows[0].dtype == BOOL else values

    def _load(self, place: Place, unit: Unit) -> V:
        return self.turned[place][self.row] if place in self.turned else super()._load(place, unit)
