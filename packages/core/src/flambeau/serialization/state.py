"""`flambeau.save`'s own file format: a safetensors file whose metadata describes the nested state.

Metadata: `format` = "flambeau"; `flambeau.version` = "1"; `flambeau.state` = JSON with `root` (see structure.py) and `leaves`, one row for
every tensor or array (see storage.py); `flambeau.sha256` = the SHA-256 of the whole file with these 64 characters replaced by zeros. So the
file proves its own integrity wherever it is moved, and any safetensors reader can read its tensors.
"""

from __future__ import annotations

import hashlib
import json
from typing import IO, Any

from flambeau.base.errors import ArgumentError, FileFormatError, FlambeauError, explain
from flambeau.serialization import arrays
from flambeau.serialization.layout import Header, entry_array, header_length, parse_header
from flambeau.serialization.safetensors import write_to
from flambeau.serialization.storage import ALIGNMENT, pack, unpack
from flambeau.serialization.structure import Encoder, decode

VERSION = "1"
_OURS = "flambeau."
_STATE, _VERSION, _SHA = _OURS + "state", _OURS + "version", _OURS + "sha256"
_BLANK = "0" * 64
_MARK = f'"{_SHA}":"'.encode()  # cannot occur inside a JSON string, where quotes are escaped
_CHUNK = 1 << 22


class _HashingFile:
    """A file that hashes what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.sha = hashlib.sha256()
        self.head = b""

    def write(self, data: Any) -> None:
        if not self.head:
            self.head = bytes(data)
        self.sha.update(data)
        self.file.write(data)


def write_state(file: IO[bytes], obj: Any) -> None:
    """Write a nested state to an open, seekable file."""
    encoder = Encoder()
    try:
        root = encoder.encode(obj)
        entries, rows = pack(encoder.leaves, encoder.names)
        text = json.dumps({"root": root, "leaves": rows}, separators=(",", ":"), allow_nan=False)
    except RecursionError:
        raise ArgumentError(
            explain("save", expected="a state without cycles", got="one that contains itself or is nested too deeply")
        ) from None
    metadata = {"format": "flambeau", _VERSION: VERSION, _SHA: _BLANK, _STATE: text}
    start = file.tell()
    hashing = _HashingFile(file)
    write_to(hashing, entries, metadata)  # type: ignore[arg-type]
    end = file.tell()
    file.seek(start + hashing.head.index(_MARK) + len(_MARK))
    file.write(hashing.sha.hexdigest().encode())
    file.seek(end)


def read_state(buffer: Any, source: str, *, map_location: Any = None, views: bool = False, verify: bool = True) -> Any:
    """The object in `buffer`, the bytes of a whole file; a plain safetensors file gives a dict of tensors.

    With `views` the tensors are views of the buffer instead of copies.
    """
    length = header_length(bytes(buffer[:8]), len(buffer), source)
    header = parse_header(bytes(buffer[8 : 8 + length]), len(buffer), source)
    if not any(key.startswith(_OURS) for key in header.metadata):
        found = {name: entry_array(buffer, header, name, source) for name in header.entries}
        return {name: arrays.tensor_of(array if views else array.copy(), {}, map_location) for name, array in found.items()}
    if verify:
        check_integrity(buffer, source)
    if header.metadata.get(_VERSION) != VERSION:
        got = f"version {header.metadata.get(_VERSION)!r}"
        raise FileFormatError(explain(f"file {source}", expected=f"version {VERSION} of the format", got=got, hint="a newer Flambeau"))
    return _decode(buffer, header, source, map_location, views)


def _decode(buffer: Any, header: Header, source: str, map_location: Any, views: bool) -> Any:
    entries: dict[str, Any] = {}
    sharing: dict[str, list[tuple[dict[str, Any], Any]]] = {}
    try:
        table = json.loads(header.metadata[_STATE])
        leaves = []
        for row in table["leaves"]:
            name = row["entry"]
            if name not in entries:
                array = entry_array(buffer, header, name, source)
                entries[name] = array if views and array.__array_interface__["data"][0] % ALIGNMENT == 0 else array.copy()
            leaf = _leaf(row, entries[name], sharing.setdefault(name, []), map_location)
            leaves.append(leaf)
            if arrays.is_tensor(leaf):
                sharing[name].append((row, leaf))
        for rows in sharing.values():
            arrays.share([tensor for _, tensor in rows if tensor.is_cpu])
        return decode(table["root"], leaves)
    except FlambeauError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, MemoryError) as error:
        got = f"{type(error).__name__}: {error}"
        raise FileFormatError(
            explain(f"file {source}", expected="a description of the state that this version writes", got=got[:300])
        ) from None


def _leaf(row: dict[str, Any], entry: Any, siblings: list[tuple[dict[str, Any], Any]], map_location: Any) -> Any:
    """One tensor or array. Off the CPU, where a copy is made, tensors tied to each other (equal rows) share that copy."""
    for other, tensor in siblings:
        if other == row and not tensor.is_cpu:
            return tensor.detach().requires_grad_(tensor.requires_grad)
    return unpack(row, entry, lambda array, facts: arrays.tensor_of(array, facts, map_location))


def check_integrity(buffer: Any, source: str) -> None:
    """Raise FileFormatError unless the SHA-256 in the file is that of its bytes."""
    memory = memoryview(buffer)
    length = int.from_bytes(memory[:8], "little")
    head = bytes(memory[: 8 + length])
    place = head.find(_MARK) + len(_MARK)
    stored = head[place : place + 64]
    sha = hashlib.sha256(head[:place] + _BLANK.encode() + head[place + 64 :])
    for start in range(8 + length, len(memory), _CHUNK):
        sha.update(memory[start : start + _CHUNK])
    memory.release()
    if sha.hexdigest().encode() != stored:
        raise FileFormatError(
            explain(f"file {source}", expected="the bytes that were written", got="other bytes: the SHA-256 does not agree")
        )
