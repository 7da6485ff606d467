"""Rules on plain tuples of sizes: broadcasting, axes, reductions, strides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from flambeau.base.errors import ArgumentTypeError, IndexingError, ShapeError, explain

Shape = tuple[int, ...]


def broadcast(op: str, *shapes: Shape) -> Shape:
    """The common shape, aligned at the last axis.

    >>> broadcast("add", (3, 1), (4,))
    (3, 4)
    """
    rank = max(map(len, shapes), default=0)
    sizes = [1] * rank
    for shape in shapes:
        offset = rank - len(shape)
        for i, size in enumerate(shape):
            have = sizes[offset + i]
            if size != have:
                if have == 1:
                    sizes[offset + i] = size
                elif size != 1:
                    raise broadcast_error(op, shapes)
    return tuple(sizes)


def spreads(shape: Shape, target: Shape) -> bool:
    """Whether a tensor of `shape` broadcasts to `target` without changing it.

    >>> spreads((3, 1), (2, 3, 4)), spreads((2,), (1,)), spreads((1, 4), (4,))
    (True, False, False)
    """
    extra = len(target) - len(shape)
    return extra >= 0 and all(n in (1, m) for n, m in zip(shape, target[extra:], strict=True))


def broadcast_error(op: str, shapes: Iterable[Shape]) -> ShapeError:
    """The error for shapes that do not broadcast, naming the axis (counted from the end)."""
    shapes = [tuple(s) for s in shapes]
    axis = next((d for d in range(1, max(map(len, shapes)) + 1) if len({s[-d] for s in shapes if len(s) >= d and s[-d] != 1}) > 1), 0)
    sizes = " and ".join(str(s[-axis]) for s in shapes if len(s) >= axis and s[-axis] != 1)
    return ShapeError(
        explain(
            op,
            expected="shapes that broadcast (aligned at the last axis, sizes equal or 1)",
            got=" and ".join(map(str, shapes)) + (f", which differ at axis {-axis}: {sizes}" if axis else ""),
            hint="unsqueeze or expand one operand, or check the order of the axes",
        )
    )


def axis_of(op: str, dim: Any, ndim: int) -> int:
    """`dim` counted from the front; negative values count from the end. A zero-dimensional tensor accepts 0 and -1."""
    try:
        i = dim.__index__()
    except AttributeError:
        raise ArgumentTypeError(explain(op, expected="dim as an int", got=f"{type(dim).__name__} {dim!r}")) from None
    rank = ndim or 1
    if not -rank <= i < rank:
        raise IndexingError(explain(op, expected=f"dim in [{-rank}, {rank - 1}]", got=f"dim={i} for a tensor with {ndim} axes"))
    return i % rank


def axes_of(op: str, dim: Any, ndim: int) -> tuple[int, ...]:
    """Sorted axes from None (all), an int, or a sequence without repeats. Of a zero-dimensional tensor: ()."""
    if dim is None:
        return tuple(range(ndim))
    if not isinstance(dim, (tuple, list)):
        axis = axis_of(op, dim, ndim)
        return (axis,) if ndim else ()
    if len(dim) == 0:
        return tuple(range(ndim))
    axes = [axis_of(op, d, ndim) for d in dim]
    if len(set(axes)) != len(axes):
        raise ShapeError(explain(op, expected="dims that differ", got=f"dim={tuple(dim)}"))
    return tuple(sorted(axes)) if ndim else ()


def reduced(shape: Shape, axes: Sequence[int], keepdim: bool) -> Shape:
    """The shape after reducing `axes`."""
    if keepdim:
        return tuple(1 if i in axes else s for i, s in enumerate(shape))
    return tuple(s for i, s in enumerate(shape) if i not in axes)


def infer(op: str, sizes: Sequence[int], numel: int) -> Shape:
    """Fill in one -1 so that the product is `numel`."""
    sizes = tuple(int(s) for s in sizes)
    if sizes.count(-1) == 1:
        known = prod(s for s in sizes if s != -1)
        if known > 0 and numel % known == 0:
            return tuple(numel // known if s == -1 else s for s in sizes)
        if known == 0 and numel == 0:
            raise ShapeError(explain(op, expected="a shape without -1 for an empty tensor with a zero size", got=str(sizes)))
    elif sizes.count(-1) == 0 and min(sizes, default=0) >= 0 and prod(sizes) == numel:
        return sizes
    raise ShapeError(explain(op, expected=f"a shape with {numel} elements (at most one -1)", got=str(tuple(sizes))))


def contiguous_strides(shape: Shape) -> tuple[int, ...]:
    """Row-major strides in elements.

    >>> contiguous_strides((2, 3, 4))
    (12, 4, 1)
    """
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def sizes_from(op: str, args: tuple[Any, ...]) -> Shape:
    """Accept `f(2, 3)`, `f((2, 3))` and `f([2, 3])`."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    try:
        return tuple([a if type(a) is int else a.__index__() for a in args])
    except (AttributeError, TypeError):
        raise ArgumentTypeError(explain(op, expected="sizes as ints", got=repr(args))) from None


def given(sizes: tuple[Any, ...], size: Any) -> tuple[Any, ...]:
    """The sizes of `f(2, 3)`, `f((2, 3))` or `f(size=(2, 3))`."""
    return sizes if size is None else (size,)


def pair(value: Any, n: int, op: str, name: str) -> tuple[int, ...]:
    """An int repeated n times, or a sequence of n ints (a sequence of one is repeated too)."""
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            value = tuple(value) * n
        if len(value) != n:
            raise ShapeError(explain(op, expected=f"{name} as an int or {n} ints", got=repr(value)))
        return tuple(int(v) for v in value)
    return (int(value),) * n
