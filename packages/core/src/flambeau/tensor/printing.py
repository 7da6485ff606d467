"""How tensors print: PyTorch's layout (4 digits, scientific where needed, long tensors summarised)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd.node import AccumulateGrad
from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, explain
from flambeau.device.base import executors

_options: dict[str, Any] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
_PROFILES = {"default": (4, 1000, 3), "short": (2, 1000, 2), "full": (4, math.inf, 3)}


def set_printoptions(
    precision: Any = None, threshold: Any = None, edgeitems: Any = None, linewidth: Any = None, profile: Any = None, sci_mode: Any = None
) -> None:
    """Digits, and from how many elements on a tensor is summarised. Profiles: "default", "short", "full"."""
    if profile is not None:
        if profile not in _PROFILES:
            raise ArgumentError(explain("set_printoptions", expected="profile default, short or full", got=repr(profile)))
        _options.update(zip(("precision", "threshold", "edgeitems"), _PROFILES[profile], strict=True), linewidth=80)
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({k: v for k, v in given.items() if v is not None})
    _options["sci_mode"] = sci_mode


def to_string(t: Any) -> str:
    """The text of a tensor."""
    name = "Parameter containing:\ntensor" if type(t).__name__ == "Parameter" else "tensor"
    suffixes = []
    if t.device.type not in ("cpu", "meta"):
        suffixes.append(f"device='{t.device}'")
    elif t.is_meta:
        suffixes.append("device='meta'")
    a = t._a
    if not isinstance(a, np.ndarray) and not hasattr(a, "__array__") and not hasattr(a, "get"):
        suffixes += [f"size={tuple(t.shape)}", f"dtype={t.dtype.name}"]
        return f"{name}(..., {', '.join(suffixes)})" + _history(t, "")
    host = executors[type(a)].to_numpy(a)
    if host.size == 0 and host.ndim != 1:
        suffixes.append(f"size={tuple(t.shape)}")
    usual = dtypes.default_dtype()
    told = (usual,) if host.size == 0 else (usual, usual.to_complex(), dtypes.int64, dtypes.bool_)  # what the elements show
    if t.dtype not in told:
        suffixes.append(f"dtype={t.dtype.name}")
    history = _history(t, ", ")
    body = _body(host, len("tensor("))
    text = f"{name}({body}" + "".join(f", {s}" for s in suffixes) + history
    return text + ")"


def _history(t: Any, lead: str) -> str:
    if t._node is None:
        return ""
    return f"{lead}requires_grad=True" if isinstance(t._node, AccumulateGrad) else f"{lead}grad_fn=<{t._node.name()}>"


def _body(a: np.ndarray, indent: int) -> str:
    if a.size == 0:
        return "[]"
    if a.dtype.kind == "V":
        a = a.astype(np.float32)
    summary = a.size > _options["threshold"]
    edge = _options["edgeitems"]
    shown = _shown(a, edge) if summary else a
    form = _formatter(shown)
    return _nested(a, form, indent, edge if summary else None)


def _shown(a: np.ndarray, edge: int) -> np.ndarray:
    """The elements that a summary prints."""
    for axis, n in enumerate(a.shape):
        if n > 2 * edge:
            a = np.take(a, [*range(edge), *range(n - edge, n)], axis=axis)
    return a


def _formatter(a: np.ndarray) -> Callable[[Any], str]:
    if a.dtype.kind == "c":
        real, imag = _formatter(a.real), _formatter(a.imag)
        return lambda v: f"{real(v.real)}{'-' if np.signbit(v.imag) else '+'}{imag(abs(v.imag)).strip()}j"
    if a.dtype.kind == "b":
        width = 5 if not a.all() else 4
        return lambda v: f"{bool(v)!s:>{width}}"
    if a.dtype.kind in "iu":
        width = max(len(str(int(a.min()))), len(str(int(a.max()))))
        return lambda v: f"{int(v):>{width}}"
    finite = np.abs(a[np.isfinite(a) & (a != 0)].astype(np.float64))
    precision = _options["precision"]
    if finite.size == 0:
        kind = "int"
    else:
        whole = bool((finite == np.ceil(finite)).all())
        big, small = float(finite.max()), float(finite.min())
        sci = big / small > 1000 or big > 1e8 or (not whole and small < 1e-4)
        sci = sci and not (whole and big <= 1e8 and big / small <= 1000)
        if _options["sci_mode"] is not None:
            sci = _options["sci_mode"]
        kind = "sci" if sci else "int" if whole else "fixed"

    def one(v: float) -> str:
        if not math.isfinite(v):
            return str(v)
        return f"{v:.{precision}e}" if kind == "sci" else f"{v:.0f}." if kind == "int" else f"{v:.{precision}f}"

    shown = finite_of(a)
    width = max((len(one(float(v))) for v in shown), default=0)
    return lambda v: f"{one(float(v)):>{width}}"


def finite_of(a: np.ndarray) -> np.ndarray:
    """The elements that decide the width of the columns: finite and not zero."""
    return a[np.isfinite(a) & (a != 0)]


def _nested(a: np.ndarray, form: Callable[[Any], str], indent: int, edge: int | None) -> str:
    if a.ndim == 0:
        return form(a[()]).strip() if a.dtype.kind != "c" else form(a[()])
    cut = edge is not None and a.shape[0] > 2 * edge
    if a.ndim == 1:
        return _row(a, form, indent, edge if cut else None)
    parts = [_nested(x, form, indent + 1, edge) for x in (a[:edge] if cut else a)]
    if cut:
        parts += ["...", *(_nested(x, form, indent + 1, edge) for x in a[-edge:])]  # type: ignore[operator]
    gap = "\n" * (a.ndim - 1) + " " * (indent + 1)
    return "[" + ("," + gap).join(parts) + "]"


def _row(a: np.ndarray, form: Callable[[Any], str], indent: int, edge: int | None) -> str:
    items = [form(v) for v in a] if edge is None else [*(form(v) for v in a[:edge]), " ...", *(form(v) for v in a[-edge:])]
    per_line = max(1, (_options["linewidth"] - indent) // (max(map(len, items)) + 2))
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
