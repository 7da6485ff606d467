"""Names that a package imports at first use: its submodules, single attributes, and the domain packages beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from flambeau.base.errors import FlambeauError, missing_extra


class MissingDomain(FlambeauError, AttributeError):
    """A domain package such as `flambeau.vision` is not installed.

    An attribute is missing, so this is an AttributeError and `hasattr` answers False; `import flambeau.vision` raises MissingExtra, an
    ImportError with the same message. (Python cannot derive one class from both.)
    """


def lazy_attributes(
    package_globals: dict[str, Any],
    submodules: Iterable[str] = (),
    domains: Iterable[str] = (),
    attributes: Mapping[str, str] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the `__getattr__` and `__dir__` of a package that imports parts of itself at first use.

    Args:
        package_globals: `globals()` of the package.
        submodules: names of modules in the package.
        domains: names that stand for separately installed packages: `vision` in `flambeau` is the package `flambeau_vision`. They also
            work in import statements (`import flambeau.vision.transforms`) and are the same module objects under both names.
        attributes: name -> `"module:attribute"`.

    A name is looked up once; after that it is an ordinary global. An absent domain raises MissingDomain, which names the pip command.

    >>> scope = {"__name__": "json"}
    >>> getattribute, names = lazy_attributes(scope, submodules={"decoder"}, attributes={"sqrt": "math:sqrt"})
    >>> getattribute("decoder").JSONDecoder.__name__, getattribute("sqrt")(4.0), "decoder" in names()
    ('JSONDecoder', 2.0, True)
    """
    package: str = package_globals["__name__"]
    own, apart, single = frozenset(submodules), frozenset(domains), dict(attributes or {})
    if apart:
        _install_finder(package, apart)

    def __getattr__(name: str) -> Any:
        if name in own:
            value: Any = import_module(f"{package}.{name}")
        elif name in single:
            module, _, attribute = single[name].partition(":")
            value = getattr(import_module(module), attribute)
        elif name in apart:
            if not _installed(package, name):
                raise MissingDomain(*_missing(package, name).args, name=name, obj=sys.modules.get(package))
            value = import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules.get(package))
        package_globals[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*package_globals, *own, *single, *(name for name in apart if _installed(package, name))})

    return __getattr__, __dir__


def _installed(package: str, domain: str) -> bool:
    return find_spec(f"{package}_{domain}") is not None


def _missing(package: str, domain: str) -> ImportError:
    return missing_extra(f"{package}.{domain}", f"{package}-{domain}", f"{package}-{domain}")


def _install_finder(package: str, domains: frozenset[str]) -> None:
    """Put a finder for `package.domain` first on the import path, replacing the one of an earlier import of the package."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not (isinstance(finder, _DomainFinder) and finder.package == package)]
    # First, because the ordinary finder would load a second copy of `flambeau_vision.transforms` as `flambeau.vision.transforms`.
    sys.meta_path.insert(0, _DomainFinder(package, domains))


class _DomainFinder:
    """Resolves `flambeau.vision[.x]` to the module `flambeau_vision[.x]`.

    Python asks by duck typing; deriving from importlib.abc would cost 10 ms of imports for nothing.
    """

    def __init__(self, package: str, domains: frozenset[str]) -> None:
        self.package = package
        self._prefix = package + "."
        self._domains = domains

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not fullname.startswith(self._prefix):
            return None
        domain, dot, rest = fullname[len(self._prefix) :].partition(".")
        if domain not in self._domains:
            return None
        if not _installed(self.package, domain):
            raise _missing(self.package, domain)
        real = find_spec(f"{self.package}_{domain}{dot}{rest}")
        if real is None:
            return None
        loader: Any = AliasLoader(real.name)
        return ModuleSpec(fullname, loader, is_package=real.submodule_search_locations is not None)


class AliasLoader:
    """Loads a module under a second name: the same object, untouched."""

    def __init__(self, real_name: str) -> None:
        self._real_name = real_name
        self._real_spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self._real_name)
        self._real_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._real_spec  # the import system has just overwritten it with the alias's
