"""Rows of attention (kernels/attention.py): softmax(q k^T * scale + mask) v without an array of all scores in memory.

q (..., H, L, E), k (..., K, S, E), v (..., K, S, D) with K a divisor of H: head h of q sees head h // (H / K) of k and v. Axes in front are
equal. The mask, an optional last input, broadcasts to (..., H, L, S): bool (true where attention is allowed) or numbers to add; no gradient
goes to it. `causal` lets position i see the sources up to i.
"""

from __future__ import annotations

import functools
from typing import Any

from flambeau.primitives import batching
from flambeau.primitives.contraction import matmul, swap
from flambeau.primitives.elementwise import add, cast, exp, mul, ne, neg, sub, where
from flambeau.primitives.indexing import zeros_of
from flambeau.primitives.kernels.layout import work_dtype
from flambeau.primitives.movement import expand, reshape, sum_to, triangle
from flambeau.primitives.normalize import product_sum
from flambeau.primitives.prim import primitive
from flambeau.primitives.reduce import sum_


def _rule(q: Any, k: Any, v: Any, *mask: Any, scale: float, causal: bool) -> Any:
    return [((*q.shape[:-1], v.shape[-1]), q.dtype), (q.shape[:-1], work_dtype(q.dtype))]


def _vjp(g: Any, out: Any, xs: Any, scale: float, causal: bool) -> Any:
    """`delta` is what the softmax's derivative takes off each row; a gradient of the logarithms of the sums works the other way."""
    q, k, v, *mask = xs
    y, lse = out
    outer = mul(y, 0.0) if g[0] is None else g[0]
    delta = _to(reshape(product_sum(outer, y, axis=(y._a.ndim - 1,)), shape=lse._a.shape), lse._a.dtype)
    if g[1] is not None:
        delta = sub(delta, g[1])
    return (*attention_grad(q, k, v, lse, outer, delta, *mask, scale=scale, causal=causal), *(None for _ in mask))


attention = primitive(  # the result, and the logarithms of the sums of exponentials (infinite where nothing is seen)
    "attention",
    "*xs",
    kernel="attention.attention",
    rule=_rule,
    vjp=_vjp,
    multi=True,
    partial=True,
    batch=lambda b: _batched(b, ()),
)
attention_grad = primitive(
    "attention_grad",
    "*xs",
    kernel="attention.attention_grad",
    rule=lambda q, k, v, lse, g, delta, *mask, scale, causal: [(x.shape, x.dtype) for x in (q, k, v)],
    vjp=lambda g, xs, scale, causal: _second(g, xs, scale, causal),
    multi=True,
    partial=True,
    batch=lambda b: _batched(b, (3, 5)),
)


def _batched(b: batching.Batch, rows: tuple[int, ...]) -> tuple[Any, int]:
    """The batch becomes one more axis in front. `rows` are inputs without a last axis. Without an axis of heads there is one head."""
    rank = len(b.shape(0))
    given = [b.front(i) for i in range(len(b.inputs))]
    if rank == 2:  # (batch, L, E): the batch is not to be taken for heads
        given = [_with_head(x, i in rows) if i < _tensors(b) else x for i, x in enumerate(given)]
    ndim = max(rank, 3)
    given = [x if i < _tensors(b) else batching.lift(x, ndim) for i, x in enumerate(given)]
    outs = b(*given)
    if rank == 2:
        outs = tuple(reshape(o, shape=(o._a.shape[0], *o._a.shape[2:])) for o in outs)
    return outs, 0


def _tensors(b: batching.Batch) -> int:
    """How many inputs are not a mask."""
    return 3 if b.prim.name == "attention" else 6


def _with_head(x: Any, row: bool) -> Any:
    return reshape(x, shape=(x._a.shape[0], 1, *x._a.shape[1:]))


# -- second derivatives: the same formulas with all scores in memory -----------------------------------------------------------------------
def _grouped(x: Any, heads: int) -> Any:
    """(..., H, L, E) as (..., heads, H / heads, L, E)."""
    *lead, own, length, width = x._a.shape
    return reshape(x, shape=(*lead, heads, own // heads, length, width))


def _probabilities(q: Any, k: Any, lse: Any, mask: Any, scale: float, causal: bool) -> Any:
    scores = mul(matmul(q, swap(k)), scale)
    if mask:
        m = mask[0]
        full = (*scores._a.shape[:-4], scores._a.shape[-4] * scores._a.shape[-3], *scores._a.shape[-2:])
        m = reshape(expand(m, shape=full), shape=scores._a.shape)
        scores = where(m, scores, float("-inf")) if m._a.dtype.kind == "b" else add(scores, m)
    if causal:
        seen = triangle(add(zeros_of(scores, scores._a.shape[-2:]), 1.0), diagonal=0, upper=False)
        scores = where(ne(seen, 0.0), scores, float("-inf"))
    return exp(sub(scores, lse))


def _second(g: Any, xs: Any, scale: float, causal: bool) -> Any:
    """With T = P * (dP - delta), P the probabilities and dP = outer v^T: dq = scale T k, dk = scale T^T q, dv = P^T outer."""
    work = xs[3]._a.dtype
    q, k, v, lse, outer, delta = (_to(x, work) for x in xs[:6])
    g, mask = [_to(x, work) for x in g], xs[6:]
    shapes = [x._a.shape for x in (q, k, v)]
    if len(shapes[0]) == 2:
        q, k, v, outer = (reshape(x, shape=(1, *x._a.shape)) for x in (q, k, v, outer))
        lse, delta = (reshape(x, shape=(1, *x._a.shape)) for x in (lse, delta))
    heads = k._a.shape[-3]
    a, b, c = (None if t is None else _grouped(reshape(t, shape=x._a.shape), heads) for t, x in zip(g, (q, k, v), strict=True))
    q, k, v, outer = (_grouped(x, heads) for x in (q, k, v, outer))
    lse, delta = (_grouped(reshape(x, shape=(*x._a.shape, 1)), heads) for x in (lse, delta))
    p = _probabilities(q, k, lse, mask, scale, causal)
    rest = sub(matmul(outer, swap(v)), delta)
    t = mul(p, rest)
    through_t = _total(None if a is None else mul(matmul(a, swap(k)), scale), None if b is None else mul(matmul(q, swap(b)), scale))
    through_p = _total(None if through_t is None else mul(through_t, rest), None if c is None else matmul(outer, swap(c)))
    by_scores = mul(through_p, p)
    by_rest = None if through_t is None else mul(through_t, p)
    last = (p._a.ndim - 1,)
    grads = [
        _total(mul(matmul(by_scores, k), scale), None if b is None else mul(matmul(t, b), scale)),
        _total(mul(matmul(swap(by_scores), q), scale), None if a is None else mul(matmul(swap(t), a), scale)),
        None if by_rest is None else matmul(swap(by_rest), outer),
        neg(sum_(by_scores, axis=last, keepdim=True)),
        _total(None if by_rest is None else matmul(by_rest, v), None if c is None else matmul(p, c)),
        None if by_rest is None else neg(sum_(by_rest, axis=last, keepdim=True)),
    ]
    for i, x in ((1, k), (2, v)):  # summed over the heads of q that share one of k and v
        grads[i] = None if grads[i] is None else sum_to(grads[i], x._a.shape)
    parts = (None if d is None else _to(reshape(d, shape=x._a.shape), x._a.dtype) for d, x in zip(grads, xs[:6], strict=True))
    return (*parts, *(None for _ in mask))


def _to(x: Any, dtype: Any) -> Any:
    return x if x is None or x._a.dtype == dtype else cast(x, dtype=dtype)


def _total(*parts: Any) -> Any:
    given = [p for p in parts if p is not None]
    return functools.reduce(add, given) if given else None
