"""Activation functions that are more than one call of the array library. 16-bit floats are computed in float32."""

from __future__ import annotations

from typing import Any

from flambeau.primitives.kernels.layout import Array, to_work


def sigmoid(xp: Any, x: Array) -> Array:
    """1 / (1 + exp(-x)): where exp overflows, 1 / inf is the right 0.

    >>> import numpy as np
    >>> sigmoid(np, np.array([0.0, -1000.0, 1000.0])).tolist()
    [0.5, 0.0, 1.0]
    """
    dtype, (x,) = x.dtype, to_work(x)
    out = xp.asarray(xp.exp(-x))
    out += 1
    return xp.divide(1, out, out=out).astype(dtype, copy=False)
