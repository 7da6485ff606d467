"""Reading and writing by index tensors under PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.base.shapes import axis_of, broadcast
from flambeau.ops.casting import casting
from flambeau.ops.pointwise import where
from flambeau.ops.promotion import to_dtype
from flambeau.ops.shape import ravel
from flambeau.primitives import elementwise
from flambeau.primitives import indexing as rows
from flambeau.primitives.movement import expand, reshape, triangle
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.tensor import Tensor


def _index(op: str, index: Any, like: Tensor) -> Tensor:
    """An index tensor as int64."""
    i = index if isinstance(index, Tensor) else as_tensor(index, device=like.device)
    if i._a.dtype.kind not in "iu":
        raise DtypeError(explain(op, expected="an integer index tensor", got=repr(i.dtype), hint=".long()"))
    return i if i._a.dtype == np.int64 else to_dtype(i, dtypes.int64)


def in_range(op: str, index: Tensor, size: int, negative: bool = False) -> Tensor:
    """The indices, refused if one is outside [0, size) (or [-size, size))."""
    low = -size if negative else 0
    checked: Tensor = rows.in_range(index, op=op, low=low, high=size, ignore=None, expected="indices in [{low}, {last}]")
    return checked


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """out[i][j] = input[index[i][j]][j] (for dim 0): elements picked along an axis.

    >>> import flambeau as fb
    >>> fb.tensor([[1, 2], [3, 4]]).gather(1, fb.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    x, i = input, _index("gather", index, input)
    if not x._a.ndim or not i._a.ndim:
        x = reshape(x, shape=(1,)) if not x._a.ndim else x
        flat = rows.gather(x, reshape(i, shape=(1,)) if not i._a.ndim else i, axis=0)
        return reshape(flat, shape=i._a.shape)
    d, i = _along("gather", x, dim, i)
    return rows.gather(x, i, axis=d)


def _along(op: str, x: Tensor, dim: int, i: Tensor) -> tuple[int, Tensor]:
    """The axis, and the index if it fits there."""
    d = axis_of(op, dim, x._a.ndim)
    xs, ks = x._a.shape, i._a.shape
    if len(xs) != len(ks) or any(k > n for axis, (n, k) in enumerate(zip(xs, ks, strict=True)) if axis != d):
        expected = f"an index with as many axes as the tensor and no size (but along dim {d}) larger than {tuple(xs)}"
        raise ShapeError(explain(op, expected=expected, got=str(tuple(ks))))
    return d, in_range(op, i, xs[d])


_REDUCE = {"add": rows.scatter_add, "sum": rows.scatter_add, "multiply": rows.scatter_mul, "prod": rows.scatter_mul}
_REDUCE |= {"amax": rows.scatter_max, "amin": rows.scatter_min}


def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Tensor:
    """A copy of input with out[index[i][j]][j] = src[i][j] (for dim 0); `src` is a tensor or a number, `reduce` "add" or "multiply"."""
    i = _index("scatter", index, input)
    src = value if src is None else src
    if not isinstance(src, Tensor):
        src = expand(as_tensor(src, dtype=input.dtype, device=input.device), shape=i._a.shape)
    if src._a.dtype != input._a.dtype:
        raise DtypeError(explain("scatter", expected=f"src of dtype {input.dtype!r}", got=repr(src.dtype)))
    if not input._a.ndim:
        return reshape(scatter(reshape(input, shape=(1,)), 0, ravel(i), ravel(src), reduce=reduce), shape=())
    d, i = _along("scatter", input, dim, i)
    v = _leading(src, i)
    if reduce is None:
        return rows.scatter(input, i, v, axis=d)
    if reduce not in _REDUCE:
        raise ArgumentError(explain("scatter", expected="reduce 'add' or 'multiply'", got=repr(reduce)))
    return _REDUCE[reduce](input, i, v, axis=d)


def _leading(src: Tensor, i: Tensor) -> Tensor:
    """The part of src that the index covers."""
    if src._a.shape == i._a.shape:
        return src
    if src._a.ndim != i._a.ndim or any(k > n for n, k in zip(src._a.shape, i._a.shape, strict=True)):
        raise ShapeError(explain("scatter", expected=f"src at least as large as the index {tuple(i.shape)}", got=str(tuple(src.shape))))
    from flambeau.primitives.movement import slice_

    return slice_(src, key=tuple(slice(0, n) for n in i._a.shape))


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """As `scatter`, adding; repeated indices add up."""
    return scatter(input, dim, index, src, reduce="add")


def scatter_reduce(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True) -> Tensor:
    """As `scatter`, combining with "sum", "prod", "mean", "amax" or "amin" (and with what was there, if `include_self`)."""
    i = _index("scatter_reduce", index, input)
    d, i = _along("scatter_reduce", input, dim, i)
    v = _leading(src, i)
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise ArgumentError(explain("scatter_reduce", expected="reduce sum, prod, mean, amax or amin", got=repr(reduce)))
    base = input
    if not include_self:
        start = {"sum": 0, "mean": 0, "prod": 1, "amax": _lowest(input, True), "amin": _lowest(input, False)}[reduce]
        base = rows.scatter(input, i, elementwise.fill(v, value=start), axis=d)
    if reduce == "mean":
        total = rows.scatter_add(base, i, v, axis=d)
        one = elementwise.fill(v.detach(), value=1)
        count = rows.scatter_add(elementwise.fill(input.detach(), value=int(include_self)), i, one, axis=d)
        count = where(count == 0, elementwise.fill(count, value=1), count)
        return total / count if total.is_floating_point() else total // count
    return _REDUCE[reduce](base, i, v, axis=d)


def _lowest(x: Tensor, low: bool) -> Any:
    if x.is_floating_point():
        return float("-inf") if low else float("inf")
    info = dtypes.iinfo(x.dtype)
    return info.min if low else info.max


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """As `gather`, with the other axes broadcast; without dim, from the flattened tensor."""
    if dim is None:
        return gather(ravel(input), 0, ravel(indices))
    d = axis_of("take_along_dim", dim, input._a.ndim)
    common = broadcast("take_along_dim", *[tuple(1 if k == d else n for k, n in enumerate(t._a.shape)) for t in (input, indices)])
    x = expand(input, shape=tuple(input._a.shape[k] if k == d else n for k, n in enumerate(common)))
    return gather(x, d, expand(indices, shape=tuple(indices._a.shape[k] if k == d else n for k, n in enumerate(common))))


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along `dim` that a vector of indices names."""
    i = _index("index_select", index, input)
    if i._a.ndim > 1:
        raise ShapeError(explain("index_select", expected="a vector of indices", got=f"shape {tuple(i.shape)}"))
    if not input._a.ndim:
        return input
    d = axis_of("index_select", dim, input._a.ndim)
    i = in_range("index_select", i, input._a.shape[d])
    return rows.index(input, reshape(i, shape=(i._a.size,)), axes=(d,))


def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements of the flattened tensor."""
    i = _index("take", index, input)
    i = in_range("take", i, input._a.size, negative=True)
    return rows.index(ravel(input), i, axes=(0,))


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with the elements of `source` put (or added) at positions of the flattened tensor."""
    i = _index("put", index, input)
    i = in_range("put", i, input._a.size, negative=True)
    if i._a.size != source._a.size:
        raise ShapeError(explain("put", expected=f"{i._a.size} elements, one for each index", got=str(source._a.size)))
    out = rows.index_put(ravel(input), to_dtype(ravel(source), input.dtype), ravel(i), axes=(0,), accumulate=bool(accumulate))
    return reshape(out, shape=input._a.shape)


def index_reduce(input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True) -> Tensor:
    """A copy with slices of `source` combined at the indices along `dim`, by "prod", "mean", "amax" or "amin"."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ArgumentError(explain("index_reduce", expected="reduce prod, mean, amax or amin", got=repr(reduce)))
    i = _index("index_reduce", index, input)
    d = axis_of("index_reduce", dim, input._a.ndim)
    spread = reshape(i, shape=(i._a.size,) + (1,) * (source._a.ndim - 1 - d))
    return scatter_reduce(input, d, expand(spread, shape=source._a.shape), source, reduce, include_self=include_self)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The coordinates, in a tensor of some shape, of positions in the flattened one."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    rest = in_range("unravel_index", _index("unravel_index", indices, indices), int(np.prod(sizes, dtype=np.int64)))
    out = []
    for n in reversed(sizes):
        out.append(rest % n)
        rest = rest // n
    return tuple(reversed(out))


def _slices(op: str, x: Tensor, dim: int, index: Any, source: Any, alpha: Any, accumulate: bool) -> Tensor:
    i = _index(op, index, x)
    d = axis_of(op, dim, x._a.ndim)
    i = in_range(op, i, x._a.shape[d], negative=True)
    if isinstance(source, Tensor) and alpha != 1:
        source = source * alpha
    if not isinstance(source, Tensor):
        source = as_tensor(source, dtype=x.dtype, device=x.device)
    return rows.index_put(x, to_dtype(source, x.dtype), reshape(i, shape=(i._a.size,)), axes=(d,), accumulate=accumulate)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """A copy with slices of `source` added at the indices along `dim`; repeats add up."""
    return _slices("index_add", input, dim, index, source, alpha, True)


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy with slices of `source` put at the indices along `dim`."""
    return _slices("index_copy", input, dim, index, source, 1, False)


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy with the slices at the indices along `dim` filled with a number."""
    return _slices("index_fill", input, dim, index, value, 1, False)


def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with `values` put (or added) at `input[indices]`."""
    from flambeau.tensor.indexing import put

    return put(input, tuple(slice(None) if i is None else i for i in indices), values, accumulate)


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A copy with `value` where the mask holds."""
    if mask._a.dtype.kind != "b":
        raise DtypeError(explain("masked_fill", expected="a bool mask", got=repr(mask.dtype), hint=".bool()"))
    if isinstance(value, Tensor):
        return elementwise.where(mask, to_dtype(value, input.dtype), input)
    return elementwise.where(mask, _fitting(value, input), input)


def _fitting(value: Any, x: Tensor) -> Any:
    d = x.dtype
    return float(value) if d.is_floating_point else value if d.is_complex else (bool(value) if d is dtypes.bool_ else int(value))


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask holds, as a vector."""
    shape = broadcast("masked_select", input._a.shape, mask._a.shape)
    return expand(input, shape=shape)[expand(mask, shape=shape)]


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy with the elements of `source`, in order, where the mask holds."""
    full = expand(mask, shape=input._a.shape)
    order = (to_dtype(ravel(full), dtypes.int64).cumsum(0) - 1).clamp(min=0)
    if source._a.size == 0:
        return elementwise.copy(input)
    order = in_range("masked_scatter", order, source._a.size)
    values = reshape(rows.index(ravel(source), order, axes=(0,)), shape=input._a.shape)
    return elementwise.where(full, values, input)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The positions of the elements that are not zero: (count, ndim), or a tuple of one vector per axis."""
    at = rows.nonzero(input)
    if not as_tuple:
        return at
    return tuple(at[:, i] for i in range(input._a.ndim)) if input._a.ndim else (at[:, 0] if at.size(1) else at.new_zeros(at.size(0)),)


argwhere = nonzero


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy with the diagonal replaced."""
    out = elementwise.copy(input)
    out.diagonal(offset, dim1, dim2).copy_(src)
    return out


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy with one slice replaced."""
    out = elementwise.copy(input)
    out.select(dim, index).copy_(src)
    return out


def slice_scatter(input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    """A copy with a range of slices replaced."""
    out = elementwise.copy(input)
    d = axis_of("slice_scatter", dim, input._a.ndim)
    out[tuple(slice(start, end, step) if i == d else slice(None) for i in range(input._a.ndim))] = src
    return out


def fill_diagonal(input: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """A copy of a matrix with its diagonal filled."""
    if input._a.ndim < 2:
        raise ShapeError(explain("fill_diagonal", expected="at least 2 axes", got=f"shape {tuple(input.shape)}"))
    mask = np.zeros(input._a.shape, bool)
    np.fill_diagonal(mask, True, wrap=wrap)
    return masked_fill(input, as_tensor(mask, device=input.device), fill_value)


def _triangle(op: str, input: Tensor, diagonal: int, upper: bool) -> Tensor:
    if input._a.ndim < 2:
        raise ShapeError(explain(op, expected="at least 2 axes", got=f"shape {tuple(input.shape)}"))
    return triangle(input, diagonal=int(diagonal), upper=upper)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices; zeros below."""
    return _triangle("triu", input, diagonal, True)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices; zeros above."""
    return _triangle("tril", input, diagonal, False)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Rows and columns of the upper triangle, (2, count)."""
    return as_tensor(np.stack(np.triu_indices(row, offset, col)).astype(np.int64), dtype=dtype, device=device)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Rows and columns of the lower triangle, (2, count)."""
    return as_tensor(np.stack(np.tril_indices(row, offset, col)).astype(np.int64), dtype=dtype, device=device)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix (a copy), or a matrix with a vector on its diagonal."""
    if input._a.ndim == 1:
        return diag_embed(input, diagonal)
    if input._a.ndim != 2:
        raise ShapeError(explain("diag", expected="a matrix or a vector", got=f"shape {tuple(input.shape)}", hint="diagonal or diag_embed"))
    return elementwise.copy(input.diagonal(diagonal))


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the vectors of the last axis on their diagonals."""
    n = input._a.shape[-1] + abs(offset)
    at = np.arange(input._a.shape[-1])
    r, c = as_tensor(at + max(-offset, 0), device=input.device), as_tensor(at + max(offset, 0), device=input.device)
    lead = input._a.shape[:-1]
    zeros = rows.zeros_of(input, (*lead, n, n))
    out = rows.index_put(zeros, input, r, c, axes=(len(lead), len(lead) + 1), accumulate=False)
    a, b = axis_of("diag_embed", dim1, out._a.ndim), axis_of("diag_embed", dim2, out._a.ndim)
    if (a, b) == (len(lead), len(lead) + 1):
        return out
    return out.movedim((-2, -1), (a, b))


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all elements on its diagonal."""
    return diag_embed(ravel(input), offset)


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    if input._a.ndim != 2:
        raise ShapeError(explain("trace", expected="a matrix", got=f"shape {tuple(input.shape)}"))
    return input.diagonal().sum()


__all__ = """
argwhere diag diag_embed diagflat diagonal_scatter fill_diagonal gather index_add index_copy index_fill index_put index_reduce index_select
masked_fill masked_scatter masked_select nonzero put scatter scatter_add scatter_reduce select_scatter slice_scatter take take_along_dim
trace tril tril_indices triu triu_indices unravel_index
""".split()

casting(globals())
