"""Repositories of Hugging Face as `hf://org/name@revision`: from a cache that is on this machine already, else through huggingface_hub.

The cache is theirs (`$HF_HUB_CACHE`, `$HF_HOME/hub`, `~/.cache/huggingface/hub`), so nothing is downloaded twice. A file in it is named
by its checksum (SHA-256, or git's SHA-1 for small files), which is verified each time. No code of a repository is ever run.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from flambeau.base.config import settings
from flambeau.base.errors import ArgumentError, DownloadError, OfflineError, explain, missing_extra
from flambeau.base.files import sha256_of

SCHEME = "hf://"
WEIGHT_FILES = ("*.safetensors", "*.bin", "*.index.json", "*.json", "*.txt", "*.model")
_ADDRESS = re.compile(r"hf://([\w.-]+)/([\w.-]+?)(?:@([\w.-]+))?(?:/(.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Repository:
    """A repository at a revision (a branch, a tag or a commit), and perhaps one file of it."""

    owner: str
    name: str
    revision: str = "main"
    file: str = ""

    @classmethod
    def parse(cls, address: str) -> Repository:
        """From `hf://org/name@revision/file`; revision and file may be left out.

        >>> Repository.parse("hf://openai-community/gpt2@main/config.json").file
        'config.json'
        """
        match = _ADDRESS.fullmatch(address)
        file = match[4] or "" if match else ""
        if match is None or ".." in PurePosixPath(file).parts or file.startswith("/") or "\\" in file or {match[1], match[2]} & {".", ".."}:
            raise ArgumentError(explain("hub", expected="hf://org/name, hf://org/name@revision or hf://org/name/file", got=repr(address)))
        return cls(match[1], match[2], match[3] or "main", file)

    @property
    def folder(self) -> Path:
        """Where the cache keeps it."""
        return settings().hf_cache / f"models--{self.owner}--{self.name}"

    def cached(self) -> Path | None:
        """The snapshot's folder, or the file in it, if the cache has it."""
        commit = self.revision
        if not _COMMIT.fullmatch(commit):
            reference = self.folder / "refs" / self.revision
            commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else ""
        if not _COMMIT.fullmatch(commit):
            return None
        place = self.folder / "snapshots" / commit / self.file
        return place if place.exists() else None


def hf_path(address: str) -> Path:
    """A checked local folder (or file) for an `hf://` address. Only its weights, tables and texts are downloaded, never code.

    Raises OfflineError when it is not in the cache and `FLAMBEAU_OFFLINE=1`, MissingExtra without huggingface_hub, and DownloadError for a
    file whose content is not what its name in the cache says.
    """
    repository = Repository.parse(address)
    place = repository.cached()
    if place is None:
        if settings().offline:
            hint = f"unset FLAMBEAU_OFFLINE, or copy the repository to {repository.folder}"
            raise OfflineError(
                explain(f"fetch {address}", expected="a cached copy, because FLAMBEAU_OFFLINE is set", got="none", hint=hint)
            )
        place = _download(repository, address)
    for file in [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file()):
        _verify(file, address)
    return place


def _download(repository: Repository, address: str) -> Path:
    try:
        import huggingface_hub
    except ImportError:
        raise missing_extra(f"fetch {address}", "huggingface_hub", "flambeau[hub]") from None
    place: dict[str, Any] = {
        "repo_id": f"{repository.owner}/{repository.name}",
        "revision": repository.revision,
        "cache_dir": str(settings().hf_cache),
    }
    try:
        if repository.file:
            return Path(huggingface_hub.hf_hub_download(filename=repository.file, **place))
        return Path(huggingface_hub.snapshot_download(allow_patterns=list(WEIGHT_FILES), **place))
    except Exception as error:  # its errors, those of its HTTP client, and those of the disk
        got = f"{type(error).__name__}: {error}"
        raise DownloadError(explain(f"fetch {address}", expected="the repository", got=got[:300], hint="check the name")) from error


def _verify(path: Path, address: str) -> None:
    """Compare a file with the checksum that is its name among the blobs; a plain copy has no such name."""
    name = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", name):
        found = sha256_of(path)
    elif _COMMIT.fullmatch(name):
        data = path.read_bytes()
        found = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    else:
        return
    if found != name:
        hint = f"delete {path.resolve()} and fetch it again"
        raise DownloadError(explain(f"{address}, file {path.name}", expected=f"the checksum {name}", got=found, hint=hint))
