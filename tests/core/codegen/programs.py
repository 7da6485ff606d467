"""Helpers: capture a function as a graph, and compare its machine code with the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.graph.capture import traced
from flambeau.graph.interpret import interpret
from flambeau.graph.ir import Graph

pytest.importorskip("llvmlite")

from flambeau.codegen import llvm
from flambeau.codegen.build import build
from flambeau.codegen.program import Program

BEST = llvm.host().level
LEVELS = [BEST, *(level for level in ("avx2", "generic") if llvm.LEVELS.index(level) > llvm.LEVELS.index(BEST) and BEST != "neon")]


def captured(fn: Callable[..., Any], *arrays: np.ndarray) -> tuple[Graph, list[np.ndarray]]:
    """The graph of fn on tensors of these arrays, with what it returns as results, and the graph's inputs."""
    tensors = [fb.tensor(a) for a in arrays]
    out, capture = traced(lambda: fn(*tensors))
    outs = out if isinstance(out, (tuple, list)) else (out,)
    capture.graph.results = [capture.read(o._a) for o in outs]
    return capture.graph, [np.array(a) for a in capture.outside]


def compare(graph: Graph, arrays: Sequence[np.ndarray], level: str = BEST, tolerance: float = 1e-5) -> Program:
    """Assert that the machine code gives what the interpreter gives."""
    expected = interpret(graph, arrays)
    program = build(graph, target=llvm.host(level))
    for run in range(2):  # the second run finds the working memory used
        results = program.run(arrays)
        assert len(results) == len(expected)
        for got, want in zip(results, expected, strict=True):
            assert got.shape == want.shape and got.dtype == want.dtype, run
            if want.dtype.kind in "fc":
                rough = tolerance if want.dtype.itemsize < 8 else min(tolerance, 1e-11)
                scale = float(np.max(np.abs(want[np.isfinite(want)]), initial=1.0))
                np.testing.assert_allclose(got, want, rtol=rough, atol=rough * scale)
            else:
                np.testing.assert_array_equal(got, want)
    return program


def check(fn: Callable[..., Any], *arrays: np.ndarray, level: str = BEST, tolerance: float = 1e-5) -> Program:
    """Capture and compare."""
    return compare(*captured(fn, *arrays), level, tolerance)
