"""`make_tensor`: tensors of random values for tests."""

from __future__ import annotations

import math
from typing import Any

from flambeau.base import dtypes
from flambeau.base.dtypes import as_dtype, finfo, iinfo
from flambeau.base.errors import ArgumentError, explain
from flambeau.base.shapes import sizes_from
from flambeau.ops.pointwise import complex as make_complex
from flambeau.ops.pointwise import where
from flambeau.ops.random import rand, randint
from flambeau.tensor.tensor import Tensor


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any = "cpu",
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
) -> Tensor:
    """A tensor of values uniform in [low, high), drawn from the default generator (`torch.testing.make_tensor`).

    The default bounds are [0, 2) for bool, [0, 10) for uint8, [-9, 10) for other integers and [-9, 9) for floats and both parts of complex
    numbers. `noncontiguous` gives a view of every second element; `exclude_zero` replaces zeros by the dtype's smallest step.

    >>> import flambeau as fb
    >>> t = make_tensor(2, 3, dtype=fb.float32, low=0, high=1, noncontiguous=True)
    >>> t.shape, t.is_contiguous(), bool((t < 1).all())
    (flambeau.Size([2, 3]), False, True)
    """
    sizes, d = sizes_from("make_tensor", shape), as_dtype(dtype, "make_tensor")
    low, high = _bounds(d, low, high)
    if not low < high:
        raise ArgumentError(explain("make_tensor", expected="low < high", got=f"low={low}, high={high}"))
    stretched = (*sizes[:-1], 2 * sizes[-1]) if noncontiguous and sizes else sizes
    made: Any = _draw(stretched, d, low, high, device)
    if exclude_zero:
        step = 1 if d.category < 2 else finfo(d.to_real()).tiny
        made = where(made == 0, step, made)
    if stretched != sizes:
        made = made[..., ::2]
    return made.requires_grad_() if requires_grad else made


def _bounds(d: Any, low: float | None, high: float | None) -> tuple[float, float]:
    standard = (0, 2) if d is dtypes.bool_ else (0, 10) if not d.is_signed else (-9, 10) if d.category == 1 else (-9.0, 9.0)
    low, high = standard[0] if low is None else low, standard[1] if high is None else high
    if d.category == 1:
        info = iinfo(d)
        return max(math.floor(low), info.min), min(math.ceil(high), info.max + 1)
    return low, high


def _draw(sizes: tuple[int, ...], d: Any, low: float, high: float, device: Any) -> Any:
    if d.category < 2:
        return randint(int(low), int(high), sizes, dtype=dtypes.int64, device=device).to(d)
    real = d.to_real()
    parts = [rand(sizes, dtype=real, device=device) * (high - low) + low for _ in range(2 if d.is_complex else 1)]
    return make_complex(*parts) if d.is_complex else parts[0]
