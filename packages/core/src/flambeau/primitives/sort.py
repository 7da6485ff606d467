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
lexsort = primitive(  # the order of the rows of a matrix, first column first
    "lexsort", "x", kernel=lambda xp, x: _lexsort(xp, x), rule=lambda x: (x.shape[:1], INT64)
)
bincount = primitive(  # xs: integers, and perhaps their weights
    "bincount", "*xs", kernel=lambda xp, *xs, minlength: xp.bincount(*xs, minlength=minlength), rule=unknown("bincount")
)
histc = primitive("histc", "x", kernel=lambda xp, x, bins, lo, hi: _histc(xp, x, bins, lo, hi).astype(x.dtype), rule=lambda x, bins, lo, hi: ((bins,), x.dtype))


def _lexsort(xp: Any, x: Any) -> Any:
    keys = x.T[::-1]
    return xp.lexsort(keys) if len(keys) else xp.arange(len(x))


def _histc(xp: Any, x: Any, bins: int, lo: float, hi: float) -> Any:
    """Bin numbers from the distance to lo, as PyTorch computes them; the last bin holds hi."""
    x = x[(x >= lo) & (x <= hi)].astype(np.float64, copy=False)
    slot = xp.minimum(((x - lo) * (bins / (hi - lo))).astype(np.int64), bins - 1)
    return xp.bincount(slot, minlength=bins)
