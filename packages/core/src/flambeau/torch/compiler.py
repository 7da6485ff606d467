"""`torch.compiler`: what programs ask around `torch.compile`, which is `flambeau.compile`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def disable(fn: Any = None, recursive: bool = True, **options: Any) -> Any:
    """The function itself: whatever cannot be captured runs as it is."""
    return fn if fn is not None else lambda inner: inner


def allow_in_graph(fn: F) -> F:
    """The function itself."""
    return fn


assume_constant_result = allow_in_graph


def is_compiling() -> bool:
    """False: capture is not seen by the program."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def reset() -> None:
    """Nothing to forget: compiled functions own what they captured."""


cudagraph_mark_step_begin = reset


def list_backends(*args: Any) -> list[str]:
    """The one compiler."""
    return ["flambeau"]
