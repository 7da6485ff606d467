"""Writing LLVM IR as text: names, declarations, loops.

Loop counters and accumulators live in stack slots, which LLVM turns into registers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_NAMES = {"b": "i1", "i1": "i8", "i2": "i16", "i4": "i32", "i8": "i64", "u1": "i8", "u2": "i16", "u4": "i32", "u8": "i64"}


def scalar_type(d: np.dtype) -> str:
    """The type of one element in a register; a bool is one bit there and a byte in memory."""
    if d.kind == "b":
        return "i1"
    return {"f4": "float", "f8": "double"}.get(d.str[1:]) or _NAMES[d.str[1:]]


def memory_type(d: np.dtype) -> str:
    """The type of one element in memory."""
    return "i8" if d.kind == "b" else "i16" if d.itemsize == 2 else scalar_type(d)


def vector(element: str, lanes: int) -> str:
    """`lanes` elements; 0 means one element that is not in a vector."""
    return f"<{lanes} x {element}>" if lanes else element


def suffix(element: str, lanes: int) -> str:
    """How names of intrinsics spell a type."""
    short = {"float": "f32", "double": "f64"}.get(element, element)
    return f"v{lanes}{short}" if lanes else short


def literal(value: Any, element: str) -> str:
    """A number as IR text: floats by their bits, so that nothing is rounded twice."""
    if element == "float":
        with np.errstate(over="ignore"):
            value = float(np.float32(value))
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
    if element == "double":
        return f"0x{struct.unpack('<Q', struct.pack('<d', float(value)))[0]:016X}"
    return str(int(value))


def splat(value: Any, element: str, lanes: int) -> str:
    """A constant in each lane."""
    one = literal(value, element)
    return f"<{', '.join([f'{element} {one}'] * lanes)}>" if lanes else one


class Module:
    """A module being written: one kernel, the helper functions it uses, and what it imports."""

    def __init__(self, fused: bool = True, level: str = "") -> None:
        self.fused = fused  # whether the target has a fused multiply-add
        self.level = level  # of the target (codegen/llvm.py), for code that has special instructions on some
        self.functions: dict[str, str] = {}
        self.declared: dict[str, None] = {}
        self.imports: dict[str, None] = {}
        self.tiles: dict[Any, str] = {}  # the names of tiles that are written already

    def declare(self, line: str) -> None:
        """Note a declaration once."""
        self.declared[line] = None

    def render(self, bits: int) -> str:
        """The text of the whole module."""
        attributes = f'attributes #0 = {{ nounwind "prefer-vector-width"="{bits}" "frame-pointer"="none" }}'
        return "\n".join([*self.declared, *self.functions.values(), attributes, ""])


class Code:
    """The body of one function."""

    def __init__(self, module: Module) -> None:
        self.module, self.fused = module, module.fused
        self.slots: list[str] = []
        self.lines: list[str] = []
        self._count = 0

    def name(self) -> str:
        """A new name."""
        self._count += 1
        return f"%v{self._count}"

    def let(self, expression: str) -> str:
        """Name the result of an instruction."""
        name = self.name()
        self.lines.append(f"  {name} = {expression}")
        return name

    def do(self, line: str) -> None:
        """An instruction without a result."""
        self.lines.append(f"  {line}")

    def slot(self, type_: str, align: int = 0) -> str:
        """A variable on the stack."""
        self._count += 1
        name = f"%s{self._count}"
        self.slots.append(f"  {name} = alloca {type_}" + (f", align {align}" if align else ""))
        return name

    def call(self, name: str, result: str, arguments: list[tuple[str, str]]) -> str:
        """Call an intrinsic or helper of that result type, declared on the way."""
        if name.startswith("llvm.") or name not in self.module.functions:
            self.module.declare(f"declare {result} @{name}({', '.join(t for t, _ in arguments)})")
        return self.let(f"call {result} @{name}({', '.join(f'{t} {x}' for t, x in arguments)})")

    def label(self) -> str:
        """A new label's name."""
        self._count += 1
        return f"b{self._count}"

    def place(self, label: str) -> None:
        """Start a block, reached by falling into it as well."""
        self.lines.append(f"  br label %{label}")
        self.lines.append(f"{label}:")

    @contextmanager
    def loop(self, count: int, start: str = "0", step: int = 1, unroll: int = 0) -> Iterator[str]:
        """Repeat a block `count` times (at least once; a single time needs no loop); gives start, start + step, ..."""
        if count == 1:
            yield start
            return
        slot, left, label = self.slot("i64"), self.slot("i64"), self.label()
        self.do(f"store i64 {start}, ptr {slot}")
        self.do(f"store i64 {count}, ptr {left}")
        self.place(label)
        at = self.let(f"load i64, ptr {slot}")
        yield at
        self.do(f"store i64 {self.let(f'add nuw nsw i64 {at}, {step}')}, ptr {slot}")
        rest = self.let(f"sub nuw nsw i64 {self.let(f'load i64, ptr {left}')}, 1")
        self.do(f"store i64 {rest}, ptr {left}")
        more = self.let(f"icmp ne i64 {rest}, 0")
        after = self.label()
        self.lines.append(f"  br i1 {more}, label %{label}, label %{after}")
        self.lines.append(f"{after}:")

    @contextmanager
    def span(self, count: str, start: str = "0", step: str = "1") -> Iterator[str]:
        """Repeat a block while start, start + step, ... is below `count`, a number known when the code runs; maybe never."""
        slot, head, body, after = self.slot("i64"), self.label(), self.label(), self.label()
        self.do(f"store i64 {start}, ptr {slot}")
        self.place(head)
        at = self.let(f"load i64, ptr {slot}")
        self.do(f"br i1 {self.let(f'icmp ult i64 {at}, {count}')}, label %{body}, label %{after}")
        self.lines.append(f"{body}:")
        yield at
        self.do(f"store i64 {self.let(f'add nuw nsw i64 {at}, {step}')}, ptr {slot}")
        self.do(f"br label %{head}")
        self.lines.append(f"{after}:")

    def smaller(self, x: str, y: str) -> str:
        """The smaller of two i64."""
        return self.call("llvm.umin.i64", "i64", [("i64", x), ("i64", y)])

    def arithmetic(self, op: str, x: str, y: str) -> str:
        """An i64 result; done now if both are numbers."""
        if x.isdigit() and y.isdigit():
            a, b = int(x), int(y)
            return str({"add": a + b, "sub": a - b, "mul": a * b, "udiv": a // max(b, 1), "urem": a % max(b, 1)}[op])
        if (op == "mul" and "0" in (x, y)) or (op in ("add",) and (x, y) == ("0", "0")):
            return "0"
        return x if (op == "add" and y == "0") or (op == "mul" and y == "1") else self.let(f"{op} i64 {x}, {y}")

    def element(self, pointer: str, kind: str, index: str) -> str:
        """The address of an element."""
        return pointer if index == "0" else self.let(f"getelementptr {kind}, ptr {pointer}, i64 {index}")

    def function(self, name: str, parameters: list[str], linkage: str = "") -> str:
        """The finished text of a function without a result."""
        head = f"define {linkage}void @{name}({', '.join(parameters)}) #0 {{\nentry:"
        return "\n".join([head, *self.slots, *self.lines, "  ret void", "}"])
