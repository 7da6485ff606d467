"""Rows of contractions: matrix products (batched, broadcasting), and the shapes they need."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base.errors import ShapeError, explain
from flambeau.base.shapes import broadcast
from flambeau.primitives import batching
from flambeau.primitives.elementwise import cj
from flambeau.primitives.movement import permute, sum_to
from flambeau.primitives.prim import primitive
from flambeau.primitives.reduce import is_half


def _matmul(xp: Any, x: Any, y: Any) -> Any:
    """Half precision is computed in float32; BLAS has no integer or bool product, so bool goes by counting."""
    if is_half(x.dtype):
        return xp.matmul(x.astype(np.float32), y.astype(np.float32)).astype(x.dtype)
    return xp.matmul(x, y)


def _matmul_rule(x: Any, y: Any) -> Any:
    if x.shape[-1] != y.shape[-2]:
        raise matmul_error("matmul", x.shape, y.shape)
    return (*broadcast("matmul", x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1]), x.dtype


def matmul_error(op: str, x: tuple[int, ...], y: tuple[int, ...]) -> ShapeError:
    """The error for inner sizes that differ."""
    if len(y) > 1 and len(x) >= 1 and x[-1] == y[-1]:
        hint = f"transpose the second operand: {op}(a, b.mT)"
    elif len(x) > 1 and len(y) > 1 and x[-2] == y[-2]:
        hint = f"transpose the first operand: {op}(a.mT, b)"
    else:
        hint = "check which axis of each operand is the one that is summed"
    inner = f"{x[-1] if x else '()'} and {(y[-2] if len(y) > 1 else y[0]) if y else '()'}"
    return ShapeError(explain(op, expected="inner sizes that agree", got=f"{tuple(x)} and {tuple(y)} (inner sizes {inner})", hint=hint))


def swap(x: Any) -> Any:
    """Exchange the last two axes."""
    n = x._a.ndim
    return permute(x, axes=(*range(n - 2), n - 1, n - 2))


matmul = primitive(  # both inputs have two or more axes
    "matmul",
    "x y",
    kernel=_matmul,
    rule=_matmul_rule,
    vjp=(
        lambda g, y, x_shape: sum_to(matmul(g, cj(swap(y))), x_shape),
        lambda g, x, y_shape: sum_to(matmul(cj(swap(x)), g), y_shape),
    ),
    batch=batching.matmul,
)
