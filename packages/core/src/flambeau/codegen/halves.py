"""float16 and bfloat16: two bytes in memory, float32 in registers.

Lowering computes on float32: operands of a row are widened, its result is narrowed (rounded to nearest, ties to even), both by "cast" nodes
that fuse with what surrounds them. That is what the kernels of the primitives do too, so results agree, rounding by rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.codegen.nodes import Access, Parameter, Uniform
from flambeau.codegen.value import F32, is_half
from flambeau.graph.ir import Op, Value

_CONTRACTIONS = "matmul conv conv_input_grad conv_weight_grad attention attention_grad lstm lstm_grad".split()
_REDUCTIONS = (
    "sum prod amax amin softmax softmax_grad log_softmax log_softmax_grad standardize standardize_grad product_sum scale_shift".split()
)
COMPUTING = frozenset([*_CONTRACTIONS, *_REDUCTIONS])


def computes(op: Op) -> bool:
    """Whether a row computes with elements, so that 16-bit ones are to be widened; others only move them."""
    return (op.prim.elementwise and op.prim.name not in ("cast", "copy")) or op.prim.name in COMPUTING


def widened(low: Any, x: Any, numbers: np.dtype | None) -> Any:
    """An operand in float32. Plain numbers are rounded to `numbers` first, as they are where they meet an array."""
    if isinstance(x, Uniform) and is_half(x.dtype):
        return Uniform(np.float32(x.number), F32, x.shape)
    if isinstance(x, Access) and is_half(x.dtype):
        return low.map("cast", x, result=F32, dtype=F32)
    if numbers is not None and isinstance(x, (int, float, np.generic)) and not isinstance(x, bool):
        return float(np.asarray(x).astype(numbers))
    return x


def narrowed(low: Any, x: Any, dtype: np.dtype) -> Any:
    """A result rounded to the dtype that it is to have."""
    if not is_half(dtype) or is_half(x.dtype):
        return x
    if isinstance(x, Uniform):
        return Uniform(np.asarray(x.number).astype(dtype)[()], dtype, x.shape)
    return low.map("cast", x, result=dtype, dtype=dtype)


def lowered(low: Any, op: Op, handles: list[Any], lower: Any) -> Any:
    """Lower an operation in float32: `lower(handles, op)` does it; None if there is no code."""
    kinds = [h.dtype for h in handles if isinstance(h, (Access, Uniform)) and is_half(h.dtype)]
    if any(isinstance(h, Parameter) for h in handles) or len(set(kinds)) != 1:
        return None
    wide = [widened(low, h, kinds[0] if op.prim.elementwise else None) for h in handles]
    outputs = tuple(Value(v.number, v.shape, F32 if is_half(v.dtype) else v.dtype, op, v.index) for v in op.outputs)
    found = lower(wide, Op(op.prim, op.inputs, op.params, outputs, op.where))
    if found is None:
        return None
    parts = found if isinstance(found, tuple) else (found,)
    results = tuple(narrowed(low, x, v.dtype) for x, v in zip(parts, op.outputs, strict=True))
    return results if isinstance(found, tuple) else results[0]
