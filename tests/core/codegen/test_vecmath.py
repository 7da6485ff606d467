"""The error bounds that vecmath.py states, and its values at the ends of the range, on every kind of processor."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special

from tests.core.codegen.programs import LEVELS, captured, llvm  # first: skips where llvmlite is absent

from flambeau.codegen.build import build  # isort: skip

FUNCTIONS = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": scipy.special.expit,
    "erf": scipy.special.erf,
    "sin": np.sin,
    "cos": np.cos,
}
SINGLE = {"exp": 1.0, "log": 1.0, "expm1": 1.5, "log1p": 1.5, "tanh": 2.0, "sigmoid": 2.5, "erf": 2.0, "sin": 1.6, "cos": 1.6}
DOUBLE = {"exp": 1.0, "log": 1.0, "expm1": 2.0, "log1p": 2.0, "tanh": 2.5, "sigmoid": 2.5}
ENDS = [0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0]


def machine(name: str, x: np.ndarray, level: str) -> np.ndarray:
    graph, inputs = captured(lambda t: getattr(t, name)(), x)
    return build(graph, target=llvm.host(level)).run(inputs)[0]


def ulps(got: np.ndarray, exact: np.ndarray) -> float:
    """The largest error in units of the last place of the right result."""
    right = exact.astype(got.dtype)
    finite = np.isfinite(right) & np.isfinite(got)
    np.testing.assert_array_equal(got[~finite], right[~finite])
    np.testing.assert_array_equal(np.signbit(got[finite]), np.signbit(right[finite]))
    error = np.abs(got[finite].astype(exact.dtype) - exact[finite])
    return float(np.max(error / np.spacing(np.abs(right[finite])).astype(exact.dtype)))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_single(name: str, level: str) -> None:
    patterns = np.arange(0, 2**32, 104729, dtype=np.uint64).astype(np.uint32).view("f4")
    tiny = [1e-45, -1e-45, 1.1754944e-38, 3.4e38, 88.72, 88.73, -87.4, -103.9, -104.1]
    x = np.concatenate([patterns, np.linspace(-110, 110, 40001), np.geomspace(1e-7, 1, 10001), [*ENDS, *tiny]]).astype("f4")
    assert ulps(machine(name, x, level), FUNCTIONS[name](x.astype("f8"))) <= SINGLE[name]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", DOUBLE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="no wider float to compare with")
def test_double(name: str, level: str) -> None:
    rng = np.random.default_rng(0)
    scale = 10 ** rng.uniform(-12, 2.8, 30000)
    tiny = [5e-324, 2.3e-308, 1e308, 709.7, 709.8, -708.4, -745.0, -746.0]
    x = np.concatenate([rng.standard_normal(30000) * scale, np.geomspace(1e-9, 1, 5001), [*ENDS, *tiny]])
    exact = x.astype(np.longdouble)
    right = np.where(x >= 0, 1, np.exp(-np.abs(exact))) / (1 + np.exp(-np.abs(exact))) if name == "sigmoid" else FUNCTIONS[name](exact)
    assert ulps(machine(name, x, level), right) <= DOUBLE[name]


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_large_angles(name: str) -> None:
    x = np.array([1e5, -1e5, 1e6, 1e10, 2.0**100, 3e38, 99999.99, 1.5, 12345.678], "f4")
    assert ulps(machine(name, x, LEVELS[0]), FUNCTIONS[name](x.astype("f8"))) <= 1.6


@pytest.mark.parametrize("name", ["exp2", "log2", "log10", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "atanh", "erfc"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_functions_of_the_c_library(name: str) -> None:
    x = np.concatenate([np.linspace(-3, 3, 41), ENDS]).astype("f4")
    table = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "atanh": "arctanh"}
    reference = scipy.special.erfc if name == "erfc" else getattr(np, table.get(name, name))
    assert ulps(machine(name, x, LEVELS[0]), reference(x.astype("f8"))) <= 0.51
