"""Rows that move elements without computing: views (reshape, permute, expand, slices, strides) and copies (pad, cat)."""

from __future__ import annotations

import itertools
from math import prod
from typing import Any

import numpy as np

from flambeau.base.errors import ShapeError, explain
from flambeau.primitives import batching
from flambeau.primitives.prim import primitive
from flambeau.primitives.value import memory_of

# -- views ----------------------------------------------------------------------------------------------------------------------------
reshape = primitive(
    "reshape",
    "x",
    kernel=lambda xp, x, shape: x.reshape(shape),
    rule=lambda x, shape: (shape if -1 not in shape else _whole(shape, prod(x.shape)), x.dtype),
    vjp=lambda g, x_shape: reshape(g, shape=x_shape),
    view="maybe",
    batch=batching.sized("shape"),
)
permute = primitive(
    "permute",
    "x",
    kernel=lambda xp, x, axes: x.transpose(axes),
    rule=lambda x, axes: (tuple(x.shape[a] for a in axes), x.dtype),
    vjp=lambda g, axes: permute(g, axes=tuple(sorted(range(len(axes)), key=axes.__getitem__))),
    view="always",
    batch=lambda b: (b(b.front(0), axes=(0, *[a + 1 for a in b.params["axes"]])), 0),
)
expand = primitive(
    "expand",
    "x",
    kernel=lambda xp, x, shape: _expand(xp, x, shape),
    rule=lambda x, shape: (shape, x.dtype),
    vjp=lambda g, x_shape: sum_to(g, x_shape),
    view="always",
    batch=batching.expand,
)
flip = primitive(
    "flip",
    "x",
    kernel=lambda xp, x, axes: xp.flip(x, axes).copy(),
    rule=lambda x, axes: (x.shape, x.dtype),
    vjp=lambda g, axes: flip(g, axes=axes),
    batch=batching.shifted("axes"),
)


def _whole(shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The shape with -1 replaced by what makes `count` elements."""
    return tuple(count // prod(m for m in shape if m != -1) if n == -1 else n for n in shape)


def _expand(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    if xp is not np:
        return xp.broadcast_to(x, shape)
    lead = len(shape) - x.ndim
    strides = (0,) * lead + tuple(0 if n == 1 != m else s for n, m, s in zip(x.shape, shape[lead:], x.strides, strict=True))
    return np.lib.stride_tricks.as_strided(x, shape, strides)


def _sliced(x: Any, key: tuple[Any, ...]) -> Any:
    shape = []
    axis = 0
    for k in key:
        if k is Ellipsis:
            rest = len(x.shape) - axis - sum(j is not None and j is not Ellipsis for j in key[key.index(k) :])
            shape += x.shape[axis : axis + rest]
            axis += rest
            continue
        if k is None:
            shape.append(1)
            continue
        if isinstance(k, slice):
            shape.append(len(range(*k.indices(x.shape[axis]))))
        axis += 1
    return (*shape, *x.shape[axis:]), x.dtype


_ALL = slice(None)
slice_ = primitive(
    "slice",
    "x",
    kernel=lambda xp, x, key: x[key if Ellipsis in key else (*key, ...)],  # with `...` a single element is a view, not a scalar
    rule=_sliced,
    vjp=lambda g, x_shape, key: place(g, key=key, shape=x_shape),
    view="always",
    batch=lambda b: (b(b.front(0), key=(_ALL, *b.params["key"])), 0),
)


def _diagonal(xp: Any, x: Any, offset: int, dim1: int, dim2: int) -> Any:
    """A view that may be written to (NumPy's own may not)."""
    key: list[Any] = [slice(None)] * x.ndim
    key[dim1], key[dim2] = slice(max(-offset, 0), None), slice(max(offset, 0), None)
    corner = x[tuple(key)]
    rest = [i for i in range(x.ndim) if i not in (dim1, dim2)]
    shape = (*(x.shape[i] for i in rest), min(corner.shape[dim1], corner.shape[dim2]))
    strides = (*(x.strides[i] for i in rest), x.strides[dim1] + x.strides[dim2])
    return xp.lib.stride_tricks.as_strided(corner, shape, strides)


def _diagonal_rule(x: Any, offset: int, dim1: int, dim2: int) -> Any:
    length = min(x.shape[dim1] - max(-offset, 0), x.shape[dim2] - max(offset, 0))
    return (*(n for i, n in enumerate(x.shape) if i not in (dim1, dim2)), max(length, 0)), x.dtype


diagonal = primitive(
    "diagonal",
    "x",
    kernel=_diagonal,
    rule=_diagonal_rule,
    vjp=lambda g, x_shape, offset, dim1, dim2: place_diagonal(g, shape=x_shape, offset=offset, dim1=dim1, dim2=dim2),
    view="always",
    batch=batching.shifted("dim1", "dim2"),
)


def _place_diagonal(xp: Any, x: Any, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Any:
    out = xp.zeros(shape, x.dtype)
    _diagonal(xp, out, offset, dim1, dim2)[...] = x
    return out


place_diagonal = primitive(  # zeros of a shape with x on a diagonal: the adjoint of diagonal
    "place_diagonal",
    "x",
    kernel=_place_diagonal,
    rule=lambda x, shape, offset, dim1, dim2: (shape, x.dtype),
    vjp=lambda g, offset, dim1, dim2: diagonal(g, offset=offset, dim1=dim1, dim2=dim2),
    batch=lambda b: (b(b.front(0), shape=(b.size, *b.params["shape"]), dim1=b.params["dim1"] + 1, dim2=b.params["dim2"] + 1), 0),
)


def _place(xp: Any, x: Any, key: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    out = xp.zeros(shape, x.dtype)
    out[key] = x
    return out


place = primitive(  # zeros of a shape with x at a slice: the adjoint of slice
    "place",
    "x",
    kernel=_place,
    rule=lambda x, key, shape: (shape, x.dtype),
    vjp=lambda g, key: slice_(g, key=key),
    batch=lambda b: (b(b.front(0), key=(_ALL, *b.params["key"]), shape=(b.size, *b.params["shape"])), 0),
)


def strided(xp: Any, x: Any, shape: Any, strides: Any, offset: int, x_strides: Any = None, x_offset: int = 0) -> Any:
    """A view of the whole memory under x, in elements counted from its first element. x_strides and x_offset serve the derivative."""
    root = _root(x)
    flat = xp.lib.stride_tricks.as_strided(root, (root.size,), (root.itemsize,)) if root.ndim != 1 else root
    if flat.size and shape and min(shape) > 0:
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if last >= flat.size or offset < 0:
            raise ShapeError(
                explain(
                    "as_strided",
                    expected=f"a view within {flat.size} elements",
                    got=f"size={shape}, stride={strides}, storage_offset={offset}",
                )
            )
    steps = tuple(s * x.itemsize for s in strides)
    if xp is np:
        return np.ndarray(shape, x.dtype, flat, offset * x.itemsize, steps)
    return xp.lib.stride_tricks.as_strided(flat[offset:], shape, steps)


def _root(x: Any) -> Any:
    """The array that owns the memory, if it is contiguous and of the same dtype, else x itself."""
    root = memory_of(x)
    if not root.flags.c_contiguous:
        if x.flags.c_contiguous:
            return x
        raise ShapeError(
            explain(
                "as_strided", expected="a tensor whose memory is one contiguous block", got="a strided memory", hint=".contiguous() first"
            )
        )
    return root


def offset_of(x: Any) -> int:
    """Elements from the start of the memory to x's first element. An array that is no memory of its own says so itself."""
    known: int | None = getattr(x, "offset", None)
    if known is not None:
        return known
    root = memory_of(x)
    return _address(x) // x.itemsize - _address(root) // root.itemsize if root is not x else 0


def _address(x: Any) -> int:
    return x.__array_interface__["data"][0] if hasattr(x, "__array_interface__") else x.data.ptr


as_strided = primitive(
    "as_strided",
    "x",
    kernel=strided,
    rule=lambda x, shape, strides, offset, x_strides, x_offset: (shape, x.dtype),
    vjp=lambda g, x_shape, strides, offset, x_strides, x_offset: strided_sum(
        g, x_shape=x_shape, strides=strides, offset=offset, x_strides=x_strides, x_offset=x_offset
    ),
    view="always",
    batch=batching.as_strided,
)


def _strided_sum(xp: Any, g: Any, x_shape: Any, strides: Any, offset: int, x_strides: Any, x_offset: int) -> Any:
    """Add g's elements to the places that the strided view reads; then read them in x's layout."""
    index = xp.full(g.shape, offset, dtype=np.int64)
    for i, (n, s) in enumerate(zip(g.shape, strides, strict=True)):
        index += (xp.arange(n) * s).reshape((n,) + (1,) * (g.ndim - 1 - i))
    size = max(_extent(g.shape, strides, offset), _extent(x_shape, x_strides, x_offset))
    flat = xp.zeros(size, g.dtype)
    xp.add.at(flat, index.ravel(), g.ravel())
    return xp.lib.stride_tricks.as_strided(flat[x_offset:], x_shape, tuple(s * g.itemsize for s in x_strides)).copy()


def _extent(shape: Any, strides: Any, offset: int) -> int:
    return offset + 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) if all(shape) else offset + 1


strided_sum = primitive(
    "strided_sum",
    "y",
    kernel=_strided_sum,
    rule=lambda y, x_shape, strides, offset, x_strides, x_offset: (x_shape, y.dtype),
    vjp=lambda g, y_shape, strides, offset, x_strides, x_offset: take_strided(
        g, shape=y_shape, strides=strides, offset=offset, x_strides=x_strides, x_offset=x_offset
    ),
    batch=batching.laid_out("x_shape"),
)


def _laid_out(xp: Any, x: Any, shape: Any, strides: Any, offset: int, x_strides: Any, x_offset: int) -> Any:
    """Memory that holds x in its layout, the view of x, and the view of the other geometry."""
    memory = xp.zeros(max(_extent(shape, strides, offset), _extent(x.shape, x_strides, x_offset)), x.dtype)
    as_view = xp.lib.stride_tricks.as_strided
    inner = as_view(memory[x_offset:], x.shape, tuple(s * x.itemsize for s in x_strides))
    inner[...] = x
    return inner, as_view(memory[offset:], shape, tuple(s * x.itemsize for s in strides))


def _take_strided(xp: Any, x: Any, shape: Any, strides: Any, offset: int, x_strides: Any, x_offset: int) -> Any:
    return _laid_out(xp, x, shape, strides, offset, x_strides, x_offset)[1].copy()


def _put_strided(xp: Any, x: Any, v: Any, strides: Any, offset: int, x_strides: Any, x_offset: int) -> Any:
    inner, window = _laid_out(xp, x, v.shape, strides, offset, x_strides, x_offset)
    window[...] = v
    return inner.copy()


take_strided = primitive(  # read x as if it lay in memory with x_strides: as_strided for values without their memory
    "take_strided",
    "x",
    kernel=_take_strided,
    rule=lambda x, shape, strides, offset, x_strides, x_offset: (shape, x.dtype),
    vjp=lambda g, x_shape, strides, offset, x_strides, x_offset: strided_sum(
        g, x_shape=x_shape, strides=strides, offset=offset, x_strides=x_strides, x_offset=x_offset
    ),
    batch=batching.laid_out("shape"),
)


def _zeros(g: Any, shape: tuple[int, ...]) -> Any:
    from flambeau.primitives.source import zeros_like_shape

    return zeros_like_shape(g, shape)


put_strided = primitive(  # x with the elements of a strided view replaced by v: what an in-place write to a view does to its base
    "put_strided",
    "x v",
    kernel=_put_strided,
    rule=lambda x, v, strides, offset, x_strides, x_offset: (x.shape, x.dtype),
    vjp=(
        lambda g, v_shape, strides, offset, x_strides, x_offset: put_strided(
            g, _zeros(g, v_shape), strides=strides, offset=offset, x_strides=x_strides, x_offset=x_offset
        ),
        lambda g, v_shape, strides, offset, x_strides, x_offset: take_strided(
            g, shape=v_shape, strides=strides, offset=offset, x_strides=x_strides, x_offset=x_offset
        ),
    ),
    batch=batching.laid_out(None),
)


# -- copies ---------------------------------------------------------------------------------------------------------------------------
pack = primitive(  # the same elements in row-major order
    "pack",
    "x",
    kernel=lambda xp, x: xp.ascontiguousarray(x).reshape(x.shape),
    rule=lambda x: (x.shape, x.dtype),
    vjp=lambda g: g,
    batch="leading",
)


def _triangle(xp: Any, x: Any, diagonal: int, upper: bool) -> Any:
    return (xp.triu if upper else xp.tril)(x, diagonal)


triangle = primitive(  # the upper or lower triangle of matrices, zeros elsewhere
    "triangle",
    "x",
    kernel=_triangle,
    rule=lambda x, diagonal, upper: (x.shape, x.dtype),
    vjp=lambda g, diagonal, upper: triangle(g, diagonal=diagonal, upper=upper),
    batch="leading",
)


def _pad(xp: Any, x: Any, widths: tuple[tuple[int, int], ...], value: Any) -> Any:
    """Constant padding; negative widths crop."""
    shape = tuple(n + lo + hi for n, (lo, hi) in zip(x.shape, widths, strict=True))
    out = xp.full(shape, value, x.dtype)
    inner = tuple(slice(max(lo, 0), n - max(hi, 0)) for n, (lo, hi) in zip(shape, widths, strict=True))
    source = tuple(slice(max(-lo, 0), n - max(-hi, 0)) for n, (lo, hi) in zip(x.shape, widths, strict=True))
    out[inner] = x[source]
    return out


def _pad_rule(x: Any, widths: tuple[tuple[int, int], ...], value: Any) -> Any:
    return tuple(n + lo + hi for n, (lo, hi) in zip(x.shape, widths, strict=True)), x.dtype


pad = primitive(
    "pad",
    "x",
    kernel=_pad,
    rule=_pad_rule,
    vjp=lambda g, widths: pad(g, widths=tuple((-lo, -hi) for lo, hi in widths), value=0),
    batch=lambda b: (b(b.front(0), widths=((0, 0), *b.params["widths"])), 0),
)


def _cat_vjp(g: Any, xs_shape: Any, axis: int, needed: list[bool]) -> tuple[Any, ...]:
    grads = []
    start = 0
    for shape, need in zip(xs_shape, needed, strict=True):
        stop = start + shape[axis]
        key = tuple(slice(start, stop) if i == axis else slice(None) for i in range(len(shape)))
        grads.append(slice_(g, key=key) if need else None)
        start = stop
    return tuple(grads)


def _cat_rule(*xs: Any, axis: int) -> Any:
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    return tuple(shape), xs[0].dtype


cat = primitive(
    "cat",
    "*xs",
    kernel=lambda xp, *xs, axis: xp.concatenate(xs, axis=axis),
    rule=_cat_rule,
    vjp=_cat_vjp,
    batch=batching.shifted("axis"),
)


def _split(xp: Any, x: Any, sizes: tuple[int, ...], axis: int) -> tuple[Any, ...]:
    lead = (slice(None),) * axis
    starts = [0, *itertools.accumulate(sizes)]
    return tuple(x[(*lead, slice(start, start + n))] for start, n in zip(starts, sizes, strict=False))


def _split_rule(x: Any, sizes: tuple[int, ...], axis: int) -> list[Any]:
    return [(tuple(n if i == axis else m for i, m in enumerate(x.shape)), x.dtype) for n in sizes]


split = primitive(  # pieces along an axis, whose gradients join in one step; for values that nobody writes to, as pieces share x's memory
    "split",
    "x",
    kernel=_split,
    rule=_split_rule,
    vjp=lambda g, axis: cat(*g, axis=axis),
    multi=True,
    batch=batching.shifted("axis"),
)

# -- complex views ----------------------------------------------------------------------------------------------------------------------
view_as_real = primitive(
    "view_as_real",
    "x",
    kernel=lambda xp, x: (
        x.view(x.real.dtype).reshape((*x.shape, 2)) if x.ndim and x.strides[-1] == x.itemsize else xp.stack([x.real, x.imag], -1)
    ),
    rule=lambda x: ((*x.shape, 2), x.dtype.type(0).real.dtype),
    vjp=lambda g: view_as_complex(g),
    view="maybe",
    batch="leading",
)
view_as_complex = primitive(
    "view_as_complex",
    "x",
    kernel=lambda xp, x: xp.ascontiguousarray(x).view(np.dtype(f"c{2 * x.itemsize}")).reshape(x.shape[:-1]),
    rule=lambda x: (x.shape[:-1], np.dtype(f"c{2 * x.dtype.itemsize}")),
    vjp=lambda g: view_as_real(g),
    view="maybe",
    batch="leading",
)


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum over the axes that broadcasting added or stretched."""
    from flambeau.primitives.reduce import sum_

    have = g._a.shape
    if have == shape:
        return g
    lead = len(have) - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 != have[lead + i])
    if axes:
        g = sum_(g, axis=axes, keepdim=False)
    return g if g._a.shape == shape else reshape(g, shape=shape)
