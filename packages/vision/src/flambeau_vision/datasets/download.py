"""Files of datasets that are fetched when one asks for it with `download=True`: checked, resumed and kept by `flambeau.hub`."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import flambeau.hub
from flambeau.base.errors import DownloadError, FileFormatError, explain
from flambeau.base.files import atomic_write


def fetched(dataset: str, urls: Sequence[str], checksum: str, folder: Path) -> Path:
    """A checked local copy, from the first address that has it. Raises DownloadError that says where the file would have to be."""
    reason = ""
    for url in urls:
        try:
            return flambeau.hub.fetch(url, checksum, progress=True)
        except DownloadError as error:
            reason = str(error)
    name = urls[0].rpartition("/")[2]
    raise DownloadError(explain(dataset, expected=f"to fetch {name}", got=reason, hint=f"put {name}, or what is in it, into {folder}"))


def place(dataset: str, urls: Sequence[str], checksum: str, folder: Path) -> None:
    """Put a file into `folder` under its own name, unless it is there, unpacked or not."""
    name = urls[0].rpartition("/")[2]
    if (folder / name).exists() or (folder / name.removesuffix(".gz")).exists():
        return
    source = fetched(dataset, urls, checksum, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(source, "rb") as file, atomic_write(folder / name) as target:
        shutil.copyfileobj(file, target)


def unpack(dataset: str, url: str, checksum: str, folder: Path, names: Sequence[str]) -> None:
    """Put the files `names` of a tar archive into `folder`, unless they are there. What else the archive has is left in it."""
    if all((folder / name).exists() for name in names):
        return
    source = fetched(dataset, [url], checksum, folder)
    with tarfile.open(source) as archive:
        for name in names:
            try:
                content = archive.extractfile(name)
            except KeyError:
                content = None
            if content is None:
                raise FileFormatError(explain(f"{dataset}: {source}", expected=f"a file {name} in it", got="none"))
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(folder / name) as target:
                shutil.copyfileobj(content, target)
