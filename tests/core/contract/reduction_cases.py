"""Contract cases of reductions, scans, sorting and counting."""

from __future__ import annotations

import numpy as np
import scipy.special as sp
import scipy.stats as st

import flambeau as fb
from flambeau.base.errors import DtypeError, FlambeauError, IndexingError
from flambeau.testing import bools, complexes, floats, ints, sample
from tests.core.contract.tables import numpy_names, op, permuted

FLAT = {"differentiable": False}
DISTINCT = {"build": permuted}


def forms(low=-2.0, high=2.0, several=True, empty=True, **more):
    """All elements, one axis, several axes, kept axes; zero-dimensional and empty inputs."""
    x = floats(2, 3, 2, low=low, high=high, **more)
    found = [sample(x), sample(x, dim=1), sample(x, dim=-1, keepdim=True), sample(floats(low=low, high=high))]
    found += [sample(x, dim=(0, 2))] if several else []
    return found + ([sample(floats(0, 2, low=low, high=high), dim=0)] if empty else [])


def wrong_dim(name):
    return [(lambda: getattr(fb, name)(fb.zeros(2, 3), dim=2), IndexingError, "dim")]


def bounds(x, dim=None, keepdim=False):
    return x.min(axis=dim, keepdims=keepdim), x.max(axis=dim, keepdims=keepdim)


def extreme(value, index):
    def reference(x, dim=None, keepdim=False):
        if dim is None:
            return value(x)
        return value(x, axis=dim, keepdims=keepdim), index(x, axis=dim, keepdims=keepdim)

    return reference


def variance(f):
    def reference(x, dim=None, keepdim=False, correction=1):
        return f(x, axis=dim, keepdims=keepdim, ddof=correction)

    return reference


def with_mean(f):
    return lambda x, dim=None, keepdim=False, correction=1: (
        f(x, axis=dim, keepdims=keepdim, ddof=correction),
        x.mean(axis=dim, keepdims=keepdim),
    )


def norm(x, p=2, dim=None, keepdim=False):
    p = 2 if p == "fro" else p
    x = np.abs(x)
    if p == 0:
        return (x != 0).sum(axis=dim, keepdims=keepdim).astype(float)
    if np.isinf(p):
        return (x.max if p > 0 else x.min)(axis=dim, keepdims=keepdim)
    return (x**p).sum(axis=dim, keepdims=keepdim) ** (1 / p)


VARIANCES = [
    sample(floats(2, 3, 2)),
    sample(floats(2, 3, 2), dim=1),
    sample(floats(2, 3, 2), dim=(0, 2), keepdim=True),
    sample(floats(3, 2), dim=0, correction=0),
]
NORMS = [
    *[sample(floats(2, 3, low=0.1), p) for p in ("fro", 1, 3, float("inf"), float("-inf"), 0)],
    sample(floats(2, 3, 2), 2, dim=1, keepdim=True),
    sample(floats(2, 3, 2), 1, dim=(0, 2)),
]


def scan(ufunc):
    def reference(x, dim):
        values = ufunc.accumulate(x, axis=dim)
        at = np.broadcast_to(np.arange(x.shape[dim]).reshape([-1 if i == dim % x.ndim else 1 for i in range(x.ndim)]), x.shape)
        return values, np.maximum.accumulate(np.where(x == values, at, 0), axis=dim)

    return reference


def running(*extra, low=-2.0):
    return [
        sample(floats(2, 3, 2, low=low), 1),
        sample(floats(3, low=low), -1),
        sample(floats(low=low), 0),
        sample(floats(2, 0), 1),
        *extra,
    ]


def softmax(x, dim):
    return sp.softmax(x, axis=dim) if x.size else x


def log_softmax(x, dim):
    return sp.log_softmax(x, axis=dim) if x.size else x


def accumulated(ufunc):
    """Running results; those of a zero-dimensional array are itself."""
    return lambda x, dim: ufunc.accumulate(x, axis=dim) if x.ndim else x


def renorm(x, p, dim, maxnorm):
    axes = tuple(i for i in range(x.ndim) if i != dim)
    size = norm(x, p, axes, True)
    return x * np.where(size > maxnorm, maxnorm / (size + 1e-7), 1.0)


SOFTMAX = [sample(floats(2, 3), dim=1), sample(floats(2, 3), dim=0), sample(floats(), dim=0), sample(floats(2, 0), dim=1)]
MASKS = [
    sample(bools(2, 3)),
    sample(bools(2, 3), dim=1),
    sample(floats(2, 3), dim=0, keepdim=True),
    sample(bools(0, 3), dim=0),
    sample(bools()),
]
REDUCTIONS = [
    op(
        "sum", numpy_names(np.sum), *forms(), sample(ints(2, 3)), sample(bools(4)), sample(complexes(2, 3)),
        shapes=lambda a: sample(floats(*a)), errors=wrong_dim("sum"),
    ),
    op(
        "mean", numpy_names(np.mean), *forms(empty=False), sample(complexes(2, 3)),
        errors=[(lambda: fb.mean(fb.arange(3)), DtypeError, "float")],
    ),
    op("nansum", numpy_names(np.nansum), *forms()),
    op("nanmean", numpy_names(np.nanmean), *forms(empty=False)),
    op("prod", numpy_names(np.prod), *forms(several=False), sample(ints(4)), shapes=lambda a: sample(floats(*a)), half=2),
    *[
        op(n, numpy_names(f), *forms(empty=False, **DISTINCT), sample(ints(2, 3)), errors=[(lambda n=n: getattr(fb, n)(fb.zeros(0)), FlambeauError, n)])
        for n, f in (("amax", np.amax), ("amin", np.amin))
    ],
    op("aminmax", bounds, sample(floats(2, 3, **DISTINCT)), sample(floats(2, 3, **DISTINCT), dim=1, keepdim=True)),
    op("max", extreme(np.max, np.argmax), *forms(several=False, empty=False, **DISTINCT), errors=wrong_dim("max")),
    op("min", extreme(np.min, np.argmin), *forms(several=False, empty=False, **DISTINCT), errors=wrong_dim("min")),
    op("max of two", np.maximum, sample(floats(2, 3), floats(3))),
    op("argmax", numpy_names(np.argmax), *forms(several=False, empty=False), **FLAT),
    op("argmin", numpy_names(np.argmin), *forms(several=False, empty=False), **FLAT),
    op("any", numpy_names(np.any), *MASKS, **FLAT),
    op("all", numpy_names(np.all), *MASKS, **FLAT),
    op("count_nonzero", lambda x, dim=None: np.count_nonzero(x, axis=dim), sample(ints(2, 3, low=0, high=2)), sample(bools(2, 3), dim=1), **FLAT),
    op("var", variance(np.var), *VARIANCES, half=3),
    op("std", variance(np.std), *VARIANCES, half=3),
    op("var_mean", with_mean(np.var), *VARIANCES, half=3),
    op("std_mean", with_mean(np.std), *VARIANCES, half=3),
    op("norm", norm, *NORMS, half=2),
    op("dist", lambda x, y, p=2: norm(x - y, p), sample(floats(2, 3), floats(3)), sample(floats(3), floats(3), 1)),
    op("renorm", renorm, sample(floats(2, 3), 2, 0, 1.0), sample(floats(2, 3, 2), 1, 1, 2.0), rtol=1e-6),
    op("logsumexp", lambda x, dim, keepdim=False: sp.logsumexp(x, axis=dim, keepdims=keepdim), *[s for s in forms() if "dim" in s.kwargs], half=2),
    op("softmax", softmax, *SOFTMAX, half=2),
    op("log_softmax", log_softmax, *SOFTMAX, half=2),
    op("special.softmax", softmax, *SOFTMAX[:2], half=2),
    op("special.log_softmax", log_softmax, *SOFTMAX[:2], half=2),
    op("special.logsumexp", lambda x, dim, keepdim=False: sp.logsumexp(x, axis=dim, keepdims=keepdim), sample(floats(2, 3), dim=1), half=2),
    op("cumsum", accumulated(np.add), *running(sample(ints(3), 0)), half=2),
    op("cumprod", accumulated(np.multiply), *running(low=0.5), half=2),
    op("logcumsumexp", accumulated(np.logaddexp), *running(), half=2),
    op("cummax", scan(np.maximum), *[s for s in running() if s.specs[0].shape]),
    op("cummin", scan(np.minimum), *[s for s in running() if s.specs[0].shape]),
    op(
        "quantile", lambda x, q, dim=None, keepdim=False, interpolation="linear": np.quantile(x, q, axis=dim, keepdims=keepdim, method=interpolation),
        sample(floats(2, 5, **DISTINCT), 0.3), sample(floats(2, 5, **DISTINCT), 0.6, dim=1, keepdim=True),
        *[sample(floats(5, **DISTINCT), 0.4, interpolation=m) for m in ("lower", "higher", "midpoint", "nearest")],
        dtypes=("float32",), vmap=False,
    ),
    op(
        "nanquantile", lambda x, q, dim=None: np.nanquantile(x, q, axis=dim),
        sample(floats(2, 5, **DISTINCT), 0.3), sample(floats(2, 5, **DISTINCT), 0.6, dim=1), dtypes=("float32",), vmap=False,
    ),
]  # fmt: skip


# -- order --------------------------------------------------------------------------------------------------------------------------------
def sorted_pair(x, dim=-1, descending=False, stable=False):
    at = np.argsort(-x if descending else x, axis=dim, kind="stable")
    return np.take_along_axis(x, at, dim), at


def topk(x, k, dim=-1, largest=True):
    values, at = sorted_pair(x, dim, largest)
    keep = [slice(None)] * x.ndim
    keep[dim] = slice(k)
    return values[tuple(keep)], at[tuple(keep)]


def kthvalue(x, k, dim=-1, keepdim=False):
    values, at = sorted_pair(x, dim)
    found = [np.take(a, [k - 1], dim) for a in (values, at)]
    return found if keepdim else [np.squeeze(a, dim) for a in found]


def median(x, dim=None, keepdim=False):
    if dim is None:
        return np.sort(x, None)[(x.size - 1) // 2]
    return kthvalue(x, (x.shape[dim] + 1) // 2, dim, keepdim)


def mode(x, dim=-1, keepdim=False):
    values = st.mode(x, axis=dim, keepdims=True).mode
    at = x.shape[dim] - 1 - np.argmax(np.flip(x == values, dim), axis=dim)  # the last place, as PyTorch
    return (values if keepdim else np.squeeze(values, dim)), (np.expand_dims(at, dim) if keepdim else at)


ORDERED = [
    sample(floats(2, 5, **DISTINCT)),
    sample(floats(3, 2, **DISTINCT), dim=0, descending=True),
    sample(floats(0)),
    sample(ints(2, 5)),
]
SEQUENCE = {"build": lambda a: np.sort(a)}
ORDER = [
    op("sort", sorted_pair, *ORDERED, sample(ints(5, low=0, high=2), stable=True)),
    op("argsort", lambda *a, **k: sorted_pair(*a, **k)[1], *ORDERED, **FLAT),
    op("msort", lambda x: np.sort(x, 0), sample(floats(3, 2, **DISTINCT))),
    op(
        "topk", topk, sample(floats(2, 5, **DISTINCT), 3), sample(floats(4, 2, **DISTINCT), 2, dim=0, largest=False), sample(floats(3), 0),
        errors=[(lambda: fb.topk(fb.zeros(2), 3), FlambeauError, "topk")],
    ),
    op("kthvalue", kthvalue, sample(floats(2, 5, **DISTINCT), 2), sample(floats(4, 2, **DISTINCT), 3, dim=0, keepdim=True)),
    op("median", median, sample(floats(2, 3, **DISTINCT)), sample(floats(2, 4, **DISTINCT), dim=1), sample(floats(4, 2, **DISTINCT), dim=0, keepdim=True)),
    op("nanmedian", median, sample(floats(2, 3, **DISTINCT)), sample(floats(2, 4, **DISTINCT), dim=1)),
    op("mode", mode, sample(ints(2, 5, low=0, high=3)), sample(ints(5, 2, low=0, high=2), dim=0, keepdim=True), dtypes=()),
    op(
        "searchsorted", lambda s, x, right=False: np.searchsorted(s, x, side="right" if right else "left"),
        sample(floats(5, **SEQUENCE), floats(2, 3)), sample(ints(6, low=0, high=4, **SEQUENCE), ints(3, low=0, high=4), right=True),
        **FLAT,
    ),
    op(
        "bucketize", lambda x, s, right=False: np.searchsorted(s, x, side="right" if right else "left"),
        sample(floats(2, 3), floats(5, **SEQUENCE)), sample(floats(3), floats(4, **SEQUENCE), right=True), **FLAT,
    ),
    op("isin", lambda x, y, invert=False: np.isin(x, y, invert=invert), sample(ints(2, 3), ints(4)), sample(ints(3), ints(2), invert=True), **FLAT),
]  # fmt: skip

# -- counting: results whose shape depends on values ------------------------------------------------------------------------------------
SEEN = {"meta": False, "vmap": False, "differentiable": False}
COUNTING = [
    op(
        "unique", lambda x, return_inverse=False, return_counts=False, dim=None: np.unique(
            x, return_inverse=return_inverse, return_counts=return_counts, axis=dim
        ),
        sample(ints(3, 4)), sample(ints(3, 4), return_inverse=True, return_counts=True), sample(ints(4, 2, low=0, high=2), dim=0), **SEEN,
    ),
    op("unique_consecutive", lambda x: x[np.concatenate([[True], x[1:] != x[:-1]])], sample(ints(9, low=0, high=2)), **SEEN),
    op("bincount", lambda x, weights=None, minlength=0: np.bincount(x, weights, minlength), sample(ints(9, low=0, high=4)),
       sample(ints(9, low=0, high=4), weights=floats(9, grad=False)), sample(ints(3, low=0, high=2), minlength=5),
       dtypes=(), **SEEN),
    op("histc", lambda x, bins, min, max: np.histogram(x, bins, (min, max))[0].astype(float), sample(floats(20), 4, -1.5, 1.5), dtypes=("float32",), **SEEN),
    op("histogram", lambda x, bins, range: np.histogram(x, bins, range), sample(floats(20, grad=False), 4, range=(-1.5, 1.5)), dtypes=("float32",), **SEEN),
    op("nonzero", lambda x: np.stack(np.nonzero(x), 1), sample(ints(2, 3, low=0, high=2)), sample(bools(4)), **SEEN),
    op("argwhere", np.argwhere, sample(ints(2, 3, low=0, high=2)), **SEEN),
]  # fmt: skip
CASES = [*REDUCTIONS, *ORDER, *COUNTING]
