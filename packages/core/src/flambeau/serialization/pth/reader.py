"""Reads what `torch.save` wrote: the zip layout of PyTorch 1.6 and later, and the pickle stream that came before it.

A legacy stream is five pickles (a magic number, the protocol, facts about the system, the object, the keys of its storages), then for each
key an int64 count and that many elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.serialization.formats import LoadOptions
from flambeau.serialization.pth.archive import Entry, check_crc, read_directory
from flambeau.serialization.pth.machine import Machine
from flambeau.serialization.pth.names import table
from flambeau.serialization.pth.opcodes import Instructions, refuse
from flambeau.serialization.pth.storages import Storage, StorageType

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_ALIGNMENT = 16

Read = Callable[[], Any]


def _part(buffer: Any, start: int, size: int, views: bool) -> np.ndarray[Any, Any]:
    """Bytes of the file as an array: on the file's memory where that is wanted and aligned, else a copy."""
    if size == 0:
        return np.zeros(0, np.uint8)
    found = np.frombuffer(buffer, np.uint8, size, start)
    return found if views and found.ctypes.data % _ALIGNMENT == 0 else found.copy()


class _Storages:
    """Persistent ids of a file -> its storages. `locate(key, bytes wanted)` gives the function that reads one."""

    def __init__(self, source: str, locate: Callable[[str, int], Read | None]) -> None:
        self.source, self.locate = source, locate
        self.found: dict[str, Storage] = {}

    def __call__(self, id_: Any) -> Any:
        if type(id_) is not tuple or len(id_) not in (5, 6) or id_[0] != "storage":
            kind = id_[0] if type(id_) is tuple and id_ else id_
            refuse(self.source, "persistent ids of storages", f"one of {kind!r}", "save the state_dict(), not the module")
        _, kind, key, location, count = id_[:5]
        if not isinstance(kind, StorageType):
            refuse(self.source, "the class of a storage with a dtype that is known here", repr(kind))
        if type(key) is not str or type(location) is not str or type(count) is not int or count < 0:
            refuse(self.source, "a key, a device and a size of a storage", repr(id_[2:5]))
        known = self.found.get(key)
        if known is None:
            known = self.found[key] = Storage(self.source, kind, location, count, self.locate(key, count * kind.itemsize))
        elif known.kind.dtype is not kind.dtype or known.count != count:
            refuse(self.source, f"the storage {key!r} with one dtype and size", "another use of it")
        if len(id_) == 6 and id_[5] is not None:
            return self._slice(known, id_[5])
        return known

    def _slice(self, whole: Storage, row: Any) -> Storage:
        """A part of a storage, as files before PyTorch 0.4 name it: (key of the part, offset, size)."""
        if type(row) is not tuple or len(row) != 3 or not all(type(n) is int and n >= 0 for n in row[1:]) or row[1] + row[2] > whole.count:
            refuse(self.source, "a part inside its storage", repr(row))
        begin, end = row[1] * whole.kind.itemsize, (row[1] + row[2]) * whole.kind.itemsize
        read = (lambda: whole.bytes()[begin:end]) if whole.known else None
        return Storage(self.source, whole.kind, whole.location, row[2], read)


def read_zip(buffer: Any, source: str, options: LoadOptions) -> Any:
    """The object in a zip file of `torch.save`."""
    entries = read_directory(buffer, source)
    mains = [name for name in entries if name == "data.pkl" or (name.count("/") == 1 and name.endswith("/data.pkl"))]
    if len(mains) != 1:
        hint = "numpy.load, or unpack it" if any(name.endswith(".npy") for name in entries) else ""
        refuse(source, "a zip file of torch.save, with one entry data.pkl", f"one with {sorted(entries)[:5]}", hint)
    root = mains[0].removesuffix("data.pkl")
    if f"{root}constants.pkl" in entries:
        refuse(source, "a file of torch.save", "a TorchScript program", "torch.save(script_module.state_dict(), path) with PyTorch")

    def bytes_of(name: str) -> bytes:
        entry = entries.get(root + name, Entry(name, 0, 0, 0))
        check_crc(buffer, entry, source)
        return bytes(buffer[entry.start : entry.start + entry.size])

    order = bytes_of("byteorder") if f"{root}byteorder" in entries else b"little"
    if order != b"little":
        refuse(source, "little-endian data", f"byte order {order[:20]!r}", "load and save it again on a little-endian machine")

    def locate(key: str, size: int) -> Read:
        entry = entries.get(f"{root}data/{key}")
        if entry is None or entry.size != size:
            refuse(source, f"{size} bytes of storage {key!r}", "no entry for it" if entry is None else f"{entry.size} bytes")
        if options.verify:
            check_crc(buffer, entry, source)
        return lambda: _part(buffer, entry.start, entry.size, options.mmap)

    machine = Machine(source, table(options.map_location), _Storages(source, locate), options.opaque)
    return machine.run(Instructions(bytes_of("data.pkl"), 0, source))


def read_legacy(buffer: Any, source: str, options: LoadOptions) -> Any:
    """The object in a legacy stream of `torch.save`."""
    position = 0

    def next_value() -> Any:
        nonlocal position
        instructions = Instructions(buffer, position, source)
        value = Machine(source, {}).run(instructions)
        position = instructions.position
        return value

    magic = next_value()
    if magic != _MAGIC:
        refuse(source, "a file of torch.save", f"another pickle, of {type(magic).__name__}", "pickles can run code and are not read")
    protocol, system = next_value(), next_value()
    if protocol != _PROTOCOL:
        refuse(source, f"version {_PROTOCOL} of the legacy layout", repr(protocol))
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        refuse(source, "little-endian data", "big-endian data", "load and save it again on a little-endian machine")
    start = position
    position = Instructions(buffer, start, source).skip()
    keys = next_value()
    if type(keys) is not list or not all(type(key) is str for key in keys) or len(set(keys)) != len(keys):
        refuse(source, "a list of different storage keys", repr(keys))
    names = table(options.map_location)
    outline = _Storages(source, lambda key, size: None)  # the first pass only learns the dtypes of the storages
    Machine(source, names, outline, options.opaque).run(Instructions(buffer, start, source))
    places = _legacy_places(buffer, position, keys, outline.found, source)

    def locate(key: str, size: int) -> Read:
        if key not in places:
            refuse(source, f"storage {key!r} in the list of storages", "none")
        return lambda: _part(buffer, places[key], size, options.mmap)

    return Machine(source, names, _Storages(source, locate), options.opaque).run(Instructions(buffer, start, source))


def _legacy_places(buffer: Any, position: int, keys: list[str], storages: dict[str, Storage], source: str) -> dict[str, int]:
    """Where the elements of each storage begin."""
    places = {}
    for key in keys:
        if key not in storages:
            refuse(source, "storages that tensors use", f"{key!r}, which none does")
        count = int.from_bytes(bytes(buffer[position : position + 8]), "little", signed=True)
        if count != storages[key].count:
            refuse(source, f"{storages[key].count} elements of storage {key!r}", str(count))
        places[key] = position + 8
        position += 8 + count * storages[key].kind.itemsize
        if position > len(buffer):
            refuse(source, f"{count} elements of storage {key!r}", "the end of the file (truncated?)")
    return places
