"""What a contraction does with its rows while they are in registers: the maps that were fused with it, and storing.

The maps are written as one function of a row of the tile. A short one is made part of the tile's function; one with elementary functions
is called for each row, so that they are not written out for every row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flambeau.codegen import expr
from flambeau.codegen.expr import ELEMENTARY
from flambeau.codegen.layout import Ints, Layout
from flambeau.codegen.memory_access import load, store
from flambeau.codegen.nodes import Access, Buffer, Node, Operand, Parameter, Uniform
from flambeau.codegen.text import Code, memory_type
from flambeau.codegen.value import F64, V

_SHORT = 8  # maps up to which a row's function is made part of the tile's


@dataclass(frozen=True)
class Place:
    """Memory that a row reads or writes: a layout over the space of the contraction."""

    buffer: Buffer
    layout: Layout

    @property
    def item(self) -> str:
        """The type of an element in memory."""
        return memory_type(self.buffer.dtype)


class Epilogue:
    """The maps of a group behind its contraction, `nodes[0]`; `stored` are the nodes whose results go to memory."""

    def __init__(self, nodes: list[Node], stored: list[Node], columns: int) -> None:
        self.first, self.maps, self.stored = nodes[0], nodes[1:], stored
        space = self.first.shape
        self.single = columns == 1  # no axis of the space is the columns'
        own = {n.outputs[0] for n in nodes}
        places = [Place(n.outputs[0], Layout.contiguous(space)) for n in stored]
        self.results = list(places)
        for node in self.maps:
            places += [Place(x.buffer, x.layout) for x in node.accesses() if x.buffer not in own]
        self.places = list(dict.fromkeys(places))
        found = [x.index for n in self.maps for x in n.operands if isinstance(x, Parameter)]
        self.scalars = list(dict.fromkeys(found))
        self.short = len(self.maps) <= _SHORT and not any(n.name in ELEMENTARY or n.name == "pow" for n in self.maps)

    def column(self, place: Place) -> int:
        """How far a column is from the next one, 0 or 1."""
        return 1 if self.single else place.layout.strides[-1]

    def strides(self, full: Ints) -> list[Ints]:
        """For each axis of the space, in which `full` has axes of size 1 too: the strides of all places."""
        kept = iter(range(len(self.first.shape)))
        axes = [next(kept) if n != 1 else -1 for n in full]
        return [tuple(0 if axis < 0 else p.layout.strides[axis] for p in self.places) for axis in axes]

    def reads(self) -> dict[Buffer, set[Buffer]]:
        """The buffers that maps read, each with the results that may take its memory: those that lie in it in the same way."""
        heirs: dict[Buffer, set[Buffer]] = {}
        outputs = [p.buffer for p in self.results]
        for place in self.places:
            if place.buffer in outputs:
                continue
            alike = all(p.layout == self.results[0].layout for p in self.places if p.buffer is place.buffer)
            item = place.buffer.dtype.itemsize
            heirs[place.buffer] = {b for b in outputs if alike and b.dtype.itemsize == item}
        return heirs

    # -- the function of a row ------------------------------------------------------------------------------------------------------------
    def write(self, code: Code, values: list[V], rest: int) -> str:
        """The row's function for vectors like these, written into the module once; its name."""
        lanes, kinds = values[0].lanes, [v.type for v in values]
        name = f"row{len(values)}_{rest}"
        module = code.module
        if name not in module.functions:
            body = Code(module)
            arguments = [V(body, f"%x{c}", values[0].dtype, lanes) for c in range(len(values))]
            for c, x in enumerate(arguments):
                self._vector(body, c, x, rest if c == len(values) - 1 else 0)
            parameters = [f"{kind} %x{c}" for c, kind in enumerate(kinds)] + self.parameters()
            how = "alwaysinline" if self.short else "noinline"
            module.functions[name] = body.function(name, parameters, "internal ").replace(") #0 {", f") #0 {how} {{", 1)
        return name

    def parameters(self) -> list[str]:
        """Of a row's function, behind its vectors."""
        return [f"ptr %E{i}" for i in range(len(self.places))] + [f"double %n{i}" for i in range(len(self.scalars))]

    def _vector(self, code: Code, c: int, x: V, count: int) -> None:
        """One vector of the row: every value first, then the stores, so that a result may take the memory of an operand."""
        made = {self.first.outputs[0]: x}
        for node in self.maps:
            operands = [self._operand(code, o, node, made, c, x.lanes, count) for o in node.operands]
            made[node.outputs[0]] = expr.apply(node.name, operands, node.params, node.outputs[0].dtype)
        for place in self.results:
            store(code, self._address(code, place, c * x.lanes), made[place.buffer], count)

    def _operand(self, code: Code, x: Operand, node: Node, made: dict[Buffer, V], c: int, lanes: int, count: int) -> V:
        if isinstance(x, Access):
            if x.buffer in made:
                return made[x.buffer]
            place = Place(x.buffer, x.layout)
            if self.column(place):
                return load(code, self._address(code, place, c * lanes), x.dtype, lanes, count)
            return load(code, self._address(code, place, 0), x.dtype, 0).spread(lanes)
        d = x.dtype if isinstance(x, Uniform) else _dtype_of(node)
        if isinstance(x, Uniform):
            return V(code, "", d, lanes).const(x.number)
        return V(code, f"%n{self.scalars.index(x.index)}", F64, 0).to(d).spread(lanes)

    def _address(self, code: Code, place: Place, at: int) -> str:
        return code.element(f"%E{self.places.index(place)}", place.item, str(at))


def _dtype_of(node: Node) -> np.dtype:
    """The dtype that a number given at run time takes: that of the arrays beside it."""
    return next(x.dtype for x in reversed(node.operands) if not isinstance(x, Parameter))


@dataclass(frozen=True)
class Finished:
    """The finish of tiles whose rows have these distances from the first one in each place. `add`: to what is in the first place."""

    epilogue: Epilogue
    rows: tuple[Ints, ...]
    add: bool = False
    apart = True

    def parameters(self) -> list[str]:
        return self.epilogue.parameters()

    def row(self, code: Code, r: int, values: list[V], rest: int) -> None:
        e = self.epilogue
        if self.add:
            values = [self._added(code, r, c, x, rest if c == len(values) - 1 else 0) for c, x in enumerate(values)]
        name = e.write(code, values, rest)
        arguments = [f"{v.type} {v.text}" for v in values]
        for i, place in enumerate(e.places):
            arguments.append(f"ptr {code.element(f'%E{i}', place.item, str(self.rows[r][i]))}")
        arguments += [f"double %n{i}" for i in range(len(e.scalars))]
        code.do(f"call void @{name}({', '.join(arguments)})")

    def _added(self, code: Code, r: int, c: int, x: V, count: int) -> V:
        place = code.element("%E0", x.element, str(self.rows[r][0] + c * x.lanes))
        return load(code, place, x.dtype, x.lanes, count) + x
