"""Working memory of programs. Small programs have their own; large ones borrow a block for each run, so that many programs that run one
after the other (the kernels of eager code above all) take no more memory than the largest of them."""

from __future__ import annotations

import numpy as np

from flambeau.codegen.memory import ALIGN

OWN = 1 << 16  # bytes up to which a program keeps its memory: borrowing costs a part of a microsecond


class Blocks:
    """Blocks that nobody uses now, as many as programs ever ran at the same time. Taking and giving back are single steps of a list, which
    threads cannot come between."""

    def __init__(self) -> None:
        self.free: list[np.ndarray] = []

    def take(self, nbytes: int) -> np.ndarray:
        """At least that many bytes; a free block that is too small is let go for a larger one."""
        try:
            block = self.free.pop()
        except IndexError:
            return aligned(nbytes)
        if block.nbytes >= nbytes:
            return block
        del block  # first, so that both need not be there at once
        return aligned(nbytes)

    def give(self, block: np.ndarray) -> None:
        """The block is free again."""
        self.free.append(block)


BLOCKS = Blocks()


def aligned(nbytes: int) -> np.ndarray:
    """Bytes of memory that start at a multiple of a cache line."""
    raw = np.zeros(nbytes + ALIGN, np.uint8)
    start = -raw.ctypes.data % ALIGN
    return raw[start : start + nbytes]


NOTHING = aligned(0)
