"""Nested state as JSON with references to tensors: what `flambeau.save` writes into a file's metadata, and back. Nothing is ever executed.

Plain values stand for themselves: null, booleans, strings, lists, integers below 2**63, finite floats, and dicts whose keys are strings.
Everything else is an object with the key "!": `{"!": "tuple", "v": [...]}`; likewise set, frozenset, dict and odict (`v`: pairs, so keys of
any type survive), int and float (`v`: text), complex, bytes (`v`: base64), dtype, device, size, and `{"!": "leaf", "v": 3}` for the
fourth tensor, array, NumPy scalar or long bytes.
"""

from __future__ import annotations

import base64
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentTypeError, explain
from flambeau.serialization import arrays

TAG = "!"
_LONG_BYTES = 1024
_INT_LIMIT = 2**63


class Encoder:
    """Turns an object into JSON-ready values; `leaves` collects the tensors and arrays, `names` a readable name for each."""

    def __init__(self) -> None:
        self.leaves: list[Any] = []
        self.names: list[str] = []

    def encode(self, obj: Any, path: tuple[Any, ...] = ()) -> Any:
        """Encode `obj`; `path` says where in the whole it stands."""
        kind = type(obj)
        if obj is None or kind is bool or kind is str:
            return obj
        if kind in _ENCODERS:
            return _ENCODERS[kind](self, obj, path)
        if arrays.is_tensor(obj) or isinstance(obj, (np.ndarray, np.generic)):
            return self._leaf(obj, path)
        for name, (test, write, _) in arrays.SMALL.items():
            if test(obj):
                return {TAG: name, "v": write(obj)}
        where = "".join(f"[{step!r}]" for step in path) or "the top"
        raise ArgumentTypeError(
            explain(
                "save",
                expected="tensors, arrays, numbers, strings, bytes, None, dicts, lists, tuples and sets",
                got=f"a {kind.__module__}.{kind.__qualname__} at {where}",
                hint="store its state_dict() or its fields in a dict",
            )
        )

    def _leaf(self, obj: Any, path: tuple[Any, ...]) -> dict[str, Any]:
        self.leaves.append(obj)
        self.names.append(".".join(str(step) for step in path) or "value")
        return {TAG: "leaf", "v": len(self.leaves) - 1}

    def _sequence(self, obj: Any, path: tuple[Any, ...]) -> Any:
        items = sorted(obj, key=repr) if isinstance(obj, (set, frozenset)) else obj
        values = [self.encode(item, (*path, position)) for position, item in enumerate(items)]
        return values if type(obj) is list else {TAG: type(obj).__name__, "v": values}

    def _mapping(self, obj: dict[Any, Any], path: tuple[Any, ...]) -> Any:
        if type(obj) is dict and all(type(key) is str and key != TAG for key in obj):
            return {key: self.encode(value, (*path, key)) for key, value in obj.items()}
        pairs = [[self.encode(key, (*path, key)), self.encode(value, (*path, key))] for key, value in obj.items()]
        if type(obj) is dict:
            return {TAG: "dict", "v": pairs}
        extra = getattr(obj, "_metadata", None)  # the module versions that a state_dict carries
        return {TAG: "odict", "v": pairs} if extra is None else {TAG: "odict", "v": pairs, "m": self.encode(extra, path)}

    def _int(self, obj: int, path: tuple[Any, ...]) -> Any:
        return obj if abs(obj) < _INT_LIMIT else {TAG: "int", "v": hex(obj)}

    def _float(self, obj: float, path: tuple[Any, ...]) -> Any:
        return obj if math.isfinite(obj) else {TAG: "float", "v": repr(obj)}

    def _complex(self, obj: complex, path: tuple[Any, ...]) -> Any:
        return {TAG: "complex", "v": [self._float(obj.real, path), self._float(obj.imag, path)]}

    def _bytes(self, obj: bytes | bytearray, path: tuple[Any, ...]) -> Any:
        if len(obj) > _LONG_BYTES:
            return {**self._leaf(np.frombuffer(obj, np.uint8), path), TAG: f"long{type(obj).__name__}"}
        return {TAG: type(obj).__name__, "v": base64.b64encode(obj).decode()}


_ENCODERS: dict[type, Callable[[Encoder, Any, tuple[Any, ...]], Any]] = {
    int: Encoder._int,
    float: Encoder._float,
    complex: Encoder._complex,
    bytes: Encoder._bytes,
    bytearray: Encoder._bytes,
    list: Encoder._sequence,
    tuple: Encoder._sequence,
    set: Encoder._sequence,
    frozenset: Encoder._sequence,
    dict: Encoder._mapping,
    OrderedDict: Encoder._mapping,
}


def decode(node: Any, leaves: list[Any]) -> Any:
    """The object that `Encoder.encode` wrote. Raises ValueError, KeyError, TypeError or IndexError for anything it did not write."""
    if isinstance(node, list):
        return [decode(item, leaves) for item in node]
    if not isinstance(node, dict):
        return node
    if TAG not in node:
        return {key: decode(value, leaves) for key, value in node.items()}
    tag, value = node[TAG], node["v"]
    if tag in _DECODERS:
        return _DECODERS[tag](value)
    if tag in arrays.SMALL:
        return arrays.SMALL[tag][2](value)
    if tag in ("leaf", "longbytes", "longbytearray"):
        if type(value) is not int or not 0 <= value < len(leaves):
            raise ValueError(f"leaf {value!r} of {len(leaves)}")
        if tag == "leaf":
            return leaves[value]
        if not leaves[value].flags.c_contiguous:
            raise ValueError("bytes that are not contiguous")
        return (bytes if tag == "longbytes" else bytearray)(leaves[value].tobytes())
    if tag in _SEQUENCES:
        return _SEQUENCES[tag](decode(list(value), leaves))
    if tag in ("dict", "odict"):
        pairs = [(decode(key, leaves), decode(item, leaves)) for key, item in value]
        if tag == "dict":
            return dict(pairs)
        ordered: OrderedDict[Any, Any] = OrderedDict(pairs)
        if "m" in node:
            ordered._metadata = decode(node["m"], leaves)  # type: ignore[attr-defined]
        return ordered
    raise ValueError(f"unknown tag {tag!r}")


def _float(text: str) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise ValueError(f"float {text!r}")
    return float(text)


def _complex(parts: list[Any]) -> complex:
    real, imaginary = (part if isinstance(part, float) else _float(part["v"]) for part in parts)
    return complex(real, imaginary)


_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda text: int(text, 16),
    "float": _float,
    "complex": _complex,
    "bytes": lambda text: base64.b64decode(text, validate=True),
    "bytearray": lambda text: bytearray(base64.b64decode(text, validate=True)),
}
