"""Downloads that end with the whole, right file or with an error: never with a wrong or half a file under the final name."""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from flambeau.__about__ import __version__
from flambeau.base.config import settings
from flambeau.base.errors import DownloadError, OfflineError, explain
from flambeau.base.files import CHUNK, file_lock, publish
from flambeau.base.hooks import call_hook
from flambeau.hub.cache import cached_path, check_sha256, checksum_of, file_name, is_intact
from flambeau.hub.lock import check_locked
from flambeau.hub.mirrors import places
from flambeau.hub.progress import Report, download_bar

ATTEMPTS = 4
TIMEOUT = 30.0  # seconds without a byte before an attempt is given up
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses that may be gone the next time


class _Passing(Exception):
    """An attempt failed for a reason that may not last; what has arrived is kept."""


def fetch(url: str, sha256: str, *, size: int | None = None, progress: Report | bool = False, pause: float = 0.5) -> Path:
    """A local file with this checksum: the cached one, or a download.

    Several processes may ask at once; one downloads, the others wait for it. An interrupted download goes on where it stopped. Mirrors
    (`FLAMBEAU_MIRRORS`) are tried before the address itself.

    Args:
        url: `https://`, `http://`, `file://`, or a scheme that a plugin fetches.
        sha256: the checksum of the content, verified after the download and again at each call. Where a source states no more, its first
            8 to 32 digits will do, or "md5-" with an MD5.
        size: bytes; a file that turns out larger is refused.
        progress: called with the bytes so far and in all (None when unknown); True draws a bar on a terminal.
        pause: seconds before the second attempt; doubled for each further one.

    Raises OfflineError when the network is needed and `FLAMBEAU_OFFLINE=1`, and DownloadError for everything else that goes wrong.
    """
    sha256 = check_sha256(sha256, url)
    path = cached_path(url, sha256)
    check_locked(url, sha256)
    if is_intact(path, sha256):
        return path
    sources = [place for place in places(url) if not settings().offline or urlsplit(place).scheme == "file"]
    if not sources:
        hint = f"unset FLAMBEAU_OFFLINE, or put the file at {path}"
        got = "a damaged file in the cache" if path.exists() else "no such file in the cache"
        raise OfflineError(explain(f"fetch {url}", expected="a cached copy, because FLAMBEAU_OFFLINE is set", got=got, hint=hint))
    try:
        with file_lock(path.with_name(path.name + ".lock")):
            if not is_intact(path, sha256):  # another process may have fetched it meanwhile
                job = _Job(url, path.with_name(path.name + ".part"), sha256, size, None if isinstance(progress, bool) else progress)
                with download_bar(file_name(url)) if progress is True else nullcontext(job.progress) as report:
                    _download_from(sources, replace(job, progress=report), pause)
                publish(path.with_name(path.name + ".part"), path)
    except (DownloadError, KeyboardInterrupt):
        raise
    except OSError as error:
        hint = "free some space, or point FLAMBEAU_HOME to another disk"
        raise DownloadError(explain(f"fetch {url}", expected=f"to write {path}", got=str(error), hint=hint)) from error
    return path


@dataclass(frozen=True)
class _Job:
    url: str
    part: Path  # what has arrived so far; it survives failures, so that the next attempt goes on from there
    sha256: str
    size: int | None
    progress: Report | None


def _download_from(sources: list[str], job: _Job, pause: float) -> None:
    """Try one address after the other; the error is that of the last."""
    for position, source in enumerate(sources, start=1):
        try:
            return _download(replace(job, url=source), pause)
        except DownloadError:
            if position == len(sources):
                raise


def _download(job: _Job, pause: float) -> None:
    """Fill `job.part` with the right content, in a few attempts."""
    scheme = urlsplit(job.url).scheme
    attempt = _fetch_http if scheme in ("http", "https") else _fetch_file if scheme == "file" else _fetch_by_plugin
    for number in range(ATTEMPTS):
        resumed = job.part.exists() and job.part.stat().st_size > 0
        try:
            attempt(job)
        except _Passing as reason:
            if number == ATTEMPTS - 1:
                got = f"{reason} ({ATTEMPTS} attempts)"
                raise DownloadError(explain(f"fetch {job.url}", expected="the whole file", got=got, hint="again later")) from None
            time.sleep(pause * 2**number)
            continue
        found = checksum_of(job.part, job.sha256)
        if found.startswith(job.sha256):
            return
        job.part.unlink()
        if not resumed:  # a part left from earlier may be to blame, and deserves a second try from the start
            hint = "the file at that address has changed or was tampered with; do not use it"
            raise DownloadError(explain(f"fetch {job.url}", expected=_named(job.sha256), got=found, hint=hint))
    raise DownloadError(explain(f"fetch {job.url}", expected=_named(job.sha256), got="another content at each attempt"))


def _named(checksum: str) -> str:
    return checksum if checksum.startswith("md5-") else f"sha256 {checksum}"


def _fetch_http(job: _Job) -> None:
    have = job.part.stat().st_size if job.part.exists() else 0
    request = urllib.request.Request(job.url, headers={"User-Agent": f"flambeau/{__version__}", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
            _check_final_scheme(job.url, reply.url)
            resuming = reply.status == 206 and reply.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if reply.status == 206 and not resuming:
                job.part.unlink(missing_ok=True)
                raise _Passing("the server sent another part than asked for")
            length = reply.headers.get("Content-Length")
            total = int(length) + (have if resuming else 0) if length and length.isdigit() else None
            _receive(reply, job, have if resuming else 0, total)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is as long as the file, or longer
            _finish_or_restart(job)
        elif error.code in _PASSING:
            raise _Passing(f"HTTP {error.code} {error.reason}") from None
        else:
            got = f"HTTP {error.code} {error.reason}"
            raise DownloadError(explain(f"fetch {job.url}", expected="the file", got=got, hint="check the address")) from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _Passing(f"{type(error).__name__}: {getattr(error, 'reason', error)}") from None


def _finish_or_restart(job: _Job) -> None:
    if is_intact(job.part, job.sha256):
        return
    job.part.unlink(missing_ok=True)
    raise _Passing("the server has less than an earlier attempt received")


def _check_final_scheme(asked: str, final: str) -> None:
    if urlsplit(final).scheme not in ("http", "https"):
        raise DownloadError(explain(f"fetch {asked}", expected="a redirection to http or https", got=final))


def _receive(source: IO[bytes] | http.client.HTTPResponse, job: _Job, start: int, total: int | None) -> None:
    """Append what `source` gives to the part, from byte `start` on, and sync it."""
    if job.size is not None and total is not None and total > job.size:
        raise DownloadError(explain(f"fetch {job.url}", expected=f"{job.size} bytes", got=f"{total} bytes offered"))
    done = start
    with open(job.part, "ab" if start else "wb") as file:
        while True:
            chunk = source.read(CHUNK)
            if not chunk:
                break
            done += len(chunk)
            if job.size is not None and done > job.size:
                raise DownloadError(explain(f"fetch {job.url}", expected=f"{job.size} bytes", got="more"))
            file.write(chunk)
            if job.progress is not None:
                job.progress(done, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise _Passing(f"the connection ended after {done} of {total} bytes")
    if total is None and job.size is not None and done < job.size:
        raise _Passing(f"the connection ended after {done} of {job.size} bytes")


def _fetch_file(job: _Job) -> None:
    parts = urlsplit(job.url)
    if parts.netloc not in ("", "localhost"):
        raise DownloadError(
            explain(f"fetch {job.url}", expected="a file on this machine", got=f"one on {parts.netloc!r}", hint="file:///path")
        )
    source = Path(urllib.request.url2pathname(parts.path))
    try:
        with open(source, "rb") as file:
            _receive(file, job, 0, os.fstat(file.fileno()).st_size)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise DownloadError(explain(f"fetch {job.url}", expected=f"a readable file at {source}", got=str(error.strerror))) from None


def _fetch_by_plugin(job: _Job) -> None:
    job.part.unlink(missing_ok=True)
    handled = call_hook("flambeau_fetch", url=job.url, path=job.part, sha256=job.sha256)
    if not handled or not job.part.is_file():
        scheme = urlsplit(job.url).scheme
        hint = "a plugin that implements flambeau_fetch" if scheme else "file:///path, for a file on this machine"
        raise DownloadError(explain(f"fetch {job.url}", expected="http, https or file", got=repr(scheme), hint=hint))
