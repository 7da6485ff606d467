"""Products of blocks of matrices within a kernel that does more than that: attention, recurrent networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flambeau.codegen.llvm import Target
from flambeau.codegen.nodes import Access
from flambeau.codegen.packing import write_transpose
from flambeau.codegen.text import Code, Module, scalar_type, vector
from flambeau.codegen.tile import GIVEN, Stored, Tile, rows_of_tile, widest_tile, write_tile
from flambeau.codegen.value import I32, I64, V


@dataclass(frozen=True)
class Left:
    """The left operand: where it begins, and how far it is to the next row and to the next step along the sum."""

    pointer: str
    row: int
    step: int


@dataclass(frozen=True)
class Right:
    """The right operand: where it begins, how far it is to the next step, and (packed) from one panel of columns to the next.
    `padded`: whole vectors may be read."""

    pointer: str
    step: int
    panel: int = 0
    padded: bool = False


class Blocks:
    """Writes code of one function: products, vectors of any length, addresses."""

    def __init__(self, module: Module, target: Target, dtype: np.dtype) -> None:
        self.module, self.target, self.dtype = module, target, dtype
        self.code = Code(module)
        self.element, self.lanes = scalar_type(dtype), target.lanes(dtype.itemsize)

    def width(self, columns: int) -> int:
        """The columns of a panel."""
        return min(widest_tile(self.target), -(-columns // self.lanes)) * self.lanes

    def product(self, a: Left, b: Right, c: tuple[str, int], size: tuple[int | str, int], steps: str, add: bool = False) -> None:
        """C = A B, or C += A B, for `size` rows (known, or an i64) and columns; C is where it begins and the distance of its rows."""
        columns = self.width(size[1])
        for first, times, width in cut(size[1], columns):
            with self.code.loop(times, start=str(first), step=columns) as n:
                at = self.at(b.pointer, n) if not b.panel else self.at(b.pointer, self.code.arithmetic("udiv", n, str(columns)), b.panel)
                self._rows(a, Right(at, b.step, b.panel, b.padded), (self.at(c[0], n), c[1]), (size[0], width), steps, add)

    def _rows(self, a: Left, b: Right, c: tuple[str, int], size: tuple[int | str, int], steps: str, add: bool) -> None:
        rows = rows_of_tile(self.target, -(-size[1] // self.lanes))
        if isinstance(size[0], int):
            rows = min(rows, -(-size[0] // -(-size[0] // rows)))
            for top, repeat, height in cut(size[0], rows):
                with self.code.loop(repeat, start=str(top), step=rows) as m:
                    self._tile(a, b, c, (m, height, size[1]), steps, add)
            return
        main = self.code.arithmetic("sub", size[0], self.code.arithmetic("urem", size[0], str(rows)))
        with self.code.span(main, step=str(rows)) as m:
            self._tile(a, b, c, (m, rows, size[1]), steps, add)
        with self.code.span(size[0], start=main) as m:
            self._tile(a, b, c, (m, 1, size[1]), steps, add)

    def _tile(self, a: Left, b: Right, c: tuple[str, int], place: tuple[str, int, int], steps: str, add: bool) -> None:
        m, rows, width = place
        count = int(steps) if steps.isdigit() else GIVEN
        tile = Tile(tuple(r * a.row for r in range(rows)), width, ((count, a.step, b.step),), b.padded)
        name = write_tile(self.module, tile, Stored(c[1], add), self.dtype, self.lanes)
        arguments = f"ptr {self.at(a.pointer, m, a.row)}, ptr {b.pointer}, ptr {self.at(c[0], m, c[1])}"
        self.code.do(f"call void @{name}({arguments}{'' if steps.isdigit() else f', i64 {steps}'})")

    # -- addresses and numbers ------------------------------------------------------------------------------------------------------------
    def at(self, pointer: str, index: str, stride: int = 1) -> str:
        """The address of an element."""
        return self.code.element(pointer, self.element, self.code.arithmetic("mul", index, str(stride)))

    def zero(self, pointer: str, count: str | int) -> None:
        """Set elements to zero."""
        self.module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        size = self.code.arithmetic("mul", str(count), str(self.dtype.itemsize))
        self.code.do(f"call void @llvm.memset.p0.i64(ptr {pointer}, i8 0, i64 {size}, i1 false)")

    def load(self, pointer: str, lanes: int) -> V:
        """Elements as a vector; 0 lanes: one that is not in a vector."""
        return V(
            self.code, self.code.let(f"load {vector(self.element, lanes)}, ptr {pointer}, align {self.dtype.itemsize}"), self.dtype, lanes
        )

    def store(self, pointer: str, value: V) -> None:
        """Store a vector or a number."""
        self.code.do(f"store {value.type} {value.text}, ptr {pointer}, align {self.dtype.itemsize}")

    def number(self, value: float, lanes: int = 0) -> V:
        """A known number."""
        return V(self.code, "", self.dtype, lanes).const(value)

    def numbers_from(self, start: str) -> V:
        """start, start + 1, ... in the lanes, int32."""
        base = V(self.code, self.code.let(f"trunc i64 {start} to i32"), I32, 0).spread(self.lanes)
        line = ", ".join(f"i32 {i}" for i in range(self.lanes))
        return base + V(self.code, f"<{line}>", I32, self.lanes)

    def integer(self, text: str) -> V:
        """An i64 as a value."""
        return V(self.code, text, I64, 0)

    def pieces(self, size: int) -> list[tuple[int, int, int]]:
        """(start, how many, lanes) that cover a known length: whole vectors, then single elements."""
        whole, rest = divmod(size, self.lanes)
        parts = [(0, whole, self.lanes)] if whole else []
        return [*parts, (whole * self.lanes, rest, 0)] if rest else parts

    def transposed(self, source: str, target: str, size: tuple[str, int], source_row: int, width: int) -> None:
        """Panels of `width` columns, one after the other, of the transpose of a matrix of `size` rows (an i64) and columns; those of the
        last panel that have no row are zeros."""
        code, columns = self.code, size[1]
        name = write_transpose(self.module, self.dtype, self.lanes, source_row, width)
        main = code.arithmetic("sub", size[0], code.arithmetic("urem", size[0], str(width)))

        def panel(n: str, rows: str) -> None:
            arguments = f"ptr {self.at(source, n, source_row)}, ptr {self.at(target, n, columns)}, i64 {rows}, i64 {columns}"
            code.do(f"call void @{name}({arguments})")

        with code.span(main, step=str(width)) as n:
            panel(n, str(width))
        with code.span(size[0], start=main, step=str(width)) as n:
            self.zero(self.at(target, n, columns), columns * width)
            panel(n, code.arithmetic("sub", size[0], main))


def cut(size: int, tile: int) -> list[tuple[int, int, int]]:
    """(start, how many, extent): whole tiles, then what is left."""
    whole, rest = divmod(size, tile)
    cuts = [(0, whole, tile)] if whole else []
    return [*cuts, (whole * tile, 1, rest)] if rest else cuts


def offsets(code: Code, number: str, axes: tuple[int, ...], accesses: list[tuple[int, ...]]) -> list[str]:
    """For an element number of the leading axes, its position (in elements) in operands with these strides."""
    totals = ["0"] * len(accesses)
    for i in reversed(range(len(axes))):
        index = number if i == 0 else code.arithmetic("urem", number, str(axes[i]))
        number = number if i == 0 else code.arithmetic("udiv", number, str(axes[i]))
        if axes[i] == 1:
            continue
        for k, strides in enumerate(accesses):
            term = code.arithmetic("mul", index, str(strides[i]))
            totals[k] = term if totals[k] == "0" else totals[k] if term == "0" else code.arithmetic("add", totals[k], term)
    return totals


def with_rows(low: object, x: Access) -> Access:
    """An operand whose last axis is contiguous: itself, or a copy."""
    return x if x.layout.strides[-1] == 1 or x.shape[-1] == 1 else low.copied(x)  # type: ignore[attr-defined]
