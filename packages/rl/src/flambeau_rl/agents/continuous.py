"""What off-policy agents with continuous actions share: actions are kept between -1 and 1, and critics have slow copies."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box

import flambeau
from flambeau import Tensor, nn
from flambeau_rl.agents.off_policy import OffPolicyAgent
from flambeau_rl.networks import draw_weights
from flambeau_rl.q_functions import ContinuousCritic
from flambeau_rl.spaces import unsupported

Array = np.ndarray[Any, Any]


class ContinuousAgent(OffPolicyAgent):
    """For a bounded Box of actions. A subclass writes `make_actor_critic`, `explore`, `greedy` and `learn_from`."""

    def build_model(self) -> None:
        space = self.spaces.action
        if not (isinstance(space, Box) and np.issubdtype(space.dtype, np.floating) and space.is_bounded("both")):
            raise unsupported(f"{type(self).__name__}, action space (a bounded Box of floats)", space)
        self.space, self.n_actions = space, int(np.prod(space.shape))
        self.make_actor_critic()

    def make_actor_critic(self) -> None:
        """Make `self.model` and the optimizers."""
        raise NotImplementedError

    def greedy(self, observations: Tensor) -> Tensor:
        """The best known actions `(N, A)` between -1 and 1."""
        raise NotImplementedError

    def critic(self, count: int) -> ContinuousCritic:
        """A new critic."""
        made = ContinuousCritic(self.spaces.observation, self.n_actions, self.config.net_arch, count)
        draw_weights(made, self.random.generator)
        return made

    @property
    def kept_action(self) -> tuple[tuple[int, ...], Any]:
        return (self.n_actions,), np.float32

    def random_actions(self, count: int) -> Array:
        return 2.0 * flambeau.rand(count, self.n_actions, generator=self.random.generator).numpy() - 1.0

    def to_env(self, actions: Array) -> Array:
        low, high = self.space.low, self.space.high
        actions = actions.reshape(-1, *self.space.shape)
        return (low + 0.5 * (actions + 1.0) * (high - low)).astype(self.space.dtype)

    def predict_batch(self, observations: Tensor, deterministic: bool) -> Array:
        return self.to_env((self.greedy(observations) if deterministic else self.drawn(observations)).cpu().numpy())

    def drawn(self, observations: Tensor) -> Tensor:
        """Actions `(N, A)` of the policy as it learns; of a policy that is not random, the best ones."""
        return self.greedy(observations)


def frozen_copy(module: nn.Module, like: nn.Module) -> nn.Module:
    """`module` with the weights of `like`, and without gradient."""
    module.load_state_dict(like.state_dict())
    module.requires_grad_(False)
    return module
