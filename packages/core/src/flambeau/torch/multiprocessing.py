"""`torch.multiprocessing`: Python's multiprocessing. Tensors that are sent arrive as copies."""

from multiprocessing import *  # noqa: F403
from multiprocessing import get_context as get_context


def set_sharing_strategy(new_strategy: str) -> None:
    """Kept for programs that call it; tensors are copied."""


def get_sharing_strategy() -> str:
    """Tensors are copied."""
    return "copy"
