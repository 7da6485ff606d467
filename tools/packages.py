"""Check that the packages of the workspace agree: one version, the same licence, typed, entry points that exist, honest dependencies.

Run as `python -m tools.packages`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path


def check(root: Path) -> list[str]:
    """All disagreements below `root`, one line each; an empty list where there are none."""
    problems: list[str] = []
    versions: dict[str, str] = {}
    for folder in sorted((root / "packages").iterdir()):
        if not (folder / "pyproject.toml").is_file():
            continue
        package = "flambeau" if folder.name == "core" else f"flambeau_{folder.name}"
        problems += [f"packages/{folder.name}: {problem}" for problem in _one(root, folder, package)]
        versions[folder.name] = _version(folder / "src" / package / "__about__.py")
    if len(set(versions.values())) > 1:
        problems.append("versions differ: " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    return problems + [
        f"packages/{name}: needs {need}, which does not admit version {versions['core']}"
        for name in versions
        for need in _core_requirements(root / "packages" / name)
        if "core" in versions and not _admits(need, versions["core"])
    ]


def _one(root: Path, folder: Path, package: str) -> Iterator[str]:
    source = folder / "src" / package
    for name in ("__about__.py", "py.typed"):
        if not (source / name).is_file():
            yield f"src/{package}/{name} is missing"
    licence = folder / "LICENSE"
    if not licence.is_file() or licence.read_bytes() != (root / "LICENSE").read_bytes():
        yield "LICENSE is not the same as the repository's"
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if project["name"] != package.replace("_", "-"):
        yield f"the distribution is called {project['name']}, not {package.replace('_', '-')}"
    if project["requires-python"] != ">=3.11":
        yield f"requires-python is {project['requires-python']}"
    entries = {**project.get("scripts", {}), **project.get("entry-points", {}).get("flambeau", {})}
    for name, target in entries.items():
        module = folder / "src" / Path(*target.partition(":")[0].split("."))
        if not module.with_suffix(".py").is_file() and not (module / "__init__.py").is_file():
            yield f"the entry point {name} names {target}, and there is no such module"


def _version(about: Path) -> str:
    match = re.search(r'^__version__ = "([^"]+)"$', about.read_text(encoding="utf-8"), re.MULTILINE) if about.is_file() else None
    return match.group(1) if match else "none"


def _core_requirements(folder: Path) -> list[str]:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [need for need in project.get("dependencies", ()) if re.match(r"flambeau\b(?!-)", need)]


def _admits(requirement: str, version: str) -> bool:
    """Whether `flambeau>=A,<B` admits the version; every clause must be of one of these two kinds.

    >>> _admits("flambeau>=0.1.0,<0.2", "0.1.4"), _admits("flambeau>=0.1.0,<0.2", "0.2.0"), _admits("flambeau", "0.1.0")
    (True, False, False)
    """
    clauses = re.fullmatch(r"flambeau>=([\d.]+),<([\d.]+)", requirement)
    if clauses is None:
        return False
    lower, upper, own = (tuple(int(part) for part in text.split(".")) for text in (*clauses.groups(), version))
    return lower <= own < upper


def main() -> int:
    problems = check(Path(__file__).resolve().parent.parent)
    print(*problems, f"packages: {len(problems)} problems" if problems else "packages: in order", sep="\n")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
