"""The inner kernel of a matrix product: a tile of the result in registers, one rank-one update for each step along the summed axis.

The lanes run along the columns of the tile. Elements of A are broadcast from memory, whatever its strides; rows of B are contiguous.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flambeau.codegen.llvm import Target
from flambeau.codegen.text import Code, Module, scalar_type, vector
from flambeau.codegen.value import V

UNROLL = 2


@dataclass(frozen=True)
class Tile:
    """`rows` by `columns` results. Strides are in elements: of A along rows and along the summed axis, of rows of B, of rows of C."""

    rows: int
    columns: int
    a_row: int
    a_step: int
    b_step: int
    c_row: int
    padded: bool  # B's rows are whole vectors, so that no load needs a mask
    add: bool  # add to what C holds

    def name(self) -> str:
        """The helper function's name."""
        return f"tile{self.rows}x{self.columns}{'_add' if self.add else ''}"


def shape_of_tile(target: Target, dtype: np.dtype, m: int, n: int) -> tuple[int, int]:
    """Rows and columns of a full tile: as many accumulators as the registers hold beside a row of B and an element of A."""
    lanes = target.lanes(dtype.itemsize)
    widest = 4 if target.registers == 32 and target.level == "avx512" else 2
    vectors = min(widest, -(-n // lanes))
    spare = 2 if target.registers == 32 else 1
    rows = max((target.registers - spare) // vectors - 1, 1)
    if target.level == "generic":
        rows = max(rows - 2, 1)  # products need registers of their own there
    rows = min(rows, 14)
    tiles = -(-m // rows)
    return min(rows, -(-m // tiles)), vectors * lanes


def write_tile(module: Module, tile: Tile, dtype: np.dtype, lanes: int) -> str:
    """Write the helper `name(A, B, C, steps)` into the module, once; its name."""
    name = tile.name()
    if name not in module.functions:
        module.functions[name] = ""
        module.functions[name] = _Body(module, tile, dtype, lanes).text(name)
    return name


class _Body:
    def __init__(self, module: Module, tile: Tile, dtype: np.dtype, lanes: int) -> None:
        self.code, self.tile, self.dtype, self.lanes = Code(module), tile, dtype, lanes
        self.element = scalar_type(dtype)
        self.kind = vector(self.element, lanes)
        self.vectors = -(-tile.columns // lanes)
        self.rest = tile.columns % lanes  # lanes of the last vector; 0: all

    def text(self, name: str) -> str:
        code, tile = self.code, self.tile
        cells = [(r, c) for r in range(tile.rows) for c in range(self.vectors)]
        slots = {cell: code.slot(self.kind) for cell in cells}
        for slot in slots.values():
            code.do(f"store {self.kind} zeroinitializer, ptr {slot}")
        main = code.arithmetic("sub", "%steps", code.arithmetic("urem", "%steps", str(UNROLL)))
        with code.span(main, step=str(UNROLL)) as at:
            self._steps(at, UNROLL, slots)
        with code.span("%steps", start=main) as at:
            self._steps(at, 1, slots)
        for r, c in cells:
            self._finish(r, c, slots[r, c])
        return code.function(
            name, ["ptr noalias readonly %A", "ptr noalias readonly %B", "ptr noalias %C", "i64 %steps"], "internal "
        ).replace(") #0 {", ") #0 noinline {", 1)

    def _steps(self, at: str, count: int, slots: dict[tuple[int, int], str]) -> None:
        code, tile = self.code, self.tile
        a = code.element("%A", self.element, code.arithmetic("mul", at, str(tile.a_step)))
        b = code.element("%B", self.element, code.arithmetic("mul", at, str(tile.b_step)))
        for k in range(count):
            row = [
                self._load(code.element(b, self.element, str(k * tile.b_step + c * self.lanes)), c, tile.padded)
                for c in range(self.vectors)
            ]
            for r in range(tile.rows):
                p = code.element(a, self.element, str(r * tile.a_row + k * tile.a_step))
                x = V(code, code.let(f"load {self.element}, ptr {p}, align {self.dtype.itemsize}"), self.dtype, 0).spread(self.lanes)
                for c in range(self.vectors):
                    total = V(code, code.let(f"load {self.kind}, ptr {slots[r, c]}"), self.dtype, self.lanes)
                    code.do(f"store {self.kind} {x.fma(row[c], total).text}, ptr {slots[r, c]}")

    def _finish(self, r: int, c: int, slot: str) -> None:
        code = self.code
        value = V(code, code.let(f"load {self.kind}, ptr {slot}"), self.dtype, self.lanes)
        place = code.element("%C", self.element, str(r * self.tile.c_row + c * self.lanes))
        if self.tile.add:
            value = value + self._load(place, c, False)
        if self._partial(c):
            name = f"llvm.masked.store.v{self.lanes}{'f32' if self.dtype.itemsize == 4 else 'f64'}.p0"
            code.module.declare(f"declare void @{name}({self.kind}, ptr, <{self.lanes} x i1>)")
            code.do(
                f"call void @{name}({self.kind} {value.text}, ptr align {self.dtype.itemsize} {place}, <{self.lanes} x i1> {self._mask()})"
            )
        else:
            code.do(f"store {self.kind} {value.text}, ptr {place}, align {self.dtype.itemsize}")

    def _load(self, place: str, c: int, whole: bool) -> V:
        code = self.code
        if whole or not self._partial(c):
            return V(code, code.let(f"load {self.kind}, ptr {place}, align {self.dtype.itemsize}"), self.dtype, self.lanes)
        name = f"llvm.masked.load.v{self.lanes}{'f32' if self.dtype.itemsize == 4 else 'f64'}.p0"
        code.module.declare(f"declare {self.kind} @{name}(ptr, <{self.lanes} x i1>, {self.kind})")
        arguments = f"ptr align {self.dtype.itemsize} {place}, <{self.lanes} x i1> {self._mask()}, {self.kind} zeroinitializer"
        return V(code, code.let(f"call {self.kind} @{name}({arguments})"), self.dtype, self.lanes)

    def _partial(self, c: int) -> bool:
        return bool(self.rest) and c == self.vectors - 1

    def _mask(self) -> str:
        return f"<{', '.join(f'i1 {int(i < self.rest)}' for i in range(self.lanes))}>"
