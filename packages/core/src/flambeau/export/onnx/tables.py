"""How reductions, products, convolutions, windows and normalisations are written, and the table of all converters."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from flambeau.export.onnx.attention import attention
from flambeau.export.onnx.builder import BOOL, INT64, Builder, Unsupported, known
from flambeau.export.onnx.movement import MOVEMENT
from flambeau.export.onnx.pointwise import POINTWISE, Converter, Maths
from flambeau.export.onnx.recurrent import lstm
from flambeau.export.program import Step
from flambeau.export.size import at
from flambeau.primitives.kernels.resample import table

_INT32 = np.dtype(np.int32)


def _reduction(op: str) -> Converter:
    def convert(b: Builder, step: Step, xs: list[str], n: int) -> Any:
        axes, keep = step.params["axis"], int(step.params["keepdim"])
        dtype = b.type(step.inputs[0]).dtype
        truth = dtype == BOOL
        x = b.cast(b.cast(xs[0], BOOL), _INT32) if step.outputs[0].dtype == BOOL else xs[0]
        if not axes:
            found = x
        else:
            found = b.node(op, x, b.ints(axes), keepdims=keep)
        return b.cast(found, BOOL) if step.outputs[0].dtype == BOOL or truth else found

    return convert


def _position(op: str) -> Converter:
    return lambda b, step, xs, n: b.node(op, xs[0], axis=step.params["axis"], keepdims=int(step.params["keepdim"]))


def _softmax(b: Builder, step: Step, xs: list[str], n: int) -> str:
    axes = step.params["axis"]
    log = step.prim.name == "log_softmax"
    if len(axes) == 1:
        return str(b.node("LogSoftmax" if log else "Softmax", xs[0], axis=axes[0]))
    m = Maths(b, step.outputs[0].dtype)
    shifted = m("Sub", xs[0], m("ReduceMax", xs[0], b.ints(axes), keepdims=1))
    total = m("ReduceSum", m("Exp", shifted), b.ints(axes), keepdims=1)
    return m("Sub", shifted, m("Log", total)) if log else m("Div", m("Exp", shifted), total)


def _standardize(b: Builder, step: Step, xs: list[str], n: int) -> list[str]:
    m = Maths(b, step.outputs[0].dtype)
    axes, x = b.ints(step.params["axis"]), xs[0]
    mean = m("ReduceMean", x, axes, keepdims=1)
    moved = m("Sub", x, mean) if step.params["center"] else x
    variance = m("ReduceMean", m("Mul", moved, moved), axes, keepdims=1)
    out = m("Div", moved, m("Sqrt", m("Add", variance, step.params["eps"])))
    return [out, mean if step.params["center"] else m("Mul", mean, 0), variance]


def _scale_shift(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    return b.node("Add", b.node("Mul", xs[0], xs[1]), xs[2])


def _product_sum(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    return b.node("ReduceSum", b.node("Mul", *xs), b.ints(step.params["axis"]), keepdims=1)


def _nll(b: Builder, step: Step, xs: list[str], n: int) -> str:
    """The element of each class, 0 where it is to be ignored."""
    m = Maths(b, step.outputs[0].dtype)
    target = b.cast(xs[1], INT64)
    ignored = b.node("Equal", target, b.number(step.params["ignore"], INT64))
    safe = b.node("Where", ignored, b.number(0, INT64), target)
    one = b.ints([1])
    picked = b.node("Squeeze", b.node("GatherElements", xs[0], b.node("Unsqueeze", safe, one), axis=1), one)
    return m("Where", ignored, 0, m("Neg", picked))


# -- windows --------------------------------------------------------------------------------------------------------------------------
def _pairs(padding: Any) -> list[tuple[int, int]]:
    return [p if isinstance(p, tuple) else (p, p) for p in padding]


def _both(pads: list[tuple[int, int]]) -> list[int]:
    return [lo for lo, _ in pads] + [hi for _, hi in pads]


def _conv(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    p = step.params
    pads = _pairs(p["padding"])
    x = xs[0]
    if any(v < 0 for v in _both(pads)):
        raise Unsupported("a negative padding")
    kernel = known(b.type(step.inputs[1]).shape[2:], "a kernel")
    window = {"kernel_shape": kernel, "strides": list(p["stride"]), "dilations": list(p["dilation"]), "group": p["groups"]}
    return b.node("Conv", x, xs[1], pads=_both(pads), **window)


def _conv_transpose(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    """What the sizes ask beyond the last window is padding of the output."""
    p, env = step.params, b.entry.symbols
    pads = _pairs(p["padding"])
    kernel = known(b.type(step.inputs[1]).shape[2:], "a kernel")
    sizes = [at(m, env) for m in b.type(step.inputs[0]).shape[2:]]
    wanted = [at(m, env) for m in p["input_shape"][2:]]
    rows = zip(sizes, wanted, kernel, p["stride"], p["dilation"], pads)
    extra = [want - ((m - 1) * s - lo - hi + d * (k - 1) + 1) for m, want, k, s, d, (lo, hi) in rows]
    if any(e < 0 or e >= max(s, d) for e, s, d in zip(extra, p["stride"], p["dilation"])):
        raise Unsupported("an output padding of a stride or more")
    window = {"kernel_shape": kernel, "strides": list(p["stride"]), "dilations": list(p["dilation"]), "group": p["groups"]}
    return b.node("ConvTranspose", *xs, pads=_both(pads), output_padding=extra, **window)


def _pool_window(b: Builder, step: Step) -> tuple[dict[str, Any], int]:
    """Attributes of a pooling without ceil mode (what hangs over is padding), and how many axes the batch lacks."""
    p = step.params
    shape, out = b.type(step.inputs[0]).shape, step.outputs[0].shape
    dims = len(p["kernel"])
    dilation = p.get("dilation", (1,) * dims)
    pads = _pairs(p["padding"])
    if p["ceil_mode"]:
        sizes = zip(known(shape[-dims:], "an image in ceil mode"), known(out[-dims:], "an image"), p["kernel"], p["stride"], dilation, pads)
        pads = [(lo, max((m - 1) * s + d * (k - 1) + 1 - size - lo, hi)) for size, m, k, s, d, (lo, hi) in sizes]
    window: dict[str, Any] = {"kernel_shape": list(p["kernel"]), "strides": list(p["stride"]), "pads": _both(pads)}
    if any(d != 1 for d in dilation):
        window["dilations"] = list(dilation)
    return window, 2 + dims - len(shape)


def _pooled(b: Builder, step: Step, x: str, op: str, **more: Any) -> str:
    window, lacking = _pool_window(b, step)
    axes = b.ints(range(lacking))
    x = b.node("Unsqueeze", x, axes) if lacking else x
    out = b.node(op, x, **window, **more)
    return str(b.node("Squeeze", out, axes) if lacking else out)


def _max_pool(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    if len(step.outputs) > 1 and n + 1 in b.used:
        raise Unsupported("the positions of the largest values")
    found = _pooled(b, step, xs[0], "MaxPool")
    return [found, ""] if len(step.outputs) > 1 else found


def _sum_pool(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    mean = _pooled(b, step, xs[0], "AveragePool", count_include_pad=1)
    return Maths(b, step.outputs[0].dtype)("Mul", mean, float(prod(step.params["kernel"])))


def _adaptive_max_pool(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    """The largest of each window of one axis, then of the next."""
    if n + 1 in b.used:
        raise Unsupported("the positions of the largest values")
    out = step.params["output_size"]
    shape = b.type(step.inputs[0]).shape
    lead = len(shape) - len(out)
    x = xs[0]
    for axis, (size, k) in enumerate(zip(known(shape[lead:], "an image"), out), lead):
        spans = [(i * size // k, -(-(i + 1) * size // k)) for i in range(k)]
        parts = [b.node("Slice", x, b.ints([lo]), b.ints([hi]), b.ints([axis])) for lo, hi in spans]
        best = [b.node("ReduceMax", part, b.ints([axis]), keepdims=1) for part in parts]
        x = best[0] if len(best) == 1 else b.node("Concat", *best, axis=axis)
    return [x, ""]


def _unfold(b: Builder, step: Step, xs: list[str], n: int) -> str:
    """Each spatial axis becomes two by a table of positions, then the kernel's axes come first."""
    p, shape = step.params, b.type(step.inputs[0]).shape
    dims = len(p["kernel"])
    lead = len(shape) - dims
    pads = [(0, 0)] * lead + _pairs(p["padding"])
    x = b.node("Pad", xs[0], b.ints(_both(pads))) if any(_both(pads)) else xs[0]
    out = known(step.outputs[0].shape[-dims:], "an image")
    for i, (k, s, d, m) in enumerate(zip(p["kernel"], p["stride"], p["dilation"], out)):
        x = b.node("Gather", x, b.constant(np.arange(k)[:, None] * d + np.arange(m) * s), axis=lead + 2 * i)
    return b.transpose(x, [*range(lead), *range(lead, lead + 2 * dims, 2), *range(lead + 1, lead + 2 * dims, 2)])


def _resample(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    """One input for each output: picked. Several: a product with the matrix of their weights."""
    p, t = step.params, b.type(step.inputs[0])
    axis, size = p["axis"], p["size"]
    (length,) = known([t.shape[axis]], "an axis to resize")
    known([size], "an axis to resize")
    dtype = t.dtype if t.dtype.kind == "f" and t.dtype.itemsize > 2 else np.dtype(np.float32)
    index, weight = table(length, size, p["method"], p["step"], p["align_corners"], dtype)
    if len(index) == 1:
        return b.node("Gather", xs[0], b.constant(index[0]), axis=axis)
    matrix = np.zeros((length, size), dtype)
    for i, w in zip(index, weight):
        np.add.at(matrix, (i, np.arange(size)), w)
    order = [i for i in range(len(t.shape)) if i != axis] + [axis]
    product = b.node("MatMul", b.transpose(xs[0], order), b.constant(matrix.astype(t.dtype)))
    return b.transpose(product, np.argsort(order).tolist())


def _sorted(b: Builder, step: Step, xs: list[str], n: int) -> Any:
    """sort, argsort and topk."""
    p = step.params
    axis = p["axis"]
    k = p["k"] if "k" in p else b.type(step.inputs[0]).shape[axis]
    values, places = b.node(
        "TopK", xs[0], b.vector([k]), outputs=2, axis=axis, largest=int(p["largest"] if "largest" in p else p["descending"]), sorted=1
    )
    return places if step.prim.name == "argsort" else [values, places]


CONVERTERS: dict[str, Converter] = {
    **POINTWISE,
    **MOVEMENT,
    "sum": _reduction("ReduceSum"),
    "prod": _reduction("ReduceProd"),
    "amax": _reduction("ReduceMax"),
    "amin": _reduction("ReduceMin"),
    "any": _reduction("ReduceMax"),
    "all": _reduction("ReduceMin"),
    "argmax": _position("ArgMax"),
    "argmin": _position("ArgMin"),
    "cumsum": lambda b, step, xs, n: b.node("CumSum", xs[0], b.number(step.params["axis"], INT64)),
    "matmul": lambda b, step, xs, n: b.node("MatMul", *xs),
    "attention": attention,
    "lstm": lstm,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "standardize": _standardize,
    "scale_shift": _scale_shift,
    "product_sum": _product_sum,
    "nll": _nll,
    "conv": _conv,
    "conv_input_grad": _conv_transpose,
    "max_pool": _max_pool,
    "max_pool_values": _max_pool,
    "sum_pool": _sum_pool,
    "adaptive_max_pool": _adaptive_max_pool,
    "unfold": _unfold,
    "resample": _resample,
    "sort": _sorted,
    "argsort": _sorted,
    "topk": _sorted,
}
