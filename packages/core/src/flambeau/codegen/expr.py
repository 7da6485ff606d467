"""What each elementwise primitive is on values of the function being written: the table from rows to instructions.

`supports(op, dtypes)` says whether there is an entry for these dtypes; NumPy's results are the reference, including NaN, infinities,
integer overflow (wraps) and division of integers by zero (gives 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.codegen.value import BOOL, F32, V, is_half
from flambeau.codegen.vecmath import function, library
from flambeau.codegen.words import rounded

DTYPES = frozenset(np.dtype(c) for c in "? b h i q B H I Q f d".split())
Lowering = Callable[..., V]
_table: dict[str, tuple[str, Lowering]] = {}  # name -> kinds of dtypes it takes, how it is written


def apply(name: str, arguments: list[V], params: dict[str, Any], dtype: np.dtype) -> V:
    """Write a primitive; numbers are already values."""
    if name == "cast":
        return rounded(arguments[0].to(F32), dtype) if is_half(dtype) else arguments[0].to(dtype)
    return _table[name][1](*arguments, **params)


def movable(d: np.dtype) -> bool:
    """Whether elements can be read, written and converted."""
    return d in DTYPES or is_half(d)


def supports(name: str, dtypes: list[np.dtype], params: dict[str, Any]) -> bool:
    """Whether the primitive can be written for operands of these dtypes (of the arrays among them)."""
    if name in ("cast", "copy"):
        target = params.get("dtype", dtypes[0])
        exact = not is_half(target) or is_half(dtypes[0]) or dtypes[0].itemsize <= 2 or dtypes[0] == F32  # by way of float32
        return exact and movable(dtypes[0]) and movable(target)
    if any(d not in DTYPES for d in dtypes):
        return False
    if name not in _table:
        return False
    if name == "round" and params.get("decimals"):
        return False
    if name in ("clamp", "hardtanh") and not all(v is None or fits(v, dtypes[0]) for v in params.values()):
        return False
    kinds = _table[name][0]
    return all(d.kind in kinds for d in (dtypes[1:] if name == "where" else dtypes))


def fits(number: Any, dtype: np.dtype) -> bool:
    """Whether a plain number can stand beside an array of this dtype without changing the result's dtype or its own value."""
    if isinstance(number, bool):
        return True
    if isinstance(number, int):
        return dtype.kind == "f" or (dtype.kind in "iu" and np.iinfo(dtype).min <= number <= np.iinfo(dtype).max)
    return isinstance(number, float) and dtype.kind == "f"


def _entry(kinds: str, *names: str) -> Callable[[Lowering], Lowering]:
    def keep(how: Lowering) -> Lowering:
        for name in names:
            _table[name] = (kinds, how)
        return how

    return keep


def _table_of(kinds: str, **rows: Lowering) -> None:
    for name, how in rows.items():
        _table[name.rstrip("_")] = (kinds, how)


# -- arithmetic ---------------------------------------------------------------------------------------------------------------------------
def _add(x: V, y: V) -> V:
    return x | y if x.dtype.kind == "b" else x + y


def _mul(x: V, y: V) -> V:
    return x & y if x.dtype.kind == "b" else x * y


_table_of("fiub", add=_add, mul=_mul)
_table_of("fiu", sub=lambda x, y: x - y, neg=lambda x: -x, square=lambda x: x * x)
_table_of(
    "f",
    div=lambda x, y: x / y,
    reciprocal=lambda x: 1 / x,
    sqrt=lambda x: x.call("sqrt"),
    rsqrt=lambda x: 1 / x.call("sqrt"),
    floor=lambda x: x.call("floor"),
    ceil=lambda x: x.call("ceil"),
    trunc=lambda x: x.call("trunc"),
    copysign=lambda x, y: x.call("copysign", y),
)


@_entry("f", "round")
def _round(x: V, decimals: int = 0) -> V:
    return x.call("roundeven")


@_entry("fiu", "abs")
def _abs(x: V) -> V:
    if x.is_float:
        return x.call("fabs")
    return x if x.dtype.kind == "u" else (x < 0).choose(-x, x)


@_entry("fiu", "sign")
def _sign(x: V) -> V:
    positive = (x > 0).choose(x.const(1), x.const(0))
    if x.dtype.kind == "u":
        return positive
    result = (x < 0).choose(x.const(-1), positive)
    return x.is_nan().choose(x, result) if x.is_float else result


@_entry("fiu", "remainder")
def _remainder(x: V, y: V) -> V:
    """The sign is the divisor's."""
    if x.is_float:
        rest = _float_rest(x, y)
        return rest.equals(0).choose(x.const(0).call("copysign", y), rest)
    rest, safe = _integer_rest(x, y)
    if x.dtype.kind == "u":
        return y.equals(0).choose(0, rest)
    wrong = rest.differs(0) & ((rest ^ safe) < 0)
    return y.equals(0).choose(0, wrong.choose(rest + safe, rest))


def _float_rest(x: V, y: V) -> V:
    rest = library("fmod")(x, y)
    return _other_side(rest, y).choose(rest + y, rest)


def _other_side(rest: V, y: V) -> V:
    """Whether a rest that is not 0 has the other sign than the divisor."""
    return rest.differs(0) & ((y < 0) ^ (rest < 0))


def _integer_rest(x: V, y: V) -> tuple[V, V]:
    """x rem y with the sign of x, for a divisor that never traps (0 and -1 become 1: the rest is 0)."""
    trap = y.equals(0) if x.dtype.kind == "u" else y.equals(0) | y.equals(-1)
    safe = trap.choose(1, y)
    return x % safe, safe


@_entry("fiu", "floor_divide")
def _floor_divide(x: V, y: V) -> V:
    if x.is_float:
        rest = library("fmod")(x, y)
        quotient = (x - rest) / y
        quotient = _other_side(rest, y).choose(quotient - 1, quotient)
        whole = quotient.call("floor")
        whole = (quotient - whole > 0.5).choose(whole + 1, whole)
        whole = quotient.equals(0).choose(x.const(0).call("copysign", x / y), whole)
        return y.equals(0).choose(x / y, whole)
    rest, safe = _integer_rest(x, y)
    quotient = x / safe
    if x.dtype.kind == "i":
        below = rest.differs(0) & ((rest ^ safe) < 0)
        quotient = y.equals(-1).choose(-x, below.choose(quotient - 1, quotient))
    return y.equals(0).choose(0, quotient)


@_entry("f", "pow")
def _pow(x: V, y: V) -> V:
    return library("pow")(x, y)


def power(x: V, exponent: float) -> V:
    """x ** number, for the exponents that NumPy treats in the same way."""
    simple: dict[float, Callable[[], V]] = {
        2.0: lambda: x * x,
        1.0: lambda: x,
        0.5: lambda: x.call("sqrt"),
        -1.0: lambda: 1 / x,
        0.0: lambda: x.const(1),
    }
    return simple[exponent]() if exponent in simple else _pow(x, x.const(exponent))


_table["power"] = ("f", power)


# -- elementary functions -----------------------------------------------------------------------------------------------------------------
def _named(name: str) -> Lowering:
    return lambda x: function(name, x)


ELEMENTARY = frozenset(
    "exp expm1 log log1p tanh sigmoid erf sin cos exp2 log2 log10 tan asin acos atan sinh cosh asinh acosh atanh erfc lgamma".split()
)
for _name in ELEMENTARY:
    _table[_name] = ("f", _named(_name))
for _name in ("atan2", "hypot"):
    _table[_name] = ("f", library(_name))


def _xlogy(x: V, y: V) -> V:
    product = x * function("log", y)
    return (x.equals(0) & ~y.is_nan()).choose(0, product)


def _bce(x: V, y: V) -> V:
    wrong = _largest(function("log1p", -x), x.const(-100))
    return (y - 1) * wrong - y * _largest(function("log", x), x.const(-100))


_table_of("f", xlogy=_xlogy, bce=_bce)


def logaddexp(x: V, y: V) -> V:
    """log(exp(x) + exp(y)): the larger, and what the smaller adds; infinities of one sign stay."""
    gap = (x - y).call("fabs")
    sum_ = _largest(x, y) + function("log1p", function("exp", -gap))
    return x.equals(y).choose(x + math.log(2), sum_)


def _fmod(x: V, y: V) -> V:
    """The sign is the dividend's."""
    return library("fmod")(x, y) if x.is_float else y.equals(0).choose(0, _integer_rest(x, y)[0])


def _xlog1py(x: V, y: V) -> V:
    product = x * function("log1p", y)
    return (x.equals(0) & ~y.is_nan()).choose(0, product)


_table_of("f", logaddexp=logaddexp, xlog1py=_xlog1py)
_table["fmod"] = ("fiu", _fmod)


# -- choosing and comparing ---------------------------------------------------------------------------------------------------------------
def _largest(x: V, y: V) -> V:
    """NaN wins."""
    if x.dtype.kind == "b":
        return x | y
    better = x > y
    return (better | x.is_nan() if x.is_float else better).choose(x, y)


def _smallest(x: V, y: V) -> V:
    if x.dtype.kind == "b":
        return x & y
    better = x < y
    return (better | x.is_nan() if x.is_float else better).choose(x, y)


def _fmax(x: V, y: V) -> V:
    return ((x > y) | y.is_nan()).choose(x, y) if x.is_float else _largest(x, y)


def _fmin(x: V, y: V) -> V:
    return ((x < y) | y.is_nan()).choose(x, y) if x.is_float else _smallest(x, y)


def _clamp(x: V, lo: Any = None, hi: Any = None) -> V:
    if lo is not None:
        x = _largest(x, x.const(lo))
    return x if hi is None else _smallest(x, x.const(hi))


_table_of("fiub", maximum=_largest, minimum=_smallest)
_table_of("fiu", fmax=_fmax, fmin=_fmin, clamp=_clamp, hardtanh=_clamp, relu=lambda x: _largest(x, x.const(0)))
_table_of("fiub", where=lambda c, x, y: c.to(BOOL).choose(x, y))


def _compared(how: str) -> Lowering:
    return lambda x, y: x.compare(how, y)


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _table[_name] = ("fiub", _compared(_name))
_table_of(
    "fiub",
    logical_and=lambda x, y: x.to(BOOL) & y.to(BOOL),
    logical_or=lambda x, y: x.to(BOOL) | y.to(BOOL),
    logical_xor=lambda x, y: x.to(BOOL) ^ y.to(BOOL),
    logical_not=lambda x: ~x.to(BOOL),
    copy=lambda x: x,
)
_table_of(
    "f",
    isnan=lambda x: x.is_nan(),
    isinf=lambda x: x.call("fabs").equals(math.inf),
    isfinite=lambda x: x.call("fabs") < math.inf,
    signbit=lambda x: x.bits() < 0,
)
_table_of(
    "iub",
    bitwise_and=lambda x, y: x & y,
    bitwise_or=lambda x, y: x | y,
    bitwise_xor=lambda x, y: x ^ y,
    bitwise_not=lambda x: ~x,
)


def _shifted(left: bool) -> Lowering:
    def how(x: V, y: V) -> V:
        width = 8 * x.dtype.itemsize
        outside = (y < 0) | (y >= width) if y.dtype.kind == "i" else y >= width
        safe = outside.choose(0, y)
        rest = x.const(0) if left or x.dtype.kind == "u" else (x < 0).choose(x.const(-1), x.const(0))
        return outside.choose(rest, x << safe if left else x >> safe)

    return how


_table_of("iu", shift_left=_shifted(True), shift_right=_shifted(False))


# -- reductions: how two partial results combine, and what changes nothing -----------------------------------------------------------------
def _either(x: V, y: V) -> V:
    """Of values of which at most one is not 0, that one, bit by bit."""
    return (x.bits() | y.bits()).from_bits() if x.is_float else x | y


COMBINE: dict[str, Callable[[V, V], V]] = {
    "pick": _either,
    "sum": lambda x, y: x + y,
    "prod": lambda x, y: x * y,
    "amax": _largest,
    "amin": _smallest,
    "peak": lambda x, y: (y > x).choose(y, x),  # the largest number, whatever NaN may be there besides
    "any": lambda x, y: x | y,
    "all": lambda x, y: x & y,
}


def neutral(kind: str, dtype: np.dtype) -> Any:
    """The number that a reduction starts from."""
    if kind in ("sum", "any", "pick"):
        return 0
    if kind in ("prod", "all"):
        return 1
    low = kind in ("amax", "peak")
    if dtype.kind == "f":
        return -math.inf if low else math.inf
    if dtype.kind == "b":
        return 0 if low else 1
    info = np.iinfo(dtype)
    return info.min if low else info.max


def reduces(kind: str, dtype: np.dtype) -> bool:
    """Whether this reduction can be written for elements of this dtype."""
    return kind in COMBINE and dtype in DTYPES and (dtype.kind != "b" or kind in ("any", "all", "amax", "amin"))
