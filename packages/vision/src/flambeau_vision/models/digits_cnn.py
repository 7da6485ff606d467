"""A small convolutional net for digits of 8x8 pixels."""

from __future__ import annotations

import os
from typing import Any

import flambeau
from flambeau import nn


class DigitsCNN(nn.Module):
    """Three convolutions with batch normalisation, then one linear layer: (N, 1, 8, 8) images, 0..1 -> (N, num_classes) logits.

    Args:
        num_classes: K.
        width: channels of the first convolution; the next ones have two and four times as many.
        dropout: the chance that a feature is dropped before the linear layer in training.
    """

    def __init__(self, num_classes: int = 10, *, width: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_block(1, width),  # N W 8 8
            *_block(width, 2 * width),
            nn.MaxPool2d(2),  # N 2W 4 4
            *_block(2 * width, 4 * width),
            nn.MaxPool2d(2),  # N 4W 2 2
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(16 * width, num_classes))

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x))


def _block(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    # The normalisation has a bias of its own.
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


def digits_cnn(weights: str | os.PathLike[str] | None = None, **options: Any) -> DigitsCNN:
    """A DigitsCNN with `options`; with `weights`, the file that `flambeau fit digits` wrote, it is trained and ready for use.

    >>> import flambeau
    >>> digits_cnn(width=4)(flambeau.zeros(2, 1, 8, 8)).shape
    flambeau.Size([2, 10])
    """
    model = DigitsCNN(**options)
    if weights is not None:
        model.load_state_dict(flambeau.load(weights, map_location="cpu"))
        model.eval()
    return model
