"""Models by name, with weights."""

from __future__ import annotations

import inspect
import os
from typing import Any

from flambeau.base.errors import NameNotFound, did_you_mean, explain
from flambeau.base.registry import query, registry
from flambeau.hub.reading import load_weights
from flambeau.hub.weights import Weights


def list(kind: str = "models", *, domain: str | None = None) -> Any:
    """The names of registered models (or `"weights"`, or another kind), sorted.

    >>> "nothing of this name" in list()
    False
    """
    short = {*registry(kind).names()}
    return [entry.name if entry.name in short else entry.full_name for entry in query(kind, domain=domain)]


def load(name: str, weights: Any = None, *, key: str | None = None, **options: Any) -> Any:
    """A registered model, with weights or without.

    `weights` is None (fresh), a tag such as "DEFAULT" or "IMAGENET1K_V2", a `Weights`, or where they are: a file, a folder or
    `hf://org/name@revision` (then the model is in evaluation mode; `key` as in `load_weights`). `options` go to the model's builder.

    Raises NameNotFound for an unknown model or tag, with the nearest names.
    """
    build = registry("models").get(name)
    if weights is None:
        return build(**options)
    if isinstance(weights, Weights):
        return _filled(build(**options), load_weights(weights.path(), key))
    if isinstance(weights, os.PathLike) or (isinstance(weights, str) and _is_place(weights)):
        return _filled(build(**options), load_weights(weights, key))
    full = f"{name}.{weights}"
    if isinstance(weights, str) and full in registry("weights"):
        found: Weights = registry("weights").get(full)
        return _filled(build(**options), load_weights(found.path(), key))
    if "weights" in inspect.signature(build).parameters:
        return build(weights=weights, **options)
    known = [entry.name for entry in registry("weights").entries() if entry.name.startswith(f"{name}.")]
    hint = did_you_mean(full, known) or (f"one of {', '.join(known)}" if known else "weights=None")
    raise NameNotFound(explain(f"weights of {name!r}", expected="a registered tag, a file or an address", got=repr(weights), hint=hint))


def _is_place(weights: str) -> bool:
    return "://" in weights or os.sep in weights or "/" in weights or os.path.exists(weights)


def _filled(model: Any, state: dict[str, Any]) -> Any:
    model.load_state_dict(state)
    return model.eval()
