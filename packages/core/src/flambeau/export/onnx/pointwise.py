"""How elementwise primitives are written. A converter gets the builder, the step, its operands' names and the number of its output."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.export.onnx.builder import BOOL, Builder, Unsupported
from flambeau.export.program import Ref, Step

Converter = Callable[[Builder, Step, list[str], int], Any]


def _direct(op: str) -> Converter:
    return lambda b, step, xs, n: b.node(op, *xs)


def dtype_of(b: Builder, step: Step) -> np.dtype:
    """The dtype of the (last) tensor operand."""
    return next(b.type(x).dtype for x in reversed(step.inputs) if isinstance(x, Ref))


def formula(fn: Callable[..., str]) -> Converter:
    """A converter from a function of `Maths` and the operands' names."""
    return lambda b, step, xs, n: fn(Maths(b, dtype_of(b, step)), *xs)


class Maths:
    """Nodes by short names, with Python numbers as constants of one dtype."""

    def __init__(self, b: Builder, dtype: np.dtype) -> None:
        self.b, self.dtype = b, dtype

    def __call__(self, op: str, *xs: Any, **attributes: Any) -> str:
        names = [x if isinstance(x, str) else self.b.number(x, self.dtype) for x in xs]
        return str(self.b.node(op, *names, **attributes))


def _trunc(m: Maths, x: str) -> str:
    return m("Where", m("Less", x, 0), m("Ceil", x), m("Floor", x))


def _expm1(m: Maths, x: str) -> str:
    """2 t / (1 - t) with t = tanh(x / 2) near 0, where exp(x) - 1 would lose digits."""
    t = m("Tanh", m("Mul", x, 0.5))
    near = m("Div", m("Mul", t, 2), m("Sub", 1, t))
    return m("Where", m("Less", m("Abs", x), 0.5), near, m("Sub", m("Exp", x), 1))


def log1p(m: Maths, x: str) -> str:
    """log(u) x / (u - 1) with u = 1 + x as it is rounded; x itself where u is 1."""
    u = m("Add", x, 1)
    scaled = m("Mul", m("Log", u), m("Div", x, m("Sub", u, 1)))
    return m("Where", m("Equal", u, 1), x, m("Where", m("Less", m("Abs", x), 1), scaled, m("Log", u)))


def _floor_divide(m: Maths, x: str, y: str) -> str:
    if m.dtype.kind == "f":
        return m("Floor", m("Div", x, y))
    return m("Div", m("Sub", x, m("Mod", x, y)), y)


def _remainder(m: Maths, x: str, y: str) -> str:
    return m("Mod", x, y) if m.dtype.kind != "f" else m("Sub", x, m("Mul", y, m("Floor", m("Div", x, y))))


def _logaddexp(m: Maths, x: str, y: str) -> str:
    apart = m("Neg", m("Abs", m("Sub", x, y)))
    return m("Add", m("Max", x, y), m("Where", m("IsNaN", apart), 0, log1p(m, m("Exp", apart))))


def _bce(m: Maths, x: str, y: str) -> str:
    wrong, right = m("Max", log1p(m, m("Neg", x)), -100), m("Max", m("Log", x), -100)
    return m("Sub", m("Mul", m("Sub", y, 1), wrong), m("Mul", y, right))


def _with_nan(op: str) -> Converter:
    """The extreme of numbers, where NaN loses."""

    def fn(m: Maths, x: str, y: str) -> str:
        return m("Where", m("IsNaN", x), y, m("Where", m("IsNaN", y), x, m(op, x, y)))

    return formula(fn)


def _logic(op: str) -> Converter:
    def convert(b: Builder, step: Step, xs: list[str], n: int) -> str:
        truths = [
            name if isinstance(x, Ref) and b.type(x).dtype == BOOL else b.cast(name, BOOL) for x, name in zip(step.inputs, xs, strict=True)
        ]
        return str(b.node(op, *truths))

    return convert


def _bits(op: str) -> Converter:
    """Of truth values the logical operation, of integers the bitwise one."""
    return lambda b, step, xs, n: b.node(op if dtype_of(b, step) == BOOL else f"Bitwise{op}", *xs)


def _compare(op: str, negated: bool = False) -> Converter:
    """Truth values are compared as integers, which is what runtimes have kernels for."""

    def convert(b: Builder, step: Step, xs: list[str], n: int) -> str:
        if dtype_of(b, step) == BOOL and op != "Equal":
            xs = [b.cast(x, np.dtype(np.int32)) for x in xs]
        found = str(b.node(op, *xs))
        return str(b.node("Not", found)) if negated else found

    return convert


def _clip(b: Builder, step: Step, xs: list[str], n: int) -> str:
    lo, hi = step.params["lo"], step.params["hi"]
    dtype = dtype_of(b, step)
    out = xs[0] if lo is None else b.node("Max", xs[0], b.number(lo, dtype))
    return str(out if hi is None else b.node("Min", out, b.number(hi, dtype)))


def _round(b: Builder, step: Step, xs: list[str], n: int) -> str:
    if step.params.get("decimals"):
        raise Unsupported("decimals")
    return str(b.node("Round", xs[0]))


def _where(b: Builder, step: Step, xs: list[str], n: int) -> str:
    return str(b.node("Where", *xs))


def _cast(b: Builder, step: Step, xs: list[str], n: int) -> str:
    return b.cast(xs[0], step.outputs[0].dtype)


def _fill(b: Builder, step: Step, xs: list[str], n: int) -> str:
    return str(b.node("Expand", b.number(step.params["value"], step.outputs[0].dtype), b.vector(step.outputs[0].shape)))


_DIRECT = {
    **{
        name: name.capitalize()
        for name in "neg sign abs floor ceil exp log sqrt reciprocal sin cos tan sinh cosh tanh sigmoid relu erf".split()
    },
    **{name: name.capitalize() for name in "asin acos atan asinh acosh atanh add sub mul div pow".split()},
    "maximum": "Max",
    "minimum": "Min",
    "isnan": "IsNaN",
    "isinf": "IsInf",
    "copy": "Identity",
    "pack": "Identity",
    "in_range": "Identity",
}

POINTWISE: dict[str, Converter] = {
    **{name: _direct(op) for name, op in _DIRECT.items()},
    **{name: _logic(op) for name, op in {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not"}.items()},
    **{f"bitwise_{op.lower()}": _bits(op) for op in ("And", "Or", "Xor", "Not")},
    "eq": _compare("Equal"),
    "ne": _compare("Equal", negated=True),
    "lt": _compare("Less"),
    "le": _compare("LessOrEqual"),
    "gt": _compare("Greater"),
    "ge": _compare("GreaterOrEqual"),
    "isfinite": formula(lambda m, x: m("Not", m("Or", m("IsNaN", x), m("IsInf", x)))),
    "round": _round,
    "trunc": formula(_trunc),
    "exp2": formula(lambda m, x: m("Pow", 2, x)),
    "expm1": formula(_expm1),
    "log2": formula(lambda m, x: m("Div", m("Log", x), math.log(2))),
    "log10": formula(lambda m, x: m("Div", m("Log", x), math.log(10))),
    "log1p": formula(log1p),
    "rsqrt": formula(lambda m, x: m("Reciprocal", m("Sqrt", x))),
    "square": formula(lambda m, x: m("Mul", x, x)),
    "erfc": formula(lambda m, x: m("Sub", 1, m("Erf", x))),
    "ndtr": formula(lambda m, x: m("Mul", m("Add", m("Erf", m("Mul", x, math.sqrt(0.5))), 1), 0.5)),
    "floor_divide": formula(_floor_divide),
    "remainder": formula(_remainder),
    "fmod": lambda b, step, xs, n: b.node("Mod", *xs, fmod=1),
    "fmax": _with_nan("Max"),
    "fmin": _with_nan("Min"),
    "hypot": formula(lambda m, x, y: m("Sqrt", m("Add", m("Mul", x, x), m("Mul", y, y)))),
    "logaddexp": formula(_logaddexp),
    "xlogy": formula(lambda m, x, y: m("Where", m("Equal", x, 0), 0, m("Mul", x, m("Log", y)))),
    "bce": formula(_bce),
    "where": _where,
    "clamp": _clip,
    "hardtanh": _clip,
    "cast": _cast,
    "fill": _fill,
}
