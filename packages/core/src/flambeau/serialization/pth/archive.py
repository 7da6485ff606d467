"""The directory of a zip file whose entries are stored without compression, as PyTorch writes them.

Everything is compared with the size of the file, entries may not overlap, and a compressed entry is refused: so reading can never take more
memory than the file has bytes. Format: the ZIP application note (APPNOTE 6.3), sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

from flambeau.serialization.pth.opcodes import refuse

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = 0xFFFF
_LARGE = 0xFFFFFFFF


@dataclass(frozen=True)
class Entry:
    """Where the bytes of one entry are, and their CRC-32."""

    name: str
    start: int
    size: int
    crc: int


def read_directory(buffer: Any, source: str) -> dict[str, Entry]:
    """The entries of a zip file by name."""
    return {entry.name: entry for entry in _Directory(buffer, source).entries()}


def check_crc(buffer: Any, entry: Entry, source: str) -> None:
    """Raise unless the entry's bytes have its checksum."""
    with memoryview(buffer) as memory:
        found = zlib.crc32(memory[entry.start : entry.start + entry.size])
    if found != entry.crc:
        refuse(source, f"{entry.name!r} with the CRC-32 {entry.crc:08x}", f"{found:08x} (a damaged file)")


class _Directory:
    def __init__(self, buffer: Any, source: str) -> None:
        self.buffer, self.source, self.size = buffer, source, len(buffer)

    def entries(self) -> list[Entry]:
        start, length, count = self._place()
        if start + length > self.size or count * _CENTRAL.size > length:
            refuse(self.source, "a directory inside the file", f"{count} entries, {length} bytes at {start} of {self.size}")
        found, position = [], start
        for _ in range(count):
            entry, position = self._central(position, start + length)
            found.append(entry)
        names = {entry.name for entry in found}
        if len(names) != len(found):
            refuse(self.source, "every entry once", "two of the same name")
        end = 0
        for entry in sorted(found, key=lambda entry: entry.start):
            if entry.start < end:
                refuse(self.source, "entries that do not overlap", f"{entry.name!r} inside another")
            end = entry.start + entry.size
        if end > start:
            refuse(self.source, "entries before the directory", "one that reaches into it")
        return found

    def _unpack(self, form: struct.Struct, position: int, magic: bytes, what: str) -> tuple[Any, ...]:
        if not 0 <= position <= self.size - form.size:
            refuse(self.source, f"{what} of a zip file", "the end of the file (truncated?)")
        fields = form.unpack(bytes(self.buffer[position : position + form.size]))
        if fields[0] != magic:
            refuse(self.source, f"{what} of a zip file", repr(fields[0]))
        return fields

    def _place(self) -> tuple[int, int, int]:
        """Start, length and number of entries of the central directory."""
        tail_start = max(0, self.size - _LONGEST_COMMENT - _END.size)
        tail = bytes(self.buffer[tail_start:])
        place = tail.rfind(b"PK\x05\x06")
        if place < 0:
            refuse(self.source, "the directory at the end of a zip file", "none (truncated?)")
        end = self._unpack(_END, tail_start + place, b"PK\x05\x06", "the end")
        count, length, start = end[4], end[5], end[6]
        if 0xFFFF in (end[3], end[4]) or _LARGE in (length, start):
            locator = self._unpack(_END64_LOCATOR, tail_start + place - _END64_LOCATOR.size, b"PK\x06\x07", "the zip64 locator")
            end64 = self._unpack(_END64, locator[2], b"PK\x06\x06", "the zip64 end")
            count, length, start = end64[7], end64[8], end64[9]
        return start, length, count

    def _central(self, position: int, limit: int) -> tuple[Entry, int]:
        fields = self._unpack(_CENTRAL, position, b"PK\x01\x02", "a directory entry")
        flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
        name_length, extra_length, comment_length, start = fields[10], fields[11], fields[12], fields[16]
        name_start = position + _CENTRAL.size
        extra_start = name_start + name_length
        following = extra_start + extra_length + comment_length
        if following > limit:
            refuse(self.source, "a directory entry inside the directory", f"one of {following - position} bytes")
        name = bytes(self.buffer[name_start:extra_start]).decode("utf-8", "replace")
        extra = bytes(self.buffer[extra_start : extra_start + extra_length])
        size, packed, start = self._zip64(extra, [size, packed, start])
        if method != 0 or flags & 0x1 or packed != size:
            hint = "for a TorchScript program, torch.save(program.state_dict(), path) with PyTorch" if "/code/" in name else ""
            refuse(self.source, "entries stored without compression or encryption, as PyTorch writes them", f"{name!r} otherwise", hint)
        local = self._unpack(_LOCAL, start, b"PK\x03\x04", f"the header of {name!r}")
        if bytes(self.buffer[start + _LOCAL.size : start + _LOCAL.size + local[9]]) != bytes(self.buffer[name_start:extra_start]):
            refuse(self.source, f"the entry {name!r} where the directory says", "another")
        data = start + _LOCAL.size + local[9] + local[10]
        if data + size > self.size:
            refuse(self.source, f"{size} bytes of {name!r}", f"{max(0, self.size - data)} (truncated?)")
        return Entry(name, data, size, crc), following

    def _zip64(self, extra: bytes, values: list[int]) -> list[int]:
        """Sizes and place, those that do not fit 32 bits taken from the extra field."""
        large = [position for position, value in enumerate(values) if value == _LARGE]
        place = 0
        while large and place + 4 <= len(extra):
            kind, length = struct.unpack_from("<2H", extra, place)
            if kind == 1:
                if 8 * len(large) > min(length, len(extra) - place - 4):
                    break
                for number, position in enumerate(large):
                    values[position] = struct.unpack_from("<Q", extra, place + 4 + 8 * number)[0]
                return values
            place += 4 + length
        if large:
            refuse(self.source, "a zip64 field for large sizes", "none")
        return values
