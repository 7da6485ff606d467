"""Batch rules of the three products of a convolution.

Of x (N, C, ...), y (N, O, ...) and w (O, C / groups, ...) each product takes two and gives the third. If the batch axis is in one of them,
it is folded into an axis that only that one shares with the result: N where both have it, else the channels; if it is in both inputs, every
example becomes a group of its own.
"""

from __future__ import annotations

from typing import Any

from flambeau.primitives.batching import Batch, merge, move, split


def _into_groups(x: Any, groups: int, axis: int) -> Any:
    """(B, ...) with the batch folded into an axis of `groups` runs, inside each run: (..., G * B * n, ...)."""
    apart = split(x, groups, axis + 1)  # (B, ..., G, n, ...)
    return merge(merge(move(apart, 0, axis + 1), axis + 1), axis)


def _from_groups(x: Any, size: int, groups: int, axis: int) -> tuple[Any, int]:
    """Undo it: (..., G * B * n, ...) as (B, ..., G * n, ...)."""
    apart = split(split(x, groups, axis), size, axis + 1)  # (..., G, B, n, ...)
    return merge(move(apart, axis + 1, 0), axis + 1), 0


def _as_groups(x: Any, axis: int) -> Any:
    """(B, ...) with the batch folded into an axis, one example behind the other: (..., B * n, ...)."""
    return merge(move(x, 0, axis), axis)


def conv(b: Batch) -> tuple[Any, int]:
    """x and w to y."""
    groups = b.params["groups"]
    if b.dims[1] is None:
        return split(b(merge(b.moved(0)), b.inputs[1]), b.size), 0
    if b.dims[0] is None:
        return _from_groups(b(b.inputs[0], _into_groups(b.moved(1), groups, 0)), b.size, groups, 1)
    out = b(_as_groups(b.moved(0), 1), merge(b.moved(1)), groups=groups * b.size)
    return split(out, b.size, 1), 1


def conv_input_grad(b: Batch) -> tuple[Any, int]:
    """y and w to x."""
    groups, (n, c, *spatial) = b.params["groups"], b.params["input_shape"]
    if b.dims[1] is None:
        return split(b(merge(b.moved(0)), b.inputs[1], input_shape=(b.size * n, c, *spatial)), b.size), 0
    wide = (n, b.size * c, *spatial)
    if b.dims[0] is None:
        return _from_groups(b(b.inputs[0], _as_groups(b.moved(1), 1), input_shape=wide), b.size, groups, 1)
    out = b(_as_groups(b.moved(0), 1), merge(b.moved(1)), input_shape=wide, groups=groups * b.size)
    return split(out, b.size, 1), 1


def conv_weight_grad(b: Batch) -> tuple[Any, int]:
    """x and y to w."""
    groups, (o, c, *kernel) = b.params["groups"], b.params["weight_shape"]
    if b.dims[1] is None:
        out = b(_into_groups(b.moved(0), groups, 1), b.inputs[1], weight_shape=(o, b.size * c, *kernel))
        return split(out, b.size, 1), 1
    tall = (b.size * o, c, *kernel)
    if b.dims[0] is None:
        return _from_groups(b(b.inputs[0], _into_groups(b.moved(1), groups, 1), weight_shape=tall), b.size, groups, 0)
    out = b(_as_groups(b.moved(0), 1), _as_groups(b.moved(1), 1), weight_shape=tall, groups=groups * b.size)
    return split(out, b.size), 0
