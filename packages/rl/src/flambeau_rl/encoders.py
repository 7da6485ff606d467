"""From observations to the numbers that a network takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space

import flambeau
from flambeau import Tensor, nn
from flambeau_rl.spaces import is_image, unsupported


class FlattenEncoder(nn.Module):
    """Observations `(N, *shape)` of a space -> features `(N, size)`, float32. It has no parameters.

    | space         | features                                                  |
    |---------------|-----------------------------------------------------------|
    | Box           | all numbers in one row; pictures (uint8) divided by 255   |
    | Discrete      | one-hot                                                   |
    | MultiDiscrete | one-hot of each number, one after the other               |
    | MultiBinary   | 0.0 and 1.0                                               |

    >>> FlattenEncoder(Discrete(3))(flambeau.tensor([2]))
    tensor([[0., 0., 1.]])
    """

    def __init__(self, space: Space[Any]) -> None:
        super().__init__()
        self.is_image = is_image(space)
        self.offsets: Tensor | None
        choices = _choices(space)
        if choices is None:
            self.size = int(np.prod(space.shape or ()))
            self.register_buffer("offsets", None)
        else:
            counts, starts = choices
            self.size = int(counts.sum())
            # where the features of each number begin, less its smallest value
            offsets = (np.cumsum(counts) - counts - starts).astype(np.int64)
            self.register_buffer("offsets", flambeau.from_numpy(offsets), persistent=False)

    def forward(self, observations: Tensor) -> Tensor:
        if self.offsets is not None:
            places = observations.reshape(observations.shape[0], -1).long() + self.offsets
            return (places.unsqueeze(-1) == flambeau.arange(self.size, device=places.device)).any(1).float()
        features = observations.flatten(1).float()
        return features / 255.0 if self.is_image else features


def _choices(space: Space[Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """How many values each number of a discrete space has, and its smallest; None where observations are features already."""
    if isinstance(space, Discrete):
        return np.array([space.n]), np.array([space.start])
    if isinstance(space, MultiDiscrete):
        return space.nvec.reshape(-1), space.start.reshape(-1)
    if isinstance(space, (Box, MultiBinary)):
        return None
    raise unsupported("observation space", space)
