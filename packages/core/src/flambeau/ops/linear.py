"""Affine and bilinear maps under PyTorch's names."""

from __future__ import annotations

from math import prod

from flambeau.autograd.modes import mode
from flambeau.base.errors import DtypeError, ShapeError, explain
from flambeau.ops.casting import casting, under_autocast
from flambeau.ops.matmul import matmul
from flambeau.ops.pointwise import add_op
from flambeau.ops.promotion import only_tensors
from flambeau.primitives.movement import permute, reshape
from flambeau.tensor.tensor import Tensor


def check_dtypes(op: str, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
    """Input, weight and bias have one dtype."""
    d = input._a.dtype
    if weight._a.dtype != d or (bias is not None and bias._a.dtype != d):
        got = " and ".join(repr(t.dtype) for t in (input, weight, bias) if t is not None)
        raise DtypeError(explain(op, expected="input, weight and bias of one dtype", got=got, hint="input.to(weight.dtype), or autocast"))


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias: (..., in) with weight (out, in) or (in,) gives (..., out) or (...).

    >>> import flambeau as fb
    >>> fb.nn.functional.linear(fb.tensor([1.0, 2.0]), fb.tensor([[1.0, 1.0]]), fb.tensor([0.5]))
    tensor([3.5000])
    """
    if mode.casting is not None:
        return under_autocast("linear", linear, input, weight, bias)
    only_tensors("linear", input, weight)
    a, w = input._a, weight._a
    if w.ndim not in (1, 2) or not a.ndim or a.shape[-1] != w.shape[-1]:
        inner = w.shape[-1] if w.ndim else "?"
        expected = f"input with last size {inner} (weight is {tuple(w.shape)})"
        raise ShapeError(explain("linear", expected=expected, got=f"shape {tuple(a.shape)}"))
    check_dtypes("linear", input, weight, bias)
    if bias is not None and bias._a.shape not in (w.shape[:-1], (1,)):
        raise ShapeError(
            explain("linear", expected=f"bias of shape {tuple(w.shape[:-1])} (weight is {tuple(w.shape)})", got=str(tuple(bias.shape)))
        )
    out = matmul(input, permute(weight, axes=(1, 0)) if w.ndim == 2 else weight)
    return out if bias is None else add_op(out, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[..., o] = input1 @ weight[o] @ input2 + bias[o]: (..., in1), (..., in2) and weight (out, in1, in2) give (..., out)."""
    a, b, w = input1._a.shape, input2._a.shape, weight._a.shape
    if len(w) != 3 or not a or not b or a[:-1] != b[:-1] or a[-1] != w[1] or b[-1] != w[2]:
        expected = f"inputs (..., {w[1]}) and (..., {w[2]}) (weight is {tuple(w)})" if len(w) == 3 else "a weight (out, in1, in2)"
        raise ShapeError(explain("bilinear", expected=expected, got=f"{tuple(a)}, {tuple(b)} and weight {tuple(w)}"))
    check_dtypes("bilinear", input1, weight, input2)
    n = prod(a[:-1])
    columns = reshape(permute(weight, axes=(1, 0, 2)), shape=(w[1], w[0] * w[2]))
    half = reshape(matmul(reshape(input1, shape=(n, w[1])), columns), shape=(n, w[0], w[2]))
    out = reshape(matmul(half, reshape(input2, shape=(n, w[2], 1))), shape=(*a[:-1], w[0]))
    return out if bias is None else add_op(out, bias)


__all__ = ["bilinear"]

casting(globals())
