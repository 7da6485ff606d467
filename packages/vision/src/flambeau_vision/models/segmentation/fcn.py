"""Fully convolutional nets (Long et al. 2014, https://arxiv.org/abs/1411.4038)."""

from __future__ import annotations

from functools import partial
from typing import Any

from flambeau import nn
from flambeau_vision.models import resnet
from flambeau_vision.models.segmentation.base import SegmentationModel, make_segmentation, resnet_features
from flambeau_vision.models.weights import weights_enum

FCN_ResNet50_Weights = weights_enum("FCN_ResNet50_Weights")
FCN_ResNet101_Weights = weights_enum("FCN_ResNet101_Weights")


class FCN(SegmentationModel):
    """A backbone and a small convolutional head."""


class FCNHead(nn.Sequential):
    """3x3 and 1x1 convolutions, and dropout between."""

    def __init__(self, in_channels: int, channels: int) -> None:
        inner = in_channels // 4
        super().__init__(
            nn.Conv2d(in_channels, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(inner, channels, 1),
        )


def fcn_resnet50(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> FCN:
    """FCN on ResNet-50: 35.3 million parameters. Options: num_classes, aux_loss, weights_backbone (None: nothing is fetched)."""
    features = partial(resnet_features, resnet.resnet50)
    model: FCN = make_segmentation(FCN, FCNHead, FCNHead, features, FCN_ResNet50_Weights, weights, progress, kwargs)
    return model


def fcn_resnet101(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> FCN:
    """FCN on ResNet-101: 54.3 million parameters. Options as in `fcn_resnet50`."""
    features = partial(resnet_features, resnet.resnet101)
    model: FCN = make_segmentation(FCN, FCNHead, FCNHead, features, FCN_ResNet101_Weights, weights, progress, kwargs)
    return model
