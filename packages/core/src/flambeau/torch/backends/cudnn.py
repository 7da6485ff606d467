"""`torch.backends.cudnn`: convolutions on the CPU are deterministic, and no library is tuned, so the switches are only kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

enabled = True
benchmark = False
benchmark_limit = 10
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """Whether PyTorch's cuDNN convolutions are used: no."""
    return False


def version() -> None:
    """No version."""
    return None


@contextlib.contextmanager
def flags(
    enabled: bool = False, benchmark: bool = False, benchmark_limit: int = 10, deterministic: bool = False, allow_tf32: bool = True
) -> Iterator[None]:
    """Set the switches for a block."""
    scope = globals()
    before = {name: scope[name] for name in ("enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32")}
    scope.update(enabled=enabled, benchmark=benchmark, benchmark_limit=benchmark_limit, deterministic=deterministic, allow_tf32=allow_tf32)
    try:
        yield
    finally:
        scope.update(before)
