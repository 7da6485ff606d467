"""Checkpoints of a run: a folder of numbered files, each written atomically and proving its own integrity, the last few kept."""

from __future__ import annotations

import contextlib
import os
import re
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flambeau.base.errors import ArgumentError, FileFormatError, explain
from flambeau.base.files import sync_directory
from flambeau.serialization.formats import load, save

_NAME = re.compile(r"checkpoint-(\d{9,})\.safetensors")
_STALE_SECONDS = 900.0  # a temporary file this old was left by a writer that was killed


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint: the step it was saved at, the state, and its file."""

    step: int
    state: Any
    path: Path


class Checkpointer:
    """Saves and finds the checkpoints of one run; one process writes, any may read.

    `save(step, state)` writes `checkpoint-<step>.safetensors` by `flambeau.save` and then deletes all but the newest `keep` (None keeps
    all). A kill at any moment leaves every earlier checkpoint intact, and a checkpoint is either whole or absent.

    >>> import tempfile
    >>> checkpoints = Checkpointer(tempfile.mkdtemp(), keep=2)
    >>> for step in (10, 20, 30):
    ...     _ = checkpoints.save(step, {"step": step})
    >>> checkpoints.steps(), checkpoints.latest().state
    ([20, 30], {'step': 30})
    """

    def __init__(self, folder: str | os.PathLike[str], *, keep: int | None = 3) -> None:
        if keep is not None and keep < 1:
            raise ArgumentError(explain("Checkpointer", expected="keep of 1 or more, or None for all", got=str(keep)))
        self.folder = Path(folder)
        self.keep = keep

    def path(self, step: int) -> Path:
        """The file of a step."""
        return self.folder / f"checkpoint-{step:09d}.safetensors"

    def steps(self) -> list[int]:
        """The steps for which there is a file, rising."""
        if not self.folder.is_dir():
            return []
        matches = (_NAME.fullmatch(name) for name in os.listdir(self.folder))
        return sorted(int(match[1]) for match in matches if match)

    def save(self, step: int, state: Any) -> Path:
        """Write a checkpoint (a second one for the same step replaces the first) and delete old ones. Returns its file."""
        if step < 0:
            raise ArgumentError(explain("Checkpointer.save", expected="a step of 0 or more", got=str(step)))
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(step)
        save(state, path)
        self._tidy(step)
        return path

    def load(self, step: int, map_location: Any = None) -> Checkpoint:
        """Load the checkpoint of one step. Raises FileFormatError if its bytes are not those that were written."""
        path = self.path(step)
        if not path.exists():
            raise ArgumentError(explain("Checkpointer.load", expected=f"a step of {self.steps()}", got=str(step)))
        return Checkpoint(step, load(path, map_location), path)

    def latest(self, map_location: Any = None) -> Checkpoint | None:
        """Load the newest intact checkpoint, or None if there is none at all.

        A damaged one is passed over with a warning; if every one is damaged, FileFormatError names the newest.
        """
        first_error: Exception | None = None
        for step in reversed(self.steps()):
            try:
                return self.load(step, map_location)
            except (FileFormatError, OSError) as error:
                first_error = first_error or error
                warnings.warn(f"checkpoint {self.path(step)} cannot be used, trying the one before: {error}", stacklevel=2)
        if first_error is not None:
            got = f"none; the newest: {first_error}"
            raise FileFormatError(
                explain("Checkpointer.latest", expected=f"an intact checkpoint in {self.folder}", got=got)
            ) from first_error
        return None

    def _tidy(self, newest: int) -> None:
        steps = self.steps()
        old = steps[: -self.keep] if self.keep is not None else []
        paths = [self.path(step) for step in old if step != newest]
        for path in self.folder.glob(".checkpoint-*.tmp"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    paths.append(path)
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink()
        if paths:
            sync_directory(self.folder)
