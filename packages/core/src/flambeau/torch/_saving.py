"""`torch.save` and `torch.load`: Flambeau's, and whole modules besides, whose classes the loading program must have imported itself.

A module is stored as the name of its class and its attributes. Loading makes an object of that class without calling anything of it, and
only if the class is already imported and derives from `nn.Module`; a file cannot make Python import or run code.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
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
    **options: Any,
) -> Any:
    """`torch.load`: as `flambeau.load`, and modules as a whole if `weights_only=False`."""
    found = _load(f, map_location, mmap=bool(mmap))
    return _unpacked(found, weights_only is False, {})


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


def _unpacked(obj: Any, modules: bool, made: dict[Any, Any]) -> Any:
    if isinstance(obj, Parameter) and obj.is_cpu and obj.numel():  # tied parameters are one object again
        return made.setdefault((obj.data_ptr(), obj.shape, obj.stride(), obj.dtype), obj)
    if type(obj) in (list, tuple):
        return type(obj)(_unpacked(value, modules, made) for value in obj)
    if type(obj) not in (dict, OrderedDict):
        return obj
    kind = obj.get("!kind")
    if kind == _FUNCTION and set(obj) == {"!kind", "name"}:
        home, _, name = str(obj["name"]).partition(":")
        function = _function(home, name)
        if function is None:
            raise FileFormatError(explain("torch.load", expected="an operation of Flambeau", got=repr(obj["name"])))
        return function
    if kind == _MODULE and set(obj) == {"!kind", "class", "attributes"}:
        if not modules:
            got = f"a module of class {obj['class']!r}"
            raise FileFormatError(explain("torch.load", expected="weights only", got=got, hint="weights_only=False"))
        found = object.__new__(_class_of(str(obj["class"])))
        found.__dict__.update({key: _unpacked(value, modules, made) for key, value in obj["attributes"].items()})
        blank = Module()
        for key, value in blank.__dict__.items():
            found.__dict__.setdefault(key, value)
        return found
    result: Any = type(obj)((key, _unpacked(value, modules, made)) for key, value in obj.items())
    if hasattr(obj, "_metadata"):
        result._metadata = obj._metadata
    return result


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
