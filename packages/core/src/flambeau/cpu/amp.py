"""Mixed precision under `torch.cpu.amp`'s names."""

from __future__ import annotations

from typing import Any

from flambeau.amp.grad_scaler import GradScaler as _GradScaler
from flambeau.base.dtypes import bfloat16
from flambeau.ops.casting import autocast as _autocast


class autocast(_autocast):
    """`flambeau.autocast("cpu", ...)`."""

    def __init__(self, enabled: bool = True, dtype: Any = bfloat16, cache_enabled: bool = True) -> None:
        super().__init__("cpu", dtype, enabled, cache_enabled)


class GradScaler(_GradScaler):
    """`flambeau.amp.GradScaler("cpu", ...)`."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__("cpu", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


__all__ = ["GradScaler", "autocast"]
