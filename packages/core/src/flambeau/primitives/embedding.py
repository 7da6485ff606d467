"""The row of table look-up: index, with the derivative that embeddings need."""

from __future__ import annotations

from typing import Any

from flambeau.primitives import batching
from flambeau.primitives.elementwise import cast, div, eq, fill, where
from flambeau.primitives.indexing import gather, index_put, scatter_add, zeros_of
from flambeau.primitives.movement import reshape, slice_
from flambeau.primitives.prim import primitive


def _rule(w: Any, i: Any, padding_idx: int | None, by_frequency: bool) -> Any:
    return (*i.shape, *w.shape[1:]), w.dtype


def _vjp(g: Any, i: Any, w_shape: tuple[int, ...], padding_idx: int | None, by_frequency: bool) -> Any:
    """Rows of g added up; those of the padding go to one more row, which is dropped."""
    n = w_shape[0]
    flat = reshape(i, shape=(i._a.size,))
    rows = reshape(g, shape=(i._a.size, *w_shape[1:]))
    if by_frequency:
        one = fill(cast(flat, dtype=g._a.dtype), value=1)
        count = gather(scatter_add(zeros_of(one, (n,)), flat, one, axis=0), flat, axis=0)
        rows = div(rows, reshape(count, shape=(i._a.size, *(1,) * (len(w_shape) - 1))))
    if padding_idx is None:
        return index_put(zeros_of(g, w_shape), rows, flat, axes=(0,), accumulate=True)
    at = where(eq(flat, padding_idx), n, flat)
    return slice_(index_put(zeros_of(g, (n + 1, *w_shape[1:])), rows, at, axes=(0,), accumulate=True), key=(slice(0, n),))


embedding = primitive(  # w[i]; no gradient for row padding_idx, and gradients divided by how often an index occurs if by_frequency
    "embedding",
    "w i",
    kernel=lambda xp, w, i, padding_idx, by_frequency: xp.take(w, i, axis=0),
    rule=_rule,
    vjp=(_vjp, None),
    batch=batching.embedding,
)
