"""`torch.jit`: scripts are Python here; `trace` captures; `save` and `load` are those of export, with the arguments of the first call."""

from __future__ import annotations

import copy
import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Final, TypeVar

import flambeau
from flambeau.base import tree
from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.compiler import compile
from flambeau.torch import _saving

F = TypeVar("F")

__all__ = [
    "Attribute", "Final", "ScriptFunction", "ScriptModule", "annotate", "export", "freeze", "ignore", "is_scripting", "is_tracing",
    "isinstance", "load", "optimize_for_inference", "save", "script", "script_if_tracing", "script_method", "trace", "unused",
]  # fmt: skip

_isinstance = isinstance
File = str | os.PathLike[str] | IO[bytes]


@dataclass(frozen=True)
class _Outline:
    """What is remembered of a tensor that a call was given."""

    shape: tuple[int, ...]
    dtype: Any
    device: Any


def _outlined(values: Any) -> Any:
    return tree.map(lambda t: _Outline(tuple(t.shape), t.dtype, t.device) if _isinstance(t, flambeau.Tensor) else t, values)


def _example_of(values: Any) -> Any:
    return tree.map(lambda t: flambeau.zeros(t.shape, dtype=t.dtype, device=t.device) if _isinstance(t, _Outline) else t, values)


class _Called:
    """Remembers the arguments of its first call, which are the example for `save`."""

    _example: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._example is None:
            self.__dict__["_example"] = _outlined((args, kwargs))
        return super().__call__(*args, **kwargs)  # type: ignore[misc]

    def save(self, f: File, _extra_files: Any = None) -> None:
        """`torch.jit.save` of this."""
        save(self, f, _extra_files)


class ScriptModule(_Called, flambeau.nn.Module):
    """A module that `trace`, `script` or `load` returned."""


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

    def save(self, f: File, _extra_files: Any = None) -> None:
        """Refused: the file is there already."""
        hint = "copy the file that it was loaded from"
        raise ArgumentTypeError(explain("torch.jit.save", expected="what trace() or script() returned", got="a loaded program", hint=hint))


def _as_script(module: flambeau.nn.Module, example: Any) -> ScriptModule:
    """The same module, of the same class and parameters, that is a ScriptModule too."""
    made = copy.copy(module)
    kind = type(module)
    if not issubclass(kind, ScriptModule):
        made.__class__ = type(kind.__name__, (kind, ScriptModule), {"__module__": kind.__module__, "__qualname__": kind.__qualname__})
    made.__dict__["_example"] = example
    return made  # type: ignore[return-value]


class _Plain:
    """A function that is called as it is."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.fn(*args, **kwargs)


class ScriptFunction(_Called, _Plain):
    """A function that `trace` or `script` returned."""


def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
    """What Python runs as it is: a class itself, a function as a ScriptFunction, a module as a ScriptModule with the same parameters."""
    if _isinstance(obj, flambeau.nn.Module):
        return _as_script(obj, None)
    return ScriptFunction(obj) if inspect.isfunction(obj) else obj


def script_method(fn: F) -> F:
    """The function itself."""
    return fn


script_if_tracing = script_method


def trace(func: Any, example_inputs: Any = None, **options: Any) -> Any:
    """The function or module, compiled for inputs like the example; the example is kept for `save`."""
    inputs = example_inputs if _isinstance(example_inputs, tuple) else (example_inputs,)
    made: Any
    if _isinstance(func, flambeau.nn.Module):
        made = _as_script(func, (inputs, {}))
    else:
        made = ScriptFunction(func)
        made.fn, made._example = compile(func), (inputs, {})
    with flambeau.no_grad():
        made(*inputs)
    return made


def save(m: Any, f: File, _extra_files: Any = None) -> None:
    """Write what `trace` or `script` returned, to a path or an open file; see `flambeau.export`.

    Its arguments are like those of the trace, or of its first call. A scripted module that was never called is written as a whole, and
    only a program that has its class can load it.
    """
    if not _isinstance(m, _Called):
        hint = "traced = torch.jit.trace(module, example_input) first, or flambeau.export.save(module, path, example_input)"
        raise ArgumentTypeError(explain("torch.jit.save", expected="what trace() or script() returned", got=type(m).__name__, hint=hint))
    _no_extra_files(_extra_files)
    if m._example is None:
        if not _isinstance(m, flambeau.nn.Module):
            hint = "call it once, or use torch.jit.trace"
            raise ArgumentTypeError(explain("torch.jit.save", expected="a function that was called", got="one that was not", hint=hint))
        _saving.save(m, f)
        return
    from flambeau import export

    args, kwargs = _example_of(m._example)
    fn = m.__wrapped__ if _isinstance(m, ScriptFunction) else m
    export.save(fn, f, args, kwargs, format="flambeau")


def _no_extra_files(files: Any) -> None:
    if files:
        raise ArgumentError(explain("torch.jit", expected="no _extra_files", got=f"{len(files)}", hint="write them beside the program"))


def load(f: File, map_location: Any = None, _extra_files: Any = None) -> Any:
    """What `save` wrote, as a module; see `flambeau.export.load`."""
    from flambeau.export.codec import decode
    from flambeau.export.loaded import Loaded

    _no_extra_files(_extra_files)
    found = _saving.load(f, map_location, weights_only=False)
    if _isinstance(found, flambeau.nn.Module):
        return _as_script(found, None)
    return _Program(Loaded(decode(found, str(f)), None))


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
