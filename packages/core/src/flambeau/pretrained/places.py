"""Where a model is: a folder, a model that comes with a package, or a repository of Hugging Face."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path

from flambeau.base.errors import ArgumentError, did_you_mean, explain
from flambeau.hub import hf_path

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


def shipped(package: str) -> dict[str, Path]:
    """The models that come with a package, in folders below its `weights`: {name: folder}."""
    base = Path(str(files(package).joinpath("weights")))
    return {path.name: path for path in sorted(base.iterdir()) if path.is_dir()} if base.is_dir() else {}


def locate(path_or_id: str | os.PathLike[str], package: str) -> Path:
    """The folder of a model.

    A path is taken as it is. A name is that of a model that comes with `package`, or of a repository of Hugging Face ("org/name" or
    "org/name@revision"): from its cache on this machine, else downloaded by `flambeau.hub`, unless FLAMBEAU_OFFLINE is set.
    Raises ArgumentError for any other name, and what `flambeau.hub.hf_path` raises.
    """
    path = Path(path_or_id)
    if path.exists() or not isinstance(path_or_id, str):
        return path
    own = shipped(package)
    if path_or_id in own:
        return own[path_or_id]
    if _REPOSITORY.fullmatch(path_or_id) and ".." not in path_or_id:
        return hf_path(f"hf://{path_or_id}")
    hint = did_you_mean(path_or_id, own) or "a folder with config.json"
    names = ", ".join(("a folder", *own, "or org/name"))
    raise ArgumentError(explain("load_model", expected=names, got=repr(path_or_id), hint=hint))
