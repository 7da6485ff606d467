"""What the loop asks about batches, whatever containers they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from flambeau.base import tree
from flambeau.base.errors import ArgumentError, explain


def size_of(batch: Any) -> int:
    """The number of samples: the first size of the first tensor or array in it, 1 when there is none.

    >>> import flambeau as fb
    >>> size_of({"x": fb.zeros(3, 2), "name": ["a", "b", "c"]})
    3
    """
    shapes = (leaf.shape for leaf in tree.leaves(batch) if getattr(leaf, "shape", None))
    return int(next(shapes, (1,))[0])


def to_device(batch: Any, device: Any) -> Any:
    """The batch with all that has a method `to` (tensors, packed sequences) on the device; the rest as it is."""
    return tree.map(lambda leaf: leaf.to(device) if _moves(leaf) else leaf, batch, is_leaf=_moves)


def _moves(leaf: Any) -> bool:
    return hasattr(leaf, "to")


def count_steps(loader: Iterable[Any], epochs: int, max_steps: int | None, accumulate: int) -> int | None:
    """How many updates a run has, None where the loader does not know its length."""
    try:
        steps: int | None = epochs * -(-len(loader) // accumulate)  # type: ignore[arg-type]
    except TypeError:
        steps = None
    bounds = [bound for bound in (steps, max_steps) if bound is not None]
    return min(bounds, default=None)


def stateful(candidates: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the objects that can save and restore a state.

    >>> stateful({"train": [1, 2], "scheduler": None})
    {}
    """
    return {name: value for name, value in candidates.items() if hasattr(value, "state_dict") and hasattr(value, "load_state_dict")}


def iterate(loader: Iterable[Any], taken: int) -> Iterator[Any]:
    """The batches of an epoch from which `taken` were taken before the run was interrupted.

    Raises ArgumentError where the loader cannot go on from there.
    """
    if taken and not hasattr(loader, "load_state_dict"):
        if not isinstance(loader, Sequence):
            got = f"a {type(loader).__name__} in the middle of an epoch"
            raise ArgumentError(explain("resume", expected="a DataLoader or a list of batches", got=got, hint="flambeau.data.DataLoader"))
        loader = loader[taken:]
    return iter(loader)
