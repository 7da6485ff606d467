"""Joining tensors and taking them apart: cat, stack, split, chunk and their relatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, ArgumentTypeError, ShapeError, explain
from flambeau.base.shapes import axis_of
from flambeau.ops.casting import casting
from flambeau.ops.pointwise import into
from flambeau.ops.promotion import only_tensors, result_type, to_dtype
from flambeau.ops.shape import unsqueeze
from flambeau.primitives import movement
from flambeau.tensor.tensor import Tensor


def cat(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Join tensors along an axis.

    >>> import flambeau as fb
    >>> fb.cat([fb.zeros(1), fb.ones(2)])
    tensor([0., 1., 1.])
    """
    parts = list(tensors)
    if not parts:
        raise ArgumentError(explain("cat", expected="at least one tensor", got="an empty list"))
    only_tensors("cat", *parts)
    real = [x for x in parts if x._a.shape != (0,)] or parts[:1]  # PyTorch skips empty vectors of any rank
    first = real[0]._a.shape
    d = axis_of("cat", dim, len(first))
    if not first:
        raise ShapeError(explain("cat", expected="tensors with axes", got="a zero-dimensional one", hint="flambeau.stack"))
    for i, x in enumerate(real):
        shape = x._a.shape
        if len(shape) != len(first) or shape[:d] + shape[d + 1 :] != first[:d] + first[d + 1 :]:
            raise ShapeError(
                explain("cat", expected=f"sizes equal to {tuple(first)} in all axes but {d}", got=f"tensor {i} of shape {tuple(shape)}")
            )
    kind = real[0]._a.dtype
    if any(x._a.dtype != kind for x in real):
        d_type = result_type(*parts)
        real = [to_dtype(x, d_type) for x in real]
    result = movement.cat(*real, axis=d)
    return result if out is None else into(out, result)


concat = concatenate = cat


def stack(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Join tensors of one shape along a new axis."""
    parts = list(tensors)
    if not parts:
        raise ArgumentError(explain("stack", expected="at least one tensor", got="an empty list"))
    only_tensors("stack", *parts)
    for i, x in enumerate(parts):
        if x._a.shape != parts[0]._a.shape:
            raise ShapeError(
                explain("stack", expected=f"tensors of shape {tuple(parts[0].shape)}", got=f"tensor {i} of shape {tuple(x.shape)}")
            )
    return cat([unsqueeze(x, dim) for x in parts], axis_of("stack", dim, parts[0]._a.ndim + 1), out=out)


def _columns(x: Tensor, n: int) -> Tensor:
    return movement.reshape(x, shape=(1,) * (n - x._a.ndim) + x._a.shape) if x._a.ndim < n else x


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Join along the second axis (vectors along the first)."""
    parts = [_columns(x, 1) for x in tensors]
    return cat(parts, 0 if parts[0]._a.ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Join as rows."""
    return cat([_columns(x, 2) for x in tensors], 0)


row_stack = vstack


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Join along the third axis."""
    return cat([unsqueeze(_columns(x, 2), -1) if x._a.ndim < 3 else x for x in tensors], 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Join vectors as columns."""
    return hstack([movement.reshape(x, shape=(x._a.size, 1)) if x._a.ndim < 2 else x for x in tensors])


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` slices along `dim` from `start`; a view."""
    shape = input._a.shape
    d = axis_of("narrow", dim, len(shape))
    first = int(start) + (shape[d] if int(start) < 0 else 0)
    if length < 0 or first < 0 or first + length > shape[d]:
        raise ShapeError(explain("narrow", expected=f"start and length within size {shape[d]}", got=f"start={int(start)}, length={length}"))
    return movement.slice_(input, key=tuple(slice(first, first + length) if i == d else slice(None) for i in range(len(shape))))


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """One slice along `dim`, without that axis; a view."""
    shape = input._a.shape
    d = axis_of("select", dim, len(shape))
    return movement.slice_(input, key=tuple(axis_of("select", index, shape[d]) if i == d else slice(None) for i in range(len(shape))))


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along `dim`: of one size (the last may be smaller), or of the sizes given."""
    n = tensor._a.shape[axis_of("split", dim, tensor._a.ndim)]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size <= 0:
            raise ArgumentError(explain("split", expected="a positive size", got=str(size)))
        sizes = [min(size, n - i) for i in range(0, n, size)] or [0]
    else:
        if not isinstance(split_size_or_sections, (list, tuple)):
            got = f"{type(split_size_or_sections).__name__} {split_size_or_sections!r}"
            raise ArgumentTypeError(explain("split", expected="a size, or a list of sizes", got=got))
        sizes = [int(s) for s in split_size_or_sections]
        if sum(sizes) != n:
            raise ShapeError(explain("split", expected=f"sizes that sum to {n}", got=str(sizes)))
    starts = np.cumsum([0, *sizes])
    return tuple(narrow(tensor, dim, int(s), k) for s, k in zip(starts, sizes, strict=False))


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """About equal pieces along `dim`: at most `chunks`."""
    if chunks < 1:
        raise ArgumentError(explain("chunk", expected="chunks >= 1", got=str(chunks)))
    n = input._a.shape[axis_of("chunk", dim, input._a.ndim)]
    return split(input, max(-(-n // chunks), 1), dim)


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along `dim`: so many of nearly equal size, or cut at the indices."""
    n = input._a.shape[axis_of("tensor_split", dim, input._a.ndim)]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        k = indices_or_sections
        sizes = [n // k + (i < n % k) for i in range(k)]
        cuts = list(np.cumsum(sizes)[:-1])
    else:
        cuts = [int(i) for i in indices_or_sections]
    edges = [0, *[min(max(c + n if c < 0 else c, 0), n) for c in cuts], n]
    return tuple(narrow(input, dim, int(a), max(int(b - a), 0)) for a, b in zip(edges, edges[1:], strict=False))


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along the second axis (the first of a vector)."""
    return tensor_split(input, indices_or_sections, 0 if input._a.ndim == 1 else 1)


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along the first axis."""
    return tensor_split(input, indices_or_sections, 0)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """All slices along `dim`, without that axis."""
    return tuple(select(input, dim, i) for i in range(input._a.shape[axis_of("unbind", dim, input._a.ndim)]))


def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along the third axis."""
    return tensor_split(input, indices_or_sections, 2)


def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of the sizes given along `dim`."""
    return split(input, list(split_sizes), dim)


unsafe_split, unsafe_split_with_sizes, unsafe_chunk = split, split_with_sizes, chunk


def narrow_copy(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """As `narrow`, a copy."""
    return narrow(input, dim, start, length).clone()


def atleast_1d(*tensors: Any) -> Any:
    """At least one axis."""
    out = tuple(_columns(x, 1) for x in tensors)
    return out[0] if len(out) == 1 else out


def atleast_2d(*tensors: Any) -> Any:
    """At least two axes."""
    out = tuple(_columns(x, 2) for x in tensors)
    return out[0] if len(out) == 1 else out


def atleast_3d(*tensors: Any) -> Any:
    """At least three axes."""
    out = tuple(unsqueeze(_columns(x, 2), -1) if x._a.ndim < 3 else x for x in tensors)
    return out[0] if len(out) == 1 else out


__all__ = """
atleast_1d atleast_2d atleast_3d cat chunk column_stack concat concatenate dsplit dstack hsplit hstack narrow narrow_copy row_stack select
split split_with_sizes stack tensor_split unbind unsafe_chunk unsafe_split unsafe_split_with_sizes vsplit vstack
""".split()

casting(globals())
