"""Where a model of text is: a folder, a model that comes with this package, or a repository of Hugging Face."""

from __future__ import annotations

import os
from pathlib import Path

from flambeau.pretrained import places


def shipped() -> dict[str, Path]:
    """The models that come with this package: {name: folder}.

    >>> sorted(shipped())
    ['char-gpt']
    """
    return places.shipped("flambeau_text")


def locate(path_or_id: str | os.PathLike[str]) -> Path:
    """The folder of a model: see `flambeau.pretrained.locate`."""
    return places.locate(path_or_id, "flambeau_text")
