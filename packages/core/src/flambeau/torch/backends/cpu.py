"""`torch.backends.cpu`."""

from __future__ import annotations

import platform


def get_cpu_capability() -> str:
    """The kind of processor, as Python names it."""
    return platform.machine() or "DEFAULT"
