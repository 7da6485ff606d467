"""What the recipes that draw digits share: the data on the device, judgements of the drawings, and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import flambeau
from flambeau.train import RunContext
from flambeau_vision.datasets import OpticalDigits
from flambeau_vision.metrics import frechet_distance
from flambeau_vision.models import create_feature_extractor, digits_cnn
from flambeau_vision.utils import make_grid, save_image

ENLARGED = 6  # pixels that a pixel of a digit becomes in pictures


class Digits:
    """The training digits (n, 1, 8, 8), 0..1, and their labels, on a device."""

    def __init__(self, device: str) -> None:
        data = OpticalDigits("train")
        self.images = flambeau.from_numpy(data.images[:, None].astype(np.float32) / 16).to(device)
        self.labels = flambeau.from_numpy(data.targets).to(device)

    def batches(self, size: int) -> Iterator[tuple[Any, Any]]:
        """All of them in a random order; what does not fill a batch is left out."""
        order = flambeau.randperm(len(self.labels))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size].to(self.images.device)
            yield self.images[chosen], self.labels[chosen]


class Judge:
    """The digits classifier of the package as a judge of drawings."""

    def __init__(self) -> None:
        self.extract = create_feature_extractor(digits_cnn("DEFAULT"), {"features": "features", "classifier": "logits"})
        test = OpticalDigits("test")
        self.reference = self._features(flambeau.from_numpy(test.images[:, None].astype(np.float32) / 16))[0]

    def _features(self, images: Any) -> tuple[np.ndarray, np.ndarray]:
        with flambeau.no_grad():
            out = self.extract(images.cpu())
        return out["features"].mean((2, 3)).numpy(), out["logits"].argmax(1).numpy()

    def __call__(self, images: Any, labels: Any = None) -> dict[str, float]:
        """`frechet`, the distance to the test digits in the classifier's features, and `accuracy`, how often the wanted digit is read."""
        features, read = self._features(images)
        result = {"frechet": frechet_distance(features, self.reference)}
        if labels is not None:
            result["accuracy"] = float((read == labels.cpu().numpy()).mean())
        return result


def picture(images: Any) -> Any:
    """Digits (n, 1, 8, 8), 0..1 with ink 1, as an enlarged grid of ten in a row, dark on white: (3, H, W)."""
    shown = 1.0 - images.detach().cpu().clamp(0, 1)
    large = flambeau.nn.functional.interpolate(shown, scale_factor=ENLARGED, mode="nearest")
    return make_grid(large, nrow=10, padding=2, pad_value=0.8)


def save_digits(context: RunContext, name: str, images: Any) -> None:
    """Write a grid of digits to the run's directory."""
    save_image(picture(images), context.out / name)


def each_digit(rows: int, device: str) -> Any:
    """The labels 0..9, `rows` times."""
    return flambeau.arange(10, device=device).repeat(rows)
