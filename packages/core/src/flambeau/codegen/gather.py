"""Reading and writing by index: gather, embedding, advanced indexing, scatter.

All are one walk over a space: a contiguous side, a side whose address has a part that indices decide, and the indices, each in its own
strides. Writing goes through the space in row-major order, so repeated indices give what NumPy gives, the same on any number of threads:
threads share an axis on which no two positions meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.codegen import expr, pick
from flambeau.codegen.checks import checked, wrapped
from flambeau.codegen.layout import Ints, Layout
from flambeau.codegen.llvm import Target
from flambeau.codegen.loops import Kernel
from flambeau.codegen.nest import LARGE, Nest, merge
from flambeau.codegen.nodes import Access, Buffer, Node, Uniform
from flambeau.codegen.value import I64, V
from flambeau.graph.ir import Op

if TYPE_CHECKING:
    from flambeau.codegen.lower import Lowering

_BLOCK = 32  # the least number of neighbouring elements that a share of a scatter writes


@dataclass(frozen=True)
class Indexed:
    """How a space of positions walks: over the table (without the indices' part), and for each index its own strides and offset, how far a
    step of it goes in the table, and the size it wraps at (0: it is never negative)."""

    shape: Ints
    strides: Ints
    offset: int
    indices: tuple[tuple[Ints, int, int, int], ...]


# -- lowering -----------------------------------------------------------------------------------------------------------------------------
def _walk(low: Lowering, table: Layout, indices: list[Any], axes: Ints, at: int, op: Op) -> tuple[Indexed, list[Access], list[Access]]:
    """The walk of `index` (its broadcast indices stand at axis `at` of the result), the indices in memory, and their checks."""
    common = np.broadcast_shapes(*[i.shape for i in indices])
    rest = [k for k in range(len(table.shape)) if k not in axes]
    shape = (*(table.shape[k] for k in rest[:at]), *common, *(table.shape[k] for k in rest[at:]))
    strides = (*(table.strides[k] for k in rest[:at]), *(0,) * len(common), *(table.strides[k] for k in rest[at:]))
    walks, memory, tokens = [], [], []
    for i, axis in zip(indices, axes, strict=True):
        access, least, token = checked(low, i, table.shape[axis], axis, op)
        mine = access.layout.expand(common)
        over = (*(0,) * at, *mine.strides, *(0,) * (len(rest) - at))
        walks.append((over, mine.offset, table.strides[axis], table.shape[axis] if least < 0 else 0))
        memory.append(access)
        tokens += token
    return Indexed(shape, strides, table.offset, tuple(walks)), memory, tokens


def _along(low: Lowering, table: Layout, index: Any, axis: int, op: Op) -> tuple[Indexed, list[Access], list[Access]]:
    """The walk of `gather`: the index decides along one axis, the others go side by side."""
    access, least, tokens = checked(low, index, table.shape[axis], axis, op)
    strides = tuple(0 if k == axis else s for k, s in enumerate(table.strides))
    walk = (access.layout.strides, access.layout.offset, table.strides[axis], table.shape[axis] if least < 0 else 0)
    return Indexed(access.shape, strides, table.offset, (walk,)), [access], tokens


def _usable(*handles: Any) -> bool:
    return all(h.dtype in expr.DTYPES for h in handles)


def _indexable(indices: list[Any]) -> bool:
    return all(i.dtype.kind in "iu" and i.dtype != np.dtype("u8") for i in indices)


def _read(low: Lowering, x: Access, walk: tuple[Indexed, list[Access], list[Access]], op: Op) -> Access:
    indexed, indices, tokens = walk
    v = op.outputs[0]
    params = {"walk": indexed, "write": _write_gather}
    node = Node("native", op.prim.name, (x, *indices, *tokens), indexed.shape, params=params)
    return low.node(node, v.shape, v.dtype)


def gather(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """x[..., i, ...] element by element."""
    x, i = handles
    axis = params["axis"]
    if not _usable(x) or not _indexable([i]):
        return None
    if pick.one_each(x.shape, i.shape, axis) and (x.shape[axis] <= pick.SHORT or pick.is_made_here(x)):
        checked(low, i, x.shape[axis], axis, op)
        return pick.picked(low, x, wrapped(low, i, x.shape[axis]), axis)
    x = low.memory(x)
    return _read(low, x, _along(low, x.layout, i, axis, op), op)


def index(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """NumPy's advanced indexing by integers."""
    x, *indices = handles
    axes = params["axes"]
    if not _usable(x) or not _indexable(indices):
        return None
    x = low.memory(x)
    return _read(low, x, _walk(low, x.layout, indices, axes, _place(axes), op), op)


def _place(axes: Ints) -> int:
    """Where the indexed axes stand in the result: in place if they are neighbours, else first."""
    return axes[0] if axes == tuple(range(axes[0], axes[0] + len(axes))) else 0


def embedding(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """Rows of a table."""
    w, i = handles
    if not _usable(w) or not _indexable([i]):
        return None
    w = low.memory(w)
    return _read(low, w, _walk(low, w.layout, [i], (0,), 0, op), op)


def _write(low: Lowering, x: Any, v: Any, how: str, walk: tuple[Indexed, list[Access], list[Access]], op: Op) -> Access:
    indexed, indices, tokens = walk
    source = low.memory(v)
    source = Access(source.buffer, source.layout.expand(indexed.shape))
    shape = op.outputs[0].shape
    params = {"walk": indexed, "how": how}
    node = Node("scatter", op.prim.name, (x, source, *indices, *tokens), indexed.shape, params=params, regions=(Layout.contiguous(shape),))
    return low.node(node, shape, op.outputs[0].dtype)


_HOW = {"scatter": "set", "scatter_add": "add", "scatter_mul": "mul", "scatter_max": "maximum", "scatter_min": "minimum"}


def scatter(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """A copy of x with v stored or combined at the indices."""
    x, i, v = handles
    axis, name = params["axis"], op.prim.name
    if not _usable(x, v) or not _indexable([i]) or x.dtype != v.dtype:
        return None
    if v.shape != i.shape:
        v = low.reshape(v, i.shape) if isinstance(v, Uniform) else Access(v.buffer, v.layout.slice(tuple(slice(0, n) for n in i.shape)))
    if pick.one_each(x.shape, i.shape, axis) and (x.shape[axis] <= pick.SHORT or isinstance(x, Uniform)) and not _is_logical(x, name):
        checked(low, i, x.shape[axis], axis, op)
        return pick.scattered(low, name, x, wrapped(low, i, x.shape[axis]), v, axis)
    table = Layout.contiguous(op.outputs[0].shape)
    return _write(low, x, v, _HOW[name], _along(low, table, i, axis, op), op)


def _is_logical(x: Any, name: str) -> bool:
    return bool(x.dtype.kind == "b") and name != "scatter"


def index_put(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """A copy of x with v stored or added at NumPy's advanced indices."""
    x, v, *indices = handles
    axes = params["axes"]
    if not _usable(x, v) or not _indexable(indices) or x.dtype != v.dtype:
        return None
    walk = _walk(low, Layout.contiguous(op.outputs[0].shape), indices, axes, _place(axes), op)
    if len(v.shape) > len(walk[0].shape):  # leading axes of size 1
        v = low.reshape(v, v.shape[len(v.shape) - len(walk[0].shape) :])
    return _write(low, x, v, "add" if params["accumulate"] else "set", walk, op)


RULES = {
    "gather": gather,
    "index": index,
    "embedding": embedding,
    "index_put": index_put,
    **dict.fromkeys(_HOW, scatter),
}


# -- kernels ------------------------------------------------------------------------------------------------------------------------------
def _address(nest: Nest, walk: Indexed, table: Ints, indices: list[tuple[Buffer, Ints]], at: list[str]) -> str:
    """The position in the table for a point of the space."""
    total = nest.offset(at, table, walk.offset)
    for (buffer, strides), (_, offset, step, size) in zip(indices, walk.indices, strict=True):
        i = nest.load(buffer, nest.offset(at, strides, offset)).to(I64)
        if size:
            i = (i < 0).choose(i + size, i)
        total = nest.plus(total, (i * step).text if step != 1 else i.text)
    return total


def _write_gather(node: Node, target: Target) -> list[list[Kernel]]:
    """out[position] = table[address]."""
    walk: Indexed = node.params["walk"]
    count = len(walk.indices)
    table, out = node.operands[0], node.outputs[0]
    buffers = [x.buffer for x in node.accesses()[1 : 1 + count]]
    assert isinstance(table, Access)
    own = Layout.contiguous(walk.shape).strides
    sizes, (mine, base, *strides) = merge(walk.shape, [own, walk.strides, *(w[0] for w in walk.indices)])
    if not sizes:
        sizes, mine, base, strides = (1,), (0,), (0,), [(0,)] * count
    nest = Nest(target)
    indices = list(zip(buffers, strides))
    rows = all(s[-1] == 0 for s in strides) and base[-1] == 1
    shared = sizes[0] > 1 and (len(sizes) > 1 or not rows) and prod(sizes) >= LARGE
    lanes = target.lanes(max(4, out.dtype.itemsize))
    with nest.loops(sizes[:-1] if rows else sizes, shared) as at:
        full = [*at, "0"] if rows else at
        source, goal = _address(nest, walk, base, indices, full), nest.offset(full, mine)
        if rows:
            for k, n in nest.runs(sizes[-1], lanes):
                nest.store(out, nest.plus(goal, k), nest.load(table.buffer, nest.plus(source, k), n))
        else:
            nest.store(out, goal, nest.load(table.buffer, source))
    return [nest.finish([out], shared=sizes[0] if shared else 0)]


def write_scatter(node: Node, target: Target) -> list[Kernel]:
    """out[address] = how(out[address], v[position]); out holds the base already."""
    walk: Indexed = node.params["walk"]
    count = len(walk.indices)
    out, v = node.outputs[0], node.operands[1]
    assert isinstance(v, Access)
    first = 1 + isinstance(node.operands[0], Access)
    buffers = [x.buffer for x in node.accesses()[first : first + count]]
    sizes, (mine, base, *strides) = merge(walk.shape, [v.layout.strides, walk.strides, *(w[0] for w in walk.indices)])
    if not sizes:
        sizes, mine, base, strides = (1,), (0,), (0,), [(0,)] * count
    sizes, columns, shared = _cut(sizes, [mine, base, *strides])
    mine, base, *strides = columns
    nest = Nest(target)
    indices = list(zip(buffers, strides))
    rows = all(s[-1] == 0 for s in strides) and base[-1] == 1 and mine[-1] in (0, 1)
    lanes = target.lanes(max(4, out.dtype.itemsize))
    with nest.loops(sizes[:-1] if rows else sizes, shared) as at:
        full = [*at, "0"] if rows else at
        goal, source = _address(nest, walk, base, indices, full), nest.offset(full, mine, v.layout.offset)
        if rows:
            for k, n in nest.runs(sizes[-1], lanes):
                new = nest.load(v.buffer, nest.plus(source, k), n) if mine[-1] else nest.load(v.buffer, source).spread(n)
                _combine(nest, out, nest.plus(goal, k), new, node.params["how"])
        else:
            _combine(nest, out, goal, nest.load(v.buffer, source), node.params["how"])
    return nest.finish([out], shared=sizes[0] if shared else 0)


def _combine(nest: Nest, out: Buffer, position: str, new: V, how: str) -> None:
    if how != "set":
        new = expr.apply(how, [nest.load(out, position, new.lanes), new], {}, out.dtype)
    nest.store(out, position, new)


def _cut(sizes: Ints, columns: list[Ints]) -> tuple[Ints, list[Ints], bool]:
    """For a large scatter: an axis on which positions never meet (the table has a stride of its own there) moved outwards, for threads.

    The order in which any one element is written stays what it was.
    """
    base = columns[1]
    apart = [k for k, s in enumerate(base) if s]
    if prod(sizes) < LARGE or not apart:
        return sizes, columns, False
    k = max(apart, key=lambda i: (sizes[i] // (_BLOCK if i == len(sizes) - 1 else 1), -i))
    if k != len(sizes) - 1:
        order = [k, *(i for i in range(len(sizes)) if i != k)]
        return tuple(sizes[i] for i in order), [tuple(c[i] for i in order) for c in columns], sizes[k] > 1
    parts = next((p for p in (16, 12, 8, 6, 4, 3, 2) if sizes[k] % p == 0 and sizes[k] // p >= _BLOCK), 1)
    inner = sizes[k] // parts
    shape = (parts, *sizes[:-1], inner)
    return shape, [(c[k] * inner, *c[:-1], c[k]) for c in columns], parts > 1
