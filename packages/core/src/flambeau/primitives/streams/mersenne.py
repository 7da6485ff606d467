"""The MT19937 engine behind PyTorch's CPU generator, and its 5056-byte saved state.

Matsumoto and Nishimura 1998, "Mersenne Twister". NumPy's engine produces the words; only seeding, position and the saved layout are mapped.
"""

from __future__ import annotations

import numpy as np

from flambeau.base.errors import ArgumentError, explain

_SIZE = 624
_STATE = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),
        ("seeded", "<i4"),
        ("next", "<u8"),
        ("words", "<u8", (_SIZE,)),
        ("normal_x", "<f8"),
        ("normal_y", "<f8"),
        ("normal_rho", "<f8"),
        ("has_normal", "<i4"),
        ("gap", "<i4"),
        ("float_normal", "<f4"),
        ("has_float_normal", "<i4"),
    ]
)


class Mersenne:
    """32-bit words in PyTorch's order, plus the second half of a pair of normals that waits for the next call."""

    def __init__(self, seed: int) -> None:
        self.seed = seed & ((1 << 64) - 1)
        self.waiting: float | None = None
        self._fresh = True
        self._engine = np.random.RandomState(self.seed & 0xFFFFFFFF)

    def words32(self, n: int) -> np.ndarray:
        """The next n words, uint32."""
        if n == 0:
            return np.empty(0, dtype=np.uint32)
        self._fresh = False
        return self._engine.randint(0, 1 << 32, size=n, dtype=np.uint32)

    def words64(self, n: int) -> np.ndarray:
        """The next n pairs of words as uint64, the earlier word on top."""
        words = self.words32(2 * n).astype(np.uint64)
        return (words[0::2] << np.uint64(32)) | words[1::2]

    def save(self) -> np.ndarray:
        """The state as PyTorch's `get_rng_state` lays it out: uint8 (5056,)."""
        engine = self._engine.get_state(legacy=False)["state"]
        words, position = engine["key"], int(engine["pos"])
        record = np.zeros(1, dtype=_STATE)
        record["seed"], record["seeded"], record["words"] = self.seed, 1, words
        record["left"], record["next"] = (1, 0) if self._fresh else (_SIZE + 1 - position, position)
        if self.waiting is not None:
            record["normal_y"], record["has_normal"] = self.waiting, 1
        return record.view(np.uint8)

    def load(self, state: np.ndarray) -> None:
        """Continue from a saved state, ours or PyTorch's."""
        state = np.ascontiguousarray(state, dtype=np.uint8)
        if state.shape != (_STATE.itemsize,):
            raise ArgumentError(
                explain("set_state", expected=f"the {_STATE.itemsize} bytes of PyTorch's CPU generator", got=f"shape {state.shape}")
            )
        record = state.view(_STATE)[0]
        left, position = int(record["left"]), int(record["next"])
        self._fresh = (left, position) == (1, 0)
        if not self._fresh and (left + position != _SIZE + 1 or not 1 <= position <= _SIZE):
            raise ArgumentError(explain("set_state", expected="the state of an MT19937 engine", got=f"left {left}, next {position}"))
        self.seed = int(record["seed"])
        self.waiting = float(record["normal_y"]) if record["has_normal"] else None
        engine = {"key": record["words"].astype(np.uint32), "pos": _SIZE if self._fresh else position}
        self._engine.set_state({"bit_generator": "MT19937", "state": engine, "has_gauss": 0, "gauss": 0.0})
