"""Every elementwise row that has code, on ordinary and special values of each dtype, against NumPy's kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.core.codegen.programs import LEVELS, compare  # first: skips where llvmlite is absent

from flambeau.codegen import expr, llvm  # isort: skip
from flambeau.codegen.build import build  # isort: skip
from flambeau.graph.ir import Graph  # isort: skip
from flambeau.primitives.prim import lookup  # isort: skip

FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.5, 1e-30, math.inf, -math.inf, math.nan, 7.0, -7.0, 2.0, 100.25]
PARAMS: dict[str, dict[str, Any]] = {"clamp": {"lo": -1, "hi": 2}, "hardtanh": {"lo": -2, "hi": 2}}
ROUGH = {"tanh", "sigmoid", "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "erf", "erfc", "lgamma"}
ROUGH |= {"logaddexp", "xlog1py"}
ROUGH |= {"asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "atan2", "hypot", "pow", "xlogy", "bce", "rsqrt"}
NAMES = sorted(set(expr._table) - {"power", "copy", "where"})


def values(dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "b":
        return np.array([True, False, True])
    if dtype.kind == "f":
        return np.array(FLOATS, dtype)
    info = np.iinfo(dtype)
    wanted = [0, 1, 2, 3, 7, 63, info.min, info.max, *([-1, -2, -7] if info.min else [250])]
    return np.array(wanted, dtype)


def one(name: str, arrays: list[np.ndarray], params: dict[str, Any], dtypes: Any = None) -> Graph:
    graph = Graph()
    prim = lookup(name)
    inputs = tuple(graph.input(a.shape, a.dtype) for a in arrays)
    shape, dtype = prim.infer(*inputs, **params)
    graph.results = list(graph.add(prim, inputs, params, [(shape, dtype)]).outputs)
    return graph


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_row(name: str) -> None:
    kinds, _ = expr._table[name]
    count = len(lookup(name).inputs)
    for code in "?bhiqBHIQfd":
        dtype = np.dtype(code)
        if dtype.kind not in kinds or not expr.supports(name, [dtype] * count, PARAMS.get(name, {})):
            continue
        grid = [np.ascontiguousarray(g).ravel() for g in np.meshgrid(*[values(dtype)] * count)]
        params = PARAMS.get(name, {})
        compare(one(name, grid, params), grid, LEVELS[0], 1e-6 if name in ROUGH else 0)


@pytest.mark.parametrize("source", "?bhiqBHIQfd")
@pytest.mark.parametrize("level", LEVELS)
def test_cast(source: str, level: str) -> None:
    x = values(np.dtype(source))
    for target in "?bhiqBHIQfd" if level == LEVELS[0] else "?iqfd":
        wanted = np.dtype(target)
        a = x
        if a.dtype.kind == "f" and wanted.kind in "iu":  # outside the range the result is not defined
            a = np.array([0.0, 1.0, 2.7, 100.25, 3.99, *([-1.5, -2.0] if wanted.kind == "i" else [])], source)
        compare(one("cast", [a], {"dtype": wanted}), [a], level)


@pytest.mark.parametrize("source", ["float32", "float64"])
@pytest.mark.parametrize("target", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("level", LEVELS)
def test_floats_outside_an_integers_range_give_its_nearest_value(source: str, target: str, level: str) -> None:
    limits = np.iinfo(target)
    ends = [float(limits.min), float(limits.max), limits.min - 1.5, limits.max + 1.5, limits.max / 2, math.inf, -math.inf, 1e30, -1e30]
    given = np.array([math.nan, 0.9, -0.9, 1.5, -1.5, *ends] * 3, source)
    wanted = [0 if math.isnan(v) else max(limits.min, min(limits.max, int(np.clip(v, -1e25, 1e25)))) for v in given.tolist()]
    (got,) = build(one("cast", [given], {"dtype": np.dtype(target)}), target=llvm.host(level)).run([given])
    assert got.tolist() == wanted


@pytest.mark.parametrize("exponent", [2, 0.5, 1.0, -1, 0, 3, 2.5, -0.5])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_power_by_a_number(exponent: float) -> None:
    x = np.array(FLOATS, "f4")
    graph = Graph()
    v = graph.input(x.shape, x.dtype)
    graph.results = list(graph.add(lookup("pow"), (v, exponent), {}, [(x.shape, x.dtype)]).outputs)
    compare(graph, [x], LEVELS[0], 1e-6)


@pytest.mark.parametrize("kind", sorted(set(expr.COMBINE) - {"peak", "pick"}))
@pytest.mark.parametrize("level", LEVELS)
def test_reductions(kind: str, level: str) -> None:
    rng = np.random.default_rng(0)
    for code in "?iBfd":
        if not expr.reduces(kind, np.dtype(code)) and kind not in ("any", "all"):
            continue
        for shape, axis in [((3, 37), (1,)), ((37, 3), (0,)), ((5, 7, 9), (0, 2)), ((200,), (0,)), ((2, 3, 64), (1,)), ((5, 70), (0, 1))]:
            x = rng.integers(0, 3, shape).astype(code) if kind != "prod" else rng.choice([1, 1, 1, 2, -1], shape).astype(code)
            compare(one(kind, [x], {"axis": axis, "keepdim": len(shape) == 2}), [x], level)


@pytest.mark.parametrize("kind", ["amax", "amin", "sum"])
def test_nan_spreads(kind: str) -> None:
    x = np.ones((4, 50), "f4")
    x[1, 3] = x[2, 49] = np.nan
    for axis in ((0,), (1,), (0, 1)):
        compare(one(kind, [x], {"axis": axis, "keepdim": False}), [x])


def test_long_sums_are_accurate() -> None:
    x = np.full((1 << 20,), 0.1, "f4")
    graph = one("sum", [x], {"axis": (0,), "keepdim": False})
    from tests.core.codegen.programs import build

    (total,) = build(graph).run([x])
    assert abs(float(total) - x.sum(dtype="f8")) < 2e-6 * float(total)
