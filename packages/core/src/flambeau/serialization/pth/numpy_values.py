"""NumPy arrays, scalars and dtypes inside PyTorch's files, made from checked bytes."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from flambeau.serialization.pth.opcodes import refuse

_CODE = re.compile(r"[<>|=]?([biufcSUmM]\d{1,6}|\?|b1|bool|float\d+|u?int\d+|complex\d+)")


class ArrayType:
    """A dtype of NumPy as a file describes it: its letter first, its byte order afterwards. `object` and structured ones are refused."""

    def __init__(self, source: str, code: Any) -> None:
        if type(code) is not str or not _CODE.fullmatch(code):
            refuse(source, "a NumPy dtype of numbers or text", repr(code))
        try:
            self.dtype: np.dtype[Any] = np.dtype(code)
        except TypeError as error:
            refuse(source, "a NumPy dtype", str(error))
        if self.dtype.itemsize == 0:
            refuse(source, "a NumPy dtype with a size", repr(code))


def scalar(source: str, kind: Any, raw: Any) -> Any:
    """A NumPy scalar from its bytes."""
    return array(source, raw, kind, (), "C")[()]


def array(source: str, raw: Any, kind: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    """A NumPy array from its bytes."""
    if not isinstance(kind, ArrayType) or not isinstance(raw, (bytes, bytearray)):
        refuse(source, "the dtype and the bytes of an array", f"{type(kind).__name__} and {type(raw).__name__}")
    _check(source, kind.dtype, shape, raw)
    return np.frombuffer(bytearray(raw), kind.dtype).reshape(shape, order="F" if order == "F" else "C")


def set_state(source: str, target: np.ndarray[Any, Any] | ArrayType, state: Any) -> None:
    """What BUILD does with a fresh array or dtype."""
    if isinstance(target, ArrayType):
        if type(state) is not tuple or len(state) < 5 or state[1] not in ("<", ">", "|", "=") or state[2] is not None:
            refuse(source, "the state of a plain NumPy dtype", repr(state))
        if state[1] in "<>":
            target.dtype = target.dtype.newbyteorder(state[1])
        return
    if type(state) is not tuple or len(state) != 5 or not isinstance(state[2], ArrayType):
        refuse(source, "the state of an array: version, shape, dtype, order, bytes", repr(state))
    _, shape, kind, fortran, raw = state
    raw = raw.encode("latin-1") if type(raw) is str else raw
    if type(raw) is not bytes:
        refuse(source, "the bytes of an array", type(raw).__name__)
    _check(source, kind.dtype, shape, raw)
    target.__setstate__((1, shape, kind.dtype, bool(fortran), raw))  # type: ignore[arg-type]


def _check(source: str, dtype: np.dtype[Any], shape: Any, raw: bytes | bytearray) -> None:
    if type(shape) is not tuple or len(shape) > 64 or not all(type(n) is int and n >= 0 for n in shape):
        refuse(source, "the shape of an array", repr(shape))
    if math.prod(shape) * dtype.itemsize != len(raw):
        refuse(source, f"{math.prod(shape) * dtype.itemsize} bytes for an array of shape {shape}", f"{len(raw)}")
