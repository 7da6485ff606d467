"""`assert_close`: whether results agree, with PyTorch's rules (`torch.testing.assert_close`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, explain
from flambeau.tensor.tensor import Tensor

# rtol and atol by dtype; other dtypes (integers, bool) must agree exactly
TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless |actual - expected| <= atol + rtol * |expected| for all elements, and the attributes agree.

    Tensors, arrays, numbers, and sequences and mappings of them. Without tolerances they follow the dtype (of two, the looser one):
    1.3e-6 and 1e-5 for float32, 1e-7 for float64, and so on; both tolerances must be given together. A `msg` replaces the message, or
    is a function of it.

    >>> import flambeau as fb
    >>> assert_close(fb.tensor([1.0, 2.0]), fb.tensor([1.0, 2.0 + 1e-7]))
    >>> assert_close(fb.tensor([1.0, 2.0]), fb.tensor([1.0, 2.1]))
    Traceback (most recent call last):
    ...
    AssertionError: Tensor-likes are not close: 1 of 2 elements differ (50.0%).
    Greatest absolute difference: 0.0999999 at index (1,) (up to 1e-05 allowed)
    Greatest relative difference: 0.047619 at index (1,) (up to 1.3e-06 allowed)
    """
    if (rtol is None) != (atol is None):
        raise ArgumentError(explain("assert_close", expected="rtol and atol together, or neither", got=f"rtol={rtol}, atol={atol}"))
    checks = {"device": check_device, "dtype": check_dtype, "stride": check_stride, "subclass": not allow_subclasses}
    try:
        _compare(actual, expected, rtol, atol, equal_nan, checks, "")
    except AssertionError as error:
        if msg is None:
            raise
        raise AssertionError(msg(str(error)) if callable(msg) else msg) from None


def _compare(a: Any, b: Any, rtol: Any, atol: Any, equal_nan: bool, checks: dict[str, bool], where: str) -> None:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if set(a) != set(b):
            raise AssertionError(f"The keys of the mappings do not match{where}: {sorted(map(repr, a))} and {sorted(map(repr, b))}")
        for key in a:
            _compare(a[key], b[key], rtol, atol, equal_nan, checks, f"{where} (item {key!r})")
    elif _is_sequence(a) and _is_sequence(b):
        if len(a) != len(b):
            raise AssertionError(f"The length of the sequences mismatch{where}: {len(a)} and {len(b)}")
        for i, (x, y) in enumerate(zip(a, b)):
            _compare(x, y, rtol, atol, equal_nan, checks, f"{where} (item {i})")
    else:
        _compare_values(a, b, rtol, atol, equal_nan, checks, where)


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str)


def _compare_values(a: Any, b: Any, rtol: Any, atol: Any, equal_nan: bool, checks: dict[str, bool], where: str) -> None:
    if checks["subclass"] and type(a) is not type(b):
        raise AssertionError(f"Types do not match{where}: {type(a).__name__} and {type(b).__name__}")
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        _compare_attributes(a, b, checks, where)
    scalar = not (hasattr(a, "shape") or hasattr(b, "shape"))
    x, y = _host(a), _host(b)
    if x.shape != y.shape:
        raise AssertionError(f"The values for attribute 'shape' do not match{where}: {x.shape} != {y.shape}.")
    if checks["dtype"] and not scalar and isinstance(a, Tensor) != isinstance(b, Tensor) and x.dtype != y.dtype:
        raise AssertionError(f"The values for attribute 'dtype' do not match{where}: {x.dtype} != {y.dtype}.")
    if rtol is None:
        names = [d.name for d in (x.dtype, y.dtype)]
        rtol, atol = (max(TOLERANCES.get(n, (0.0, 0.0))[i] for n in names) for i in (0, 1))
    _compare_elements(x, y, rtol, atol, equal_nan, "Scalars" if scalar else "Tensor-likes", where)


def _compare_attributes(a: Tensor, b: Tensor, checks: dict[str, bool], where: str) -> None:
    for name, on in (("device", checks["device"]), ("dtype", checks["dtype"])):
        if on and getattr(a, name) != getattr(b, name):
            raise AssertionError(f"The values for attribute '{name}' do not match{where}: {getattr(a, name)} != {getattr(b, name)}.")
    if checks["stride"] and a.stride() != b.stride():
        raise AssertionError(f"The values for attribute 'stride()' do not match{where}: {a.stride()} != {b.stride()}.")


def _host(x: Any) -> np.ndarray:
    """The values in host memory; bfloat16 as it is."""
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)


def _wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64) if x.dtype.kind in "fcVb" else x


def _compare_elements(x: np.ndarray, y: np.ndarray, rtol: float, atol: float, equal_nan: bool, what: str, where: str) -> None:
    exact = x.dtype.kind in "biu" and y.dtype.kind in "biu" and rtol == 0 and atol == 0
    x, y = _wide(x), _wide(y)
    with np.errstate(all="ignore"):
        if exact:
            good = np.asarray(x == y)
            difference = np.abs(x.astype(np.float64) - y.astype(np.float64))
        else:
            difference = np.abs(x - y)
            good = np.asarray((x == y) | (np.isfinite(difference) & (difference <= atol + rtol * np.abs(y))))  # inf is close to inf only
            if equal_nan:
                good = good | (np.isnan(x) & np.isnan(y))
        if good.all():
            return
        relative = difference / np.abs(y)
    raise AssertionError(_report(good, difference, relative, rtol, atol, what, where, (x, y)))


def _report(good: Any, difference: Any, relative: Any, rtol: float, atol: float, what: str, where: str, values: tuple[Any, Any]) -> str:
    bad = int((~good).sum())
    if good.ndim == 0:
        got, expected = (v.item() for v in values)
        return f"{what} are not close{where}: expected {expected} but got {got} (rtol={rtol:g}, atol={atol:g})."
    lines = [f"{what} are not close{where}: {bad} of {good.size} elements differ ({100 * bad / good.size:.1f}%)."]
    for name, gaps, allowed in (("absolute", difference, atol), ("relative", relative, rtol)):
        gaps = np.where(good, -1.0, np.where(np.isnan(gaps), np.inf, gaps))
        at = np.unravel_index(int(gaps.argmax()), gaps.shape)
        index = tuple(int(i) for i in at)
        lines.append(f"Greatest {name} difference: {gaps[at]:.6g} at index {index} (up to {allowed:g} allowed)")
    return "\n".join(lines)
