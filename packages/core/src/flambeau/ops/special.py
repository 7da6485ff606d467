"""Special functions (PyTorch's `torch.special`) that are not at the top level."""

from __future__ import annotations

from typing import Any

from flambeau.autograd.modes import mode
from flambeau.base.errors import ArgumentError, GradientError, explain
from flambeau.ops import pointwise, reduction
from flambeau.ops.pointwise import binary, eq_op, function, gt_op, into, mul_op, neg, unary, where, xlogy
from flambeau.ops.promotion import operands
from flambeau.primitives import elementwise as rows
from flambeau.tensor.tensor import Tensor

i0e, i1, i1e, ndtr, ndtri, log_ndtr, erfcx = (unary(getattr(rows, n)) for n in "i0e i1 i1e ndtr ndtri log_ndtr erfcx".split())
ndtr.__doc__ = "The standard normal distribution function."
ndtri.__doc__ = "The inverse of `ndtr`."
log_ndtr.__doc__ = "The logarithm of `ndtr`, exact far to the left too."
erfcx.__doc__ = "exp(x^2) erfc(x), without underflow."
i0e.__doc__, i1.__doc__, i1e.__doc__ = "exp(-|x|) i0(x).", "The modified Bessel function of order 1.", "exp(-|x|) i1(x)."
xlog1py = function(binary(rows.xlog1py, floating=True), "input * log1p(other), and 0 where input is 0.", "xlog1py")


def _second_only(row: Any, name: str, doc: str) -> Any:
    """An operation on two operands with a derivative by the second."""

    def op(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
        if isinstance(input, Tensor) and input.requires_grad and mode.grad:
            got = "a first operand that requires grad, by which there is no derivative"
            raise GradientError(explain(name, expected="a gradient for the second operand only", got=got, hint=".detach() the first"))
        result = row(*operands(name, input, other, floating=True))
        return result if out is None else into(out, result)

    op.__name__ = op.__qualname__ = name
    op.__doc__ = doc
    return op


zeta = _second_only(rows.zeta, "zeta", "The Hurwitz zeta function: the sum over k >= 0 of (k + other)^-input.")
gammainc = _second_only(rows.igamma, "gammainc", "The regularised lower incomplete gamma function P(input, other).")
gammaincc = _second_only(rows.igammac, "gammaincc", "The regularised upper incomplete gamma function Q(input, other).")
igamma, igammac = gammainc, gammaincc


def entr(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """-x log(x) for x > 0, 0 at 0, and -inf below."""
    x = operands("entr", input, floating=True)[0]
    result = where(
        gt_op(x, 0), neg(xlogy(x, where(gt_op(x, 0), x, 1.0))), where(eq_op(x, 0) | pointwise.isnan(x), mul_op(x, 0.0), float("-inf"))
    )
    return result if out is None else into(out, result)


def multigammaln(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension p, for elements above (p - 1) / 2."""
    if p < 1:
        raise ArgumentError(explain("multigammaln", expected="p >= 1", got=str(p)))
    return pointwise.mvlgamma(operands("multigammaln", input, floating=True)[0], p)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along an axis."""
    return reduction.log_softmax(input, dim, dtype=dtype)


__all__ = ["igamma", "igammac"]
