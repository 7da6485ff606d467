"""The one cache directory. A file lives at `files/<its sha256>/<its name>`, so two files can never be taken for one another."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from flambeau.base.config import settings
from flambeau.base.errors import ArgumentError, explain
from flambeau.base.files import md5_of, sha256_of

# A SHA-256: whole, or its first digits, as PyTorch's checkpoints carry them in their names; more than 32 would be a whole one that lost
# some. Or an MD5.
_CHECKSUM = re.compile(r"[0-9a-f]{64}|[0-9a-f]{8,32}|md5-[0-9a-f]{32}")


def cache_dir() -> Path:
    """The cache directory: `FLAMBEAU_HOME`, else the user's cache directory (`$XDG_CACHE_HOME/flambeau`)."""
    return settings().cache_home


def check_sha256(sha256: str, what: str) -> str:
    """The checksum in lower case, or its first 8 to 32 digits; or "md5-" and an MD5, where a source of old states nothing else.

    Raises ArgumentError when it is none: nothing is fetched unchecked.
    """
    lowered = sha256.strip().lower()
    if not _CHECKSUM.fullmatch(lowered):
        raise ArgumentError(
            explain(what, expected="a sha256 of 64 hexadecimal digits, its first 8 to 32, or md5-<32 digits>", got=repr(sha256))
        )
    return lowered


def cached_path(url: str, sha256: str) -> Path:
    """Where the file with this checksum is, or would be, on this machine."""
    return cache_dir() / "files" / sha256 / file_name(url)


def file_name(url: str) -> str:
    """A safe file name from an address: its last part, without anything that could lead out of a directory.

    >>> file_name("https://example.org/a/net%20v1.safetensors?x=1"), file_name("https://example.org/..%2f..")
    ('net_v1.safetensors', 'file')
    """
    last = PurePosixPath(unquote(urlsplit(url).path).replace("\\", "/")).name
    return re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")[-120:] or "file"


def is_intact(path: Path, sha256: str) -> bool:
    """Whether the file is there and has this checksum (or one that begins so)."""
    return path.is_file() and checksum_of(path, sha256).startswith(sha256)


def checksum_of(path: Path, like: str) -> str:
    """The checksum of a file, of the same kind as another one."""
    return f"md5-{md5_of(path)}" if like.startswith("md5-") else sha256_of(path)
