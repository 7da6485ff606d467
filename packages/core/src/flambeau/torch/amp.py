"""`torch.amp`: `autocast` and `GradScaler`.

Operations run in the dtype of their inputs here, so inside `autocast` a float32 model computes in float32: slower than half precision
would be on a GPU, and never less precise. `GradScaler` scales, checks and steps as in PyTorch.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import flambeau
from flambeau.base.errors import ArgumentError, explain

_nesting: list[autocast] = []


class autocast:
    """Marks a region in which PyTorch would lower the precision; a context manager and a decorator.

    `device_type`, `dtype` and `cache_enabled` are PyTorch's. The state can be asked for (`is_autocast_enabled`); values stay as they are.

    >>> with autocast("cpu", dtype=flambeau.bfloat16):
    ...     is_autocast_enabled("cpu"), (flambeau.ones(2, 2) @ flambeau.ones(2, 2)).dtype
    (True, flambeau.float32)
    """

    def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None) -> None:
        if not isinstance(device_type, str):
            raise ArgumentError(explain("autocast", expected="a device type such as 'cuda'", got=repr(device_type)))
        self.device = device_type
        self.fast_dtype = dtype if dtype is not None else _default_dtype(device_type)
        self._enabled = bool(enabled)

    def __enter__(self) -> autocast:
        _nesting.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _nesting.pop()

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return inside


class cuda_autocast(autocast):
    """`torch.cuda.amp.autocast(enabled=True)`: autocast for CUDA."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


def _default_dtype(device_type: str) -> Any:
    return flambeau.bfloat16 if device_type == "cpu" else flambeau.float16


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether the innermost `autocast` for this device type is switched on."""
    found = [region for region in _nesting if region.device == device_type]
    return bool(found) and found[-1]._enabled


def get_autocast_dtype(device_type: str) -> Any:
    """The dtype that the innermost `autocast` for this device type names."""
    found = [region for region in _nesting if region.device == device_type]
    return found[-1].fast_dtype if found else _default_dtype(device_type)


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` may be used with this device type."""
    return device_type in ("cpu", "cuda")


class GradScaler:
    """Scales losses so that small gradients survive half precision; skips steps whose gradients overflowed, and adapts the scale.

    The scale grows by `growth_factor` after `growth_interval` steps without overflow and shrinks by `backoff_factor` after one
    with. Where there is no GPU, a scaler for CUDA is switched off with a warning, as in PyTorch.

    >>> scaler = GradScaler("cpu", init_scale=4.0)
    >>> p = flambeau.nn.Parameter(flambeau.ones(1))
    >>> optimizer = flambeau.optim.SGD([p], lr=1.0)
    >>> scaler.scale(p.sum()).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> p.item(), scaler.get_scale()
    (0.0, 4.0)
    """

    def __init__(
        self, device: str = "cuda", init_scale: float = 65536.0, growth_factor: float = 2.0, backoff_factor: float = 0.5,
        growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        if enabled and device == "cuda" and not flambeau.cuda.is_available():
            warnings.warn("GradScaler is switched off, because there is no CUDA device here", stacklevel=2)
            enabled = False
        if growth_factor <= 1.0 or not 0.0 < backoff_factor < 1.0:
            got = f"{growth_factor} and {backoff_factor}"
            raise ArgumentError(explain("GradScaler", expected="growth_factor > 1 and 0 < backoff_factor < 1", got=got))
        self._device, self._enabled = device, enabled
        self._scale, self._growth_factor, self._backoff_factor = float(init_scale), float(growth_factor), float(backoff_factor)
        self._growth_interval, self._growth_tracker = int(growth_interval), 0
        self._found: dict[int, bool] = {}  # id of an optimizer whose gradients are unscaled -> whether they overflowed
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """The tensor, or each of an iterable of tensors, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, flambeau.Tensor):
            return outputs * self._scale
        if isinstance(outputs, Iterable):
            return type(outputs)(self.scale(output) for output in outputs)  # type: ignore[call-arg]
        raise ArgumentError(explain("GradScaler.scale", expected="a tensor or an iterable of tensors", got=type(outputs).__name__))

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, in place, and note whether one is infinite or NaN."""
        if not self._enabled:
            return
        if id(optimizer) in self._found:
            raise ArgumentError(explain("GradScaler.unscale_", expected="one call for each optimizer since update()", got="a second one"))
        found = False
        with flambeau.no_grad():
            for group in optimizer.param_groups:
                for grad in (p.grad for p in group["params"] if p.grad is not None):
                    grad.mul_(1.0 / self._scale)
                    found = found or not bool(flambeau.isfinite(grad).all())
        self._found[id(optimizer)] = found

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step()`, after unscaling if that was not done; skipped if a gradient is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) in self._stepped:
            raise ArgumentError(explain("GradScaler.step", expected="one call for each optimizer since update()", got="a second one"))
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Adapt the scale to what was found since the last call, or set it."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif any(self._found.values()):
            self._scale, self._growth_tracker = self._scale * self._backoff_factor, 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale, self._growth_tracker = self._scale * self._growth_factor, 0
        self._found, self._stepped = {}, set()

    def get_scale(self) -> float:
        """The scale; 1.0 where scaling is switched off."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's keys: scale, growth_factor, backoff_factor, growth_interval, _growth_tracker; empty where switched off."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale, "growth_factor": self._growth_factor, "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval, "_growth_tracker": self._growth_tracker,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state."""
        if not self._enabled:
            return
        if not state_dict:
            raise ArgumentError(explain("GradScaler.load_state_dict", expected="the state of a scaler that scales", got="an empty one"))
        self._scale, self._growth_factor = float(state_dict["scale"]), float(state_dict["growth_factor"])
        self._backoff_factor, self._growth_interval = float(state_dict["backoff_factor"]), int(state_dict["growth_interval"])
        self._growth_tracker = int(state_dict["_growth_tracker"])
