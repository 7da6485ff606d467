"""Activation functions under PyTorch's names. At a kink the derivative is PyTorch's."""

from __future__ import annotations

import math
import warnings
from typing import Any

from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.base.shapes import axis_of
from flambeau.ops import pointwise, reduction
from flambeau.ops.casting import casting
from flambeau.ops.fused import fused
from flambeau.ops.joining import narrow
from flambeau.ops.pointwise import (
    abs,
    add_op,
    clamp,
    div_op,
    erf,
    exp,
    expm1,
    gt_op,
    le_op,
    log,
    log1p,
    logical_and,
    lt_op,
    mul_op,
    neg,
    sub_op,
)
from flambeau.ops.promotion import to_dtype
from flambeau.ops.random import draw
from flambeau.primitives import elementwise as rows
from flambeau.primitives.indexing import scatter, zeros_of
from flambeau.primitives.movement import reshape
from flambeau.tensor.inplace import inplace as in_place
from flambeau.tensor.tensor import Tensor


def _float(op: str, x: Tensor) -> Tensor:
    """Refuse what is not a floating-point tensor."""
    if not isinstance(x, Tensor) or x._a.dtype.kind not in "fV":
        got = repr(x.dtype) if isinstance(x, Tensor) else type(x).__name__
        raise DtypeError(explain(op, expected="a floating-point tensor", got=got, hint=".float()"))
    return x


# -- rectifiers -------------------------------------------------------------------------------------------------------------------------
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0).

    >>> import flambeau as fb
    >>> fb.relu(fb.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return relu_(input) if inplace else pointwise.relu(input)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]; the derivative at the limits is 0."""
    if min_val > max_val:
        raise ArgumentError(explain("hardtanh", expected="min_val <= max_val", got=f"{min_val} and {max_val}"))
    return hardtanh_(input, min_val, max_val) if inplace else rows.hardtanh(input, lo=min_val, hi=max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


@fused
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where it is positive, else negative_slope * x."""
    if inplace:
        return leaky_relu_(input, negative_slope)
    x = _float("leaky_relu", input)
    return rows.where(gt_op(x, 0.0), x, mul_op(x, float(negative_slope)))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Leaky ReLU with a learned slope: one for all (a weight of one element), or one per channel (axis 1). He et al. 2015."""
    x = _float("prelu", input)
    n = x._a.ndim
    slope = weight
    if weight._a.size != 1:
        channels = x._a.shape[1] if n > 1 else 1
        if weight._a.ndim != 1 or weight._a.size != channels:
            expected = f"a weight with 1 or {channels} elements (one per channel of the input {tuple(x.shape)})"
            raise ShapeError(explain("prelu", expected=expected, got=f"shape {tuple(weight.shape)}"))
        slope = reshape(weight, shape=(1, channels, *(1,) * (n - 2)))
    elif weight._a.ndim > n:
        slope = reshape(weight, shape=())
    return rows.where(gt_op(x, 0.0), x, mul_op(x, slope))


def rrelu(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False) -> Tensor:
    """Leaky ReLU with a slope that is drawn uniformly from [lower, upper) per element in training, and their mean otherwise. Xu et al.
    2015."""
    if inplace:
        return rrelu_(input, lower, upper, training)
    x = _float("rrelu", input)
    if not training:
        return leaky_relu(x, (lower + upper) / 2)
    a = x._a
    slope = draw("uniform", (a.shape, a.dtype, float(lower), float(upper)), a.shape, a.dtype, None, x.device)
    return rows.where(gt_op(x, 0.0), x, mul_op(x, slope))


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where it is above the threshold, else `value`."""
    return threshold_(input, threshold, value) if inplace else pointwise.where(le_op(input, threshold), value, input)


# -- exponential units -------------------------------------------------------------------------------------------------------------------
@fused
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, else alpha * (exp(x) - 1). Clevert et al. 2015."""
    if inplace:
        return elu_(input, alpha)
    x = _float("elu", input)
    low = expm1(clamp(x, max=0.0))  # limited first: the branch that is not taken must not overflow, nor its gradient
    return rows.where(gt_op(x, 0.0), x, low if alpha == 1 else mul_op(low, float(alpha)))


@fused
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, else alpha * (exp(x / alpha) - 1). Barron 2017."""
    if alpha == 0:
        raise ArgumentError(explain("celu", expected="alpha other than 0", got=str(alpha)))
    if inplace:
        return celu_(input, alpha)
    x = _float("celu", input)
    low = expm1(div_op(clamp(x, max=0.0), float(alpha)))
    return rows.where(gt_op(x, 0.0), x, mul_op(low, float(alpha)))


SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@fused
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """A scaled ELU that keeps mean 0 and variance 1 through layers. Klambauer et al. 2017."""
    return selu_(input) if inplace else mul_op(elu(input, SELU_ALPHA), SELU_SCALE)


# -- sigmoid-like ------------------------------------------------------------------------------------------------------------------------
sigmoid, tanh = pointwise.sigmoid, pointwise.tanh


@fused
def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)), exact for large |x|."""
    x = _float("logsigmoid", input)
    negative = lt_op(x, 0.0)
    return sub_op(rows.where(negative, x, 0.0), log1p(exp(rows.where(negative, x, neg(x)))))


@fused
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x is above the threshold."""
    x = _float("softplus", input)
    z = x if beta == 1 else mul_op(x, float(beta))
    soft = log1p(exp(clamp(z, max=float(threshold))))
    return rows.where(gt_op(z, float(threshold)), x, soft if beta == 1 else div_op(soft, float(beta)))


@fused
def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return div_op(input, add_op(abs(input), 1))


@fused
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """A piecewise linear sigmoid: relu6(x + 3) / 6."""
    return hardsigmoid_(input) if inplace else div_op(relu6(add_op(_float("hardsigmoid", input), 3.0)), 6.0)


# -- gated -------------------------------------------------------------------------------------------------------------------------------
@fused
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x), also called swish. Elfwing et al. 2017."""
    return silu_(input) if inplace else mul_op(input, sigmoid(_float("silu", input)))


@fused
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x)). Misra 2019."""
    return mish_(input) if inplace else mul_op(input, tanh(softplus(input)))


@fused
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * relu6(x + 3) / 6. Howard et al. 2019."""
    return hardswish_(input) if inplace else mul_op(input, hardsigmoid(input))


@fused
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x; "tanh" approximates that function. Hendrycks and Gimpel 2016.

    >>> import flambeau as fb
    >>> fb.nn.functional.gelu(fb.tensor([0.0, 1.0]), approximate="tanh")
    tensor([0.0000, 0.8412])
    """
    x = _float("gelu", input)
    if approximate == "none":
        return mul_op(x, mul_op(add_op(erf(mul_op(x, math.sqrt(0.5))), 1.0), 0.5))
    if approximate != "tanh":
        raise ArgumentError(explain("gelu", expected="approximate 'none' or 'tanh'", got=repr(approximate)))
    cubic = add_op(x, mul_op(mul_op(mul_op(x, x), x), 0.044715))
    return mul_op(x, mul_op(add_op(tanh(mul_op(cubic, math.sqrt(2 / math.pi))), 1.0), 0.5))


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a * sigmoid(b) of the halves a and b along an axis. Dauphin et al. 2016."""
    d = axis_of("glu", dim, input._a.ndim)
    n = input._a.shape[d] if input._a.ndim else 1
    if n % 2:
        raise ShapeError(explain("glu", expected=f"an even size along dim {dim}", got=f"{n} (shape {tuple(input.shape)})"))
    return mul_op(narrow(input, d, 0, n // 2), sigmoid(narrow(input, d, n // 2, n // 2)))


# -- shrinkage ---------------------------------------------------------------------------------------------------------------------------
@fused
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""
    return rows.where(logical_and(input >= -lambd, input <= lambd), 0.0, _float("hardshrink", input))


@fused
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, and 0 where it would pass it."""
    if lambd < 0:
        raise ArgumentError(explain("softshrink", expected="lambd >= 0", got=str(lambd)))
    return sub_op(_float("softshrink", input), clamp(input, -lambd, lambd))


@fused
def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return sub_op(input, tanh(input))


# -- softmax family ----------------------------------------------------------------------------------------------------------------------
def _implicit(op: str, dim: int | None, ndim: int) -> int:
    if dim is not None:
        return dim
    chosen = 0 if ndim in (0, 1, 3) else 1
    warnings.warn(explain(op, expected="dim to be given", got=f"none, so dim={chosen} was chosen", hint=f"{op}(x, dim=-1)"), stacklevel=3)
    return chosen


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along an axis, without overflow."""
    return reduction.softmax(input, _implicit("softmax", dim, input._a.ndim), dtype=dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax(-x)."""
    return reduction.softmax(neg(input), _implicit("softmin", dim, input._a.ndim), dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """log(softmax(x)), computed without loss of precision."""
    return reduction.log_softmax(input, _implicit("log_softmax", dim, input._a.ndim), dtype=dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of a categorical distribution, relaxed so that it has a gradient; `hard` gives one-hot vectors with the same gradient.

    `eps` has no effect (as in PyTorch). Jang et al. 2016; Maddison et al. 2016.
    """
    a = _float("gumbel_softmax", logits)._a
    noise = neg(log(draw("exponential", (a.shape, a.dtype), a.shape, a.dtype, None, logits.device)))
    soft = reduction.softmax(div_op(add_op(logits, noise), float(tau)), dim)
    if not hard:
        return soft
    at = reduction.argmax(soft, dim, keepdim=True)
    once = zeros_of(soft.detach(), soft._a.shape)
    axis = axis_of("gumbel_softmax", dim, a.ndim)
    one_hot = scatter(once, at, to_dtype(rows.fill(at, value=1), soft.dtype), axis=axis) if a.ndim else add_op(once, 1.0)
    return add_op(sub_op(one_hot, soft.detach()), soft)


# -- in place ----------------------------------------------------------------------------------------------------------------------------
relu_, hardtanh_, leaky_relu_, rrelu_, threshold_, elu_, celu_, selu_, silu_, mish_, hardsigmoid_, hardswish_ = (
    in_place(op, f"{op.__name__}_")
    for op in (relu, hardtanh, leaky_relu, rrelu, threshold, elu, celu, selu, silu, mish, hardsigmoid, hardswish)
)

__all__ = """
celu celu_ hardshrink prelu relu_ rrelu rrelu_ selu selu_ threshold threshold_
""".split()

casting(globals())
