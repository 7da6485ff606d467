"""Gymnasium spaces as plain data, so that a saved agent knows what it sees and does, and back. Nothing is executed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space

from flambeau.base.errors import ArgumentTypeError, FileFormatError, explain

SUPPORTED = "a Box, Discrete, MultiDiscrete or MultiBinary space"


def unsupported(op: str, space: Any) -> ArgumentTypeError:
    """The error for a space that is none of the four."""
    kind = type(space).__name__
    hint = "gymnasium.wrappers.FlattenObservation(env)" if kind in ("Dict", "Tuple") else ""
    return ArgumentTypeError(explain(op, expected=SUPPORTED, got=f"{kind} ({space})", hint=hint))


def is_image(space: Space[Any]) -> bool:
    """Whether observations are pictures: uint8 from 0 to 255 with three axes."""
    return isinstance(space, Box) and space.dtype == np.uint8 and len(space.shape) == 3 and bool((space.high == 255).all())


def describe(space: Space[Any]) -> dict[str, Any]:
    """A space as a dict of numbers, text and arrays. Raises ArgumentTypeError for one that is not supported.

    >>> describe(Discrete(2))
    {'kind': 'Discrete', 'n': 2, 'start': 0}
    """
    if isinstance(space, Box):
        return {"kind": "Box", "low": space.low, "high": space.high, "dtype": str(space.dtype)}
    if isinstance(space, Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, MultiDiscrete):
        return {"kind": "MultiDiscrete", "nvec": space.nvec, "start": space.start}
    if isinstance(space, MultiBinary):
        return {"kind": "MultiBinary", "n": int(space.n) if isinstance(space.n, (int, np.integer)) else list(space.shape)}
    raise unsupported("space", space)


def restore(description: Mapping[str, Any]) -> Space[Any]:
    """The space that `describe` described. Raises FileFormatError for anything else.

    >>> restore(describe(Discrete(2)))
    Discrete(2)
    """
    try:
        fields = dict(description)
        kind = fields.pop("kind")
        if kind == "Box":
            return Box(fields["low"], fields["high"], dtype=np.dtype(fields["dtype"]).type)
        if kind == "MultiDiscrete":
            return MultiDiscrete(fields["nvec"], start=fields["start"])
        return {"Discrete": Discrete, "MultiBinary": MultiBinary}[kind](**fields)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise FileFormatError(explain("space", expected=f"a description of {SUPPORTED}", got=f"{description!r} ({error})")) from None
