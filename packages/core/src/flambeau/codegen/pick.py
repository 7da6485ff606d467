"""Rows that pick along an axis, written as comparisons with the positions on it, so that they fuse with what surrounds them.

gather with one index a line is `sum(where(position == index, x, 0))` without rounding (the bits are joined by "or"), its gradient is
`where(position == index, g, 0)`; argmax is the smallest position where x equals its maximum. Cross-entropy becomes one pass over its
scores forward and one backward.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.codegen import expr
from flambeau.codegen.nodes import Access, Uniform
from flambeau.codegen.value import BOOL
from flambeau.graph.ir import Op

if TYPE_CHECKING:
    from flambeau.codegen.lower import Lowering

SHORT = 64  # elements of an axis up to which comparing with each position is quicker than going to the one
_INDEX = np.dtype("i4")
_MOST = 1 << 31


def positions(low: Lowering, shape: tuple[int, ...], axis: int) -> Any:
    """The numbers 0, 1, ... along an axis, int32, in a shape that broadcasts to the array's."""
    line = low.constant(np.arange(shape[axis], dtype=_INDEX))
    return low.reshape(line, tuple(n if k == axis else 1 for k, n in enumerate(shape)))


def hits(low: Lowering, shape: tuple[int, ...], index: Any, axis: int) -> Any:
    """Where the position along an axis is the index (which has size 1 there), as a bool array of that shape."""
    narrow = index if index.dtype == _INDEX else low.map("cast", index, result=_INDEX, dtype=_INDEX)
    return low.map("eq", positions(low, shape, axis), narrow, result=BOOL)


def picked(low: Lowering, x: Any, index: Any, axis: int) -> Any:
    """The elements at the index, with size 1 along the axis."""
    zero = Uniform(np.zeros((), x.dtype)[()], x.dtype, ())
    return low.reduce("pick", low.map("where", hits(low, x.shape, index, axis), x, zero), (axis,))


def one_each(x_shape: tuple[int, ...], i_shape: tuple[int, ...], axis: int) -> bool:
    """Whether an index names one element of each line along an axis."""
    return x_shape[axis] < _MOST and i_shape == tuple(1 if k == axis else n for k, n in enumerate(x_shape))


def is_made_here(x: Any) -> bool:
    """Whether a value is computed by a node that fusion can join with its readers, or is known."""
    return isinstance(x, Uniform) or (x.buffer.node is not None and x.buffer.node.kind in ("map", "reduce"))


_COMBINED = {"scatter_add": "add", "scatter_mul": "mul", "scatter_max": "maximum", "scatter_min": "minimum"}


def scattered(low: Lowering, name: str, x: Any, index: Any, v: Any, axis: int) -> Any:
    """A scatter whose index names one element of each line."""
    new = v if name == "scatter" else low.map(_COMBINED[name], x, v)
    return low.map("where", hits(low, x.shape, index, axis), new, x)


def arg_extreme(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """argmax and argmin: the first position of the extreme, or of the first NaN."""
    x, axis, kind = handles[0], params["axis"], op.prim.name[3:]
    v = op.outputs[0]
    if not expr.reduces(f"a{kind}", x.dtype) or x.shape[axis] >= _MOST:
        return None
    if x.shape[axis] == 1 or isinstance(x, Uniform):
        return Uniform(np.int64(0), v.dtype, v.shape)
    hit = low.map("eq", x, low.reduce(f"a{kind}", x, (axis,)), result=BOOL)
    if x.dtype.kind == "f":
        hit = low.map("logical_or", hit, low.map("isnan", x, result=BOOL))
    at = low.map("where", hit, positions(low, x.shape, axis), Uniform(_INDEX.type(x.shape[axis]), _INDEX, ()))
    first = low.reduce("amin", at, (axis,), keepdim=params["keepdim"])
    result = low.map("cast", first, result=v.dtype, dtype=v.dtype)
    if isinstance(result, Access):
        low.ranges[result.buffer] = (0, x.shape[axis], [])
    return result


def _targets(low: Lowering, t: Any, ignore: int) -> tuple[Any, Any]:
    """The class numbers on an axis of size 1 behind the first, and which are to be ignored."""
    shape = (t.shape[0], 1, *t.shape[1:])
    return low.reshape(t, shape), low.reshape(low.map("eq", t, ignore, result=BOOL), shape)


def nll(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """-x[n, t[n, ...], ...], and 0 where t is `ignore`."""
    (x, t), v = handles, op.outputs[0]
    if x.dtype not in expr.DTYPES or x.dtype.kind != "f" or not expr.fits(params["ignore"], t.dtype) or not prod(t.shape):
        return None
    index, ignored = _targets(low, t, params["ignore"])
    loss = low.map("neg", picked(low, x, index, 1))
    return low.reshape(low.map("where", ignored, Uniform(x.dtype.type(0), x.dtype, ()), loss), v.shape)


def nll_grad(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """-y at the classes, zeros elsewhere."""
    (y, t), v = handles, op.outputs[0]
    if y.dtype not in expr.DTYPES or y.dtype.kind != "f" or not expr.fits(params["ignore"], t.dtype):
        return None
    index, ignored = _targets(low, t, params["ignore"])
    zero = Uniform(y.dtype.type(0), y.dtype, ())
    g = low.map("where", ignored, zero, low.map("neg", low.reshape(y, index.shape)))
    return low.map("where", hits(low, v.shape, index, 1), g, zero)


def triangle(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """The upper or lower triangle of matrices, zeros elsewhere."""
    x, last = handles[0], len(handles[0].shape) - 1
    if x.dtype not in expr.DTYPES or x.dtype.kind == "b":
        return None
    row, column = (positions(low, x.shape, k) for k in (last - 1, last))
    limit = low.map("add", row, int(params["diagonal"]))
    inside = low.map("ge" if params["upper"] else "le", column, limit, result=BOOL)
    return low.map("where", inside, x, Uniform(x.dtype.type(0), x.dtype, ()))
