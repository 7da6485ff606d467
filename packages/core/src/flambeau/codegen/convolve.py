"""Convolutions and their two gradients as contractions.

Along each of three spatial axes (fewer are axes of size 1) an output position i and a kernel position k meet the input position
i * stride + k * dilation - low. The output is a contraction with rows along batch and space and columns along output channels, summed over
input channels and kernel. The gradient of the input is one such contraction for each phase of the stride: positions i * stride + p have the
same kernel positions. That of the weight has rows along kernel and input channels and is summed over batch and space. A convolution
whose groups have one channel each multiplies channels pairwise instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from flambeau.codegen import winograd
from flambeau.codegen.contraction import Axis, Contraction, merged, shape_of_tiles, write_contraction
from flambeau.codegen.epilogue import Epilogue
from flambeau.codegen.image import Image, image
from flambeau.codegen.layout import Ints
from flambeau.codegen.llvm import Target
from flambeau.codegen.loops import Kernel
from flambeau.codegen.nodes import Access, Buffer, Node
from flambeau.codegen.packing import write_transposed
from flambeau.codegen.panels import Source, write_panels
from flambeau.primitives.kernels.layout import as_pairs

Steps = list[list[Kernel]]
_NEAR = 256 << 10  # bytes of the gradient of the output that stay near while rows of the weight's gradient go by
_DIRECT = 512  # bytes of a pixel up to which the gradient of the weight reads it where it lies, if it is one panel wide


@dataclass(frozen=True)
class Shape:
    """The sizes of a convolution, with three spatial axes."""

    batch: int
    groups: int
    channels: int  # of the input, in a group
    filters: int  # of the output, in a group
    sizes: Ints  # of the input
    kernel: Ints
    out: Ints
    stride: Ints
    dilation: Ints
    low: Ints

    @classmethod
    def of(cls, x: Ints, w: Ints, y: Ints, params: dict[str, Any]) -> Shape:
        """From the shapes of input, weight and output."""
        groups, dims = params["groups"], len(x) - 2

        def three(values: Any, fill: int = 1) -> Ints:
            return (fill,) * (3 - dims) + tuple(int(v) for v in values)

        return cls(
            x[0],
            groups,
            w[1],
            w[0] // groups,
            three(x[2:]),
            three(w[2:]),
            three(y[2:]),
            three(params["stride"]),
            three(params["dilation"]),
            three((lo for lo, _ in as_pairs(params["padding"])), 0),
        )

    @property
    def taps(self) -> int:
        """Kernel positions."""
        return prod(self.kernel)

    @property
    def is_paired(self) -> bool:
        """Whether each channel has a filter of its own."""
        return self.channels == self.filters == 1 and self.groups > 1

    def reach(self, axis: int) -> tuple[int, int]:
        """The first and last input position that windows touch."""
        last = (self.out[axis] - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis]
        return -self.low[axis], last - self.low[axis]


@dataclass(frozen=True)
class Phase:
    """Along one axis, the positions `start`, start + stride, ... of the input (`count` of them): they meet `taps` kernel positions
    `first`, first + step, ...; the output position that the first of both meets is `at`, and it goes by `back` for each tap."""

    start: int
    count: int
    first: int
    step: int
    taps: int
    at: int
    back: int


def phases(s: Shape, axis: int) -> list[Phase]:
    """All phases along an axis."""
    stride, dilation, kernel, size = s.stride[axis], s.dilation[axis], s.kernel[axis], s.sizes[axis]
    found = []
    for start in range(min(stride, size)):
        count = -(-(size - start) // stride)
        taps = [k for k in range(kernel) if (start + s.low[axis] - dilation * k) % stride == 0]
        at = [(start + s.low[axis] - dilation * k) // stride for k in taps]
        step, back = (taps[1] - taps[0], at[1] - at[0]) if len(taps) > 1 else (1, 0)
        found.append(Phase(start, count, taps[0] if taps else 0, step, len(taps), at[0] if at else 0, back))
    return found


def _around(first: int, last: int, size: int) -> tuple[int, int]:
    """How many zeros are needed before and behind."""
    return max(-first, 0), max(last - size + 1, 0)


def _joined(loops: list[tuple[int, int, int]]) -> tuple[tuple[int, int, int], ...]:
    """Summed axes without those of one step; neighbours that are walked through as one are one. No steps at all stay one axis."""
    if any(count == 0 for count, _, _ in loops):
        return ((0, 0, 0),)
    result: list[tuple[int, int, int]] = []
    for count, a, b in loops:
        if result and result[-1][1:] == (count * a, count * b):
            result[-1] = (result[-1][0] * count, a, b)
        elif count != 1:
            result.append((count, a, b))
    return tuple(result)


# -- the output ---------------------------------------------------------------------------------------------------------------------------
def forward(node: Node, epilogue: Epilogue, target: Target) -> Steps:
    """The output of a convolution of x with w."""
    x, w = node.accesses()
    s = Shape.of(x.shape, w.shape, _logical(node), node.params)
    if winograd.is_for_tiles(s, s.filters, s.out, x.dtype):
        return winograd.correlate(x, w, _filters(w, s), False, s.low[1:], node, epilogue, target)
    margins = [_around(*s.reach(a), s.sizes[a]) for a in range(3)]
    steps, img = image(x, tuple(m[0] for m in margins), tuple(m[1] for m in margins), target, s.is_paired)
    places = epilogue.strides(node.params["full"])
    start = img.start + sum((m[0] - s.low[a]) * img.strides[2 + a] for a, m in enumerate(margins))
    rows = [Axis(s.batch, img.strides[0], 0, places[0])]
    rows += [Axis(s.out[a], s.stride[a] * img.strides[2 + a], 0, places[1 + a]) for a in range(3)]
    taps = [(s.kernel[a], s.dilation[a] * img.strides[2 + a], prod(s.kernel[a + 1 :])) for a in range(3)]
    source = _filters(w, s)
    panels, packing = write_panels(w.buffer, source, panel_vectors(rows, source.columns, target, w), target)
    offsets = [p.layout.offset for p in epilogue.places]
    return [*steps, packing, _contract(_Plan(s, img, start, rows, taps, source), panels, epilogue, offsets, target)]


@dataclass(frozen=True)
class _Plan:
    """A contraction over channels and kernel: the image that is read and where it begins, the rows, the kernel positions (count, step in
    the image, steps in the panels), the panels to be made of the weight, and the first position of the kernel."""

    shape: Shape
    image: Image
    start: int
    rows: list[Axis]
    taps: list[tuple[int, int, int]]
    source: Source
    first: int = 0


def _filters(w: Access, s: Shape) -> Source:
    """The weight (O, C / groups, *kernel) as steps along channels and kernel by columns along filters."""
    start = w.layout.offset
    if s.is_paired:
        return Source(start, s.taps, s.groups, 1, s.taps)
    size = s.channels * s.taps
    return Source(start, size, s.filters, 1, size, s.groups, s.filters * size)


def _contract(plan: _Plan, panels: Buffer, epilogue: Epilogue, offsets: list[int], target: Target) -> list[Kernel]:
    """The kernels of such a contraction with these panels."""
    s, source, img = plan.shape, plan.source, plan.image
    width = panels.shape[-1]
    channels = source.total // s.taps
    taps = [(n, a, b * width) for n, a, b in plan.taps]
    batches: tuple[Axis, ...] = ()
    if source.groups > 1:
        outs = tuple(source.columns * epilogue.column(p) for p in epilogue.places)
        batches = (Axis(source.groups, channels * img.strides[1], panels.shape[1] * source.total * width, outs),)
    c = Contraction(
        columns=source.columns,
        vectors=width // target.lanes(panels.dtype.itemsize),
        rows=tuple(plan.rows),
        loops=_joined(taps if s.is_paired else [(channels, img.strides[1], s.taps * width), *taps]),
        panel=(width if s.is_paired else 0, source.total * width),
        batches=batches,
        starts=(plan.start, plan.first * width, *offsets),
        paired=s.is_paired,
    )
    return write_contraction(c, img.buffer, panels, epilogue, target)


def panel_vectors(rows: list[Axis], columns: int, target: Target, w: Access) -> int:
    """How wide the panels are to be."""
    return shape_of_tiles(target, w.dtype, tuple(x.size for x in merged(tuple(rows))), columns)


def _logical(node: Node) -> Ints:
    """(N, C, *spatial) of a node whose full space is (N, D, H, W, C), or fewer of D, H."""
    n, d, h, w, c = node.params["full"]
    return (n, c, *(d, h, w)[3 - node.params["dims"] :])


# -- the gradient of the input ------------------------------------------------------------------------------------------------------------
def input_grad(node: Node, epilogue: Epilogue, target: Target) -> Steps:
    """The transposed convolution of y with w."""
    y, w = node.accesses()
    s = Shape.of(_logical(node), w.shape, y.shape, node.params)
    if winograd.is_for_tiles(s, s.channels, s.sizes, y.dtype):
        low = tuple(k - 1 - n for k, n in zip(s.kernel[1:], s.low[1:]))
        return winograd.correlate(y, w, _turned(w, s), True, low, node, epilogue, target)
    axes = [phases(s, a) for a in range(3)]
    margins = []
    for a, found in enumerate(axes):
        used = [p for p in found if p.taps]
        first = min((min(p.at, p.at + (p.taps - 1) * p.back) for p in used), default=0)
        last = max((p.at + p.count - 1 for p in used), default=0)
        margins.append(_around(first, last, s.out[a]))
    steps, img = image(y, tuple(m[0] for m in margins), tuple(m[1] for m in margins), target, s.is_paired)
    places = epilogue.strides(node.params["full"])
    source = _turned(w, s)
    plans = []
    for parts in product(*axes):
        rows = [Axis(s.batch, img.strides[0], 0, places[0])]
        rows += [Axis(p.count, img.strides[2 + a], 0, tuple(s.stride[a] * o for o in places[1 + a])) for a, p in enumerate(parts)]
        taps = [(p.taps, p.back * img.strides[2 + a], p.step * prod(s.kernel[a + 1 :])) for a, p in enumerate(parts)]
        start = img.start + sum((p.at + margins[a][0]) * img.strides[2 + a] for a, p in enumerate(parts) if p.taps)
        first = sum(p.first * prod(s.kernel[a + 1 :]) for a, p in enumerate(parts))
        plans.append((_Plan(s, img, start if all(p.taps for p in parts) else img.start, rows, taps, source, first), parts))
    vectors = panel_vectors(plans[0][0].rows, source.columns, target, w)
    panels, packing = write_panels(w.buffer, source, vectors, target)
    kernels = []
    for plan, parts in plans:
        offsets = [p.layout.offset + sum(parts[a].start * places[1 + a][i] for a in range(3)) for i, p in enumerate(epilogue.places)]
        kernels += _contract(plan, panels, epilogue, offsets, target)
    return [*steps, packing, kernels]


def _turned(w: Access, s: Shape) -> Source:
    """The weight as steps along filters and kernel by columns along input channels."""
    if s.is_paired:
        return _filters(w, s)
    size = s.channels * s.taps
    start, group = w.layout.offset, s.filters * size
    if s.taps == 1:
        return Source(start, s.filters, s.channels, s.channels, 1, s.groups, group)
    return Source(start, s.taps, s.channels, 1, s.taps, s.groups, group, s.filters, size)


# -- the gradient of the weight -----------------------------------------------------------------------------------------------------------
def weight_grad(node: Node, target: Target) -> Steps:
    """The sum over batch and space of x and y, at each kernel position."""
    x, y = node.accesses()
    s = Shape.of(x.shape, node.outputs[0].shape, y.shape, node.params)
    if winograd.is_for_tiles(s, s.filters, s.out, x.dtype):
        return winograd.weight_grad(x, y, s, node.outputs[0], target)
    margins = [_around(*s.reach(a), s.sizes[a]) for a in range(3)]
    steps, img = image(x, tuple(m[0] for m in margins), tuple(m[1] for m in margins), target, s.is_paired)
    more, grad = image(y, (0, 0, 0), (0, 0, 0), target, dense=True)
    start = img.start + sum((m[0] - s.low[a]) * img.strides[2 + a] for a, m in enumerate(margins))
    columns = s.groups if s.is_paired else s.filters
    groups = 1 if s.is_paired else s.groups
    sums = Buffer((groups, s.channels * s.taps, columns), x.dtype)
    inner = Node("contract", "sums", (), sums.shape, (sums,))
    to_memory = Epilogue([inner], [inner], columns)
    rows = [Axis(s.kernel[a], s.dilation[a] * img.strides[2 + a], 0, (prod(s.kernel[a + 1 :]) * columns,)) for a in range(3)]
    if not s.is_paired:
        rows.append(Axis(s.channels, img.strides[1], 0, (s.taps * columns,)))
    vectors = panel_vectors(rows, columns, target, x)
    width = vectors * target.lanes(x.dtype.itemsize)
    pixel = next((grad.strides[a] for a in (4, 3, 2, 0) if (s.batch, 0, *s.out)[a] > 1), s.groups * s.filters)
    pixels = s.batch * prod(s.out)
    across = [img.strides[0], *(s.stride[a] * img.strides[2 + a] for a in range(3))]
    if columns <= width and pixel * x.dtype.itemsize <= _DIRECT:
        panels, step, panel, group, padded, begin = grad.buffer, pixel, width, columns, False, grad.start
    else:
        source = Source(grad.start, pixels, columns, pixel, 1, groups, columns)
        panels, packing = write_panels(grad.buffer, source, vectors, target)
        more.append(packing)
        step, panel, group, padded, begin = width, pixels * width, panels.shape[1] * pixels * width, True, 0
    loops = [(n, a, prod((s.batch, *s.out)[i + 1 :]) * step) for i, (n, a) in enumerate(zip((s.batch, *s.out), across))]
    blocks, loops = _blocks(loops, step * x.dtype.itemsize)
    c = Contraction(
        columns=columns,
        vectors=vectors,
        rows=tuple(rows),
        loops=_joined(loops),
        panel=(width if s.is_paired else 0, panel),
        batches=(Axis(groups, s.channels * img.strides[1], group, (sums.shape[1] * columns,)),) if groups > 1 else (),
        starts=(start, begin, 0),
        padded=padded,
        paired=s.is_paired,
        blocks=blocks,
    )
    result = node.outputs[0]
    last = write_transposed(sums, result, groups, sums.shape[1], columns, target)
    return [*steps, *more, write_contraction(c, img.buffer, panels, to_memory, target), last]


def _blocks(loops: list[tuple[int, int, int]], step: int) -> tuple[tuple[tuple[int, int, int], ...], list[tuple[int, int, int]]]:
    """Outer axes of a sum, or equal parts of one, that leave so many steps of `step` bytes inside as stay near."""
    fit, inner = max(_NEAR // max(step, 1), 1), 1  # a step of nothing reads the same numbers again
    for i in reversed(range(len(loops))):
        count, a, b = loops[i]
        if inner * count > fit:
            part = max(n for n in range(1, max(fit // inner, 1) + 1) if count % n == 0)
            outer = (*loops[:i], (count // part, a * part, b * part))
            return tuple(x for x in outer if x[0] > 1), [(part, a, b), *loops[i + 1 :]]
        inner *= count
    return (), loops
