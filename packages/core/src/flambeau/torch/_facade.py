"""Modules of PyTorch's names, and the finders that let `import torch` reach them.

Below `flambeau.torch` the names exist always; `install` gives them, and those of torchvision and torchaudio, their bare names in this
process. A module of the facade holds no code: an attribute is looked up in the tables at first use and kept.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from flambeau.base.errors import FlambeauError, did_you_mean, explain
from flambeau.base.lazy import AliasLoader
from flambeau.torch._table import BASES, HIDDEN, MOVED, NAMES, PACKAGES

ROOT = "flambeau.torch"
_ABSENT = object()


def base_of(path: str) -> str | None:
    """The Flambeau module behind a module below `torch`; "" for one that has names of its own only, None for none at all."""
    if path in BASES:
        return BASES[path]
    return BASES.get(path.rpartition(".")[0] + ".*")


def look_up(path: str, name: str) -> Any:
    """What `torch.<path>.<name>` is here; `_ABSENT` if nothing."""
    full = f"{path}.{name}" if path else name
    if full in NAMES:
        return _named(full)
    base = base_of(path)
    if base:  # before modules: nn.utils.weight_norm is a function, and a file of PyTorch's too
        value = getattr(import_module(base), name, _ABSENT)
        if value is not _ABSENT and not isinstance(value, ModuleType) and not (path == "" and name in HIDDEN):
            return value
    if full in BASES:
        return import_module(f"{ROOT}.{full}")
    if path == "" and name.endswith("_"):  # torch.exp_(x) is x.exp_()
        return getattr(import_module("flambeau").Tensor, name, _ABSENT)
    if not name.startswith("_") and spec_of(f"{ROOT}.{full}") is not None:  # a file of this folder, or below a "*"
        return import_module(f"{ROOT}.{full}")
    return _ABSENT


def _named(full: str) -> Any:
    module, _, attribute = NAMES[full].partition(":")
    return getattr(import_module(module), attribute, _ABSENT)


class Facade(ModuleType):
    """A module whose attributes are Flambeau's objects, looked up once."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = _other(self.__name__, name) if self.__name__.partition(".")[0] in PACKAGES else look_up(_path(self.__name__), name)
        if value is _ABSENT:
            shown = self.__name__.replace(ROOT, "torch", 1)
            hint = did_you_mean(name, dir(self)) or "flambeau compat check FILE lists all such names of a program"
            raise AttributeError(
                explain(f"{shown}.{name}", expected="a name that Flambeau has", got="none", hint=hint), name=name, obj=self
            )
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Facade) and self.__name__.startswith(ROOT):  # Python's import sets a submodule on its parent
            found = look_up(_path(self.__name__), name)
            value = value if found is _ABSENT else found
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        path = _path(self.__name__)
        base = home_of(self.__name__) if self.__name__.partition(".")[0] in PACKAGES else base_of(path)
        prefix = f"{path}." if path else ""
        names = {n[len(prefix) :].partition(".")[0] for n in [*NAMES, *BASES] if n.startswith(prefix) and n != path}
        public = getattr(import_module(base), "__all__", None) or dir(import_module(base)) if base else []
        return sorted({*self.__dict__, *names, *(n for n in public if not n.startswith("_"))} - HIDDEN - {"", "*"})

    @property
    def __all__(self) -> list[str]:
        return [name for name in dir(self) if not name.startswith("_") and getattr(self, name, _ABSENT) is not _ABSENT]


def _path(name: str) -> str:
    return name.removeprefix(ROOT).lstrip(".")


def home_of(module: str) -> str:
    """The Flambeau module behind a module of torchvision or torchaudio."""
    package, dot, path = module.partition(".")
    return MOVED.get(module, f"{PACKAGES[package]}{dot}{path}")


def _other(module: str, name: str) -> Any:
    """An attribute of a module of torchvision or torchaudio."""
    full = f"{module}.{name}"
    if full in NAMES:
        return _named(full)
    if full in MOVED:
        return import_module(full)
    value = getattr(import_module(home_of(module)), name, _ABSENT)
    if value is not _ABSENT and not isinstance(value, ModuleType):
        return value
    return _ABSENT if name.startswith("_") or spec_of(home_of(full)) is None else import_module(full)


def spec_of(name: str) -> ModuleSpec | None:
    """How a module would be imported; None if it cannot be."""
    try:
        return find_spec(name)
    except ImportError:
        return None


class _FacadeLoader:
    """Makes a module of the facade. Its attributes come when they are asked for."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = Facade(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


class _Names:
    """Finds `flambeau.torch.nn` and the like, which are no files."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not fullname.startswith(ROOT + "."):
            return None
        inner = _path(fullname)
        loader: Any = _FacadeLoader()
        return None if base_of(inner) is None else ModuleSpec(fullname, loader, is_package=True)


class _BareNames:
    """Finds `torch`, `torchvision` and `torchaudio` and what is below them."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        top, dot, rest = fullname.partition(".")
        if top == "torch":
            real = spec_of(f"{ROOT}{dot}{rest}")
            return None if real is None else _alias(fullname, f"{ROOT}{dot}{rest}", real.submodule_search_locations is not None)
        if top not in PACKAGES:
            return None
        if spec_of(PACKAGES[top]) is None:
            install = PACKAGES[top].replace("_", "-")
            raise ModuleNotFoundError(
                explain(f"import {fullname}", expected=f"the package {install}", hint=f"pip install {install}"), name=top
            )
        loader: Any = _FacadeLoader()
        return None if spec_of(home_of(fullname)) is None else ModuleSpec(fullname, loader, is_package=True)


def _alias(fullname: str, real: str, package: bool = True) -> ModuleSpec:
    loader: Any = AliasLoader(real)
    return ModuleSpec(fullname, loader, is_package=package)


def install_names() -> None:
    """Let the names below `flambeau.torch` be imported."""
    if not any(isinstance(finder, _Names) for finder in sys.meta_path):
        sys.meta_path.append(_Names())


def install() -> None:
    """Let `import torch`, `import torchvision` and `import torchaudio` find Flambeau in this process.

    Raises FlambeauError if the real ones are imported already. A second call changes nothing.
    """
    if any(isinstance(finder, _BareNames) for finder in sys.meta_path):
        return
    loaded = [name for name in ("torch", *PACKAGES) if name in sys.modules]
    if loaded:
        hint = "install the facade before anything imports them"
        raise FlambeauError(explain("flambeau.torch", expected="a process without PyTorch", got=f"{', '.join(loaded)} imported", hint=hint))
    sys.meta_path.insert(0, _BareNames())


def uninstall() -> None:
    """Take the bare names away again (for tests)."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _BareNames)]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("torch", *PACKAGES)]:
        del sys.modules[name]
