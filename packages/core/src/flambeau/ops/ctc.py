"""What `ctc_loss` does before and after its primitive: checks, layouts of targets and lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.ops.pointwise import where
from flambeau.ops.promotion import to_dtype
from flambeau.primitives.bind import host_values
from flambeau.primitives.ctc import ctc
from flambeau.primitives.movement import reshape
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.tensor import Tensor


def _numbers(name: str, value: Any, count: int, most: int) -> np.ndarray:
    """Lengths on the host: int64 (count,), each in [0, most]."""
    array = host_values(value, "ctc_loss") if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "iu":
        raise DtypeError(explain("ctc_loss", expected=f"{name} as integers", got=str(array.dtype)))
    array = array.astype(np.int64).reshape(-1)
    if array.size != count:
        raise ShapeError(explain("ctc_loss", expected=f"{name} with {count} numbers, one per sequence", got=str(array.size)))
    if array.size and not 0 <= array.min() <= array.max() <= most:
        bad = int(array.max() if array.max() > most else array.min())
        raise ArgumentError(explain("ctc_loss", expected=f"{name} in [0, {most}]", got=str(bad)))
    return array


def _padded(targets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Concatenated targets as (N, S)."""
    if lengths.sum() != len(targets):
        expected = f"{int(lengths.sum())} concatenated targets (the sum of target_lengths)"
        raise ShapeError(explain("ctc_loss", expected=expected, got=str(len(targets))))
    out = np.zeros((len(lengths), int(lengths.max(initial=0))), np.int64)
    out[np.arange(out.shape[1]) < lengths[:, None]] = targets
    return out


def ctc_losses(
    log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int, zero_infinity: bool
) -> tuple[Tensor, np.ndarray]:
    """The loss of each sequence, and what "mean" divides it by."""
    shape = log_probs._a.shape
    if len(shape) not in (2, 3):
        raise ShapeError(explain("ctc_loss", expected="log_probs (T, N, C) or (T, C)", got=f"shape {tuple(shape)}"))
    x = log_probs if len(shape) == 3 else reshape(log_probs, shape=(shape[0], 1, shape[1]))
    steps, count, classes = x._a.shape
    if not 0 <= blank < classes:
        raise ArgumentError(explain("ctc_loss", expected=f"blank in [0, {classes - 1}]", got=str(blank)))
    labels = host_values(targets, "ctc_loss")
    if labels.dtype.kind not in "iu":
        raise DtypeError(explain("ctc_loss", expected="integer targets", got=repr(targets.dtype), hint=".long()"))
    longest = labels.shape[1] if labels.ndim == 2 else labels.size
    given, wanted = _numbers("input_lengths", input_lengths, count, steps), _numbers("target_lengths", target_lengths, count, longest)
    if labels.ndim == 1:
        labels = _padded(labels, wanted) if count != 1 or len(shape) == 3 else labels[None, : int(wanted[0])]
    if labels.ndim != 2 or len(labels) != count:
        raise ShapeError(explain("ctc_loss", expected=f"targets ({count}, S) or one vector", got=f"shape {tuple(targets.shape)}"))
    used = labels[np.arange(labels.shape[1]) < wanted[:, None]]
    if used.size and not 0 <= used.min() <= used.max() < classes:
        got = str(int(used.max() if used.max() >= classes else used.min()))
        raise ArgumentError(explain("ctc_loss", expected=f"target labels in [0, {classes - 1}]", got=got))
    host = (labels.astype(np.int64), given, wanted)
    losses = ctc(x, *(as_tensor(a, device=x.device) for a in host), blank=blank, zero_infinity=zero_infinity)
    if zero_infinity:
        losses = where(losses == float("inf"), 0.0, losses)
    return to_dtype(losses, log_probs.dtype), np.maximum(wanted, 1)
