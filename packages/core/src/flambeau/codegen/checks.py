"""Checks of indices in compiled programs: nothing outside a table is read or written, and the error is the one that eager code raises.

A check is a flag (whether any index is bad), which fuses with other work, and a node that leaves the program if the flag is set. What uses
the index reads the check's token, so that it comes later. Checks come as early as they can, before memory outside the program changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.base.errors import FlambeauError
from flambeau.codegen.nodes import Access, Buffer, Node, Uniform
from flambeau.codegen.value import BOOL
from flambeau.graph.ir import Op
from flambeau.primitives.bind import kernel_error

if TYPE_CHECKING:
    from flambeau.codegen.lower import Lowering

Known = tuple[int, int, list[Access]]  # values lie in [low, high), once the tokens are there


def known_range(low: Lowering, x: Any) -> Known:
    """What is known of the values of an integer array."""
    if isinstance(x, Uniform):
        return int(x.number), int(x.number) + 1, []
    if x.buffer.constant is not None:
        return int(x.buffer.constant.min()), int(x.buffer.constant.max()) + 1, []
    info = np.iinfo(x.dtype)
    return low.ranges.get(x.buffer) or (int(info.min), int(info.max) + 1, [])


def checked(low: Lowering, index: Any, size: int, axis: int, op: Op) -> tuple[Access, int, list[Access]]:
    """An index in memory, made to lie in [-size, size), a number that it is not below, and the tokens to wait for."""
    known = known_range(low, index)
    access = low.memory(index)
    if known[0] >= -size and known[1] <= size:
        return access, known[0], known[2]
    token = _check(low, access, -size, size, None, op, axis)
    if access.layout.is_contiguous and access.layout.size == access.buffer.size:
        _narrow(low, access.buffer, known, -size, size, token)
    return access, -size, [token]


def wrapped(low: Lowering, index: Any, size: int) -> Any:
    """An index that lies in [-size, size), in [0, size)."""
    if known_range(low, index)[0] >= 0:
        return index
    return low.map("where", low.map("lt", index, 0, result=BOOL), low.map("add", index, size), index)


def _narrow(low: Lowering, buffer: Buffer, known: Known, least: int, high: int, token: Access) -> None:
    low.ranges[buffer] = (max(known[0], least), min(known[1], high), [*known[2], token])


def in_range(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """The row: its operand, whose range is known from here on."""
    x, least, high, ignore = handles[0], params["low"], params["high"], params["ignore"]
    if x.dtype.kind not in "iu" or 0 in x.shape:
        return None
    known = known_range(low, x)
    if known[0] >= least and known[1] <= high:
        return x
    x = low.materialise(x)
    token = _check(low, x, least, high, ignore, op, 0)
    if ignore is None:
        _narrow(low, x.buffer, known, least, high, token)
    return x


def _check(low: Lowering, x: Access, least: int, high: int, ignore: int | None, op: Op, axis: int) -> Access:
    """The token of a check."""
    info = np.iinfo(x.dtype)
    flags = []
    if least > info.min:
        flags.append(low.map("lt", x, least, result=BOOL))
    if high <= info.max:
        flags.append(low.map("ge", x, high, result=BOOL))
    bad = flags[0] if len(flags) == 1 else low.map("logical_or", *flags, result=BOOL)
    if ignore is not None and info.min <= ignore <= info.max:
        bad = low.map("logical_and", bad, low.map("ne", x, ignore, result=BOOL), result=BOOL)
    flag = low.materialise(low.reduce("any", bad, tuple(range(len(x.shape))), keepdim=False))
    node = Node("check", op.prim.name, (flag, x), (), params={"op": op, "axis": axis, "high": high})
    return low.node(node, (), BOOL)


def failure(node: Node, flagged: np.ndarray) -> Exception:
    """The error of a check, given the index array: that of the row's kernel."""
    op: Op = node.params["op"]
    if op.prim.name == "in_range":
        try:
            op.prim.on_numpy(flagged, **op.params)
        except FlambeauError as error:
            return error
    size, axis = node.params["high"], node.params["axis"]
    bad = flagged[(flagged < -size) | (flagged >= size)]
    text = f"index {int(bad.flat[0]) if bad.size else '?'} is out of bounds for axis {axis} with size {size}"
    return kernel_error(op.prim, list(op.inputs), op.params, IndexError(text))
