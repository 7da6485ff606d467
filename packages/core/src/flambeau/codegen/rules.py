"""How rows that are not elementwise are lowered: views, reductions, copies into regions, sources, powers, products.

A rule gets the lowering, what stands for the operands, the parameters and the operation, and gives what stands for the results; None
means that there is no code for this case.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.codegen import attention, checks, control, ctc, expr, gather, order, pick, random, recurrent, scan
from flambeau.codegen.layout import Ints, Layout
from flambeau.codegen.matmul import is_thin, readable
from flambeau.codegen.nodes import Access, Node, Uniform
from flambeau.codegen.product import plain
from flambeau.graph.ir import Op, Value

if TYPE_CHECKING:
    from flambeau.codegen.lower import Lowering

Handle = Access | Uniform
Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}


def _view(how: Callable[..., Layout]) -> Rule:
    def rule(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
        x = handles[0]
        if isinstance(x, Uniform):
            return Uniform(x.number, x.dtype, op.outputs[0].shape)
        return Access(x.buffer, how(x.layout, **params))

    return rule


def _reduction(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    if not expr.reduces(op.prim.name, handles[0].dtype) and not (op.prim.name in ("any", "all") and handles[0].dtype in expr.DTYPES):
        return None
    return low.reduce(op.prim.name, handles[0], params["axis"], params["keepdim"])


def _pieces(low: Lowering, parts: list[tuple[Handle, Layout]], v: Value) -> Any:
    """A new buffer put together from copies."""
    if not expr.movable(v.dtype):
        return None
    operands = [x if isinstance(x, Access) else Uniform(x.number, x.dtype, x.shape) for x, _ in parts]
    node = Node("pieces", "pieces", tuple(operands), (), regions=tuple(layout for _, layout in parts))
    return low.node(node, v.shape, v.dtype)


def _cat(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    full = Layout.contiguous(op.outputs[0].shape)
    if any(h.dtype != op.outputs[0].dtype for h in handles):
        return None
    parts, start, axis = [], 0, params["axis"] % len(full.shape)
    for h in handles:
        stop = start + h.shape[axis]
        parts.append((h, full.slice((slice(None),) * axis + (slice(start, stop),))))
        start = stop
    return _pieces(low, parts, op.outputs[0])


def _within(number: Any, x: Handle, region: Layout, low: Lowering, v: Value) -> Any:
    return _pieces(low, [(Uniform(number, v.dtype, v.shape), Layout.contiguous(v.shape)), (x, region)], v)


def _pad(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    x, widths, v = handles[0], params["widths"], op.outputs[0]
    inner = tuple(slice(max(lo, 0), n - max(hi, 0)) for n, (lo, hi) in zip(v.shape, widths))
    source = tuple(slice(max(-lo, 0), n - max(-hi, 0)) for n, (lo, hi) in zip(x.shape, widths))
    region = Layout.contiguous(v.shape).slice(inner)
    if 0 in region.shape:
        return Uniform(v.dtype.type(params["value"]), v.dtype, v.shape)
    cut = Access(x.buffer, x.layout.slice(source)) if isinstance(x, Access) else Uniform(x.number, x.dtype, region.shape)
    return _within(params["value"], cut, region, low, v)


def _place(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    v = op.outputs[0]
    return _within(0, handles[0], Layout.contiguous(v.shape).slice(params["key"]), low, v)


def _place_diagonal(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    v = op.outputs[0]
    region = Layout.contiguous(v.shape).diagonal(params["offset"], params["dim1"], params["dim2"])
    return _within(0, handles[0], region, low, v)


def _strided(shape: Ints, params: dict[str, Any], base: Value | Any) -> Layout | None:
    """The layout of take_strided and put_strided in a base whose own layout is contiguous; None if it reaches outside."""
    full = Layout.contiguous(base.shape)
    mine = tuple(0 if n == 1 else s for n, s in zip(base.shape, params["x_strides"]))
    strides = tuple(0 if n == 1 else s for n, s in zip(shape, params["strides"]))
    layout = Layout(tuple(shape), strides, params["offset"] - params["x_offset"])
    low, high = layout.extent()
    return layout if mine == full.strides and low >= 0 and high <= prod(base.shape) else None


def _take_strided(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    layout = _strided(params["shape"], params, op.inputs[0])
    if layout is None or isinstance(handles[0], Uniform):
        return None if layout is None else Uniform(handles[0].number, handles[0].dtype, tuple(params["shape"]))
    return Access(low.materialise(handles[0]).buffer, layout)


def _put_strided(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    layout = _strided(op.inputs[1].shape, params, op.inputs[0])
    if layout is None:
        return None
    return _pieces(low, [(handles[0], Layout.contiguous(op.inputs[0].shape)), (handles[1], layout)], op.outputs[0])


def _split(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    x, start, pieces = handles[0], 0, []
    if isinstance(x, Uniform):
        return tuple(Uniform(x.number, x.dtype, v.shape) for v in op.outputs)
    for n in params["sizes"]:
        pieces.append(Access(x.buffer, x.layout.slice((slice(None),) * params["axis"] + (slice(start, start + n),))))
        start += n
    return tuple(pieces)


def _full(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    v = op.outputs[0]
    number = params["value"]
    if isinstance(number, complex) or not expr.movable(v.dtype):
        return None
    with np.errstate(all="ignore"):
        return Uniform(np.full((1,), number, v.dtype)[0], v.dtype, v.shape)


def _known_source(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    return low.constant(op.prim.on_numpy(**params)) if op.outputs[0].size <= 1 << 16 else None


def _power(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    x, y = handles
    if isinstance(y, (int, float)) and not isinstance(x, (int, float)) and x.dtype.kind == "f" and x.dtype in expr.DTYPES:
        return low.map("power", x, exponent=float(y)) if isinstance(x, Access) else None
    return low.elementwise("pow", handles, params, op)


def _matmul(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    v = op.outputs[0]
    if v.dtype not in (np.dtype("f4"), np.dtype("f8")):
        return None
    lead, (m, n) = v.shape[:-2], v.shape[-2:]
    if is_thin(m, n):
        x, y = (low.memory(h) for h in handles)
        rows = Access(x.buffer, x.layout.slice((..., None, slice(None))))
        columns = Access(
            y.buffer,
            y.layout.permute((*range(len(y.shape) - 2), len(y.shape) - 1, len(y.shape) - 2)).slice((..., None, slice(None), slice(None))),
        )
        return low.reduce("sum", low.map("mul", rows, columns), (-1,), keepdim=False)
    found = plain(low, low.memory(handles[0]), low.memory(handles[1]), v)
    if found is not None:
        return found
    operands = []
    for h in handles:
        x = low.memory(h)
        x = x if readable(x) else low.materialise(x)
        operands.append(Access(x.buffer, x.layout.expand((*lead, *x.shape[-2:]))))
    return low.node(Node("matmul", "matmul", tuple(operands), v.shape), v.shape, v.dtype)


RULES.update(
    permute=_view(lambda x, axes: x.permute(tuple(a % len(x.shape) for a in axes))),
    expand=_view(lambda x, shape: x.expand(shape)),
    slice=_view(lambda x, key: x.slice(key)),
    flip=_view(lambda x, axes: x.flip(axes)),
    diagonal=_view(lambda x, offset, dim1, dim2: x.diagonal(offset, dim1, dim2)),
    pack=_view(lambda x: x),
    reshape=lambda low, handles, params, op: low.reshape(handles[0], op.outputs[0].shape),
    **dict.fromkeys(expr.COMBINE, _reduction),
    cat=_cat,
    pad=_pad,
    place=_place,
    place_diagonal=_place_diagonal,
    take_strided=_take_strided,
    put_strided=_put_strided,
    split=_split,
    full=_full,
    fill=_full,
    arange=_known_source,
    linspace=_known_source,
    eye=_known_source,
    pow=_power,
    argmax=pick.arg_extreme,
    argmin=pick.arg_extreme,
    nll=pick.nll,
    nll_grad=pick.nll_grad,
    triangle=pick.triangle,
    in_range=checks.in_range,
    **dict.fromkeys(("scan", "cond", "while_loop"), control.rule),
    random=random.random,
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"), scan.scan),
    **dict.fromkeys(("sort", "argsort", "topk", "kthvalue"), order.order),
    searchsorted=order.searchsorted,
    **gather.RULES,
    **attention.RULES,
    **recurrent.RULES,
    **ctc.RULES,
    matmul=_matmul,
)
