"""What FCN and DeepLab share: a dilated backbone, a head, and an auxiliary head."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from flambeau import nn
from flambeau.nn import functional as F
from flambeau_vision.models import mobilenetv3, resnet
from flambeau_vision.models.features import IntermediateLayerGetter
from flambeau_vision.models.weights import build


class SegmentationModel(nn.Module):
    """(N, 3, H, W) normalised images -> {"out": (N, K, H, W) logits, "aux": the same from an earlier layer, where there is one}."""

    def __init__(self, backbone: nn.Module, classifier: nn.Module, aux_classifier: nn.Module | None = None) -> None:
        super().__init__()
        self.backbone, self.classifier, self.aux_classifier = backbone, classifier, aux_classifier

    def forward(self, x: Any) -> OrderedDict[str, Any]:
        size = tuple(x.shape[-2:])
        features = self.backbone(x)
        out = OrderedDict(out=_enlarged(self.classifier(features["out"]), size))
        if self.aux_classifier is not None:
            out["aux"] = _enlarged(self.aux_classifier(features["aux"]), size)
        return out


def _enlarged(x: Any, size: tuple[int, ...]) -> Any:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def resnet_features(make: Callable[..., resnet.ResNet], weights: Any, aux: bool) -> tuple[nn.Module, int, int]:
    """A ResNet that keeps an eighth of the resolution, and the channels of its two outputs."""
    net = make(weights=weights, replace_stride_with_dilation=(False, True, True))
    layers = {"layer4": "out", **({"layer3": "aux"} if aux else {})}
    return IntermediateLayerGetter(net, layers), 2048, 1024


def mobilenet_features(weights: Any, aux: bool) -> tuple[nn.Module, int, int]:
    """MobileNetV3-Large that keeps a sixteenth of the resolution, and the channels of its two outputs."""
    net: Any = mobilenetv3.mobilenet_v3_large(weights=weights, dilated=True).features
    stages = [0, *(i for i, block in enumerate(net) if getattr(block, "_is_cn", False)), len(net) - 1]
    last, earlier = stages[-1], stages[-4]
    layers = {str(last): "out", **({str(earlier): "aux"} if aux else {})}
    return IntermediateLayerGetter(net, layers), net[last].out_channels, net[earlier].out_channels


def make_segmentation(
    cls: type[SegmentationModel],
    head: Callable[[int, int], nn.Module],
    aux_head: Callable[[int, int], nn.Module],
    features: Callable[..., tuple[nn.Module, int, int]],
    enum: Any,
    weights: Any,
    progress: bool,
    options: dict[str, Any],
) -> Any:
    """A model of a family. `options`: num_classes (21), aux_loss (with pretrained weights True), weights_backbone (None)."""

    def make(num_classes: int = 21, aux_loss: bool | None = None, weights_backbone: Any = None) -> SegmentationModel:
        backbone, channels, aux_channels = features(weights_backbone, bool(aux_loss))
        return cls(backbone, head(channels, num_classes), aux_head(aux_channels, num_classes) if aux_loss else None)

    if weights is not None:
        options.setdefault("aux_loss", True)
    return build(make, enum, weights, progress, options)
