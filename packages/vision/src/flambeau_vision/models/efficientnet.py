"""EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946) and EfficientNetV2 (https://arxiv.org/abs/2104.00298)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau_vision.models.weights import build, weights_enum
from flambeau_vision.ops.layers import Conv2dNormActivation, SqueezeExcitation, StochasticDepth, make_divisible

EfficientNet_B0_Weights = weights_enum("EfficientNet_B0_Weights")
EfficientNet_B1_Weights = weights_enum("EfficientNet_B1_Weights")
EfficientNet_B2_Weights = weights_enum("EfficientNet_B2_Weights")
EfficientNet_B3_Weights = weights_enum("EfficientNet_B3_Weights")
EfficientNet_B4_Weights = weights_enum("EfficientNet_B4_Weights")
EfficientNet_B5_Weights = weights_enum("EfficientNet_B5_Weights")
EfficientNet_B6_Weights = weights_enum("EfficientNet_B6_Weights")
EfficientNet_B7_Weights = weights_enum("EfficientNet_B7_Weights")
EfficientNet_V2_S_Weights = weights_enum("EfficientNet_V2_S_Weights")
EfficientNet_V2_M_Weights = weights_enum("EfficientNet_V2_M_Weights")
EfficientNet_V2_L_Weights = weights_enum("EfficientNet_V2_L_Weights")


class BlockConfig:
    """One stage: expansion, kernel, stride of its first block, channels in and out, number of blocks, and what makes a block."""

    block: Callable[..., Any]

    def __init__(
        self, expand_ratio: float, kernel: int, stride: int, input_channels: int, out_channels: int, num_layers: int, block: Any = None
    ) -> None:
        self.expand_ratio, self.kernel, self.stride = expand_ratio, kernel, stride
        self.input_channels, self.out_channels, self.num_layers = input_channels, out_channels, num_layers
        if block is not None:
            self.block = block

    @property
    def expanded_channels(self) -> int:
        """Channels inside the block."""
        return make_divisible(self.input_channels * self.expand_ratio, 8)


class MBConvConfig(BlockConfig):
    """A stage of table 1 of the first paper, scaled in width and depth."""

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        width_mult: float = 1.0,
        depth_mult: float = 1.0,
        block: Any = None,
    ) -> None:
        inputs, outputs = (make_divisible(channels * width_mult, 8) for channels in (input_channels, out_channels))
        super().__init__(expand_ratio, kernel, stride, inputs, outputs, math.ceil(num_layers * depth_mult), block or MBConv)


class FusedMBConvConfig(BlockConfig):
    """A stage of table 4 of the second paper, whose expansion and filter are one convolution."""

    def __init__(
        self, expand_ratio: float, kernel: int, stride: int, input_channels: int, out_channels: int, num_layers: int, block: Any = None
    ) -> None:
        super().__init__(expand_ratio, kernel, stride, input_channels, out_channels, num_layers, block or FusedMBConv)


class _Residual(nn.Module):
    """A block with a shortcut where the shapes agree; `_layers` makes what is beside the shortcut."""

    def __init__(self, cnf: BlockConfig, stochastic_depth_prob: float, norm_layer: Callable[..., Any]) -> None:
        super().__init__()
        if cnf.stride not in (1, 2):
            raise ArgumentError(explain(type(self).__name__, expected="stride 1 or 2", got=repr(cnf.stride)))
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.SiLU)
        self.block = nn.Sequential(*self._layers(cnf, conv))
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.out_channels = cnf.out_channels

    def _layers(self, cnf: BlockConfig, conv: Callable[..., nn.Module]) -> list[nn.Module]:
        raise NotImplementedError

    def forward(self, x: Any) -> Any:
        return x + self.stochastic_depth(self.block(x)) if self.use_res_connect else self.block(x)


class MBConv(_Residual):
    """Expand, filter each channel by itself, squeeze and excite, project."""

    def _layers(self, cnf: BlockConfig, conv: Callable[..., nn.Module]) -> list[nn.Module]:
        hidden = cnf.expanded_channels
        expand = [conv(cnf.input_channels, hidden, kernel_size=1)] if hidden != cnf.input_channels else []
        return [
            *expand,
            conv(hidden, hidden, kernel_size=cnf.kernel, stride=cnf.stride, groups=hidden),
            SqueezeExcitation(hidden, max(1, cnf.input_channels // 4), activation=nn.SiLU),
            conv(hidden, cnf.out_channels, kernel_size=1, activation_layer=None),
        ]


class FusedMBConv(_Residual):
    """Expand with a full convolution, project."""

    def _layers(self, cnf: BlockConfig, conv: Callable[..., nn.Module]) -> list[nn.Module]:
        hidden = cnf.expanded_channels
        if hidden == cnf.input_channels:
            return [conv(cnf.input_channels, cnf.out_channels, kernel_size=cnf.kernel, stride=cnf.stride)]
        return [
            conv(cnf.input_channels, hidden, kernel_size=cnf.kernel, stride=cnf.stride),
            conv(hidden, cnf.out_channels, kernel_size=1, activation_layer=None),
        ]


class EfficientNet(nn.Module):
    """(N, 3, H, W) -> (N, num_classes) logits.

    Args:
        inverted_residual_setting: the stages.
        dropout: before the last layer.
        stochastic_depth_prob: the chance that the last block is skipped in training; earlier ones in proportion.
        num_classes: K.
        norm_layer: what normalises; BatchNorm2d by default.
        last_channel: features before the last layer; four times the last stage's by default.
    """

    def __init__(
        self,
        inverted_residual_setting: Sequence[BlockConfig],
        dropout: float,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        norm_layer: Callable[..., Any] | None = None,
        last_channel: int | None = None,
    ) -> None:
        super().__init__()
        if not inverted_residual_setting:
            raise ArgumentError(explain("EfficientNet", expected="at least one stage", got="none"))
        norm = norm_layer or nn.BatchNorm2d
        conv = partial(Conv2dNormActivation, norm_layer=norm, activation_layer=nn.SiLU)
        layers: list[nn.Module] = [conv(3, inverted_residual_setting[0].input_channels, kernel_size=3, stride=2)]
        total, index = sum(stage.num_layers for stage in inverted_residual_setting), 0
        for stage in inverted_residual_setting:
            blocks = []
            for i in range(stage.num_layers):
                cnf = copy.copy(stage)
                if i > 0:
                    cnf.input_channels, cnf.stride = cnf.out_channels, 1
                blocks.append(cnf.block(cnf, stochastic_depth_prob * index / total, norm))
                index += 1
            layers.append(nn.Sequential(*blocks))
        last = inverted_residual_setting[-1].out_channels
        features = 4 * last if last_channel is None else last_channel
        layers.append(conv(last, features, kernel_size=1))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, num_classes))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                bound = 1.0 / math.sqrt(module.out_features)
                nn.init.uniform_(module.weight, -bound, bound)
                nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        return self.classifier(flambeau.flatten(self.avgpool(self.features(x)), 1))


# Expansion, kernel, stride, channels in and out, blocks.
B0 = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)
# The first three stages are fused.
V2_S = (
    (1, 3, 1, 24, 24, 2),
    (4, 3, 2, 24, 48, 4),
    (4, 3, 2, 48, 64, 4),
    (4, 3, 2, 64, 128, 6),
    (6, 3, 1, 128, 160, 9),
    (6, 3, 2, 160, 256, 15),
)
V2_M = (
    (1, 3, 1, 24, 24, 3),
    (4, 3, 2, 24, 48, 5),
    (4, 3, 2, 48, 80, 5),
    (4, 3, 2, 80, 160, 7),
    (6, 3, 1, 160, 176, 14),
    (6, 3, 2, 176, 304, 18),
    (6, 3, 1, 304, 512, 5),
)
V2_L = (
    (1, 3, 1, 32, 32, 4),
    (4, 3, 2, 32, 64, 7),
    (4, 3, 2, 64, 96, 7),
    (4, 3, 2, 96, 192, 10),
    (6, 3, 1, 192, 224, 19),
    (6, 3, 2, 224, 384, 25),
    (6, 3, 1, 384, 640, 7),
)
_Options = dict[str, Any]


def _v1(width: float, depth: float, dropout: float, enum: Any, weights: Any, progress: bool, options: _Options) -> EfficientNet:
    stages = [MBConvConfig(*row, width_mult=width, depth_mult=depth) for row in B0]
    model: EfficientNet = build(partial(EfficientNet, stages), enum, weights, progress, {"dropout": dropout, **options})
    return model


def _v2(rows: tuple[Any, ...], dropout: float, enum: Any, weights: Any, progress: bool, options: _Options) -> EfficientNet:
    stages = [FusedMBConvConfig(*row) if i < 3 else MBConvConfig(*row) for i, row in enumerate(rows)]
    options = {"dropout": dropout, "norm_layer": partial(nn.BatchNorm2d, eps=1e-3), "last_channel": 1280, **options}
    model: EfficientNet = build(partial(EfficientNet, stages), enum, weights, progress, options)
    return model


# The largest three were ported with these settings.
_PORTED = {"norm_layer": partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)}


def efficientnet_b0(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> EfficientNet:
    """EfficientNet-B0: 5.3 million parameters, for images of 224 pixels."""
    return _v1(1.0, 1.0, 0.2, EfficientNet_B0_Weights, weights, progress, kwargs)


def efficientnet_b1(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> EfficientNet:
    """EfficientNet-B1: 7.8 million parameters, for images of 240 pixels."""
    return _v1(1.0, 1.1, 0.2, EfficientNet_B1_Weights, weights, progress, kwargs)


def efficientnet_b2(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> EfficientNet:
    """EfficientNet-B2: 9.1 million parameters, for images of 288 pixels."""
    return _v1(1.1, 1.2, 0.3, EfficientNet_B2_Weights, weights, progress, kwargs)


def efficientnet_b3(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> EfficientNet:
    """EfficientNet-B3: 12.2 million parameters, for images of 300 pixels."""
    return _v1(1.2, 1.4, 0.3, EfficientNet_B3_Weights, weights, progress, kwargs)


def efficientnet_b4(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> EfficientNet:
    """EfficientNet-B4: 19.3 million parameters, for images of 380 pixels."""
    return _v1(1.4, 1.8, 0.4, EfficientNet_B4_Weights, weights, progress, kwargs)


def efficientnet_b5(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> EfficientNet:
    """EfficientNet-B5: 30.4 million parameters, for images of 456 pixels."""
    return _v1(1.6, 2.2, 0.4, EfficientNet_B5_Weights, weights, progress, {**_PORTED, **kwargs})


def efficientnet_b6(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> EfficientNet:
    """EfficientNet-B6: 43.0 million parameters, for images of 528 pixels."""
    return _v1(1.8, 2.6, 0.5, EfficientNet_B6_Weights, weights, progress, {**_PORTED, **kwargs})


def efficientnet_b7(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> EfficientNet:
    """EfficientNet-B7: 66.3 million parameters, for images of 600 pixels."""
    return _v1(2.0, 3.1, 0.5, EfficientNet_B7_Weights, weights, progress, {**_PORTED, **kwargs})


def efficientnet_v2_s(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> EfficientNet:
    """EfficientNetV2-S: 21.5 million parameters, for images of 384 pixels."""
    return _v2(V2_S, 0.2, EfficientNet_V2_S_Weights, weights, progress, kwargs)


def efficientnet_v2_m(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> EfficientNet:
    """EfficientNetV2-M: 54.1 million parameters, for images of 480 pixels."""
    return _v2(V2_M, 0.3, EfficientNet_V2_M_Weights, weights, progress, kwargs)


def efficientnet_v2_l(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> EfficientNet:
    """EfficientNetV2-L: 118.5 million parameters, for images of 480 pixels."""
    return _v2(V2_L, 0.4, EfficientNet_V2_L_Weights, weights, progress, kwargs)
