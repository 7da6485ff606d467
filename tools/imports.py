"""Which modules does a Python file import, and when: read from its syntax tree, nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

When = Literal["load", "call", "typing"]
"""At import of the file, when a function runs, or only for the type checker."""


@dataclass(frozen=True)
class Import:
    """One import of `module`; `names` are those of `from module import names`."""

    module: str
    names: tuple[str, ...]
    line: int
    when: When


@dataclass(frozen=True)
class Source:
    """A Python file under the dotted name that it is imported by."""

    name: str
    path: Path
    is_package: bool
    imports: tuple[Import, ...]


def read_package(directory: Path, name: str) -> dict[str, Source]:
    """All modules of the package `name` that lies in `directory`, by dotted name."""
    sources = {}
    for path in sorted(directory.rglob("*.py")):
        parts = path.relative_to(directory).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        dotted = ".".join((name, *(parts[:-1] if is_package else parts)))
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        package = dotted if is_package else dotted.rpartition(".")[0]
        sources[dotted] = Source(dotted, path, is_package, tuple(_walk(tree, package, "load")))
    return sources


def _walk(node: ast.AST, package: str, when: When) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        yield from _imports_of(child, package, when)
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for part in child.body:
                yield from _imports_of(part, package, "typing")
                yield from _walk(part, package, "typing")
            for part in child.orelse:
                yield from _imports_of(part, package, when)
                yield from _walk(part, package, when)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _walk(child, package, "typing" if when == "typing" else "call")
        else:
            yield from _walk(child, package, when)


def _imports_of(node: ast.AST, package: str, when: When) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, (), node.lineno, when)
    elif isinstance(node, ast.ImportFrom):
        yield Import(_absolute(node, package), tuple(alias.name for alias in node.names), node.lineno, when)
    elif isinstance(node, ast.Call) and _called_name(node.func) in ("import_module", "__import__") and node.args:
        target = node.args[0]
        if isinstance(target, ast.Constant) and isinstance(target.value, str):
            yield Import(target.value, (), node.lineno, when)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    base = package.split(".")
    base = base[: len(base) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _is_type_checking(test: ast.expr) -> bool:
    return _called_name(test) == "TYPE_CHECKING"


def _called_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
