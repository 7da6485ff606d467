"""Advantage actor-critic, the synchronous form of A3C.

Mnih et al. 2016, "Asynchronous methods for deep reinforcement learning" (arXiv 1602.01783), as Stable-Baselines3 has it: a few steps in
every environment, one update with all of them, RMSProp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from flambeau import Tensor
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau.nn.utils import clip_grad_norm_
from flambeau.optim import Adam, Optimizer, RMSprop
from flambeau_rl.agents.on_policy import OnPolicyAgent, explained_variance
from flambeau_rl.buffers import Batch, tensors
from flambeau_rl.schedules import schedule


@dataclass(frozen=True)
class A2CConfig:
    """The settings of A2C. Every default is that of Stable-Baselines3 2.9 (`stable_baselines3/a2c/a2c.py`)."""

    learning_rate: Annotated[float | str, "step size, a schedule"] = 7e-4
    n_steps: Annotated[int, "steps of each environment between two updates"] = 5
    gamma: Annotated[float, "discount of a reward that comes a step later"] = 0.99
    gae_lambda: Annotated[float, "1: advantages are returns less values, as in the paper"] = 1.0
    ent_coef: Annotated[float, "weight of the entropy in the objective"] = 0.0
    vf_coef: Annotated[float, "weight of the value loss"] = 0.5
    max_grad_norm: Annotated[float, "gradients with a larger norm are scaled down to it"] = 0.5
    rms_prop_eps: Annotated[float, "eps of RMSProp"] = 1e-5
    use_rms_prop: Annotated[bool, "RMSProp, as in the paper; otherwise Adam"] = True
    normalize_advantage: Annotated[bool, "advantages of each update to mean 0 and deviation 1"] = False
    net_arch: Annotated[tuple[int, ...], "hidden units of the policy's and of the value's network"] = (64, 64)
    log_std_init: Annotated[float, "where the logarithm of the deviation of continuous actions begins"] = 0.0

    def __post_init__(self) -> None:
        if self.n_steps < 1:
            raise ArgumentError(explain("A2CConfig", expected="n_steps of 1 or more", got=str(self.n_steps)))
        for name in ("gamma", "gae_lambda"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ArgumentError(explain("A2CConfig", expected=f"{name} from 0 to 1", got=str(getattr(self, name))))
        schedule(self.learning_rate)


class A2C(OnPolicyAgent):
    """Advantage actor-critic for Box, Discrete, MultiDiscrete and MultiBinary actions.

    >>> agent = A2C("CartPole-v1")
    >>> metrics = agent.learn(20)
    >>> agent.step, sorted(metrics)[:2]
    (20, ['entropy', 'explained_variance'])
    """

    name = "a2c"
    config_type = A2CConfig
    config: A2CConfig

    def make_optimizer(self, weights: list[Any]) -> Optimizer:
        config = self.config
        if config.use_rms_prop:
            return RMSprop(weights, lr=1.0, alpha=0.99, eps=config.rms_prop_eps)
        return Adam(weights, lr=1.0, eps=1e-5)

    def update(self, batch: Batch) -> dict[str, float]:
        lr = self.set_learning_rate(self.config.learning_rate)
        measured = {name: value.item() for name, value in self._improve(*tensors(batch)).items()}
        self.loss = measured.pop("loss")
        return {**measured, "explained_variance": explained_variance(batch), "lr": lr}

    def make_steps(self) -> None:
        super().make_steps()
        self._improve = self.compiled(self._improve_eagerly)

    def _improve_eagerly(self, *batch: Tensor) -> dict[str, Tensor]:
        loss, measured = self.losses(Batch(*batch))
        self.optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(self.weights, self.config.max_grad_norm)
        self.optimizer.step()
        return {"loss": loss.detach(), **measured}

    def losses(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a rollout, and numbers that tell how it goes."""
        config = self.config
        distribution, values = self.model(batch.observations)
        advantages = batch.advantages
        if config.normalize_advantage and len(batch) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        policy_loss = -(advantages * distribution.log_prob(batch.actions)).mean()
        value_loss = F.mse_loss(values, batch.returns)
        entropy = distribution.entropy().mean()
        loss = policy_loss + config.vf_coef * value_loss
        if config.ent_coef:
            loss = loss - config.ent_coef * entropy
        return loss, {"policy_loss": policy_loss.detach(), "value_loss": value_loss.detach(), "entropy": entropy.detach()}
