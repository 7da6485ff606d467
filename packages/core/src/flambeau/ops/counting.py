"""Distinct values, counts and histograms under PyTorch's names."""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.base.shapes import axis_of
from flambeau.ops.pointwise import into
from flambeau.ops.promotion import to_dtype
from flambeau.ops.shape import ravel
from flambeau.primitives import sort as rows
from flambeau.tensor.creation import linspace
from flambeau.tensor.tensor import Tensor


class Histogram(NamedTuple):
    """Counts (or densities), and the edges of the bins."""

    hist: Tensor
    bin_edges: Tensor


def unique(input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """The distinct elements (or slices along `dim`) in order; on request also where each element went and how often each came.

    >>> import flambeau as fb
    >>> fb.unique(fb.tensor([2, 1, 2]), return_counts=True)
    (tensor([1, 2]), tensor([1, 2]))
    """
    x, axis = _axis("unique", input, dim)
    return _answer(rows.unique(x, axis=axis), return_inverse, return_counts)


def unique_consecutive(input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """As `unique`, but only neighbours that are equal are merged, and the order stays."""
    x, axis = _axis("unique_consecutive", input, dim)
    return _answer(rows.unique_consecutive(x, axis=axis), return_inverse, return_counts)


def _axis(op: str, x: Tensor, dim: int | None) -> tuple[Tensor, int | None]:
    """Detached, and the axis from the front."""
    if x._a.dtype.kind == "c":
        raise DtypeError(explain(op, expected="a real dtype", got=repr(x.dtype), hint="flambeau.view_as_real"))
    return x.detach(), None if dim is None or not x._a.ndim else axis_of(op, dim, x._a.ndim)


def _answer(found: tuple[Tensor, Tensor, Tensor], with_inverse: bool, with_counts: bool) -> Any:
    values, inverse, counts = found
    out = [values, *([inverse] if with_inverse else []), *([counts] if with_counts else [])]
    return out[0] if len(out) == 1 else tuple(out)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... comes in a vector of integers, or the sums of weights.

    >>> import flambeau as fb
    >>> fb.bincount(fb.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    if input._a.ndim != 1 or input._a.dtype.kind not in "iu":
        raise ShapeError(explain("bincount", expected="a vector of integers", got=f"{input.dtype!r} of shape {tuple(input.shape)}"))
    if minlength < 0:
        raise ArgumentError(explain("bincount", expected="minlength >= 0", got=str(minlength)))
    parts = (input,) if weights is None else (input, weights.detach())
    return rows.bincount(*parts, minlength=int(minlength))


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0, *, out: Tensor | None = None) -> Tensor:
    """Counts in `bins` equal bins from min to max (of the data, if both are equal); values outside and NaN are left out."""
    if bins < 1:
        raise ArgumentError(explain("histc", expected="bins >= 1", got=str(bins)))
    if not input.is_floating_point():
        raise DtypeError(explain("histc", expected="a floating-point tensor", got=repr(input.dtype), hint=".float()"))
    lo, hi = _limits("histc", input, float(min), float(max))
    result = rows.histc(ravel(input.detach()), bins=int(bins), low=lo, high=hi)
    return result if out is None else into(out, result)


def _limits(op: str, x: Tensor, lo: float, hi: float) -> tuple[float, float]:
    if lo == hi and x._a.size:
        lo, hi = float(x.min()), float(x.max())
    if lo == hi:
        lo, hi = lo - 1, hi + 1
    if not lo < hi or float("inf") in (abs(lo), abs(hi)):
        raise ArgumentError(explain(op, expected="a finite range with min below max", got=f"min={lo}, max={hi}"))
    return lo, hi


def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: tuple[float, float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
    out: Any = None,
) -> Histogram:
    """Counts (or weights, or a density) in bins: a number of equal ones, or a vector of edges. The last bin holds its right edge."""
    x = ravel(input.detach())
    if not x.is_floating_point():
        raise DtypeError(explain("histogram", expected="a floating-point tensor", got=repr(x.dtype), hint=".float()"))
    if isinstance(bins, Tensor):
        edges = to_dtype(bins, x.dtype)
    else:
        lo, hi = _limits("histogram", x, *(range or (0.0, 0.0))) if x._a.size or range else (0.0, 1.0)
        edges = linspace(lo, hi, int(bins) + 1, dtype=x.dtype, device=x.device)
    hist = rows.histogram(x, edges) if weight is None else rows.histogram(x, edges, to_dtype(ravel(weight.detach()), x.dtype))
    if density:
        hist = hist / (hist.sum() * (edges[1:] - edges[:-1]))
    if out is not None:
        return Histogram(into(out[0], hist), into(out[1], edges))
    return Histogram(hist, edges)


__all__ = """
bincount histc histogram unique unique_consecutive
""".split()
