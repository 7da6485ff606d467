"""autocast inside `autograd.Function`: `custom_fwd` for forward, `custom_bwd` for backward. `torch.amp`'s names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau.autograd.modes import mode
from flambeau.base import dtypes, tree
from flambeau.ops.casting import autocast
from flambeau.ops.promotion import to_dtype
from flambeau.tensor.tensor import Tensor


def custom_fwd(fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """Decorate `forward`: it runs under the autocast that is on, or, with `cast_inputs`, on floating-point inputs of that dtype with
    autocast off (where it was on).

    >>> import flambeau as fb
    >>> class Double(fb.autograd.Function):
    ...     @staticmethod
    ...     @custom_fwd(device_type="cpu", cast_inputs=fb.float32)
    ...     def forward(ctx, x):
    ...         return x * 2
    ...
    ...     @staticmethod
    ...     @custom_bwd(device_type="cpu")
    ...     def backward(ctx, g):
    ...         return g * 2
    >>> with fb.autocast("cpu"):
    ...     print(Double.apply(fb.ones(1, dtype=fb.bfloat16)).dtype)
    flambeau.float32
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._casting = mode.casting
        if cast_inputs is None or not any(name == device_type for name, _ in mode.casting or ()):
            return fwd(ctx, *args, **kwargs)
        args, kwargs = tree.map(functools.partial(_cast, dtypes.as_dtype(cast_inputs)), (args, kwargs))
        with autocast(device_type, enabled=False):
            ctx._casting = mode.casting
            return fwd(ctx, *args, **kwargs)

    return forward


def _cast(dtype: dtypes.dtype, x: Any) -> Any:
    return to_dtype(x, dtype) if isinstance(x, Tensor) and x._a.dtype.kind in "fV" and x.dtype is not dtypes.float64 else x


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """Decorate `backward`: it runs under the autocast that `forward` ran under. See `custom_fwd`."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(ctx: Any, *args: Any) -> Any:
        before, mode.casting = mode.casting, ctx._casting
        try:
            return bwd(ctx, *args)
        finally:
            mode.casting = before

    return backward
