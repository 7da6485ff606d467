"""A small convolutional net for digits of 8x8 pixels; trained weights come with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from flambeau import nn
from flambeau.hub import Weights
from flambeau_vision.models.weights import WeightsEnum, build, read_state


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


class PackagedWeights(WeightsEnum):
    """Weights that come with the package: nothing is fetched, and the file's own checksum is verified."""

    def get_state_dict(self, progress: bool = True) -> dict[str, Any]:
        """The parameters by name."""
        return read_state(_PATH)


_PATH = Path(str(files(__package__).joinpath("data", "digits_cnn.safetensors")))
_META = {
    "num_params": 26122,
    "metrics": {"OpticalDigits": {"accuracy": 0.9944}},
    "recipe": "flambeau fit digits",
    "licence": "Apache-2.0",
    "categories": tuple("0123456789"),
    "min_size": (8, 8),
}


class DigitsCNN_Weights(PackagedWeights):
    """Trained by `flambeau fit digits` (seed 0) on 1,438 digits; it reads 357 of the 359 others."""

    OPTICAL_DIGITS_V1 = Weights(
        _PATH.as_uri(),
        "70bfac899014edccd922e3bce90ff9fe36228b0b26d14d424e9ab5573a0e1d19",
        "flambeau_vision.transforms.presets:SmallDigit",
        meta=_META,
    )
    DEFAULT = OPTICAL_DIGITS_V1


def digits_cnn(weights: Any = None, *, progress: bool = True, **options: Any) -> DigitsCNN:
    """A DigitsCNN with `options`: untrained, or with `weights`.

    `weights` is "DEFAULT" for those that come with the package, or a file that `flambeau fit digits` wrote; with them it is ready for use.

    >>> import flambeau
    >>> digits_cnn(width=4)(flambeau.zeros(2, 1, 8, 8)).shape
    flambeau.Size([2, 10])
    >>> from flambeau_vision.datasets import OpticalDigits
    >>> image, label = OpticalDigits("test")[0]
    >>> label, int(digits_cnn("DEFAULT")(image[None]).argmax())
    (3, 3)
    """
    model: DigitsCNN = build(DigitsCNN, DigitsCNN_Weights, weights, progress, options)
    return model
