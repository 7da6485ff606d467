"""Compiled kernels, kept in memory and on disk under a hash of all that decides them.

An entry is one file: a line with the SHA-256 of its key and of what follows, then the object code. An entry that does not match its line
(cut short, written by something else, or in the place of another) is compiled anew. A folder that cannot be written to costs speed, never
correctness. Code is loaded from this folder, so it is made private to the user and is not used at all where another user could have
written to it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from flambeau.base.config import settings
from flambeau.base.files import atomic_write
from flambeau.codegen.llvm import Target, compile_text, digest, version

VERSION = "1"  # of the code generator's conventions; raised when old objects must not be reused
LIMIT = 256 << 20  # bytes on disk; the entries used longest ago go first
_TRIM_EVERY = 64  # writes of one process between two looks at the size

_memory: dict[str, bytes] = {}
_writes = 0


def folder() -> Path:
    """Where entries lie."""
    return settings().cache_home / "kernels"


def object_code(text: str, target: Target) -> bytes:
    """The object code of a module of IR, compiled now or before."""
    key = digest(VERSION, version(), target.triple, target.cpu, target.features, text)
    found = _memory.get(key)
    if found is None:
        path = folder() / key[:2] / f"{key}.o"
        found = _read(path, key)
        if found is None:
            found = compile_text(text, target)
            _write(path, key, found)
        _memory[key] = found
    return found


def clear() -> int:
    """Remove all entries, in memory and on disk; how many files went."""
    _memory.clear()
    return sum(_remove(path) for path, _, _ in _entries())


def trim(limit: int = LIMIT) -> None:
    """Remove the entries used longest ago until the rest fits in `limit` bytes."""
    entries = sorted(_entries(), key=lambda e: e[2], reverse=True)
    total = 0
    for path, size, _ in entries:
        total += size
        if total > limit:
            _remove(path)


def _seal(key: str, body: bytes) -> bytes:
    return hashlib.sha256(key.encode() + body).hexdigest().encode()


def _read(path: Path, key: str) -> bytes | None:
    try:
        if not _is_ours(path.parent.parent):
            return None
        content = path.read_bytes()
    except OSError:
        return None
    head, _, body = content.partition(b"\n")
    if head != _seal(key, body):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # for `trim`
    return body


def _write(path: Path, key: str, body: bytes) -> None:
    global _writes
    try:
        path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(path.parent.parent):
            return
        with atomic_write(path) as file:
            file.write(_seal(key, body) + b"\n" + body)
    except OSError:
        return  # read-only, full, or gone: the object stays in memory
    _writes += 1
    if _writes % _TRIM_EVERY == 1:  # the first time too, or many short processes would fill the disk
        trim()


def _is_ours(where: Path) -> bool:
    """Whether only this user (or the administrator) can have put files there."""
    if not hasattr(os, "getuid"):
        return True
    info = where.stat()
    return info.st_uid in (os.getuid(), 0) and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _entries() -> list[tuple[Path, int, float]]:
    """Path, size and time of last use of each entry."""
    found = []
    for path in folder().glob("*/*.o"):
        with contextlib.suppress(OSError):
            info = path.stat()
            found.append((path, info.st_size, info.st_mtime))
    return found


def _remove(path: Path) -> int:
    try:
        path.unlink()
    except OSError:
        return 0
    return 1
