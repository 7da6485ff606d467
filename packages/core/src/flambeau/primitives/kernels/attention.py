"""Attention by blocks of rows: only the scores of a block are in memory, and with `causal` only those left of its last row's end.

Dao et al. 2022, "FlashAttention", for what backward keeps: of each row the logarithm of the sum of its exponentials.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from flambeau.primitives.kernels.layout import Array, to_work

_SCORES = 1 << 20  # elements of scores in a block
_ROWS = 64  # at least so many rows in a block


def _folded(x: Array, heads: int, tail: int) -> Array:
    """(..., H, *tail) as (B, heads, H / heads, *tail)."""
    lead = x.shape[: x.ndim - tail]
    own = lead[-1] if lead else 1
    return x.reshape(prod(lead[:-1]), heads, own // heads, *x.shape[x.ndim - tail :])


def _blocks(q: Array, k: Array, causal: bool, alone: bool) -> Iterator[tuple[Any, slice, slice]]:
    """Which batches, rows and sources belong together. `alone`: one batch at a time, because of the mask."""
    batches, heads, group, length, _ = q.shape
    sources = k.shape[-2]
    rows = min(length, max(_SCORES // max(heads * group * sources, 1), _ROWS))
    together = 1 if alone or rows < length else max(_SCORES // max(heads * group * rows * sources, 1), 1)
    for b in range(0, batches, together):
        for r in range(0, length, rows):
            end = min(r + rows, length)
            yield slice(b, b + together), slice(r, end), slice(0, min(end, sources) if causal else sources)


class _Mask:
    """Applies what restricts scores to a block of them."""

    def __init__(self, xp: Any, mask: tuple[Array, ...], lead: tuple[int, ...], sizes: tuple[int, int], causal: bool) -> None:
        self.xp, self.causal = xp, causal
        self.mask: Any = None
        self.alone = False
        if mask:
            m = mask[0] if mask[0].dtype.kind == "b" else to_work(mask[0])[0]
            self.alone = prod(m.shape[:-2]) > 1
            self.mask = xp.broadcast_to(m, (*lead, *sizes) if self.alone else (*(1,) * len(lead), *sizes))
        self.lead = lead

    def __call__(self, scores: Array, b: slice, rows: slice, columns: slice) -> Array:
        xp = self.xp
        if self.mask is not None:
            at = _position(b.start, self.lead[:-1]) if self.alone else (0,) * len(self.lead[:-1])
            part = self.mask[at][..., rows, columns]
            part = part.reshape(*scores.shape[1:3], *part.shape[-2:]) if self.alone else part.reshape(1, 1, *part.shape[-2:])
            if part.dtype.kind == "b":
                xp.copyto(scores, -xp.inf, where=~part)
            else:
                scores += part
        if self.causal and columns.stop - 1 > rows.start:
            late = xp.arange(columns.stop) > xp.arange(rows.start, rows.stop)[:, None]
            xp.copyto(scores, -xp.inf, where=late)
        return scores


def _position(number: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The indices of an element of an array."""
    at = []
    for n in reversed(shape):
        number, i = divmod(number, n)
        at.append(i)
    return tuple(reversed(at))


def attention(xp: Any, q: Array, k: Array, v: Array, *mask: Array, scale: float, causal: bool) -> tuple[Array, Array]:
    """softmax(q k^T * scale + mask) v, and the logarithm of each row's sum of exponentials (infinite where nothing is seen).

    >>> import numpy as np
    >>> q, k, v = np.zeros((1, 1, 4)), np.zeros((1, 2, 4)), np.array([[[1.0], [3.0]]])
    >>> attention(np, q, k, v, scale=0.5, causal=False)[0].tolist()
    [[[2.0]]]
    """
    shape, dtype = (*q.shape[:-1], v.shape[-1]), q.dtype
    restrict = _Mask(xp, mask, q.shape[:-2], (q.shape[-2], k.shape[-2]), causal)
    heads = k.shape[-3] if k.ndim > 2 else 1
    q, k, v = (_folded(x, heads, 2) for x in to_work(q, k, v))
    out = xp.empty((*q.shape[:-1], v.shape[-1]), q.dtype)
    lse = xp.empty(q.shape[:-1], q.dtype)
    for b, rows, columns in _blocks(q, k, causal, restrict.alone):
        scores = xp.matmul(q[b, :, :, rows] * q.dtype.type(scale), k[b, :, :, columns].swapaxes(-1, -2))
        scores = restrict(scores, b, rows, columns)
        largest = scores.max(axis=-1, keepdims=True)
        largest[largest == -xp.inf] = 0
        scores -= largest
        xp.exp(scores, out=scores)
        total = scores.sum(axis=-1, keepdims=True)
        blind = total == 0
        total[blind] = 1
        part = xp.matmul(scores, v[b, :, :, columns])
        part /= total
        out[b, :, :, rows] = part
        sums = xp.log(total) + largest
        sums[blind] = xp.inf
        lse[b, :, :, rows] = sums[..., 0]
    return out.reshape(shape).astype(dtype, copy=False), lse.reshape(shape[:-1])


def attention_grad(
    xp: Any, q: Array, k: Array, v: Array, lse: Array, g: Array, delta: Array, *mask: Array, scale: float, causal: bool
) -> tuple[Array, Array, Array]:
    """The gradients of q, k and v: with P the probabilities and T = P * (g v^T - delta), scale T k, scale T^T q and P^T g."""
    shapes, dtypes = [x.shape for x in (q, k, v)], [x.dtype for x in (q, k, v)]
    restrict = _Mask(xp, mask, q.shape[:-2], (q.shape[-2], k.shape[-2]), causal)
    heads = k.shape[-3] if k.ndim > 2 else 1
    q, k, v, g = (_folded(x, heads, 2) for x in to_work(q, k, v, g))
    lse, delta = (_folded(x, heads, 1)[..., None] for x in to_work(lse, delta))
    dq, dk, dv = xp.zeros(q.shape, q.dtype), xp.zeros(k.shape, q.dtype), xp.zeros(v.shape, q.dtype)
    factor = q.dtype.type(scale)
    for b, rows, columns in _blocks(q, k, causal, restrict.alone):
        part, sources, values, outer = q[b, :, :, rows] * factor, k[b, :, :, columns], v[b, :, :, columns], g[b, :, :, rows]
        p = restrict(xp.matmul(part, sources.swapaxes(-1, -2)), b, rows, columns)
        p -= lse[b, :, :, rows]
        xp.exp(p, out=p)
        dv[b, :, :, columns] += xp.matmul(p.swapaxes(-1, -2), outer).sum(axis=2, keepdims=True)
        t = xp.matmul(outer, values.swapaxes(-1, -2))
        t -= delta[b, :, :, rows]
        t *= p
        dk[b, :, :, columns] += xp.matmul(t.swapaxes(-1, -2), part).sum(axis=2, keepdims=True)
        dq[b, :, :, rows] = xp.matmul(t, sources) * factor
    dq, dk, dv = (x.reshape(s).astype(d, copy=False) for x, s, d in zip((dq, dk, dv), shapes, dtypes, strict=True))
    return dq, dk, dv
