"""Operations that change the shape: views where possible, copies where not."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.base.shapes import axes_of, axis_of, broadcast, infer, sizes_from
from flambeau.ops.casting import casting
from flambeau.primitives import elementwise, movement
from flambeau.primitives.movement import offset_of
from flambeau.tensor.tensor import Tensor


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The elements in another shape (one size may be -1): a view where the layout allows it, else a copy.

    >>> import flambeau as fb
    >>> fb.arange(6).reshape(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    sizes = shape if shape and type(shape[0]) is int else sizes_from("reshape", shape)
    if -1 in sizes or prod(sizes) != input._a.size:
        sizes = infer("reshape", sizes, input._a.size)
    return movement.reshape(input, shape=sizes)


def view(input: Tensor, *shape: Any) -> Tensor:
    """As `reshape`, but an error where it would copy. A dtype as argument reinterprets the bytes."""
    if len(shape) == 1 and isinstance(shape[0], dtypes.dtype):
        return _view_dtype(input, shape[0])
    out = reshape(input, *shape)
    if out._base is None and input._a.size and hasattr(input._a, "flags"):
        got = f"a tensor of shape {tuple(input.shape)} with strides {input.stride()}, which has no such view as {tuple(out.shape)}"
        raise ShapeError(explain("view", expected="a layout that the new shape can describe", got=got, hint=".reshape(...)"))
    return out


def _view_dtype(x: Tensor, d: dtypes.dtype) -> Tensor:
    from flambeau.primitives.value import link_view
    from flambeau.tensor.tensor import wrap

    if x._a.ndim == 0 and x._a.itemsize != d.itemsize:
        raise ShapeError(explain("view", expected="a dtype of the same size for a zero-dimensional tensor", got=repr(d)))
    try:
        out = wrap(x._a.view(d.numpy))
    except ValueError as error:
        raise ShapeError(
            explain("view", expected=f"a layout that {d!r} can describe", got=str(error), hint=".contiguous() first")
        ) from None
    link_view(x, out, "always")
    return out


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """A view in the shape of `other`."""
    return view(input, *other._a.shape) if other._a.ndim else view(input, ())


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """Reshaped to the shape of `other`."""
    return movement.reshape(input, shape=infer("reshape_as", other._a.shape, input._a.size))


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge the axes from start_dim to end_dim."""
    shape = input._a.shape
    if not shape:
        return movement.reshape(input, shape=(1,))
    first, last = axis_of("flatten", start_dim, len(shape)), axis_of("flatten", end_dim, len(shape))
    if first > last:
        raise ArgumentError(explain("flatten", expected="start_dim before end_dim", got=f"{start_dim} and {end_dim}"))
    return movement.reshape(input, shape=(*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]))


def ravel(input: Tensor) -> Tensor:
    """All elements in one axis."""
    return movement.reshape(input, shape=(input._a.size,))


def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """Split one axis into several."""
    shape = input._a.shape
    d = axis_of("unflatten", dim, len(shape))
    return movement.reshape(input, shape=(*shape[:d], *infer("unflatten", tuple(sizes), shape[d]), *shape[d + 1 :]))


def permute(input: Tensor, *dims: Any) -> Tensor:
    """Reorder the axes; a view."""
    order = tuple(axis_of("permute", d, input._a.ndim) for d in sizes_from("permute", dims))
    if sorted(order) != list(range(input._a.ndim)):
        raise ShapeError(explain("permute", expected=f"each of the {input._a.ndim} axes once", got=str(order)))
    return movement.permute(input, axes=order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Exchange two axes; a view."""
    n = input._a.ndim
    a, b = axis_of("transpose", dim0, n), axis_of("transpose", dim1, n)
    order = list(range(n))
    if n:
        order[a], order[b] = b, a
    return movement.permute(input, axes=tuple(order))


swapaxes = swapdims = transpose


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix (a vector is returned as it is)."""
    n = input._a.ndim
    if n > 2:
        raise ShapeError(explain("t", expected="at most 2 axes", got=f"shape {tuple(input.shape)}", hint=".mT"))
    return movement.permute(input, axes=tuple(reversed(range(n))))


def reversed_axes(input: Tensor) -> Tensor:
    """All axes in reverse order (`.T`)."""
    return movement.permute(input, axes=tuple(reversed(range(input._a.ndim))))


def matrix_transpose(input: Tensor) -> Tensor:
    """The last two axes exchanged (`.mT`)."""
    if input._a.ndim < 2:
        raise ShapeError(explain("mT", expected="at least 2 axes", got=f"shape {tuple(input.shape)}"))
    return transpose(input, -2, -1)


def adjoint(input: Tensor) -> Tensor:
    """The last two axes exchanged, and conjugated (`.mH`)."""
    return elementwise.cj(matrix_transpose(input))


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Move axes to other positions; a view."""
    n = input._a.ndim
    src = [axis_of("movedim", d, n) for d in ((source,) if isinstance(source, int) else source)]
    dst = [axis_of("movedim", d, n) for d in ((destination,) if isinstance(destination, int) else destination)]
    if len(src) != len(dst) or len(set(src)) != len(src) or len(set(dst)) != len(dst):
        raise ShapeError(explain("movedim", expected="as many different sources as destinations", got=f"{source} and {destination}"))
    order = [d for d in range(n) if d not in src]
    for d, s in sorted(zip(dst, src, strict=True)):
        order.insert(d, s)
    return movement.permute(input, axes=tuple(order))


moveaxis = movedim


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Drop axes of size 1 (all, or those named; others are left alone)."""
    shape = input._a.shape
    axes = axes_of("squeeze", dim, len(shape))
    return movement.reshape(input, shape=tuple(n for i, n in enumerate(shape) if n != 1 or i not in axes))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new axis of size 1 at `dim`."""
    shape = input._a.shape
    d = axis_of("unsqueeze", dim, len(shape) + 1)
    return movement.reshape(input, shape=(*shape[:d], 1, *shape[d:]))


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """A view with axes of size 1 repeated (and new axes in front), without memory for the copies; -1 keeps a size.

    >>> import flambeau as fb
    >>> fb.tensor([[1], [2]]).expand(-1, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    shape = input._a.shape
    wanted = sizes_from("expand", sizes)
    lead = len(wanted) - len(shape)
    if lead < 0:
        raise ShapeError(explain("expand", expected=f"at least {len(shape)} sizes", got=str(wanted)))
    final = []
    for i, n in enumerate(wanted):
        have = shape[i - lead] if i >= lead else None
        if n == -1 and have is not None:
            n = have
        if n < 0 or (have is not None and have not in (1, n)):
            raise ShapeError(
                explain("expand", expected=f"sizes that {tuple(shape)} expands to (only axes of size 1 grow)", got=str(wanted))
            )
        final.append(n)
    return movement.expand(input, shape=tuple(final))


def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """Summed over the axes that broadcasting would have added or stretched from a size."""
    wanted = sizes_from("sum_to_size", size)
    if broadcast("sum_to_size", wanted, input._a.shape) != input._a.shape:
        raise ShapeError(explain("sum_to_size", expected=f"a size that expands to {tuple(input.shape)}", got=str(wanted)))
    return movement.sum_to(input, wanted)


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """Expanded to the shape of `other`."""
    return expand(input, other._a.shape)


def broadcast_to(input: Tensor, shape: Any) -> Tensor:
    """Expanded to a shape."""
    return expand(input, tuple(shape))


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors expanded to their common shape."""
    shape = broadcast("broadcast_tensors", *[x._a.shape for x in tensors])
    return tuple(movement.expand(x, shape=shape) for x in tensors)


def broadcast_shapes(*shapes: Any) -> Any:
    """The common shape of several shapes."""
    from flambeau.tensor.tensor import Size

    return Size(broadcast("broadcast_shapes", *[(s,) if isinstance(s, int) else tuple(s) for s in shapes]))


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """Copies laid side by side along each axis."""
    counts = sizes_from("repeat", repeats)
    shape = input._a.shape
    lead = len(counts) - len(shape)
    if lead < 0 or min(counts, default=0) < 0:
        raise ShapeError(explain("repeat", expected=f"at least {len(shape)} counts, none negative", got=str(counts)))
    full = (1,) * lead + shape
    spread = movement.reshape(input, shape=tuple(s for n in full for s in (1, n)))
    spread = movement.expand(spread, shape=tuple(s for c, n in zip(counts, full, strict=True) for s in (c, n)))
    out = movement.reshape(spread, shape=tuple(c * n for c, n in zip(counts, full, strict=True)))
    return elementwise.copy(out) if out._base is not None else out


def tile(input: Tensor, *dims: Any) -> Tensor:
    """As `repeat`, with missing counts taken as 1."""
    counts = sizes_from("tile", dims)
    return repeat(input, (1,) * (input._a.ndim - len(counts)) + counts)


def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Each element (or each slice along `dim`) repeated; `repeats` is a number or a tensor of counts."""
    x = ravel(input) if dim is None else input
    d = axis_of("repeat_interleave", 0 if dim is None else dim, x._a.ndim)
    n = x._a.shape[d]
    if not isinstance(repeats, Tensor):
        shape = x._a.shape
        spread = movement.reshape(x, shape=(*shape[: d + 1], 1, *shape[d + 1 :]))
        spread = movement.expand(spread, shape=(*shape[: d + 1], int(repeats), *shape[d + 1 :]))
        return movement.reshape(spread, shape=(*shape[:d], n * int(repeats), *shape[d + 1 :]))
    from flambeau.ops.indexing import index_select
    from flambeau.tensor.creation import as_tensor

    counts = np.broadcast_to(repeats.numpy(force=True), (n,))
    return index_select(x, d, as_tensor(np.repeat(np.arange(n), counts), device=x.device))


def flip(input: Tensor, *dims: Any) -> Tensor:
    """Reverse the order along axes; a copy."""
    return movement.flip(input, axes=tuple(axis_of("flip", d, input._a.ndim) for d in sizes_from("flip", dims)))


def fliplr(input: Tensor) -> Tensor:
    """Reverse the second axis."""
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """Reverse the first axis."""
    return flip(input, 0)


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Shift elements along axes; what falls off comes back at the other end. Without dims, over the flattened tensor."""
    if dims is None:
        return movement.reshape(roll(ravel(input), shifts, 0), shape=input._a.shape)
    from flambeau.ops.joining import cat, narrow

    out = input
    for s, d in zip((shifts,) if isinstance(shifts, int) else shifts, (dims,) if isinstance(dims, int) else dims, strict=True):
        n = out._a.shape[axis_of("roll", d, out._a.ndim)]
        k = s % n if n else 0
        out = cat([narrow(out, d, n - k, k), narrow(out, d, 0, n - k)], d) if k else out
    return elementwise.copy(out) if out is input else out


def rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """Rotate by 90 degrees k times in the plane of two axes, from the first towards the second."""
    k %= 4
    if k == 0:
        return elementwise.copy(input)
    if k == 2:
        return flip(input, *dims)
    return transpose(flip(input, dims[1]), *dims) if k == 1 else flip(transpose(input, *dims), dims[1])


def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the memory under `input` with any sizes and strides, in elements."""
    a = input._a
    own = offset_of(a)
    geometry = {"x_strides": tuple(s // a.itemsize for s in a.strides), "x_offset": own}
    offset = own if storage_offset is None else int(storage_offset)
    return movement.as_strided(input, shape=tuple(size), strides=tuple(stride), offset=offset, **geometry)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All windows of `size` elements along an axis, `step` apart, as a new last axis; a view."""
    d = axis_of("unfold", dimension, input._a.ndim)
    shape, strides = input._a.shape, input.stride()
    if not shape:
        shape, strides = (1,), (1,)
    if size > shape[d] or step <= 0:
        raise ShapeError(explain("unfold", expected=f"size <= {shape[d]} and step > 0", got=f"size={size}, step={step}"))
    count = (shape[d] - size) // step + 1
    new_strides = (*strides[:d], strides[d] * step, *strides[d + 1 :], strides[d])
    return as_strided(input, (*shape[:d], count, *shape[d + 1 :], size), new_strides)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two axes as the last axis; a view."""
    n = input._a.ndim
    a, b = axis_of("diagonal", dim1, n), axis_of("diagonal", dim2, n)
    if a == b or n < 2:
        raise ShapeError(explain("diagonal", expected="two different axes", got=f"dim1={dim1}, dim2={dim2} of shape {tuple(input.shape)}"))
    return movement.diagonal(input, offset=int(offset), dim1=a, dim2=b)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinate grids from vectors; "ij" keeps the order of the axes, "xy" exchanges the first two."""
    parts = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    if indexing not in ("ij", "xy"):
        raise ArgumentError(explain("meshgrid", expected="indexing 'ij' or 'xy'", got=repr(indexing)))
    if any(p._a.ndim > 1 for p in parts):
        raise ShapeError(explain("meshgrid", expected="vectors", got=" and ".join(str(tuple(p.shape)) for p in parts)))
    swap = indexing == "xy" and len(parts) > 1
    if swap:
        parts[0], parts[1] = parts[1], parts[0]
    shape = tuple(p._a.size for p in parts)
    n = len(parts)
    grids = [
        movement.expand(movement.reshape(p, shape=(1,) * i + (shape[i],) + (1,) * (n - 1 - i)), shape=shape) for i, p in enumerate(parts)
    ]
    return tuple([grids[1], grids[0], *grids[2:]] if swap else grids)


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy that gradients flow through."""
    return elementwise.copy(input)


def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its elements lie in row-major order, else a copy that does."""
    return input if input.is_contiguous() else _packed(input)


def _packed(x: Tensor) -> Tensor:
    from flambeau.primitives.movement import pack

    return pack(x)


def view_as_real(input: Tensor) -> Tensor:
    """A complex tensor as a real one with a last axis of size 2; a view."""
    return movement.view_as_real(input)


def view_as_complex(input: Tensor) -> Tensor:
    """A real tensor with a last axis of size 2 as a complex one; a view."""
    if input._a.shape[-1:] != (2,):
        raise ShapeError(explain("view_as_complex", expected="a last axis of size 2", got=f"shape {tuple(input.shape)}"))
    return movement.view_as_complex(input)


__all__ = """
adjoint as_strided broadcast_shapes broadcast_tensors broadcast_to clone contiguous diagonal expand expand_as flatten flip fliplr flipud
matrix_transpose meshgrid moveaxis movedim permute ravel repeat repeat_interleave reshape reshape_as reversed_axes roll rot90 squeeze
swapaxes swapdims t tile transpose unflatten unfold unsqueeze view view_as view_as_complex view_as_real
""".split()

casting(globals())
