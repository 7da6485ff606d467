"""Numbers that a captured function reads from tensors, and numbers that are inputs of a program.

`t.item()` of a float tensor gives a `Number` under capture. Arithmetic on it makes an expression, which a replay computes with the value
of that run; as an operand of a tensor it is an input of the rest of the program. Where Python must know the value (a comparison, `int()`,
`float()`), the program branches: see `graph/tree.py`. An expression is a nested tuple: ("read", k), ("table", t, i, name) for a number
of an optimizer, ("const", x) or (operator, ...).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau.graph.ir import Scalar

Expression = tuple[Any, ...]

_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv, "floordiv": operator.floordiv,
    "mod": operator.mod, "pow": operator.pow, "neg": operator.neg, "pos": operator.pos, "abs": operator.abs, "lt": operator.lt,
    "le": operator.le, "gt": operator.gt, "ge": operator.ge, "eq": operator.eq, "ne": operator.ne, "bool": bool, "int": int,
    "float": float, "round": round, "floor": math.floor, "ceil": math.ceil, "trunc": math.trunc,
}  # fmt: skip
_DECIDING = frozenset(("lt", "le", "gt", "ge", "eq", "ne", "bool", "int", "float", "round", "floor", "ceil", "trunc"))


class RuntimeNumber(float):
    """A Python float that is an input of the program: used as an operand it becomes a `Scalar` of the graph."""

    __slots__ = ("scalar",)
    scalar: Scalar

    def __new__(cls, value: float, scalar: Scalar) -> RuntimeNumber:
        made = super().__new__(cls, value)
        made.scalar = scalar
        return made


class Number:
    """A number that comes from a tensor, as the function sees it. After the capture it behaves as the number that it was."""

    __slots__ = ("capture", "expression", "value")

    if TYPE_CHECKING:  # operators are made below

        def __float__(self) -> float: ...

    def __init__(self, capture: Any, expression: Expression, value: float) -> None:
        self.capture, self.expression, self.value = capture, expression, value

    def as_operand(self) -> float:
        """What tensor operations take in its place."""
        return RuntimeNumber(self.value, self.capture.scalar_of(self.expression)) if self.capture.running else self.value

    def __repr__(self) -> str:
        return repr(self.__float__())

    def __format__(self, spec: str) -> str:
        return format(self.__float__(), spec)

    def __hash__(self) -> int:
        return hash(self.__float__())

    def __complex__(self) -> complex:
        return complex(self.__float__())

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def is_integer(self) -> bool:
        """Whether it is a whole number."""
        return self.__float__().is_integer()


def evaluate(expression: Expression, run: Any) -> Any:
    """The value of an expression in a run."""
    kind = expression[0]
    if kind == "table":
        return run.tables[expression[1]][expression[2]][expression[3]]
    if kind == "read":
        return run.reads[expression[1]]
    if kind == "const":
        return expression[1]
    return _OPERATORS[kind](*[evaluate(part, run) for part in expression[1:]])


def function_of(expression: Expression) -> Callable[[Any], Any]:
    """`evaluate` for one expression: a function of a run."""
    kind, *rest = expression
    if kind == "table":
        t, i, name = rest
        return lambda run: run.tables[t][i][name]
    if kind in ("read", "const"):
        return lambda run: evaluate(expression, run)
    operate = _OPERATORS[kind]
    parts = [function_of(p) for p in rest]
    if len(parts) == 2 and rest[1][0] == "const":
        (first, _), constant = parts, rest[1][1]
        return lambda run: operate(first(run), constant)
    return lambda run: operate(*[part(run) for part in parts])


def reads_of(expression: Expression) -> set[int]:
    """Which reads an expression uses."""
    if expression[0] == "read":
        return {expression[1]}
    return set() if expression[0] in ("const", "table") else set().union(*[reads_of(p) for p in expression[1:]])


def _part(x: Any) -> Any:
    return x.expression if isinstance(x, Number) else ("const", x)


def _plain(x: Any) -> Any:
    return x.value if isinstance(x, Number) else x


def _apply(name: str, parts: tuple[Any, ...]) -> Any:
    """An operator on numbers of which at least one is a `Number`."""
    if not all(isinstance(p, (Number, int, float, type(None))) for p in parts):
        return NotImplemented
    value = _OPERATORS[name](*[_plain(p) for p in parts if p is not None])
    capture = next(p.capture for p in parts if isinstance(p, Number))
    if not capture.running:
        return value
    expression = (name, *[_part(p) for p in parts if p is not None])
    return capture.branch(expression, value) if name in _DECIDING else Number(capture, expression, value)


def _binary(name: str) -> None:
    def forward(self: Number, other: Any) -> Any:
        if hasattr(other, "_a"):  # a tensor, whose own operator takes the number as an operand
            return _OPERATORS[name](self.as_operand(), other)
        return _apply(name, (self, other))

    def backward(self: Number, other: Any) -> Any:
        if hasattr(other, "_a"):
            return _OPERATORS[name](other, self.as_operand())
        return _apply(name, (other, self))

    setattr(Number, f"__{name}__", forward)
    if name not in _DECIDING:
        setattr(Number, f"__r{name}__", backward)


def _unary(name: str) -> None:
    def method(self: Number, *more: Any) -> Any:
        return _apply(name, (self, *more))

    setattr(Number, f"__{name}__", method)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge", "eq", "ne"):
    _binary(_name)
for _name in ("neg", "pos", "abs", "bool", "int", "float", "round", "floor", "ceil", "trunc"):
    _unary(_name)
