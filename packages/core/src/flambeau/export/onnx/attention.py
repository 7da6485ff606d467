"""How attention is written: products, a mask and a softmax, with the heads of keys and values repeated where queries have more."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.export.onnx.builder import BOOL, INT64, Builder, Unsupported
from flambeau.export.onnx.pointwise import Maths
from flambeau.export.program import Dim, Step


def attention(b: Builder, step: Step, xs: list[str], n: int) -> list[str]:
    """softmax(q k^T * scale + mask) v. A row that sees nothing gives zeros."""
    if n + 1 in b.used:
        raise Unsupported("the logarithms of its sums")
    q, k, v = (b.type(r) for r in step.inputs[:3])
    m = Maths(b, q.dtype)
    keys, values = (_repeated(b, x, t.shape, q.shape) for x, t in zip(xs[1:3], (k, v)))
    rank = len(q.shape)
    swapped = b.transpose(keys, [*range(rank - 2), rank - 1, rank - 2])
    scores = m("MatMul", m("Mul", xs[0], step.params["scale"]), swapped)
    lowest = float("-inf")
    if step.params["causal"]:
        scores = m("Where", _causal(b, q.shape[-2], k.shape[-2]), scores, lowest)
    if len(xs) > 3:
        scores = m("Where", xs[3], scores, lowest) if b.type(step.inputs[3]).dtype == BOOL else m("Add", scores, xs[3])
    weights = m("Softmax", scores, axis=rank - 1)
    if len(xs) > 3:
        weights = m("Where", m("IsNaN", weights), 0, weights)
    return [m("MatMul", weights, values), ""]


def _repeated(b: Builder, x: str, shape: tuple[Dim, ...], query: tuple[Dim, ...]) -> str:
    """Each head as often as queries have heads for it."""
    if len(shape) < 3 or shape[-3] == query[-3]:
        return x
    own, heads = shape[-3], query[-3]
    if not isinstance(own, int) or not isinstance(heads, int):
        raise Unsupported("a number of heads that changes")
    lead, tail = shape[:-3], shape[-2:]
    apart = b.node("Unsqueeze", x, b.ints([len(shape) - 2]))
    spread = b.node("Expand", apart, b.vector([*lead, own, heads // own, *tail]))
    return str(b.node("Reshape", spread, b.vector([*lead, heads, *tail])))


def _causal(b: Builder, length: Dim, sources: Dim) -> str:
    """Position i sees the sources up to i."""
    if isinstance(length, int) and isinstance(sources, int):
        return b.constant(np.tri(length, sources, dtype=bool))

    def positions(n: Dim) -> Any:
        return b.node("Range", b.number(0, INT64), b.scalar(n), b.number(1, INT64))

    rows = b.node("Unsqueeze", positions(length), b.ints([1]))
    return str(b.node("GreaterOrEqual", rows, positions(sources)))
