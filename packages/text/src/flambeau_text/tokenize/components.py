"""How a JSON object of `tokenizer.json` becomes a component: a table of types, and fields that are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flambeau.base.errors import FileFormatError, did_you_mean, explain

T = TypeVar("T")
_REQUIRED: Any = object()


def builder(kind: str, types: Mapping[str, Callable[[dict[str, Any]], T]], spec: Any) -> T:
    """What the entry of `types` named by the object's "type" makes of it."""
    if not isinstance(spec, dict):
        raise FileFormatError(explain("tokenizer.json", expected=f"an object as {kind}", got=repr(spec)[:100]))
    name = spec.get("type")
    make = types.get(name) if isinstance(name, str) else None
    if make is None:
        hint = did_you_mean(str(name), types) or f"one of {', '.join(types)}"
        raise FileFormatError(explain("tokenizer.json", expected=f"a {kind} that is known", got=repr(name), hint=hint))
    return make(spec)


def field(spec: Mapping[str, Any], name: str, kind: type[T], default: Any = _REQUIRED) -> T:
    """A field of an object, of this type. Raises FileFormatError where it is absent without a default, or of another type."""
    value = spec.get(name, default)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # type: ignore[return-value]
    what = f"{kind.__name__} {name!r} in {spec.get('type', 'an object')}"
    raise FileFormatError(explain("tokenizer.json", expected=what, got="nothing" if value is _REQUIRED else repr(value)[:100]))
