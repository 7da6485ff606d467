"""Sorting, selecting and searching under PyTorch's names. NaN counts as the largest value; equal values keep their order."""

from __future__ import annotations

from typing import Any

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, DtypeError, IndexingError, ShapeError, explain
from flambeau.base.shapes import axis_of, reduced
from flambeau.ops.casting import casting
from flambeau.ops.pointwise import eq_op, into, isnan, ne_op, sub_op, where
from flambeau.ops.promotion import operands, to_dtype
from flambeau.ops.reduction import ValuesIndices, amax, count_nonzero
from flambeau.ops.shape import movedim, ravel, unsqueeze
from flambeau.primitives import elementwise
from flambeau.primitives import sort as rows
from flambeau.primitives.indexing import gather
from flambeau.primitives.movement import reshape
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.tensor import Tensor


def _lined(op: str, x: Tensor, dim: int) -> tuple[Tensor, int]:
    """x with at least one axis, and the axis."""
    if x._a.dtype.kind == "c":
        raise DtypeError(explain(op, expected="a real dtype (complex numbers have no order)", got=repr(x.dtype), hint=".abs() first"))
    d = axis_of(op, dim, x._a.ndim)
    return (x if x._a.ndim else reshape(x, shape=(1,))), d


def _result(pair: Any, like: Tensor, out: Any = None) -> ValuesIndices:
    """Back to no axes where the input had none; serve `out=`."""
    if not like._a.ndim:
        pair = tuple(reshape(p, shape=()) for p in pair)
    if out is not None:
        pair = tuple(into(o, p) for o, p in zip(out, pair, strict=True))
    return ValuesIndices(*pair)


def _kept(pair: Any, x: Tensor, d: int, keepdim: bool) -> Any:
    """A pair without axis d, or with it as an axis of size 1."""
    shape = reduced(x._a.shape, (d,), keepdim)
    return tuple(reshape(p, shape=shape) for p in pair) if keepdim else pair


def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False, out: Any = None) -> ValuesIndices:
    """Values in order along an axis, and where they came from. Always stable, so `stable` changes nothing.

    >>> import flambeau as fb
    >>> fb.sort(fb.tensor([3, 1, 2]))
    ValuesIndices(values=tensor([1, 2, 3]), indices=tensor([1, 2, 0]))
    """
    x, d = _lined("sort", input, dim)
    return _result(rows.sort(x, axis=d, descending=bool(descending)), input, out)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
    """The positions that put an axis in order."""
    x, d = _lined("argsort", input, dim)
    return reshape(rows.argsort(x, axis=d, descending=bool(descending)), shape=input._a.shape)


def msort(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sorted along the first axis."""
    values = sort(input, 0).values
    return values if out is None else into(out, values)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, out: Any = None) -> ValuesIndices:
    """The k largest (or smallest) values along an axis, best first, and their positions.

    >>> import flambeau as fb
    >>> fb.topk(fb.tensor([1.0, 5.0, 3.0]), 2).indices
    tensor([1, 2])
    """
    x, d = _lined("topk", input, dim)
    n = x._a.shape[d]
    if not 0 <= k <= n:
        raise IndexingError(explain("topk", expected=f"k in [0, {n}], the size of dim {d}", got=f"k={k}"))
    return _result(rows.topk(x, k=int(k), axis=d, largest=bool(largest), in_order=bool(sorted)), input, out)


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False, *, out: Any = None) -> ValuesIndices:
    """The k-th smallest value along an axis (k counts from 1), and its position."""
    x, d = _lined("kthvalue", input, dim)
    n = x._a.shape[d]
    if not 1 <= k <= n:
        raise IndexingError(explain("kthvalue", expected=f"k in [1, {n}], the size of dim {d}", got=f"k={k}"))
    return _result(_kept(rows.kthvalue(x, k=int(k), axis=d), x, d, keepdim), input, out)


def mode(input: Tensor, dim: int = -1, keepdim: bool = False, *, out: Any = None) -> ValuesIndices:
    """The most frequent value along an axis (the smallest of several), and the position of its last occurrence."""
    x, d = _lined("mode", input, dim)
    _filled("mode", x, d)
    return _result(_kept(rows.mode(x, axis=d), x, d, keepdim), input, out)


def _filled(op: str, x: Tensor, d: int) -> int:
    n = x._a.shape[d]
    if n == 0:
        raise IndexingError(explain(op, expected=f"at least one element along dim {d}", got=f"shape {tuple(x.shape)}"))
    return n


def median(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The middle value (the lower of two); NaN if there is any. With `dim`: (values, indices) along it.

    >>> import flambeau as fb
    >>> fb.median(fb.tensor([3.0, 1.0, 2.0, 4.0]))
    tensor(2.)
    """
    return _median(input, dim, keepdim, out, "median")


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The middle of the values that are not NaN. With `dim`: (values, indices) along it."""
    return _median(input, dim, keepdim, out, "nanmedian")


def _median(input: Tensor, dim: int | None, keepdim: bool, out: Any, op: str) -> Any:
    if dim is None:
        return _median_of_all(input, op)
    x, d = _lined(op, input, dim)
    n = _filled(op, x, d)
    positions = argsort(x.detach(), d)
    nans = reshape(count_nonzero(isnan(x), d), shape=reduced(x._a.shape, (d,), True))
    if op == "median":
        middle = where(eq_op(nans, 0), (n - 1) // 2, sub_op(n, nans))
    else:
        middle = ((n - 1 - nans) // 2).clamp(min=0)
    at = gather(positions, middle, axis=d)
    shape = reduced(x._a.shape, (d,), keepdim)
    return _result((reshape(gather(x, at, axis=d), shape=shape), reshape(at, shape=shape)), input, out)


def _median_of_all(x: Tensor, op: str) -> Tensor:
    """Elements that equal the median share the gradient, as in PyTorch."""
    flat = ravel(x)
    if not flat._a.size:
        return as_tensor(float("nan"), dtype=x.dtype, device=x.device)
    value = _median(flat, 0, False, None, op).values
    if value._node is None:
        return value
    return amax(where(eq_op(flat, value.detach()) | isnan(value.detach()), flat, float("-inf")))


# -- quantiles ----------------------------------------------------------------------------------------------------------------------
def quantile_sorted(input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, ignore_nan: bool = False) -> Tensor:
    """What `quantile` and `nanquantile` compute: q between the order statistics, with q's axis first."""
    op = "nanquantile" if ignore_nan else "quantile"
    points = _points(op, input, q)
    x = input if dim is not None else ravel(input)
    x, d = _lined(op, x, 0 if dim is None else dim)
    n = _filled(op, x, d)
    ordered = sort(movedim(x, d, -1), -1).values
    nans = unsqueeze(count_nonzero(isnan(ordered), -1), -1)
    last = (n - 1 - nans).clamp(min=0) if ignore_nan else where(eq_op(nans, 0), n - 1, 0)
    ranks = to_dtype(last, ordered.dtype) * points
    if not ignore_nan:
        ranks = where(eq_op(nans, 0), ranks, float(n - 1))  # where NaN is sorted to
    values = movedim(_interpolate(op, ordered, ranks, interpolation), -1, 0)
    shape = (1,) * (input._a.ndim * keepdim) if dim is None else reduced(x._a.shape, (d,), keepdim)
    lead = points._a.shape if isinstance(q, Tensor) and q._a.ndim else ()
    return reshape(values, shape=(*lead, *(shape if input._a.ndim else ())))


def _points(op: str, x: Tensor, q: Any) -> Tensor:
    if not x.is_floating_point():
        raise DtypeError(explain(op, expected="a floating-point tensor", got=repr(x.dtype), hint=".float()"))
    points = q if isinstance(q, Tensor) else as_tensor(float(q), dtype=x.dtype, device=x.device)
    if points._a.ndim > 1:
        raise ShapeError(explain(op, expected="q as a number or a vector", got=f"shape {tuple(points.shape)}"))
    if points._a.dtype != x._a.dtype:
        raise DtypeError(explain(op, expected=f"q of dtype {x.dtype!r}", got=repr(points.dtype)))
    if not points.is_meta and not bool(((points.detach() >= 0) & (points.detach() <= 1)).all()):
        raise ArgumentError(explain(op, expected="q in [0, 1]", got=str(points.tolist())))
    return ravel(points)


def _interpolate(op: str, ordered: Tensor, ranks: Tensor, how: str) -> Tensor:
    """Between the neighbours of each rank along the last axis."""
    if how not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise ArgumentError(explain(op, expected="interpolation linear, lower, higher, midpoint or nearest", got=repr(how)))
    if how in ("lower", "higher", "nearest"):
        at = {"lower": ranks.floor, "higher": ranks.ceil, "nearest": ranks.round}[how]()
        return gather(ordered, to_dtype(at, dtypes.int64), axis=ordered._a.ndim - 1)
    below = ranks.floor()
    lo, hi = (gather(ordered, to_dtype(r, dtypes.int64), axis=ordered._a.ndim - 1) for r in (below, ranks.ceil()))
    return lo.lerp(hi, elementwise.fill(ranks, value=0.5) if how == "midpoint" else ranks - below)


def nanquantile(input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear") -> Tensor:
    """As `quantile`, of the values that are not NaN."""
    return quantile_sorted(input, q, dim, keepdim, interpolation, ignore_nan=True)


# -- searching --------------------------------------------------------------------------------------------------------------------------
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    out: Tensor | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where each value of `input` would be inserted in the last axis of a sorted sequence; `right` means after equal values.

    The sequence is a vector, or has the same leading axes as `input`. `sorter` puts an unsorted sequence in order.

    >>> import flambeau as fb
    >>> fb.searchsorted(fb.tensor([1, 3, 5]), fb.tensor([3, 4]))
    tensor([1, 2])
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ArgumentError(
            explain("searchsorted", expected="side 'left' or 'right' that agrees with right", got=f"side={side!r}, right={right}")
        )
    sequence = sorted_sequence if sorter is None else gather(sorted_sequence, sorter, axis=sorted_sequence._a.ndim - 1)
    x = input if isinstance(input, Tensor) else as_tensor(input, device=sequence.device)
    a, b = sequence._a.shape, x._a.shape
    if not a or (len(a) > 1 and a[:-1] != b[:-1]):
        raise ShapeError(
            explain("searchsorted", expected="a vector, or a sequence with the leading axes of input", got=f"{tuple(a)} and {tuple(b)}")
        )
    sequence, x = operands("searchsorted", sequence.detach(), x.detach())
    at = rows.searchsorted(sequence, x, right=right or side == "right")
    if out_int32:
        at = to_dtype(at, dtypes.int32)
    return at if out is None else into(out, at)


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False, out: Tensor | None = None) -> Tensor:
    """The bucket between sorted boundaries that each value falls in: boundaries[i-1] < x <= boundaries[i] (with `right`: <= x <)."""
    if boundaries._a.ndim != 1:
        raise ShapeError(explain("bucketize", expected="boundaries as a vector", got=f"shape {tuple(boundaries.shape)}"))
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is among the test elements (with `invert`: is not)."""
    where_ = next((t.device for t in (elements, test_elements) if isinstance(t, Tensor)), None)
    x, y = (t if isinstance(t, Tensor) else as_tensor(t, device=where_) for t in (elements, test_elements))
    x, y = operands("isin", x.detach(), y.detach())
    if not y._a.size:
        return elementwise.fill(eq_op(x, x), value=invert)
    ordered = sort(ravel(y)).values
    at = searchsorted(ordered, x).clamp(max=y._a.size - 1)
    return (ne_op if invert else eq_op)(ordered[at], x)


__all__ = """
argsort bucketize isin kthvalue median mode msort nanmedian nanquantile searchsorted sort topk
""".split()

casting(globals())
