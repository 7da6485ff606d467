"""One loop with two optimizers for GANs: the classic loss, or Wasserstein with a gradient penalty."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F


def gradient_penalty(discriminator: Any, real: Any, fake: Any, *conditions: Any) -> Any:
    """How far the slopes of the discriminator between real and fake images are from 1 (Gulrajani et al. 2017,
    https://arxiv.org/abs/1704.00028): the mean of (|gradient| - 1) ** 2. Differentiable, for which gradients of gradients are needed."""
    share = flambeau.rand(real.shape[0], *[1] * (real.ndim - 1), device=real.device)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    scores = discriminator(between, *conditions)
    (slope,) = flambeau.autograd.grad(scores.sum(), between, create_graph=True)
    return ((slope.flatten(1).square().sum(1) + 1e-12).sqrt() - 1).square().mean()


class GANTrainer:
    """Trains a generator against a discriminator, one batch at a time.

    Args:
        generator: `generator(noise, *conditions)` gives images.
        discriminator: `discriminator(images, *conditions)` gives one logit each.
        optimizer_g, optimizer_d: of the two.
        loss: "bce" (Goodfellow et al. 2014, with the generator's log D) or "wgan-gp".
        penalty: weight of the gradient penalty.
        critic_steps: batches that the discriminator learns from for each that the generator does; 5 is usual for "wgan-gp".
    """

    def __init__(
        self,
        generator: Any,
        discriminator: Any,
        optimizer_g: Any,
        optimizer_d: Any,
        loss: str = "bce",
        penalty: float = 10.0,
        critic_steps: int = 1,
    ) -> None:
        if loss not in ("bce", "wgan-gp"):
            raise ArgumentError(explain("GANTrainer", expected="loss 'bce' or 'wgan-gp'", got=repr(loss)))
        if critic_steps < 1:
            raise ArgumentError(explain("GANTrainer", expected="critic_steps of 1 or more", got=repr(critic_steps)))
        self.generator, self.discriminator = generator, discriminator
        self.optimizer_g, self.optimizer_d = optimizer_g, optimizer_d
        self.loss, self.penalty, self.critic_steps = loss, penalty, critic_steps
        self.batches = 0

    def _noise(self, images: Any) -> Any:
        return flambeau.randn(images.shape[0], self.generator.latent_dim, device=images.device)

    def step(self, images: Any, *conditions: Any) -> dict[str, float]:
        """Learn from real images (N, C, H, W), scaled as the generator's; returns the losses `d` and, when it learnt, `g`."""
        losses = {"d": self._discriminate(images, conditions)}
        self.batches += 1
        if self.batches % self.critic_steps == 0:
            losses["g"] = self._generate(images, conditions)
        return losses

    def _discriminate(self, images: Any, conditions: tuple[Any, ...]) -> float:
        with flambeau.no_grad():
            fake = self.generator(self._noise(images), *conditions)
        real_score, fake_score = self.discriminator(images, *conditions), self.discriminator(fake, *conditions)
        if self.loss == "bce":
            loss = F.softplus(-real_score).mean() + F.softplus(fake_score).mean()
        else:
            slope = gradient_penalty(self.discriminator, images, fake, *conditions)
            loss = fake_score.mean() - real_score.mean() + self.penalty * slope
        self.optimizer_d.zero_grad()
        loss.backward()
        self.optimizer_d.step()
        return float(loss.detach())

    def _generate(self, images: Any, conditions: tuple[Any, ...]) -> float:
        score = self.discriminator(self.generator(self._noise(images), *conditions), *conditions)
        loss = F.softplus(-score).mean() if self.loss == "bce" else -score.mean()
        self.optimizer_g.zero_grad()
        loss.backward()
        self.optimizer_g.step()
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        parts = {name: getattr(self, name).state_dict() for name in ("generator", "discriminator", "optimizer_g", "optimizer_d")}
        return {**parts, "batches": self.batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        for name in ("generator", "discriminator", "optimizer_g", "optimizer_d"):
            getattr(self, name).load_state_dict(state[name])
        self.batches = int(state["batches"])
