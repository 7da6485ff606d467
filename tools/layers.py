"""Check who imports whom: the layers of the core, import cycles, third-party packages, and what domain packages may touch.

Run as `python -m tools.layers`; the rules are data, in layers.toml beside this file.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.cycles import cycles
from tools.imports import Import, Source, read_package

CORE = "flambeau"


@dataclass(frozen=True)
class Upward:
    """A listed exception: a function in `source` may import the higher-layered `target`."""

    source: str
    target: str
    reason: str


@dataclass(frozen=True)
class Package:
    """An importable package, where it lies, and the third-party packages that it may import."""

    name: str
    directory: Path
    requires: frozenset[str]
    optional: frozenset[str]


@dataclass(frozen=True)
class Rules:
    """The content of layers.toml."""

    layers: Mapping[str, int]
    upward: tuple[Upward, ...]
    only: Mapping[str, tuple[str, ...]]
    never: frozenset[str]
    packages: tuple[Package, ...]

    @staticmethod
    def read(path: Path, root: Path) -> Rules:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        packages = (
            Package(name, root / row["source"], frozenset(row["requires"]), frozenset(row["optional"]))
            for name, row in table["packages"].items()
        )
        upward = (Upward(row["from"], row["to"], row["reason"]) for row in table.get("upward", ()))
        only = {name: tuple(places) for name, places in table["only"].items()}
        return Rules(table["layers"], tuple(upward), only, frozenset(table["never"]["names"]), tuple(packages))

    def layer(self, module: str) -> int | None:
        """The layer of a module of the core, None where no name of the table fits."""
        inner = module.removeprefix(CORE).removeprefix(".") or "__init__"
        fitting = [name for name in self.layers if _within(inner, name)]
        return self.layers[max(fitting, key=len)] if fitting else None


def check(rules: Rules) -> list[str]:
    """All violations, one line each; an empty list where there are none."""
    problems: list[str] = []
    for package in rules.packages:
        sources = read_package(package.directory, package.name)
        if not sources:
            problems.append(f"{package.directory}: no Python file of the package {package.name} is there")
        for source in sources.values():
            problems += _third_party(rules, package, source)
            if package.name != CORE:
                problems += _domain(rules, package, source)
        problems += [f"import cycle when loading: {' -> '.join(cycle)}" for cycle in cycles(_load_graph(sources))]
        if package.name == CORE:
            problems += _layers(rules, sources)
    return problems


def _third_party(rules: Rules, package: Package, source: Source) -> Iterator[str]:
    for item in source.imports:
        top = item.module.partition(".")[0]
        where = f"{source.path}:{item.line}"
        inner = source.name.removeprefix(package.name).removeprefix(".")
        if top in rules.never:
            yield f"{where}: {top} must not be imported by any package"
        elif item.when == "typing" or top in sys.stdlib_module_names or top == package.name or top == CORE or top.startswith(f"{CORE}_"):
            continue
        elif top in rules.only and not (package.name == CORE and any(_within(inner, place) for place in rules.only[top])):
            yield f"{where}: {top} may be imported only by {', '.join(f'{CORE}.{place}' for place in rules.only[top])}"
        elif top in package.optional and item.when == "load":
            yield f"{where}: {top} is optional, so import it inside the function that needs it"
        elif top not in package.optional and top not in package.requires:
            yield f"{where}: {top} is not listed for {package.name} in layers.toml (and in its pyproject.toml)"


def _domain(rules: Rules, package: Package, source: Source) -> Iterator[str]:
    others = {p.name for p in rules.packages} - {CORE, package.name}
    for item in source.imports:
        where = f"{source.path}:{item.line}"
        for name in _full_names(item):
            first, *rest = name.split(".")
            alias = f"{CORE}_{rest[0]}" if first == CORE and rest else ""
            if first in others or alias in others:
                yield f"{where}: {package.name} must not import another domain package ({name})"
            elif first == CORE and any(part.startswith("_") and part != "__version__" for part in rest):
                yield f"{where}: {name} is private to the core"


def _layers(rules: Rules, sources: Mapping[str, Source]) -> Iterator[str]:
    used: set[Upward] = set()
    for source in sources.values():
        own = rules.layer(source.name)
        if own is None:
            yield f"{source.path}: {source.name} has no layer in layers.toml"
            continue
        for item in source.imports:
            where = f"{source.path}:{item.line}"
            if item.module.startswith(f"{CORE}_"):
                yield f"{where}: the core must not import the domain package {item.module}"
            for target in _targets(item, sources):
                above = rules.layer(target)
                if above is None or above <= own or item.when == "typing":
                    continue
                allowed = [u for u in rules.upward if _within(source.name, f"{CORE}.{u.source}") and _within(target, f"{CORE}.{u.target}")]
                used.update(allowed)
                if item.when == "load" or not allowed:
                    yield f"{where}: layer {own} ({source.name}) imports layer {above} ({target}){_lazily(item)}"
    for entry in rules.upward:
        if not entry.reason.strip():
            yield f"layers.toml: the exception {entry.source} -> {entry.target} gives no reason"
        if entry not in used:
            yield f"layers.toml: the exception {entry.source} -> {entry.target} is not needed any more"


def _lazily(item: Import) -> str:
    return " inside a function; list it under [[upward]] with a reason if it must stay" if item.when == "call" else ""


def _load_graph(sources: Mapping[str, Source]) -> dict[str, set[str]]:
    """Module -> modules that its loading loads, the packages around them included."""
    graph: dict[str, set[str]] = {}
    for name, source in sources.items():
        targets = {target for item in source.imports if item.when == "load" for target in _targets(item, sources)}
        around = {parent for target in targets for parent in _parents(target)}
        # The packages around a module are loading already when it loads, so they are no edge of their own.
        graph[name] = (targets | (around - set(_parents(name)))) - {name}
    return graph


def _targets(item: Import, sources: Mapping[str, Source]) -> set[str]:
    """The modules among `sources` that an import statement loads by name."""
    found = set()
    for name in _full_names(item):
        while name and name not in sources:
            name = name.rpartition(".")[0]
        if name:
            found.add(name)
    return found


def _full_names(item: Import) -> list[str]:
    return [f"{item.module}.{name}" for name in item.names] if item.names else [item.module]


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    problems = check(Rules.read(Path(__file__).with_name("layers.toml"), root))
    for problem in problems:
        print(problem.replace(f"{root}/", ""))
    print(f"layers: {len(problems)} problems" if problems else "layers: in order")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
