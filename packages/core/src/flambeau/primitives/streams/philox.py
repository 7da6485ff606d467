"""The default stream: Philox4x64-10, counter-based, so that any device can produce any part of it on its own.

The state is (seed, offset). Block i of the stream is four uint64 words, philox4x64_10(counter=i, key=(seed, 0)); offset is the number of
the next block. **Every draw starts at a fresh block and uses ceil(words / 4) blocks**; words are taken in order. The mapping from words
to numbers is part of the contract, because machine code and CUDA reproduce it:

=============  ===========================================================================================================
halves         a word is two 32-bit numbers, the low half first; n float32 numbers use ceil(n / 2) words
uniform        float64: (word >> 11) * 2**-53.  float32: (half >> 8) * 2**-24.  float16 and bfloat16: the top 11 and 8 bits of a half,
               that is the float32 number cut off, so that 1 never appears.  [low, high): low + u * (high - low), and low where that
               rounds to high
normal         Box-Muller. float32: pair i uses word i; u = ((low half >> 8) + 1) * 2**-24 in (0, 1], v = (high half >> 8) * 2**-24,
               r = sqrt(-2 log u), t = float32(2 pi) * v; out[2i] = r cos t, out[2i + 1] = r sin t, all in float32. float64: pair i uses
               words 2i and 2i + 1, with 53 bits each. 16-bit floats are rounded from float32.  Then * std + mean
randint        low + word % (high - low), one word a number
integers       word % (largest + 1)
permutation    the stable ascending argsort of n words
bernoulli      u < p with the float32 uniform and p rounded to float32; the float64 uniform where p is a float64 array
exponential    -log(u) / rate; float32: u = ((half >> 9) + 1/2) * 2**-23, float64: u = ((word >> 12) + 1/2) * 2**-52, never 0 nor 1
=============  ===========================================================================================================

The words are the same everywhere. log, sin and cos may differ in the last bit between array libraries.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, explain
from flambeau.primitives.kernels.philox import philox_blocks
from flambeau.primitives.streams.base import Array, Shape, Stream, cast

_MASK = (1 << 64) - 1
_BITS = {"float16": 11, "bfloat16": 8}


class PhiloxStream(Stream):
    """Draws from Philox; see the module's table for the exact mapping.

    >>> PhiloxStream(0).uniform((2,), np.float32)
    array([0.7898894 , 0.08723909], dtype=float32)
    """

    name = "philox"

    def seed(self, seed: int) -> None:
        self._seed, self._offset = operator.index(seed) & _MASK, 0
        self._bits: Any = None
        self._aligned = -1

    def initial_seed(self) -> int:
        return self._seed

    @property
    def offset(self) -> int:
        """Number of the next block."""
        return self._offset

    def advance(self, blocks: int) -> int:
        """Skip blocks that another executor draws itself; returns the number of the first one."""
        start = self._offset
        self._offset = (start + blocks) & _MASK
        return start

    def get_state(self) -> np.ndarray:
        return np.array([self._seed, self._offset], dtype="<u8").view(np.uint8)

    def set_state(self, state: np.ndarray) -> None:
        state = np.ascontiguousarray(state, dtype=np.uint8)
        if state.shape != (16,):
            raise ArgumentError(explain("set_state", expected="16 bytes (seed and offset of a philox stream)", got=f"shape {state.shape}"))
        seed, offset = (int(v) for v in state.view("<u8"))
        self.seed(seed)
        self._offset = offset

    def random_bits(self, n: int) -> Array:
        blocks = -(-n // 4)
        start = self.advance(blocks)
        if self.xp is not np:
            return philox_blocks(self.xp, self._seed, start, blocks).reshape(-1)[:n]
        if self._aligned != start:
            self._align(start)
        self._aligned = start + blocks  # not wrapped: past 2**64 the counter and the offset part
        return self._bits.random_raw(4 * blocks)[:n]

    def _align(self, start: int) -> None:
        """Point NumPy's bit generator at a block; it counts up before it encrypts, so it is set to the block before."""
        if self._bits is None:
            self._bits = np.random.Philox(key=self._seed)
        counter = (start - 1) & ((1 << 256) - 1)
        state = self._bits.state
        state["state"]["counter"] = np.array([(counter >> s) & _MASK for s in (0, 64, 128, 192)], dtype=np.uint64)
        state["state"]["key"] = np.array([self._seed, 0], dtype=np.uint64)
        state["buffer_pos"] = 4
        self._bits.state = state

    def _halves(self, n: int) -> Array:
        return self.random_bits(-(-n // 2)).astype("<u8", copy=False).view("<u4")[:n]

    def _unit(self, n: int, dtype: np.dtype[Any]) -> Array:
        """n floats in [0, 1)."""
        scale: Any
        if dtype.itemsize == 8:
            words = self.random_bits(n)
            words >>= np.uint64(11)
            unit, scale = words.astype(np.float64), np.float64(2.0**-53)
        else:
            bits = _BITS[dtype.name] if dtype.itemsize == 2 else 24
            words = self._halves(n)
            words >>= np.uint32(32 - bits)
            unit, scale = words.astype(np.float32), np.float32(2.0**-bits)
        unit *= scale
        return unit.astype(dtype, copy=False)

    def uniform(self, shape: Shape, dtype: Any, low: float = 0.0, high: float = 1.0) -> Array:
        dtype = np.dtype(dtype)
        unit = self._unit(math.prod(shape), dtype).reshape(shape)
        if low == 0.0 and high == 1.0:
            return unit
        work = np.float64 if dtype == np.float64 else np.float32
        values = (unit.astype(work, copy=False) * work(work(high) - work(low)) + work(low)).astype(dtype, copy=False)
        ends = np.array([low, high]).astype(dtype)
        return self.xp.where(values == ends[1], ends[0], values)

    def normal(self, shape: Shape, dtype: Any, mean: float = 0.0, std: float = 1.0) -> Array:
        xp, dtype, n = self.xp, np.dtype(dtype), math.prod(shape)
        pairs = -(-n // 2)
        work, unit, drop = (np.float64, 2.0**-53, np.uint64(11)) if dtype == np.float64 else (np.float32, 2.0**-24, np.uint32(8))
        words = self.random_bits(2 * pairs) if dtype == np.float64 else self._halves(2 * pairs)
        words >>= drop
        numbers = words.astype(work).reshape(pairs, 2)
        radius = xp.sqrt(work(-2) * xp.log((numbers[:, 0] + work(1)) * work(unit)))
        angle = (numbers[:, 1] * work(unit)) * work(2 * math.pi)
        out = xp.empty((pairs, 2), dtype=work)
        xp.multiply(radius, xp.cos(angle), out=out[:, 0])
        xp.multiply(radius, xp.sin(angle), out=out[:, 1])
        values = out.reshape(-1)[:n].reshape(shape)
        if mean != 0.0 or std != 1.0:
            values = values * work(std) + work(mean)
        return values.astype(dtype, copy=False)

    def randint(self, low: int, high: int, shape: Shape, dtype: Any) -> Array:
        words = self.random_bits(math.prod(shape))
        if high - low <= _MASK:
            words = words % np.uint64(high - low)
        return cast((words + np.uint64(low & _MASK)).view(np.int64 if low < 0 or high <= 1 << 63 else np.uint64).reshape(shape), dtype)

    def integers(self, shape: Shape, dtype: Any) -> Array:
        return self.randint(0, largest(dtype) + 1, shape, dtype)

    def permutation(self, n: int, dtype: Any) -> Array:
        return self.xp.argsort(self.random_bits(n), kind="stable").astype(dtype, copy=False)

    def bernoulli(self, p: Any, shape: Shape, dtype: Any) -> Array:
        xp, n = self.xp, math.prod(shape)
        if isinstance(p, (int, float)):
            limit = math.ceil(float(np.float32(p)) * 2.0**24) << 8  # u < p, asked of the bits themselves
            hits = self._halves(n) < np.uint32(limit) if limit < 1 << 32 else xp.ones(self._halves(n).shape, dtype=bool)
            return hits.reshape(shape).astype(dtype)
        double = p.dtype == np.float64
        unit = self._unit(n, np.dtype(np.float64 if double else np.float32)).reshape(shape)
        return (unit < p.astype(unit.dtype, copy=False)).astype(dtype)

    def exponential(self, shape: Shape, dtype: Any, rate: float = 1.0) -> Array:
        n, dtype = math.prod(shape), np.dtype(dtype)
        if dtype == np.float64:
            unit = ((self.random_bits(n) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
        else:
            unit = ((self._halves(n) >> np.uint32(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
        return cast((-self.xp.log(unit) / unit.dtype.type(rate)).reshape(shape), dtype)


def largest(dtype: Any) -> int:
    """The largest integer up to which the dtype holds all integers."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        return int(np.iinfo(dtype).max)
    return 1 if dtype.kind == "b" else 1 << {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}[dtype.name]
