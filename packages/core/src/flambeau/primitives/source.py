"""Rows without inputs: constants, ranges and random numbers. They are bound with a device, `source(prim, device, **params)`."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, FlambeauError, explain
from flambeau.device.base import backend, default_device, executors
from flambeau.primitives.bind import state
from flambeau.primitives.prim import primitive


def source(prim: Any, device: Any = None, **params: Any) -> Any:
    """Bind a primitive that has no inputs on a device."""
    if state.interceptor is not None:
        return state.interceptor(prim, (), {"device": device, **params})
    if state.draw is not None and prim is random:
        return state.draw(device, params)
    return make(prim, device, **params)


def make(prim: Any, device: Any, **params: Any) -> Any:
    """Run now."""
    where = default_device() if device is None else device
    owner = backend(where)
    try:
        with owner.scope(where):
            return state.wrap(owner.run(prim, [], (), params))
    except (OverflowError, MemoryError, ValueError, TypeError) as error:
        if isinstance(error, FlambeauError):
            raise
        given = ", ".join(f"{k}={v!r}" for k, v in params.items() if k != "generator")
        raise ArgumentError(explain(prim.name, expected="arguments that make a tensor", got=f"{given} ({error})")) from None


full = primitive(
    "full", "", kernel=lambda xp, shape, value, dtype: xp.full(shape, value, dtype), rule=lambda shape, value, dtype: (shape, dtype)
)
empty = primitive("empty", "", kernel=lambda xp, shape, dtype: xp.empty(shape, dtype), rule=lambda shape, dtype: (shape, dtype))


def _count(start: Any, stop: Any, step: Any) -> int:
    return max(int(np.ceil((stop - start) / step)), 0)


def _arange(xp: Any, start: Any, stop: Any, step: Any, dtype: np.dtype) -> Any:
    """start + i * step, computed in double precision for floats so that no error adds up."""
    count = _count(start, stop, step)
    if dtype.kind in "iu":
        return (start + xp.arange(count, dtype=np.int64) * step).astype(dtype)
    return (start + xp.arange(count, dtype=np.float64) * step).astype(dtype)


arange = primitive("arange", "", kernel=_arange, rule=lambda start, stop, step, dtype: ((_count(start, stop, step),), dtype))


def _linspace(xp: Any, start: Any, stop: Any, steps: int, dtype: np.dtype) -> Any:
    """From both ends towards the middle, as PyTorch does, so that both ends are exact."""
    if steps == 1:
        return xp.full((1,), start, dtype)
    if dtype.kind == "c":
        return xp.linspace(start, stop, steps).astype(dtype)
    i = xp.arange(steps, dtype=np.float64)
    step = (stop - start) / (steps - 1) if steps > 1 else 0
    out = xp.where(i < steps // 2, start + i * step, stop - (steps - 1 - i) * step)
    return (xp.trunc(out) if dtype.kind in "iu" else out).astype(dtype)


linspace = primitive("linspace", "", kernel=_linspace, rule=lambda start, stop, steps, dtype: ((steps,), dtype))


def _eye(xp: Any, n: int, m: int, dtype: np.dtype) -> Any:
    return xp.eye(n, m, dtype=dtype)


eye = primitive("eye", "", kernel=_eye, rule=lambda n, m, dtype: ((n, m), dtype))


def zeros_like_shape(x: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of any shape, with x's dtype, where x lives (inside a batch: not batched)."""
    where = executors[type(x._a)].device_of(x._a)
    return source(full, where, shape=shape, value=0, dtype=x._a.dtype)


# -- random numbers: `draw` names a method of the generator (primitives/generator.py)
def _random(xp: Any, generator: Any, draw: str, args: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype) -> Any:
    array = getattr(generator, draw)(*args)
    return array if xp is np else xp.asarray(array)


random = primitive("random", "", kernel=_random, rule=lambda generator, draw, args, shape, dtype: (shape, dtype))
