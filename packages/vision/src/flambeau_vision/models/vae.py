"""Variational autoencoder (Kingma and Welling 2013, https://arxiv.org/abs/1312.6114); beta weighs the prior (beta-VAE)."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F


class VAE(nn.Module):
    """Images (N, channels, H, H), 0..1, to the logits of their reconstruction, the mean and the log variance of their code.

    Args:
        channels, image_size: of the images; the size is a multiple of 4.
        latent_dim: numbers in a code.
        width: channels of the first convolution.
    """

    def __init__(self, channels: int = 1, image_size: int = 8, latent_dim: int = 16, width: int = 32) -> None:
        super().__init__()
        if image_size < 8 or image_size % 4:
            raise ArgumentError(explain("VAE", expected="an image_size that is a multiple of 4 from 8 on", got=repr(image_size)))
        self.latent_dim, side = latent_dim, image_size // 4
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * width, 2 * width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
        )
        self.to_code = nn.Linear(2 * width * side * side, 2 * latent_dim)
        self.from_code = nn.Linear(latent_dim, 2 * width * side * side)
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (2 * width, side, side)),
            nn.SiLU(),
            nn.ConvTranspose2d(2 * width, 2 * width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, channels, 3, padding=1),
        )

    def encode(self, images: Any) -> tuple[Any, Any]:
        """Mean and log variance of the code, each (N, latent_dim)."""
        mean, log_var = self.to_code(self.encoder(images)).chunk(2, 1)
        return mean, log_var

    def decode(self, codes: Any) -> Any:
        """Logits of images from codes (N, latent_dim)."""
        return self.decoder(self.from_code(codes))

    def forward(self, images: Any) -> tuple[Any, Any, Any]:
        mean, log_var = self.encode(images)
        codes = mean + flambeau.randn_like(mean) * (0.5 * log_var).exp() if self.training else mean
        return self.decode(codes), mean, log_var

    def sample(self, count: int) -> Any:
        """New images, 0..1."""
        return self.decode(flambeau.randn(count, self.latent_dim, device=self.to_code.weight.device)).sigmoid()


def vae_loss(logits: Any, images: Any, mean: Any, log_var: Any, beta: float = 1.0) -> tuple[Any, Any, Any]:
    """The negative evidence bound in nats an image, with its two parts: (reconstruction + beta * prior, reconstruction, prior)."""
    n = images.shape[0]
    reconstruction = F.binary_cross_entropy_with_logits(logits, images, reduction="sum") / n
    prior = 0.5 * (mean * mean + log_var.exp() - 1.0 - log_var).sum() / n
    return reconstruction + beta * prior, reconstruction, prior
