"""Connectionist temporal classification: Graves et al. 2006, "Connectionist Temporal Classification".

Shapes: T time steps, N sequences, C classes, S padded target length, L = 2 S + 1 states (the target with a blank before, between and after
its labels). All sequences and states advance together; only time is a loop. Sums of probabilities are kept as float64 logarithms, so
that sequences of any length neither overflow nor underflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.primitives.kernels.layout import Array, scatter_add

_NONE = -np.inf


def _states(xp: Any, targets: Array, target_lengths: Array, blank: int) -> tuple[Array, Array, Array]:
    """Labels (N, L) of the states, which of them exist, and into which one may go from two states before."""
    n, s = targets.shape
    labels = xp.full((n, 2 * s + 1), blank, dtype=np.int64)
    labels[:, 1::2] = targets
    exists = xp.arange(2 * s + 1) < 2 * target_lengths[:, None] + 1
    labels = xp.where(exists, labels, blank)  # padding may hold anything
    skips = xp.zeros(labels.shape, dtype=bool)
    skips[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return labels, exists, skips


def _emissions(xp: Any, log_probs: Array, labels: Array, exists: Array) -> Array:
    """Log-probabilities (T, N, L) of the states' labels; -inf for states that do not exist."""
    rows = xp.arange(labels.shape[0])[:, None]
    return xp.where(exists, log_probs[:, rows, labels].astype(np.float64), _NONE)


def _sum3(xp: Any, a: Array, b: Array, c: Array) -> Array:
    """log(exp(a) + exp(b) + exp(c)), also where all are -inf."""
    top = xp.maximum(xp.maximum(a, b), c)
    top = xp.where(top == _NONE, 0.0, top)
    return xp.log(xp.exp(a - top) + xp.exp(b - top) + xp.exp(c - top)) + top


def _step(xp: Any, before: Array, skips: Array) -> Array:
    """One step of the forward recursion (without the emission): stay, come from the state before, or skip a blank."""
    n, length = before.shape
    wide = xp.full((n, length + 2), _NONE)
    wide[:, 2:] = before
    return _sum3(xp, before, wide[:, 1:-1], xp.where(skips, wide[:, :-2], _NONE))


def _forward(xp: Any, emissions: Array, skips: Array) -> Array:
    alpha = xp.empty(emissions.shape)
    start = xp.full(emissions.shape[1:], _NONE)
    start[:, :2] = 0.0
    for t in range(len(emissions)):
        alpha[t] = (_step(xp, alpha[t - 1], skips) if t else start) + emissions[t]
    return alpha


def _backward(xp: Any, emissions: Array, skips: Array, input_lengths: Array, target_lengths: Array) -> Array:
    """The same recursion from the end, with the states in reverse order; sequence n starts at its own last step."""
    turned = emissions[:, :, ::-1]
    # To leave state s by a skip, state s + 2 must be one that may be skipped into.
    out = xp.zeros(skips.shape, dtype=bool)
    out[:, 2:] = skips[:, :1:-1]
    state = xp.arange(skips.shape[1])[None, ::-1]
    last = 2 * target_lengths[:, None]
    start = xp.where((state == last) | (state == last - 1), 0.0, _NONE)
    beta = xp.empty(emissions.shape)
    now = xp.full(skips.shape, _NONE)
    for t in range(len(emissions) - 1, -1, -1):
        now = xp.where((input_lengths == t + 1)[:, None], start, _step(xp, now, out)) + turned[t]
        beta[t] = now
    return beta[:, :, ::-1]


def _loss(xp: Any, alpha: Array, input_lengths: Array, target_lengths: Array) -> Array:
    rows = xp.arange(alpha.shape[1])
    final = alpha[xp.maximum(input_lengths - 1, 0), rows]
    at_blank = final[rows, 2 * target_lengths]
    at_label = xp.where(target_lengths > 0, final[rows, xp.maximum(2 * target_lengths - 1, 0)], _NONE)
    total = -_sum3(xp, at_blank, at_label, xp.full(at_blank.shape, _NONE))
    return xp.where(input_lengths == 0, xp.where(target_lengths == 0, 0.0, np.inf), total)


def ctc(xp: Any, log_probs: Array, targets: Array, input_lengths: Array, target_lengths: Array, *, blank: int) -> Array:
    """The negative log-likelihoods (N,) of targets (N, S) under log_probs (T, N, C).

    >>> import numpy as np
    >>> half = np.log(np.full((2, 1, 2), 0.5))
    >>> one = np.array([1])
    >>> np.exp(-ctc(np, half, np.array([[1]]), 2 * one, one, blank=0)).tolist()
    [0.75]
    """
    if len(log_probs) == 0:
        return xp.where(target_lengths == 0, 0.0, np.inf).astype(log_probs.dtype)
    labels, exists, skips = _states(xp, targets, target_lengths, blank)
    alpha = _forward(xp, _emissions(xp, log_probs, labels, exists), skips)
    return _loss(xp, alpha, input_lengths, target_lengths).astype(log_probs.dtype)


def ctc_grad(
    xp: Any, log_probs: Array, targets: Array, input_lengths: Array, target_lengths: Array, g: Array, *, blank: int, zero_infinity: bool
) -> Array:
    """PyTorch's gradient (T, N, C): g times the probabilities minus the expected counts of the labels. Its sum over the classes is 0, so
    it is the gradient for the scores in front of a log-softmax as well as for its outputs. NaN for a loss that is infinite, or 0
    (`zero_infinity`)."""
    if len(log_probs) == 0:
        return xp.zeros(log_probs.shape, log_probs.dtype)
    labels, exists, skips = _states(xp, targets, target_lengths, blank)
    emissions = _emissions(xp, log_probs, labels, exists)
    alpha = _forward(xp, emissions, skips)
    loss = _loss(xp, alpha, input_lengths, target_lengths)
    paths = alpha + _backward(xp, emissions, skips, input_lengths, target_lengths)
    shares = xp.where(paths == _NONE, 0.0, xp.exp(paths - xp.where(emissions == _NONE, 0.0, emissions) + loss[:, None]))
    out = xp.exp(log_probs.astype(np.float64))
    times, rows = xp.arange(len(out))[:, None, None], xp.arange(out.shape[1])[:, None]
    out[:, :, blank] -= shares[:, :, 0::2].sum(axis=2)
    scatter_add(xp, out, (times, rows, labels[:, 1::2]), -shares[:, :, 1::2])
    out *= g[:, None]
    impossible = loss == np.inf
    out = xp.where(impossible[:, None], 0.0 if zero_infinity else np.nan, out)
    valid = xp.arange(len(out))[:, None] < input_lengths
    return xp.where(valid[:, :, None], out, 0.0).astype(log_probs.dtype)
