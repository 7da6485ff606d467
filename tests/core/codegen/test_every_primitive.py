"""Every primitive of the table gives the same from a compiled program as from its kernel; those without machine code are listed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from flambeau.codegen.lower import Lowering
from flambeau.graph.ir import Graph
from flambeau.primitives import attention, bind, conv, ctc, embedding, fft, linalg, normalize, recurrent, resample, sort, window  # noqa: F401  all rows
from flambeau.primitives.prim import lookup, table
from tests.core.autograd.primitive_cases import CASES, Draw
from tests.core.codegen.programs import compare

UNKNOWN = {"nonzero", "unique", "unique_consecutive", "bincount"}  # the shape of the result depends on values: they are not captured
PYTHON = set(
    """
    adaptive_max_pool angle cholesky cofactor complex conj det digamma eig eigh eigvals
    eigvalsh erfcx erfinv failed fft fold gamma_sample gamma_slope gcd histc histogram i0 i0e i1 i1e igamma igammac imag inv irfft
    lcm ldexp log_ndtr logaddexp2 lu_factor matrix_exp max_pool max_pool_values mode ndtr ndtri nextafter
    permutation pinv polygamma qr real resample resample_grad rfft slogdet solve solve_triangular strided_sum sum_pool
    sum_pool_grad svd svdvals unfold unpool view_as_complex view_as_real weigh zeta pack split take_strided put_strided
    """.split()
)  # what has code is taken off the list
NAMES = sorted(set(CASES) & set(table) - UNKNOWN)


def graph_of(name: str, seed: int, narrow: bool) -> tuple[Graph, list[np.ndarray]]:
    """One operation on random inputs, in float64 or float32."""
    arrays, params = CASES[name](Draw(seed))
    if narrow:
        arrays = [a.astype({"f": "f4", "c": "c8"}.get(a.dtype.kind, a.dtype)) for a in map(np.asarray, arrays)]
    graph, prim = Graph(), lookup(name)
    inputs = tuple(graph.input(np.shape(a), np.asarray(a).dtype) for a in arrays)
    inferred = prim.infer(*inputs, **params)
    graph.results = list(graph.add(prim, inputs, params, inferred if isinstance(inferred, list) else [inferred]).outputs)
    return graph, [np.asarray(a) for a in arrays]


def has_code(graph: Graph) -> bool:
    """Whether no part of a graph without empty arrays is left to Python."""
    return not any(n.kind == "python" for n in Lowering(graph).nodes)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_compiled_is_the_kernel(name: str) -> None:
    for seed in range(2):
        for narrow in (False, True):
            graph, arrays = graph_of(name, seed, narrow)
            compare(graph, arrays, tolerance=1e-4)


def test_no_primitive_loses_its_code() -> None:
    missing = set()
    for name in NAMES:
        graphs = [graph_of(name, seed, True)[0] for seed in range(12)]
        full = [g for g in graphs if all(0 not in v.shape for op in g.ops for v in (*op.values(), *op.outputs))]
        real = [g for g in full if all(v.dtype.kind != "c" for op in g.ops for v in (*op.values(), *op.outputs))]
        if not any(map(has_code, real)):
            missing.add(name)
    print(*sorted(missing))
    assert not missing - PYTHON


def test_sources() -> None:
    for name, params in SOURCES.items():
        graph, prim = Graph(), lookup(name)
        graph.results = list(graph.add(prim, (), params, [prim.infer(**params)]).outputs)
        compare(graph, [])
        assert has_code(graph)


SOURCES: dict[str, dict[str, Any]] = {
    "full": {"shape": (2, 3), "value": 2.5, "dtype": np.dtype("f4")},
    "arange": {"start": 0, "stop": 7, "step": 2, "dtype": np.dtype("i8")},
    "linspace": {"start": 0.0, "stop": 1.0, "steps": 5, "dtype": np.dtype("f4")},
    "eye": {"n": 3, "m": 4, "dtype": np.dtype("f4")},
}
