"""MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau_vision.models.weights import build, weights_enum
from flambeau_vision.ops.layers import Conv2dNormActivation, make_divisible

MobileNet_V2_Weights = weights_enum("MobileNet_V2_Weights")

# Of each stage: expansion, channels, blocks, stride of the first block.
SETTING = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """Expand, filter each channel by itself, project; with a shortcut where the shapes agree."""

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: float, norm_layer: Callable[..., Any] | None = None) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ArgumentError(explain("InvertedResidual", expected="stride 1 or 2", got=repr(stride)))
        norm = norm_layer or nn.BatchNorm2d
        hidden = round(inp * expand_ratio)
        self.stride, self.out_channels = stride, oup
        self.use_res_connect = stride == 1 and inp == oup
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, hidden, kernel_size=1, norm_layer=norm, activation_layer=nn.ReLU6))
        layers += [
            Conv2dNormActivation(hidden, hidden, stride=stride, groups=hidden, norm_layer=norm, activation_layer=nn.ReLU6),
            nn.Conv2d(hidden, oup, 1, bias=False),
            norm(oup),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """(N, 3, H, W) -> (N, num_classes) logits.

    Args:
        num_classes: K.
        width_mult: factor of all channels.
        inverted_residual_setting: of each stage the expansion, channels, blocks, and stride.
        round_nearest: channels are multiples of it.
        block: makes a block; InvertedResidual by default.
        norm_layer: what normalises; BatchNorm2d by default.
        dropout: before the last layer.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: Callable[..., Any] | None = None,
        norm_layer: Callable[..., Any] | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        setting = SETTING if inverted_residual_setting is None else inverted_residual_setting
        if not setting or len(setting[0]) != 4:
            raise ArgumentError(explain("MobileNetV2", expected="rows of four numbers as setting", got=repr(setting)))
        make, norm = block or InvertedResidual, norm_layer or nn.BatchNorm2d
        channels = make_divisible(32 * width_mult, round_nearest)
        self.last_channel = make_divisible(1280 * max(1.0, width_mult), round_nearest)
        features: list[nn.Module] = [Conv2dNormActivation(3, channels, stride=2, norm_layer=norm, activation_layer=nn.ReLU6)]
        for expansion, width, count, stride in setting:
            outputs = make_divisible(width * width_mult, round_nearest)
            for i in range(count):
                features.append(make(channels, outputs, stride if i == 0 else 1, expand_ratio=expansion, norm_layer=norm))
                channels = outputs
        features.append(Conv2dNormActivation(channels, self.last_channel, kernel_size=1, norm_layer=norm, activation_layer=nn.ReLU6))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.last_channel, num_classes))
        initialise_mobile(self)

    def forward(self, x: Any) -> Any:
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(flambeau.flatten(x, 1))


def initialise_mobile(model: nn.Module) -> None:
    """The initial values of MobileNets."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
            nn.init.zeros_(module.bias)


def mobilenet_v2(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MobileNetV2:
    """MobileNetV2: 3.5 million parameters.

    >>> mobilenet_v2(num_classes=2).classifier[1].out_features
    2
    """
    model: MobileNetV2 = build(MobileNetV2, MobileNet_V2_Weights, weights, progress, kwargs)
    return model
