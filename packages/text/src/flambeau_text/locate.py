"""Where a model is: a folder, a model that comes with this package, or one in Hugging Face's cache on this machine."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path

from flambeau.base.config import settings
from flambeau.base.errors import ArgumentError, did_you_mean, explain

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+|[\w.-]+")


def shipped() -> dict[str, Path]:
    """The models that come with this package: {name: folder}.

    >>> sorted(shipped())
    ['char-gpt']
    """
    base = Path(str(files("flambeau_text").joinpath("weights")))
    return {path.name: path for path in sorted(base.iterdir()) if path.is_dir()}


def locate(path_or_id: str | os.PathLike[str]) -> Path:
    """The folder of a model; nothing is downloaded.

    A path is taken as it is. A name is that of a model that comes with this package ("char-gpt"), or of a repository ("org/name") that a
    program of Hugging Face has downloaded before. Raises ArgumentError where there is none.
    """
    path = Path(path_or_id)
    if path.exists() or not isinstance(path_or_id, str):
        return path
    own = shipped()
    if path_or_id in own:
        return own[path_or_id]
    if _REPOSITORY.fullmatch(path_or_id) and ".." not in path_or_id:
        found = _cached(settings().huggingface_cache / ("models--" + path_or_id.replace("/", "--")))
        if found is not None:
            return found
    hint = did_you_mean(path_or_id, own) or "a folder with config.json, or download the repository with its own tools first"
    expected = f"a folder, {', '.join(own)}, or a repository in {settings().huggingface_cache}"
    raise ArgumentError(explain("load_model", expected=expected, got=repr(path_or_id), hint=hint))


def _cached(repository: Path) -> Path | None:
    """The snapshot that `refs/main` names, else the newest."""
    snapshots = [path for path in repository.glob("snapshots/*") if path.is_dir()]
    main = repository / "refs" / "main"
    if main.is_file():
        wanted = main.read_text(encoding="utf-8").strip()
        snapshots = [path for path in snapshots if path.name == wanted] or snapshots
    return max(snapshots, key=lambda path: path.stat().st_mtime, default=None)
