"""Rows of sorting and searching (kernels/sort.py). Values carry gradients, indices do not."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.primitives.indexing import _unknown as unknown
from flambeau.primitives.indexing import scatter_add, zeros_of
from flambeau.primitives.prim import primitive

INT64 = np.dtype(np.int64)


def _values_vjp(g: Any, out: Any, x_shape: tuple[int, ...], axis: int) -> Any:
    return scatter_add(zeros_of(g[0], x_shape), out[1], g[0], axis=axis)


def _topk_rule(x: Any, k: int, axis: int, largest: bool, sorted: bool) -> Any:
    shape = tuple(k if i == axis else n for i, n in enumerate(x.shape))
    return [(shape, x.dtype), (shape, INT64)]


sort = primitive(
    "sort",
    "x",
    kernel="sort.sort",
    rule=lambda x, axis, descending: [(x.shape, x.dtype), (x.shape, INT64)],
    vjp=_values_vjp,
    multi=True,
)
topk = primitive("topk", "x", kernel="sort.topk", rule=_topk_rule, vjp=_values_vjp, multi=True)
searchsorted = primitive("searchsorted", "sequence x", kernel="sort.searchsorted", rule=lambda sequence, x, right: (x.shape, INT64))
unique = primitive("unique", "x", kernel="sort.unique", rule=unknown("unique"), multi=True)
bincount = primitive("bincount", "*xs", kernel="sort.bincount", rule=unknown("bincount"))
histc = primitive("histc", "x", kernel="sort.histc", rule=lambda x, bins, lo, hi: ((bins,), x.dtype))
