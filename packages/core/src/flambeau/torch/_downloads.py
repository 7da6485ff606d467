"""`torchvision.datasets.utils`: files by address, checked by the MD5 that the program gives."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path

from flambeau.base.errors import ArgumentError, FileFormatError, explain
from flambeau.base.files import atomic_write, md5_of
from flambeau.hub import fetch


def calculate_md5(fpath: str | os.PathLike[str], chunk_size: int = 1 << 20) -> str:
    """The MD5 of a file."""
    return md5_of(fpath)


def check_integrity(fpath: str | os.PathLike[str], md5: str | None = None) -> bool:
    """Whether a file is there and has this MD5."""
    return os.path.isfile(fpath) and (md5 is None or calculate_md5(fpath) == md5.lower())


def download_url(
    url: str,
    root: str | os.PathLike[str],
    filename: str | os.PathLike[str] | None = None,
    md5: str | None = None,
    max_redirect_hops: int = 3,
) -> None:
    """A checked copy of a file in the folder `root`. Raises ArgumentError without an MD5: nothing is fetched unchecked."""
    target = Path(root).expanduser() / (filename or os.path.basename(url))
    if check_integrity(target, md5):
        return
    if md5 is None:
        hint = f"pass md5=..., or put the file at {target}"
        raise ArgumentError(explain(f"download {url}", expected="an md5", got="none", hint=hint))
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(fetch(url, f"md5-{md5}", progress=True), "rb") as file, atomic_write(target) as copy:
        shutil.copyfileobj(file, copy)


def extract_archive(from_path: str | os.PathLike[str], to_path: str | os.PathLike[str] | None = None, remove_finished: bool = False) -> str:
    """Unpack a zip or tar file. Raises FileFormatError for names that lead out of the folder, links, and other kinds of files."""
    source = Path(from_path)
    folder = Path(to_path) if to_path is not None else source.parent
    folder.mkdir(parents=True, exist_ok=True)
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as packed:
            for entry in packed.infolist():
                if not entry.is_dir():
                    with packed.open(entry) as content, atomic_write(_inside(folder, entry.filename)) as file:
                        shutil.copyfileobj(content, file)
    elif tarfile.is_tarfile(source):
        with tarfile.open(source) as archive:
            for member in archive:
                found = archive.extractfile(member) if member.isreg() else None
                if found is not None:
                    with atomic_write(_inside(folder, member.name)) as file:
                        shutil.copyfileobj(found, file)
                elif not member.isdir():
                    raise FileFormatError(explain(f"unpack {source}", expected="files and folders", got=f"a link {member.name!r}"))
    else:
        raise FileFormatError(explain(f"unpack {source}", expected="a zip or tar file", got="another kind"))
    if remove_finished:
        source.unlink()
    return str(folder)


def _inside(folder: Path, name: str) -> Path:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise FileFormatError(explain("unpack", expected=f"names inside {folder}", got=repr(name)))
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def download_and_extract_archive(
    url: str,
    download_root: str | os.PathLike[str],
    extract_root: str | os.PathLike[str] | None = None,
    filename: str | os.PathLike[str] | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """`download_url`, then `extract_archive`."""
    download_url(url, download_root, filename, md5)
    extract_archive(Path(download_root).expanduser() / (filename or os.path.basename(url)), extract_root, remove_finished)


def list_files(root: str | os.PathLike[str], suffix: str | tuple[str, ...], prefix: bool = False) -> list[str]:
    """Names of the files of a folder that end with `suffix`, with the folder in front if `prefix`."""
    names = sorted(entry.name for entry in Path(root).expanduser().iterdir() if entry.is_file() and entry.name.endswith(suffix))
    return [os.path.join(root, name) for name in names] if prefix else names


def list_dir(root: str | os.PathLike[str], prefix: bool = False) -> list[str]:
    """Names of the folders in a folder, with it in front if `prefix`."""
    names = sorted(entry.name for entry in Path(root).expanduser().iterdir() if entry.is_dir())
    return [os.path.join(root, name) for name in names] if prefix else names
