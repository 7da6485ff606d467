"""Margin, ranking and embedding losses under PyTorch's names. `reduction`, `size_average` and `reduce` as in ops/loss.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.base.dtypes import int64
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.ops import reduction as reduce_ops
from flambeau.ops.activation import logsigmoid
from flambeau.ops.casting import casting
from flambeau.ops.distance import pairwise_distance
from flambeau.ops.indexing import in_range
from flambeau.ops.loss import chosen, reduced_by, same_shape
from flambeau.ops.pointwise import add_op, clamp, div_op, minimum, mul_op, neg, rsub, sqrt, sub_op, where
from flambeau.ops.promotion import to_dtype
from flambeau.primitives import elementwise as rows
from flambeau.primitives.indexing import gather, index, scatter, scatter_add, zeros_of
from flambeau.primitives.movement import reshape
from flambeau.primitives.reduce import cumsum, sum_
from flambeau.tensor.tensor import Tensor


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The distance `input` where the target is 1, max(0, margin - input) where it is -1."""
    how = chosen("hinge_embedding_loss", reduction, size_average, reduce)
    apart = where(target != 1, clamp(rsub(input, margin), min=0), 0.0)
    return reduced_by(add_op(apart, where(target != -1, input, 0.0)), how)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - target * (input1 - input2)): target 1 asks input1 to rank higher, -1 the other way round."""
    if not input1._a.ndim == input2._a.ndim == target._a.ndim:
        got = f"{tuple(input1.shape)}, {tuple(input2.shape)} and target {tuple(target.shape)}"
        raise ShapeError(explain("margin_ranking_loss", expected="inputs and target with as many axes", got=got))
    how = chosen("margin_ranking_loss", reduction, size_average, reduce)
    return reduced_by(clamp(add_op(mul_op(neg(target), sub_op(input1, input2)), margin), min=0), how)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(input1, input2) where the target is 1, max(0, cos - margin) where it is -1: (N, D), (N, D) and (N,), or (D,), (D,) and ()."""
    op = "cosine_embedding_loss"
    if target._a.ndim != input1._a.ndim - 1 or input1._a.ndim != input2._a.ndim:
        got = f"{tuple(input1.shape)}, {tuple(input2.shape)} and target {tuple(target.shape)}"
        raise ShapeError(explain(op, expected="inputs (N, D) with target (N,), or (D,) with ()", got=got))
    how = chosen(op, reduction, size_average, reduce)
    dot, one, two = (reduce_ops.sum(mul_op(a, b), -1) for a, b in ((input1, input2), (input1, input1), (input2, input2)))
    cosine = div_op(dot, sqrt(mul_op(add_op(one, 1e-12), add_op(two, 1e-12))))
    near = where(target == 1, rsub(cosine, 1), 0.0)
    return reduced_by(add_op(near, where(target == -1, clamp(sub_op(cosine, margin), min=0), 0.0)), how)


def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-target * input)) for targets 1 and -1, without overflow."""
    how = chosen("soft_margin_loss", reduction, size_average, reduce)
    return reduced_by(neg(logsigmoid(mul_op(target, input))), how)


def _rows(op: str, input: Tensor, target: Tensor, wanted: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Input as (N, C), target as int64 with the batch axis."""
    if input._a.ndim not in (1, 2):
        raise ShapeError(explain(op, expected="input (N, C) or (C,)", got=f"shape {tuple(input.shape)}"))
    if target._a.dtype.kind not in "iu":
        raise DtypeError(explain(op, expected="integer targets", got=repr(target.dtype), hint=".long()"))
    if target._a.shape != wanted:
        raise ShapeError(explain(op, expected=f"a target of shape {wanted}", got=f"{tuple(target.shape)} for input {tuple(input.shape)}"))
    t = to_dtype(target, int64)
    return (input, t) if input._a.ndim == 2 else (reshape(input, shape=(1, *input._a.shape)), reshape(t, shape=(1, *t._a.shape)))


def _finish(loss: Tensor, input: Tensor, how: str) -> Tensor:
    out = reduced_by(loss, how)
    return reshape(out, shape=()) if how == "none" and input._a.ndim == 1 else out


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """sum over the other classes i of max(0, margin - x[target] + x[i])^p / C, times weight[target]: (N, C) and (N,), or (C,) and ()."""
    op = "multi_margin_loss"
    if p not in (1, 2):
        raise ArgumentError(explain(op, expected="p 1 or 2", got=str(p)))
    how = chosen(op, reduction, size_average, reduce)
    x, t = _rows(op, input, target, input._a.shape[:-1])
    n, classes = x._a.shape
    t = in_range(op, t, classes)
    at = reshape(t, shape=(n, 1))
    short = clamp(add_op(sub_op(x, gather(x, at, axis=1)), margin), min=0)
    cost = short if p == 1 else mul_op(short, short)
    if weight is not None:
        if weight._a.shape != (classes,):
            raise ShapeError(explain(op, expected=f"weight of shape ({classes},)", got=str(tuple(weight.shape))))
        cost = mul_op(cost, reshape(index(weight, t, axes=(0,)), shape=(n, 1)))
    other = scatter(rows.fill(x.detach(), value=1), at, rows.cast(rows.fill(at, value=0), dtype=x._a.dtype), axis=1)
    return _finish(div_op(sum_(mul_op(cost, other), axis=(1,), keepdim=False), float(classes)), input, how)


def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Tensor:
    """sum over targets j and other classes i of max(0, 1 - x[j] + x[i]) / C; targets are class numbers that end at the first -1."""
    op = "multilabel_margin_loss"
    how = chosen(op, reduction, size_average, reduce)
    x, t = _rows(op, input, target, input._a.shape)
    n, classes = x._a.shape
    ended = cumsum(to_dtype(t < 0, int64), axis=1) > 0
    label = rows.where(ended, 0, t)
    label = in_range(op, label, classes)
    valid = rows.cast(rows.logical_not(ended), dtype=x._a.dtype)
    named = scatter_add(zeros_of(x.detach(), (n, classes)), label, valid, axis=1) > 0
    short = clamp(add_op(sub_op(reshape(x, shape=(n, 1, classes)), reshape(gather(x, label, axis=1), shape=(n, classes, 1))), 1.0), min=0)
    counted = mul_op(
        reshape(valid, shape=(n, classes, 1)), reshape(rows.cast(rows.logical_not(named), dtype=x._a.dtype), shape=(n, 1, classes))
    )
    return _finish(div_op(sum_(mul_op(short, counted), axis=(1, 2), keepdim=False), float(max(classes, 1))), input, how)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy of logits (N, C) with targets in [0, 1], averaged over the classes."""
    op = "multilabel_soft_margin_loss"
    how = chosen(op, reduction, size_average, reduce)
    same_shape(op, input, target)
    loss = neg(add_op(mul_op(target, logsigmoid(input)), mul_op(rsub(target, 1), logsigmoid(neg(input)))))
    if weight is not None:
        loss = mul_op(loss, weight)
    return reduced_by(reduce_ops.mean(loss, -1), how)


# -- triplets ----------------------------------------------------------------------------------------------------------------------------
Distance = Callable[[Tensor, Tensor], Tensor]


def _triplet(op: str, points: tuple[Tensor, Tensor, Tensor], distance: Distance, margin: float, swap: bool, how: str) -> Tensor:
    anchor, positive, negative = points
    if margin <= 0:
        raise ArgumentError(explain(op, expected="a margin above 0", got=str(margin)))
    if not anchor._a.ndim == positive._a.ndim == negative._a.ndim:
        got = " and ".join(str(tuple(t.shape)) for t in points)
        raise ShapeError(explain(op, expected="anchor, positive and negative with as many axes", got=got))
    far = distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced_by(clamp(sub_op(add_op(distance(anchor, positive), margin), far), min=0), how)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + d(anchor, positive) - d(anchor, negative)) with p-norm distances; `swap` takes d(positive, negative) if that is
    smaller.

    Balntas et al. 2016.
    """
    how = chosen("triplet_margin_loss", reduction, size_average, reduce)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return _triplet("triplet_margin_loss", (anchor, positive, negative), distance, margin, swap, how)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any distance function (`pairwise_distance` by default)."""
    op = "triplet_margin_with_distance_loss"
    how = chosen(op, reduction, None, None)
    return _triplet(op, (anchor, positive, negative), distance_function or pairwise_distance, margin, swap, how)


__all__ = """
cosine_embedding_loss hinge_embedding_loss margin_ranking_loss triplet_margin_loss
""".split()

casting(globals())
