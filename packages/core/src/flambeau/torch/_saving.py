"""`torch.save` and `torch.load`: Flambeau's, and whole modules besides, whose classes the loading program must have imported itself.

A module is stored as the name of its class and its attributes. Loading makes an object of that class without calling anything of it, and
only if the class is already imported and derives from `nn.Module`; a file cannot make Python import or run code.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import flambeau
from flambeau.base.errors import ArgumentTypeError, FileFormatError, explain
from flambeau.nn import Module, Parameter
from flambeau.serialization import load as _load
from flambeau.serialization import save as _save

_MODULE, _FUNCTION = "flambeau.torch module", "flambeau.torch function"
_FUNCTION_HOMES = ("flambeau.nn.functional", "flambeau")
_OPERATIONS = ("flambeau.ops.", "flambeau.nn.")
_HOOKS = "_hooks"


def save(obj: Any, f: str | os.PathLike[str] | IO[bytes], pickle_module: Any = None, pickle_protocol: int = 2, **options: Any) -> None:
    """`torch.save`: as `flambeau.save`, and modules as a whole."""
    _save(_packed(obj, "", {}), f)


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    opaque: bool = False,
    **options: Any,
) -> Any:
    """`torch.load`: as `flambeau.load`, and modules as a whole if `weights_only=False`."""
    found = _load(f, map_location, mmap=bool(mmap), opaque=opaque)
    try:
        return _Unpacking(weights_only is False).value(found)
    except RecursionError:
        raise FileFormatError(explain("torch.load", expected="data nested less deeply", got="a file of many levels")) from None


def _packed(obj: Any, where: str, seen: dict[int, Any]) -> Any:
    if isinstance(obj, Module):
        if id(obj) in seen:
            return seen[id(obj)]
        row: dict[str, Any] = {"!kind": _MODULE, "class": f"{type(obj).__module__}:{type(obj).__qualname__}", "attributes": {}}
        seen[id(obj)] = row
        kept = {key: value for key, value in obj.__dict__.items() if not key.endswith(_HOOKS)}
        row["attributes"] = {key: _packed(value, f"{where}.{key}", seen) for key, value in kept.items()}
        return row
    if isinstance(obj, dict) and type(obj) in (dict, OrderedDict):
        made: Any = type(obj)((key, _packed(value, f"{where}[{key!r}]", seen)) for key, value in obj.items())
        if hasattr(obj, "_metadata"):
            made._metadata = obj._metadata
        return made
    if type(obj) in (list, tuple):
        return type(obj)(_packed(value, f"{where}[{position}]", seen) for position, value in enumerate(obj))
    if callable(obj) and not isinstance(obj, (type, flambeau.Tensor)) and hasattr(obj, "__name__"):
        for home in _FUNCTION_HOMES:
            if _function(home, obj.__name__) is obj:
                return {"!kind": _FUNCTION, "name": f"{home}:{obj.__name__}"}
        hint = "save model.state_dict()"
        raise ArgumentTypeError(explain("torch.save", expected="data or modules", got=f"a function at {where or 'the top'}", hint=hint))
    return obj


class _Unpacking:
    """Modules and functions in the place of the rows that stand for them. Each container is seen once, however many others hold it."""

    def __init__(self, modules: bool) -> None:
        self.modules = modules
        self.tied: dict[Any, Parameter] = {}
        self.seen: dict[int, tuple[Any, Any]] = {}  # id -> (container, what became of it)

    def value(self, obj: Any) -> Any:
        if isinstance(obj, Parameter) and obj.is_cpu and obj.numel():  # tied parameters are one object again
            return self.tied.setdefault((obj.data_ptr(), obj.shape, obj.stride(), obj.dtype), obj)
        if type(obj) not in (list, tuple, dict, OrderedDict):
            return obj
        if id(obj) not in self.seen:
            if type(obj) is tuple:
                self.seen[id(obj)] = obj, tuple(self.value(item) for item in obj)
            elif type(obj) is list:
                made: list[Any] = []
                self.seen[id(obj)] = obj, made
                made.extend(self.value(item) for item in obj)
            else:
                self._dict(obj)
        return self.seen[id(obj)][1]

    def _dict(self, obj: dict[Any, Any]) -> None:
        kind = obj.get("!kind")
        if kind == _FUNCTION and set(obj) == {"!kind", "name"}:
            self.seen[id(obj)] = obj, _named_function(str(obj["name"]))
        elif kind == _MODULE and set(obj) == {"!kind", "class", "attributes"}:
            self._module(obj)
        else:
            result: Any = type(obj)()
            self.seen[id(obj)] = obj, result
            result.update((key, self.value(item)) for key, item in obj.items())
            if hasattr(obj, "_metadata"):
                result._metadata = obj._metadata

    def _module(self, row: dict[Any, Any]) -> None:
        if not self.modules:
            got = f"a module of class {row['class']!r}"
            raise FileFormatError(explain("torch.load", expected="weights only", got=got, hint="weights_only=False"))
        attributes = row["attributes"]
        if type(attributes) is not dict or not all(type(key) is str for key in attributes):
            raise FileFormatError(explain("torch.load", expected="the attributes of a module by name", got=type(attributes).__name__))
        found = object.__new__(_class_of(str(row["class"])))
        self.seen[id(row)] = row, found
        found.__dict__.update((key, self.value(item)) for key, item in attributes.items())
        for key, value in Module().__dict__.items():
            found.__dict__.setdefault(key, value)


def _named_function(name: str) -> Any:
    home, _, attribute = name.partition(":")
    function = _function(home, attribute)
    if function is None:
        raise FileFormatError(explain("torch.load", expected="an operation of Flambeau", got=repr(name)))
    return function


def _function(home: str, name: str) -> Any:
    """A public operation on tensors; None for anything else, so that a file cannot make a module save or load."""
    found = getattr(sys.modules.get(home), name, None) if home in _FUNCTION_HOMES and not name.startswith("_") else None
    return found if getattr(found, "__module__", "").startswith(_OPERATIONS) and not isinstance(found, type) else None


def _class_of(name: str) -> type[Module]:
    """A class that is imported already and is a module."""
    home, _, path = name.partition(":")
    found: Any = sys.modules.get(home)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Module)):
        hint = f"import {home} first, or save model.state_dict()"
        raise FileFormatError(explain("torch.load", expected="a module whose class the program has imported", got=repr(name), hint=hint))
    return found


_safe: list[Any] = []


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Remember classes, as PyTorch does. It changes nothing: loading never runs anything of a class, safe or not."""
    _safe.extend(safe_globals)


def get_safe_globals() -> list[Any]:
    """The classes that were given."""
    return list(_safe)


def clear_safe_globals() -> None:
    """Forget the classes that were given."""
    _safe.clear()


@contextmanager
def safe_globals(safe_globals: list[Any]) -> Iterator[None]:
    """`add_safe_globals` for a block."""
    before = get_safe_globals()
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _safe[:] = before
