"""`flambeau.save` and `flambeau.load`. Loading looks at the first bytes and asks the table of formats; another format is another row."""

from __future__ import annotations

import importlib
import io
import mmap as mmap_module
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from flambeau.base.errors import ArgumentError, FileFormatError, explain
from flambeau.base.files import atomic_write
from flambeau.serialization.layout import MAX_HEADER
from flambeau.serialization.sharded import INDEX_SUFFIX, load_sharded
from flambeau.serialization.state import read_state

_HEAD = 64


@dataclass(frozen=True)
class LoadOptions:
    """What a reader is told: where tensors go, whether they may stay on the memory map, whether to check hashes, and whether objects
    of unknown classes become inert records instead of an error."""

    map_location: Any = None
    mmap: bool = False
    verify: bool = True
    opaque: bool = False


@dataclass(frozen=True)
class FileFormat:
    """One readable format. `matches(first bytes, name)` recognises it; `reader` ("module:function") reads it.

    The reader is called as `reader(buffer, source, options)`: the bytes of the whole file, its name, and LoadOptions.
    """

    name: str
    matches: Callable[[bytes, str], bool]
    reader: str


def _is_safetensors(head: bytes, name: str) -> bool:
    return 0 < int.from_bytes(head[:8], "little") <= MAX_HEADER and head[8:9] == b"{"


def _is_index(head: bytes, name: str) -> bool:
    return name.endswith(INDEX_SUFFIX)


_formats: list[FileFormat] = [
    FileFormat("safetensors index", _is_index, "flambeau.serialization.formats:read_index_file"),
    FileFormat("safetensors", _is_safetensors, "flambeau.serialization.formats:read_safetensors"),
    FileFormat("PyTorch", lambda head, name: head.startswith(b"PK\x03\x04"), "flambeau.serialization.pth.reader:read_zip"),
    FileFormat("legacy PyTorch", lambda head, name: head.startswith(b"\x80"), "flambeau.serialization.pth.reader:read_legacy"),
]


def register_format(file_format: FileFormat) -> None:
    """Make `load` read another format. Raises ArgumentError if the name is taken."""
    if any(known.name == file_format.name for known in _formats):
        raise ArgumentError(explain("register_format", expected="a new name", got=repr(file_format.name)))
    _formats.append(file_format)


# name -> "module:function", called as function(seekable file, object)
_WRITERS = {"flambeau": "flambeau.serialization.state:write_state", "torch": "flambeau.serialization.pth.writer:write_torch"}


def save(obj: Any, f: str | os.PathLike[str] | IO[bytes], *, format: str = "flambeau") -> None:
    """Save a nested state to a file (atomically) or to an open binary file, without pickle.

    `format="torch"` writes a file that PyTorch loads with `torch.load(path, weights_only=True)`; it holds no NumPy arrays.

    The state may hold dicts with keys of any storable type, lists, tuples, sets, strings, bytes, numbers, None, tensors and
    parameters, NumPy arrays, dtypes and devices. Loading gives it back exactly; tensors that share memory share it again. Anything
    else raises ArgumentTypeError that says where it is.

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "state.safetensors")
    >>> save({"step": 3, 7: ("a", None)}, path)
    >>> load(path)
    {'step': 3, 7: ('a', None)}
    """
    if format not in _WRITERS:
        raise ArgumentError(explain("save", expected=f"a format of {sorted(_WRITERS)}", got=repr(format)))
    write = _place(_WRITERS[format])
    if isinstance(f, (str, os.PathLike)):
        with atomic_write(f) as file:
            write(file, obj)
        return
    _require(f, "write", "save")
    memory = io.BytesIO()
    write(memory, obj)
    f.write(memory.getbuffer())


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: Any = None,
    *,
    weights_only: bool = True,
    mmap: bool = False,
    verify: bool | None = None,
    opaque: bool = False,
) -> Any:
    """Load what `save` or PyTorch's `torch.save` wrote, a safetensors file (as a dict of tensors), or a sharded index.

    Nothing in the file is executed. A PyTorch file may hold tensors, containers, numbers, text, NumPy arrays, and little more (see
    docs/saving.md); any other class is an error that names it, or with `opaque=True` an inert `Opaque` record of name and data.

    `map_location`: where tensors go: a device, a dict from saved to wanted device, or a function of (CPU tensor, saved device).
    `weights_only` is accepted for PyTorch's sake and changes nothing: no file is ever trusted.
    `mmap=True` leaves tensors on a private memory map of the file. `verify` checks the file's SHA-256 or CRC (default: unless `mmap`).
    Raises FileFormatError, naming the file and what is wrong, for damaged or unknown files.
    """
    options = LoadOptions(map_location, mmap, (not mmap) if verify is None else verify, opaque)
    if isinstance(f, (str, os.PathLike)):
        source = os.fspath(f)
        with open(f, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            buffer: Any = mmap_module.mmap(file.fileno(), 0, access=mmap_module.ACCESS_COPY) if size else b""
    else:
        _require(f, "read", "load")
        source = str(getattr(f, "name", "given as an open file"))
        buffer = bytearray(f.read())
    head = bytes(buffer[:_HEAD])
    found = next((known for known in _formats if known.matches(head, source)), None)
    if found is None:
        known = ", ".join(known.name for known in _formats)
        raise FileFormatError(explain(f"load {source}", expected=f"a file of a known format ({known})", got=_describe(head)))
    return _place(found.reader)(buffer, source, options)


def _place(target: str) -> Callable[..., Any]:
    module, _, function = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def read_safetensors(buffer: Any, source: str, options: LoadOptions) -> Any:
    """The reader of safetensors files, ours with nested state included."""
    return read_state(buffer, source, map_location=options.map_location, views=options.mmap, verify=options.verify)


def read_index_file(buffer: Any, source: str, options: LoadOptions) -> Any:
    """The reader of a sharded model's index."""
    if not Path(source).is_file():
        raise ArgumentError(
            explain("load", expected="the path of an index", got="an open file", hint="give the path: the shards are beside it")
        )

    def read(shard: Path) -> Any:
        return load(shard, options.map_location, mmap=options.mmap, verify=options.verify, opaque=options.opaque)

    return load_sharded(source, read=read)


def _describe(head: bytes) -> str:
    for magic, what in ((b"\x1f\x8b", "a gzip file"), (b"\x93NUMPY", "a NumPy file")):
        if head.startswith(magic):
            return what
    return "an empty file" if not head else f"one that begins with {head[:16]!r}"


def _require(f: Any, method: str, op: str) -> None:
    if not callable(getattr(f, method, None)):
        raise ArgumentError(explain(op, expected=f"a path or an open binary file with .{method}()", got=type(f).__name__))
