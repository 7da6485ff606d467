"""Files that are either whole or absent: atomic writes, checksums, and a lock between processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from flambeau.base.errors import ArgumentError, FileFormatError, FlambeauError, explain

CHUNK = 1 << 20


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, as 64 lower-case hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5_of(path: str | os.PathLike[str]) -> str:
    """The MD5 of a file, as 32 lower-case hexadecimal digits: against damage, and where an old source states nothing better."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def sync_directory(directory: str | os.PathLike[str]) -> None:
    """Make a rename in `directory` survive a power cut. Windows has no such call and needs none."""
    if sys.platform == "win32":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse to sync a directory; the file itself is synced
    finally:
        os.close(descriptor)


def publish(temporary: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Move a finished, synced file to its final name in one step."""
    os.replace(temporary, path)
    sync_directory(Path(path).parent)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[bytes]]:
    """Write a file so that readers see the old content or the new one, never a part.

    The content goes to a temporary file beside `path`, is synced, and takes its name when the block ends without an error.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(pathlib.Path(folder, "a.txt")) as file:
    ...         _ = file.write(b"all")
    ...     pathlib.Path(folder, "a.txt").read_bytes()
    b'all'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(descriptor, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _usual_mode(target))
        publish(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _usual_mode(target: Path) -> int:
    """The mode that an ordinary `open` would leave (mkstemp makes files private)."""
    with contextlib.suppress(FileNotFoundError):
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


@contextlib.contextmanager
def file_lock(path: str | os.PathLike[str], *, timeout: float = 3600.0, poll: float = 0.05) -> Iterator[None]:
    """Hold a lock that other processes respect. The system frees it when the process dies, so nothing stale can remain.

    Args:
        path: the lock file; it is made if absent and stays behind, empty.
        timeout: seconds to wait before FlambeauError.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    with open(path, "a+b") as file:
        while not _try_lock(file.fileno()):
            if time.monotonic() > deadline:
                hint = "another process holds it; wait for it or end it"
                raise FlambeauError(explain("file lock", expected=f"{path} within {timeout:g} s", hint=hint))
            time.sleep(poll)
        try:
            yield
        finally:
            _unlock(file.fileno())


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def read_json(path: Path, default: Any = None) -> dict[str, Any]:
    """The JSON object in a file, or `default` where there is no file. Raises FileFormatError when it is something else."""
    if default is not None and not path.is_file():
        return dict(default)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArgumentError(explain(f"read {path.name}", expected=f"a file in {path.parent}", got="none")) from None
    except (ValueError, RecursionError) as error:
        raise FileFormatError(explain(f"read {path}", expected="JSON", got=str(error)[:200])) from None
    if not isinstance(found, dict):
        raise FileFormatError(explain(f"read {path}", expected="a JSON object", got=type(found).__name__))
    return found
