"""Losses for regression and classification under PyTorch's names (margin and ranking losses are in ops/margin.py).

`reduction` is "none", "mean" or "sum"; `size_average` and `reduce` are PyTorch's older spelling of it.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from flambeau.base.dtypes import int64
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.base.shapes import broadcast
from flambeau.ops import reduction as reduce_ops
from flambeau.ops.activation import logsigmoid, sigmoid
from flambeau.ops.casting import casting
from flambeau.ops.ctc import ctc_losses
from flambeau.ops.linear import linear
from flambeau.ops.pointwise import (
    abs,
    add_op,
    clamp,
    div_op,
    exp,
    gt_op,
    le_op,
    log,
    lt_op,
    mul_op,
    neg,
    pow_op,
    square,
    sub_op,
    where,
    xlogy,
)
from flambeau.ops.promotion import only_tensors, to_dtype
from flambeau.ops.reduction import log_softmax
from flambeau.primitives import elementwise as rows
from flambeau.primitives.indexing import in_range, index
from flambeau.primitives.movement import reshape
from flambeau.primitives.normalize import nll
from flambeau.primitives.reduce import sum_
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.tensor import Tensor


def chosen(op: str, reduction: str, size_average: bool | None, reduce: bool | None, more: tuple[str, ...] = ()) -> str:
    """The reduction asked for, whichever way it was spelled."""
    if size_average is not None or reduce is not None:
        return "none" if reduce is False else ("sum" if size_average is False else "mean")
    if reduction not in ("none", "mean", "sum", *more):
        wanted = " or ".join(repr(r) for r in ("none", "mean", "sum", *more))
        raise ArgumentError(explain(op, expected=f"reduction {wanted}", got=repr(reduction)))
    return reduction


def reduced_by(loss: Tensor, reduction: str) -> Tensor:
    """All losses, their sum or their mean."""
    if reduction == "none":
        return loss
    return reduce_ops.sum(loss) if reduction == "sum" else reduce_ops.mean(loss)


def same_shape(op: str, input: Tensor, target: Tensor, name: str = "target") -> None:
    """Refuse a target of another shape."""
    only_tensors(op, input, target)
    if input._a.shape != target._a.shape:
        raise ShapeError(
            explain(op, expected=f"{name} of the input's shape {tuple(input.shape)}", got=str(tuple(target.shape)), hint="reshape it")
        )


def _floats(op: str, *tensors: Tensor) -> None:
    only_tensors(op, *tensors)
    for t in tensors:
        if t._a.dtype.kind not in "fV":
            raise DtypeError(explain(op, expected="floating-point tensors", got=repr(t.dtype), hint=".float()"))


# -- regression --------------------------------------------------------------------------------------------------------------------------
def _difference(op: str, input: Tensor, target: Tensor) -> Tensor:
    only_tensors(op, input, target)
    if input._a.shape != target._a.shape:
        broadcast(op, input._a.shape, target._a.shape)
        got = f"{tuple(target.shape)}, which broadcasts"
        warnings.warn(
            explain(op, expected=f"a target of the input's shape {tuple(input.shape)}", got=got, hint="reshape one of them"), stacklevel=3
        )
    return sub_op(input, target)


def _weighted(op: str, loss: Tensor, input: Tensor, weight: Tensor | None, reduction: str, normalised: bool = True) -> Tensor:
    if weight is None:
        return reduced_by(loss, reduction)
    same_shape(op, input, weight, "weight")
    loss = mul_op(loss, weight)
    if reduction == "mean" and normalised:
        return div_op(reduce_ops.sum(loss), reduce_ops.sum(weight))
    return reduced_by(loss, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The squared difference; with `weight` (one per element) the weighted mean.

    >>> import flambeau as fb
    >>> fb.nn.functional.mse_loss(fb.tensor([1.0, 2.0]), fb.tensor([1.0, 4.0]))
    tensor(2.)
    """
    how = chosen("mse_loss", reduction, size_average, reduce)
    return _weighted("mse_loss", square(_difference("mse_loss", input, target)), input, weight, how)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The size of the difference; with `weight` (one per element) the weighted mean."""
    how = chosen("l1_loss", reduction, size_average, reduce)
    return _weighted("l1_loss", abs(_difference("l1_loss", input, target)), input, weight, how)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d^2 / (2 beta) where the difference d is smaller than beta, else |d| - beta / 2. Girshick 2015."""
    if beta < 0:
        raise ArgumentError(explain("smooth_l1_loss", expected="beta >= 0", got=str(beta)))
    how = chosen("smooth_l1_loss", reduction, size_average, reduce)
    d = _difference("smooth_l1_loss", input, target)
    size = abs(d)
    if beta == 0:
        return reduced_by(size, how)
    return reduced_by(where(lt_op(size, beta), mul_op(square(d), 0.5 / beta), sub_op(size, 0.5 * beta)), how)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None) -> Tensor:
    """d^2 / 2 where the difference d is at most delta, else delta * (|d| - delta / 2). Huber 1964."""
    if delta <= 0:
        raise ArgumentError(explain("huber_loss", expected="delta above 0", got=str(delta)))
    how = chosen("huber_loss", reduction, None, None)
    d = _difference("huber_loss", input, target)
    size = abs(d)
    loss = where(le_op(size, delta), mul_op(square(d), 0.5), mul_op(sub_op(size, 0.5 * delta), float(delta)))
    return _weighted("huber_loss", loss, input, weight, how, normalised=False)


# -- likelihoods of counts and normal values ---------------------------------------------------------------------------------------------
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence target * (log(target) - input): `input` holds logarithms, `target` probabilities (or logarithms,
    `log_target`).

    "batchmean" divides the sum by the batch size, which is the divergence of distributions; "mean" divides by the number of elements.
    """
    how = chosen("kl_div", reduction, size_average, reduce, ("batchmean",))
    loss = mul_op(exp(target), sub_op(target, input)) if log_target else sub_op(xlogy(target, target), mul_op(target, input))
    if how != "batchmean":
        return reduced_by(loss, how)
    total = reduce_ops.sum(loss)
    return div_op(total, float(input._a.shape[0])) if input._a.ndim else total


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of counts under Poisson distributions of rate exp(input) (or `input`), without the term of the target
    alone, or with Stirling's approximation of it (`full`)."""
    how = chosen("poisson_nll_loss", reduction, size_average, reduce)
    loss = sub_op(exp(input), mul_op(target, input)) if log_input else sub_op(input, mul_op(target, log(add_op(input, eps))))
    if full:
        large = gt_op(target, 1)
        t = where(large, target, 1)
        stirling = add_op(sub_op(mul_op(t, log(t)), t), mul_op(log(mul_op(t, 2 * math.pi)), 0.5))
        loss = add_op(loss, where(large, stirling, 0))
    return reduced_by(loss, how)


def gaussian_nll_loss(input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> Tensor:
    """The negative log-likelihood of targets under normal distributions: (log(var) + (input - target)^2 / var) / 2, plus log(2 pi) / 2 if
    `full`.

    `var` is a number or a tensor (one per element, or one per row); below eps it counts as eps. Nix and Weigend 1994.
    """
    how = chosen("gaussian_nll_loss", reduction, None, None)
    v = var if isinstance(var, Tensor) else rows.fill(input.detach(), value=float(var))
    shape, have = input._a.shape, v._a.shape
    if have != shape:
        if have == shape[:-1]:
            v = reshape(v, shape=(*have, 1))
        elif len(have) != len(shape) or [n for n, m in zip(have, shape, strict=True) if n != m] != [1]:
            got = f"{tuple(have)} for an input of shape {tuple(shape)}"
            raise ShapeError(explain("gaussian_nll_loss", expected="var of the input's shape, or with one axis of size 1", got=got))
    if not v.is_meta and bool(lt_op(v.detach(), 0).any()):
        raise ArgumentError(
            explain("gaussian_nll_loss", expected="variances that are not negative", got="negative ones", hint="exp or softplus")
        )
    plain = v.detach()
    v = add_op(v, sub_op(clamp(plain, min=eps), plain))  # limited, but with the gradient of what it was
    loss = mul_op(add_op(log(v), div_op(square(sub_op(input, target)), v)), 0.5)
    return reduced_by(add_op(loss, 0.5 * math.log(2 * math.pi)) if full else loss, how)


# -- two classes -------------------------------------------------------------------------------------------------------------------------
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(target * log(input) + (1 - target) * log(1 - input)) of probabilities; logarithms are limited to -100."""
    op = "binary_cross_entropy"
    how = chosen(op, reduction, size_average, reduce)
    same_shape(op, input, target)
    _floats(op, input, target)
    a = input._a
    if type(a) is np.ndarray and not ((a >= 0) & (a <= 1)).all():
        hint = "sigmoid, or binary_cross_entropy_with_logits"
        raise ArgumentError(explain(op, expected="probabilities between 0 and 1 as input", got="others (or NaN)", hint=hint))
    loss = rows.bce(input, to_dtype(target, input.dtype))
    return reduced_by(loss if weight is None else mul_op(loss, weight), how)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(input), exact for large inputs; `pos_weight` weights the positive part (it broadcasts).

    >>> import flambeau as fb
    >>> fb.nn.functional.binary_cross_entropy_with_logits(fb.tensor([0.0]), fb.tensor([1.0]))
    tensor(0.6931)
    """
    op = "binary_cross_entropy_with_logits"
    how = chosen(op, reduction, size_average, reduce)
    same_shape(op, input, target)
    _floats(op, input, target)
    surprise = neg(logsigmoid(input))
    if pos_weight is not None:
        surprise = mul_op(surprise, add_op(mul_op(sub_op(pos_weight, 1), target), 1))
    loss = add_op(sub_op(input, mul_op(target, input)), surprise)
    return reduced_by(loss if weight is None else mul_op(loss, weight), how)


def sigmoid_focal_loss(inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2, reduction: str = "none") -> Tensor:
    """Binary cross-entropy of logits, times (1 - p)^gamma for the probability p of the true class, and alpha for positives (1 - alpha for
    negatives; a negative alpha leaves this out). Lin et al. 2017."""
    how = chosen("sigmoid_focal_loss", reduction, None, None)
    loss = binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    s = sigmoid(inputs)
    wrong = sub_op(add_op(s, targets), mul_op(mul_op(s, targets), 2))  # 1 - p
    loss = mul_op(loss, pow_op(wrong, float(gamma)))
    if alpha >= 0:
        loss = mul_op(loss, add_op(mul_op(targets, 2 * alpha - 1), 1 - alpha))
    return reduced_by(loss, how)


# -- several classes ---------------------------------------------------------------------------------------------------------------------
def _class_targets(op: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Input as (N, C, ...) and target as int64 (N, ...)."""
    if target._a.dtype.kind not in "iu":
        hint = "target.long() for class numbers; probabilities must have the input's shape"
        raise DtypeError(explain(op, expected="integer class numbers", got=repr(target.dtype), hint=hint))
    shape = input._a.shape
    wanted = (shape[0], *shape[2:]) if len(shape) > 1 else ()
    if target._a.shape != wanted:
        got = f"{tuple(target.shape)} for an input of shape {tuple(shape)}"
        raise ShapeError(explain(op, expected=f"a target of shape {wanted} (one class number per position)", got=got))
    x = input if len(shape) > 1 else reshape(input, shape=(1, *shape))
    t = to_dtype(target, int64)
    return x, t if len(shape) > 1 else reshape(t, shape=(1,))


def _class_weights(op: str, weight: Tensor, classes: int) -> Tensor:
    if weight._a.shape != (classes,):
        raise ShapeError(explain(op, expected=f"weight of shape ({classes},), one value per class", got=str(tuple(weight.shape))))
    return weight


def _picked(op: str, x: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> tuple[Tensor, Tensor]:
    """The losses -w[t] * x[t] per position, and the weight of each (0 where the target is to be ignored)."""
    keep = rows.ne(target, ignore_index)
    target = _checked_classes(op, target, x._a.shape[1], ignore_index)
    loss = nll(x, target, ignore=ignore_index)
    share = rows.cast(keep, dtype=x._a.dtype)
    if weight is not None:
        w = _class_weights(op, weight, x._a.shape[1])
        flat = reshape(rows.where(keep, target, 0), shape=(target._a.size,))
        share = mul_op(share, reshape(index(w, flat, axes=(0,)), shape=target._a.shape))
        loss = mul_op(loss, share)
    return loss, share


def _checked_classes(op: str, target: Tensor, classes: int, ignore_index: int) -> Tensor:
    """The targets, refused if a class number is outside [0, classes), the ignored one apart."""
    expected = f"class numbers in [0, {{last}}] or ignore_index={ignore_index}"
    checked: Tensor = in_range(target, op=op, low=0, high=classes, ignore=ignore_index, expected=expected)
    return checked


def _class_reduced(loss: Tensor, share: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return div_op(reduce_ops.sum(loss), reduce_ops.sum(share))
    return reduced_by(loss, reduction)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-weight[target] * input[target] of log-probabilities (N, C, ...) or (C,) and class numbers (N, ...) or (); targets equal to
    `ignore_index` do not count; "mean" divides by the sum of the weights."""
    how = chosen("nll_loss", reduction, size_average, reduce)
    _floats("nll_loss", input)
    x, t = _class_targets("nll_loss", input, target)
    loss, share = _picked("nll_loss", x, t, weight, ignore_index)
    out = _class_reduced(loss, share, how)
    return reshape(out, shape=()) if how == "none" and input._a.ndim == 1 else out


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of scores (N, C, ...) or (C,) with class numbers (N, ...) or (), or with class probabilities of the input's shape.

    `weight` has one value per class; targets equal to `ignore_index` do not count; `label_smoothing` mixes that part of the uniform
    distribution into the target. "mean" divides by the sum of the weights of the targets (by N for probabilities).

    >>> import flambeau as fb
    >>> fb.nn.functional.cross_entropy(fb.zeros(1, 4), fb.tensor([2]))
    tensor(1.3863)
    """
    op = "cross_entropy"
    how = chosen(op, reduction, size_average, reduce)
    only_tensors(op, input, target)
    _floats(op, input)
    if not input._a.ndim:
        raise ShapeError(explain(op, expected="scores (N, C, ...) or (C,)", got="a zero-dimensional tensor"))
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(explain(op, expected="label_smoothing in [0, 1]", got=str(label_smoothing)))
    axis = 1 if input._a.ndim > 1 else 0
    if target._a.shape == input._a.shape:
        return _soft_targets(log_softmax(input, axis), target, weight, how, label_smoothing)
    x, t = _class_targets(op, input, target)
    scores = log_softmax(x, 1)
    loss, share = _picked(op, scores, t, weight, ignore_index)
    out = _class_reduced(loss, share, how)
    if label_smoothing:
        spread = scores if weight is None else mul_op(scores, _per_class(weight, x))
        even = rows.where(rows.ne(t, ignore_index), neg(sum_(spread, axis=(1,), keepdim=False)), 0.0)
        smooth = _class_reduced(even, share, how)
        out = add_op(mul_op(out, 1 - label_smoothing), mul_op(smooth, label_smoothing / x._a.shape[1]))
    return reshape(out, shape=()) if how == "none" and input._a.ndim == 1 else out


def _per_class(weight: Tensor, x: Tensor) -> Tensor:
    """Class weights laid along axis 1."""
    n = x._a.ndim
    w = _class_weights("cross_entropy", weight, x._a.shape[1 if n > 1 else 0])
    return reshape(w, shape=(-1 if w._a.size else 0, *(1,) * (n - 2))) if n > 1 else w


def _soft_targets(scores: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float) -> Tensor:
    _floats("cross_entropy", target)
    axis = 1 if scores._a.ndim > 1 else 0
    classes = scores._a.shape[axis]
    if label_smoothing:
        target = add_op(mul_op(target, 1 - label_smoothing), label_smoothing / classes)
    if weight is not None:
        scores = mul_op(scores, _per_class(weight, scores))
    loss = neg(sum_(mul_op(scores, target), axis=(axis,), keepdim=False))
    if reduction == "mean" and loss._a.ndim:  # a mean over positions
        return reduce_ops.mean(loss)
    return reduced_by(loss, reduction)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    """`cross_entropy` of `linear(input, linear_weight, linear_bias)` with input (N, in) or (in,) and linear_weight (C, in)."""
    scores = linear(input, linear_weight, linear_bias)
    return cross_entropy(scores, target, weight, None, ignore_index, None, reduction, label_smoothing)


# -- sequences ---------------------------------------------------------------------------------------------------------------------------
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification: -log of the probability that log_probs (T, N, C) spell the targets. Graves et al. 2006.

    `targets` are padded (N, S), or concatenated to one vector; the lengths are int tensors or sequences of N numbers. Without the batch
    axis:
    (T, C), (S,) and single numbers. "mean" divides each loss by its target length, then averages. With `zero_infinity` targets that
    cannot be spelled in the time given cost 0. The gradient is that for scores in front of a log-softmax, as in PyTorch.
    """
    how = chosen("ctc_loss", reduction, None, None)
    _floats("ctc_loss", log_probs)
    losses, lengths = ctc_losses(log_probs, targets, input_lengths, target_lengths, blank, zero_infinity)
    if how == "mean":
        return reduce_ops.mean(div_op(losses, as_tensor(lengths, dtype=losses.dtype, device=losses.device)))
    out = reduced_by(losses, how)
    return reshape(out, shape=()) if how == "none" and log_probs._a.ndim == 2 else out


__all__ = """
binary_cross_entropy_with_logits ctc_loss kl_div poisson_nll_loss
""".split()

casting(globals())
