"""Rules that run a primitive on a batch of examples at once: what `vmap` needs, the `batch` of a row.

A rule is a function of one `Batch`: the primitive, its parameters, and its inputs, each with the position of its batch axis or None where
all examples share it. It returns the output (or a tuple of them) and the position of the batch axis in it:

    batch=lambda b: (b(b.front(0), widths=((0, 0), *b.params["widths"])), 0)

Sizes and axes in the parameters count without the batch axis; a rule that moves that axis to the front adds 1 to each axis.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Any

from flambeau.base.errors import GradientError, explain
from flambeau.primitives.prim import Prim, table
from flambeau.primitives.value import Value

BatchRule = Callable[["Batch"], tuple[Any, int]]


def rule_of(prim: Prim) -> BatchRule | None:
    """The rule of a row; a row may name a function of this module in place of giving it."""
    found: BatchRule | None = globals()[prim.batch] if isinstance(prim.batch, str) else prim.batch
    return found


class Batch:
    """A call of a primitive on `size` examples. Calling it binds the primitive, with some parameters changed."""

    __slots__ = ("dims", "inputs", "params", "prim", "size")

    def __init__(self, prim: Prim, size: int, inputs: tuple[Any, ...], dims: tuple[int | None, ...], params: dict[str, Any]) -> None:
        self.prim, self.size, self.inputs, self.dims, self.params = prim, size, inputs, dims, params

    def __call__(self, *inputs: Any, **changed: Any) -> Any:
        return self.prim(*inputs, **{**self.params, **changed})

    def shape(self, i: int) -> tuple[int, ...]:
        """The shape of an example of input i."""
        shape, dim = self.inputs[i]._a.shape, self.dims[i]
        return shape if dim is None else shape[:dim] + shape[dim + 1 :]

    def moved(self, i: int) -> Any:
        """Input i with its batch axis first, if it has one."""
        dim = self.dims[i]
        return self.inputs[i] if dim is None else move(self.inputs[i], dim, 0)

    def front(self, i: int) -> Any:
        """Input i with a batch axis first; one that all examples share is repeated (as a view)."""
        if self.dims[i] is not None:
            return self.moved(i)
        x = self.inputs[i]
        return table["expand"](x, shape=(self.size, *x._a.shape))

    def fronts(self) -> list[Any]:
        """All inputs with a batch axis first."""
        return [self.front(i) for i in range(len(self.inputs))]


def unbatched_target() -> GradientError:
    """The error of writing a batched value into memory that all examples share."""
    hint = "make the target from a batched tensor (x.new_zeros(...), flambeau.zeros_like(x)), or the operation that is not in place"
    got = "a value that differs between examples, for a tensor that they share"
    return GradientError(explain("vmap of an in-place write", expected="a target with memory for each example", got=got, hint=hint))


def move(x: Any, source: int, target: int) -> Any:
    """Move one axis; a view."""
    if source == target:
        return x
    axes = [i for i in range(x._a.ndim) if i != source]
    axes.insert(target, source)
    return table["permute"](x, axes=tuple(axes))


def lift(x: Any, ndim: int) -> Any:
    """Give x (batch, *shape) `ndim` axes behind the first, by sizes of 1 in front of the shape."""
    shape = x._a.shape
    if len(shape) == ndim + 1:
        return x
    return table["reshape"](x, shape=(shape[0], *(1,) * (ndim + 1 - len(shape)), *shape[1:]))


def elementwise(b: Batch) -> tuple[Any, int]:
    """Operations on elements: the batch axes meet, all others broadcast as ever. Numbers stay numbers."""
    tensors = [i for i, x in enumerate(b.inputs) if isinstance(x, Value)]
    batched = [i for i in tensors if b.dims[i] is not None]
    first = batched[0]
    dim, ndim = b.dims[first], b.inputs[first]._a.ndim
    if all((b.dims[i], b.inputs[i]._a.ndim) == (dim, ndim) if i in batched else b.inputs[i]._a.ndim == 0 for i in tensors):
        assert dim is not None
        return b(*b.inputs), dim
    rank = max(len(b.shape(i)) for i in tensors)
    return b(*[lift(b.moved(i), rank) if i in batched else x for i, x in enumerate(b.inputs)]), 0


def shifted(*names: str) -> BatchRule:
    """The rule for primitives whose parameters `names` hold axes (an int or a tuple of them): batch first, axes one further."""

    def rule(b: Batch) -> tuple[Any, int]:
        return b(*b.fronts(), **{name: _next_axis(b.params[name]) for name in names}), 0

    return rule


def _next_axis(axis: Any) -> Any:
    """An axis (or several) with the batch in front; one that is counted from the end stays."""
    if isinstance(axis, int):
        return axis + 1 if axis >= 0 else axis
    return tuple([a + 1 if a >= 0 else a for a in axis])


def sized(name: str) -> BatchRule:
    """The rule for primitives with one input whose parameter `name` is the shape of the output."""
    return lambda b: (b(b.front(0), **{name: (b.size, *b.params[name])}), 0)


def leading(b: Batch) -> tuple[Any, int]:
    """The rule for primitives that work on the last axes and broadcast those in front."""
    rank = max(len(b.shape(i)) for i in range(len(b.inputs)))
    return b(*[lift(b.front(i), rank) for i in range(len(b.inputs))]), 0


def expand(b: Batch) -> tuple[Any, int]:
    """`expand`: the new axes come behind the batch axis."""
    shape = b.params["shape"]
    return b(lift(b.front(0), len(shape)), shape=(b.size, *shape)), 0


def folded(*sizes: str) -> BatchRule:
    """The rule for primitives whose first axis is a batch already (N, ...): (B, N, ...) goes in as (B * N, ...). `sizes` names the
    parameters that are shapes beginning with N."""

    def rule(b: Batch) -> tuple[Any, int]:
        changed = {name: (b.size * b.params[name][0], *b.params[name][1:]) for name in sizes}
        out = b(*[merge(b.front(i)) for i in range(len(b.inputs))], **changed)
        return (tuple(split(o, b.size) for o in out) if type(out) is tuple else split(out, b.size)), 0

    return rule


def merge(x: Any, axis: int = 0) -> Any:
    """One axis of two: (..., B, N, ...) as (..., B * N, ...)."""
    shape = x._a.shape
    return table["reshape"](x, shape=(*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def split(x: Any, size: int, axis: int = 0) -> Any:
    """Two axes of one: (..., B * N, ...) as (..., B, N, ...)."""
    shape = x._a.shape
    return table["reshape"](x, shape=(*shape[:axis], size, shape[axis] // size, *shape[axis + 1 :]))


def looped(b: Batch) -> tuple[Any, int]:
    """The rule for primitives without a vectorised form: example by example, stacked."""
    parts = [b(*[_pick(x, dim, k) for x, dim in zip(b.inputs, b.dims, strict=True)]) for k in range(b.size)]
    if type(parts[0]) is tuple:
        return tuple(_stack(column) for column in zip(*parts, strict=True)), 0
    return _stack(parts), 0


def _pick(x: Any, dim: int | None, k: int) -> Any:
    return x if dim is None else table["slice"](x, key=(*(slice(None),) * dim, k))


def _stack(parts: Any) -> Any:
    return table["cat"](*[table["reshape"](p, shape=(1, *p._a.shape)) for p in parts], axis=0)


# -- strides: the memory of the batch is that of the examples, one behind the other -------------------------------------------------------
def as_strided(b: Batch) -> tuple[Any, int]:
    """The same view of each example's memory: one more axis, whose stride is that of the batch."""
    x, dim = b.inputs[0], b.dims[0]
    assert dim is not None
    step = x._a.strides[dim] // x._a.itemsize
    p = b.params
    changed = {"shape": (b.size, *p["shape"]), "strides": (step, *p["strides"])}
    rest = {"x_strides": (step, *p["x_strides"]), "x_offset": p["x_offset"], "offset": p["offset"]}
    return b(move(x, dim, 0), **changed, **rest), 0


def laid_out(shape_name: str | None) -> BatchRule:
    """The rule for the strided primitives that make their memory themselves; `shape_name` is the parameter with the shape of the result."""

    def rule(b: Batch) -> tuple[Any, int]:
        p = b.params
        inputs = b.fronts()
        x_shape = p["x_shape"] if shape_name == "x_shape" else b.shape(0)
        shape = p["shape"] if shape_name == "shape" else b.shape(len(inputs) - 1)
        strides, x_strides, offset, x_offset = _compact(shape, p["strides"], p["offset"], x_shape, p["x_strides"], p["x_offset"])
        step = max(_extent(shape, strides, offset), _extent(x_shape, x_strides, x_offset))
        changed: dict[str, Any] = {"strides": (step, *strides), "x_strides": (step, *x_strides), "offset": offset, "x_offset": x_offset}
        if shape_name is not None:
            changed[shape_name] = (b.size, *p[shape_name])
        return b(*inputs, **changed), 0

    return rule


def _compact(shape: Any, strides: Any, offset: int, x_shape: Any, x_strides: Any, x_offset: int) -> tuple[Any, Any, int, int]:
    """Two layouts in one memory, in the smallest memory: from its first place on, without steps that neither makes.

    The memory of one example among many is full of holes where the others are.
    """
    step = abs(offset - x_offset)
    for n, s in (*zip(shape, strides, strict=True), *zip(x_shape, x_strides, strict=True)):
        step = gcd(step, s if n > 1 else 0)
    step, first = step or 1, min(offset, x_offset)
    return tuple(s // step for s in strides), tuple(s // step for s in x_strides), (offset - first) // step, (x_offset - first) // step


def _extent(shape: Any, strides: Any, offset: int) -> int:
    return offset + 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) if all(shape) else offset + 1


# -- index tensors ------------------------------------------------------------------------------------------------------------------------
def _indices(b: Batch, start: int) -> tuple[list[Any], tuple[int, ...], int]:
    """The index tensors of a batched x (from input `start` on), their axes, and the number of axes that they become.

    If an index is batched, a further one counts the examples.
    """
    axes = _next_axis(b.params["axes"])
    rank = max(len(b.shape(i)) for i in range(start, len(b.inputs)))
    if all(dim is None for dim in b.dims[start:]):
        return list(b.inputs[start:]), axes, rank
    like = b.inputs[next(i for i in range(start, len(b.inputs)) if b.dims[i] is not None)]
    indices = [b.inputs[i] if b.dims[i] is None else lift(b.moved(i), rank) for i in range(start, len(b.inputs))]
    counter = table["reshape"](_count(like, b.size), shape=(b.size, *(1,) * rank))
    return [counter, *indices], (0, *axes), rank


def _count(like: Any, n: int) -> Any:
    """0 ... n - 1 where `like` lives."""
    from flambeau.device.base import executors
    from flambeau.primitives.source import source

    return source(table["arange"], executors[type(like._a)].device_of(like._a), start=0, stop=n, step=1, dtype=like._a.dtype)


def _together(axes: tuple[int, ...]) -> bool:
    return axes == tuple(range(axes[0], axes[0] + len(axes)))


def _batch_axis(axes: tuple[int, ...], rank: int, counted: bool) -> int:
    """Where the batch axis of the result of `index` is: index axes that are not together come first."""
    return 0 if counted or _together(axes) else rank


def index(b: Batch) -> tuple[Any, int]:
    """x[i, j, ...]: a batched index brings a counter of the examples along."""
    counted = any(dim is not None for dim in b.dims[1:])
    if counted and b.dims[0] is None:
        return _index_shared(b)
    indices, axes, rank = _indices(b, 1)
    out = b(b.front(0), *indices, axes=axes)
    if not counted or not _together(b.params["axes"]) or _together(axes):
        return out, _batch_axis(axes, rank, counted)
    return _index_axes_to(out, rank, b.params["axes"][0]), 0  # NumPy has put the index axes in front


def _index_shared(b: Batch) -> tuple[Any, int]:
    """All examples read one x: the batch is one more axis of the indices."""
    rank = max(len(b.shape(i)) for i in range(1, len(b.inputs)))
    indices = [b.inputs[i] if b.dims[i] is None else lift(b.moved(i), rank) for i in range(1, len(b.inputs))]
    axes = b.params["axes"]
    return b(b.inputs[0], *indices), axes[0] if _together(axes) else 0


def _index_axes_to(x: Any, rank: int, at: int) -> Any:
    """(B, *index axes, *others) with the index axes behind `at` of the others."""
    order = (0, *range(rank + 1, rank + 1 + at), *range(1, rank + 1), *range(rank + 1 + at, x._a.ndim))
    return table["permute"](x, axes=order)


def index_put(b: Batch) -> tuple[Any, int]:
    """x with values put at x[i, j, ...]: the values are laid out as `index` gives its result."""
    counted = any(dim is not None for dim in b.dims[2:])
    indices, axes, rank = _indices(b, 2)
    x, v = b.front(0), b.inputs[1]
    taken = b.params["axes"]
    full = x._a.ndim - 1 - len(taken) + rank  # axes of an example's result
    if b.dims[1] is None and not counted and _together(axes):
        return b(x, v, *indices, axes=axes), 0
    v = lift(b.front(1), full)
    if counted and _together(taken) and not _together(axes):
        at = taken[0]
        v = table["permute"](v, axes=(0, *range(at + 1, at + 1 + rank), *range(1, at + 1), *range(at + 1 + rank, full + 1)))
    return b(x, move(v, 0, _batch_axis(axes, rank, counted)), *indices, axes=axes), 0


# -- matrix products ----------------------------------------------------------------------------------------------------------------------
def matmul(b: Batch) -> tuple[Any, int]:
    """Batches of matrices; one side shared and of two axes becomes one large product."""
    x, y = b.inputs
    (dx, dy), (nx, ny) = b.dims, (len(b.shape(0)), len(b.shape(1)))
    if dy is None and ny == 2 and nx == 2:
        return split(b(merge(b.moved(0)), y), b.size), 0
    if dx is None and dy is not None and nx == 2 and ny == 2:
        k, m = b.shape(1)
        wide = table["reshape"](move(y, dy, 1), shape=(k, b.size * m))
        return split(b(x, wide), b.size, 1), 1
    rank = max(nx, ny)
    sides = [b.inputs[i] if b.dims[i] is None else lift(b.moved(i), rank) for i in (0, 1)]
    return b(*sides), 0


def searchsorted(b: Batch) -> tuple[Any, int]:
    """One sorted vector for all takes any x; a vector per example wants x as rows."""
    if b.dims[0] is None and len(b.shape(0)) == 1:
        return b(b.inputs[0], b.moved(1)), 0
    if len(b.shape(0)) > 1:
        return b(*b.fronts()), 0
    x = b.front(1)
    rows = table["reshape"](x, shape=(b.size, x._a.size // max(b.size, 1)))
    return table["reshape"](b(b.front(0), rows), shape=x._a.shape), 0


def embedding(b: Batch) -> tuple[Any, int]:
    """Rows of one table for all examples; a table for each, or gradients divided by counts in each, take a loop."""
    dim = b.dims[1]
    if b.dims[0] is not None or dim is None or b.params["by_frequency"]:
        return looped(b)
    return b(*b.inputs), dim
