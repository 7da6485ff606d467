"""Discrete Fourier transforms (PyTorch's `torch.fft`): one, two and more axes, real and Hermitian forms, frequencies and shifts."""

from __future__ import annotations

from typing import Any

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.base.shapes import axis_of
from flambeau.ops.pointwise import conj, into
from flambeau.ops.promotion import to_dtype
from flambeau.ops.shape import roll
from flambeau.primitives import fft as rows
from flambeau.primitives.movement import pad
from flambeau.tensor.creation import arange
from flambeau.tensor.tensor import Tensor


def _input(op: str, x: Tensor, kind: str) -> Tensor:
    """x as "complex", or "real" where the transform takes real values only."""
    d = x.dtype
    if d in (dtypes.float16, dtypes.bfloat16):
        raise DtypeError(explain(op, expected="float32, float64 or a complex dtype", got=repr(d), hint=".float()"))
    if not x._a.ndim:
        raise ShapeError(explain(op, expected="at least 1 axis", got="a zero-dimensional tensor"))
    if d.category < 2:
        d = dtypes.default_dtype()
    if kind == "real":
        if d.is_complex:
            raise DtypeError(
                explain(
                    op, expected="a real tensor", got=repr(d), hint="flambeau.fft." + op.replace("rfft", "fft").replace("ihfft", "ifft")
                )
            )
        return to_dtype(x, d)
    return to_dtype(x, d.to_complex())


def _norm(op: str, norm: str | None) -> str:
    if norm not in (None, "forward", "backward", "ortho"):
        raise ArgumentError(explain(op, expected="norm 'forward', 'backward' or 'ortho'", got=repr(norm)))
    return norm or "backward"


def _axis(op: str, x: Tensor, dim: Any) -> int:
    """An axis counted from the end."""
    return axis_of(op, dim, x._a.ndim) - x._a.ndim


def _axes(op: str, x: Tensor, s: Any, dim: Any) -> tuple[tuple[int, ...], tuple[int | None, ...]]:
    """Axes (counted from the end) and sizes from PyTorch's `s` and `dim`."""
    if dim is None:
        count = x._a.ndim if s is None else len(s)
        axes = tuple(range(-count, 0))
    else:
        axes = tuple(_axis(op, x, d) for d in ((dim,) if isinstance(dim, int) else dim))
    sizes = (None,) * len(axes) if s is None else tuple(None if n == -1 else n for n in s)
    if len(sizes) != len(axes) or len(set(axes)) != len(axes) or len(axes) > x._a.ndim:
        raise ShapeError(explain(op, expected="different axes, and a size for each", got=f"s={s}, dim={dim} for shape {tuple(x.shape)}"))
    return axes, sizes


def _fit(op: str, x: Tensor, axes: Any, sizes: Any) -> Tensor:
    """Zeros at the end of an axis that is too short; what is too long is cut off."""
    widths = [(0, 0)] * x._a.ndim
    for axis, n in zip(axes, sizes, strict=True):
        have = x._a.shape[axis]
        n = have if n is None else int(n)
        if n < 1:
            raise ArgumentError(explain(op, expected="at least one element along each axis of the transform", got=str(n)))
        widths[axis] = (0, n - have)
    return pad(x, widths=tuple(widths), value=0) if any(b for _, b in widths) else x


def _one(op: str, kind: str, run: Any) -> Any:
    """A transform over one axis from `run(x, axis, n, norm)`."""

    def transform(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:
        x = _input(op, input, kind)
        result = run(op, x, (_axis(op, x, dim),), (n,), _norm(op, norm))
        return result if out is None else into(out, result)

    transform.__name__ = transform.__qualname__ = op
    return transform


def _many(op: str, kind: str, run: Any, dims: Any) -> Any:
    """A transform over several axes from the same `run`; `dims` are the default ones (None: all, or the last len(s))."""

    def transform(input: Tensor, s: Any = None, dim: Any = dims, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:
        x = _input(op, input, kind)
        result = run(op, x, *_axes(op, x, s, dim), _norm(op, norm))
        return result if out is None else into(out, result)

    transform.__name__ = transform.__qualname__ = op
    return transform


# -- each family, over any number of axes ------------------------------------------------------------------------------------------------
def _fft(inverse: bool) -> Any:
    def run(op: str, x: Tensor, axes: tuple[int, ...], sizes: Any, norm: str) -> Tensor:
        x = _fit(op, x, axes, sizes)
        return rows.fft(x, axes=axes, inverse=inverse, norm=norm) if axes else x

    return run


def _rfft(op: str, x: Tensor, axes: tuple[int, ...], sizes: Any, norm: str) -> Tensor:
    """Real along the last of the axes, then complex along the others."""
    _last(op, axes)
    half = rows.rfft(_fit(op, x, axes, sizes), axis=axes[-1], norm=norm)
    return rows.fft(half, axes=axes[:-1], inverse=False, norm=norm) if len(axes) > 1 else half


def _irfft(op: str, x: Tensor, axes: tuple[int, ...], sizes: Any, norm: str) -> Tensor:
    """Complex along the others, then to real along the last of the axes."""
    x, n = _halved(op, x, axes, sizes)
    if len(axes) > 1:
        x = rows.fft(x, axes=axes[:-1], inverse=True, norm=norm)
    return rows.irfft(x, axis=axes[-1], n=n, norm=norm)


def _hfft(op: str, x: Tensor, axes: tuple[int, ...], sizes: Any, norm: str) -> Tensor:
    """A forward transform to real values."""
    x, n = _halved(op, x, axes, sizes)
    if len(axes) > 1:
        x = rows.fft(x, axes=axes[:-1], inverse=False, norm=norm)
    return rows.irfft(conj(x), axis=axes[-1], n=n, norm=rows.OTHER[norm])


def _ihfft(op: str, x: Tensor, axes: tuple[int, ...], sizes: Any, norm: str) -> Tensor:
    """An inverse transform of real values."""
    _last(op, axes)
    half = conj(rows.rfft(_fit(op, x, axes, sizes), axis=axes[-1], norm=rows.OTHER[norm]))
    return rows.fft(half, axes=axes[:-1], inverse=True, norm=norm) if len(axes) > 1 else half


def _last(op: str, axes: tuple[int, ...]) -> None:
    if not axes:
        raise ArgumentError(explain(op, expected="at least one axis", got="none"))


def _halved(op: str, x: Tensor, axes: tuple[int, ...], sizes: Any) -> tuple[Tensor, int]:
    """Half a spectrum that fits the size wanted, and that size (2 (m - 1) by default, for m values)."""
    _last(op, axes)
    n = 2 * (x._a.shape[axes[-1]] - 1) if sizes[-1] is None else int(sizes[-1])
    if n < 1:
        raise ArgumentError(explain(op, expected="at least one element in the result", got=str(n), hint="n=..."))
    return _fit(op, x, axes, (*sizes[:-1], n // 2 + 1)), n


fft, ifft = _one("fft", "complex", _fft(False)), _one("ifft", "complex", _fft(True))
rfft, irfft = _one("rfft", "real", _rfft), _one("irfft", "complex", _irfft)
hfft, ihfft = _one("hfft", "complex", _hfft), _one("ihfft", "real", _ihfft)
fft2, ifft2 = _many("fft2", "complex", _fft(False), (-2, -1)), _many("ifft2", "complex", _fft(True), (-2, -1))
rfft2, irfft2 = _many("rfft2", "real", _rfft, (-2, -1)), _many("irfft2", "complex", _irfft, (-2, -1))
hfft2, ihfft2 = _many("hfft2", "complex", _hfft, (-2, -1)), _many("ihfft2", "real", _ihfft, (-2, -1))
fftn, ifftn = _many("fftn", "complex", _fft(False), None), _many("ifftn", "complex", _fft(True), None)
rfftn, irfftn = _many("rfftn", "real", _rfft, None), _many("irfftn", "complex", _irfft, None)
hfftn, ihfftn = _many("hfftn", "complex", _hfft, None), _many("ihfftn", "real", _ihfft, None)

_DOCS = {
    "fft": "The discrete Fourier transform, sum of x[t] exp(-2 pi i k t / n)",
    "ifft": "The inverse transform, divided by n",
    "rfft": "The transform of real values: the first n // 2 + 1 of its values, of which the others are conjugates",
    "irfft": "The inverse of `rfft`: real values (n of them, 2 (m - 1) by default)",
    "hfft": "The transform of a Hermitian signal (half of it is given) to real values",
    "ihfft": "The inverse of `hfft`",
}
for _name, _doc in _DOCS.items():
    globals()[_name].__doc__ = f'{_doc}; along one axis, which is cut or filled with zeros to n. `norm`: who is divided by n, or "ortho".'
    globals()[f"{_name}2"].__doc__ = f"{_doc}; over two axes (see `{_name}`)."
    globals()[f"{_name}n"].__doc__ = f"{_doc}; over several axes, all by default (see `{_name}`)."


# -- frequencies and shifts ---------------------------------------------------------------------------------------------------------
def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, out: Any = None) -> Tensor:
    """The frequencies of `fft`: 0, 1, ..., then the negative ones, over n * d.

    >>> import flambeau as fb
    >>> fb.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    k = arange(n, dtype=dtype or dtypes.default_dtype(), device=device)
    freq = ((k + n // 2) % n - n // 2) / (n * d)
    return freq.requires_grad_(requires_grad) if out is None else into(out, freq)


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, out: Any = None) -> Tensor:
    """The frequencies of `rfft`: 0 to n // 2, over n * d."""
    freq = arange(n // 2 + 1, dtype=dtype or dtypes.default_dtype(), device=device) / (n * d)
    return freq.requires_grad_(requires_grad) if out is None else into(out, freq)


def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Move frequency 0 to the middle of the axes (all by default)."""
    return _shifted("fftshift", input, dim, lambda n: n // 2)


def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Undo `fftshift`."""
    return _shifted("ifftshift", input, dim, lambda n: -(n // 2))


def _shifted(op: str, x: Tensor, dim: Any, by: Any) -> Tensor:
    dims = range(x._a.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    axes = tuple(axis_of(op, d, x._a.ndim) for d in dims)
    return roll(x, tuple(by(x._a.shape[a]) for a in axes), axes)
