"""`x[key]` and `x[key] = value`: ints, slices, None and ... give views; index tensors and masks copy (rules of PyTorch: ints select
first)."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.autograd.modes import mode
from flambeau.base.errors import ArgumentTypeError, IndexingError, explain
from flambeau.ops.promotion import to_dtype
from flambeau.primitives import indexing as rows
from flambeau.primitives.bind import state
from flambeau.primitives.elementwise import where
from flambeau.primitives.movement import reshape, slice_
from flambeau.primitives.value import storage_of
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.inplace import apply_recorded, check_leaf, write
from flambeau.tensor.tensor import Tensor

_ALL = slice(None)


def _integer(k: Any) -> int | None:
    if type(k) is int:
        return k
    if isinstance(k, (bool, np.bool_)):
        return None
    return int(k) if isinstance(k, (int, np.integer)) else None


def _slice(k: slice) -> slice:
    parts = [p.__index__() if p is not None and not isinstance(p, int) else p for p in (k.start, k.stop, k.step)]
    if parts[2] is not None and parts[2] <= 0:
        raise ArgumentTypeError(explain("indexing", expected="a positive step", got=str(parts[2]), hint="flambeau.flip"))
    return slice(*parts)


def _width(k: Any) -> int:
    """How many axes of the tensor a part of the key takes."""
    if k is None or isinstance(k, (bool, np.bool_)):
        return 0
    if isinstance(k, Tensor) and k._a.dtype.kind == "b":
        return k._a.ndim
    return 1


def _parts(x: Tensor, key: Any) -> list[Any]:
    """The key as a list without `...`, sequences turned into index tensors."""
    parts = list(key) if isinstance(key, tuple) else [key]
    parts = [_as_index(k, x) for k in parts]
    dots = [i for i, k in enumerate(parts) if k is Ellipsis]
    used = sum(_width(k) for k in parts if k is not Ellipsis)
    n = x._a.ndim
    if used > n or len(dots) > 1:
        raise IndexingError(explain("indexing", expected=f"at most {n} indices (and one ...)", got=f"{used} for shape {tuple(x.shape)}"))
    if dots:
        parts[dots[0] : dots[0] + 1] = [_ALL] * (n - used)
    return parts


def _as_index(k: Any, x: Tensor) -> Any:
    if k is None or k is Ellipsis or isinstance(k, (slice, bool, np.bool_)) or _integer(k) is not None:
        return k
    if isinstance(k, (list, tuple, range, np.ndarray)):
        k = (
            as_tensor(np.asarray(k if not isinstance(k, list) or k else np.zeros(0, np.int64)), device=x.device)
            if not _has_tensor(k)
            else as_tensor(k, device=x.device)
        )
    if isinstance(k, Tensor):
        if k._a.dtype.kind == "u" and k._a.itemsize == 1:
            k = k != 0  # a uint8 mask, as in old PyTorch programs
        if k._a.dtype.kind not in "biu":
            raise IndexingError(explain("indexing", expected="integer or bool index tensors", got=repr(k.dtype), hint=".long()"))
        return k
    raise IndexingError(explain("indexing", expected="ints, slices, None, ..., tensors or sequences", got=type(k).__name__))


def _has_tensor(k: Any) -> bool:
    return isinstance(k, (list, tuple)) and any(isinstance(v, Tensor) for v in k)


def resolve(x: Tensor, key: Any) -> tuple[Tensor, list[Tensor], tuple[int, ...]]:
    """A view of x by the basic part of the key, then the index tensors and the axes of that view that they replace."""
    basic: list[Any] = []
    advanced: list[tuple[int, Tensor]] = []
    axis = out_axis = 0
    shape = x._a.shape
    for k in _parts(x, key):
        if k is None or isinstance(k, (bool, np.bool_)):
            basic.append(None)
            if isinstance(k, (bool, np.bool_)) and not k:
                advanced.append((out_axis, as_tensor(np.zeros(0, np.int64), device=x.device)))
            out_axis += 1
        elif isinstance(k, slice):
            basic.append(_slice(k))
            axis, out_axis = axis + 1, out_axis + 1
        elif isinstance(k, Tensor):
            for position, index in enumerate(_positions(k, shape, axis)):
                advanced.append((out_axis + position, index))
                basic.append(_ALL)
            axis, out_axis = axis + _width(k), out_axis + _width(k)
        else:
            i = _integer(k)
            n = shape[axis]
            if i is None or not -n <= i < n:
                raise IndexingError(
                    explain("indexing", expected=f"an index in [{-n}, {n - 1}] for axis {axis}", got=f"{i} (shape {tuple(shape)})")
                )
            basic.append(i)
            axis += 1
    view = x
    if any(k is None or isinstance(k, int) or (isinstance(k, slice) and k != _ALL) for k in basic):
        view = slice_(x, key=tuple(basic))
    return view, [i for _, i in advanced], tuple(a for a, _ in advanced)


def _positions(k: Tensor, shape: tuple[int, ...], axis: int) -> list[Tensor]:
    """A mask as index tensors, one per axis it covers; an index tensor as itself, checked."""
    if k._a.dtype.kind == "b":
        covered = shape[axis : axis + k._a.ndim]
        if k._a.shape != tuple(covered):
            raise IndexingError(explain("indexing", expected=f"a mask of shape {tuple(covered)} at axis {axis}", got=str(tuple(k.shape))))
        at = rows.nonzero(k)
        return [at[:, i] for i in range(k._a.ndim)]
    n = shape[axis]
    expected = f"indices in [{{low}}, {{last}}] for axis {axis}"
    return [rows.in_range(k, op="indexing", low=-n, high=n, ignore=None, expected=expected)]


def getitem(x: Tensor, key: Any) -> Tensor:
    """`x[key]`."""
    if type(key) is int or type(key) is slice:
        shape = x._a.shape
        if type(key) is int and shape and -shape[0] <= key < shape[0]:
            return slice_(x, key=(key,))
        if type(key) is slice and shape and key.step is None and type(key.start) in _SIMPLE and type(key.stop) in _SIMPLE:
            return slice_(x, key=(key,))
    view, indices, axes = resolve(x, key)
    if not indices:
        return slice_(x, key=()) if view is x else view
    _same_shapes(indices)
    return rows.index(view, *indices, axes=axes)


_SIMPLE = (int, type(None))


def _same_shapes(indices: list[Tensor]) -> None:
    try:
        np.broadcast_shapes(*[i._a.shape for i in indices])
    except ValueError:
        got = " and ".join(str(tuple(i.shape)) for i in indices)
        raise IndexingError(explain("indexing", expected="index tensors that broadcast together", got=got)) from None


def put(x: Tensor, key: Any, values: Any, accumulate: bool = False) -> Tensor:
    """A copy of x with values at x[key]."""
    out = x.clone()
    view, indices, axes = resolve(out, key)
    v = to_dtype(values, x.dtype)
    if not indices:
        return write(view, view + v if accumulate else v, "index_put") and out
    if view is out:
        return rows.index_put(out, v, *indices, axes=axes, accumulate=accumulate)
    write(view, rows.index_put(view, v, *indices, axes=axes, accumulate=accumulate), "index_put")
    return out


def setitem(x: Tensor, key: Any, value: Any) -> None:
    """`x[key] = value`."""
    if mode.grad:
        check_leaf(x, "x[key] = value")
    if not isinstance(value, Tensor):
        value = as_tensor(value, dtype=x.dtype, device=x.device)
    elif value._a.dtype != x._a.dtype:
        value = to_dtype(value, x.dtype)
    if value._a.ndim == 0 and value.device != x.device:
        value = value.to(x.device)
    if _is_fill(x, key, value):
        mask = reshape(key, shape=(*key._a.shape, *(1,) * (x._a.ndim - key._a.ndim)))
        apply_recorded(x, lambda old: where(mask, value, old), "x[mask] = value")
        return
    view, indices, axes = resolve(x, key)
    if not indices:
        while value._a.ndim > view._a.ndim and value._a.shape[0] == 1:
            value = value[0]
        write(view, value, "x[key] = value")
        return
    _same_shapes(indices)
    plain = all(type(t._a) is np.ndarray for t in (view, value, *indices))
    if plain and state.interceptor is None and not (mode.grad and (x._node is not None or value._node is not None)):
        _store_direct(view, indices, axes, value)
        return
    apply_recorded(view, lambda old: rows.index_put(old, value, *indices, axes=axes, accumulate=False), "x[key] = value")


def _is_fill(x: Tensor, key: Any, value: Tensor) -> bool:
    """Whether one number goes where a mask holds, and the mask's positions cannot be asked for (shapes only, vmap, capture)."""
    if not isinstance(key, Tensor) or key._a.dtype.kind != "b" or value._a.ndim:
        return False
    if type(key._a) is type(x._a) is np.ndarray and state.interceptor is None:
        return False
    return bool(key._a.shape == x._a.shape[: key._a.ndim])


def _store_direct(view: Tensor, indices: list[Tensor], axes: tuple[int, ...], value: Tensor) -> None:
    """Without a graph there is no need for a copy."""
    key: list[Any] = [_ALL] * view._a.ndim
    for axis, i in zip(axes, indices, strict=True):
        key[axis] = i._a
    try:
        view._a[tuple(key)] = value._a
    except ValueError as error:
        got = f"a value of shape {tuple(value.shape)} ({error})"
        raise IndexingError(explain("x[key] = value", expected="a value that broadcasts to the indexed part", got=got)) from None
    storage_of(view).version += 1
