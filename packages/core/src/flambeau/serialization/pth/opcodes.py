"""The pickle instructions that PyTorch's files use, as (name, argument) pairs. What is not in the table is refused, by its name.

The argument is cut out of the file after its length was compared with what is left of it, so a length that lies costs nothing.
Format: the docstrings of Python's `pickletools`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NoReturn

from flambeau.base.errors import FileFormatError, explain


def refuse(source: str, expected: str, got: str, hint: str = "") -> NoReturn:
    """Raise the error that names the file."""
    raise FileFormatError(explain(f"PyTorch file {source}", expected=expected, got=got[:300], hint=hint))


# opcode -> (name, struct format of a number that is the argument)
_FIXED = {
    b"\x80": ("PROTO", "<B"), b"\x95": ("FRAME", "<Q"), b"J": ("PUSH", "<i"), b"K": ("PUSH", "<B"), b"M": ("PUSH", "<H"),
    b"G": ("PUSH", ">d"),
    b"h": ("GET", "<B"), b"j": ("GET", "<I"), b"q": ("PUT", "<B"), b"r": ("PUT", "<I"),
}  # fmt: skip
# opcode -> (how the argument is read, struct format of its length)
_COUNTED = {
    b"X": ("text", "<I"), b"\x8c": ("text", "<B"), b"\x8d": ("text", "<Q"), b"U": ("old text", "<B"), b"T": ("old text", "<i"),
    b"B": ("bytes", "<I"), b"C": ("bytes", "<B"), b"\x8e": ("bytes", "<Q"), b"\x96": ("bytearray", "<Q"),
    b"\x8a": ("integer", "<B"), b"\x8b": ("integer", "<i"),
}  # fmt: skip
_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False}
_BARE = {
    b".": "STOP", b"(": "MARK", b"0": "POP", b"1": "POP_MARK", b"2": "DUP", b"}": "EMPTY_DICT", b"]": "EMPTY_LIST", b")": "EMPTY_TUPLE",
    b"\x8f": "EMPTY_SET", b"\x90": "ADDITEMS", b"\x91": "FROZENSET", b"a": "APPEND", b"e": "APPENDS", b"s": "SETITEM", b"u": "SETITEMS",
    b"t": "TUPLE", b"\x85": "TUPLE1", b"\x86": "TUPLE2", b"\x87": "TUPLE3", b"l": "LIST", b"d": "DICT", b"\x94": "MEMOIZE",
    b"\x93": "STACK_GLOBAL", b"Q": "PERSISTENT", b"R": "REDUCE", b"\x81": "NEWOBJ", b"b": "BUILD",
}  # fmt: skip
_NUMBERS = {code: (name, struct.Struct(form)) for code, (name, form) in _FIXED.items()}
_LENGTHS = {code: (kind, struct.Struct(form)) for code, (kind, form) in _COUNTED.items()}
_NAME_LIMIT = 1000
_NEWEST_PROTOCOL = 5


class Instructions:
    """The instructions of one pickle, from `position` on; afterwards `position` is the byte behind its STOP."""

    def __init__(self, data: Any, position: int, source: str) -> None:
        self.data, self.position, self.source = data, position, source

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        data, size = self.data, len(self.data)
        while self.position < size:
            code = bytes(data[self.position : self.position + 1])
            self.position += 1
            if code in _LENGTHS:
                kind, form = _LENGTHS[code]
                yield "PUSH", self._value(kind, self._cut(self._number(form)))
            elif code in _NUMBERS:
                name, form = _NUMBERS[code]
                argument = self._number(form)
                if name == "PROTO" and argument > _NEWEST_PROTOCOL:
                    refuse(self.source, f"a pickle protocol up to {_NEWEST_PROTOCOL}", str(argument))
                if name not in ("PROTO", "FRAME"):
                    yield name, argument
            elif code in _CONSTANTS:
                yield "PUSH", _CONSTANTS[code]
            elif code in _BARE:
                yield _BARE[code], None
                if code == b".":
                    return
            elif code == b"c":
                yield "GLOBAL", (self._line(), self._line())
            else:
                refuse(self.source, "the pickle instructions of a PyTorch file", f"the instruction {code!r} at byte {self.position - 1}")
        refuse(self.source, "a pickle that ends with STOP", "the end of the data (truncated?)")

    def skip(self) -> int:
        """Go over the whole pickle without interpreting it; returns the byte behind its STOP."""
        for _ in self:
            pass
        return self.position

    def _cut(self, length: int) -> bytes:
        start = self.position
        if not 0 <= length <= len(self.data) - start:
            refuse(self.source, "data as long as its length says", f"{length} bytes where {len(self.data) - start} are left (truncated?)")
        self.position = start + length
        return bytes(self.data[start : start + length])

    def _number(self, form: struct.Struct) -> Any:
        return form.unpack(self._cut(form.size))[0]

    def _line(self) -> str:
        start = self.position
        raw = bytes(self.data[start : start + _NAME_LIMIT])
        end = raw.find(b"\n")
        if end < 0:
            refuse(self.source, f"a name of less than {_NAME_LIMIT} bytes", "none")
        self.position = start + end + 1
        return str(self._value("text", raw[:end]))

    def _value(self, kind: str, raw: bytes) -> Any:
        if kind == "bytes":
            return raw
        if kind == "bytearray":
            return bytearray(raw)
        if kind == "integer":
            return int.from_bytes(raw, "little", signed=True)
        try:
            return raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            if kind == "old text":  # a string of Python 2, which may have been any bytes
                return raw.decode("latin-1")
            refuse(self.source, "text in UTF-8", str(error))
