"""Makes installed distributions out of thin air: a folder on `sys.path` with a `.dist-info` and a module."""

from __future__ import annotations

import itertools
import textwrap
from importlib import metadata
from pathlib import Path
from typing import Any

_numbers = itertools.count()


def see_only(monkeypatch: Any, folder: Path) -> None:
    """Let only what is installed in a folder count as installed, whatever the environment has."""
    distributions = metadata.distributions

    def entry_points(*, group: str) -> list[Any]:
        return [e for d in distributions(path=[str(folder)]) for e in d.entry_points if e.group == group]

    monkeypatch.setattr(metadata, "entry_points", entry_points)


def install(
    folder: Path, plugin: str, source: str, *, distribution: str | None = None, version: str = "1.0", module: str | None = None
) -> str:
    """Install a plugin whose module has this source text; returns the module's name."""
    distribution = distribution or f"{plugin}-dist"
    if module is None:
        module = f"fake_plugin_{plugin}_{next(_numbers)}"
    (folder / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[flambeau]\n{plugin} = {module}\n", encoding="utf-8")
    return module
