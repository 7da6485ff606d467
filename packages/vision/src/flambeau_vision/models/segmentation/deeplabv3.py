"""DeepLabV3 (Chen et al. 2017, https://arxiv.org/abs/1706.05587)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import flambeau
from flambeau import nn
from flambeau.nn import functional as F
from flambeau_vision.models import resnet
from flambeau_vision.models.segmentation.base import SegmentationModel, make_segmentation, mobilenet_features, resnet_features
from flambeau_vision.models.segmentation.fcn import FCNHead
from flambeau_vision.models.weights import weights_enum

DeepLabV3_ResNet50_Weights = weights_enum("DeepLabV3_ResNet50_Weights")
DeepLabV3_ResNet101_Weights = weights_enum("DeepLabV3_ResNet101_Weights")
DeepLabV3_MobileNet_V3_Large_Weights = weights_enum("DeepLabV3_MobileNet_V3_Large_Weights")


class DeepLabV3(SegmentationModel):
    """A backbone and atrous spatial pyramid pooling."""


def _conv(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> list[nn.Module]:
    padding = dilation if kernel > 1 else 0
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]


class ASPPPooling(nn.Sequential):
    """The mean of the whole image, at every place."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *_conv(in_channels, out_channels))

    def forward(self, x: Any) -> Any:
        return F.interpolate(super().forward(x), size=tuple(x.shape[-2:]), mode="bilinear", align_corners=False)


class ASPP(nn.Module):
    """Convolutions of several dilations side by side, and the mean of the whole image."""

    def __init__(self, in_channels: int, atrous_rates: Sequence[int], out_channels: int = 256) -> None:
        super().__init__()
        branches = [nn.Sequential(*_conv(in_channels, out_channels))]
        branches += [nn.Sequential(*_conv(in_channels, out_channels, 3, rate)) for rate in atrous_rates]
        self.convs = nn.ModuleList([*branches, ASPPPooling(in_channels, out_channels)])
        self.project = nn.Sequential(*_conv(len(self.convs) * out_channels, out_channels), nn.Dropout(0.5))

    def forward(self, x: Any) -> Any:
        return self.project(flambeau.cat([branch(x) for branch in self.convs], 1))


class DeepLabHead(nn.Sequential):
    """Pyramid pooling, a convolution, and a layer that tells classes apart."""

    def __init__(self, in_channels: int, num_classes: int, atrous_rates: Sequence[int] = (12, 24, 36)) -> None:
        super().__init__(ASPP(in_channels, atrous_rates), *_conv(256, 256, 3), nn.Conv2d(256, num_classes, 1))


def deeplabv3_resnet50(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DeepLabV3:
    """DeepLabV3 on ResNet-50: 42.0 million parameters. Options: num_classes, aux_loss, weights_backbone (None: nothing is fetched)."""
    features, enum = partial(resnet_features, resnet.resnet50), DeepLabV3_ResNet50_Weights
    model: DeepLabV3 = make_segmentation(DeepLabV3, DeepLabHead, FCNHead, features, enum, weights, progress, kwargs)
    return model


def deeplabv3_resnet101(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DeepLabV3:
    """DeepLabV3 on ResNet-101: 61.0 million parameters. Options as in `deeplabv3_resnet50`."""
    features, enum = partial(resnet_features, resnet.resnet101), DeepLabV3_ResNet101_Weights
    model: DeepLabV3 = make_segmentation(DeepLabV3, DeepLabHead, FCNHead, features, enum, weights, progress, kwargs)
    return model


def deeplabv3_mobilenet_v3_large(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DeepLabV3:
    """DeepLabV3 on MobileNetV3-Large: 11.0 million parameters. Options as in `deeplabv3_resnet50`."""
    enum = DeepLabV3_MobileNet_V3_Large_Weights
    model: DeepLabV3 = make_segmentation(DeepLabV3, DeepLabHead, FCNHead, mobilenet_features, enum, weights, progress, kwargs)
    return model
