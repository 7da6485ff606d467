"""`torch._dynamo`: the few names of PyTorch's compiler that libraries use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from flambeau.torch.compiler import allow_in_graph, disable, is_compiling, reset

__all__ = ["allow_in_graph", "config", "disable", "graph_break", "is_compiling", "mark_dynamic", "mark_static_address", "reset"]

config = SimpleNamespace(cache_size_limit=8, suppress_errors=False, verbose=False)


def graph_break() -> None:
    """Nothing."""


def mark_dynamic(tensor: Any, index: Any, **options: Any) -> None:
    """Nothing: shapes are seen at each call."""


def mark_static_address(tensor: Any, guard: bool = True) -> None:
    """Nothing."""
