"""Contract cases of indexing: gather and scatter, masks, diagonals, basic and advanced keys."""

from __future__ import annotations

import numpy as np

import flambeau as fb
from flambeau.base.errors import DtypeError, FlambeauError, IndexingError, ShapeError
from flambeau.testing import bools, floats, ints, sample
from tests.core.contract.tables import op, permuted

X = floats(2, 3, 4)
PLACES = ints(2, 2, 4, low=0, high=3)
AT = ints(2, low=0, high=3)


def scattered(x, dim, index, src, combine):
    out = x.copy()
    for place in np.ndindex(index.shape):
        at = list(place)
        at[dim] = index[place]
        out[tuple(at)] = combine(out[tuple(at)], src[place] if isinstance(src, np.ndarray) else src)
    return out


def scatter(x, dim, index, src):
    return scattered(x, dim, index, src, lambda old, new: new)


COMBINE = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum, "mean": np.add}


def scatter_reduce(x, dim, index, src, reduce, include_self=True):
    counts = scattered(np.full(x.shape, float(include_self)), dim, index, 1.0, np.add)
    start = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "amax": -np.inf, "amin": np.inf}[reduce]
    base = x if include_self else np.where(counts > 0, start, x)
    out = scattered(base, dim, index, src, COMBINE[reduce])
    return out / np.maximum(counts, 1) if reduce == "mean" else out


def spread(x, dim, index, source):
    """Arguments of scatter for those of index_add and its like."""
    shape = [1] * x.ndim
    shape[dim] = -1
    return np.broadcast_to(index.reshape(shape), source.shape)


def index_add(x, dim, index, source, alpha=1):
    return scattered(x, dim, spread(x, dim, index, source), source * alpha, np.add)


def index_fill(x, dim, index, value):
    out = x.copy()
    out[(slice(None),) * dim + (index,)] = value
    return out


def index_put(x, indices, values, accumulate=False):
    out = x.copy()
    if accumulate:
        np.add.at(out, tuple(indices), values)
    else:
        out[tuple(indices)] = values
    return out


def put(x, index, source, accumulate=False):
    return index_put(x.reshape(-1), (index,), source, accumulate).reshape(x.shape)


def masked_scatter(x, mask, source):
    out = x.copy()
    mask = np.broadcast_to(mask, x.shape)
    out[mask] = source.reshape(-1)[: mask.sum()]
    return out


def embedded(x, offset=0, dim1=-2, dim2=-1):
    n = x.shape[-1] + abs(offset)
    out = np.zeros((*x.shape[:-1], n, n))
    i = np.arange(x.shape[-1])
    out[..., i + max(-offset, 0), i + max(offset, 0)] = x
    return np.moveaxis(out, (-2, -1), (dim1, dim2))


def diagonal_scatter(x, src, offset=0, dim1=0, dim2=1):
    out = x.copy()
    view = np.moveaxis(out, (dim1, dim2), (-2, -1))
    i = np.arange(src.shape[-1])
    view[..., i + max(-offset, 0), i + max(offset, 0)] = src
    return out


def written(x, key, src):
    out = x.copy()
    out[key] = src
    return out


def fill_diagonal(x, value):
    np.fill_diagonal(x, value)
    return x


DISTINCT = {"build": permuted}
UNIQUE = {"build": lambda a: np.argsort(np.argsort(a.reshape(-1))).reshape(a.shape)}
GATHER = [
    op(
        "gather", lambda x, dim, index: np.take_along_axis(x, index, dim), sample(X, 1, PLACES), sample(floats(3, 2), 0, ints(5, 2, low=0, high=3)),
        errors=[
            (lambda: fb.gather(fb.zeros(2, 3), 1, fb.tensor([[3]])), IndexingError, "gather"),
            (lambda: fb.gather(fb.zeros(2, 3), 1, fb.zeros(1, 1)), DtypeError, "int"),
        ],
    ),
    op("take_along_dim", lambda x, i, dim=None: np.take_along_axis(x, i, dim), sample(X, PLACES, 1), sample(floats(4), ints(3, low=0, high=4), 0)),
    op("index_select", lambda x, dim, i: np.take(x, i, dim), sample(X, 1, ints(4, low=0, high=3)), sample(X, 2, ints(0, low=0, high=2)),
       errors=[(lambda: fb.index_select(fb.zeros(3), 0, fb.tensor([3])), IndexingError, "index_select")]),
    op("take", lambda x, i: np.take(x, i), sample(X, ints(2, 3, low=-24, high=24))),
    op("scatter", scatter, sample(X, 1, ints(2, 1, 4, low=0, high=3), floats(2, 1, 4)), sample(X, 1, ints(2, 1, 4, low=0, high=3), 2.0)),
    op("scatter_add", lambda x, d, i, s: scattered(x, d, i, s, np.add), sample(X, 1, PLACES, floats(2, 2, 4)), sample(floats(3), 0, ints(5, low=0, high=3), floats(5))),
    op("scatter_reduce", scatter_reduce,
       *[sample(X, 1, PLACES, floats(2, 2, 4, low=0.5), r, include_self=s) for r in COMBINE for s in (True, False)],
       half=2, skip={"second_gradient": "checked below where it exists"}),
    op("scatter_reduce twice", scatter_reduce, *[sample(X, 1, PLACES, floats(2, 2, 4, low=0.5), r) for r in ("sum", "mean")]),
    op("index_add", index_add, sample(X, 1, AT, floats(2, 2, 4)), sample(X, 1, AT, floats(2, 2, 4), alpha=2)),
    op("index_copy", lambda x, d, i, s: scatter(x, d, spread(x, d, i, s), s), sample(X, 1, ints(2, low=0, high=3, **UNIQUE), floats(2, 2, 4))),
    op("index_fill", index_fill, sample(X, 1, AT, 3.0)),
    op("index_reduce", lambda x, d, i, s, reduce, include_self=True: scatter_reduce(x, d, spread(x, d, i, s), s, reduce, include_self),
       *[sample(X, 1, AT, floats(2, 2, 4, low=0.5), r) for r in ("prod", "mean", "amax", "amin")], twice=False, half=2),
    op("index_put", index_put, sample(X, (ints(2, low=0, high=2, **UNIQUE), ints(2, low=0, high=3)), floats(2, 4)),
       sample(X, (ints(2, low=0, high=2), ints(2, low=0, high=3)), floats(2, 4), accumulate=True)),
    op("put", put, sample(floats(2, 3), ints(2, low=0, high=6, **UNIQUE), floats(2)), sample(floats(2, 3), ints(3, low=0, high=6), floats(3), True)),
    op("unravel_index", lambda i, shape: np.unravel_index(i, shape), sample(ints(5, low=0, high=24), (2, 3, 4))),
    op("where condition", lambda c: np.nonzero(c), sample(bools(2, 3)), fn=fb.where, meta=False, vmap=False, differentiable=False),
]  # fmt: skip

MASKS = [
    op("masked_fill", lambda x, m, v: np.where(m, v, x), sample(X, bools(3, 4), 2.0), sample(X, bools(2, 3, 4), floats()),
       errors=[(lambda: fb.masked_fill(fb.zeros(2), fb.tensor([1, 0]), 1.0), DtypeError, "bool")]),
    op("masked_select", lambda x, m: x[np.broadcast_to(m, x.shape)], sample(X, bools(3, 4)), meta=False, vmap=False),
    op("masked_scatter", masked_scatter, sample(X, bools(2, 3, 4), floats(24)), meta=False, vmap=False),
]  # fmt: skip

DIAGONALS = [
    op("diag", np.diag, sample(floats(3, 4)), sample(floats(3)), sample(floats(3, 4), 1), sample(floats(3), -1)),
    op("diag_embed", embedded, sample(floats(2, 3)), sample(floats(3), 1), sample(floats(2, 3), -1, 0, 2)),
    op("diagflat", np.diagflat, sample(floats(2, 2)), sample(floats(3), 1)),
    op("trace", np.trace, sample(floats(3, 4)), errors=[(lambda: fb.trace(fb.zeros(2)), ShapeError, "trace")]),
    op("diagonal_scatter", diagonal_scatter, sample(floats(3, 3), floats(3)), sample(X, floats(2, 3), 1, 1, 2)),
    op("select_scatter", lambda x, s, d, i: written(x, (slice(None),) * d + (i,), s), sample(X, floats(2, 4), 1, 2)),
    op("slice_scatter", lambda x, s, dim, start, end, step: written(x, (slice(None),) * dim + (slice(start, end, step),), s),
       sample(X, floats(2, 3, 2), dim=2, start=0, end=4, step=2)),
    op("fill_diagonal", fill_diagonal, sample(floats(3, 4), 2.0), fn=lambda x, v: x.clone().fill_diagonal_(v)),
    op("triu_indices", lambda r, c, o=0: np.stack(np.triu_indices(r, o, c)), sample(3, 4), sample(4, 3, 1)),
    op("tril_indices", lambda r, c, o=0: np.stack(np.tril_indices(r, o, c)), sample(3, 4), sample(4, 3, -1)),
]  # fmt: skip


def key(name, k, **options):
    """Reading with one key."""
    return op(f"getitem {name}", lambda x: np.array(x[k]), sample(X), fn=lambda x: x[k], **options)


def assigned(x, k, value):
    y = x.clone() if isinstance(x, fb.Tensor) else x.copy()
    y[k] = value
    return y


GETITEM = [
    key("integers", (1, 2)),
    key("slices", (slice(None), slice(0, 2), slice(1, None, 2))),
    key("ellipsis", (..., 1)),
    key("new axes", (None, 0, ..., None)),
    key("list", [1, 0, 1]),
    key("lists", ([0, 1], [2, 0])),
    key("lists apart", ([0, 1], slice(None), [3, 0])),
    op("getitem index", lambda x, i: x[:, i], sample(X, ints(2, 2, low=0, high=3)), fn=lambda x, i: x[:, i]),
    op("getitem mask", lambda x, m: x[m], sample(X, bools(2, 3)), fn=lambda x, m: x[m], meta=False, vmap=False),
    op("setitem slice", lambda x, v: assigned(x, (slice(None), 1), v), sample(X, floats(2, 4)), fn=lambda x, v: assigned(x, (slice(None), 1), v)),
    op("setitem index", lambda x, i, v: assigned(x, (0, i), v), sample(X, ints(2, low=0, high=3, **UNIQUE), floats(2, 4)), fn=lambda x, i, v: assigned(x, (0, i), v)),
    op("setitem mask", lambda x, m: assigned(x, m, 5.0), sample(X, bools(2, 3, 4)), fn=lambda x, m: assigned(x, m, 5.0)),
    op("getitem errors", None, fn=lambda: None, errors=[
        (lambda: fb.zeros(2)[2], IndexingError, "2"),
        (lambda: fb.zeros(2)[0, 0], IndexingError, "ind"),
        (lambda: fb.zeros(2)[fb.tensor([5])], IndexingError, "5"),
        (lambda: fb.zeros(2)[1.5], FlambeauError, "ind"),
    ]),
]  # fmt: skip
CASES = [*GATHER, *MASKS, *DIAGONALS, *GETITEM]
