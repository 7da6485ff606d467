"""Rows of the discrete Fourier transform. Axes are counted from the end. `norm` says which direction is divided by the length n.

The derivative of a transform is the transform in the other direction with the same factor, so a norm of "backward" becomes "forward". A
real transform keeps half of the spectrum; the other half is its conjugate, which counts in the derivatives by factors of 2 and 1/2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.primitives.prim import like, primitive

OTHER = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _leading(b: Any) -> Any:
    """The batch axis goes in front: axes are counted from the end."""
    return b(*b.fronts()), 0


def _complex(d: np.dtype) -> np.dtype:
    return np.dtype(f"c{2 * d.itemsize}")


def _resized(shape: tuple[int, ...], axis: int, n: int) -> tuple[int, ...]:
    return tuple(n if i == len(shape) + axis else s for i, s in enumerate(shape))


def _fft(xp: Any, x: Any, axes: tuple[int, ...], inverse: bool, norm: str) -> Any:
    return (xp.fft.ifftn if inverse else xp.fft.fftn)(x, axes=axes, norm=norm).astype(x.dtype, copy=False)


fft = primitive(  # complex to complex over axes
    "fft",
    "x",
    kernel=_fft,
    rule=lambda x, axes, inverse, norm: (x.shape, x.dtype),
    vjp=lambda g, axes, inverse, norm: fft(g, axes=axes, inverse=not inverse, norm=OTHER[norm]),
    batch=_leading,
)
rfft = primitive(  # real to the first n // 2 + 1 of n complex values along an axis
    "rfft",
    "x",
    kernel=lambda xp, x, axis, norm: xp.fft.rfft(x, axis=axis, norm=norm).astype(_complex(x.dtype), copy=False),
    rule=lambda x, axis, norm: (_resized(x.shape, axis, x.shape[axis] // 2 + 1), _complex(x.dtype)),
    vjp=lambda g, x_shape, axis, norm: _rfft_vjp(g, x_shape[axis], axis, norm),
    batch=_leading,
)
irfft = primitive(  # the first n // 2 + 1 complex values of a Hermitian spectrum to n real ones along an axis
    "irfft",
    "x",
    kernel=lambda xp, x, axis, n, norm: xp.fft.irfft(x, n=n, axis=axis, norm=norm).astype(x.real.dtype, copy=False),
    rule=lambda x, axis, n, norm: (_resized(x.shape, axis, n), np.dtype(f"f{x.dtype.itemsize // 2}")),
    vjp=lambda g, axis, n, norm: weigh(rfft(g, axis=axis, norm=OTHER[norm]), axis=axis, n=n, factor=2.0),
    batch=_leading,
)


def _rfft_vjp(g: Any, n: int, axis: int, norm: str) -> Any:
    return irfft(weigh(g, axis=axis, n=n, factor=0.5), axis=axis, n=n, norm=OTHER[norm])


def _weigh(xp: Any, x: Any, axis: int, n: int, factor: float) -> Any:
    weights = xp.full(x.shape[axis], factor, x.real.dtype)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    return x * weights.reshape((-1,) + (1,) * (-1 - axis))


weigh = primitive(  # half a spectrum with the values that stand for two of the n (all but the first, and the last of an even n) multiplied
    "weigh",
    "x",
    kernel=_weigh,
    rule=like,
    vjp=lambda g, axis, n, factor: weigh(g, axis=axis, n=n, factor=factor),
    batch=_leading,
)
