"""`weights.lock`: the files that a project's weights come from, with checksums, sizes and licences, kept beside its code.

With `FLAMBEAU_WEIGHTS_LOCK=weights.lock` nothing is fetched that is not in the file, nor with another checksum.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau.base.config import settings
from flambeau.base.errors import DownloadError, FileFormatError, explain
from flambeau.base.files import atomic_write, sha256_of
from flambeau.hub.cache import check_sha256

if TYPE_CHECKING:
    from flambeau.hub.weights import Weights

VERSION = 1


def write_lock(weights: Iterable[Weights], path: str | os.PathLike[str] = "weights.lock") -> Path:
    """Add weights to a lock file (made if absent), which is written atomically and sorted, so that changes read well in a diff.

    Checksums are whole: where a source states only the first digits, the file is fetched and its own one is taken.

    >>> import tempfile
    >>> from flambeau.hub import Weights
    >>> meta = {"num_params": 1, "metrics": {}, "recipe": "", "licence": "MIT"}
    >>> made = write_lock([Weights("https://example.org/a.pth", "ab" * 32, meta=meta, size=9)], tempfile.mkdtemp() + "/weights.lock")
    >>> read_lock(made)["https://example.org/a.pth"]["licence"]
    'MIT'
    """
    place = Path(path)
    rows = read_lock(place) if place.exists() else {}
    for each in weights:
        if each.size is not None and len(each.sha256) == 64:
            size, sha256 = each.size, each.sha256
        else:
            local = each.path()
            size, sha256 = local.stat().st_size, sha256_of(local)
        rows[each.url] = {"sha256": sha256, "size": size, "licence": each.meta["licence"]}
    with atomic_write(place) as file:
        file.write((json.dumps({"version": VERSION, "files": dict(sorted(rows.items()))}, indent=2) + "\n").encode())
    return place


def read_lock(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """The rows of a lock file by address: sha256, size, licence. Raises FileFormatError for anything else."""

    def fail(got: str) -> FileFormatError:
        return FileFormatError(explain(f"lock file {os.fspath(path)}", expected=f"version {VERSION} with files by address", got=got[:300]))

    try:
        table = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise fail(str(error)) from None
    files = table.get("files") if isinstance(table, dict) and table.get("version") == VERSION else None
    if not isinstance(files, dict):
        raise fail(repr(table))
    for row in files.values():
        if not isinstance(row, dict) or not isinstance(row.get("sha256"), str) or type(row.get("size")) is not int:
            raise fail(repr(row))
    return files


def check_locked(url: str, sha256: str) -> None:
    """Raise DownloadError if a lock file is in force and does not allow this file."""
    lock = settings().weights_lock
    if lock is None:
        return
    row = read_lock(lock).get(url)
    if row is None:
        raise DownloadError(explain(f"fetch {url}", expected=f"a file of {lock}", got="one that is not in it", hint="hub.write_lock"))
    if not check_sha256(row["sha256"], url).startswith(sha256):
        got = f"sha256 {sha256}"
        raise DownloadError(explain(f"fetch {url}", expected=f"sha256 {row['sha256']}, as {lock} says", got=got))
