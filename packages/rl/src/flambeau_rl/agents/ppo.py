"""Proximal policy optimisation with a clipped objective.

Schulman, Wolski, Dhariwal, Radford and Klimov 2017, "Proximal policy optimization algorithms" (arXiv 1707.06347), with the details that
Stable-Baselines3 has: orthogonal weights, advantages normalised in each minibatch, gradients clipped, Adam with eps 1e-5, and time limits
that are not taken for ends ("The 37 implementation details of proximal policy optimization", Huang et al. 2022, describes them all).

In short: play `n_steps` steps in every environment with the policy as it is; estimate how much better each action was than expected (GAE);
then, for `n_epochs` passes over these steps in minibatches, make good actions likelier and bad ones rarer, but stop pushing an action whose
probability has changed by more than `clip_range` already. Repeat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

import flambeau
from flambeau import Tensor, minimum, no_grad
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau.nn.utils import clip_grad_norm_
from flambeau.optim import Adam
from flambeau_rl.agents.on_policy import OnPolicyAgent, explained_variance
from flambeau_rl.buffers import Batch, minibatches, tensors
from flambeau_rl.schedules import schedule


@dataclass(frozen=True)
class PPOConfig:
    """The settings of PPO.

    Every default is that of Stable-Baselines3 2.9 (`stable_baselines3/ppo/ppo.py`); where it is also that of the paper (table 3, MuJoCo),
    its line says so. A schedule is a number, or text such as "lin_2.5e-4", which falls linearly to 0.
    """

    learning_rate: Annotated[float | str, "step size of Adam, a schedule; the paper's"] = 3e-4
    n_steps: Annotated[int, "steps of each environment between two updates; the paper's horizon"] = 2048
    batch_size: Annotated[int, "steps in a minibatch; the paper's"] = 64
    n_epochs: Annotated[int, "passes over the collected steps; the paper's"] = 10
    gamma: Annotated[float, "discount of a reward that comes a step later; the paper's"] = 0.99
    gae_lambda: Annotated[float, "0 trusts the value function, 1 the rewards; the paper's"] = 0.95
    clip_range: Annotated[float | str, "how far a probability may move in one update, a schedule; the paper's"] = 0.2
    clip_range_vf: Annotated[float | str | None, "the same for values, which depends on the scale of rewards; none: no clipping"] = None
    normalize_advantage: Annotated[bool, "advantages of each minibatch to mean 0 and deviation 1"] = True
    ent_coef: Annotated[float, "weight of the entropy in the objective, against settling too early"] = 0.0
    vf_coef: Annotated[float, "weight of the value loss"] = 0.5
    max_grad_norm: Annotated[float, "gradients with a larger norm are scaled down to it"] = 0.5
    target_kl: Annotated[float | None, "end an update when the policy has moved 1.5 times this far (KL divergence); none: never"] = None
    net_arch: Annotated[tuple[int, ...], "hidden units of the policy's and of the value's network; the paper's"] = (64, 64)
    log_std_init: Annotated[float, "where the logarithm of the deviation of continuous actions begins"] = 0.0
    adam_eps: Annotated[float, "Adam's eps (from OpenAI Baselines)"] = 1e-5

    def __post_init__(self) -> None:
        for name in ("n_steps", "batch_size", "n_epochs"):
            if getattr(self, name) < 1:
                raise ArgumentError(explain("PPOConfig", expected=f"{name} of 1 or more", got=str(getattr(self, name))))
        for name in ("gamma", "gae_lambda"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ArgumentError(explain("PPOConfig", expected=f"{name} from 0 to 1", got=str(getattr(self, name))))
        for value in (self.learning_rate, self.clip_range, self.clip_range_vf or 0.0):
            schedule(value)


class PPO(OnPolicyAgent):
    """Proximal policy optimisation for Box, Discrete, MultiDiscrete and MultiBinary actions.

    >>> agent = PPO("CartPole-v1", PPOConfig(n_steps=16, batch_size=8, n_epochs=1))
    >>> metrics = agent.learn(32)
    >>> agent.step, sorted(metrics)[:3]
    (32, ['approx_kl', 'clip_fraction', 'entropy'])
    >>> agent.predict([0.0, 0.0, 0.05, 0.0]) in (0, 1)
    True
    """

    name = "ppo"
    config_type = PPOConfig
    config: PPOConfig

    def make_optimizer(self, weights: list[Any]) -> Adam:
        return Adam(weights, lr=1.0, eps=self.config.adam_eps)  # the schedule sets lr before each update

    def update(self, batch: Batch) -> dict[str, float]:
        """Learn from a rollout, and return the means of each minibatch's numbers."""
        config, remaining = self.config, self.remaining
        ranges = (config.clip_range, config.clip_range_vf or 0.0)
        clips = [flambeau.tensor(schedule(value)(remaining), device=self.device) for value in ranges]
        lr = self.set_learning_rate(config.learning_rate)
        numbers: list[dict[str, Tensor]] = []
        for minibatch in self._passes(batch):
            parts = (*clips, *tensors(minibatch))
            if config.target_kl is None:
                numbers.append(self._improve(*parts))
                continue
            loss, measured = self._measure(*parts)
            numbers.append(measured)
            if measured["approx_kl"].item() > 1.5 * config.target_kl:
                break
            self._follow(loss)
        means = {name: float(np.mean([row[name].item() for row in numbers])) for name in numbers[0]}
        self.loss = means.pop("loss")
        return {**means, "explained_variance": explained_variance(batch), "lr": lr}

    def make_steps(self) -> None:
        super().make_steps()
        self._improve = self.compiled(self._improve_eagerly)

    def _improve_eagerly(self, *parts: Tensor) -> dict[str, Tensor]:
        loss, measured = self._measure(*parts)
        self._follow(loss)
        return measured

    def _measure(self, clip: Tensor, clip_values: Tensor, *batch: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss, measured = self.losses(Batch(*batch), clip, None if self.config.clip_range_vf is None else clip_values)
        return loss, {"loss": loss.detach(), **measured}

    def _follow(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(self.weights, self.config.max_grad_norm)
        self.optimizer.step()

    def _passes(self, batch: Batch) -> Iterator[Batch]:
        for _ in range(self.config.n_epochs):
            yield from minibatches(batch, self.config.batch_size, self.random.generator)

    def losses(self, batch: Batch, clip: Tensor | float, clip_values: Tensor | float | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a minibatch, and numbers that tell how it goes; all tensors with one element."""
        config = self.config
        distribution, values = self.model(batch.observations)
        log_ratios = distribution.log_prob(batch.actions) - batch.log_probs
        ratios = log_ratios.exp()
        advantages = _normalized(batch.advantages) if config.normalize_advantage else batch.advantages
        policy_loss = -minimum(advantages * ratios, advantages * ratios.clamp(1.0 - clip, 1.0 + clip)).mean()
        if clip_values is not None:
            values = batch.values + (values - batch.values).clamp(-clip_values, clip_values)
        value_loss = F.mse_loss(values, batch.returns)
        entropy = distribution.entropy().mean()
        loss = policy_loss + config.vf_coef * value_loss
        if config.ent_coef:
            loss = loss - config.ent_coef * entropy
        with no_grad():
            log_ratios, ratios = log_ratios.detach(), ratios.detach()
            approx_kl = (ratios - 1.0 - log_ratios).mean()  # http://joschu.net/blog/kl-approx.html, the third estimator
            clip_fraction = ((ratios - 1.0).abs() > clip).float().mean()
        return loss, {
            "policy_loss": policy_loss.detach(),
            "value_loss": value_loss.detach(),
            "entropy": entropy.detach(),
            "approx_kl": approx_kl,
            "clip_fraction": clip_fraction,
        }


def _normalized(advantages: Tensor) -> Tensor:
    if len(advantages) < 2:
        return advantages  # one number has no deviation
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)
