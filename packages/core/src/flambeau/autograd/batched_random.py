"""Random numbers inside `vmap`: an error, the same for all examples, or different ones, as each vmap around says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from flambeau.autograd.batched import Frame, batched, frames, innermost, unbatched
from flambeau.base.errors import GradientError, explain
from flambeau.primitives import batching
from flambeau.primitives.bind import state
from flambeau.primitives.movement import cat, reshape
from flambeau.primitives.source import make
from flambeau.primitives.source import random as random_row


def _refused(what: str) -> GradientError:
    hint = 'vmap(..., randomness="different") or "same"'
    return GradientError(explain("vmap", expected="a function without random numbers", got=f"a draw ({what})", hint=hint))


def _draw(device: Any, params: dict[str, Any]) -> Any:
    """A draw whose parameters are the same for all examples."""
    owners = frames.stack
    if any(f.randomness == "error" for f in owners):
        raise _refused(params["draw"])
    generator = params["generator"]
    for f in owners:
        if f.starts is not None and id(generator) not in f.starts:
            f.starts[id(generator)] = (generator, generator.get_state())
    apart = [f for f in owners if f.randomness == "different"]
    sizes, shape, args = tuple(f.size for f in apart), params["shape"], params["args"]
    if not apart:
        return make(random_row, device, **params)
    places = [i for i, a in enumerate(args) if isinstance(a, tuple) and a == shape]
    if places:
        full = (*sizes, *shape)
        args = tuple(full if i == places[0] else a for i, a in enumerate(args))
        out = make(random_row, device, **{**params, "shape": full, "args": args})
    else:
        parts = [reshape(make(random_row, device, **params), shape=(1, *shape)) for _ in range(prod(sizes))]
        out = reshape(cat(*parts, axis=0), shape=(*sizes, *shape))
    for f in apart:
        out = batched(out, 0, f)
    return out


def draw(device: Any, params: dict[str, Any]) -> Any:
    """What `source` does with random numbers once vmap has been used."""
    return _draw(device, params) if frames.stack else make(random_row, device, **params)


state.draw = draw


def together(fn: Callable[..., Any], tensors: Sequence[Any]) -> Any:
    """`fn(*tensors)`, a draw whose parameters are batched tensors, made for all examples of the innermost vmap at once."""
    owner = innermost([t._a for t in tensors])
    assert isinstance(owner, Frame)
    if owner.randomness == "error":
        raise _refused("with batched parameters")
    if owner.randomness == "same":
        got = "parameters that differ between examples"
        raise GradientError(explain("vmap", expected='one draw for all examples (randomness="same")', got=got, hint='"different"'))
    rank = max(t._a.ndim for t in tensors)
    inner = [batching.lift(unbatched(t, owner, 0), rank) for t in tensors]
    place = frames.stack.index(owner)
    del frames.stack[place]  # the batch is in the parameters
    try:
        return batched(fn(*inner), 0, owner)
    finally:
        frames.stack.insert(place, owner)
