"""Training loops that are particular to images."""

from __future__ import annotations

from flambeau_vision.train.gan import GANTrainer, gradient_penalty

__all__ = ["GANTrainer", "gradient_penalty"]
