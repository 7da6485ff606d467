"""Rows of recurrent layers over whole sequences (kernels/recurrent.py): the loop over time is inside.

`lstm`: x (T, N, 4 H) is the input's part of the gates (input, forget, cell, output), with biases; h and c (N, H); w (4 H, H). It gives h
of every step (T, N, H), the last c, and for its derivative c of every step and the gates. Hochreiter & Schmidhuber 1997.
"""

from __future__ import annotations

from typing import Any

from flambeau.primitives import batching
from flambeau.primitives.contraction import matmul, swap
from flambeau.primitives.elementwise import add, mul, sigmoid, sub, tanh
from flambeau.primitives.indexing import zeros_of
from flambeau.primitives.movement import cat, reshape, slice_, split
from flambeau.primitives.prim import Prim, primitive


def _lstm_rule(x: Any, h: Any, c: Any, w: Any) -> Any:
    steps = (*x.shape[:2], h.shape[-1])
    return [(steps, x.dtype), (c.shape, x.dtype), (steps, x.dtype), (x.shape, x.dtype)]


def _lstm_vjp(g: Any, out: Any, xs: Any) -> Any:
    """By the row of the derivative; where that is to be differentiated again, by its formulas, step by step."""
    x, h, c, w = xs
    hs, _, cs, gates = out
    dhs = zeros_of(hs, hs._a.shape) if g[0] is None else g[0]
    dc = zeros_of(c, c._a.shape) if g[1] is None else g[1]
    if any(_is_recorded(t) for t in (*xs, dhs, dc)):
        return _lstm_by_steps(dhs, dc, x, h, c, w)
    dx, dh, dc = lstm_grad(dhs, dc, cs, gates, c, w)
    return dx, dh, dc, _by_weight(dx, h, hs)


def _by_weight(dx: Any, h: Any, hs: Any) -> Any:
    """The sum over time of dx^T h, h being that before each step."""
    steps = hs._a.shape[0]
    before = reshape(h, shape=(1, *h._a.shape))
    if steps > 1:
        before = cat(before, slice_(hs, key=(slice(0, steps - 1),)), axis=0)
    rows = dx._a.shape[0] * dx._a.shape[1]
    return matmul(swap(reshape(dx, shape=(rows, dx._a.shape[2]))), reshape(before, shape=(rows, h._a.shape[1])))


def _is_recorded(x: Any) -> bool:
    """Whether autograd notes down what is computed from x here."""
    return x._node is not None and reshape(x, shape=x._a.shape)._node is not None


def _step(x: Any, t: int) -> Any:
    return reshape(slice_(x, key=(slice(t, t + 1),)), shape=x._a.shape[1:])


def _lstm_by_steps(dhs: Any, dc: Any, x: Any, h: Any, c: Any, w: Any) -> Any:
    """Forward again, then backward, in elementary operations."""
    width = h._a.shape[-1]
    tape = []
    for t in range(x._a.shape[0]):
        i, f, n, o = split(add(_step(x, t), matmul(h, swap(w))), sizes=(width,) * 4, axis=1)
        i, f, n, o = sigmoid(i), sigmoid(f), tanh(n), sigmoid(o)
        after = add(mul(f, c), mul(i, n))
        tape.append((i, f, n, o, tanh(after), c, h))
        c, h = after, mul(o, tanh(after))
    dh: Any = None
    dx, dw = [], None
    for t in reversed(range(len(tape))):
        i, f, n, o, height, c, h = tape[t]
        dh = _step(dhs, t) if dh is None else add(_step(dhs, t), dh)
        dc = add(dc, mul(mul(dh, o), sub(1.0, mul(height, height))))
        parts = (
            mul(mul(dc, n), mul(i, sub(1.0, i))),
            mul(mul(dc, c), mul(f, sub(1.0, f))),
            mul(mul(dc, i), sub(1.0, mul(n, n))),
            mul(mul(dh, height), mul(o, sub(1.0, o))),
        )
        d = cat(*parts, axis=1)
        dh, dc = matmul(d, w), mul(dc, f)
        part = matmul(swap(d), h)
        dw = part if dw is None else add(dw, part)
        dx.append(reshape(d, shape=(1, *d._a.shape)))
    return cat(*reversed(dx), axis=0), dh, dc, dw


def _folded(rows: tuple[int, ...], weight: int) -> batching.BatchRule:
    """Examples are more rows of one batch, if they share the weight; else they run one by one. `rows`: the axis of rows of each input;
    results have theirs where `outputs` of the rule say."""

    def rule(b: batching.Batch) -> tuple[Any, int]:
        if b.dims[weight] is not None:
            parts = [b(*[_example(x, k) for x in b.fronts()]) for k in range(b.size)]
            return tuple(cat(*[reshape(p, shape=(1, *p._a.shape)) for p in outs], axis=0) for outs in zip(*parts, strict=True)), 0
        given = []
        for i, axis in enumerate(rows):
            x = batching.move(b.front(i), 0, axis)
            shape = x._a.shape
            given.append(reshape(x, shape=(*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])))
        outs = b(*given, b.inputs[weight])
        return tuple(_unfolded(o, b.size) for o in outs), 0

    return rule


def _example(x: Any, k: int) -> Any:
    return _step(x, k)


def _unfolded(x: Any, size: int) -> Any:
    shape, axis = x._a.shape, x._a.ndim - 2
    spread = reshape(x, shape=(*shape[:axis], size, shape[axis] // size, *shape[axis + 1 :]))
    return batching.move(spread, axis, 0)


lstm: Prim = primitive(
    "lstm",
    "*xs",
    kernel="recurrent.lstm",
    rule=_lstm_rule,
    vjp=_lstm_vjp,
    multi=True,
    partial=True,
    batch=_folded((1, 0, 0), 3),
)
lstm_grad = primitive(  # of gradients of every h and of the last c: those of x, of the first h and of the first c
    "lstm_grad",
    "dhs dc cs gates c w",
    kernel="recurrent.lstm_grad",
    rule=lambda dhs, dc, cs, gates, c, w: [(gates.shape, gates.dtype), (c.shape, c.dtype), (c.shape, c.dtype)],
    batch=_folded((1, 0, 1, 1, 0), 5),
)
