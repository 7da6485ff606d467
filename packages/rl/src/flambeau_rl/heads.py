"""Action heads: how many outputs a network needs for an action space, what they mean, and how an action is told to the environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space

from flambeau import Tensor
from flambeau_rl.distributions import Bernoulli, Categorical, DiagGaussian, Distribution, MultiCategorical
from flambeau_rl.spaces import unsupported

Array = np.ndarray[Any, Any]


class Head(Protocol):
    """An action space, seen from a policy.

    `size` outputs for each row; actions are kept as `(N, *shape)` of `dtype`; `has_scale` says that the policy has a parameter `log_std`.
    """

    size: int
    shape: tuple[int, ...]
    dtype: Any
    has_scale: bool

    def distribution(self, outputs: Tensor, log_std: Tensor | None) -> Distribution:
        """What the outputs `(N, size)` mean."""

    def to_env(self, actions: Array) -> Array:
        """Kept actions as the environment takes them."""


@dataclass(frozen=True)
class DiscreteHead:
    """Logits of one choice."""

    space: Discrete
    shape = ()
    dtype = np.int64
    has_scale = False

    @property
    def size(self) -> int:
        return int(self.space.n)

    def distribution(self, outputs: Tensor, log_std: Tensor | None) -> Distribution:
        return Categorical(outputs)

    def to_env(self, actions: Array) -> Array:
        return actions + self.space.start if self.space.start else actions


@dataclass(frozen=True)
class MultiDiscreteHead:
    """Logits of several choices, one after the other."""

    space: MultiDiscrete
    dtype = np.int64
    has_scale = False

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.space.nvec.size,)

    @property
    def size(self) -> int:
        return int(self.space.nvec.sum())

    def distribution(self, outputs: Tensor, log_std: Tensor | None) -> Distribution:
        return MultiCategorical(outputs, self.space.nvec.reshape(-1).tolist())

    def to_env(self, actions: Array) -> Array:
        return (actions.reshape(-1, *self.space.shape) + self.space.start).astype(self.space.dtype)


@dataclass(frozen=True)
class MultiBinaryHead:
    """Logits of yes-or-no choices."""

    space: MultiBinary
    dtype = np.float32
    has_scale = False

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size,)

    @property
    def size(self) -> int:
        return int(np.prod(self.space.shape))

    def distribution(self, outputs: Tensor, log_std: Tensor | None) -> Distribution:
        return Bernoulli(outputs)

    def to_env(self, actions: Array) -> Array:
        return actions.reshape(-1, *self.space.shape).astype(self.space.dtype)


@dataclass(frozen=True)
class BoxHead:
    """Means of normal numbers. The environment gets them clipped to the space's bounds; the policy remembers what it drew."""

    space: Box
    dtype = np.float32
    has_scale = True

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size,)

    @property
    def size(self) -> int:
        return int(np.prod(self.space.shape))

    def distribution(self, outputs: Tensor, log_std: Tensor | None) -> Distribution:
        assert log_std is not None
        return DiagGaussian(outputs, log_std)

    def to_env(self, actions: Array) -> Array:
        return np.clip(actions.reshape(-1, *self.space.shape), self.space.low, self.space.high).astype(self.space.dtype)


def make_head(space: Space[Any]) -> Head:
    """The head for an action space. Raises ArgumentTypeError for one that is not supported.

    >>> make_head(Discrete(2)).size
    2
    """
    if isinstance(space, Discrete):
        return DiscreteHead(space)
    if isinstance(space, MultiDiscrete):
        return MultiDiscreteHead(space)
    if isinstance(space, MultiBinary):
        return MultiBinaryHead(space)
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating):
        return BoxHead(space)
    raise unsupported("action space", space)
