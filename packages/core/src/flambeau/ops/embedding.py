"""Table look-ups under PyTorch's names."""

from __future__ import annotations

import numpy as np

from flambeau.autograd.modes import no_grad
from flambeau.base.dtypes import int64
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.ops import reduction as reduce_ops
from flambeau.ops.indexing import in_range
from flambeau.ops.pointwise import add_op, clamp, div_op, eq_op, gt_op, mul_op, ne_op, where
from flambeau.ops.promotion import to_dtype
from flambeau.ops.reduction import vector_norm
from flambeau.primitives import elementwise as rows
from flambeau.primitives.embedding import embedding as look_up
from flambeau.primitives.indexing import index, index_put, scatter_add, scatter_max, zeros_of
from flambeau.primitives.movement import expand, reshape
from flambeau.primitives.reduce import cumsum
from flambeau.tensor.creation import arange, as_tensor
from flambeau.tensor.tensor import Tensor


def _indices(op: str, input: Tensor, size: int) -> Tensor:
    if not isinstance(input, Tensor) or input._a.dtype.kind not in "iu":
        got = repr(input.dtype) if isinstance(input, Tensor) else type(input).__name__
        raise DtypeError(explain(op, expected="an integer tensor of indices", got=got, hint=".long()"))
    return in_range(op, to_dtype(input, int64), size)


def _padding(op: str, padding_idx: int | None, size: int) -> int | None:
    if padding_idx is None:
        return None
    if not -size <= padding_idx < size:
        raise ArgumentError(explain(op, expected=f"padding_idx within the {size} rows of weight", got=str(padding_idx)))
    return padding_idx % size


def _limit_norms(weight: Tensor, at: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are used and too long down to max_norm, in place."""
    with no_grad():
        flat = reshape(at, shape=(at._a.size,))
        used = index(weight.detach(), flat, axes=(0,))
        size = vector_norm(used, norm_type, 1, True)
        limited = where(gt_op(size, max_norm), mul_op(used, div_op(float(max_norm), add_op(size, 1e-7))), used)
        weight.copy_(index_put(weight.detach(), limited, flat, axes=(0,), accumulate=False))


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of `weight` (rows, features) named by `input` (any shape of integers): (..., features).

    Row `padding_idx` gets no gradient. `max_norm` first scales the rows used that are longer down to it, in place. `scale_grad_by_freq`
    divides
    gradients by how often an index occurs. Gradients are dense; `sparse` is accepted and has no effect.

    >>> import flambeau as fb
    >>> fb.nn.functional.embedding(fb.tensor([1, 0]), fb.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]])
    """
    if weight._a.ndim != 2:
        raise ShapeError(explain("embedding", expected="weight (rows, features)", got=f"shape {tuple(weight.shape)}"))
    i = _indices("embedding", input, weight._a.shape[0])
    skip = _padding("embedding", padding_idx, weight._a.shape[0])
    if max_norm is not None:
        _limit_norms(weight, i, max_norm, norm_type)
    return look_up(weight, i, padding_idx=skip, by_frequency=bool(scale_grad_by_freq))


def _bags(input: Tensor, offsets: Tensor, include_last_offset: bool) -> tuple[Tensor, int]:
    """The number of the bag of each index, and how many bags there are."""
    op = "embedding_bag"
    n = input._a.size
    starts = to_dtype(offsets, int64)
    if type(starts._a) is np.ndarray and starts._a.size:
        if starts._a[0] != 0 or (np.diff(starts._a) < 0).any() or starts._a[-1] > n:
            raise ArgumentError(
                explain(op, expected=f"offsets from 0 up to at most {n} that do not decrease", got=str(starts._a[:8].tolist()))
            )
    bags = starts._a.size - bool(include_last_offset)
    if bags < 0:
        raise ArgumentError(explain(op, expected="at least one offset with include_last_offset", got="none"))
    one = rows.fill(starts, value=1)
    begun = cumsum(scatter_add(zeros_of(starts, (n + 1,)), starts, one, axis=0), axis=0)
    return clamp(begun[:n] - 1, max=max(bags - 1, 0)), bags


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sums, means or maxima of the rows of `weight` named by bags of indices: (bags, features).

    `input` is (bags, length), or one vector cut at `offsets` (the start of each bag; with `include_last_offset` also the end of the last).
    Indices equal to `padding_idx` do not count. `per_sample_weights`, of input's shape, multiply the rows (mode "sum"). An empty bag
    gives zeros.
    """
    op = "embedding_bag"
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError(explain(op, expected="mode 'sum', 'mean' or 'max'", got=repr(mode)))
    if per_sample_weights is not None and (mode != "sum" or per_sample_weights._a.shape != input._a.shape):
        got = f"mode={mode!r} and shape {tuple(per_sample_weights.shape)}"
        raise ArgumentError(explain(op, expected=f"per_sample_weights of shape {tuple(input.shape)} with mode 'sum'", got=got))
    if (input._a.ndim, offsets is None) not in ((1, False), (2, True)) or weight._a.ndim != 2:
        got = f"input {tuple(input.shape)}, weight {tuple(weight.shape)}, offsets {'None' if offsets is None else tuple(offsets.shape)}"
        raise ShapeError(explain(op, expected="input (bags, length), or one vector with offsets, and a matrix weight", got=got))
    i = _indices(op, reshape(input, shape=(input._a.size,)), weight._a.shape[0])
    if offsets is None:
        bags, length = input._a.shape
        bag = reshape(expand(arange(bags, device=input.device).reshape(bags, 1), shape=(bags, length)), shape=(bags * length,))
    else:
        bag, bags = _bags(input, offsets, include_last_offset)
    skip = _padding(op, padding_idx, weight._a.shape[0])
    if max_norm is not None:
        _limit_norms(weight, i, max_norm, norm_type)
    values = look_up(weight, i, padding_idx=skip, by_frequency=bool(scale_grad_by_freq))
    if per_sample_weights is not None:
        values = mul_op(values, reshape(per_sample_weights, shape=(i._a.size, 1)))
    counted = None if skip is None else reshape(ne_op(i, skip), shape=(i._a.size, 1))
    return _combine(values, bag, bags, counted, mode)


def _combine(values: Tensor, bag: Tensor, bags: int, counted: Tensor | None, mode: str) -> Tensor:
    shape = (bags, values._a.shape[1])
    plain = values.detach()
    if mode == "max":
        if counted is not None:
            values = rows.where(counted, values, float("-inf"))
        lowest = rows.fill(zeros_of(plain, shape), value=float("-inf"))
        best = scatter_max(lowest, expand(reshape(bag, shape=(bag._a.size, 1)), shape=values._a.shape), values, axis=0)
        return rows.where(eq_op(best, float("-inf")), 0.0, best)
    if counted is not None:
        values = rows.where(counted, values, 0.0)
    total = index_put(zeros_of(plain, shape), values, bag, axes=(0,), accumulate=True)
    if mode == "sum":
        return total
    one = rows.fill(plain[:, :1], value=1) if counted is None else to_dtype(counted, plain.dtype)
    count = index_put(zeros_of(plain, (bags, 1)), one, bag, axes=(0,), accumulate=True)
    return div_op(total, clamp(count, min=1))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 vectors with a 1 at each class number, on a new last axis; -1 takes the largest number plus one as the count.

    >>> import flambeau as fb
    >>> fb.nn.functional.one_hot(fb.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if tensor._a.dtype.kind not in "iu":
        raise DtypeError(explain("one_hot", expected="an integer tensor", got=repr(tensor.dtype), hint=".long()"))
    if num_classes == -1:
        if tensor._a.size == 0:
            raise ArgumentError(explain("one_hot", expected="num_classes for an empty tensor", got="-1"))
        num_classes = max(int(reduce_ops.amax(tensor)) + 1, 1)
    tensor = in_range("one_hot", tensor, num_classes)
    classes = as_tensor(np.arange(num_classes), device=tensor.device)
    return to_dtype(eq_op(reshape(to_dtype(tensor, int64), shape=(*tensor._a.shape, 1)), classes), int64)
