"""Convolutions with 3x3 filters by tiles of 4x4 outputs, with a quarter of the multiplications.

Each output tile comes of 36 products instead of 144 (bilinear.py). Where that pays is decided here, by shapes alone, so that eager kernels
and compiled programs compute the same. The gradient of the input is the same with filters turned by half a turn; that of the weight
transforms tiles of both images, sums their products over all tiles, and transforms what is left.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from flambeau.codegen.bilinear import toom_cook, transposed
from flambeau.codegen.contraction import shape_of_tiles
from flambeau.codegen.epilogue import Epilogue
from flambeau.codegen.image import Image, image
from flambeau.codegen.layout import Ints
from flambeau.codegen.llvm import Target
from flambeau.codegen.loops import Kernel
from flambeau.codegen.nodes import Access, Buffer, Node
from flambeau.codegen.packing import write_transposed
from flambeau.codegen.panels import Source, write_panels
from flambeau.codegen.tile import rows_of_tile
from flambeau.codegen.winograd_steps import Grid, Products, shares, write_filters, write_products, write_tiles

if TYPE_CHECKING:
    from flambeau.codegen.convolve import Shape

Steps = list[list[Kernel]]
ALGORITHM = toom_cook(4, 3)
_SIZE = ALGORITHM.outputs
_POINTS = ALGORITHM.points**2
_NEAR = 2 << 20  # bytes of transformed tiles that are made, used and forgotten together
_CHUNKS = 8  # the most parts that an image is cut into for that
_FILTERS = 8 << 20  # bytes of transformed filters that are made and used together
_BLOCK = 48  # rows of the products that are transformed back together, at most
_TASKS = 8  # that the products for a group of filters are cut into, if there are so many strips
_LANES = 16
_WORTH = 1 << 18  # cycles of a convolution from which so much code is worth compiling
_TILE = 400  # cycles of transforming a vector of tiles there or back, as measured, with what it costs to keep them
_FILTER = 700  # and of a vector of filters
_ALIAS = 1024  # rows so many bytes apart fall on the same few cache lines


def is_for_tiles(s: Shape, columns: int, out: Ints, dtype: np.dtype) -> bool:
    """Whether a convolution, or one of its gradients, is computed so: one to this many columns, at the positions of an image of size
    `out`."""
    plain = s.groups == 1 and s.kernel == (1, 3, 3) and s.stride == s.dilation == (1, 1, 1) and s.sizes[0] == s.out[0] == 1
    return plain and s.low[0] == 0 and dtype == np.float32 and _pays(s.batch, s.channels * s.filters // columns, columns, out[1:])


def _pays(batch: int, channels: int, columns: int, sizes: Ints) -> bool:
    """Whether tiles are quicker, by the cycles of a processor that multiplies vectors of 16 numbers."""
    across, wide = -(-channels // _LANES), -(-columns // _LANES)
    direct = 9 * batch * prod(sizes) * channels * wide
    tiles = batch * prod(-(-n // _SIZE) for n in sizes)
    products = (tiles * _POINTS + _FILTER) * channels * wide
    return direct >= _WORTH and products + tiles * _TILE * (across + wide) < direct


def _grid(batch: int, sizes: Ints) -> Grid:
    return Grid((batch, *(-(-n // _SIZE) for n in sizes)), _SIZE, sizes)


def _read(x: Access, grid: Grid, low: Ints, size: int, target: Target) -> tuple[Steps, Image]:
    """An image of which all tiles of this size can be read, whose first one begins `low` before the first position."""
    reach = [(n - 1) * _SIZE + size for n in grid.counts[1:]]
    before = [max(n, 0) for n in low]
    after = [max(r - n - have, 0) for r, n, have in zip(reach, low, x.shape[-2:])]
    steps, img = image(x, (0, *before), (0, *after), target, dense=True)
    start = img.start + sum((b - n) * stride for b, n, stride in zip(before, low, img.strides[3:]))
    return steps, Image(img.buffer, start, img.strides)


def _pitch(channels: int, lanes: int, item: int) -> int:
    """Elements from one transformed tile to the next."""
    whole = -(-channels // lanes) * lanes
    return whole + (lanes if whole * item % _ALIAS == 0 else 0)


def _cut(total: int, size: int, each: int) -> list[tuple[int, int]]:
    """Runs of whole multiples of `each` that cover `total`, the last one maybe shorter, with about so many bytes (of `size` an element) as
    stay near."""
    units = -(-total // each)
    parts = min(max(total * size // _NEAR, 1), _CHUNKS, units)
    parts = next((n for n in range(parts, 2 * parts) if units % n == 0), parts)
    share = -(-units // parts) * each
    return [(at, min(at + share, total)) for at in range(0, total, share)]


def correlate(x: Access, w: Access, source: Source, turned: bool, low: Ints, node: Node, epilogue: Epilogue, target: Target) -> Steps:
    """The output for the image x and the filters that `source` makes panels of, with `low` zeros before it along height and width. Panels
    go through in groups whose transformed filters stay near, if there are many."""
    batch, _, *sizes, columns = node.params["full"]
    grid, channels, item = _grid(batch, tuple(sizes)), x.shape[1], x.dtype.itemsize
    vectors = shape_of_tiles(target, x.dtype, (grid.total,), columns)
    packed, packing = write_panels(w.buffer, source, vectors, target)
    _, panels, _, width = packed.shape
    group = min(max(_FILTERS // (_POINTS * channels * width * item), 1), panels)
    strip = -(-grid.total // -(-grid.total // rows_of_tile(target, vectors)))
    block = strip * max(min(_BLOCK, grid.total * group // _TASKS) // strip, 1)
    pitch = _pitch(channels, target.lanes(item), item)
    parts = _cut(grid.total, _POINTS * pitch * item, block)
    tiles, filters = Buffer((_POINTS, parts[0][1], pitch), x.dtype), Buffer((group, _POINTS, channels, width), x.dtype)
    steps, img = _read(x, grid, low, ALGORITHM.points, target)
    into = write_tiles(img, channels, grid, ALGORITHM.data, tiles, target)
    made = write_filters(packed, filters, ALGORITHM.taps, turned, ALGORITHM.filter, target)
    places = epilogue.strides(node.params["full"])
    products = Products(
        columns=columns,
        steps=channels,
        a=(parts[0][1] * pitch, pitch, 1),
        b=(channels * width, _POINTS * channels * width, width),
        vectors=vectors,
        strip=strip,
        block=block,
        matrix=ALGORITHM.result,
        grid=grid,
        strides=[places[0], *(tuple(_SIZE * n for n in x) for x in places[2:4]), *places[2:4]],
    )
    back: dict[int, Kernel] = {}
    steps.append(packing)
    for start in range(0, panels, group):
        count = min(group, panels - start)
        wide = min(count * width, columns - start * width)
        if wide not in back:
            back[wide] = write_products(replace(products, columns=wide), tiles, filters, epilogue, target)
        steps.append(shares(made, 0, count * channels, (start * channels * ALGORITHM.taps**2 * width,)))
        across = [start * width * epilogue.column(p) for p in epilogue.places]
        for first, last in parts:
            if start == 0 or len(parts) > 1:
                steps.append(shares(into, first, last, (0, -first * pitch)))
            tasks = first // block * count, -(-last // block) * count
            steps.append(shares(back[wide], *tasks, (-first * pitch, 0, 0, *across)))
    return steps


def weight_grad(x: Access, y: Access, s: Shape, result: Buffer, target: Target) -> Steps:
    """The gradient of the weight, from the image and the gradient of the output."""
    grid, lanes, item = _grid(s.batch, s.out[1:]), target.lanes(x.dtype.itemsize), x.dtype.itemsize
    steps, img = _read(x, grid, s.low[1:], ALGORITHM.points, target)
    more, grad = _read(y, grid, (0, 0), _SIZE, target)
    steps += more
    pitches = [_pitch(n, lanes, item) for n in (s.channels, s.filters)]
    sums = Buffer((1, s.channels * s.taps, s.filters), x.dtype)
    vectors = shape_of_tiles(target, x.dtype, (s.channels,), s.filters)
    inner = Node("contract", "sums", (), sums.shape[1:], (sums,))
    to_memory = Epilogue([inner], [inner], s.filters)
    strip = -(-s.channels // -(-s.channels // rows_of_tile(target, vectors)))
    parts = _cut(grid.total, _POINTS * sum(pitches) * item, 1)
    tiles, grads = (Buffer((_POINTS, parts[0][1], n), x.dtype) for n in pitches)
    into = write_tiles(img, s.channels, grid, ALGORITHM.data, tiles, target)
    beside = write_tiles(grad, s.filters, grid, transposed(ALGORITHM.result), grads, target)
    products = Products(
        columns=s.filters,
        steps=parts[0][1],
        a=(parts[0][1] * pitches[0], 1, pitches[0]),
        b=(parts[0][1] * pitches[1], vectors * lanes, pitches[1]),
        vectors=vectors,
        strip=strip,
        block=strip,
        matrix=transposed(ALGORITHM.filter),
        grid=Grid((1, 1, s.channels), 3, (3, 3 * s.channels)),
        strides=[(0,), (0,), (9 * s.filters,), (3 * s.filters,), (s.filters,)],
    )
    tasks = -(-s.channels // strip) * -(-s.filters // (vectors * lanes))
    kernels: dict[tuple[int, bool], Kernel] = {}
    for first, last in parts:
        key = last - first, first > 0
        if key not in kernels:
            kernels[key] = write_products(replace(products, steps=key[0], add=key[1]), tiles, grads, to_memory, target)
        steps.append(shares(into, first, last, (0, -first * pitches[0])))
        steps.append(shares(beside, first, last, (0, -first * pitches[1])))
        steps.append(shares(kernels[key], 0, tasks))
    return [*steps, write_transposed(sums, result, 1, sums.shape[1], s.filters, target)]
