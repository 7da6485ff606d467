"""Noise on actions, for agents whose policy is deterministic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, explain

Array = np.ndarray[Any, Any]


class Noise(Protocol):
    """`noise(shape, generator)` is added to actions between -1 and 1; `reset` where episodes ended."""

    def __call__(self, shape: tuple[int, ...], generator: Any) -> Array: ...

    def reset(self, ended: Array) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Normal:
    """Independent normal numbers of deviation `sigma`."""

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def __call__(self, shape: tuple[int, ...], generator: Any) -> Array:
        return self.sigma * flambeau.randn(shape, generator=generator).numpy()

    def reset(self, ended: Array) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


class OrnsteinUhlenbeck(Normal):
    """Numbers that wander around 0, so that pushes last: `x += -theta * x * dt + sigma * sqrt(dt) * normal`.

    Uhlenbeck and Ornstein 1930, "On the theory of Brownian motion"; for actions: Lillicrap et al. 2016 (arXiv 1509.02971).
    """

    def __init__(self, sigma: float, theta: float = 0.15, dt: float = 0.01) -> None:
        super().__init__(sigma)
        self.theta, self.dt = theta, dt
        self.now: Array | None = None

    def __call__(self, shape: tuple[int, ...], generator: Any) -> Array:
        if self.now is None:
            self.now = np.zeros(shape, np.float32)
        self.now = self.now - self.theta * self.dt * self.now + self.dt**0.5 * super().__call__(shape, generator)
        return self.now

    def reset(self, ended: Array) -> None:
        if self.now is not None:
            self.now = np.where(ended.reshape(-1, *(1,) * (self.now.ndim - 1)), np.float32(0), self.now)

    def state_dict(self) -> dict[str, Any]:
        return {"now": self.now}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.now = None if state["now"] is None else np.array(state["now"])


def make_noise(kind: str, sigma: float) -> Noise:
    """Noise by name: "normal" or "ornstein-uhlenbeck".

    >>> make_noise("normal", 0.1)((2, 3), None).shape
    (2, 3)
    """
    kinds = {"normal": Normal, "ornstein-uhlenbeck": OrnsteinUhlenbeck}
    if kind not in kinds:
        raise ArgumentError(explain("noise", expected=" or ".join(kinds), got=repr(kind)))
    return kinds[kind](sigma)
