"""Values of the function being written, with Python's operators: `(a * b + 1).where(c, d)` writes the instructions for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.codegen.text import Code, scalar_type, splat, suffix, vector

BOOL = np.dtype(bool)
I32, I64, F32, F64 = np.dtype("i4"), np.dtype("i8"), np.dtype("f4"), np.dtype("f8")


def is_half(d: np.dtype) -> bool:
    """float16 or bfloat16, which are float32 in registers."""
    return d.itemsize == 2 and d.kind in "fV"


class V:
    """A value: its text in the code, the NumPy dtype it stands for, and how many lanes it has (0: not a vector)."""

    __slots__ = ("code", "dtype", "lanes", "text")

    def __init__(self, code: Code, text: str, dtype: np.dtype, lanes: int) -> None:
        self.code, self.text, self.dtype, self.lanes = code, text, dtype, lanes

    @property
    def element(self) -> str:
        """The type of one lane."""
        return scalar_type(self.dtype)

    @property
    def type(self) -> str:
        """The whole type."""
        return vector(self.element, self.lanes)

    @property
    def is_float(self) -> bool:
        """Whether it is a floating point number."""
        return self.dtype.kind == "f"

    def const(self, number: Any, dtype: np.dtype | None = None) -> V:
        """A number in as many lanes as this value has."""
        d = self.dtype if dtype is None else dtype
        return V(self.code, splat(number, scalar_type(d), self.lanes), d, self.lanes)

    def of(self, expression: str, dtype: np.dtype | None = None) -> V:
        """The result of an instruction, of this type or another dtype."""
        return V(self.code, self.code.let(expression), self.dtype if dtype is None else dtype, self.lanes)

    def _other(self, y: Any) -> V:
        return y if isinstance(y, V) else self.const(y)

    def _binary(self, y: Any, on_float: str, on_int: str, swap: bool = False) -> V:
        a, b = self, self._other(y)
        if swap:
            a, b = b, a
        return self.of(f"{on_float if self.is_float else on_int} {self.type} {a.text}, {b.text}")

    def __add__(self, y: Any) -> V:
        return self._binary(y, "fadd", "add")

    def __radd__(self, y: Any) -> V:
        return self._binary(y, "fadd", "add", swap=True)

    def __sub__(self, y: Any) -> V:
        return self._binary(y, "fsub", "sub")

    def __rsub__(self, y: Any) -> V:
        return self._binary(y, "fsub", "sub", swap=True)

    def __mul__(self, y: Any) -> V:
        return self._binary(y, "fmul", "mul")

    def __rmul__(self, y: Any) -> V:
        return self._binary(y, "fmul", "mul", swap=True)

    def __truediv__(self, y: Any) -> V:
        return self._binary(y, "fdiv", "sdiv" if self.dtype.kind == "i" else "udiv")

    def __rtruediv__(self, y: Any) -> V:
        return self._binary(y, "fdiv", "sdiv" if self.dtype.kind == "i" else "udiv", swap=True)

    def __mod__(self, y: Any) -> V:
        return self._binary(y, "frem", "srem" if self.dtype.kind == "i" else "urem")

    def __and__(self, y: Any) -> V:
        return self._binary(y, "?", "and")

    def __or__(self, y: Any) -> V:
        return self._binary(y, "?", "or")

    def __xor__(self, y: Any) -> V:
        return self._binary(y, "?", "xor")

    def __lshift__(self, y: Any) -> V:
        return self._binary(y, "?", "shl")

    def __rshift__(self, y: Any) -> V:
        return self._binary(y, "?", "ashr" if self.dtype.kind == "i" else "lshr")

    def __neg__(self) -> V:
        return self.of(f"fneg {self.type} {self.text}") if self.is_float else 0 - self

    def __invert__(self) -> V:
        return self ^ (True if self.dtype.kind == "b" else -1)

    def compare(self, how: str, y: Any) -> V:
        """`how` is eq, ne, lt, le, gt, ge; only ne is true of NaN."""
        b = self._other(y)
        if self.is_float:
            return self.of(f"fcmp {'une' if how == 'ne' else 'o' + how} {self.type} {self.text}, {b.text}", BOOL)
        sign = "" if how in ("eq", "ne") else "s" if self.dtype.kind == "i" else "u"
        return self.of(f"icmp {sign}{how} {self.type} {self.text}, {b.text}", BOOL)

    def __lt__(self, y: Any) -> V:
        return self.compare("lt", y)

    def __le__(self, y: Any) -> V:
        return self.compare("le", y)

    def __gt__(self, y: Any) -> V:
        return self.compare("gt", y)

    def __ge__(self, y: Any) -> V:
        return self.compare("ge", y)

    def equals(self, y: Any) -> V:
        """Element by element."""
        return self.compare("eq", y)

    def differs(self, y: Any) -> V:
        """Element by element; true of NaN."""
        return self.compare("ne", y)

    def is_nan(self) -> V:
        """Whether it is NaN."""
        return self.of(f"fcmp uno {self.type} {self.text}, {self.text}", BOOL)

    def choose(self, x: Any, y: Any) -> V:
        """x where this (a bool) is true, y elsewhere; one of them must be a value."""
        like = x if isinstance(x, V) else y
        a, b = like._other(x), like._other(y)
        return V(self.code, self.code.let(f"select {self.type} {self.text}, {a.type} {a.text}, {b.type} {b.text}"), a.dtype, self.lanes)

    def call(self, intrinsic: str, *others: Any) -> V:
        """An LLVM intrinsic overloaded on this type, as `fma` or `sqrt`."""
        arguments = [(self.type, x.text) for x in (self, *map(self._other, others))]
        name = f"llvm.{intrinsic}.{suffix(self.element, self.lanes)}"
        return V(self.code, self.code.call(name, self.type, arguments), self.dtype, self.lanes)

    def fma(self, y: Any, z: Any) -> V:
        """self * y + z, rounded once where the target has the instruction."""
        return self.call("fma", y, z) if self.code.fused else self * y + z

    def bits(self) -> V:
        """The bits of a float as a signed integer."""
        d = np.dtype(f"i{self.dtype.itemsize}")
        return self.of(f"bitcast {self.type} {self.text} to {vector(scalar_type(d), self.lanes)}", d)

    def from_bits(self) -> V:
        """The float with these bits."""
        d = np.dtype(f"f{self.dtype.itemsize}")
        return self.of(f"bitcast {self.type} {self.text} to {vector(scalar_type(d), self.lanes)}", d)

    def to(self, d: np.dtype) -> V:
        """Converted as a C cast does; floats out of an integer's range give its nearest value, and NaN 0."""
        if d == self.dtype:
            return self
        if d.kind == "b":
            return self.differs(0)
        target = vector(scalar_type(d), self.lanes)
        if self.is_float and d.kind in "iu":
            return self._to_integer(d)
        return self.of(f"{self._conversion(d)} {self.type} {self.text} to {target}", d)

    def _to_integer(self, d: np.dtype) -> V:
        """`to` for floats, cut to the range beforehand: LLVM's own saturating conversion takes vectors lane by lane."""
        limits, zero = np.iinfo(d), 0.0
        low, high = float(limits.min), float(limits.max)  # `high` may be rounded to the number above it
        wide = np.dtype(np.int32) if d.itemsize < 4 else d
        convert = "fptosi" if wide.kind == "i" else "fptoui"
        inside = (self > low - 1 if low == 0 else self >= low) & (self < high)  # false of NaN
        made = self.of(f"{convert} {self.type} {inside.choose(self, zero).text} to {vector(scalar_type(wide), self.lanes)}", wide)
        made = (self >= high).choose(limits.max, made)
        return (made if low == 0 else (self < low).choose(limits.min, made)).to(d)

    def _conversion(self, d: np.dtype) -> str:
        bigger = d.itemsize > self.dtype.itemsize
        if self.is_float:
            return "fpext" if bigger else "fptrunc"
        if d.kind == "f":
            return "sitofp" if self.dtype.kind == "i" else "uitofp"
        if self.dtype.kind == "b":
            return "zext"
        if d.itemsize == self.dtype.itemsize:
            return "bitcast"
        return ("sext" if self.dtype.kind == "i" else "zext") if bigger else "trunc"

    def lane(self, i: int) -> V:
        """One lane, not as a vector."""
        if not self.lanes:
            return self
        return V(self.code, self.code.let(f"extractelement {self.type} {self.text}, i32 {i}"), self.dtype, 0)

    def spread(self, lanes: int) -> V:
        """A value that is not a vector, in each of `lanes` lanes."""
        if not lanes:
            return self
        kind = vector(self.element, lanes)
        one = self.code.let(f"insertelement {kind} poison, {self.type} {self.text}, i32 0")
        text = self.code.let(f"shufflevector {kind} {one}, {kind} poison, <{lanes} x i32> zeroinitializer")
        return V(self.code, text, self.dtype, lanes)

    def part(self, start: int, count: int) -> V:
        """`count` lanes from `start`."""
        which = ", ".join(f"i32 {start + i}" for i in range(count))
        text = self.code.let(f"shufflevector {self.type} {self.text}, {self.type} poison, <{count} x i32> <{which}>")
        return V(self.code, text, self.dtype, count)


def each_lane(x: V, function: Callable[..., V], *others: V) -> V:
    """Apply a function of single elements lane by lane."""
    if not x.lanes:
        return function(x, *others)
    result: V | None = None
    for i in range(x.lanes):
        one = function(x.lane(i), *(y.lane(i) for y in others))
        kind = vector(one.element, x.lanes)
        before = "poison" if result is None else result.text
        result = V(x.code, x.code.let(f"insertelement {kind} {before}, {one.type} {one.text}, i32 {i}"), one.dtype, x.lanes)
    assert result is not None
    return result


def fold(x: V, combine: Callable[[V, V], V], neutral: Any) -> V:
    """Combine all lanes into one, halves first."""
    if not x.lanes:
        return x
    size = 1
    while size < x.lanes:
        size *= 2
    if size != x.lanes:
        which = ", ".join(f"i32 {min(i, x.lanes)}" for i in range(size))
        text = x.code.let(f"shufflevector {x.type} {x.text}, {x.type} {x.const(neutral).text}, <{size} x i32> <{which}>")
        x = V(x.code, text, x.dtype, size)
    while x.lanes > 1:
        half = x.lanes // 2
        x = combine(x.part(0, half), x.part(half, half))
    return x.lane(0)
