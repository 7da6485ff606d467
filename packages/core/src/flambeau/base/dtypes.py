"""Element types, and PyTorch's rules for mixing them.

A `dtype` is a small named object; `dtype.numpy` is the matching NumPy type (bfloat16 comes from ml_dtypes, loaded at first use).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base.epoch import epoch
from flambeau.base.errors import DtypeError, explain

_CATEGORIES = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}


class dtype:
    """The type of a tensor's elements, e.g. `flambeau.float32`.

    >>> from flambeau.base.dtypes import float32
    >>> float32.itemsize, float32.is_floating_point
    (4, True)
    """

    __slots__ = ("_numpy", "category", "is_complex", "is_floating_point", "is_signed", "itemsize", "name")

    def __init__(self, name: str, category: int, itemsize: int, signed: bool = True) -> None:
        self.name = name
        self.category = category
        self.itemsize = itemsize
        self.is_floating_point = category == 2
        self.is_complex = category == 3
        self.is_signed = signed
        self._numpy: np.dtype[Any] | None = None

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype."""
        if self._numpy is None:
            self._numpy = _numpy_dtype(self.name)
            _BY_NUMPY[self._numpy] = self
        return self._numpy

    def to_real(self) -> dtype:
        """The dtype of the real part."""
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    def to_complex(self) -> dtype:
        """The complex dtype of the same precision."""
        return {"float64": complex128, "complex128": complex128}.get(self.name, complex64)

    def __repr__(self) -> str:
        return f"flambeau.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (named, (self.name,))

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: Any) -> dtype:
        return self


def _numpy_dtype(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


bool_ = dtype("bool", 0, 1, signed=False)
uint8 = dtype("uint8", 1, 1, signed=False)
uint16 = dtype("uint16", 1, 2, signed=False)
uint32 = dtype("uint32", 1, 4, signed=False)
uint64 = dtype("uint64", 1, 8, signed=False)
int8 = dtype("int8", 1, 1)
int16 = dtype("int16", 1, 2)
int32 = dtype("int32", 1, 4)
int64 = dtype("int64", 1, 8)
float16 = dtype("float16", 2, 2)
bfloat16 = dtype("bfloat16", 2, 2)
float32 = dtype("float32", 2, 4)
float64 = dtype("float64", 2, 8)
complex64 = dtype("complex64", 3, 8)
complex128 = dtype("complex128", 3, 16)

ALL = (bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float16, bfloat16, float32, float64, complex64, complex128)
_NAMED = {d.name: d for d in ALL}
_BY_NUMPY: dict[np.dtype[Any], dtype] = {}
for _d in ALL:
    if _d is not bfloat16:
        _BY_NUMPY[_d.numpy] = _d


def named(name: str) -> dtype:
    """The dtype with that name."""
    try:
        return _NAMED[name.removeprefix("flambeau.").removeprefix("torch.")]
    except KeyError:
        raise DtypeError(explain("dtype", expected="one of " + ", ".join(_NAMED), got=repr(name))) from None


def of(numpy_dtype: Any) -> dtype:
    """The dtype that belongs to a NumPy dtype (as found on an array).

    >>> import numpy as np
    >>> of(np.dtype("float32"))
    flambeau.float32
    """
    found = _BY_NUMPY.get(numpy_dtype)
    if found is not None:
        return found
    as_numpy = np.dtype(numpy_dtype).newbyteorder("=")
    if as_numpy.name == "bfloat16":
        _BY_NUMPY[as_numpy] = bfloat16
        return bfloat16
    try:
        return _BY_NUMPY[as_numpy]
    except KeyError:
        hint = "convert the array with .astype(...) first"
        raise DtypeError(explain("dtype", expected="a number or bool type", got=str(numpy_dtype), hint=hint)) from None


def as_dtype(value: Any, op: str = "dtype") -> dtype:
    """Accept a dtype, a Python type (`float` means the default dtype), a NumPy dtype or a name."""
    if isinstance(value, dtype):
        return value
    if value is float:
        return default_dtype()
    if value is bool:
        return bool_
    if value is int:
        return int64
    if value is complex:
        return default_dtype().to_complex()
    if isinstance(value, str):
        return named(value)
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return of(np.dtype(value))
    raise DtypeError(explain(op, expected="a dtype such as flambeau.float32", got=repr(value)))


_default = float32


def default_dtype() -> dtype:
    """The dtype of new floating-point tensors."""
    return _default


def set_default_dtype(d: Any) -> None:
    """Set the dtype of new floating-point tensors."""
    global _default
    d = as_dtype(d, "set_default_dtype")
    if not d.is_floating_point:
        raise DtypeError(explain("set_default_dtype", expected="a floating-point dtype", got=repr(d)))
    if d is not _default:
        epoch.bump()
    _default = d


def promote(a: dtype, b: dtype) -> dtype:
    """The smallest dtype that both convert to (PyTorch's `promote_types`).

    >>> promote(int64, float16), promote(uint8, int8), promote(float16, bfloat16)
    (flambeau.float16, flambeau.int16, flambeau.float32)
    """
    if a is b:
        return a
    if a.category != b.category:
        return _promote_across(a, b) if a.category < b.category else _promote_across(b, a)
    if a.category == 1:
        return _promote_integers(a, b)
    if a.itemsize == b.itemsize:  # float16 with bfloat16
        return float32
    return a if a.itemsize > b.itemsize else b


def _promote_across(low: dtype, high: dtype) -> dtype:
    return complex128 if high is complex64 and low is float64 else high


def _promote_integers(a: dtype, b: dtype) -> dtype:
    if a.is_signed == b.is_signed:
        return a if a.itemsize > b.itemsize else b
    signed, unsigned = (a, b) if a.is_signed else (b, a)
    if signed.itemsize > unsigned.itemsize:
        return signed
    wider = {1: int16, 2: int32, 4: int64}.get(unsigned.itemsize)
    if wider is None:
        raise DtypeError(
            explain("promote_types", expected="dtypes with a common integer type", got=f"{a!r} and {b!r}", hint="convert one of them first")
        )
    return wider


def scalar_dtype(value: Any) -> dtype:
    """The dtype that a Python number counts as when it meets tensors of a lower category."""
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int64
    if isinstance(value, (complex, np.complexfloating)) and not isinstance(value, (float, np.floating)):
        return default_dtype().to_complex()
    return default_dtype()


class finfo:
    """Limits of a floating-point dtype.

    >>> finfo(float32).bits
    32
    """

    def __init__(self, dtype: Any = None) -> None:
        d = default_dtype() if dtype is None else as_dtype(dtype, "finfo").to_real()
        if not d.is_floating_point:
            raise DtypeError(explain("finfo", expected="a floating-point dtype", got=repr(d), hint="flambeau.iinfo"))
        if d is bfloat16:
            import ml_dtypes

            info: Any = ml_dtypes.finfo(d.numpy)
        else:
            info = np.finfo(d.numpy)
        self.dtype = d.name
        self.bits = d.itemsize * 8
        self.eps, self.max, self.min, self.tiny = float(info.eps), float(info.max), float(info.min), float(info.tiny)
        self.resolution = float(info.resolution)
        self.smallest_normal = self.tiny

    def __repr__(self) -> str:
        return f"finfo(resolution={self.resolution}, min={self.min}, max={self.max}, eps={self.eps}, tiny={self.tiny}, dtype={self.dtype})"


class iinfo:
    """Limits of an integer dtype.

    >>> iinfo(int8).max
    127
    """

    def __init__(self, dtype: Any) -> None:
        d = as_dtype(dtype, "iinfo")
        if d.category != 1:
            raise DtypeError(explain("iinfo", expected="an integer dtype", got=repr(d), hint="flambeau.finfo"))
        info = np.iinfo(d.numpy)
        self.dtype, self.bits, self.max, self.min = d.name, d.itemsize * 8, int(info.max), int(info.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
