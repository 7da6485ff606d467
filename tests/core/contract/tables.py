"""What the tables of contract cases share."""

from __future__ import annotations

import functools
import inspect
from operator import attrgetter

import numpy as np

import flambeau as fb
import flambeau.nn.functional
from flambeau.testing import OpCase


def op(name, reference, *samples, fn=None, **options):
    """A case of a public function, named by its path below `flambeau` (and perhaps a remark after a space)."""
    return OpCase(name, fn or attrgetter(name.partition(" ")[0])(fb), samples, reference=reference, **options)


def numpy_names(f):
    """A NumPy function under PyTorch's argument names."""
    known = inspect.signature(f).parameters if not isinstance(f, np.ufunc) else {"axis": 0, "keepdims": 0}

    @functools.wraps(f)
    def call(x, *args, dim=None, keepdim=None, **kwargs):
        if dim is not None or "axis" in known:
            kwargs["axis"] = dim
        if keepdim is not None:
            kwargs["keepdims"] = keepdim
        return f(x, *args, **kwargs)

    return call


def symmetric(a):
    """Symmetric (or Hermitian) matrices."""
    return (a + np.swapaxes(a, -1, -2).conj()) / 2


def positive_definite(a):
    """Symmetric positive definite matrices."""
    return a @ np.swapaxes(a, -1, -2).conj() + 0.5 * np.eye(a.shape[-1])


def regular(a):
    """Matrices that are far from singular."""
    return a + 4 * np.eye(a.shape[-1])


def permuted(a):
    """Different numbers, at least 0.1 apart, in the order of the given ones."""
    flat = np.argsort(np.argsort(a.reshape(-1), kind="stable"), kind="stable")
    return (flat * 0.1 - 0.05 * flat.size + 0.013).reshape(a.shape)
