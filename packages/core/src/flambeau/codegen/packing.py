"""Packing blocks of matrices into contiguous memory: plain copies of rows, and transposing copies by blocks of vectors."""

from __future__ import annotations

import numpy as np

from flambeau.codegen.llvm import Target, digest
from flambeau.codegen.loops import NAME, Kernel
from flambeau.codegen.memory_access import load, store
from flambeau.codegen.nodes import Buffer
from flambeau.codegen.text import Code, Module, scalar_type, vector
from flambeau.codegen.value import V

_MANY = 1 << 15  # elements from which a transposition is worth several threads
_SHARES = 16


def write_copy(module: Module, dtype: np.dtype, lanes: int, source_row: int, target_row: int) -> str:
    """`copy(source, target, rows, columns)`: rows of any length, with these distances between them."""
    name = f"copy{source_row}_{target_row}"
    if name not in module.functions:
        code, element = Code(module), scalar_type(dtype)
        main = code.arithmetic("sub", "%columns", code.arithmetic("urem", "%columns", str(lanes)))
        with code.span("%rows") as r:
            source = code.element("%source", element, code.arithmetic("mul", r, str(source_row)))
            target = code.element("%target", element, code.arithmetic("mul", r, str(target_row)))
            with code.span(main, step=str(lanes)) as c:
                _move(code, element, source, target, c, vector(element, lanes), dtype.itemsize)
            with code.span("%columns", start=main) as c:
                _move(code, element, source, target, c, element, dtype.itemsize)
        module.functions[name] = _finished(code, name)
    return name


def _move(code: Code, element: str, source: str, target: str, at: str, kind: str, align: int) -> None:
    value = code.let(f"load {kind}, ptr {code.element(source, element, at)}, align {align}")
    code.do(f"store {kind} {value}, ptr {code.element(target, element, at)}, align {align}")


def _finished(code: Code, name: str) -> str:
    parameters = ["ptr noalias readonly %source", "ptr noalias %target", "i64 %rows", "i64 %columns"]
    return code.function(name, parameters, "internal ").replace(") #0 {", ") #0 noinline {", 1)


def write_transpose(module: Module, dtype: np.dtype, lanes: int, source_row: int, target_row: int) -> str:
    """`transpose(source, target, rows, columns)`: target[c, r] = source[r, c]."""
    name = f"transpose{source_row}_{target_row}"
    if name not in module.functions:
        code, element = Code(module), scalar_type(dtype)
        rows = code.arithmetic("sub", "%rows", code.arithmetic("urem", "%rows", str(lanes)))
        columns = code.arithmetic("sub", "%columns", code.arithmetic("urem", "%columns", str(lanes)))
        with code.span(rows, step=str(lanes)) as r:
            source = code.element("%source", element, code.arithmetic("mul", r, str(source_row)))
            target = code.element("%target", element, r)
            with code.span(columns, step=str(lanes)) as c:
                _block(
                    code,
                    dtype,
                    lanes,
                    (code.element(source, element, c), source_row),
                    (_row(code, target, element, c, target_row), target_row),
                )
            with code.span("%columns", start=columns) as c:
                _column(code, dtype, lanes, (code.element(source, element, c), source_row), _row(code, target, element, c, target_row))
        with code.span("%rows", start=rows) as r:
            source = code.element("%source", element, code.arithmetic("mul", r, str(source_row)))
            with code.span("%columns") as c:
                value = code.let(f"load {element}, ptr {code.element(source, element, c)}, align {dtype.itemsize}")
                place = code.element(_row(code, "%target", element, c, target_row), element, r)
                code.do(f"store {element} {value}, ptr {place}, align {dtype.itemsize}")
        module.functions[name] = _finished(code, name)
    return name


def _row(code: Code, base: str, element: str, row: str, distance: int) -> str:
    return code.element(base, element, code.arithmetic("mul", row, str(distance)))


def _block(code: Code, dtype: np.dtype, lanes: int, source: tuple[str, int], target: tuple[str, int]) -> None:
    """A square of vectors."""
    square(code, dtype, lanes, (*source, lanes), (*target, lanes))


def square(code: Code, dtype: np.dtype, lanes: int, source: tuple[str, int, int], target: tuple[str, int, int], fill: bool = False) -> None:
    """Transpose a square of vectors, or its first rows and columns: (address, distance between rows, how many) of both sides. Riffles the
    first half of the rows into the second, log2(lanes) times. With `fill`, rows of the target are whole vectors, ending in zeros."""
    element = scalar_type(dtype)
    kind = vector(element, lanes)
    place, distance, count = source
    partial = 0 if target[2] == lanes else target[2]
    rows = [load(code, code.element(place, element, str(i * distance)), dtype, lanes, partial).text for i in range(count)]
    rows += ["zeroinitializer"] * (lanes - count)
    rows = riffled(code, rows, kind, lanes)
    place, distance, columns = target
    for i, row in enumerate(rows[:columns]):
        whole = fill or count == lanes
        store(code, code.element(place, element, str(i * distance)), V(code, row, dtype, lanes), 0 if whole else count)


def riffled(code: Code, rows: list[str], kind: str, lanes: int) -> list[str]:
    """The transpose of a square of vectors of this type."""
    half = lanes // 2
    low = ", ".join(f"i32 {i // 2 + lanes * (i % 2)}" for i in range(lanes))
    high = ", ".join(f"i32 {half + i // 2 + lanes * (i % 2)}" for i in range(lanes))
    for _ in range(lanes.bit_length() - 1):
        rows = [
            code.let(f"shufflevector {kind} {rows[i]}, {kind} {rows[i + half]}, <{lanes} x i32> <{which}>")
            for i in range(half)
            for which in (low, high)
        ]
    return rows


def _column(code: Code, dtype: np.dtype, lanes: int, source: tuple[str, int], target: str) -> None:
    """One column of `lanes` rows, element by element."""
    element = scalar_type(dtype)
    kind, text = vector(element, lanes), "poison"
    for i in range(lanes):
        one = code.let(f"load {element}, ptr {code.element(source[0], element, str(i * source[1]))}, align {dtype.itemsize}")
        text = code.let(f"insertelement {kind} {text}, {element} {one}, i32 {i}")
    value = V(code, text, dtype, lanes)
    code.do(f"store {kind} {value.text}, ptr {target}, align {dtype.itemsize}")


def write_transposed(source: Buffer, result: Buffer, batch: int, rows: int, columns: int, target: Target, start: int = 0) -> list[Kernel]:
    """Kernels that transpose each of `batch` matrices, which lie one after the other from position `start`."""
    dtype, lanes = source.dtype, target.lanes(source.dtype.itemsize)
    blocks, element = -(-columns // lanes), scalar_type(source.dtype)
    module = Module(target.level != "generic")
    code = Code(module)
    with code.span("%end", start="%begin") as task:
        block, number = code.arithmetic("urem", task, str(blocks)), code.arithmetic("udiv", task, str(blocks))
        a = code.element(_row(code, "%p0", element, number, rows * columns), element, code.arithmetic("mul", block, str(lanes)))
        b = _row(code, _row(code, "%p1", element, number, rows * columns), element, block, lanes * rows)
        for there, first, how in ((lanes, 0, "icmp ult"), (columns % lanes, columns // lanes, "icmp uge")):
            if there and (columns >= lanes or first == 0):
                flag = code.let(f"{how} i64 {block}, {columns // lanes}")
                with code.span(code.let(f"zext i1 {flag} to i64")):
                    _strip(code, dtype, lanes, (a, columns, rows), (b, rows, there))
    module.functions["kernel"] = code.function(NAME[1:], ["ptr %p0", "ptr %p1", "i64 %begin", "i64 %end"])
    text = module.render(8 * target.bytes)
    name = f"k{digest(text)[:24]}"
    kernel = Kernel(text.replace(f"{NAME}(", f"@{name}("), name, [source, result], [])
    kernel.reads, kernel.writes, kernel.offsets = {source: set()}, [result], [start * dtype.itemsize, 0]
    tasks = batch * blocks
    return kernel.shares(tasks, -(-tasks // (_SHARES if source.size >= _MANY else 1)))


def _strip(code: Code, dtype: np.dtype, lanes: int, source: tuple[str, int, int], target: tuple[str, int, int]) -> None:
    """Transpose a strip of columns that is one vector wide."""
    element = scalar_type(dtype)
    (a, columns, rows), (b, distance, there) = source, target
    if rows >= lanes:
        with code.loop(rows // lanes, step=lanes) as r:
            square(code, dtype, lanes, (_row(code, a, element, r, columns), columns, lanes), (code.element(b, element, r), distance, there))
    if rows % lanes:
        r = str(rows - rows % lanes)
        square(
            code, dtype, lanes, (_row(code, a, element, r, columns), columns, rows % lanes), (code.element(b, element, r), distance, there)
        )
