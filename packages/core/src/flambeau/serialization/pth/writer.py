"""Writes the zip layout of `torch.save`, so that real PyTorch loads the file with `weights_only=True`."""

from __future__ import annotations

import zipfile
from typing import IO, Any

import numpy as np

from flambeau.base.errors import ArgumentError, explain
from flambeau.serialization.pth.pickler import Pickler

_ROOT = "archive"
_ALIGNMENT = 64
_LOCAL_HEADER = 30
_DATE = (1980, 1, 1, 0, 0, 0)  # the same state gives the same bytes
_PADDING = b"FB"  # the extra field that PyTorch pads with


def write_torch(file: IO[bytes], obj: Any) -> None:
    """Write an object to an open, seekable file. What PyTorch's reader of weights would refuse raises ArgumentTypeError."""
    try:
        pickler = Pickler(obj)
    except RecursionError:
        got = "one that contains itself or is nested too deeply"
        raise ArgumentError(explain('save with format="torch"', expected="a state without cycles", got=got)) from None
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, file, "data.pkl", pickler.data)
        _add(archive, file, ".format_version", b"1")
        _add(archive, file, ".storage_alignment", str(_ALIGNMENT).encode())
        _add(archive, file, "byteorder", b"little")
        for number, array in enumerate(pickler.storages):
            _add(archive, file, f"data/{number}", np.ascontiguousarray(array).data)
        _add(archive, file, "version", b"3\n")


def _add(archive: zipfile.ZipFile, file: IO[bytes], name: str, data: Any) -> None:
    """One stored entry whose content begins at a multiple of the alignment."""
    size = len(data) if isinstance(data, bytes) else data.nbytes
    entry = zipfile.ZipInfo(f"{_ROOT}/{name}", _DATE)
    entry.file_size = size
    large = 20 if size * 1.05 > zipfile.ZIP64_LIMIT else 0  # zipfile then adds a field with 64-bit sizes
    start = file.tell() + _LOCAL_HEADER + len(entry.filename) + large + 4
    padding = -start % _ALIGNMENT
    entry.extra = _PADDING + padding.to_bytes(2, "little") + b"Z" * padding
    with archive.open(entry, "w") as target:
        if size:
            target.write(data)
