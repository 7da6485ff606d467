"""VGG (Simonyan and Zisserman 2014, https://arxiv.org/abs/1409.1556), plain and with batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau import nn
from flambeau_vision.models.weights import build, weights_enum

VGG11_Weights = weights_enum("VGG11_Weights")
VGG11_BN_Weights = weights_enum("VGG11_BN_Weights")
VGG13_Weights = weights_enum("VGG13_Weights")
VGG13_BN_Weights = weights_enum("VGG13_BN_Weights")
VGG16_Weights = weights_enum("VGG16_Weights")
VGG16_BN_Weights = weights_enum("VGG16_BN_Weights")
VGG19_Weights = weights_enum("VGG19_Weights")
VGG19_BN_Weights = weights_enum("VGG19_BN_Weights")

# Convolutions in each of the five stages, which have these channels.
CHANNELS = (64, 128, 256, 512, 512)
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """3x3 convolutions and three linear layers: (N, 3, H, W), H and W at least 32 -> (N, num_classes) logits."""

    def __init__(self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        return self.classifier(flambeau.flatten(self.avgpool(self.features(x)), 1))


def make_layers(stages: Sequence[int], batch_norm: bool = False) -> nn.Sequential:
    """The convolutions: `stages[i]` of them with `CHANNELS[i]` channels, then pooling, five times."""
    layers: list[nn.Module] = []
    inputs = 3
    for channels, count in zip(CHANNELS, stages, strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, channels, kernel_size=3, padding=1)]
            layers += [nn.BatchNorm2d(channels), nn.ReLU()] if batch_norm else [nn.ReLU()]
            inputs = channels
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


def _vgg(depth: int, batch_norm: bool, enum: Any, weights: Any, progress: bool, options: dict[str, Any]) -> VGG:
    def make(**kwargs: Any) -> VGG:
        return VGG(make_layers(STAGES[depth], batch_norm), **kwargs)

    if weights is not None:
        options.setdefault("init_weights", False)
    model: VGG = build(make, enum, weights, progress, options)
    return model


def vgg11(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11: 132.9 million parameters."""
    return _vgg(11, False, VGG11_Weights, weights, progress, kwargs)


def vgg11_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11 with batch normalisation."""
    return _vgg(11, True, VGG11_BN_Weights, weights, progress, kwargs)


def vgg13(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13: 133.0 million parameters."""
    return _vgg(13, False, VGG13_Weights, weights, progress, kwargs)


def vgg13_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13 with batch normalisation."""
    return _vgg(13, True, VGG13_BN_Weights, weights, progress, kwargs)


def vgg16(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16: 138.4 million parameters."""
    return _vgg(16, False, VGG16_Weights, weights, progress, kwargs)


def vgg16_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16 with batch normalisation."""
    return _vgg(16, True, VGG16_BN_Weights, weights, progress, kwargs)


def vgg19(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19: 143.7 million parameters."""
    return _vgg(19, False, VGG19_Weights, weights, progress, kwargs)


def vgg19_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19 with batch normalisation."""
    return _vgg(19, True, VGG19_BN_Weights, weights, progress, kwargs)
