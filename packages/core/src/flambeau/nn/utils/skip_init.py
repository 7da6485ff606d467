"""Modules without initial values."""

from __future__ import annotations

from typing import Any


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """A module whose parameters are not initialised, for values that will be loaded; `device` is where it ends up.

    >>> import flambeau as fb
    >>> fb.nn.utils.skip_init(fb.nn.Linear, 2, 3).weight.shape
    flambeau.Size([3, 2])
    """
    device = kwargs.pop("device", "cpu")
    return module_cls(*args, device="meta", **kwargs).to_empty(device=device)
