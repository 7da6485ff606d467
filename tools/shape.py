"""Check the shape of the code: lines of files and functions, parameters of functions, bytes of packages.

Run as `python -m tools.shape`; the limits and the exceptions are in shape.toml beside this file.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Excess:
    """Something past a limit; `what` is `file.py` or `file.py::Class.function`."""

    what: str
    limit: str
    got: int
    most: int

    def __str__(self) -> str:
        return f"{self.what}: {self.got} {self.limit.replace('_', ' ')}, at most {self.most}"


def check(root: Path, settings: Mapping[str, Any]) -> list[str]:
    """All violations below `root`, one line each; an empty list where there are none."""
    allowed = {(row["what"], row["limit"]): row["reason"] for row in settings.get("allow", ())}
    used = set()
    problems = [f"shape.toml: {what} ({limit}) gives no reason" for (what, limit), reason in allowed.items() if not reason.strip()]
    for excess in _excesses(root, settings):
        if (excess.what, excess.limit) in allowed:
            used.add((excess.what, excess.limit))
        else:
            problems.append(str(excess))
    problems += [f"shape.toml: {what} ({limit}) is not needed any more" for what, limit in allowed if (what, limit) not in used]
    return problems


def _excesses(root: Path, settings: Mapping[str, Any]) -> Iterator[Excess]:
    for folder in settings["where"]:
        for path in sorted((root / folder).rglob("*.py")):
            yield from _file(path, path.relative_to(root).as_posix(), settings["limits"])
    for folder, most in settings.get("megabytes", {}).items():
        files = (path for path in (root / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        size = sum(path.stat().st_size for path in files)
        if size > most * 1_000_000:
            yield Excess(folder, "bytes", size, most * 1_000_000)


def _file(path: Path, name: str, limits: Mapping[str, int]) -> Iterator[Excess]:
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    if lines > limits["file_lines"]:
        yield Excess(name, "file_lines", lines, limits["file_lines"])
    for qualified, function in _functions(ast.parse(text, str(path)), ""):
        for limit, got in (("function_lines", _code_lines(function)), ("parameters", _parameters(function))):
            if got > limits[limit]:
                yield Excess(f"{name}::{qualified}", limit, got, limits[limit])


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, child
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        else:
            yield from _functions(child, prefix)


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Named parameters, without `self` and `cls`."""
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len(names) - (bool(names) and names[0] in ("self", "cls"))


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    settings = tomllib.loads(Path(__file__).with_name("shape.toml").read_text(encoding="utf-8"))
    problems = check(root, settings)
    print(*problems, f"shape: {len(problems)} problems" if problems else "shape: in order", sep="\n")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
