"""Which names of PyTorch a program uses that are not here: found in its text, without running it."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.torch._facade import ROOT, home_of, spec_of
from flambeau.torch._table import NAMES, PACKAGES

_TOPS = ("torch", *PACKAGES)


@dataclass(frozen=True, order=True)
class Missing:
    """One use of a name that is not here."""

    file: str
    line: int
    name: str
    reason: str


def check_path(path: str | Path) -> tuple[list[Missing], int]:
    """The missing names of a file, or of all `.py` files below a folder, and how many files were read."""
    base = Path(path)
    if not base.exists():
        raise ArgumentError(explain("compat check", expected="a file or folder", got=str(path)))
    files = sorted(base.rglob("*.py")) if base.is_dir() else [base]
    if not base.is_dir():
        return check_source(_read(base), str(base)), 1
    found: list[Missing] = []
    for file in files:
        try:
            found += check_source(_read(file), str(file))
        except ArgumentError as error:  # one file of many: the others count all the same
            found.append(Missing(str(file), 1, "this file", str(error)))
    return found, len(files)


def _read(file: Path) -> str:
    try:
        with tokenize.open(file) as text:
            return text.read()
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ArgumentError(explain(f"compat check {file}", expected="Python text", got=str(error))) from None


def check_source(source: str, file: str = "<string>") -> list[Missing]:
    """The missing names of a program, by line.

    >>> [(m.line, m.name) for m in check_source("import torch\\nx = torch.relu(torch.quantize_per_tensor(1))")]
    [(2, 'torch.quantize_per_tensor')]
    """
    try:
        tree = ast.parse(source, file)
    except SyntaxError as error:
        raise ArgumentError(
            explain(f"compat check {file}", expected="Python that parses", got=f"{error.msg} in line {error.lineno}")
        ) from None
    names = _Names()
    uses = sorted({use for node in ast.walk(tree) for use in names.bind(node)})  # imports first: a use may stand before its import
    uses += sorted({use for node in ast.walk(tree) for use in names.uses(node)})
    found = {(line, name): reason for line, name in uses if (reason := why_missing(name))}
    whole = {place for place in found if not any(line == place[0] and name.startswith(f"{place[1]}.") for line, name in found)}
    return sorted(Missing(file, *place, found[place]) for place in whole)


class _Names:
    """What the names of a file stand for: `F` -> "torch.nn.functional"."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def bind(self, node: ast.AST) -> Iterator[tuple[int, str]]:
        """Remember what an import or an assignment makes a name stand for; the imported names are uses."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in _TOPS:
                    self.known[alias.asname or alias.name.partition(".")[0]] = alias.name if alias.asname else alias.name.partition(".")[0]
                    yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] in _TOPS:
            for alias in node.names:
                if alias.name == "*":
                    yield node.lineno, str(node.module)
                else:
                    self.known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                    yield node.lineno, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = self.dotted(node.value) if isinstance(node.value, ast.Attribute) else None
            if value is not None:
                self.known[node.targets[0].id] = value

    def uses(self, node: ast.AST) -> Iterator[tuple[int, str]]:
        """The name of PyTorch that an expression asks for; the parts of a longer chain are given too."""
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            name = self.dotted(node)
            if name is not None:
                yield node.lineno, name

    def dotted(self, node: ast.expr) -> str | None:
        """`a.b.c` in full, if `a` stands for something of PyTorch's."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.known:
            return None
        return ".".join([self.known[node.id], *reversed(parts)])


def why_missing(name: str) -> str:
    """Why a dotted name is not here; "" if it is. What follows a function or an object is not judged."""
    top, *rest = name.split(".")
    if top in PACKAGES:
        return _why_missing_elsewhere(top, rest)
    value: Any = import_module(ROOT)
    shown = top
    for part in rest:
        if not isinstance(value, (ModuleType, type)):
            return ""
        shown += f".{part}"
        try:
            value = _part(value, part)
        except (AttributeError, ImportError):
            return _absent(name, shown)
    return ""


def _absent(name: str, shown: str) -> str:
    return "not in Flambeau" if shown == name else f"{shown} is not in Flambeau"


def _why_missing_elsewhere(top: str, rest: list[str]) -> str:
    """The same for names of torchvision and torchaudio, whose packages may not be installed."""
    if spec_of(PACKAGES[top]) is None:
        install = PACKAGES[top].replace("_", "-")
        return f"needs {install} (pip install {install})"
    shown = top
    for part in rest:
        module, shown = shown, f"{shown}.{part}"
        if shown in NAMES:
            return ""
        if spec_of(home_of(shown)) is None:
            return "" if hasattr(import_module(home_of(module)), part) else _absent(".".join([top, *rest]), shown)
    return ""


def _part(value: Any, part: str) -> Any:
    try:
        return getattr(value, part)
    except AttributeError:
        if not isinstance(value, ModuleType):
            raise
        return import_module(f"{value.__name__}.{part}")
