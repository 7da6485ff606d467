"""Rows of sorting, searching and counting (kernels/sort.py, kernels/unique.py). Values carry gradients, indices and counts do not."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base.shapes import reduced
from flambeau.primitives import batching
from flambeau.primitives.indexing import _unknown as unknown
from flambeau.primitives.indexing import scatter_add, zeros_of
from flambeau.primitives.movement import reshape
from flambeau.primitives.prim import primitive

INT64 = np.dtype(np.int64)


def _values_vjp(g: Any, out: Any, x_shape: tuple[int, ...], axis: int) -> Any:
    return scatter_add(zeros_of(g[0], x_shape), out[1], g[0], axis=axis)


def _single_vjp(g: Any, out: Any, x_shape: tuple[int, ...], axis: int) -> Any:
    """For a result that lost the axis."""
    shape = reduced(x_shape, (axis,), True)
    return scatter_add(zeros_of(g[0], x_shape), reshape(out[1], shape=shape), reshape(g[0], shape=shape), axis=axis)


def _topk_rule(x: Any, k: int, axis: int, largest: bool, in_order: bool) -> Any:
    shape = tuple(k if i == axis else n for i, n in enumerate(x.shape))
    return [(shape, x.dtype), (shape, INT64)]


def _single_rule(x: Any, axis: int, k: int = 0) -> Any:
    shape = reduced(x.shape, (axis,), False)
    return [(shape, x.dtype), (shape, INT64)]


sort = primitive(
    "sort",
    "x",
    kernel="sort.sort",
    rule=lambda x, axis, descending: [(x.shape, x.dtype), (x.shape, INT64)],
    vjp=_values_vjp,
    multi=True,
    batch=batching.shifted("axis"),
)
argsort = primitive(
    "argsort",
    "x",
    kernel="sort.argsort",
    rule=lambda x, axis, descending: (x.shape, INT64),
    batch=batching.shifted("axis"),
)
topk = primitive(
    "topk",
    "x",
    kernel="sort.topk",
    rule=_topk_rule,
    vjp=_values_vjp,
    multi=True,
    batch=batching.shifted("axis"),
)
kthvalue = primitive(
    "kthvalue",
    "x",
    kernel="sort.kthvalue",
    rule=_single_rule,
    vjp=_single_vjp,
    multi=True,
    batch=batching.shifted("axis"),
)
mode = primitive(
    "mode",
    "x",
    kernel="sort.mode",
    rule=_single_rule,
    vjp=_single_vjp,
    multi=True,
    batch=batching.shifted("axis"),
)
searchsorted = primitive(
    "searchsorted",
    "sequence x",
    kernel="sort.searchsorted",
    rule=lambda sequence, x, right: (x.shape, INT64),
    batch=batching.searchsorted,
)
unique = primitive("unique", "x", kernel="unique.unique", rule=unknown("unique"), multi=True)  # values, inverse, counts
unique_consecutive = primitive(
    "unique_consecutive", "x", kernel="unique.unique_consecutive", rule=unknown("unique_consecutive"), multi=True
)
bincount = primitive("bincount", "*xs", kernel="unique.bincount", rule=unknown("bincount"))  # integers, and perhaps weights
histogram = primitive(  # values, edges, and perhaps weights
    "histogram",
    "*xs",
    kernel="unique.histogram",
    rule=lambda *xs: ((xs[1].shape[0] - 1,), xs[-1].dtype if len(xs) == 3 else xs[0].dtype),
    batch="looped",
)
histc = primitive(
    "histc",
    "x",
    kernel="unique.histc",
    rule=lambda x, bins, low, high: ((bins,), x.dtype),
    batch="looped",
)
