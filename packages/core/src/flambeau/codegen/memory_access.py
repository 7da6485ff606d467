"""Loads and stores of vectors, whole ones or only their first lanes."""

from __future__ import annotations

import numpy as np

from flambeau.codegen.text import Code, memory_type, scalar_type, suffix, vector
from flambeau.codegen.value import V


def _mask(lanes: int, count: int) -> str:
    return f"<{lanes} x i1> <{', '.join(f'i1 {int(i < count)}' for i in range(lanes))}>"


def load(code: Code, pointer: str, dtype: np.dtype, lanes: int, count: int = 0) -> V:
    """`lanes` elements (0: one that is not a vector); with a `count`, the first ones, and zeros."""
    element = memory_type(dtype)
    kind = vector(element, lanes)
    if count:
        name = f"llvm.masked.load.{suffix(element, lanes)}.p0"
        code.module.declare(f"declare {kind} @{name}(ptr, <{lanes} x i1>, {kind})")
        text = code.let(f"call {kind} @{name}(ptr align {dtype.itemsize} {pointer}, {_mask(lanes, count)}, {kind} zeroinitializer)")
    else:
        text = code.let(f"load {kind}, ptr {pointer}, align {dtype.itemsize}")
    return V(code, text, dtype, lanes) if dtype.kind != "b" else V(code, text, np.dtype("u1"), lanes).differs(0)


def store(code: Code, pointer: str, value: V, count: int = 0) -> None:
    """Store all lanes or, with a `count`, the first ones."""
    if value.dtype.kind == "b":
        value = value.of(f"zext {value.type} {value.text} to {vector('i8', value.lanes)}", np.dtype("u1"))
    align = value.dtype.itemsize
    if not count:
        code.do(f"store {value.type} {value.text}, ptr {pointer}, align {align}")
        return
    name = f"llvm.masked.store.{suffix(scalar_type(value.dtype), value.lanes)}.p0"
    code.module.declare(f"declare void @{name}({value.type}, ptr, <{value.lanes} x i1>)")
    code.do(f"call void @{name}({value.type} {value.text}, ptr align {align} {pointer}, {_mask(value.lanes, count)})")
