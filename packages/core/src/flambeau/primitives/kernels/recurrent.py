"""The loops over time of recurrent layers. 16-bit floats are computed in float32."""

from __future__ import annotations

from typing import Any

from flambeau.primitives.kernels.layout import Array, to_work


def _sigmoid(xp: Any, x: Array) -> None:
    """In place, by way of tanh, which overflows nowhere."""
    x *= 0.5
    xp.tanh(x, out=x)
    x += 1
    x *= 0.5


def lstm(xp: Any, x: Array, h: Array, c: Array, w: Array) -> tuple[Array, Array, Array, Array]:
    """Gates i, f, o = sigmoid and n = tanh of x + h w^T; c = f c + i n, h = o tanh(c).

    >>> import numpy as np
    >>> hs, last, cs, gates = lstm(np, np.zeros((1, 1, 4)), np.zeros((1, 1)), np.ones((1, 1)), np.zeros((4, 1)))
    >>> last.tolist()
    [[0.5]]
    """
    dtype, width = x.dtype, h.shape[-1]
    x, h, c, w = to_work(x, h, c, w)
    gates = xp.empty(x.shape, x.dtype)
    hs, cs = (xp.empty((*x.shape[:2], width), x.dtype) for _ in range(2))
    across = w.T
    for t in range(x.shape[0]):
        part = gates[t]
        xp.matmul(h, across, out=part)
        part += x[t]
        _sigmoid(xp, part[:, : 2 * width])
        xp.tanh(part[:, 2 * width : 3 * width], out=part[:, 2 * width : 3 * width])
        _sigmoid(xp, part[:, 3 * width :])
        i, f, n, o = (part[:, k * width : (k + 1) * width] for k in range(4))
        xp.multiply(f, c, out=cs[t])
        cs[t] += i * n
        c = cs[t]
        xp.tanh(c, out=hs[t])
        hs[t] *= o
        h = hs[t]
    return tuple(a.astype(dtype, copy=False) for a in (hs, c.copy(), cs, gates))


def lstm_grad(xp: Any, dhs: Array, dc: Array, cs: Array, gates: Array, c: Array, w: Array) -> tuple[Array, Array, Array]:
    """Backward through time: the gradients of the input's part of the gates, of the first h and of the first c."""
    dtype, width = gates.dtype, c.shape[-1]
    dhs, dc, cs, gates, c, w = to_work(dhs, dc, cs, gates, c, w)
    dx = xp.empty(gates.shape, gates.dtype)
    dc, dh = dc.copy(), xp.zeros(c.shape, gates.dtype)
    for t in reversed(range(gates.shape[0])):
        i, f, n, o = (gates[t, :, k * width : (k + 1) * width] for k in range(4))
        di, df, dn, do = (dx[t, :, k * width : (k + 1) * width] for k in range(4))
        dh += dhs[t]
        height = xp.tanh(cs[t])
        xp.multiply(dh, height, out=do)
        do *= o * (1 - o)
        dh *= o
        height *= height
        dc += dh * (1 - height)
        xp.multiply(dc, n, out=di)
        di *= i * (1 - i)
        xp.multiply(dc, cs[t - 1] if t else c, out=df)
        df *= f * (1 - f)
        xp.multiply(dc, i, out=dn)
        dn *= 1 - n * n
        dc *= f
        dh = xp.matmul(dx[t], w)
    return dx.astype(dtype, copy=False), dh.astype(dtype, copy=False), dc.astype(dtype, copy=False)
