"""Reductions and scans under PyTorch's names."""

from __future__ import annotations

from math import prod as product
from typing import Any, NamedTuple

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentTypeError, DtypeError, IndexingError, explain
from flambeau.base.shapes import axes_of, axis_of, reduced
from flambeau.ops.casting import casting
from flambeau.ops.pointwise import (
    abs,
    add_op,
    div_op,
    eq_op,
    exp,
    gt_op,
    into,
    isnan,
    log,
    maximum,
    minimum,
    mul_op,
    ne_op,
    pow_op,
    sqrt,
    sub_op,
    where,
)
from flambeau.ops.promotion import to_dtype
from flambeau.primitives import normalize
from flambeau.primitives import reduce as rows
from flambeau.primitives.indexing import gather
from flambeau.primitives.movement import reshape
from flambeau.tensor.tensor import Tensor


class ValuesIndices(NamedTuple):
    """Values and where they were found."""

    values: Tensor
    indices: Tensor


def _numpy_names(function: Any, given: dict[str, Any], numpy: dict[str, Any]) -> Any:
    """Call again with NumPy's argument names (`axis`, `keepdims`) turned into PyTorch's, as PyTorch's functions accept both."""
    known = {"axis": "dim", "keepdims": "keepdim", "ddof": "correction"}
    numpy = {name: value for name, value in numpy.items() if not (name == "out" and value is None)}
    strange = [name for name in numpy if name not in known]
    if strange:
        raise ArgumentTypeError(explain(function.__name__, expected="known argument names", got=", ".join(map(repr, strange))))
    call = {name: value for name, value in given.items() if name not in ("numpy", "args")}
    call.update({known[name]: value for name, value in numpy.items()})
    return function(call.pop("input"), *given.get("args", ()), **call)


def _axes(op: str, x: Tensor, dim: Any) -> tuple[int, ...]:
    return tuple(range(x._a.ndim)) if dim is None else axes_of(op, dim, x._a.ndim)


def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None, **numpy: Any) -> Tensor:
    """The sum of all elements, or along axes. Integers are summed as int64.

    >>> import flambeau as fb
    >>> fb.ones(2, 3).sum(dim=1)
    tensor([3., 3.])
    """
    if numpy:
        return _numpy_names(sum, locals(), numpy)
    x = input if dtype is None and input._a.dtype.kind == "f" else _accumulating(input, dtype)
    result = rows.sum_(x, axis=_axes("sum", x, dim), keepdim=keepdim)
    return result if out is None else into(out, result)


def _accumulating(x: Tensor, dtype: Any) -> Tensor:
    if dtype is not None:
        return to_dtype(x, dtypes.as_dtype(dtype))
    return to_dtype(x, dtypes.int64) if x._a.dtype.kind in "biu" else x


def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None, **numpy: Any) -> Tensor:
    """The mean of all elements, or along axes. Needs a float or complex dtype."""
    if numpy:
        return _numpy_names(mean, locals(), numpy)
    x = input if dtype is None else to_dtype(input, dtypes.as_dtype(dtype))
    if x._a.dtype.kind in "biu":
        raise DtypeError(
            explain("mean", expected="a floating-point or complex tensor", got=repr(x.dtype), hint=".float().mean() or mean(dtype=...)")
        )
    axes = _axes("mean", x, dim)
    count = x._a.size if dim is None else product([x._a.shape[a] for a in axes])
    result = div_op(rows.sum_(x, axis=axes, keepdim=keepdim), float(count) if count else float("nan"))
    return result if out is None else into(out, result)


def nansum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum with NaN taken as 0."""
    return sum(where(isnan(input), 0, input), dim, keepdim, dtype=dtype)


def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The mean of the elements that are not NaN."""
    return div_op(nansum(input, dim, keepdim), sum(~isnan(input), dim, keepdim))


def prod(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, **numpy: Any) -> Tensor:
    """The product of all elements, or along an axis."""
    if numpy:
        return _numpy_names(prod, locals(), numpy)
    x = _accumulating(input, dtype)
    return rows.prod_(x, axis=_axes("prod", x, dim), keepdim=keepdim)


def _nonempty(op: str, x: Tensor, axes: tuple[int, ...]) -> None:
    if product(x._a.shape[a] for a in axes) == 0 and product(reduced(x._a.shape, axes, False)) != 0:
        raise IndexingError(explain(op, expected="at least one element along the axes that are reduced", got=f"shape {tuple(x.shape)}"))


def amax(input: Tensor, dim: Any = None, keepdim: bool = False, **numpy: Any) -> Tensor:
    """The maximum over axes; equal maxima share the gradient."""
    if numpy:
        return _numpy_names(amax, locals(), numpy)
    axes = _axes("amax", input, None if dim == () else dim)
    _nonempty("amax", input, axes)
    return rows.amax(input, axis=axes, keepdim=keepdim)


def amin(input: Tensor, dim: Any = None, keepdim: bool = False, **numpy: Any) -> Tensor:
    """The minimum over axes; equal minima share the gradient."""
    if numpy:
        return _numpy_names(amin, locals(), numpy)
    axes = _axes("amin", input, None if dim == () else dim)
    _nonempty("amin", input, axes)
    return rows.amin(input, axis=axes, keepdim=keepdim)


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Minimum and maximum."""
    return amin(input, dim, keepdim), amax(input, dim, keepdim)


def _extreme(input: Tensor, args: tuple[Any, ...], dim: Any, keepdim: bool, which: str) -> Any:
    """`max(x)`, `max(x, other)` and `max(x, dim)`."""
    if args and isinstance(args[0], Tensor):
        return (maximum if which == "max" else minimum)(input, args[0])
    if args:
        dim, keepdim = args[0], (args[1] if len(args) > 1 else keepdim)
    if dim is None:
        return amax(input) if which == "max" else amin(input)
    if not input._a.ndim:
        return ValuesIndices(input, rows.argmax(reshape(input, shape=(1,)), axis=0, keepdim=False))
    d = axis_of(which, dim, input._a.ndim)
    _nonempty(which, input, (d,))
    at = (rows.argmax if which == "max" else rows.argmin)(input, axis=d, keepdim=True)
    values = gather(input, at, axis=d)
    return ValuesIndices(values, at) if keepdim else ValuesIndices(_drop(values, d), _drop(at, d))


def _drop(x: Tensor, d: int) -> Tensor:
    return reshape(x, shape=x._a.shape[:d] + x._a.shape[d + 1 :])


def max(input: Tensor, *args: Any, dim: Any = None, keepdim: bool = False, other: Any = None, out: Any = None, **numpy: Any) -> Any:
    """The maximum of all elements; with `dim`, (values, indices) along it; with a second tensor, elementwise.

    >>> import flambeau as fb
    >>> fb.tensor([[1, 5], [7, 2]]).max(dim=1).indices
    tensor([1, 0])
    """
    if numpy:
        return _numpy_names(max, locals(), numpy)
    result = _extreme(input, (other,) if other is not None else args, dim, keepdim, "max")
    return result if out is None else tuple(into(o, r) for o, r in zip(out, result, strict=True))


def min(input: Tensor, *args: Any, dim: Any = None, keepdim: bool = False, other: Any = None, out: Any = None, **numpy: Any) -> Any:
    """The minimum of all elements; with `dim`, (values, indices) along it; with a second tensor, elementwise."""
    if numpy:
        return _numpy_names(min, locals(), numpy)
    result = _extreme(input, (other,) if other is not None else args, dim, keepdim, "min")
    return result if out is None else tuple(into(o, r) for o, r in zip(out, result, strict=True))


def _arg(input: Tensor, dim: Any, keepdim: bool, which: str) -> Tensor:
    row = rows.argmax if which == "argmax" else rows.argmin
    if dim is None or not input._a.ndim:
        _nonempty(which, input, tuple(range(input._a.ndim)))
        at = row(reshape(input, shape=(input._a.size,)), axis=0, keepdim=False)
        return reshape(at, shape=(1,) * input._a.ndim) if keepdim else at
    d = axis_of(which, dim, input._a.ndim)
    _nonempty(which, input, (d,))
    return row(input, axis=d, keepdim=keepdim)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False, **numpy: Any) -> Tensor:
    """The position of the maximum: in the flattened tensor, or along an axis."""
    if numpy:
        return _numpy_names(argmax, locals(), numpy)
    return _arg(input, dim, keepdim, "argmax")


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False, **numpy: Any) -> Tensor:
    """The position of the minimum: in the flattened tensor, or along an axis."""
    if numpy:
        return _numpy_names(argmin, locals(), numpy)
    return _arg(input, dim, keepdim, "argmin")


def any(input: Tensor, dim: Any = None, keepdim: bool = False, **numpy: Any) -> Tensor:
    """Whether any element is true (not zero)."""
    if numpy:
        return _numpy_names(any, locals(), numpy)
    return rows.any_(input, axis=_axes("any", input, dim), keepdim=keepdim)


def all(input: Tensor, dim: Any = None, keepdim: bool = False, **numpy: Any) -> Tensor:
    """Whether all elements are true (not zero)."""
    if numpy:
        return _numpy_names(all, locals(), numpy)
    return rows.all_(input, axis=_axes("all", input, dim), keepdim=keepdim)


def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements are not zero."""
    return sum(ne_op(input, 0), dim)


def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None, **numpy: Any
) -> Tensor:
    """The variance: squared distances from the mean, divided by the count minus `correction` (1)."""
    if numpy:
        return _numpy_names(var, locals(), numpy)
    return _var_mean(input, dim, unbiased, keepdim, correction, "var")[0]


def _var_mean(x: Tensor, dim: Any, unbiased: Any, keepdim: bool, correction: Any, op: str) -> tuple[Tensor, Tensor]:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if x._a.dtype.kind in "biu":
        raise DtypeError(explain(op, expected="a floating-point or complex tensor", got=repr(x.dtype), hint=".float()"))
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    axes = _axes(op, x, dim)
    count = product(x._a.shape[a] for a in axes)
    centre = mean(x, axes or None, True)
    away = sub_op(x, centre)
    squares = mul_op(away, away.conj()).real if x.is_complex() else mul_op(away, away)
    left = count - correction
    total = rows.sum_(squares, axis=axes, keepdim=keepdim)
    return div_op(total, float(left) if left > 0 else 0.0), reshape(centre, shape=reduced(x._a.shape, axes, keepdim))


def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None, **numpy: Any
) -> Tensor:
    """The square root of the variance."""
    if numpy:
        return _numpy_names(std, locals(), numpy)
    return sqrt(_var_mean(input, dim, unbiased, keepdim, correction, "std")[0])


def var_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """Variance and mean."""
    return _var_mean(input, dim, unbiased, keepdim, correction, "var_mean")


def std_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean."""
    v, m = _var_mean(input, dim, unbiased, keepdim, correction, "std_mean")
    return sqrt(v), m


def logsumexp(input: Tensor, dim: Any, keepdim: bool = False, **numpy: Any) -> Tensor:
    """log(sum(exp(input))) along axes, without overflow."""
    if numpy:
        return _numpy_names(logsumexp, locals(), numpy)
    x = to_dtype(input, dtypes.default_dtype()) if input._a.dtype.kind in "biu" else input
    axes = _axes("logsumexp", x, dim)
    top = rows.amax(x.detach(), axis=axes, keepdim=True) if product(x._a.shape[a] for a in axes) else None
    if top is None:
        return sub_op(rows.sum_(x, axis=axes, keepdim=keepdim), float("inf"))  # -inf for each sum of nothing, without 0 / 0 in gradients
    top = where(abs(top) == float("inf"), 0.0, top)
    total = log(rows.sum_(exp(sub_op(x, top)), axis=axes, keepdim=True))
    return reshape(add_op(total, top), shape=reduced(x._a.shape, axes, keepdim))


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, **numpy: Any) -> Tensor:
    """Running sums along an axis."""
    if numpy:
        return _numpy_names(cumsum, locals(), numpy)
    return _scan(rows.cumsum, _accumulating(input, dtype), dim, "cumsum")


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, **numpy: Any) -> Tensor:
    """Running products along an axis."""
    if numpy:
        return _numpy_names(cumprod, locals(), numpy)
    return _scan(rows.cumprod, _accumulating(input, dtype), dim, "cumprod")


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """Logarithms of running sums of exponentials, without overflow."""
    return _scan(rows.logcumsumexp, input, dim, "logcumsumexp")


def _scan(row: Any, x: Tensor, dim: int, op: str) -> Tensor:
    d = axis_of(op, dim, x._a.ndim)
    if not x._a.ndim:
        return reshape(row(reshape(x, shape=(1,)), axis=0), shape=())
    return row(x, axis=d)


def _extreme_scan(row: Any, x: Tensor, dim: int, op: str) -> ValuesIndices:
    d = axis_of(op, dim, x._a.ndim)
    if not x._a.ndim:
        return ValuesIndices(*(reshape(r, shape=()) for r in row(reshape(x, shape=(1,)), axis=0)))
    return ValuesIndices(*row(x, axis=d))


def cummax(input: Tensor, dim: int) -> ValuesIndices:
    """Running maxima along an axis, and where they are."""
    return _extreme_scan(rows.cummax, input, dim, "cummax")


def cummin(input: Tensor, dim: int) -> ValuesIndices:
    """Running minima along an axis, and where they are."""
    return _extreme_scan(rows.cummin, input, dim, "cummin")


def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The p-norm of the elements along axes (all by default); "fro" is p = 2, inf the largest size, 0 the count of nonzeros."""
    x = input if dtype is None else to_dtype(input, dtypes.as_dtype(dtype))
    if p == "nuc":
        from flambeau.ops.matrix import matrix_norm

        return matrix_norm(x, "nuc", dim or (-2, -1), keepdim)
    if p in ("fro", None):
        p = 2
    if not isinstance(p, (int, float)):
        raise ArgumentTypeError(explain("norm", expected="p as a number, 'fro' or 'nuc'", got=repr(p)))
    return vector_norm(x, p, dim, keepdim)


def vector_norm(x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """(sum |x|^ord)^(1/ord) along axes (all by default); inf and -inf give the largest and smallest size, 0 counts nonzeros."""
    x = x if dtype is None else to_dtype(x, dtypes.as_dtype(dtype))
    if x._a.dtype.kind in "biu":
        raise DtypeError(explain("norm", expected="a floating-point or complex tensor", got=repr(x.dtype), hint=".float()"))
    if rows.is_half(x._a.dtype):  # squares of float16 overflow at 256
        return to_dtype(vector_norm(to_dtype(x, dtypes.float32), ord, dim, keepdim), x.dtype)
    axes = _axes("norm", x, dim)
    if ord == 2 and x._a.dtype.kind != "c":
        return _safe_root(rows.sum_(mul_op(x, x), axis=axes, keepdim=keepdim))
    size = abs(x)
    if ord == float("inf"):
        return rows.amax(size, axis=axes, keepdim=keepdim)
    if ord == float("-inf"):
        return rows.amin(size, axis=axes, keepdim=keepdim)
    if ord == 0:
        return rows.sum_(to_dtype(size != 0, size.dtype), axis=axes, keepdim=keepdim)
    if ord == 1:
        return rows.sum_(size, axis=axes, keepdim=keepdim)
    if ord == 2:
        total = rows.sum_(mul_op(size, size), axis=axes, keepdim=keepdim)
        return _safe_root(total)
    total = rows.sum_(pow_op(size, ord), axis=axes, keepdim=keepdim)
    return pow_op(total, 1.0 / ord)


def _safe_root(total: Tensor) -> Tensor:
    """The square root, whose gradient at 0 is 0 (a subgradient of the norm)."""
    if total._node is None:
        return sqrt(total)
    zero = eq_op(total, 0)
    return where(zero, 0.0, sqrt(where(zero, 1.0, total)))


def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Scale down the slices along `dim` whose p-norm is larger than maxnorm."""
    d = axis_of("renorm", dim, input._a.ndim)
    size = vector_norm(input, p, tuple(i for i in range(input._a.ndim) if i != d), True)
    return mul_op(input, where(gt_op(size, maxnorm), div_op(maxnorm, add_op(size, 1e-7)), 1.0))


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference."""
    return vector_norm(sub_op(input, other), p)


def softmax(input: Tensor, dim: int, *, dtype: Any = None, **numpy: Any) -> Tensor:
    """exp(x) / sum(exp(x)) along an axis.

    >>> import flambeau as fb
    >>> fb.softmax(fb.zeros(2), dim=0)
    tensor([0.5000, 0.5000])
    """
    if numpy:
        return _numpy_names(softmax, locals(), numpy)
    x = _float_input(input, dtype)
    return _along(normalize.softmax, x, axis_of("softmax", dim, x._a.ndim))


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, **numpy: Any) -> Tensor:
    """log(softmax(x)), computed without loss of precision."""
    if numpy:
        return _numpy_names(log_softmax, locals(), numpy)
    x = _float_input(input, dtype)
    return _along(normalize.log_softmax, x, axis_of("log_softmax", dim, x._a.ndim))


def _along(row: Any, x: Tensor, axis: int) -> Tensor:
    """Apply a row along one axis; a zero-dimensional tensor counts as one element."""
    return row(x, axis=(axis,)) if x._a.ndim else reshape(row(reshape(x, shape=(1,)), axis=(0,)), shape=())


def _float_input(x: Tensor, dtype: Any) -> Tensor:
    if dtype is not None:
        return to_dtype(x, dtypes.as_dtype(dtype))
    return to_dtype(x, dtypes.default_dtype()) if x._a.dtype.kind in "biu" else x


def quantile(input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear") -> Tensor:
    """Quantiles of all elements or along an axis; between two elements as `interpolation` says (linear, lower, higher, midpoint,
    nearest)."""
    from flambeau.ops.sorting import quantile_sorted

    return quantile_sorted(input, q, dim, keepdim, interpolation)


__all__ = """
ValuesIndices all amax amin aminmax any argmax argmin count_nonzero cummax cummin cumprod cumsum dist log_softmax logcumsumexp logsumexp
max mean min nanmean nansum norm prod quantile renorm softmax std std_mean sum var var_mean
""".split()

casting(globals())
