"""Products with one matrix (a linear layer, its gradients) as contractions, with what follows fused; matmul.py has those of batches.

Rows of A are read where they lie, unless their distance is bad for caches. B is packed into panels, unless it is small and its rows are
contiguous.
"""

from __future__ import annotations

from math import prod
from typing import Any

from flambeau.codegen.contraction import Axis, Contraction, merged, shape_of_tiles, write_contraction
from flambeau.codegen.epilogue import Epilogue
from flambeau.codegen.image import image
from flambeau.codegen.layout import Layout
from flambeau.codegen.llvm import Target
from flambeau.codegen.loops import Kernel
from flambeau.codegen.nodes import Access, Node
from flambeau.codegen.panels import Source, write_panels
from flambeau.graph.ir import Value

_LONGEST = 8192  # steps of a sum that a panel of B can hold in the second cache; longer ones are cut into blocks in matmul.py
_SMALL = 128 << 10  # bytes of B up to which it is read where it lies
_FEW = 16  # rows of A up to which their distance does not matter


def plain(low: Any, x: Access, y: Access, v: Value) -> Access | None:
    """A node for x @ y, if y is one matrix for all batches of x."""
    if any(n != 1 and s != 0 for n, s in zip(y.shape[:-2], y.layout.strides)) or x.shape[-1] > _LONGEST:
        return None
    b = Access(y.buffer, Layout(y.shape[-2:], y.layout.strides[-2:], y.layout.offset))
    if b.layout.strides[1] != 1 and b.layout.strides[0] != 1 and 1 not in b.shape:
        b = low.materialise(b)
    lead = v.shape[:-2]
    a = Access(x.buffer, x.layout.expand((*lead, *x.shape[-2:])))
    node = Node("contract", "matmul", (a, b), tuple(n for n in v.shape if n != 1), params={"full": v.shape})
    return low.node(node, v.shape, v.dtype)


def write_product(node: Node, epilogue: Epilogue, target: Target) -> list[list[Kernel]]:
    """The steps of a product with one matrix."""
    a, b = node.accesses()
    steps: list[list[Kernel]] = []
    places = epilogue.strides(node.params["full"])
    k, n = b.shape
    item = a.dtype.itemsize
    flat = a.layout.reshape((prod(a.shape[:-1]), k))
    buffer, start, strides = a.buffer, a.layout.offset, a.layout.strides
    if flat is not None and flat.shape[0] > _FEW and n > _FEW and flat.strides[1] == 1:
        steps, img = image(Access(a.buffer, flat), (0, 0, 0), (0, 0, 0), target)
        if steps:
            buffer, start = img.buffer, img.start
            strides = tuple(prod(a.shape[i + 1 : -1]) * img.strides[0] for i in range(len(a.shape) - 1)) + (1,)
    rows = tuple(Axis(size, s, 0, out) for size, s, out in zip(a.shape[:-1], strides, places))
    vectors = shape_of_tiles(target, a.dtype, tuple(x.size for x in merged(rows)), n)
    width = vectors * target.lanes(item)
    down, across = b.layout.strides
    direct = (across == 1 or n == 1) and k * n * item <= _SMALL
    panels, step, begin, panel = b.buffer, down, b.layout.offset, width
    if not direct:
        panels, packing = write_panels(b.buffer, Source(begin, k, n, down, across), vectors, target)
        steps = [*steps, packing]
        step, begin, panel = width, 0, k * width
    c = Contraction(
        columns=n,
        vectors=vectors,
        rows=rows,
        loops=((k, strides[-1], step),),
        panel=(0, panel),
        starts=(start, begin, *(p.layout.offset for p in epilogue.places)),
        padded=not direct,
    )
    return [*steps, write_contraction(c, buffer, panels, epilogue, target)]
