"""`torch.backends.openmp`: OpenMP, which Flambeau does not use under that name."""

from __future__ import annotations

enabled = False


def is_available() -> bool:
    """No."""
    return False


is_built = is_available
