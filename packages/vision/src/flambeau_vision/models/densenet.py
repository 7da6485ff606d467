"""DenseNet-BC (Huang et al. 2016, https://arxiv.org/abs/1608.06993)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import flambeau
from flambeau import nn
from flambeau.nn import functional as F
from flambeau.utils.checkpoint import checkpoint
from flambeau_vision.models.weights import build, weights_enum

DenseNet121_Weights = weights_enum("DenseNet121_Weights")
DenseNet161_Weights = weights_enum("DenseNet161_Weights")
DenseNet169_Weights = weights_enum("DenseNet169_Weights")
DenseNet201_Weights = weights_enum("DenseNet201_Weights")


class DenseLayer(nn.Module):
    """Reads all features so far and adds `growth_rate` channels."""

    def __init__(self, inputs: int, growth_rate: int, bn_size: int, drop_rate: float, memory_efficient: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, bn_size * growth_rate, kernel_size=1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, kernel_size=3, padding=1, bias=False)
        self.drop_rate, self.memory_efficient = drop_rate, memory_efficient

    def _bottleneck(self, *features: Any) -> Any:
        return self.conv1(self.relu1(self.norm1(flambeau.cat(features, 1))))

    def forward(self, features: Any) -> Any:
        if self.memory_efficient and any(feature.requires_grad for feature in features):
            squeezed = checkpoint(self._bottleneck, *features, use_reentrant=False)
        else:
            squeezed = self._bottleneck(*features)
        new = self.conv2(self.relu2(self.norm2(squeezed)))
        return F.dropout(new, self.drop_rate, self.training) if self.drop_rate > 0 else new


class DenseBlock(nn.ModuleDict):
    """Layers that each read the outputs of all earlier ones: `num_layers * growth_rate` channels are added."""

    def __init__(self, num_layers: int, inputs: int, growth_rate: int, bn_size: int, drop_rate: float, memory_efficient: bool) -> None:
        super().__init__()
        for i in range(num_layers):
            self[f"denselayer{i + 1}"] = DenseLayer(inputs + i * growth_rate, growth_rate, bn_size, drop_rate, memory_efficient)

    def forward(self, x: Any) -> Any:
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return flambeau.cat(features, 1)


class Transition(nn.Sequential):
    """Half as many channels at half the resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """(N, 3, H, W), H and W at least 29 -> (N, num_classes) logits.

    Args:
        growth_rate: channels that each layer adds.
        block_config: layers of each block.
        num_init_features: channels of the first convolution.
        bn_size: channels of a layer's bottleneck, in growth rates.
        drop_rate: dropout after each layer.
        num_classes: K.
        memory_efficient: compute bottlenecks again in backward instead of keeping them (https://arxiv.org/abs/1707.06990).
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: tuple[int, ...] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        features: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(3, num_init_features, kernel_size=7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(num_init_features),
            relu0=nn.ReLU(),
            pool0=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        channels = num_init_features
        for i, layers in enumerate(block_config, start=1):
            features[f"denseblock{i}"] = DenseBlock(layers, channels, growth_rate, bn_size, drop_rate, memory_efficient)
            channels += layers * growth_rate
            if i < len(block_config):
                features[f"transition{i}"] = Transition(channels, channels // 2)
                channels //= 2
        features["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(features)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        features = F.relu(self.features(x))
        return self.classifier(flambeau.flatten(F.adaptive_avg_pool2d(features, (1, 1)), 1))


def _densenet(
    growth: int, blocks: tuple[int, ...], first: int, enum: Any, weights: Any, progress: bool, options: dict[str, Any]
) -> DenseNet:
    model: DenseNet = build(lambda **kwargs: DenseNet(growth, blocks, first, **kwargs), enum, weights, progress, options)
    return model


def densenet121(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-121: 8.0 million parameters."""
    return _densenet(32, (6, 12, 24, 16), 64, DenseNet121_Weights, weights, progress, kwargs)


def densenet161(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-161: 28.7 million parameters."""
    return _densenet(48, (6, 12, 36, 24), 96, DenseNet161_Weights, weights, progress, kwargs)


def densenet169(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-169: 14.1 million parameters."""
    return _densenet(32, (6, 12, 32, 32), 64, DenseNet169_Weights, weights, progress, kwargs)


def densenet201(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-201: 20.0 million parameters."""
    return _densenet(32, (6, 12, 48, 32), 64, DenseNet201_Weights, weights, progress, kwargs)
