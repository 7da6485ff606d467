"""Classifiers as the lower part of detectors: with frozen first layers, and a feature pyramid on top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau_vision.models import mobilenetv3, resnet
from flambeau_vision.models.features import IntermediateLayerGetter
from flambeau_vision.ops.layers import FrozenBatchNorm2d
from flambeau_vision.ops.pyramid import ExtraFPNBlock, FeaturePyramidNetwork, LastLevelMaxPool


class BackboneWithFPN(nn.Module):
    """Images (N, 3, H, W) to features of several resolutions by name, each with `out_channels`."""

    def __init__(
        self,
        backbone: nn.Module,
        return_layers: dict[str, str],
        in_channels_list: Sequence[int],
        out_channels: int,
        extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        self.body = IntermediateLayerGetter(backbone, return_layers)
        self.fpn = FeaturePyramidNetwork(in_channels_list, out_channels, extra_blocks or LastLevelMaxPool(), norm_layer)
        self.out_channels = out_channels

    def forward(self, x: Any) -> Any:
        return self.fpn(self.body(x))


def resnet_fpn(
    make: Callable[..., resnet.ResNet],
    weights: Any,
    norm_layer: Callable[..., Any],
    trainable_layers: int,
    returned_layers: Sequence[int] = (1, 2, 3, 4),
    extra_blocks: ExtraFPNBlock | None = None,
    fpn_norm: Callable[..., Any] | None = None,
) -> BackboneWithFPN:
    """A ResNet with a pyramid on `returned_layers`; only the last `trainable_layers` of five parts learn."""
    if not 0 <= trainable_layers <= 5:
        raise ArgumentError(explain("backbone", expected="trainable_backbone_layers from 0 to 5", got=repr(trainable_layers)))
    net = make(weights=weights, norm_layer=norm_layer)
    learning = ("layer4", "layer3", "layer2", "layer1", "conv1")[:trainable_layers] + (("bn1",) if trainable_layers == 5 else ())
    for name, parameter in net.named_parameters():
        if not name.startswith(learning or ("-",)):
            parameter.requires_grad_(False)
    layers = {f"layer{k}": str(i) for i, k in enumerate(returned_layers)}
    channels = [net.inplanes // 8 * 2 ** (k - 1) for k in returned_layers]
    return BackboneWithFPN(net, layers, channels, 256, extra_blocks, fpn_norm)


def mobilenet_fpn(weights: Any, norm_layer: Callable[..., Any], trainable_layers: int) -> BackboneWithFPN:
    """MobileNetV3-Large with a pyramid on its last two stages; only the last `trainable_layers` of six parts learn."""
    net: Any = mobilenetv3.mobilenet_v3_large(weights=weights, norm_layer=norm_layer).features
    stages = [0, *(i for i, block in enumerate(net) if getattr(block, "_is_cn", False)), len(net) - 1]
    if not 0 <= trainable_layers <= len(stages):
        expected = f"trainable_backbone_layers from 0 to {len(stages)}"
        raise ArgumentError(explain("backbone", expected=expected, got=repr(trainable_layers)))
    frozen = len(net) if trainable_layers == 0 else stages[len(stages) - trainable_layers]
    for block in list(net)[:frozen]:
        for parameter in block.parameters():
            parameter.requires_grad_(False)
    used = stages[-2:]
    return BackboneWithFPN(net, {str(k): str(i) for i, k in enumerate(used)}, [net[k].out_channels for k in used], 256)


def trainable(is_trained: bool, asked: int | None, most: int, default: int) -> int:
    """How many parts of a backbone learn: all of them where nothing is pretrained."""
    return most if not is_trained else default if asked is None else asked


def norm_for(is_trained: bool) -> Callable[..., Any]:
    """Frozen statistics for a pretrained backbone, ordinary ones otherwise."""
    return FrozenBatchNorm2d if is_trained else nn.BatchNorm2d


def use_eps(model: nn.Module, eps: float) -> None:
    """Set the eps of all frozen normalisations: the first detection checkpoints were trained with 0."""
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = eps
