"""Matrix products under PyTorch's names."""

from __future__ import annotations

from typing import Any

from flambeau.autograd.modes import mode
from flambeau.base.errors import DtypeError, ShapeError, explain
from flambeau.ops.casting import casting, under_autocast
from flambeau.ops.pointwise import add_op, in_float32, into, mul_op
from flambeau.ops.shape import unsqueeze
from flambeau.primitives import contraction
from flambeau.primitives.contraction import matmul_error
from flambeau.primitives.movement import reshape
from flambeau.tensor.tensor import Tensor


def _sparse(op: str, x: Any, y: Any) -> Any:
    """The product of operands of which one is no Tensor."""
    if not (getattr(x, "is_sparse", False) or getattr(y, "is_sparse", False)):
        raise DtypeError(explain(op, expected="two tensors", got=f"{type(x).__name__} and {type(y).__name__}"))
    from flambeau.sparse import mm

    return mm(x, y)


def _check(x: Tensor, y: Tensor) -> None:
    if x._a.dtype != y._a.dtype:
        hint = "convert one of them with .to(dtype)"
        raise DtypeError(explain("matmul", expected="operands of one dtype", got=f"{x.dtype!r} and {y.dtype!r}", hint=hint))


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The matrix product over the last two axes, with the others broadcast; vectors count as a row on the left and a column on the right.

    >>> import flambeau as fb
    >>> fb.matmul(fb.ones(2, 3), fb.ones(3))
    tensor([3., 3.])
    """
    if mode.casting is not None:
        return under_autocast("matmul", matmul, input, other, out=out)
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        return _sparse("matmul", input, other)
    _check(input, other)
    n, m = input._a.ndim, other._a.ndim
    if not n or not m:
        raise ShapeError(explain("matmul", expected="tensors with axes", got=f"{tuple(input.shape)} and {tuple(other.shape)}", hint="*"))
    if input._a.shape[-1] != other._a.shape[-2 if m > 1 else 0]:
        raise matmul_error("matmul", input._a.shape, other._a.shape)
    if m == 2 and n > 2:  # one product instead of a batch of them
        x = contraction.matmul(reshape(input, shape=(-1 if input._a.size else _rows(input), input._a.shape[-1])), other)
        result = reshape(x, shape=(*input._a.shape[:-1], other._a.shape[1]))
    else:
        x, y = (unsqueeze(input, 0) if n == 1 else input), (unsqueeze(other, 1) if m == 1 else other)
        result = contraction.matmul(x, y)
        if n == 1 or m == 1:
            shape = result._a.shape
            lead = shape[:-2]
            result = reshape(result, shape=lead + (() if n == 1 else shape[-2:-1]) + (() if m == 1 else shape[-1:]))
    return result if out is None else into(out, result)


def _rows(x: Tensor) -> int:
    from math import prod

    return prod(x._a.shape[:-1])


def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of two matrices."""
    if not isinstance(input, Tensor) or not isinstance(mat2, Tensor):
        return _sparse("mm", input, mat2)
    if input._a.ndim != 2 or mat2._a.ndim != 2:
        raise ShapeError(explain("mm", expected="two matrices", got=f"{tuple(input.shape)} and {tuple(mat2.shape)}", hint="matmul"))
    return matmul(input, mat2, out=out)


def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Products of two batches of matrices, (b, n, k) with (b, k, m)."""
    if input._a.ndim != 3 or mat2._a.ndim != 3 or input._a.shape[0] != mat2._a.shape[0]:
        raise ShapeError(explain("bmm", expected="(b, n, k) and (b, k, m)", got=f"{tuple(input.shape)} and {tuple(mat2.shape)}"))
    return matmul(input, mat2, out=out)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""
    if input._a.ndim != 2 or vec._a.shape != input._a.shape[1:]:
        raise ShapeError(explain("mv", expected="a matrix (n, k) and a vector (k,)", got=f"{tuple(input.shape)} and {tuple(vec.shape)}"))
    return matmul(input, vec)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The inner product of two vectors."""
    if input._a.ndim != 1 or tensor._a.shape != input._a.shape:
        raise ShapeError(explain("dot", expected="two vectors of one length", got=f"{tuple(input.shape)} and {tuple(tensor.shape)}"))
    return matmul(input, tensor)


def vdot(input: Tensor, tensor: Tensor) -> Tensor:
    """The inner product of two vectors, the first conjugated."""
    return dot(input.conj(), tensor)


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Products over the last axes of both."""
    if not input._a.ndim or not other._a.ndim:
        return mul_op(input, other)
    left, right = input._a.shape[:-1], other._a.shape[:-1]
    k = input._a.shape[-1]
    if other._a.shape[-1] != k:
        raise matmul_error("inner", input._a.shape, other._a.shape)
    product = matmul(input.reshape(-1, k), other.reshape(-1, k).t())
    return product.reshape(left + right)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of two vectors' elements."""
    if input._a.ndim != 1 or vec2._a.ndim != 1:
        raise ShapeError(explain("outer", expected="two vectors", got=f"{tuple(input.shape)} and {tuple(vec2.shape)}"))
    return mul_op(unsqueeze(input, 1), unsqueeze(vec2, 0))


ger = outer


def _scaled(input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    scaled = product if alpha == 1 else mul_op(product, alpha)
    if beta == 0:
        return scaled
    return add_op(input if beta == 1 else mul_op(input, beta), scaled)


@in_float32
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2)."""
    return _scaled(input, mm(mat1, mat2), beta, alpha)


@in_float32
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec)."""
    return _scaled(input, mv(mat, vec), beta, alpha)


@in_float32
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * the sum of batch1[i] @ batch2[i]."""
    return _scaled(input, bmm(batch1, batch2).sum(0), beta, alpha)


@in_float32
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (batch1 @ batch2)."""
    return _scaled(input, bmm(batch1, batch2), beta, alpha)


@in_float32
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2)."""
    return _scaled(input, outer(vec1, vec2), beta, alpha)


__all__ = """
addbmm addmm addmv addr baddbmm bmm dot ger inner matmul mm mv outer vdot
""".split()

casting(globals())
