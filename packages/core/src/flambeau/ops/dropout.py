"""Dropout under PyTorch's names. Masks are drawn from the default generator, so that PyTorch's stream gives PyTorch's masks.

Srivastava et al. 2014; whole channels: Tompson et al. 2015; keeping the statistics that SELU needs: Klambauer et al. 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.ops.pointwise import add_op, mul_op
from flambeau.ops.random import draw
from flambeau.tensor.inplace import inplace as in_place
from flambeau.tensor.tensor import Tensor

_SATURATION = -1.7580993408473766  # the value of SELU for large negative inputs


def _mask(op: str, x: Tensor, p: float, shape: tuple[int, ...]) -> Tensor:
    """1 with probability 1 - p, else 0."""
    if x._a.dtype.kind not in "fcV":
        raise ArgumentError(explain(op, expected="a floating-point tensor", got=repr(x.dtype), hint=".float()"))
    d = x._a.dtype if x._a.dtype.kind != "c" else x._a.real.dtype
    return draw("bernoulli", (1.0 - p, shape, d), shape, d, None, x.device)


def _checked(op: str, p: float) -> float:
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(explain(op, expected="a probability p in [0, 1]", got=str(p)))
    return float(p)


def _scaled(op: str, x: Tensor, p: float, shape: tuple[int, ...]) -> Tensor:
    if p == 1:
        return mul_op(x, 0.0)
    return mul_op(x, _mask(op, x, p, shape).div_(1.0 - p))


def _alpha(op: str, x: Tensor, p: float, shape: tuple[int, ...]) -> Tensor:
    """Dropped values become SELU's saturation; an affine map restores mean 0 and variance 1."""
    if p == 1:
        return mul_op(x, 0.0)
    scale = 1.0 / sqrt((_SATURATION**2 * p + 1) * (1 - p))
    kept = _mask(op, x, p, shape)
    shift = add_op(mul_op(add_op(kept, -1.0), -_SATURATION * scale), -_SATURATION * scale * p)
    return add_op(mul_op(x, mul_op(kept, scale)), shift)


def _per_channel(op: str, x: Tensor) -> tuple[int, ...]:
    if x._a.ndim < 2:
        raise ShapeError(explain(op, expected="input (N, C, ...)", got=f"shape {tuple(x.shape)}", hint="dropout"))
    return (*x._a.shape[:2], *(1,) * (x._a.ndim - 2))


def _skip(x: Tensor, p: float, training: bool) -> bool:
    return not training or p == 0 or x._a.size == 0


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zero elements with probability p and scale the others by 1 / (1 - p).

    >>> import flambeau as fb
    >>> fb.dropout(fb.ones(3), p=0.5, training=False)
    tensor([1., 1., 1.])
    """
    if inplace:
        return dropout_(input, p, training)
    p = _checked("dropout", p)
    return input if _skip(input, p, training) else _scaled("dropout", input, p, input._a.shape)


def feature_dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, ...)."""
    if inplace:
        return feature_dropout_(input, p, training)
    p = _checked("feature_dropout", p)
    return input if _skip(input, p, training) else _scaled("feature_dropout", input, p, _per_channel("feature_dropout", input))


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1, for networks with SELU."""
    if inplace:
        return alpha_dropout_(input, p, training)
    p = _checked("alpha_dropout", p)
    return input if _skip(input, p, training) else _alpha("alpha_dropout", input, p, input._a.shape)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels of (N, C, ...)."""
    if inplace:
        return feature_alpha_dropout_(input, p, training)
    p = _checked("feature_alpha_dropout", p)
    return input if _skip(input, p, training) else _alpha("feature_alpha_dropout", input, p, _per_channel("feature_alpha_dropout", input))


dropout_, feature_dropout_, alpha_dropout_, feature_alpha_dropout_ = (
    in_place(op, f"{op.__name__}_") for op in (dropout, feature_dropout, alpha_dropout, feature_alpha_dropout)
)


def _channels(dims: int, ranks: tuple[int, ...], shapes: str) -> Callable[..., Tensor]:
    op = f"dropout{dims}d"

    def drop(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        p = _checked(op, p)
        n = input._a.ndim
        if n not in ranks:
            raise ShapeError(explain(op, expected=f"input {shapes}", got=f"shape {tuple(input.shape)}", hint="dropout for single elements"))
        if _skip(input, p, training):
            return input
        if n == ranks[0] and dims != 2:
            shape = (input._a.shape[0], *(1,) * (n - 1))
        else:
            shape = _per_channel(op, input)
        return _scaled_(input, op, p, shape) if inplace else _scaled(op, input, p, shape)

    drop.__name__ = drop.__qualname__ = op
    drop.__doc__ = f"`dropout` of whole channels: {shapes}."
    return drop


def _scaled_by(x: Tensor, op: str, p: float, shape: tuple[int, ...]) -> Tensor:
    return _scaled(op, x, p, shape)


_scaled_ = in_place(_scaled_by, "dropout_")
dropout1d = _channels(1, (2, 3), "(C, L) or (N, C, L)")
dropout2d = _channels(2, (3, 4), "(N, C, H, W), or (N, C, L) with axis 1 as channels, as in PyTorch")
dropout3d = _channels(3, (4, 5), "(C, D, H, W) or (N, C, D, H, W)")

__all__ = """
alpha_dropout alpha_dropout_ dropout dropout_ feature_alpha_dropout feature_alpha_dropout_ feature_dropout feature_dropout_
""".split()
