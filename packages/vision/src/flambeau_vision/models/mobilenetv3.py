"""MobileNetV3 (Howard et al. 2019, https://arxiv.org/abs/1905.02244)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau_vision.models.mobilenetv2 import initialise_mobile
from flambeau_vision.models.weights import build, weights_enum
from flambeau_vision.ops.layers import Conv2dNormActivation, SqueezeExcitation, make_divisible

MobileNet_V3_Large_Weights = weights_enum("MobileNet_V3_Large_Weights")
MobileNet_V3_Small_Weights = weights_enum("MobileNet_V3_Small_Weights")


class InvertedResidualConfig:
    """One row of the paper's tables 1 and 2, with channels scaled by `width_mult`.

    `activation` is "HS" (hard swish) or "RE" (ReLU); `use_se` adds squeeze and excitation.
    """

    def __init__(
        self,
        input_channels: int,
        kernel: int,
        expanded_channels: int,
        out_channels: int,
        use_se: bool,
        activation: str,
        stride: int,
        dilation: int,
        width_mult: float,
    ) -> None:
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se, self.use_hs = use_se, activation == "HS"
        self.stride, self.dilation = stride, dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        """Scaled and rounded to a multiple of 8."""
        return make_divisible(channels * width_mult, 8)


class InvertedResidual(nn.Module):
    """Expand, filter each channel by itself, squeeze and excite, project; with a shortcut where the shapes agree."""

    def __init__(self, cnf: InvertedResidualConfig, norm_layer: Callable[..., Any]) -> None:
        super().__init__()
        if cnf.stride not in (1, 2):
            raise ArgumentError(explain("InvertedResidual", expected="stride 1 or 2", got=repr(cnf.stride)))
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        self.out_channels, self._is_cn = cnf.out_channels, cnf.stride > 1
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.Hardswish if cnf.use_hs else nn.ReLU)
        hidden = cnf.expanded_channels
        layers: list[nn.Module] = []
        if hidden != cnf.input_channels:
            layers.append(conv(cnf.input_channels, hidden, kernel_size=1))
        stride = 1 if cnf.dilation > 1 else cnf.stride
        layers.append(conv(hidden, hidden, kernel_size=cnf.kernel, stride=stride, dilation=cnf.dilation, groups=hidden))
        if cnf.use_se:
            layers.append(SqueezeExcitation(hidden, make_divisible(hidden // 4, 8), scale_activation=nn.Hardsigmoid))
        layers.append(conv(hidden, cnf.out_channels, kernel_size=1, activation_layer=None))
        self.block = nn.Sequential(*layers)

    def forward(self, x: Any) -> Any:
        return x + self.block(x) if self.use_res_connect else self.block(x)


class MobileNetV3(nn.Module):
    """(N, 3, H, W) -> (N, num_classes) logits.

    Args:
        inverted_residual_setting: the blocks.
        last_channel: features before the last layer.
        num_classes: K.
        block: makes a block; InvertedResidual by default.
        norm_layer: what normalises; BatchNorm2d with eps 0.001 and momentum 0.01 by default.
        dropout: before the last layer.
    """

    def __init__(
        self,
        inverted_residual_setting: Sequence[InvertedResidualConfig],
        last_channel: int,
        num_classes: int = 1000,
        block: Callable[..., Any] | None = None,
        norm_layer: Callable[..., Any] | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if not inverted_residual_setting:
            raise ArgumentError(explain("MobileNetV3", expected="at least one block", got="none"))
        norm = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        make = block or InvertedResidual
        first, last = inverted_residual_setting[0].input_channels, inverted_residual_setting[-1].out_channels
        self.features = nn.Sequential(
            Conv2dNormActivation(3, first, kernel_size=3, stride=2, norm_layer=norm, activation_layer=nn.Hardswish),
            *(make(cnf, norm) for cnf in inverted_residual_setting),
            Conv2dNormActivation(last, 6 * last, kernel_size=1, norm_layer=norm, activation_layer=nn.Hardswish),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * last, last_channel), nn.Hardswish(), nn.Dropout(dropout), nn.Linear(last_channel, num_classes)
        )
        initialise_mobile(self)

    def forward(self, x: Any) -> Any:
        return self.classifier(flambeau.flatten(self.avgpool(self.features(x)), 1))


def _large(row: Callable[..., Any], half: int, dilation: int) -> list[InvertedResidualConfig]:
    return [
        row(16, 3, 16, 16, False, "RE", 1, 1),
        row(16, 3, 64, 24, False, "RE", 2, 1),
        row(24, 3, 72, 24, False, "RE", 1, 1),
        row(24, 5, 72, 40, True, "RE", 2, 1),
        row(40, 5, 120, 40, True, "RE", 1, 1),
        row(40, 5, 120, 40, True, "RE", 1, 1),
        row(40, 3, 240, 80, False, "HS", 2, 1),
        row(80, 3, 200, 80, False, "HS", 1, 1),
        row(80, 3, 184, 80, False, "HS", 1, 1),
        row(80, 3, 184, 80, False, "HS", 1, 1),
        row(80, 3, 480, 112, True, "HS", 1, 1),
        row(112, 3, 672, 112, True, "HS", 1, 1),
        row(112, 5, 672, 160 // half, True, "HS", 2, dilation),
        row(160 // half, 5, 960 // half, 160 // half, True, "HS", 1, dilation),
        row(160 // half, 5, 960 // half, 160 // half, True, "HS", 1, dilation),
    ]


def _small(row: Callable[..., Any], half: int, dilation: int) -> list[InvertedResidualConfig]:
    return [
        row(16, 3, 16, 16, True, "RE", 2, 1),
        row(16, 3, 72, 24, False, "RE", 2, 1),
        row(24, 3, 88, 24, False, "RE", 1, 1),
        row(24, 5, 96, 40, True, "HS", 2, 1),
        row(40, 5, 240, 40, True, "HS", 1, 1),
        row(40, 5, 240, 40, True, "HS", 1, 1),
        row(40, 5, 120, 48, True, "HS", 1, 1),
        row(48, 5, 144, 48, True, "HS", 1, 1),
        row(48, 5, 288, 96 // half, True, "HS", 2, dilation),
        row(96 // half, 5, 576 // half, 96 // half, True, "HS", 1, dilation),
        row(96 // half, 5, 576 // half, 96 // half, True, "HS", 1, dilation),
    ]


def _mobilenet_v3(blocks: Any, last: int, enum: Any, weights: Any, progress: bool, options: dict[str, Any]) -> MobileNetV3:
    def make(width_mult: float = 1.0, reduced_tail: bool = False, dilated: bool = False, **kwargs: Any) -> MobileNetV3:
        half = 2 if reduced_tail else 1
        setting = blocks(partial(InvertedResidualConfig, width_mult=width_mult), half, 2 if dilated else 1)
        return MobileNetV3(setting, InvertedResidualConfig.adjust_channels(last // half, width_mult), **kwargs)

    model: MobileNetV3 = build(make, enum, weights, progress, options)
    return model


def mobilenet_v3_large(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MobileNetV3:
    """MobileNetV3-Large: 5.5 million parameters. Options beside the class's: width_mult, reduced_tail, dilated."""
    return _mobilenet_v3(_large, 1280, MobileNet_V3_Large_Weights, weights, progress, kwargs)


def mobilenet_v3_small(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MobileNetV3:
    """MobileNetV3-Small: 2.5 million parameters. Options beside the class's: width_mult, reduced_tail, dilated."""
    return _mobilenet_v3(_small, 1024, MobileNet_V3_Small_Weights, weights, progress, kwargs)
