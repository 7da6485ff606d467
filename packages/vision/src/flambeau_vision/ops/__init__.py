"""Operations and layers of vision models, under torchvision's names."""

from __future__ import annotations

from flambeau_vision.ops.layers import (
    MLP,
    Conv2dNormActivation,
    FrozenBatchNorm2d,
    LayerNorm2d,
    Permute,
    SqueezeExcitation,
    StochasticDepth,
    stochastic_depth,
)

__all__ = [
    "MLP",
    "Conv2dNormActivation",
    "FrozenBatchNorm2d",
    "LayerNorm2d",
    "Permute",
    "SqueezeExcitation",
    "StochasticDepth",
    "stochastic_depth",
]
