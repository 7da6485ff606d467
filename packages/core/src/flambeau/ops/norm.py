"""Normalisation under PyTorch's names. Each standardises with one primitive, then scales and shifts."""

from __future__ import annotations

from math import prod
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.dtypes import finfo
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.ops.casting import casting
from flambeau.ops.pointwise import add_op, clamp, div_op, into, mul_op, pow_op, rsqrt, sub_op
from flambeau.ops.promotion import to_dtype
from flambeau.ops.reduction import vector_norm
from flambeau.primitives.elementwise import copy
from flambeau.primitives.movement import reshape
from flambeau.primitives.normalize import scale_shift, standardize
from flambeau.primitives.reduce import sum_
from flambeau.primitives.window import sum_pool
from flambeau.tensor.tensor import Tensor


def _floating(op: str, x: Tensor) -> Tensor:
    if x._a.dtype.kind not in "fV":
        raise DtypeError(explain(op, expected="a floating-point tensor", got=repr(x.dtype), hint=".float()"))
    return x


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    """y * weight + bias, both laid out as `shape`, in y's dtype."""
    if weight is None and bias is None:  # the derivative keeps y, which the caller may change in place, as in PyTorch
        return y if y._node is None else copy(y)
    w, b = (None if t is None else _laid(to_dtype(t, y.dtype), shape) for t in (weight, bias))
    if w is not None and b is not None:
        return scale_shift(y, w, b)
    y = y if w is None else mul_op(y, w)
    return y if b is None else add_op(y, b)


def _laid(t: Tensor, shape: tuple[int, ...]) -> Tensor:
    return t if t._a.shape == shape else reshape(t, shape=shape)


def _per_channel(op: str, x: Tensor, **tensors: Tensor | None) -> tuple[int, ...]:
    """The shape of values per channel (axis 1); checks those given."""
    if x._a.ndim < 2:
        raise ShapeError(explain(op, expected="input (N, C, ...)", got=f"shape {tuple(x.shape)}"))
    channels = x._a.shape[1]
    for name, t in tensors.items():
        if t is not None and t._a.shape != (channels,):
            expected = f"{name} of shape ({channels},), one value per channel of the input {tuple(x.shape)}"
            raise ShapeError(explain(op, expected=expected, got=str(tuple(t.shape))))
    return (channels, *(1,) * (x._a.ndim - 2))


def _track(running: Tensor | None, value: Tensor, momentum: float) -> None:
    """running = (1 - momentum) * running + momentum * value, in place."""
    if running is not None:
        with no_grad():
            running.copy_(add_op(mul_op(running, 1 - momentum), mul_op(value, float(momentum))))


# -- over the batch ----------------------------------------------------------------------------------------------------------------------
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias per channel of (N, C, ...). Ioffe and Szegedy 2015.

    In training the statistics are those of the input, and the running ones (if given) move towards them by `momentum`, in place (the
    variance without bias). Otherwise the running statistics are used.
    """
    op = "batch_norm"
    x = _floating(op, input)
    shape = _per_channel(op, x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if eps < 0 or (training and eps == 0):
        raise ArgumentError(explain(op, expected="eps above 0", got=str(eps)))
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError(explain(op, expected="running_mean and running_var outside training", got="None", hint="training=True"))
        return _with_statistics(x, running_mean, running_var, weight, bias, shape, eps)
    axes = (0, *range(2, x._a.ndim))
    count = prod(x._a.shape[a] for a in axes)
    if count == 1:
        got = f"input of shape {tuple(x.shape)}"
        raise ShapeError(
            explain(op, expected="more than 1 value per channel when training", got=got, hint="module.eval(), or a larger batch")
        )
    y, mean, variance = standardize(x, axis=axes, eps=float(eps), center=True)
    if count:
        _track(running_mean, reshape(mean.detach(), shape=shape[:1]), momentum)
        _track(running_var, mul_op(reshape(variance.detach(), shape=shape[:1]), count / (count - 1)), momentum)
    return _affine(y, weight, bias, shape)


def _with_statistics(
    x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, shape: tuple[int, ...], eps: float
) -> Tensor:
    """One multiplication and one addition over the input: the rest is done per channel."""
    scale = rsqrt(add_op(variance.detach(), float(eps)))
    if weight is not None:
        scale = mul_op(scale, weight)
    shift = mul_op(mean.detach(), scale)
    shift = sub_op(bias, shift) if bias is not None else mul_op(shift, -1.0)
    return _affine(x, scale, shift, shape)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """As `batch_norm`, with statistics per sample and channel; running ones move towards their mean over the batch. Ulyanov et al. 2016."""
    op = "instance_norm"
    x = _floating(op, input)
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    shape = _per_channel(op, x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    axes = tuple(range(2, x._a.ndim))
    count = prod(x._a.shape[2:])
    if count == 1 or not axes:
        expected = "more than 1 spatial element per channel when statistics of the input are used"
        raise ShapeError(explain(op, expected=expected, got=f"input of shape {tuple(x.shape)}"))
    y, mean, variance = standardize(x, axis=axes, eps=float(eps), center=True)
    if count and x._a.shape[0]:
        per = x._a.shape[:2]
        average = [div_op(sum_(reshape(t.detach(), shape=per), axis=(0,), keepdim=False), float(per[0])) for t in (mean, variance)]
        _track(running_mean, average[0], momentum)
        _track(running_var, mul_op(average[1], count / (count - 1)), momentum)
    return _affine(y, weight, bias, shape)


# -- over the features of each sample ----------------------------------------------------------------------------------------------------
def _trailing(op: str, x: Tensor, normalized_shape: Any, **tensors: Tensor | None) -> tuple[int, ...]:
    """The axes that normalized_shape covers; checks the shapes."""
    wanted = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    have = x._a.shape
    if not wanted or have[len(have) - len(wanted) :] != wanted:
        raise ShapeError(explain(op, expected=f"input that ends in normalized_shape {wanted}", got=f"shape {tuple(have)}"))
    for name, t in tensors.items():
        if t is not None and t._a.shape != wanted:
            raise ShapeError(explain(op, expected=f"{name} of normalized_shape {wanted}", got=str(tuple(t.shape))))
    return tuple(range(len(have) - len(wanted), len(have)))


def layer_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axes, whose sizes are `normalized_shape`. Ba et al. 2016.

    >>> import flambeau as fb
    >>> fb.layer_norm(fb.tensor([[1.0, 3.0]]), (2,))
    tensor([[-1.0000,  1.0000]])
    """
    x = _floating("layer_norm", input)
    axes = _trailing("layer_norm", x, normalized_shape, weight=weight, bias=bias)
    y = standardize(x, axis=axes, eps=float(eps), center=True)[0]
    return _affine(y, weight, bias, x._a.shape[axes[0] :])


def rms_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """x / sqrt(mean of x^2 + eps) * weight over the last axes; eps is the precision of the dtype if not given. Zhang and Sennrich 2019."""
    x = _floating("rms_norm", input)
    axes = _trailing("rms_norm", x, normalized_shape, weight=weight)
    y = standardize(x, axis=axes, eps=finfo(x.dtype).eps if eps is None else float(eps), center=False)[0]
    return _affine(y, weight, None, x._a.shape[axes[0] :])


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """`layer_norm` over each of `num_groups` groups of channels of (N, C, ...), with weight and bias per channel. Wu and He 2018."""
    x = _floating("group_norm", input)
    shape = _per_channel("group_norm", x, weight=weight, bias=bias)
    full = x._a.shape
    if num_groups < 1 or full[1] % num_groups:
        got = f"{full[1]} channels and num_groups={num_groups}"
        raise ShapeError(explain("group_norm", expected="channels divisible by num_groups", got=got))
    grouped = reshape(x, shape=(full[0], num_groups, prod(full[1:]) // num_groups))
    y = standardize(grouped, axis=(2,), eps=float(eps), center=True)[0]
    return _affine(reshape(y, shape=full), weight, bias, shape)


# -- lengths -----------------------------------------------------------------------------------------------------------------------------
def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Tensor:
    """x / max(p-norm along `dim`, eps).

    >>> import flambeau as fb
    >>> fb.nn.functional.normalize(fb.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    size = clamp(vector_norm(_floating("normalize", input), p, dim, True), min=eps)
    result = div_op(input, size)
    return result if out is None else into(out, result)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha * the mean of x^2 over `size` neighbouring channels)^beta. Krizhevsky et al. 2012."""
    x = _floating("local_response_norm", input)
    if x._a.ndim < 3:
        raise ShapeError(explain("local_response_norm", expected="input (N, C, ...) with spatial axes", got=f"shape {tuple(x.shape)}"))
    if x._a.size == 0:
        return x
    n, c = x._a.shape[:2]
    squares = reshape(mul_op(x, x), shape=(n, 1, c, x._a.size // (n * c)))
    window = {"kernel": (size, 1), "stride": (1, 1), "padding": ((size // 2, (size - 1) // 2), (0, 0)), "ceil_mode": False}
    mean = reshape(div_op(sum_pool(squares, **window), float(size)), shape=x._a.shape)
    return div_op(x, pow_op(add_op(mul_op(mean, float(alpha)), float(k)), float(beta)))


__all__ = """
group_norm layer_norm rms_norm
""".split()

casting(globals())
