"""The safetensors layout on bytes and arrays: an 8-byte little-endian header length, a JSON header, then the data without holes.

Everything read is hostile until checked: `parse_header` accepts a header only if every size and offset agrees with the file, so what comes
after may slice without thinking. Format: https://github.com/huggingface/safetensors (README).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

import numpy as np

from flambeau.base.errors import ArgumentError, FileFormatError, explain

MAX_HEADER = 100_000_000
_LARGEST = 2**63
# bits an element, for every dtype name of the format; the names after the blank line are known but not readable here
BITS = {
    "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "I8": 8, "U8": 8, "BOOL": 8,

    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
_NUMPY = {
    "F64": "f8", "I64": "i8", "U64": "u8", "C64": "c8", "F32": "f4", "I32": "i4", "U32": "u4", "F16": "f2", "I16": "i2", "U16": "u2",
    "I8": "i1", "U8": "u1", "BOOL": "?",
}  # fmt: skip
# the order in which writers lay tensors out: widest dtypes first, so that all stay aligned (the reference writer's order)
_WRITE_ORDER = ("U64", "I64", "F64", "C64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16", "I8", "U8", "BOOL")


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: the dtype's name in the format, the shape, and its bytes [begin, end) counted from the start of the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """A checked header: the entries by name in file order, the metadata, and where the data starts."""

    entries: dict[str, Entry]
    metadata: dict[str, str]
    data_start: int


def numpy_dtype(name: str, where: str) -> np.dtype[Any]:
    """The NumPy dtype for a dtype name of the format."""
    if name == "BF16":
        return _bfloat16()
    if name not in _NUMPY:
        raise FileFormatError(explain(f"safetensors {where}", expected=f"a dtype of {sorted([*_NUMPY, 'BF16'])}", got=name))
    return np.dtype(_NUMPY[name]).newbyteorder("<")


@cache
def _bfloat16() -> np.dtype[Any]:
    import ml_dtypes  # only where a bfloat16 tensor is met

    return np.dtype(ml_dtypes.bfloat16)


def dtype_name(dtype: np.dtype[Any], where: str) -> str:
    """The format's name for a NumPy dtype."""
    if dtype.name == "bfloat16":
        return "BF16"
    for name, code in _NUMPY.items():
        if dtype.newbyteorder("=") == np.dtype(code):
            return name
    raise ArgumentError(
        explain(
            f"save {where}", expected=f"a dtype of {sorted([*_NUMPY, 'BF16'])}", got=str(dtype), hint="convert it, or use flambeau.save"
        )
    )


class _Checker:
    """Raises errors that name the file."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, expected: str, got: str) -> NoReturn:
        raise FileFormatError(explain(f"safetensors file {self.source}", expected=expected, got=got[:300]))

    def unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        for text in (*result, *(value for value in result.values() if isinstance(value, str))):
            if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
                self.fail("text in the header", f"half of a surrogate pair in {text!r}")
        if len(result) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            self.fail("every key once in the header", f"{twice!r} twice")
        return result

    def constant(self, text: str) -> NoReturn:
        self.fail("a JSON header", f"the constant {text}")

    def sizes(self, name: str, what: str, value: Any) -> list[int]:
        if not isinstance(value, list) or not all(type(n) is int and 0 <= n < _LARGEST for n in value):
            self.fail(f"{what} of {name!r} to be a list of sizes", repr(value))
        return value


def header_length(prefix: bytes, file_size: int, source: str) -> int:
    """The header's length from the first 8 bytes of a file."""
    check = _Checker(source)
    if len(prefix) < 8:
        check.fail("at least 8 bytes", f"{len(prefix)} bytes")
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER:
        check.fail(f"a header of at most {MAX_HEADER} bytes", f"{length} (is it a safetensors file?)")
    if length > file_size - 8:
        check.fail(f"a header of {length} bytes", f"a file with {file_size - 8} bytes after the length (truncated?)")
    return length


def parse_header(raw: bytes, file_size: int, source: str) -> Header:
    """Check a header completely. Raises FileFormatError, never anything else, for whatever bytes come."""
    check = _Checker(source)
    try:
        text = raw.decode("utf-8")
        if not text.startswith("{"):
            check.fail("a header that begins with '{'", repr(text[:20]))
        table = json.loads(text, object_pairs_hook=check.unique, parse_constant=check.constant)
    except FileFormatError:
        raise
    except RecursionError:
        check.fail("a flat JSON header", "one nested too deeply")
    except ValueError as error:  # bad UTF-8, bad JSON, an integer with thousands of digits
        check.fail("a JSON header in UTF-8", str(error))
    if not isinstance(table, dict):
        check.fail("a JSON object as header", type(table).__name__)
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        check.fail("__metadata__ to map strings to strings", repr(metadata))
    entries = sorted(((name, _entry(name, row, check)) for name, row in table.items()), key=lambda item: (item[1].begin, item[1].end))
    position = 0
    for name, entry in entries:
        if entry.begin != position:
            check.fail(f"{name!r} to begin at byte {position} (no holes, no overlaps)", str(entry.begin))
        position = entry.end
    data_size = file_size - 8 - len(raw)
    if position != data_size:
        check.fail(f"{position} bytes of data, as the header says", f"{data_size} (truncated, or with bytes appended?)")
    return Header(dict(entries), metadata, 8 + len(raw))


def _entry(name: str, row: Any, check: _Checker) -> Entry:
    if not isinstance(row, dict) or not {"dtype", "shape", "data_offsets"} <= row.keys():
        check.fail(f"dtype, shape and data_offsets for {name!r}", repr(row))
    if not isinstance(row["dtype"], str) or row["dtype"] not in BITS:
        check.fail(f"a known dtype for {name!r}", repr(row["dtype"]))
    shape = check.sizes(name, "the shape", row["shape"])
    offsets = check.sizes(name, "the data_offsets", row["data_offsets"])
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        check.fail(f"two rising data_offsets for {name!r}", repr(offsets))
    if len(shape) > 64:
        check.fail(f"at most 64 dimensions for {name!r}", str(len(shape)))
    bits = math.prod(shape) * BITS[row["dtype"]]
    if bits != 8 * (offsets[1] - offsets[0]):
        check.fail(f"{bits / 8:g} bytes for {name!r} ({row['dtype']} {tuple(shape)})", f"data_offsets {offsets}")
    return Entry(row["dtype"], tuple(shape), offsets[0], offsets[1])


def entry_array(buffer: Any, header: Header, name: str, where: str) -> np.ndarray[Any, Any]:
    """One tensor as an array that is a view of `buffer` (the whole file); a copy if the file puts it at an unaligned place."""
    entry = header.entries[name]
    dtype = numpy_dtype(entry.dtype, where)
    count = math.prod(entry.shape)
    array = np.frombuffer(buffer, dtype, count, header.data_start + entry.begin) if count else np.zeros(0, dtype)
    return np.require(array, requirements=["A"]).reshape(entry.shape)


def plan(arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str] | None) -> tuple[bytes, list[str]]:
    """The bytes before the data (length and header, padded to 8) and the order in which to write the arrays."""
    for key, value in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ArgumentError(explain("save metadata", expected="a dict of str to str", got=f"{key!r}: {value!r}", hint="use str(value)"))
    kinds = {}
    for name, array in arrays.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise ArgumentError(explain("save", expected="tensor names that are strings other than '__metadata__'", got=repr(name)))
        kinds[name] = dtype_name(array.dtype, repr(name))
    order = sorted(arrays, key=lambda name: (_WRITE_ORDER.index(kinds[name]), name))
    table: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name in order:
        end = position + arrays[name].nbytes
        table[name] = {"dtype": kinds[name], "shape": list(arrays[name].shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ArgumentError(
            explain(
                "save", expected=f"a header of at most {MAX_HEADER} bytes", got=f"{len(text)}", hint="keep long lists of numbers in tensors"
            )
        )
    return len(text).to_bytes(8, "little") + text, order


def little_endian(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array contiguous and little-endian, as bytes are stored."""
    array = np.ascontiguousarray(array)
    return array.astype(array.dtype.newbyteorder("<"), copy=False) if array.dtype.byteorder in ">=" and array.dtype.kind != "V" else array
