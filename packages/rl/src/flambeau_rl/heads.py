"""Action heads: how many outputs a network needs for an action space, what they mean, and how an action is told to the environment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space

from flambeau import Tensor
from flambeau_rl.distributions import Bernoulli, Categorical, DiagGaussian, Distribution, MultiCategorical
from flambeau_rl.spaces import unsupported

Array = np.ndarray[Any, Any]


class Head(ABC):
    """An action space, seen from a policy.

    Attributes:
        size: how many outputs of the network an action needs.
        shape: of an action as it is kept; a batch is `(N, *shape)`.
        dtype: likewise.
        has_scale: whether the policy has a parameter `log_std`.
    """

    dtype: Any = np.int64
    has_scale = False

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        self.size = size
        self.shape = shape

    @abstractmethod
    def distribution(self, outputs: Tensor, log_std: Tensor | None) -> Distribution:
        """What the outputs `(N, size)` mean."""

    @abstractmethod
    def to_env(self, actions: Array) -> Array:
        """Kept actions as the environment takes them."""


class DiscreteHead(Head):
    """Logits of one choice."""

    def __init__(self, space: Discrete) -> None:
        super().__init__(int(space.n), ())
        self.start = int(space.start)

    def distribution(self, outputs: Tensor, log_std: Tensor | None) -> Distribution:
        return Categorical(outputs)

    def to_env(self, actions: Array) -> Array:
        return actions + self.start if self.start else actions


class MultiDiscreteHead(Head):
    """Logits of several choices, one after the other."""

    def __init__(self, space: MultiDiscrete) -> None:
        self.counts: list[int] = space.nvec.reshape(-1).tolist()
        self.space = space
        super().__init__(sum(self.counts), (len(self.counts),))

    def distribution(self, outputs: Tensor, log_std: Tensor | None) -> Distribution:
        return MultiCategorical(outputs, self.counts)

    def to_env(self, actions: Array) -> Array:
        return (actions.reshape(-1, *self.space.shape) + self.space.start).astype(self.space.dtype)


class MultiBinaryHead(Head):
    """Logits of yes-or-no choices."""

    dtype = np.float32

    def __init__(self, space: MultiBinary) -> None:
        self.space = space
        size = int(np.prod(space.shape))
        super().__init__(size, (size,))

    def distribution(self, outputs: Tensor, log_std: Tensor | None) -> Distribution:
        return Bernoulli(outputs)

    def to_env(self, actions: Array) -> Array:
        return actions.reshape(-1, *self.space.shape).astype(self.space.dtype)


class BoxHead(Head):
    """Means of normal numbers. The environment gets them clipped to the space's bounds; the policy remembers what it drew."""

    dtype = np.float32
    has_scale = True

    def __init__(self, space: Box) -> None:
        self.space = space
        size = int(np.prod(space.shape))
        super().__init__(size, (size,))

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
