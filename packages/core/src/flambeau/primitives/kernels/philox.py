"""Philox4x64-10: counter-based random words, written out in uint64 arithmetic for any array module.

Salmon, Moraes, Dror and Shaw 2011, "Parallel Random Numbers: As Easy as 1, 2, 3". This is the definition that every other implementation
(NumPy's bit generator on the CPU, machine code, CUDA) is tested against.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any

ROUNDS = 10
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_MASK = (1 << 64) - 1


def multiply_high(xp: Any, a: Array, b: int) -> Array:
    """The upper 64 bits of the 128-bit product of uint64 a and the constant b."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    a0, a1 = a & low, a >> half
    b0, b1 = np.uint64(b & 0xFFFFFFFF), np.uint64(b >> 32)
    middle = a1 * b0 + ((a0 * b0) >> half)
    other = a0 * b1 + (middle & low)
    return a1 * b1 + (middle >> half) + (other >> half)


def philox_round(xp: Any, words: tuple[Array, ...], key: tuple[int, int]) -> tuple[Array, ...]:
    """One round on four uint64 arrays."""
    c0, c1, c2, c3 = words
    m0, m1 = MULTIPLIERS
    return (
        multiply_high(xp, c2, m1) ^ c1 ^ np.uint64(key[0]),
        c2 * np.uint64(m1),
        multiply_high(xp, c0, m0) ^ c3 ^ np.uint64(key[1]),
        c0 * np.uint64(m0),
    )


def philox(xp: Any, words: tuple[Array, ...], key: tuple[int, int]) -> tuple[Array, ...]:
    """Encrypt the counters `words` (four uint64 arrays, least significant first) with `key`."""
    for i in range(ROUNDS):
        words = philox_round(xp, words, ((key[0] + i * WEYL[0]) & _MASK, (key[1] + i * WEYL[1]) & _MASK))
    return words


def philox_blocks(xp: Any, seed: int, offset: int, n: int) -> Array:
    """Blocks offset, offset + 1, ... of the stream of `seed`: uint64 (n, 4). Block i encrypts the counter i with the key (seed, 0).

    >>> import numpy as np
    >>> philox_blocks(np, 0, 0, 1)[0, 0]
    np.uint64(1609277786247541068)
    """
    low = xp.arange(n, dtype=np.uint64) + np.uint64(offset & _MASK)
    carry = (low < np.uint64(offset & _MASK)).astype(np.uint64)
    zero = xp.zeros(n, dtype=np.uint64)
    return xp.stack(philox(xp, (low, carry + np.uint64((offset >> 64) & _MASK), zero, zero), (seed & _MASK, 0)), axis=-1)
