"""Contract cases of operations that move, join, split and repeat elements."""

from __future__ import annotations

import numpy as np
import scipy.linalg

import flambeau as fb
from flambeau.base.errors import FlambeauError, IndexingError, ShapeError
from flambeau.testing import complexes, floats, ints, sample
from tests.core.contract.tables import op

X, V, EMPTY, POINT = floats(2, 3, 4), floats(3), floats(0, 3), floats()


def unfold(x, dimension, size, step):
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=dimension)
    return np.take(windows, range(0, windows.shape[dimension], step), dimension)


def rows_of(x):
    return np.ascontiguousarray(x).reshape(-1)


def as_strided(x, size, stride, storage_offset=0):
    flat = rows_of(x)
    return np.lib.stride_tricks.as_strided(flat[storage_offset:], size, [s * flat.itemsize for s in stride])


def unsplit(f):
    return lambda x, *args: [np.ascontiguousarray(part) for part in f(x, *args)]


def split(x, sizes, dim=0):
    n = x.shape[dim]
    cuts = list(range(sizes, n, sizes)) if isinstance(sizes, int) else list(np.cumsum(sizes)[:-1])
    return np.split(x, cuts, dim)


def chunk(x, chunks, dim=0):
    return split(x, -(-x.shape[dim] // chunks), dim)


def repeat(x, *repeats):
    return np.tile(x, repeats)


def narrow(x, dim, start, length):
    return np.take(x, range(start, start + length), dim)


def unbind(x, dim=0):
    return [np.take(x, i, dim) for i in range(x.shape[dim])]


def flatten(x, start_dim=0, end_dim=-1):
    end = end_dim % max(x.ndim, 1)
    return x.reshape(*x.shape[:start_dim], -1, *x.shape[end + 1 :])


def split_with(f):
    return lambda x, sections: [np.ascontiguousarray(part) for part in f(x, sections)]


def expand(x, *sizes):
    lead = len(sizes) - x.ndim
    return np.broadcast_to(x, [x.shape[i - lead] if s == -1 else s for i, s in enumerate(sizes)])


def roll(x, shifts, dims=None):
    return np.roll(x, shifts, dims)


FIXED = {"skip": {"layouts": "as_strided is defined by the memory layout"}}
SHAPES = [
    op("reshape", lambda x, s: x.reshape(s), sample(X, (4, 6)), sample(X, (-1,)), sample(POINT, (1, 1)), sample(EMPTY, (3, 0)),
       errors=[(lambda: fb.reshape(fb.zeros(6), (4, 2)), ShapeError, "6 elements")]),
    op("view", lambda x, s: x.reshape(s), sample(X, (2, 12)), sample(EMPTY, (0,)), fn=lambda x, s: x.contiguous().view(s)),
    op("view_as", lambda x, y: x.reshape(y.shape), sample(X, floats(4, 6, grad=False)), fn=lambda x, y: x.contiguous().view_as(y)),
    op("reshape_as", lambda x, y: x.reshape(y.shape), sample(X, floats(4, 6, grad=False)), fn=lambda x, y: x.reshape_as(y)),
    op("flatten", flatten, sample(X), sample(X, 1), sample(X, 0, 1), sample(EMPTY), sample(POINT)),
    op("ravel", np.ravel, sample(X), sample(POINT)),
    op("unflatten", lambda x, d, s: x.reshape(2, 3, 2, 2), sample(X, 2, (2, -1))),
    op("permute", np.transpose, sample(X, (2, 0, 1)), sample(POINT, ()), errors=[(lambda: fb.permute(fb.zeros(2, 3), (0, 0)), FlambeauError, "permute")]),
    op("transpose", np.swapaxes, sample(X, 0, 2), sample(EMPTY, 0, 1), errors=[(lambda: fb.transpose(fb.zeros(2), 0, 1), IndexingError, "dim")]),
    *[op(n, np.swapaxes, sample(X, 0, -1)) for n in ("swapaxes", "swapdims")],
    op("t", np.transpose, sample(floats(2, 3)), sample(V), errors=[(lambda: fb.t(fb.zeros(2, 3, 4)), ShapeError, "2 axes")]),
    op("adjoint", lambda x: np.swapaxes(x, -1, -2).conj(), sample(X), sample(complexes(2, 3))),
    op("Tensor.mT", lambda x: np.swapaxes(x, -1, -2), sample(X), fn=lambda x: x.mT),
    op("Tensor.H", lambda x: x.T.conj(), sample(complexes(2, 3)), fn=lambda x: x.H),
    *[op(n, np.moveaxis, sample(X, 0, 2), sample(X, (0, 1), (1, 2))) for n in ("movedim", "moveaxis")],
    op("squeeze", lambda x, d=None: np.squeeze(x, d), sample(floats(2, 1, 3, 1)), sample(floats(2, 1, 3), 1), sample(POINT)),
    op("unsqueeze", np.expand_dims, sample(X, 1), sample(POINT, 0), sample(EMPTY, -1)),
    op("expand", expand, sample(floats(2, 1), 4, 2, 3), sample(POINT, 2, 2), sample(floats(1, 3), -1, 3), fn=lambda x, *s: x.expand(*s),
       errors=[(lambda: fb.zeros(2).expand(3), ShapeError, "expand")]),
    op("expand_as", lambda x, y: np.broadcast_to(x, y.shape), sample(V, floats(2, 3, grad=False)), fn=lambda x, y: x.expand_as(y)),
    op("broadcast_to", np.broadcast_to, sample(V, (2, 3)), sample(POINT, (2,))),
    op("broadcast_tensors", lambda *xs: np.broadcast_arrays(*xs), sample(V, floats(2, 1), POINT)),
    op("sum_to_size", lambda x, *s: x.sum(0, keepdims=True), sample(floats(2, 3), 1, 3), fn=lambda x, *s: x.sum_to_size(*s)),
    op("repeat", repeat, sample(floats(2, 3), 2, 1), sample(V, 2, 2), sample(POINT, 3), fn=lambda x, *r: x.repeat(*r)),
    op("tile", lambda x, d: np.tile(x, d), sample(floats(2, 3), (2,)), sample(V, (2, 2))),
    op("repeat_interleave", lambda x, r, dim=None: np.repeat(x, r, dim), sample(floats(2, 3), 2), sample(floats(2, 3), 2, dim=1)),
    op("repeat_interleave by counts", lambda x, r, dim=None: np.repeat(x, r, dim), sample(floats(2, 3), ints(3, low=0, high=3), dim=1), meta=False, vmap=False),
    op("flip", np.flip, sample(X, (0, 2)), sample(EMPTY, (0,))),
    op("fliplr", np.fliplr, sample(X)),
    op("flipud", np.flipud, sample(X)),
    op("roll", roll, sample(X, 1), sample(X, (1, -2), (0, 2)), sample(X, 5, 1)),
    op("rot90", lambda x, k=1, dims=(0, 1): np.rot90(x, k, dims), sample(X), sample(X, 3, (1, 2)), sample(X, 2, (0, 2))),
    op("as_strided", as_strided, sample(X, (2, 3), (1, 2)), sample(X, (3, 3), (1, 1), 2), vmap=False, **FIXED),
    op("unfold", unfold, sample(X, 2, 2, 1), sample(X, 2, 2, 2), sample(V, 0, 3, 1), fn=lambda x, *a: x.unfold(*a)),
    op("diagonal", lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2), sample(X), sample(X, 1, 1, 2), sample(X, -1, 2, 0)),
    op("linalg.diagonal", lambda x, offset=0, dim1=-2, dim2=-1: np.diagonal(x, offset, dim1, dim2), sample(X), sample(X, offset=1)),
    op("meshgrid", lambda *xs, indexing="ij": np.meshgrid(*xs, indexing=indexing), sample(V, floats(2), indexing="ij"), sample(V, floats(2), indexing="xy")),
    op("clone", np.copy, sample(X), sample(POINT)),
    op("contiguous", np.copy, sample(X), fn=lambda x: x.contiguous()),
    op("view_as_real", lambda x: np.stack([x.real, x.imag], -1), sample(complexes(2, 3))),
    op("view_as_complex", lambda x: x[..., 0] + 1j * x[..., 1], sample(floats(3, 2)), dtypes=("float32",),
       fn=lambda x: fb.view_as_complex(x.contiguous())),
    op("triu", np.triu, sample(X), sample(X, 1), sample(EMPTY)),
    op("tril", np.tril, sample(X), sample(X, -1), sample(floats(3, 0))),
]  # fmt: skip

PAIR = [floats(2, 3), floats(2, 3)]
JOINING = [
    *[
        op(n, lambda xs, d=0: np.concatenate(xs, d), sample(PAIR), sample([floats(2, 3), floats(2, 1)], 1), sample([floats(0, 3), floats(2, 3)]),
           sample([floats(2), ints(2)]),
           errors=[(lambda n=n: getattr(fb, n)([fb.zeros(2, 3), fb.zeros(2, 2)]), ShapeError, "cat")])
        for n in ("cat", "concat", "concatenate")
    ],
    op("stack", lambda xs, d=0: np.stack(xs, d), sample(PAIR), sample(PAIR, -1), sample([POINT, POINT]),
       errors=[(lambda: fb.stack([fb.zeros(2), fb.zeros(3)]), ShapeError, "stack")]),
    op("hstack", np.hstack, sample(PAIR), sample([V, V])),
    *[op(n, np.vstack, sample(PAIR), sample([V, V])) for n in ("vstack", "row_stack")],
    op("dstack", np.dstack, sample(PAIR), sample([V, V])),
    op("column_stack", np.column_stack, sample(PAIR), sample([V, floats(3, 2)])),
    op("atleast_1d", np.atleast_1d, sample(POINT), sample(X)),
    op("atleast_2d", np.atleast_2d, sample(POINT), sample(V)),
    op("atleast_3d", np.atleast_3d, sample(POINT), sample(V), sample(floats(2, 3))),
    op("block_diag", scipy.linalg.block_diag, sample(floats(2, 3), floats(1, 2))),
    *[op(n, narrow, sample(X, 1, 1, 2), sample(X, 2, 0, 0), errors=[(lambda n=n: getattr(fb, n)(fb.zeros(3), 0, 2, 2), FlambeauError, "narrow")])
      for n in ("narrow", "narrow_copy")],
    op("select", lambda x, d, i: np.take(x, i, d), sample(X, 1, 2), sample(X, 0, -1), errors=[(lambda: fb.select(fb.zeros(3), 0, 3), IndexingError, "select")]),
    *[op(n, split, sample(X, 2, 2), sample(X, [1, 2], 1), sample(V, 2)) for n in ("split", "unsafe_split")],
    *[op(n, split, sample(X, [1, 2], 1)) for n in ("split_with_sizes", "unsafe_split_with_sizes")],
    *[op(n, chunk, sample(X, 2, 1), sample(V, 2)) for n in ("chunk", "unsafe_chunk")],
    op("tensor_split", lambda x, s, d=0: np.array_split(x, s, d), sample(X, 3, 2), sample(X, (1, 2), 1)),
    op("hsplit", split_with(np.hsplit), sample(floats(2, 4), 2)),
    op("vsplit", split_with(np.vsplit), sample(floats(4, 2), 2)),
    op("dsplit", split_with(np.dsplit), sample(X, 2)),
    op("unbind", unbind, sample(X), sample(X, 1)),
    op("combinations", lambda x: x[np.array([(0, 1), (0, 2), (1, 2)])], sample(V)),
    op("cartesian_prod", lambda x, y: np.stack([g.ravel() for g in np.meshgrid(x, y, indexing="ij")], 1), sample(V, floats(2))),
    op("vander", np.vander, sample(V), sample(V, 2), dtypes=("float32",)),
    op("linalg.vander", lambda x, N=None: np.vander(x, N, increasing=True), sample(V), sample(V, N=2), dtypes=("float32",)),
]  # fmt: skip


SAME = [
    *[op(n, np.conj if n == "conj_physical" else np.copy, sample(complexes(2, 3)), sample(V)) for n in ("conj_physical", "resolve_conj", "resolve_neg")],
    op("detach", np.copy, sample(X), differentiable=False),
]  # fmt: skip
CASES = [*SHAPES, *JOINING, *SAME]
