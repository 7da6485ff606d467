"""`torch.jit`: scripts are Python here, so `script` changes nothing; `trace` captures, `save` and `load` are those of export."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

import flambeau
from flambeau.base.errors import ArgumentTypeError, explain
from flambeau.compiler import compile

F = TypeVar("F")

__all__ = [
    "Attribute", "Final", "ScriptFunction", "ScriptModule", "annotate", "export", "freeze", "ignore", "is_scripting", "is_tracing",
    "isinstance", "load", "optimize_for_inference", "save", "script", "script_if_tracing", "script_method", "trace", "unused",
]  # fmt: skip

_isinstance = isinstance
_inputs: dict[int, tuple[Any, tuple[Any, ...]]] = {}  # id of a traced function -> (it, its example inputs)


class ScriptModule(flambeau.nn.Module):
    """A module that `trace`, `script` or `load` returned."""

    _example: tuple[Any, ...] | None = None

    def save(self, f: str | os.PathLike[str], _extra_files: Any = None) -> None:
        """`torch.jit.save` of this module."""
        save(self, f)


class _Program(ScriptModule):
    """An exported program as a module: its weights are those of the file and stay as they are."""

    def __init__(self, program: Any) -> None:
        super().__init__()
        self.program = program

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.program(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The weights by name."""
        return dict(self.program.weights)

    def save(self, f: str | os.PathLike[str], _extra_files: Any = None) -> None:
        """Refused: the file is there already."""
        hint = "copy the file that it was loaded from"
        raise ArgumentTypeError(explain("torch.jit.save", expected="what trace() returned", got="a loaded program", hint=hint))


def _traced(module: flambeau.nn.Module, example: tuple[Any, ...] | None) -> ScriptModule:
    """The same module, of the same class and parameters, that is a ScriptModule too."""
    made = copy.copy(module)
    kind = type(module)
    if not issubclass(kind, ScriptModule):
        made.__class__ = type(kind.__name__, (kind, ScriptModule), {"__module__": kind.__module__, "__qualname__": kind.__qualname__})
    assert _isinstance(made, ScriptModule)
    made._example = example
    return made


class ScriptFunction:
    """Only a type to test against: a scripted function is an ordinary one here."""


def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
    """The function or class itself, a module as a ScriptModule with the same parameters: Python runs it. To save one, `trace` it."""
    return _traced(obj, None) if _isinstance(obj, flambeau.nn.Module) else obj


script_method = script_if_tracing = script


def trace(func: Any, example_inputs: Any = None, **options: Any) -> Any:
    """The function or module, compiled for inputs like the example; the example is kept for `save`."""
    inputs = example_inputs if _isinstance(example_inputs, tuple) else (example_inputs,)
    module = _isinstance(func, flambeau.nn.Module)
    made = _traced(func, inputs) if module else compile(func)
    with flambeau.no_grad():
        made(*inputs)
    if not module:
        _inputs[id(made)] = (made, inputs)
    return made


def save(m: Any, f: str | os.PathLike[str], _extra_files: Any = None) -> None:
    """Write a traced module or function as a program that `load` runs without its Python code; see `flambeau.export`."""
    known = _inputs.get(id(m))
    inputs = m._example if _isinstance(m, ScriptModule) else known[1] if known and known[0] is m else None
    if inputs is None:
        hint = "traced = torch.jit.trace(module, example_input) first, or flambeau.export.save(module, path, example_input)"
        raise ArgumentTypeError(explain("torch.jit.save", expected="what trace() returned", got=type(m).__name__, hint=hint))
    from flambeau import export

    export.save(getattr(m, "fn", m), f, inputs)


def load(f: str | os.PathLike[str], map_location: Any = None, _extra_files: Any = None) -> Any:
    """A program that `save` wrote, as a module; see `flambeau.export.load`."""
    from flambeau import export

    return _Program(export.load(f))


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself."""
    return drop if callable(drop) else lambda fn: fn


def unused(fn: F) -> F:
    """The function itself."""
    return fn


export = unused


def is_scripting() -> bool:
    """False: Python runs."""
    return False


def is_tracing() -> bool:
    """False: what is captured is not seen by the program."""
    return False


def annotate(the_type: Any, the_value: F) -> F:
    """The value."""
    return the_value


def Attribute(value: F, type: Any) -> F:
    """The value."""
    return value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Python's isinstance."""
    return _isinstance(obj, target_type)


def freeze(mod: F, *args: Any, **kwargs: Any) -> F:
    """The module itself."""
    return mod


def optimize_for_inference(mod: F, *args: Any, **kwargs: Any) -> F:
    """The module itself."""
    return mod


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of the call, made at once."""
    return func(*args, **kwargs)


def wait(future: F) -> F:
    """What `fork` returned."""
    return future
