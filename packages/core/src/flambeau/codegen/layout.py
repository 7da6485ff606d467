"""Where the elements of a view lie in the memory of its base: shape, strides and offset, in elements."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

Ints = tuple[int, ...]


def row_major(shape: Ints) -> Ints:
    """The strides of contiguous memory; 0 along axes of size 1, so that equal layouts compare equal."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(0 if n == 1 else step)
        step *= n
    return tuple(reversed(strides))


@dataclass(frozen=True)
class Layout:
    """An affine map from indices to positions. Views of it are layouts too, except some reshapes."""

    shape: Ints
    strides: Ints
    offset: int = 0

    @classmethod
    def contiguous(cls, shape: Ints) -> Layout:
        """The elements in row-major order from the start of the memory."""
        return cls(tuple(shape), row_major(shape))

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def is_contiguous(self) -> bool:
        """Whether it is the row-major order from the start."""
        return self.offset == 0 and self.strides == row_major(self.shape)

    def extent(self) -> tuple[int, int]:
        """The first and one past the last position that it can reach."""
        low = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides) if s < 0)
        high = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides) if s > 0)
        return low, high + 1

    def permute(self, axes: Ints) -> Layout:
        """Axes in another order."""
        return Layout(tuple(self.shape[a] for a in axes), tuple(self.strides[a] for a in axes), self.offset)

    def expand(self, shape: Ints) -> Layout:
        """Broadcast to a shape."""
        lead = len(shape) - len(self.shape)
        strides = (0,) * lead + tuple(0 if n == 1 else s for n, s in zip(self.shape, self.strides))
        return Layout(tuple(shape), strides, self.offset)

    def slice(self, key: tuple[Any, ...]) -> Layout:
        """Basic indexing with ints, slices, None and an ellipsis."""
        named = sum(k is not None and k is not Ellipsis for k in key)
        full = key if Ellipsis in key else (*key, Ellipsis)
        shape: list[int] = []
        strides: list[int] = []
        offset, axis = self.offset, 0
        for k in full:
            if k is None:
                shape.append(1)
                strides.append(0)
            elif k is Ellipsis:
                rest = len(self.shape) - named
                shape += self.shape[axis : axis + rest]
                strides += self.strides[axis : axis + rest]
                axis += rest
            elif isinstance(k, slice):
                r = range(*k.indices(self.shape[axis]))
                shape.append(len(r))
                strides.append(0 if len(r) == 1 else self.strides[axis] * r.step)
                offset += self.strides[axis] * r.start if len(r) else 0
                axis += 1
            else:
                i = int(k)
                offset += self.strides[axis] * (i + self.shape[axis] if i < 0 else i)
                axis += 1
        return Layout(tuple(shape), tuple(strides), offset)

    def flip(self, axes: Any) -> Layout:
        """Backwards along axes."""
        where = range(len(self.shape)) if axes is None else [a % len(self.shape) for a in ((axes,) if isinstance(axes, int) else axes)]
        key = tuple(slice(None, None, -1) if i in where else slice(None) for i in range(len(self.shape)))
        return self.slice(key)

    def diagonal(self, offset: int, dim1: int, dim2: int) -> Layout:
        """The diagonal of two axes, as the last axis."""
        dim1, dim2 = dim1 % len(self.shape), dim2 % len(self.shape)
        length = max(min(self.shape[dim1] - max(-offset, 0), self.shape[dim2] - max(offset, 0)), 0)
        start = self.offset + max(-offset, 0) * self.strides[dim1] + max(offset, 0) * self.strides[dim2]
        rest = [i for i in range(len(self.shape)) if i not in (dim1, dim2)]
        step = 0 if length == 1 else self.strides[dim1] + self.strides[dim2]
        return Layout((*(self.shape[i] for i in rest), length), (*(self.strides[i] for i in rest), step), start)

    def reshape(self, shape: Ints) -> Layout | None:
        """The same elements in row-major order under another shape, or None if no strides can say that."""
        shape = tuple(shape)
        if shape == self.shape:
            return self
        if 0 in shape or 0 in self.shape:
            return Layout.contiguous(shape)
        runs = self.merged()
        strides: list[int] = []
        at = len(runs) - 1
        left, step = runs[at] if runs else (1, 0)
        for n in reversed(shape):
            if n == 1:
                strides.append(0)
                continue
            while left == 1 and at > 0:
                at -= 1
                left, step = runs[at]
            if left % n:
                return None
            strides.append(step)
            left //= n
            step *= n
        return Layout(shape, tuple(reversed(strides)), self.offset)

    def merged(self) -> list[tuple[int, int]]:
        """(size, stride) of the fewest axes that give the same order of positions."""
        runs: list[tuple[int, int]] = []
        for n, s in zip(self.shape, self.strides):
            if n == 1:
                continue
            if runs and runs[-1][1] == n * s:
                runs[-1] = (runs[-1][0] * n, s)
            else:
                runs.append((n, s))
        return runs

    def squeeze(self) -> Layout:
        """Without the axes of size 1."""
        kept = [i for i, n in enumerate(self.shape) if n != 1]
        return Layout(tuple(self.shape[i] for i in kept), tuple(self.strides[i] for i in kept), self.offset)

    def view(self, array: np.ndarray) -> np.ndarray:
        """The elements of a flat, contiguous array, as NumPy sees them."""
        item = array.itemsize
        if prod(self.shape) == 0:
            return np.empty(self.shape, array.dtype)
        start = array.reshape(-1)[self.offset :]
        return np.lib.stride_tricks.as_strided(start, self.shape, tuple(s * item for s in self.strides))


def channels_last(layouts: list[Layout]) -> Ints | None:
    """The order of axes in which to walk through images whose channels (axis 1) lie last in memory, if one of these layouts is such an
    image."""
    for x in layouts:
        n = len(x.shape)
        if n < 3 or x.shape[1] == 1 or x.strides[1] != 1:
            continue
        order = (0, *range(2, n), 1)
        strides = [x.strides[i] for i in order if x.shape[i] != 1]
        if len(strides) > 1 and all(a > b for a, b in zip(strides, strides[1:])):
            return order
    return None


def transposition(layout: Layout) -> tuple[int, int, int] | None:
    """(batch, rows, columns) if the layout walks through matrices that lie one after the other, each by columns."""
    runs = layout.merged()
    if len(runs) == 2:
        runs = [(1, 0), *runs]
    if len(runs) != 3:
        return None
    (batch, step), (columns, across), (rows, down) = runs
    return (batch, rows, columns) if across == 1 and down == columns and (batch == 1 or step == rows * columns) else None
