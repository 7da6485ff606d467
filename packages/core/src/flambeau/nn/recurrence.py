"""One step of each recurrent cell, and the loop over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.nn import functional as F
from flambeau.ops.matmul import matmul
from flambeau.ops.pointwise import add
from flambeau.ops.shape import permute
from flambeau.primitives.movement import cat, flip, reshape, split
from flambeau.primitives.recurrent import lstm

Step = Callable[[Any, tuple[Any, ...]], tuple[Any, ...]]


def rnn_step(activation: Callable[[Any], Any], w_hh: Any) -> Step:
    """`h' = activation(x + W_hh h)`, x being the input's part of the gates (with both biases)."""
    across = permute(w_hh, 1, 0)

    def step(x: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        return (activation(add(x, matmul(state[0], across))),)

    return step


def lstm_step(w_hh: Any, w_hr: Any = None) -> Step:
    """Gates input, forget, cell, output (Hochreiter & Schmidhuber 1997; Gers et al. 1999); `w_hr` projects h (Sak et al. 2014)."""
    across = permute(w_hh, 1, 0)
    back = None if w_hr is None else permute(w_hr, 1, 0)
    hidden = w_hh.shape[0] // 4

    def step(x: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        h, c = state
        i, f, g, o = split(add(x, matmul(h, across)), sizes=(hidden,) * 4, axis=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return (h if back is None else matmul(h, back)), c

    return step


def gru_step(w_hh: Any, b_hh: Any) -> Step:
    """Gates reset, update, new (Cho et al. 2014); the reset gate applies after the recurrent product, so that needs its own bias."""
    hidden = w_hh.shape[0] // 3

    def step(x: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        h = state[0]
        xr, xz, xn = split(x, sizes=(hidden,) * 3, axis=1)
        hr, hz, hn = split(F.linear(h, w_hh, b_hh), sizes=(hidden,) * 3, axis=1)
        n = (xn + (xr + hr).sigmoid() * hn).tanh()
        return (n + (xz + hz).sigmoid() * (h - n),)

    return step


def lstm_layer(gates: Any, w_hh: Any, steps: int, state: tuple[Any, ...], reverse: bool) -> tuple[Any, tuple[Any, ...]]:
    """`run` of an LSTM whose sequences are equally long: one primitive."""
    h, c = state
    x = reshape(gates, shape=(steps, gates._a.shape[0] // steps, gates._a.shape[1]))
    x = flip(x, axes=(0,)) if reverse else x
    hs, c, _, _ = lstm(x, h, c, w_hh)
    last = hs[steps - 1]
    hs = flip(hs, axes=(0,)) if reverse else hs
    return reshape(hs, shape=(gates._a.shape[0], hs._a.shape[2])), (last, c)


def run(step: Step, gates: Any, sizes: list[int], state: tuple[Any, ...], reverse: bool) -> tuple[Any, tuple[Any, ...]]:
    """Outputs and last state of a layer in one direction.

    `gates` (sum of sizes, G) holds the input's part of the gates, time step after time step; step t has sizes[t] rows, and sizes never grow
    (longer sequences come first). `state` has sizes[0] rows. Outputs (sum of sizes, H); the last state of every row is at its own end.
    """
    parts = split(gates, sizes=tuple(sizes), axis=0)
    outputs: list[Any] = [None] * len(sizes)
    ended: list[tuple[Any, ...]] = []
    first = state
    if reverse:
        state = _rows(first, 0, sizes[-1])
    rows = sizes[-1] if reverse else sizes[0]
    for t in reversed(range(len(sizes))) if reverse else range(len(sizes)):
        if sizes[t] < rows:
            ended.append(_rows(state, sizes[t], rows))
            state = _rows(state, 0, sizes[t])
        elif sizes[t] > rows:
            state = tuple(cat(s, s0[rows : sizes[t]], axis=0) for s, s0 in zip(state, first, strict=True))
        rows = sizes[t]
        state = step(parts[t], state)
        outputs[t] = state[0]
    if ended:
        state = tuple(cat(*s, axis=0) for s in zip(state, *reversed(ended), strict=True))
    return cat(*outputs, axis=0), state


def _rows(state: tuple[Any, ...], start: int, stop: int) -> tuple[Any, ...]:
    return tuple(s if (start, stop) == (0, s.shape[0]) else s[start:stop] for s in state)
