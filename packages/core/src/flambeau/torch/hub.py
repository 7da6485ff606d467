"""`torch.hub`: files of weights by address. Repositories with code are not loaded: code comes in installed packages."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from typing import Any, NoReturn

from flambeau.base.errors import ArgumentError, FlambeauError, explain
from flambeau.hub import cache_dir, fetch
from flambeau.serialization import load as _load

_HASH = re.compile(r"-([a-f0-9]{8,64})\.")


def get_dir() -> str:
    """The cache directory; `FLAMBEAU_HOME` sets it."""
    return str(cache_dir())


def _digits(url: str, given: str | None) -> str:
    match = _HASH.search(url.rpartition("/")[2])
    digits = given or (match[1] if match else None)
    if digits is None:
        hint = "flambeau.hub.fetch(url, sha256)"
        raise ArgumentError(
            explain(f"torch.hub {url}", expected="a checksum in the file's name (name-1234abcd.pth)", got="none", hint=hint)
        )
    return digits


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Mapping[str, Any]:
    """The object in a file, fetched at most once into Flambeau's cache. The checksum in its name is always verified.

    Raises ArgumentError for a name without one: nothing is loaded unchecked.
    """
    found: Mapping[str, Any] = _load(fetch(url, _digits(url, None), progress=progress), map_location)
    return found


def download_url_to_file(url: str, dst: str | os.PathLike[str], hash_prefix: str | None = None, progress: bool = True) -> None:
    """A checked copy of a file at `dst`; without `hash_prefix`, the checksum in the file's name counts."""
    shutil.copyfile(fetch(url, _digits(url, hash_prefix), progress=progress), dst)


def load(repo_or_dir: str, model: str, *args: Any, **kwargs: Any) -> NoReturn:
    """Refused: it would run code that was just downloaded."""
    hint = "flambeau.hub.load(model), for the models of installed packages"
    raise FlambeauError(explain("torch.hub.load", expected="a model of an installed package", got=f"code of {repo_or_dir!r}", hint=hint))
