"""Writes the pickle of a PyTorch file: protocol 2, and only names that PyTorch's own `weights_only=True` reader allows."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.device.base import device
from flambeau.nn.parameter import Parameter
from flambeau.serialization import arrays
from flambeau.serialization.aliases import byte_span, overlapping
from flambeau.tensor.tensor import Size, Tensor

Array = np.ndarray[Any, Any]

_STORAGES = {
    "float64": "DoubleStorage", "float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage", "int64": "LongStorage",
    "int32": "IntStorage", "int16": "ShortStorage", "int8": "CharStorage", "uint8": "ByteStorage", "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage", "complex128": "ComplexDoubleStorage",
}  # fmt: skip


class Pickler:
    """Collects the pickle of one object in `data` and the arrays of its storages in `storages`.

    Tensors that share memory share a storage in the file, as in PyTorch. Raises ArgumentTypeError for what PyTorch's reader of weights
    would refuse, saying where it is.
    """

    def __init__(self, obj: Any) -> None:
        self.parts: list[bytes] = [b"\x80\x02"]
        self.storages: list[Array] = []
        self._memo: dict[int, int] = {}
        self._texts: dict[str, int] = {}
        self._slots = 0
        self._keep: list[Any] = []  # objects in the memo, so that no other takes their id
        self._views = _storages_of(obj, self.storages)
        self.write(obj, ())
        self.parts.append(b".")

    @property
    def data(self) -> bytes:
        """The pickle."""
        return b"".join(self.parts)

    def write(self, obj: Any, path: tuple[Any, ...]) -> None:
        """Write one object; `path` says where in the whole it stands."""
        if type(obj) is not str and id(obj) in self._memo:
            self._get(self._memo[id(obj)])
            return
        writer = _WRITERS.get(type(obj))
        if writer is None:
            for kind, other in _BY_BASE:
                if isinstance(obj, kind):
                    writer = other
                    break
            else:
                where = "".join(f"[{step!r}]" for step in path) or "the top"
                raise ArgumentTypeError(
                    explain(
                        'save with format="torch"',
                        expected="tensors, numbers, text, bytes, None, dicts, lists, tuples and sets",
                        got=f"a {type(obj).__module__}.{type(obj).__qualname__} at {where}",
                        hint="make arrays tensors, and store the state_dict() of objects",
                    )
                )
        writer(self, obj, path)

    def _get(self, slot: int) -> None:
        self.parts.append(b"h" + bytes([slot]) if slot < 256 else b"j" + struct.pack("<I", slot))

    def _put(self, obj: Any) -> int:
        slot = self._slots
        self._slots += 1
        self.parts.append(b"q" + bytes([slot]) if slot < 256 else b"r" + struct.pack("<I", slot))
        if type(obj) is not str:
            self._memo[id(obj)] = slot
            self._keep.append(obj)
        return slot

    def text(self, obj: str, path: tuple[Any, ...] = ()) -> None:
        """A string, written once."""
        if obj in self._texts:
            self._get(self._texts[obj])
            return
        raw = obj.encode("utf-8", "surrogatepass")
        self.parts.append(b"X" + struct.pack("<I", len(raw)) + raw)
        self._texts[obj] = self._put(obj)

    def name(self, module: str, name: str) -> None:
        """A global name."""
        self.parts.append(f"c{module}\n{name}\n".encode())

    def _integer(self, obj: int, path: tuple[Any, ...]) -> None:
        if 0 <= obj < 256:
            self.parts.append(b"K" + bytes([obj]))
        elif -(2**31) <= obj < 2**31:
            self.parts.append(b"J" + struct.pack("<i", obj))
        else:
            raw = obj.to_bytes(obj.bit_length() // 8 + 1, "little", signed=True)
            if len(raw) > 255:
                raise ArgumentError(explain('save with format="torch"', expected="integers of at most 2039 bits", got="a larger one"))
            self.parts.append(b"\x8a" + bytes([len(raw)]) + raw)

    def _float(self, obj: float, path: tuple[Any, ...]) -> None:
        self.parts.append(b"G" + struct.pack(">d", obj))

    def _complex(self, obj: complex, path: tuple[Any, ...]) -> None:
        self.call("__builtin__", "complex", obj.real, obj.imag)

    def _bytes(self, obj: bytes, path: tuple[Any, ...]) -> None:
        self.call("_codecs", "encode", obj.decode("latin-1"), "latin1")

    def _bytearray(self, obj: bytearray, path: tuple[Any, ...]) -> None:
        self.call("__builtin__", "bytearray", obj.decode("latin-1"), "latin-1")

    def call(self, module: str, name: str, *args: Any, path: tuple[Any, ...] = ()) -> None:
        """A name applied to arguments."""
        self.name(module, name)
        self._tuple(args, path)
        self.parts.append(b"R")

    def _tuple(self, obj: tuple[Any, ...], path: tuple[Any, ...]) -> None:
        if obj:
            self.parts.append(b"(")
            self._all(obj, path)
        self.parts.append(b"t" if obj else b")")

    def _all(self, values: Any, path: tuple[Any, ...]) -> None:
        for position, value in enumerate(values):
            self.write(value, (*path, position))

    def _list(self, obj: list[Any], path: tuple[Any, ...]) -> None:
        self.parts.append(b"]")
        self._put(obj)
        self.parts.append(b"(")
        self._all(obj, path)
        self.parts.append(b"e")

    def _set(self, obj: Any, path: tuple[Any, ...]) -> None:
        self.call("__builtin__", "set", sorted(obj, key=repr), path=path)

    def _dict(self, obj: dict[Any, Any], path: tuple[Any, ...]) -> None:
        if type(obj) is dict:
            self.parts.append(b"}")
        else:
            self.call("collections", "OrderedDict")
        self._put(obj)
        self.parts.append(b"(")
        for key, value in obj.items():
            self.write(key, (*path, key))
            self.write(value, (*path, key))
        self.parts.append(b"u")
        extra = getattr(obj, "_metadata", None)  # the module versions that a state_dict carries
        if extra is not None:
            self.write({"_metadata": extra}, path)
            self.parts.append(b"b")

    def _tensor(self, obj: Tensor, path: tuple[Any, ...]) -> None:
        if isinstance(obj, Parameter):
            self.name("torch._utils", "_rebuild_parameter")
            self.parts.append(b"(")
            self._view(obj, False)
            self.parts.append(b"\x88" if obj.requires_grad else b"\x89")
            self.call("collections", "OrderedDict")
            self.parts.append(b"tR")
        else:
            self._view(obj, obj.requires_grad)
        self._put(obj)

    def _view(self, obj: Tensor, requires_grad: bool) -> None:
        array, number, offset = self._views[id(obj)]
        kind = _STORAGES.get(obj.dtype.name)
        self.name("torch._utils", "_rebuild_tensor_v2" if kind else "_rebuild_tensor_v3")
        self.parts.append(b"((")
        self.text("storage")
        self.name(*(("torch", kind) if kind else ("torch.storage", "UntypedStorage")))
        held = self.storages[number]
        self.text(str(number))
        self.text("cuda:0" if obj.is_cuda else "cpu")
        self._integer(held.nbytes // (array.itemsize if kind else 1), ())
        self.parts.append(b"tQ")
        self._integer(offset // array.itemsize, ())
        self._tuple(tuple(array.shape), ())
        self._tuple(tuple(stride // array.itemsize for stride in array.strides), ())
        self.parts.append(b"\x88" if requires_grad else b"\x89")
        self.call("collections", "OrderedDict")
        if not kind:
            self.name("torch", obj.dtype.name)
        self.parts.append(b"tR")


def _storages_of(obj: Any, storages: list[Array]) -> dict[int, tuple[Array, int, int]]:
    """For the id of every tensor in an object: its array, the number of its storage, and its offset there in bytes."""
    tensors = {id(found): found for found in _tensors_in(obj)}
    held = [np.ascontiguousarray(a) if any(s < 0 for s in a.strides) else a for a in arrays.to_arrays(tensors.values())]
    views: dict[int, tuple[Array, int, int]] = {}
    ids = list(tensors)
    for group in overlapping(held):
        if len({held[position].dtype for position in group}) > 1:
            hint = "clone() one of them"
            raise ArgumentError(explain('save with format="torch"', expected="one dtype for shared memory", got="several", hint=hint))
        spans = [byte_span(held[position]) for position in group]
        base, end = min(low for low, _ in spans), max(high for _, high in spans)
        first = held[group[0]]
        if len(group) == 1 and first.flags.c_contiguous:
            memory = first.reshape(-1).view(np.uint8)
        else:
            memory = np.zeros(end - base, np.uint8)
            for position, (low, _) in zip(group, spans, strict=True):
                array = held[position]
                if array.size:
                    np.ndarray(array.shape, array.dtype, memory.data, low - base, array.strides)[...] = array
        for position, (low, _) in zip(group, spans, strict=True):
            views[ids[position]] = (held[position], len(storages), low - base)
        storages.append(memory)
    return views


def _tensors_in(obj: Any) -> list[Tensor]:
    """Every tensor in nested containers, each container looked into once."""
    found, seen, waiting = [], set(), [obj]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (dict, list, tuple, set, frozenset)) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend([*value.keys(), *value.values()] if isinstance(value, dict) else value)
    return found[::-1]


def _constant(code: bytes) -> Callable[[Pickler, Any, tuple[Any, ...]], None]:
    return lambda pickler, obj, path: pickler.parts.append(code)


_WRITERS: dict[type, Callable[[Pickler, Any, tuple[Any, ...]], None]] = {
    type(None): _constant(b"N"),
    bool: lambda pickler, obj, path: pickler.parts.append(b"\x88" if obj else b"\x89"),
    str: Pickler.text,
    int: Pickler._integer,
    float: Pickler._float,
    complex: Pickler._complex,
    bytes: Pickler._bytes,
    bytearray: Pickler._bytearray,
    tuple: Pickler._tuple,
    list: Pickler._list,
    set: Pickler._set,
    dict: Pickler._dict,
    OrderedDict: Pickler._dict,
    Size: lambda pickler, obj, path: pickler.call("torch", "Size", tuple(obj), path=path),
    device: lambda pickler, obj, path: pickler.call("torch", "device", str(obj), path=path),
    dtypes.dtype: lambda pickler, obj, path: pickler.name("torch", obj.name),
}
_BY_BASE: list[tuple[type, Callable[[Pickler, Any, tuple[Any, ...]], None]]] = [(Tensor, Pickler._tensor)]
