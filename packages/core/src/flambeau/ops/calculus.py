"""Differences, derivatives and integrals of sampled functions; covariances."""

from __future__ import annotations

from typing import Any

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.base.shapes import axis_of
from flambeau.ops.joining import cat, narrow
from flambeau.ops.matmul import matmul
from flambeau.ops.pointwise import add_op, clip, complex, div_op, into, mul_op, ne_op, sqrt, sub_op
from flambeau.ops.promotion import to_dtype
from flambeau.ops.reduction import cumsum, sum
from flambeau.ops.shape import adjoint, unsqueeze
from flambeau.primitives.movement import reshape
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.tensor import Tensor


def _steps(x: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """All elements but the first, and all but the last, along an axis."""
    n = x._a.shape[d]
    return narrow(x, d, 1, n - 1), narrow(x, d, 0, n - 1)


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None, *, out: Any = None
) -> Tensor:
    """Differences of neighbours along an axis, n times; `prepend` and `append` are joined on first.

    >>> import flambeau as fb
    >>> fb.diff(fb.tensor([1, 3, 6]))
    tensor([2, 3])
    """
    if not input._a.ndim:
        raise ShapeError(explain("diff", expected="at least 1 axis", got="a zero-dimensional tensor"))
    if n < 0:
        raise ArgumentError(explain("diff", expected="n >= 0", got=str(n)))
    d = axis_of("diff", dim, input._a.ndim)
    x = cat([t for t in (prepend, input, append) if t is not None], d) if prepend is not None or append is not None else input
    for _ in range(min(n, x._a.shape[d])):
        after, before = _steps(x, d)
        x = ne_op(after, before) if x._a.dtype.kind == "b" else sub_op(after, before)
    return x if out is None else into(out, x)


def _widths(op: str, y: Tensor, x: Any, dx: Any, d: int) -> Any:
    """Distances between samples, in a shape that broadcasts with y's steps."""
    if x is None:
        return dx
    if x._a.ndim == 1:
        x = reshape(x, shape=(x._a.size,) + (1,) * (y._a.ndim - 1 - d))
        axis = 0
    else:
        axis = d - y._a.ndim + x._a.ndim
    if x._a.shape[axis] != y._a.shape[d]:
        raise ShapeError(explain(op, expected=f"{y._a.shape[d]} points to match y {tuple(y.shape)}", got=f"x {tuple(x.shape)}"))
    after, before = _steps(x, axis)
    return sub_op(after, before)


def _areas(op: str, y: Tensor, x: Any, dx: Any, dim: int) -> tuple[Tensor, int]:
    d = axis_of(op, dim, y._a.ndim)
    after, before = _steps(y, d)
    return div_op(mul_op(add_op(after, before), _widths(op, y, x, 1.0 if dx is None else dx, d)), 2.0), d


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral along an axis by the trapezoidal rule, over points x or steps dx (1).

    >>> import flambeau as fb
    >>> fb.trapezoid(fb.tensor([1.0, 2.0, 3.0]))
    tensor(4.)
    """
    if y._a.shape[axis_of("trapezoid", dim, y._a.ndim)] == 0:
        return sum(to_dtype(y, dtypes.default_dtype()) if y._a.dtype.kind in "biu" else y, dim)
    areas, d = _areas("trapezoid", y, x, dx, dim)
    return sum(areas, d)


trapz = trapezoid


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """Running integrals by the trapezoidal rule, one fewer than points."""
    areas, d = _areas("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(areas, d)


def gradient(input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Estimated derivatives along axes (all by default): central differences of second order inside, of `edge_order` at both ends.

    `spacing` is a step, one for each axis, or a vector of coordinates for each.
    """
    if edge_order not in (1, 2):
        raise ArgumentError(explain("gradient", expected="edge_order 1 or 2", got=str(edge_order)))
    dims = range(input._a.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    axes = [axis_of("gradient", d, input._a.ndim) for d in dims]
    each = list(spacing) if isinstance(spacing, (tuple, list)) else [spacing] * len(axes)
    if len(each) != len(axes):
        raise ArgumentError(explain("gradient", expected=f"one spacing for each of {len(axes)} axes", got=str(len(each))))
    x = to_dtype(input, dtypes.default_dtype()) if input._a.dtype.kind in "biu" else input
    return tuple(_derivative(x, d, step, edge_order) for d, step in zip(axes, each, strict=True))


def _derivative(x: Tensor, d: int, spacing: Any, edge_order: int) -> Tensor:
    n = x._a.shape[d]
    if n < edge_order + 1:
        raise ShapeError(explain("gradient", expected=f"at least {edge_order + 1} points along dim {d}", got=str(n)))
    after, before = _steps(x, d)
    slopes = sub_op(after, before)
    if isinstance(spacing, Tensor) and spacing._a.ndim:
        if spacing._a.shape != (n,):
            raise ShapeError(explain("gradient", expected=f"{n} coordinates for dim {d}", got=f"shape {tuple(spacing.shape)}"))
        h = reshape(sub_op(*_steps(spacing, 0)), shape=(n - 1,) + (1,) * (x._a.ndim - 1 - d))
    else:
        h = reshape(as_tensor(spacing, dtype=x.dtype.to_real(), device=x.device), shape=(1,) * (x._a.ndim - d)).expand(
            n - 1, *(1,) * (x._a.ndim - 1 - d)
        )
    slopes = div_op(slopes, h)
    first, last = narrow(slopes, d, 0, 1), narrow(slopes, d, n - 2, 1)
    inner = []
    if n > 2:
        right, left = _steps(slopes, d)
        h_right, h_left = _steps(h, 0)
        total = add_op(h_left, h_right)
        inner = [add_op(mul_op(left, div_op(h_right, total)), mul_op(right, div_op(h_left, total)))]
    if edge_order == 2:  # a parabola through the three points at the end
        first = add_op(first, mul_op(sub_op(first, narrow(slopes, d, 1, 1)), div_op(narrow(h, 0, 0, 1), narrow(total, 0, 0, 1))))
        last = add_op(last, mul_op(sub_op(last, narrow(slopes, d, n - 3, 1)), div_op(narrow(h, 0, n - 2, 1), narrow(total, 0, n - 3, 1))))
    return cat([first, *inner, last], d)


def cov(input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None) -> Tensor:
    """The covariances of variables (rows) over observations (columns), which may come several times (fweights) or weigh more (aweights)."""
    if input._a.ndim > 2:
        raise ShapeError(explain("cov", expected="at most 2 axes", got=f"shape {tuple(input.shape)}"))
    x = to_dtype(input, dtypes.default_dtype()) if input._a.dtype.kind in "biu" else input
    x = x if x._a.ndim == 2 else reshape(x, shape=(1, x._a.size))
    weights = None
    for w, name in ((fweights, "fweights"), (aweights, "aweights")):
        if w is not None:
            if w._a.shape != x._a.shape[1:]:
                raise ShapeError(explain("cov", expected=f"{name} of shape {x._a.shape[1:]}", got=str(tuple(w.shape))))
            w = to_dtype(w, x.dtype.to_real())
            weights = w if weights is None else mul_op(weights, w)
    if weights is None:
        count: Any = x._a.shape[1]
        mean = div_op(sum(x, 1, True), float(count) if count else float("nan"))
        left = max(count - correction, 0)
        scaled = sub_op(x, mean)
        product = matmul(scaled, adjoint(scaled))
    else:
        count = sum(weights)
        mean = div_op(sum(mul_op(x, weights), 1, True), count)
        away = sub_op(x, mean)
        product = matmul(mul_op(away, weights), adjoint(away))
        used = sum(mul_op(weights, to_dtype(aweights, weights.dtype))) if aweights is not None else count
        left = clip(sub_op(count, div_op(mul_op(used, float(correction)), count)), 0.0)
    result = div_op(product, left if isinstance(left, Tensor) else float(left))
    return result if input._a.ndim == 2 else reshape(result, shape=())


def corrcoef(input: Tensor) -> Tensor:
    """Correlation coefficients of variables (rows) over observations (columns)."""
    c = cov(input)
    if not c._a.ndim:
        return div_op(c, c)
    deviation = sqrt(c.diagonal().real)
    r = div_op(div_op(c, unsqueeze(deviation, 1)), unsqueeze(deviation, 0))
    if r.is_complex():
        return complex(clip(r.real, -1, 1), clip(r.imag, -1, 1))
    return clip(r, -1, 1)


__all__ = """
corrcoef cov cumulative_trapezoid diff gradient trapezoid trapz
""".split()
