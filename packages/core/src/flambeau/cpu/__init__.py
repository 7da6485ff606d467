"""The CPU as a device, under the names of `torch.cpu`."""

from __future__ import annotations

from typing import Any

from flambeau.cpu import amp as amp


def is_available() -> bool:
    """Always true."""
    return True


def device_count() -> int:
    """There is one."""
    return 1


def current_device() -> str:
    """Its name."""
    return "cpu"


def set_device(device: Any) -> None:
    """There is nothing to choose."""


def synchronize(device: Any = None) -> None:
    """NumPy has finished when it returns."""
