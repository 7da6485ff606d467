"""ConvNeXt (Liu et al. 2022, https://arxiv.org/abs/2201.03545)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau_vision.models.weights import build, weights_enum
from flambeau_vision.ops.layers import Conv2dNormActivation, LayerNorm2d, Permute, StochasticDepth

ConvNeXt_Tiny_Weights = weights_enum("ConvNeXt_Tiny_Weights")
ConvNeXt_Small_Weights = weights_enum("ConvNeXt_Small_Weights")
ConvNeXt_Base_Weights = weights_enum("ConvNeXt_Base_Weights")
ConvNeXt_Large_Weights = weights_enum("ConvNeXt_Large_Weights")


class CNBlockConfig(NamedTuple):
    """A stage: its channels, those of the next stage (None after the last), and its number of blocks."""

    input_channels: int
    out_channels: int | None
    num_layers: int


class CNBlock(nn.Module):
    """A 7x7 filter of each channel, then two linear layers at each place; scaled channel by channel, and added to the input."""

    def __init__(self, dim: int, layer_scale: float, stochastic_depth_prob: float, norm_layer: Callable[..., Any] | None = None) -> None:
        super().__init__()
        norm = norm_layer or partial(nn.LayerNorm, eps=1e-6)
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim),
            Permute((0, 2, 3, 1)),  # N H W C
            norm(dim),
            nn.Linear(dim, 4 * dim),
            nn.GELU(),
            nn.Linear(4 * dim, dim),
            Permute((0, 3, 1, 2)),  # N C H W
        )
        self.layer_scale = nn.Parameter(flambeau.ones(dim, 1, 1) * layer_scale)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")

    def forward(self, x: Any) -> Any:
        return x + self.stochastic_depth(self.layer_scale * self.block(x))


class ConvNeXt(nn.Module):
    """(N, 3, H, W), H and W at least 32 -> (N, num_classes) logits.

    Args:
        block_setting: the stages.
        stochastic_depth_prob: the chance that the last block is skipped in training; earlier ones in proportion.
        layer_scale: the initial scale of each block.
        num_classes: K.
        block: makes a block; CNBlock by default.
        norm_layer: what normalises (N, C, H, W); LayerNorm2d with eps 1e-6 by default.
    """

    def __init__(
        self,
        block_setting: Sequence[CNBlockConfig],
        stochastic_depth_prob: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
        block: Callable[..., Any] | None = None,
        norm_layer: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        if not block_setting:
            raise ArgumentError(explain("ConvNeXt", expected="at least one stage", got="none"))
        make, norm = block or CNBlock, norm_layer or partial(LayerNorm2d, eps=1e-6)
        first = block_setting[0].input_channels
        stem = Conv2dNormActivation(3, first, kernel_size=4, stride=4, padding=0, norm_layer=norm, activation_layer=None, bias=True)
        layers: list[nn.Module] = [stem]
        total, index = sum(stage.num_layers for stage in block_setting), 0
        for stage in block_setting:
            blocks = []
            for _ in range(stage.num_layers):
                blocks.append(make(stage.input_channels, layer_scale, stochastic_depth_prob * index / max(total - 1.0, 1.0)))
                index += 1
            layers.append(nn.Sequential(*blocks))
            if stage.out_channels is not None:
                shrink = nn.Conv2d(stage.input_channels, stage.out_channels, kernel_size=2, stride=2)
                layers.append(nn.Sequential(norm(stage.input_channels), shrink))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        last = block_setting[-1].out_channels or block_setting[-1].input_channels
        self.classifier = nn.Sequential(norm(last), nn.Flatten(1), nn.Linear(last, num_classes))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)))


def _convnext(
    widths: tuple[int, ...], depths: tuple[int, ...], depth_prob: float, enum: Any, weights: Any, progress: bool, options: dict[str, Any]
) -> ConvNeXt:
    setting = [CNBlockConfig(*row) for row in zip(widths, (*widths[1:], None), depths, strict=True)]
    model: ConvNeXt = build(partial(ConvNeXt, setting), enum, weights, progress, {"stochastic_depth_prob": depth_prob, **options})
    return model


def convnext_tiny(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ConvNeXt:
    """ConvNeXt-Tiny: 28.6 million parameters."""
    return _convnext((96, 192, 384, 768), (3, 3, 9, 3), 0.1, ConvNeXt_Tiny_Weights, weights, progress, kwargs)


def convnext_small(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ConvNeXt:
    """ConvNeXt-Small: 50.2 million parameters."""
    return _convnext((96, 192, 384, 768), (3, 3, 27, 3), 0.4, ConvNeXt_Small_Weights, weights, progress, kwargs)


def convnext_base(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ConvNeXt:
    """ConvNeXt-Base: 88.6 million parameters."""
    return _convnext((128, 256, 512, 1024), (3, 3, 27, 3), 0.5, ConvNeXt_Base_Weights, weights, progress, kwargs)


def convnext_large(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ConvNeXt:
    """ConvNeXt-Large: 197.8 million parameters."""
    return _convnext((192, 384, 768, 1536), (3, 3, 27, 3), 0.5, ConvNeXt_Large_Weights, weights, progress, kwargs)
