"""What primitives an exported program may have, what their parameters may be, and what must hold of operands for each.

A file is hostile until checked. Kernels and code generation trust what `flambeau.ops` has checked before them; for a program from a file
the same is checked here, from scratch: types of parameters before sizes are known (`check_step`), shapes when they are (`check_op`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from flambeau.base.errors import ShapeError, explain
from flambeau.base.shapes import broadcast, spreads
from flambeau.export.program import Block, Ref, Step
from flambeau.export.size import Size
from flambeau.graph.control import rows as _rows  # noqa: F401  (all rows stand in the table of primitives)
from flambeau.graph.ir import Op, Value
from flambeau.primitives import attention, fft, linalg, recurrent  # noqa: F401
from flambeau.primitives.conv import out_sizes
from flambeau.primitives.kernels.layout import work_dtype
from flambeau.primitives.prim import table

Test = Callable[[Any], bool]
Schema = dict[str, Test]


# -- types of parameters --------------------------------------------------------------------------------------------------------------
def _int(x: Any) -> bool:
    return (type(x) is int) or (isinstance(x, Size) and not x.real)


def _count(x: Any) -> bool:
    return type(x) is int and 0 <= x < 1 << 20


def _number(x: Any) -> bool:
    return type(x) in (bool, int, float, complex) or isinstance(x, Size)


def _real(x: Any) -> bool:
    return type(x) in (bool, int, float) or isinstance(x, Size)


def _bool(x: Any) -> bool:
    return type(x) is bool


def _text(x: Any) -> bool:
    return type(x) is str


def _block(x: Any) -> bool:
    return isinstance(x, Block)


def _tuple(test: Test) -> Test:
    return lambda x: type(x) is tuple and all(map(test, x))


def _or_none(test: Test) -> Test:
    return lambda x: x is None or test(x)


def _one_of(*names: str) -> Test:
    return lambda x: type(x) is str and x in names


def _dtype(x: Any) -> bool:
    return isinstance(x, np.dtype)


def _key(x: Any) -> bool:
    return x is None or x is Ellipsis or _int(x) or (isinstance(x, slice) and all(map(_or_none(_int), (x.start, x.stop, x.step))))


def _plain(x: Any) -> bool:
    return x is None or _real(x) or (type(x) is str and x.isidentifier()) or (type(x) is tuple and all(map(_plain, x)))


_INTS, _KEYS = _tuple(_int), _tuple(_key)
_PAIR = _tuple(_int)
_PAIRS = _tuple(lambda x: _int(x) or (_PAIR(x) and len(x) == 2))
_METHODS = _one_of("nearest", "nearest-exact", "linear", "cubic", "area", "linear-antialias", "cubic-antialias")
_REDUCE: Schema = {"axis": _INTS, "keepdim": _bool}
_AXIS: Schema = {"axis": _int}
_CONV: Schema = {"stride": _INTS, "padding": _PAIRS, "dilation": _INTS, "groups": _int}
_WINDOW: Schema = {"kernel": _INTS, "stride": _INTS, "padding": _PAIRS}
_STRIDED: Schema = {"strides": _INTS, "offset": _int, "x_strides": _INTS, "x_offset": _int}
_LIMITS: Schema = {"lo": _or_none(_real), "hi": _or_none(_real)}
_DIAGONAL: Schema = {"offset": _int, "dim1": _int, "dim2": _int}
_STANDARD: Schema = {"axis": _INTS, "eps": _real, "center": _bool}

SCHEMAS: dict[str, Schema] = {
    **{name: {} for name, prim in table.items() if prim.elementwise},
    **dict.fromkeys(("sum", "prod", "amax", "amin", "any", "all"), _REDUCE),
    **dict.fromkeys(("argmax", "argmin"), {"axis": _int, "keepdim": _bool}),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "mode"), _AXIS),
    **dict.fromkeys(("softmax", "softmax_grad", "log_softmax", "log_softmax_grad", "product_sum"), {"axis": _INTS}),
    **dict.fromkeys(("standardize", "standardize_grad"), _STANDARD),
    **dict.fromkeys(("copy", "pack", "matmul", "scale_shift", "view_as_real", "view_as_complex"), {}),
    **dict.fromkeys(("gather", "scatter", "scatter_add", "scatter_mul", "scatter_max", "scatter_min"), _AXIS),
    **dict.fromkeys(("lstm", "lstm_grad"), {}),
    "scan": {"body": _block, "carries": _count, "sequences": _count, "length": _int, "reverse": _bool},
    "cond": {"true": _block, "false": _block},
    "while_loop": {"test": _block, "body": _block, "carries": _count},
    "clamp": _LIMITS,
    "hardtanh": _LIMITS,
    "round": {"decimals": _int},
    "polygamma": {"n": _int},
    "cast": {"dtype": _dtype},
    "fill": {"value": _number},
    "full": {"shape": _INTS, "value": _number, "dtype": _dtype},
    "arange": {"start": _real, "stop": _real, "step": _real, "dtype": _dtype},
    "linspace": {"start": _real, "stop": _real, "steps": _int, "dtype": _dtype},
    "eye": {"n": _int, "m": _int, "dtype": _dtype},
    "reshape": {"shape": _INTS},
    "permute": {"axes": _INTS},
    "expand": {"shape": _INTS},
    "flip": {"axes": _INTS},
    "slice": {"key": _KEYS},
    "place": {"key": _KEYS, "shape": _INTS},
    "diagonal": _DIAGONAL,
    "place_diagonal": {"shape": _INTS, **_DIAGONAL},
    "take_strided": {"shape": _INTS, **_STRIDED},
    "put_strided": _STRIDED,
    "pad": {"widths": _tuple(lambda x: _PAIR(x) and len(x) == 2), "value": _number},
    "triangle": {"diagonal": _int, "upper": _bool},
    "cat": _AXIS,
    "split": {"sizes": _INTS, "axis": _int},
    "conv": _CONV,
    "conv_input_grad": {"input_shape": _INTS, **_CONV},
    "conv_weight_grad": {"weight_shape": _INTS, **_CONV},
    **dict.fromkeys(("max_pool", "max_pool_values"), {**_WINDOW, "dilation": _INTS, "ceil_mode": _bool}),
    "sum_pool": {**_WINDOW, "ceil_mode": _bool},
    "sum_pool_grad": {"input_shape": _INTS, **_WINDOW, "ceil_mode": _bool},
    "adaptive_max_pool": {"output_size": _INTS},
    "unpool": {"input_shape": _INTS},
    **dict.fromkeys(("attention", "attention_grad"), {"scale": _real, "causal": _bool}),
    "unfold": {**_WINDOW, "dilation": _INTS},
    "fold": {"output_size": _INTS, **_WINDOW, "dilation": _INTS},
    "resample": {"axis": _int, "size": _int, "method": _METHODS, "step": _or_none(_real), "align_corners": _bool},
    "nll": {"ignore": _int},
    "nll_grad": {"classes": _int, "ignore": _int},
    "embedding": {"padding_idx": _or_none(_int), "by_frequency": _bool},
    "in_range": {"op": _text, "low": _int, "high": _int, "expected": _text, "ignore": _or_none(_int)},
    "index": {"axes": _INTS},
    "index_put": {"axes": _INTS, "accumulate": _bool},
    "sort": {"axis": _int, "descending": _bool},
    "argsort": {"axis": _int, "descending": _bool},
    "topk": {"k": _int, "axis": _int, "largest": _bool, "in_order": _bool},
    "kthvalue": {"axis": _int, "k": _int},
    "searchsorted": {"right": _bool},
}
# Rows that NumPy computes, which checks its operands itself: their parameters may be any plain ones.
UNLOWERED = frozenset(
    ["fft", "rfft", "irfft", "weigh", "cholesky", "inv", "det", "slogdet", "solve", "solve_triangular", "qr", "svd", "svdvals", "eigh"]
    + ["eigvalsh", "pinv", "matrix_exp", "lu_factor", "permutation"]
)


def is_exportable(name: str) -> bool:
    """Whether programs may have the primitive."""
    return name in SCHEMAS or name in UNLOWERED


def check_step(step: Step) -> None:
    """Numbers and types of operands and parameters. Raises ShapeError."""
    prim = step.prim
    if not prim.variadic and len(step.inputs) != len(prim.inputs):
        raise _wrong(prim.name, f"{len(prim.inputs)} inputs", str(len(step.inputs)))
    refs = [x for x in step.inputs if isinstance(x, Ref)]
    if (prim.inputs and not refs) or (len(refs) < len(step.inputs) and not prim.elementwise):
        raise _wrong(prim.name, "tensors as inputs", str(step.inputs))
    schema = SCHEMAS.get(prim.name)
    for name, x in step.params.items():
        test = _plain if schema is None else schema.get(name)
        if test is None or not test(x):
            raise _wrong(prim.name, "parameters of its own kinds", f"{name}={x!r}")
    missing = set(schema or ()) - set(step.params) - {"decimals", "k"}
    if missing:
        raise _wrong(prim.name, f"the parameters {sorted(missing)}", "none")


def _wrong(name: str, expected: str, got: str) -> ShapeError:
    return ShapeError(explain(name, expected=expected, got=got))


# -- shapes ---------------------------------------------------------------------------------------------------------------------------
Facts = dict[str, Any]


def check_op(op: Op) -> None:
    """What the kernels and the code generator take for granted about the shapes of an operation (besides the row's own rule)."""
    xs = [x for x in op.inputs if isinstance(x, Value)]
    rule = _SHAPES.get(op.prim.name)
    rank = len(xs[0].shape) if xs else 0
    axis = op.params.get("axis")
    if axis is not None and op.prim.name not in UNLOWERED:
        axes = axis if type(axis) is tuple else (axis,)
        if any(not 0 <= a < rank for a in axes) or len(set(axes)) != len(axes):
            raise _wrong(op.prim.name, f"different axes below {rank}", str(axis))
    if rule is not None and not rule(xs, op.params, op.outputs):
        shapes = ", ".join(str(x.shape) for x in xs)
        raise _wrong(op.prim.name, "operands and parameters that fit", f"{shapes} with {op.params} for {[v.shape for v in op.outputs]}")


def _equal(xs: list[Value], p: Facts, out: Any) -> bool:
    return all(x.shape == xs[0].shape and x.dtype == xs[0].dtype for x in xs)


def _elements(xs: list[Value], p: Facts, out: Any) -> bool:
    return xs[0].size == out[0].size and all(n >= -1 for n in p["shape"])


def _permutes(xs: list[Value], p: Facts, out: Any) -> bool:
    return sorted(p["axes"]) == list(range(len(xs[0].shape)))


def _axes_of(xs: list[Value], p: Facts, out: Any) -> bool:
    return all(0 <= a < len(xs[0].shape) for a in p["axes"]) and len(set(p["axes"])) == len(p["axes"])


def _fits_key(shape: tuple[int, ...], key: tuple[Any, ...]) -> bool:
    """Whether a key of slices and ints is one for a shape: within its axes, and within each."""
    if key.count(Ellipsis) > 1:
        return False
    full = key if Ellipsis in key else (*key, Ellipsis)
    named = sum(k is not None and k is not Ellipsis for k in full)
    axis = 0
    for k in full:
        if k is Ellipsis:
            axis += len(shape) - named
        elif k is not None:
            if isinstance(k, slice):
                if k.step == 0:
                    return False
            elif not -shape[axis] <= k < shape[axis]:
                return False
            axis += 1
    return named <= len(shape)


def _placed(xs: list[Value], p: Facts, out: Any) -> bool:
    shape = p["shape"]
    return _fits_key(shape, p["key"]) and Ellipsis not in p["key"] and table["slice"].infer(out[0], key=p["key"])[0] == xs[0].shape


def _diagonal(shape: tuple[int, ...], p: Facts) -> bool:
    rank = len(shape)
    good = rank > 1 and 0 <= p["dim1"] < rank and 0 <= p["dim2"] < rank and p["dim1"] != p["dim2"]
    return good and -shape[p["dim1"]] <= p["offset"] <= shape[p["dim2"]]


def _strided(x: Value, shape: tuple[int, ...], p: Facts) -> bool:
    """Whether both geometries have strides for all axes and stay in memory no larger than x's own extent with its gaps."""
    if len(p["strides"]) != len(shape) or len(p["x_strides"]) != len(x.shape) or min(p["offset"], p["x_offset"]) < 0:
        return False
    if any(s < 0 for s in (*p["strides"], *p["x_strides"])):
        return False
    extents = [
        o + 1 + sum((n - 1) * s for n, s in zip(dims, strides)) if all(dims) else o + 1
        for dims, strides, o in ((x.shape, p["x_strides"], p["x_offset"]), (shape, p["strides"], p["offset"]))
    ]
    return max(extents) <= 4 * (x.size + prod(shape)) + 64


def _catenates(xs: list[Value], p: Facts, out: Any) -> bool:
    def rest(x: Value) -> tuple[int, ...]:
        return (*x.shape[: p["axis"]], *x.shape[p["axis"] + 1 :])

    return all(len(x.shape) == len(xs[0].shape) and rest(x) == rest(xs[0]) and x.dtype == xs[0].dtype for x in xs)


def _pads(xs: list[Value], p: Facts, out: Any) -> bool:
    return len(p["widths"]) == len(xs[0].shape) and all(
        n + min(lo, 0) + min(hi, 0) >= 0 and n + lo + hi >= 0 for n, (lo, hi) in zip(xs[0].shape, p["widths"])
    )


def _splits(xs: list[Value], p: Facts, out: Any) -> bool:
    return all(n >= 0 for n in p["sizes"]) and sum(p["sizes"]) == xs[0].shape[p["axis"]]


def _multiplies(xs: list[Value], p: Facts, out: Any) -> bool:
    return all(len(x.shape) >= 2 and x.dtype == xs[0].dtype for x in xs)


def _scales(xs: list[Value], p: Facts, out: Any) -> bool:
    return all(spreads(x.shape, xs[0].shape) and x.dtype == xs[0].dtype for x in xs)


def _attends(xs: list[Value], p: Facts, out: Any) -> bool:
    """Queries, keys and values of an attention, then perhaps a mask."""
    if len(xs) not in (3, 4) or any(len(x.shape) != len(xs[0].shape) or len(x.shape) < 3 or x.dtype != xs[0].dtype for x in xs[:3]):
        return False
    q, k, v = (x.shape for x in xs[:3])
    alike = q[:-3] == k[:-3] and k[:-1] == v[:-1] and q[-1] == k[-1] and k[-3] > 0 and q[-3] % k[-3] == 0
    return alike and all(spreads(mask.shape, (*q[:-1], k[-2])) for mask in xs[3:])


def _attends_back(xs: list[Value], p: Facts, out: Any) -> bool:
    """The same, with the logarithms of the sums, the result's gradient and what the softmax's derivative takes off between."""
    if len(xs) not in (6, 7) or not _attends([*xs[:3], *xs[6:]], p, out):
        return False
    rows = xs[0].shape[:-1]
    work = work_dtype(xs[0].dtype)
    return all(x.shape == rows and x.dtype == work for x in (xs[3], xs[5])) and xs[4].shape == (*rows, xs[2].shape[-1])


def _geometry(p: Facts, dims: int) -> bool:
    """Stride, padding and dilation of a window over some axes."""
    pads = [pad if type(pad) is tuple else (pad, pad) for pad in p["padding"]]
    steps = [*p["stride"], *p.get("dilation", ())]
    lengths = {len(p["stride"]), len(pads), len(p["dilation"] if "dilation" in p else pads)}
    return (
        dims in (1, 2, 3) and lengths == {dims} and all(1 <= s < 1 << 31 for s in steps) and all(abs(v) < 1 << 31 for q in pads for v in q)
    )


def _convolves(x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...], p: Facts) -> bool:
    """Shapes of input, weight and output of a convolution."""
    g = p["groups"]
    if len({len(x), len(w), len(y)}) != 1 or not _geometry(p, len(x) - 2) or g < 1 or min(w[2:]) < 1 or w[0] % g:
        return False
    sizes = out_sizes(x[2:], w[2:], p["stride"], [q if type(q) is tuple else (q, q) for q in p["padding"]], p["dilation"])
    return x[1] == w[1] * g and y[:2] == (x[0], w[0]) and all(0 <= n <= m for n, m in zip(y[2:], sizes))


def _windows(shape: tuple[int, ...], p: Facts) -> bool:
    dims = len(p["kernel"])
    return _geometry(p, dims) and dims <= len(shape) <= dims + 2 and all(1 <= k < 1 << 31 for k in p["kernel"])


def _pools(xs: list[Value], p: Facts, out: Any) -> bool:
    pads = [pad if type(pad) is tuple else (pad, pad) for pad in p["padding"]]
    return _windows(xs[0].shape, p) and all(0 <= v < k * max(p.get("dilation", (1,))) for q, k in zip(pads, p["kernel"]) for v in q)


def _folds(xs: list[Value], p: Facts, out: Any) -> bool:
    dims = len(p["kernel"])
    y = xs[0].shape
    if len(y) != 2 + 2 * dims or not _windows((*y[:2], *p["output_size"]), p):
        return False
    aval = Value(0, (*y[:2], *p["output_size"]), xs[0].dtype)
    return table["unfold"].infer(aval, **{k: v for k, v in p.items() if k != "output_size"})[0] == y


def _gathers(xs: list[Value], p: Facts, out: Any) -> bool:
    rest = [n <= m for d, (n, m) in enumerate(zip(xs[1].shape, xs[0].shape)) if d != p["axis"]]
    return len(xs[0].shape) == len(xs[1].shape) and all(rest) and xs[1].dtype == np.int64


def _scatters(xs: list[Value], p: Facts, out: Any) -> bool:
    return _gathers(xs, p, out) and xs[2].dtype == xs[0].dtype and xs[2].shape == xs[1].shape


def _indexes(x: Value, indices: list[Value], axes: tuple[int, ...]) -> bool:
    good = len(indices) == len(axes) > 0 and list(axes) == sorted(set(axes)) and 0 <= axes[0] and axes[-1] < len(x.shape)
    return good and all(i.dtype.kind in "iu" for i in indices)


def _puts(xs: list[Value], p: Facts, out: Any) -> bool:
    if not _indexes(xs[0], xs[2:], p["axes"]) or xs[0].dtype != xs[1].dtype:
        return False
    return spreads(xs[1].shape, table["index"].infer(xs[0], *xs[2:], axes=p["axes"])[0])


def _recurs(xs: list[Value], p: Facts, out: Any) -> bool:
    """Gates (T, N, 4 H), h and c (N, H) and the weight (4 H, H) of an LSTM; of its derivative the gradients too."""
    steps, rows, gates = xs[0 if len(xs) == 4 else 3].shape
    width = xs[-1].shape[-1]
    whole, one, weight = (steps, rows, width), (rows, width), (4 * width, width)
    wanted = [(steps, rows, gates), one, one, weight] if len(xs) == 4 else [whole, one, whole, (steps, rows, gates), one, weight]
    return gates == 4 * width and steps > 0 and [x.shape for x in xs] == wanted and all(x.dtype == xs[0].dtype for x in xs)


def _named_classes(xs: list[Value], p: Facts, out: Any) -> bool:
    x, t = xs
    return len(x.shape) >= 2 and t.shape == (x.shape[0], *x.shape[2:]) and t.dtype.kind in "iu"


_SHAPES: dict[str, Callable[[list[Value], Facts, Any], bool]] = {
    "attention": _attends,
    "attention_grad": _attends_back,
    "scan": lambda xs, p, out: p["carries"] + p["sequences"] <= min(len(xs), len(p["body"].inputs)) and p["length"] >= 0,
    "while_loop": lambda xs, p, out: p["carries"] <= len(xs),
    "reshape": _elements,
    "permute": _permutes,
    "flip": _axes_of,
    "expand": lambda xs, p, out: spreads(xs[0].shape, p["shape"]),
    "slice": lambda xs, p, out: _fits_key(xs[0].shape, p["key"]),
    "place": _placed,
    "diagonal": lambda xs, p, out: _diagonal(xs[0].shape, p),
    "place_diagonal": lambda xs, p, out: _diagonal(p["shape"], p) and table["diagonal"].infer(out[0], **_without(p))[0] == xs[0].shape,
    "take_strided": lambda xs, p, out: _strided(xs[0], p["shape"], p),
    "put_strided": lambda xs, p, out: _strided(xs[0], xs[1].shape, p) and xs[0].dtype == xs[1].dtype,
    "triangle": lambda xs, p, out: len(xs[0].shape) >= 2,
    "cat": _catenates,
    "pad": _pads,
    "split": _splits,
    "matmul": _multiplies,
    "scale_shift": _scales,
    "product_sum": _equal,
    "softmax_grad": _equal,
    "log_softmax_grad": _equal,
    "standardize_grad": lambda xs, p, out: _equal(xs[:2], p, out) and broadcast("v", xs[2].shape, xs[0].shape) == xs[0].shape,
    "conv": lambda xs, p, out: xs[0].dtype == xs[1].dtype and _convolves(xs[0].shape, xs[1].shape, out[0].shape, p),
    "conv_input_grad": lambda xs, p, out: xs[0].dtype == xs[1].dtype and _convolves(p["input_shape"], xs[1].shape, xs[0].shape, p),
    "conv_weight_grad": lambda xs, p, out: xs[0].dtype == xs[1].dtype and _convolves(xs[0].shape, p["weight_shape"], xs[1].shape, p),
    "max_pool": _pools,
    "max_pool_values": _pools,
    "sum_pool": _pools,
    "sum_pool_grad": lambda xs, p, out: (
        _pools(list(out), p, out)
        and table["sum_pool"].infer(out[0], **{k: v for k, v in p.items() if k != "input_shape"})[0] == xs[0].shape
    ),
    "adaptive_max_pool": lambda xs, p, out: 0 < len(p["output_size"]) < 4 and len(p["output_size"]) <= len(xs[0].shape),
    "unpool": lambda xs, p, out: xs[0].shape == xs[1].shape and len(p["input_shape"]) == len(xs[0].shape) and xs[1].dtype == np.int64,
    "unfold": lambda xs, p, out: _windows(xs[0].shape, p),
    "fold": _folds,
    "resample": lambda xs, p, out: p["size"] > 0 and xs[0].shape[p["axis"]] > 0,
    **dict.fromkeys(("lstm", "lstm_grad"), _recurs),
    "nll": _named_classes,
    "nll_grad": lambda xs, p, out: xs[0].shape == xs[1].shape and len(xs[1].shape) >= 1 and p["classes"] >= 0 and xs[1].dtype.kind in "iu",
    "embedding": lambda xs, p, out: xs[1].dtype.kind in "iu" and len(xs[0].shape) >= 1,
    "in_range": lambda xs, p, out: xs[0].dtype.kind in "iu",
    "gather": _gathers,
    **dict.fromkeys(("scatter", "scatter_add", "scatter_mul", "scatter_max", "scatter_min"), _scatters),
    "index": lambda xs, p, out: _indexes(xs[0], xs[1:], p["axes"]),
    "index_put": _puts,
    "arange": lambda xs, p, out: p["step"] != 0,
    "topk": lambda xs, p, out: 0 <= p["k"] <= xs[0].shape[p["axis"]],
    "kthvalue": lambda xs, p, out: 1 <= p["k"] <= xs[0].shape[p["axis"]],
}


def _without(p: Facts) -> Facts:
    return {k: v for k, v in p.items() if k != "shape"}
