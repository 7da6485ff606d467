"""Distinct values, counts and histograms under PyTorch's names."""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.base.shapes import axis_of
from flambeau.ops.indexing import index_select
from flambeau.ops.pointwise import into, ne_op
from flambeau.ops.promotion import to_dtype
from flambeau.ops.reduction import any as any_of
from flambeau.ops.reduction import cumsum
from flambeau.ops.shape import cat, movedim, narrow, ravel
from flambeau.ops.sorting import argsort, searchsorted
from flambeau.primitives import indexing
from flambeau.primitives import sort as rows
from flambeau.primitives.movement import reshape
from flambeau.tensor.creation import arange, as_tensor, linspace, zeros
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
    slices, d = _slices("unique", input, dim)
    flat = reshape(slices, shape=(slices._a.shape[0], -1 if slices._a.size else 0))
    order = argsort(ravel(flat)) if flat._a.shape[1:] == (1,) else rows.lexsort(flat)
    values, runs, counts = _runs(index_select(slices, 0, order))
    inverse = indexing.scatter(runs, order, runs, axis=0)
    return _answer(values, inverse, counts, input, d, return_inverse, return_counts)


def unique_consecutive(input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """As `unique`, but only neighbours that are equal are merged, and the order stays."""
    slices, d = _slices("unique_consecutive", input, dim)
    values, runs, counts = _runs(slices)
    return _answer(values, runs, counts, input, d, return_inverse, return_counts)


def _slices(op: str, x: Tensor, dim: int | None) -> tuple[Tensor, int | None]:
    if x._a.dtype.kind == "c":
        raise DtypeError(explain(op, expected="a real dtype", got=repr(x.dtype), hint="flambeau.view_as_real"))
    if dim is None or not x._a.ndim:
        return ravel(x), None
    d = axis_of(op, dim, x._a.ndim)
    return movedim(x, d, 0), d


def _runs(slices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first of each run of equal slices along the first axis, the number of the run that each slice is in, and lengths."""
    n = slices._a.shape[0]
    if n == 0:
        nothing = zeros(0, dtype=dtypes.int64, device=slices.device)
        return slices, nothing, nothing
    changed = ne_op(narrow(slices, 0, 1, n - 1), narrow(slices, 0, 0, n - 1))
    if slices._a.ndim > 1:
        changed = any_of(reshape(changed, shape=(n - 1, -1 if changed._a.size else slices._a.size // n)), 1)
    runs = cat([zeros(1, dtype=dtypes.int64, device=slices.device), cumsum(changed, 0)])
    starts = cat([zeros(1, dtype=dtypes.int64, device=slices.device), changed.nonzero()[:, 0] + 1])
    ends = cat([narrow(starts, 0, 1, starts._a.shape[0] - 1), as_tensor([n], device=slices.device)])
    return index_select(slices, 0, starts), runs, ends - starts


def _answer(values: Tensor, inverse: Tensor, counts: Tensor, x: Tensor, d: int | None, with_inverse: bool, with_counts: bool) -> Any:
    out = [movedim(values, 0, d) if d is not None else values]
    if with_inverse:
        out.append(inverse if d is not None else reshape(inverse, shape=x._a.shape))
    if with_counts:
        out.append(counts)
    return out[0] if len(out) == 1 else tuple(out)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... comes in a vector of integers, or the sum of its weights (float64, as float32 weights give too).

    >>> import flambeau as fb
    >>> fb.bincount(fb.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    if input._a.ndim != 1 or input._a.dtype.kind not in "iu":
        raise ShapeError(explain("bincount", expected="a vector of integers", got=f"{input.dtype!r} of shape {tuple(input.shape)}"))
    if minlength < 0:
        raise ArgumentError(explain("bincount", expected="minlength >= 0", got=str(minlength)))
    if input._a.size and not input.is_meta and int(input.min()) < 0:
        raise ArgumentError(explain("bincount", expected="no negative values", got=str(int(input.min()))))
    x = to_dtype(input, dtypes.int64)
    if weights is None:
        return rows.bincount(x, minlength=int(minlength))
    if weights._a.shape != input._a.shape:
        raise ShapeError(explain("bincount", expected=f"weights of shape {tuple(input.shape)}", got=str(tuple(weights.shape))))
    wanted = dtypes.float32 if weights.dtype is dtypes.float32 else dtypes.float64
    return to_dtype(rows.bincount(x, to_dtype(weights.detach(), dtypes.float64), minlength=int(minlength)), wanted)


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0, *, out: Tensor | None = None) -> Tensor:
    """Counts in `bins` equal bins from min to max (of the data, if both are equal); values outside and NaN are left out."""
    if bins < 1:
        raise ArgumentError(explain("histc", expected="bins >= 1", got=str(bins)))
    if not input.is_floating_point():
        raise DtypeError(explain("histc", expected="a floating-point tensor", got=repr(input.dtype), hint=".float()"))
    lo, hi = _limits("histc", input, float(min), float(max))
    result = rows.histc(ravel(input.detach()), bins=int(bins), lo=lo, hi=hi)
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
    input: Tensor, bins: Any, *, range: tuple[float, float] | None = None, weight: Tensor | None = None, density: bool = False, out: Any = None
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
    n = edges._a.shape[0] - 1
    last = edges[-1]
    slot = (searchsorted(edges, x, right=True) - 1).where(x != last, as_tensor(n - 1, device=x.device))
    inside = (x >= edges[0]) & (x <= last)
    w = to_dtype(inside, x.dtype) if weight is None else ravel(weight.detach()) * inside
    hist = indexing.scatter_add(zeros(n, dtype=x.dtype, device=x.device), slot.clamp(0, n - 1), to_dtype(w, x.dtype), axis=0)
    if density:
        hist = hist / (hist.sum() * (edges[1:] - edges[:-1]))
    if out is not None:
        return Histogram(into(out[0], hist), into(out[1], edges))
    return Histogram(hist, edges)


__all__ = """
bincount histc histogram unique unique_consecutive
""".split()
