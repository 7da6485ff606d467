"""The inner kernel of a contraction: a tile of the result in registers, one rank-one update for each step along the summed axes.

The lanes run along the columns of the tile. Elements of A are broadcast from memory, wherever they lie; rows of B are contiguous. What is
done with the finished rows, at least storing them, is the business of a `Finish`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np

from flambeau.codegen.layout import Ints
from flambeau.codegen.llvm import Target
from flambeau.codegen.memory_access import load, store
from flambeau.codegen.text import Code, Module, scalar_type, vector
from flambeau.codegen.value import V

UNROLL = 4  # steps along a long summed axis in one round of its loop
GIVEN = -1  # a number of steps that is an argument
_SUMS = 24  # vectors of sums in a tile, of 32 registers
_WHOLE = 12  # steps along short summed axes that are written out without any loop


@dataclass(frozen=True)
class Tile:
    """`rows` are where the rows of A begin, in elements. `loops`, outermost first, are the summed axes: how many steps (GIVEN: the
    argument `steps`), and how far a step goes in A and in B. `padded`: B's rows are whole vectors, so that no load needs a mask.
    `paired`: A has an element for each column, as in a depthwise convolution."""

    rows: Ints
    columns: int
    loops: tuple[tuple[int, int, int], ...]
    padded: bool
    paired: bool = False


class Finish(Protocol):
    """What becomes of a tile: `parameters` of the tile's function, and instructions for the finished vectors of row `r`. The last vector
    has only `rest` columns, unless that is 0. One that is `apart` is a function of its own that gets the sums in memory, so that the
    registers of the loops do not depend on it."""

    @property
    def apart(self) -> bool: ...

    def parameters(self) -> list[str]: ...

    def row(self, code: Code, r: int, values: list[V], rest: int) -> None: ...


@dataclass(frozen=True)
class Stored:
    """Rows stored at distances `c_row` in C, or added to what is there."""

    c_row: int
    add: bool
    apart = False

    def parameters(self) -> list[str]:
        return ["ptr noalias %C"]

    def row(self, code: Code, r: int, values: list[V], rest: int) -> None:
        for c, value in enumerate(values):
            count = rest if c == len(values) - 1 else 0
            place = code.element("%C", value.element, str(r * self.c_row + c * value.lanes))
            if self.add:
                value = value + load(code, place, value.dtype, value.lanes, count)
            store(code, place, value, count)


def rows_of_tile(target: Target, vectors: int) -> int:
    """The most rows of a tile of so many vectors: the registers hold it beside a row of B and an element of A, with some to spare where
    there are many, because several steps are written out and LLVM loads ahead."""
    if target.level == "avx512":
        return min(_SUMS // vectors, 14)
    rows = max((target.registers - (2 if target.registers == 32 else 1)) // vectors - 1, 1)
    if target.level == "generic":
        rows = max(rows - 2, 1)  # products need registers of their own there
    return min(rows, 14)


def widest_tile(target: Target) -> int:
    """The most vectors in a row of a tile."""
    return 4 if target.registers == 32 and target.level == "avx512" else 2


def shape_of_tile(target: Target, dtype: np.dtype, m: int, n: int) -> tuple[int, int]:
    """Rows and columns of a full tile for m rows and n columns."""
    lanes = target.lanes(dtype.itemsize)
    vectors = min(widest_tile(target), -(-n // lanes))
    rows = rows_of_tile(target, vectors)
    tiles = -(-m // rows)
    return min(rows, -(-m // tiles)), vectors * lanes


def write_tile(module: Module, tile: Tile, finish: Finish, dtype: np.dtype, lanes: int) -> str:
    """Write the helper `name(A, B, parameters of the finish, steps if they are an argument)` into the module, once; its name."""
    name = module.tiles.get((tile, finish))
    if name is None:
        name = module.tiles[tile, finish] = f"tile{len(module.tiles)}_{len(tile.rows)}x{tile.columns}"
        module.functions[name] = ""
        module.functions[name] = _Body(module, tile, dtype, lanes).text(name, finish)
    return name


class _Body:
    def __init__(self, module: Module, tile: Tile, dtype: np.dtype, lanes: int) -> None:
        self.code, self.tile, self.dtype, self.lanes = Code(module), tile, dtype, lanes
        self.element = scalar_type(dtype)
        self.kind = vector(self.element, lanes)
        self.vectors = -(-tile.columns // lanes)
        self.rest = tile.columns % lanes  # lanes of the last vector; 0: all

    def text(self, name: str, finish: Finish) -> str:
        code, tile = self.code, self.tile
        self.cells = [(r, c) for r in range(len(tile.rows)) for c in range(self.vectors)]
        self.slots = {cell: code.slot(self.kind) for cell in self.cells}
        for slot in self.slots.values():
            code.do(f"store {self.kind} zeroinitializer, ptr {slot}")
        self._sum(list(tile.loops), "%A", "%B")
        parameters = finish.parameters()
        if finish.apart:
            self._finish_apart(name, finish, parameters)
        else:
            for r in range(len(tile.rows)):
                finish.row(code, r, [self._sums(self.code, self.slots[r, c]) for c in range(self.vectors)], self.rest)
        steps = ["i64 %steps"] if any(count == GIVEN for count, _, _ in tile.loops) else []
        parameters = ["ptr noalias readonly %A", "ptr noalias readonly %B", *parameters, *steps]
        return _noinline(code.function(name, parameters, "internal "))

    def _finish_apart(self, name: str, finish: Finish, parameters: list[str]) -> None:
        """Put the sums down and call a function that finishes them."""
        code, lines, size = self.code, Code(self.code.module), self.lanes * self.dtype.itemsize
        sums = code.slot(f"[{len(self.cells)} x {self.kind}]", size)
        for i, cell in enumerate(self.cells):
            value = self._sums(code, self.slots[cell])
            code.do(f"store {self.kind} {value.text}, ptr {code.element(sums, self.kind, str(i))}, align {size}")
        for r in range(len(self.tile.rows)):
            row = [self._sums(lines, lines.element("%sums", self.kind, str(r * self.vectors + c))) for c in range(self.vectors)]
            finish.row(lines, r, row, self.rest)
        code.module.functions[f"{name}_end"] = _noinline(lines.function(f"{name}_end", ["ptr noalias %sums", *parameters], "internal "))
        code.do(f"call void @{name}_end(ptr {sums}, {', '.join(parameters)})")

    def _sums(self, code: Code, place: str) -> V:
        return V(code, code.let(f"load {self.kind}, ptr {place}"), self.dtype, self.lanes)

    def _sum(self, loops: list[tuple[int, int, int]], a: str, b: str) -> None:
        """Add all products of these loops: short ones written out, the last one of others several steps a round."""
        code, total = self.code, prod(count for count, _, _ in loops)
        if 0 <= total <= _WHOLE:
            steps = [(0, 0)]
            for count, across, down in loops:
                steps = [(x + i * across, y + i * down) for x, y in steps for i in range(count)]
            if steps:
                self._steps(steps, a, b)
            return
        (count, across, down), inner = loops[0], loops[1:]
        if inner:
            with code.loop(count) as i:
                self._sum(inner, self._moved(a, i, across), self._moved(b, i, down))
            return
        known = count != GIVEN
        main = str(count - count % UNROLL) if known else code.arithmetic("sub", "%steps", code.arithmetic("urem", "%steps", str(UNROLL)))
        with code.span(main, step=str(UNROLL)) as i:
            self._steps([(k * across, k * down) for k in range(UNROLL)], self._moved(a, i, across), self._moved(b, i, down))
        if known and count % UNROLL:
            rest = [(k * across, k * down) for k in range(count % UNROLL)]
            self._steps(rest, self._moved(a, main, across), self._moved(b, main, down))
        elif not known:
            with code.span("%steps", start=main) as i:
                self._steps([(0, 0)], self._moved(a, i, across), self._moved(b, i, down))

    def _moved(self, pointer: str, index: str, step: int) -> str:
        return self.code.element(pointer, self.element, self.code.arithmetic("mul", index, str(step)))

    def _steps(self, steps: list[tuple[int, int]], a: str, b: str) -> None:
        """Rank-one updates by elements of A and rows of B at these distances."""
        code, align = self.code, self.dtype.itemsize
        total = {cell: V(code, code.let(f"load {self.kind}, ptr {self.slots[cell]}"), self.dtype, self.lanes) for cell in self.cells}
        for across, down in steps:
            row = [self._vector(b, down + c * self.lanes, c) for c in range(self.vectors)]
            for r, begin in enumerate(self.tile.rows):
                if not self.tile.paired:
                    place = code.element(a, self.element, str(begin + across))
                    one = V(code, code.let(f"load {self.element}, ptr {place}, align {align}"), self.dtype, 0).spread(self.lanes)
                for c in range(self.vectors):
                    x = self._vector(a, begin + across + c * self.lanes, c, False) if self.tile.paired else one
                    total[r, c] = x.fma(row[c], total[r, c])
        for cell in self.cells:
            code.do(f"store {self.kind} {total[cell].text}, ptr {self.slots[cell]}")

    def _vector(self, base: str, at: int, c: int, padded: bool | None = None) -> V:
        partial = c == self.vectors - 1 and not (self.tile.padded if padded is None else padded)
        return load(self.code, self.code.element(base, self.element, str(at)), self.dtype, self.lanes, self.rest if partial else 0)


def _noinline(text: str) -> str:
    return text.replace(") #0 {", ") #0 noinline {", 1)
