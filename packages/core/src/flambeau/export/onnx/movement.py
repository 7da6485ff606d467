"""How primitives that move elements are written, and those that pick them by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.export.onnx.builder import Builder, Unsupported, known
from flambeau.export.onnx.pointwise import Converter
from flambeau.export.program import Dim, Step, Type
from flambeau.primitives.prim import lookup

_FAR = (1 << 63) - 1  # an end beyond all ends


def _rank(b: Builder, step: Step, i: int = 0) -> int:
    return len(b.type(step.inputs[i]).shape)


def _reshape(b: Builder, step: Step, xs: list[str], n: int) -> str:
    return b.reshape(xs[0], step.outputs[0].shape)


def _expand(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    return b.node("Expand", xs[0], b.vector(step.outputs[0].shape))


def _flip(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    axes = step.params["axes"]
    k = len(axes)
    return b.node("Slice", xs[0], b.ints([-1] * k), b.ints([-_FAR] * k), b.ints(axes), b.ints([-1] * k)) if k else xs[0]


def _slice(b: Builder, step: Step, xs: list[str], n: int) -> str:
    """Slices and single elements first, then axes dropped and added."""
    key = step.params["key"]
    full = key if Ellipsis in key else (*key, Ellipsis)
    rank = _rank(b, step)
    rows: list[tuple[Dim, Dim, int, Dim]] = []  # start, end, axis, step
    dropped: list[int] = []
    added: list[int] = []
    axis = out = 0
    for k in full:
        if k is Ellipsis:
            rest = rank - sum(j is not None and j is not Ellipsis for j in key)
            axis, out = axis + rest, out + rest
        elif k is None:
            added.append(out)
            out += 1
        elif isinstance(k, slice):
            if k != slice(None):
                stride = 1 if k.step is None else k.step
                ahead = not isinstance(stride, int) or stride > 0
                start = (0 if ahead else _FAR) if k.start is None else k.start
                rows.append((start, (_FAR if ahead else -_FAR) if k.stop is None else k.stop, axis, stride))
            axis, out = axis + 1, out + 1
        else:
            rows.append((k, _FAR if k == -1 else _after(k), axis, 1))
            dropped.append(axis)
            axis += 1
    name = xs[0]
    if rows:
        starts, ends, axes, steps = zip(*rows)
        name = b.node("Slice", name, b.vector(starts), b.vector(ends), b.ints(axes), b.vector(steps))
    if dropped:
        name = b.node("Squeeze", name, b.ints(dropped))
    return str(b.node("Unsqueeze", name, b.ints(added))) if added else name


def _after(k: Dim) -> Dim:
    if isinstance(k, int):
        return k + 1
    terms = dict(k.terms)
    terms[()] = terms.get((), 0) + 1
    return type(k)(tuple(terms.items()))


def _diagonal(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    """The two axes last and joined, then positions picked."""
    shape = b.type(step.inputs[0]).shape
    d1, d2, offset = (step.params[k] for k in ("dim1", "dim2", "offset"))
    rows, columns = known((shape[d1], shape[d2]), "a matrix")
    rest = [i for i in range(len(shape)) if i not in (d1, d2)]
    flat = b.reshape(b.transpose(xs[0], [*rest, d1, d2]), [*(shape[i] for i in rest), rows * columns])
    (length,) = known(step.outputs[0].shape[-1:], "a diagonal")
    positions = [(i + max(-offset, 0)) * columns + i + max(offset, 0) for i in range(length)]
    return b.node("Gather", flat, b.ints(positions), axis=len(rest))


def _pad(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    """Negative widths crop."""
    widths, shape = step.params["widths"], b.type(step.inputs[0]).shape
    known([w for pair in widths for w in pair], "a padding")
    crops = [(axis, max(-lo, 0), max(-hi, 0)) for axis, (lo, hi) in enumerate(widths) if lo < 0 or hi < 0]
    name = xs[0]
    if crops:
        ends = [-hi if hi else _FAR for _, _, hi in crops]
        name = b.node("Slice", name, b.ints([lo for _, lo, _ in crops]), b.ints(ends), b.ints([axis for axis, _, _ in crops]))
    pads = [max(lo, 0) for lo, _ in widths] + [max(hi, 0) for _, hi in widths]
    if not any(pads) or not shape:
        return name
    return b.node("Pad", name, b.ints(pads), b.number(step.params["value"], step.outputs[0].dtype))


def _split(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    sizes = step.params["sizes"]
    if len(sizes) == 1:
        return [xs[0]]
    return b.node("Split", xs[0], b.vector(sizes), outputs=len(sizes), axis=step.params["axis"])


def _positions(x: Type, window: Any, p: dict[str, Any]) -> np.ndarray:
    """For each element of a strided window, its place among the elements of x in row-major order."""
    shape = known(x.shape, "memory with a size")
    known([*window, *p["strides"], *p["x_strides"], p["offset"], p["x_offset"]], "a window with a size")
    numbered = np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)
    return lookup("take_strided").on_numpy(numbered, shape=tuple(window), **{k: v for k, v in p.items() if k != "shape"})


def _take_strided(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    found = _positions(b.type(step.inputs[0]), step.params["shape"], step.params)
    return b.node("Gather", b.reshape(xs[0], [-1]), b.constant(found), axis=0)


def _put_strided(b: Builder, step: Step, xs: list[str], n: int) -> str:
    x, v = (b.type(r) for r in step.inputs)
    found = _positions(x, v.shape, step.params).reshape(-1)
    flat = b.node("ScatterElements", b.reshape(xs[0], [-1]), b.constant(found), b.reshape(xs[1], [-1]), axis=0)
    return b.reshape(flat, x.shape)


def _source(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    """Ranges and the like, computed now; a range may also depend on sizes."""
    p = step.params
    changing = [k for k, v in p.items() if not isinstance(v, (int, float, np.dtype)) and k != "shape"]
    if step.prim.name == "full":
        return b.node("Expand", b.number(p["value"], p["dtype"]), b.vector(p["shape"]))
    if not changing:
        return b.constant(step.prim.on_numpy(**p))
    if step.prim.name != "arange" or p["dtype"].kind not in "if":
        raise Unsupported("a size that changes")
    numbers = [b.number(p[k], p["dtype"]) for k in ("start", "stop", "step")]
    return b.node("Range", *numbers)


# -- by index -------------------------------------------------------------------------------------------------------------------------
def _embedding(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    return b.node("Gather", *xs, axis=0)


def _gather(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    x, i = (b.type(r) for r in step.inputs)
    axis = step.params["axis"]
    short = [d for d in range(len(x.shape)) if d != axis and x.shape[d] != i.shape[d]]
    name = xs[0]
    if short:
        ends = b.vector([i.shape[d] for d in short])
        name = b.node("Slice", name, b.ints([0] * len(short)), ends, b.ints(short))
    return b.node("GatherElements", name, xs[1], axis=axis)


def _scatter(reduction: str) -> Converter:
    return lambda b, step, xs, n: b.node("ScatterElements", *xs, axis=step.params["axis"], reduction=reduction)


def _common(b: Builder, step: Step, first: int) -> list[Dim]:
    """The shape to which the index tensors broadcast."""
    shapes = [b.type(r).shape for r in step.inputs[first:]]
    rank = max(map(len, shapes))
    padded = [(*(1,) * (rank - len(s)), *s) for s in shapes]
    return [next((s[d] for s in padded if s[d] != 1), 1) for d in range(rank)]


def _stacked(b: Builder, step: Step, xs: list[str], first: int) -> str:
    """Index tensors, broadcast together, as one tensor of positions along its last axis."""
    common = _common(b, step, first)
    columns = []
    for r, name in zip(step.inputs[first:], xs[first:]):
        position = b.cast(name, np.dtype(np.int64))
        if list(b.type(r).shape) != common:
            position = b.node("Expand", position, b.vector(common))
        columns.append(b.node("Unsqueeze", position, b.ints([len(common)])))
    return columns[0] if len(columns) == 1 else str(b.node("Concat", *columns, axis=len(common)))


def _place_of_indexed(axes: tuple[int, ...]) -> int:
    """Where the indexed axes stand in the result: in place of axes side by side, else first."""
    return axes[0] if axes == tuple(range(axes[0], axes[0] + len(axes))) else 0


def _index(b: Builder, step: Step, xs: list[str], n: int) -> str:
    axes = step.params["axes"]
    if len(axes) == 1:
        return str(b.node("Gather", *xs, axis=axes[0]))
    rest = [i for i in range(_rank(b, step)) if i not in axes]
    picked = b.node("GatherND", b.transpose(xs[0], [*axes, *rest]), _stacked(b, step, xs, 1))
    k, at = len(step.outputs[0].shape) - len(rest), _place_of_indexed(axes)
    return b.transpose(picked, [*range(k, k + at), *range(k), *range(k + at, k + len(rest))])


def _index_put(b: Builder, step: Step, xs: list[str], n: int) -> str:
    """Indexed axes first, in the tensor and in the values; afterwards back to their places."""
    axes, x = step.params["axes"], b.type(step.inputs[0])
    rest = [i for i in range(len(x.shape)) if i not in axes]
    common, at = _common(b, step, 2), _place_of_indexed(axes)
    k = len(common)
    shape = [*(x.shape[i] for i in rest[:at]), *common, *(x.shape[i] for i in rest[at:])]
    values = b.node("Expand", xs[1], b.vector(shape)) if shape else xs[1]
    values = b.transpose(values, [*range(at, at + k), *range(at), *range(at + k, len(shape))])
    order = [*axes, *rest]
    reduction = "add" if step.params["accumulate"] else "none"
    put = b.node("ScatterND", b.transpose(xs[0], order), _stacked(b, step, xs, 2), values, reduction=reduction)
    return b.transpose(put, np.argsort(order).tolist())


MOVEMENT: dict[str, Converter] = {
    "reshape": _reshape,
    "permute": lambda b, step, xs, n: b.transpose(xs[0], step.params["axes"]),
    "expand": _expand,
    "flip": _flip,
    "slice": _slice,
    "diagonal": _diagonal,
    "pad": _pad,
    "triangle": lambda b, step, xs, n: b.node("Trilu", xs[0], b.ints([step.params["diagonal"]]), upper=int(step.params["upper"])),
    "cat": lambda b, step, xs, n: b.node("Concat", *xs, axis=step.params["axis"]),
    "split": _split,
    "take_strided": _take_strided,
    "put_strided": _put_strided,
    "full": _source,
    "arange": _source,
    "linspace": _source,
    "eye": _source,
    "embedding": _embedding,
    "gather": _gather,
    "scatter": _scatter("none"),
    "scatter_add": _scatter("add"),
    "scatter_mul": _scatter("mul"),
    "scatter_max": _scatter("max"),
    "scatter_min": _scatter("min"),
    "index": _index,
    "index_put": _index_put,
}
