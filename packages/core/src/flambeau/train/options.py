"""Typed options: from `key=value` text (or JSON values) to the fields of a dataclass, with errors that help.

A field's type decides how its text is read; what it means is said in the annotation:

    @dataclass(frozen=True)
    class Config:
        lr: Annotated[float, "step size"] = 3e-4
        hidden: Annotated[tuple[int, ...], "units of each layer"] = (64, 64)
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from flambeau.base.errors import ArgumentError, did_you_mean, explain

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True)
class Option:
    """One field of a configuration: its name, type, default and meaning."""

    name: str
    type: Any
    default: Any
    help: str

    @property
    def type_name(self) -> str:
        """The type as a user would write it."""
        return describe(self.type)


def options(config: type) -> list[Option]:
    """The fields of a configuration dataclass, in order.

    A field's meaning is the text in `Annotated[type, "text"]`, or `field(metadata={"help": "text"})`.
    """
    hints = typing.get_type_hints(config, include_extras=True)
    rows = []
    for field in dataclasses.fields(config):
        if not field.init:
            continue
        kind, notes = hints[field.name], []
        if get_origin(kind) is Annotated:
            kind, *notes = get_args(kind)
        text = next((note for note in notes if isinstance(note, str)), field.metadata.get("help", ""))
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        rows.append(Option(field.name, kind, default, text))
    return rows


def split_assignments(pairs: Sequence[str]) -> dict[str, str]:
    """`["lr=0.1"]` -> `{"lr": "0.1"}`; the last one wins. Raises ArgumentError for text without `=`.

    >>> split_assignments(["lr=0.1", "name=a=b"])
    {'lr': '0.1', 'name': 'a=b'}
    """
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise ArgumentError(explain("--set", expected="key=value", got=repr(pair)))
        values[key.strip()] = text.strip()
    return values


def build(config: type, values: Mapping[str, Any]) -> Any:
    """An instance of the dataclass `config` with `values` (text, JSON values, or values of the right type) over its defaults.

    Raises ArgumentError for an unknown key, a value of the wrong type, a required option without a value, and whatever `__post_init__`
    finds wrong (ValueError, TypeError).
    """
    known = {option.name: option for option in options(config)}
    ready = {}
    for key, value in values.items():
        if key not in known:
            hint = did_you_mean(key, known) or (f"the options are {', '.join(known)}" if known else "this recipe has no options")
            raise ArgumentError(explain(f"option {key!r}", expected="an option of the recipe", got="an unknown one", hint=hint))
        try:
            ready[key] = coerce(value, known[key].type)
        except ValueError:
            raise ArgumentError(explain(f"option {key!r}", expected=known[key].type_name, got=repr(value))) from None
    absent = [option.name for option in known.values() if option.default is MISSING and option.name not in ready]
    if absent:
        hint = " ".join(f"--set {name}=VALUE" for name in absent)
        raise ArgumentError(explain("options", expected=f"a value for {', '.join(absent)}", got="none", hint=hint))
    try:
        return config(**ready)
    except ArgumentError:
        raise
    except (ValueError, TypeError) as error:
        raise ArgumentError(explain("options", expected="values that fit together", got=str(error))) from error


def coerce(value: Any, kind: Any) -> Any:
    """`value` as type `kind`. Text is parsed; other values must have the type already. Raises ValueError when they do not.

    >>> coerce("1e6", int), coerce("64,32", tuple[int, ...]), coerce("none", float | None)
    (1000000, (64, 32), None)
    """
    origin = get_origin(kind)
    if origin is Annotated:
        return coerce(value, get_args(kind)[0])
    if origin in (Union, types.UnionType):
        return _coerce_union(value, get_args(kind))
    if origin is Literal:
        return _coerce_literal(value, get_args(kind))
    if origin in (tuple, list) or kind in (tuple, list):
        return _coerce_sequence(value, origin or kind, get_args(kind))
    reader = _READERS.get(kind)
    if reader is not None:
        return reader(value)
    if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        return build(typing.cast("type", kind), value)
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise ValueError(value)


def describe(kind: Any) -> str:
    """A type in words: what an error expects and what the table of options shows.

    >>> describe(tuple[int, ...]), describe(float | None), describe(Literal["a", "b"])
    ('a whole number, ...', 'a number or none', "'a' or 'b'")
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return describe(parts[0])
    if origin in (Union, types.UnionType):
        return " or ".join(describe(part) for part in parts)
    if origin is Literal:
        return " or ".join(repr(part) for part in parts)
    if origin in (tuple, list):
        return ", ".join("..." if part is Ellipsis else describe(part) for part in parts) + (", ..." if origin is list else "")
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path", types.NoneType: "none"}
    return words.get(kind, getattr(kind, "__name__", str(kind)))


def _coerce_union(value: Any, arms: tuple[Any, ...]) -> Any:
    if types.NoneType in arms and (value is None or (isinstance(value, str) and value.lower() in ("none", "null"))):
        return None
    for arm in sorted(arms, key=lambda arm: arm is str):  # text takes everything, so it is tried last
        try:
            return coerce(value, arm)
        except ValueError:
            continue
    raise ValueError(value)


def _coerce_literal(value: Any, choices: tuple[Any, ...]) -> Any:
    for choice in choices:
        if (type(value) is type(choice) and value == choice) or (isinstance(value, str) and value == str(choice)):
            return choice
    raise ValueError(value)


def _coerce_sequence(value: Any, container: type, parts: tuple[Any, ...]) -> Any:
    if isinstance(value, str):
        inner = value.strip().removeprefix("(").removeprefix("[").removesuffix(")").removesuffix("]")
        value = [part.strip() for part in inner.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        raise ValueError(value)
    if container is list or not parts or parts[-1] is Ellipsis:
        kind = parts[0] if parts else str
        return container(coerce(item, kind) for item in value)
    if len(parts) != len(value):
        raise ValueError(value)
    return tuple(coerce(item, kind) for item, kind in zip(value, parts, strict=True))


def _read_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = _WORDS.get(value.lower()) if isinstance(value, str) else None
    if word is None:
        raise ValueError(value)
    return word


def _read_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(value)
    try:
        return int(value)
    except ValueError:
        number = float(value)  # "1e6"
        if not number.is_integer():
            raise
        return int(number)


def _read_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(value)
    return float(value)


def _read_str(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def _read_path(value: Any) -> Path:
    if not isinstance(value, (str, Path)):
        raise ValueError(value)
    return Path(value).expanduser()


def _read_none(value: Any) -> None:
    if value is not None:
        raise ValueError(value)


_READERS: dict[Any, Any] = {
    bool: _read_bool, int: _read_int, float: _read_float, str: _read_str, Path: _read_path, types.NoneType: _read_none,
}  # fmt: skip
