"""Arithmetic of large batches in one pass: the function is compiled for the batch's shape, and runs on all threads.

Operations one by one would write each intermediate result of the whole batch to memory and read it again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import flambeau
from flambeau import Tensor

LEAST = 1 << 20  # elements from which on it is worth it


@cache
def _program(function: Callable[..., Any]) -> Any:
    return flambeau.compile(function)


def fused(function: Callable[..., Any], image: Any, *numbers: Any) -> Any:
    """`function(image, *numbers)`; compiled where the image is large and all numbers are tensors (others would be built into the code)."""
    large = image.numel() >= LEAST and not image.requires_grad and all(isinstance(number, Tensor) for number in numbers)
    return (_program(function) if large else function)(image, *numbers)
