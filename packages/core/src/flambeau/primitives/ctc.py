"""Rows of the CTC loss (kernels/ctc.py)."""

from __future__ import annotations

from typing import Any

from flambeau.base.errors import GradientError, explain
from flambeau.primitives.prim import primitive


def _ctc_vjp(g: Any, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int, zero_infinity: bool) -> Any:
    return ctc_grad(log_probs, targets, input_lengths, target_lengths, g, blank=blank, zero_infinity=zero_infinity)


def _no_second(g: Any) -> Any:
    hint = "backward() or grad() without create_graph"
    raise GradientError(explain("ctc_loss", expected="a first derivative", got="a second one, which is not defined", hint=hint))


ctc = primitive(
    "ctc",
    "log_probs targets input_lengths target_lengths",
    kernel=lambda xp, *arrays, blank, zero_infinity: _kernels().ctc(xp, *arrays, blank=blank),
    rule=lambda log_probs, targets, input_lengths, target_lengths, blank, zero_infinity: ((log_probs.shape[1],), log_probs.dtype),
    vjp=(_ctc_vjp, None, None, None),
    batch="looped",
)
ctc_grad = primitive(
    "ctc_grad",
    "log_probs targets input_lengths target_lengths h",
    kernel="ctc.ctc_grad",
    rule=lambda log_probs, targets, input_lengths, target_lengths, h, blank, zero_infinity: (log_probs.shape, log_probs.dtype),
    vjp=(_no_second, None, None, None, _no_second),
    batch="looped",
)


def _kernels() -> Any:
    from flambeau.primitives.kernels import ctc as kernels

    return kernels
