"""The configuration epoch: a number that changes whenever Python state that a captured program may have read changes.

Modules count it up when an attribute is bound to another object, in `train()` and `eval()`, and when their tensors are replaced; optimizers
when a setting changes. A program captured in one epoch is known to be current while the number stays the same.
"""

from __future__ import annotations


class Epoch:
    """A counter that every layer can reach."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


epoch = Epoch()
