"""ResNet (He et al. 2015, https://arxiv.org/abs/1512.03385), ResNeXt (https://arxiv.org/abs/1611.05431) and Wide ResNet
(https://arxiv.org/abs/1605.07146). The stride of a bottleneck is in its 3x3 convolution, as in torchvision ("ResNet V1.5")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau_vision.models.weights import build, weights_enum

ResNet18_Weights = weights_enum("ResNet18_Weights")
ResNet34_Weights = weights_enum("ResNet34_Weights")
ResNet50_Weights = weights_enum("ResNet50_Weights")
ResNet101_Weights = weights_enum("ResNet101_Weights")
ResNet152_Weights = weights_enum("ResNet152_Weights")
ResNeXt50_32X4D_Weights = weights_enum("ResNeXt50_32X4D_Weights")
ResNeXt101_32X8D_Weights = weights_enum("ResNeXt101_32X8D_Weights")
ResNeXt101_64X4D_Weights = weights_enum("ResNeXt101_64X4D_Weights")
Wide_ResNet50_2_Weights = weights_enum("Wide_ResNet50_2_Weights")
Wide_ResNet101_2_Weights = weights_enum("Wide_ResNet101_2_Weights")

Norm = Callable[[int], Any]


def conv3x3(inputs: int, outputs: int, stride: int = 1, groups: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A 3x3 convolution without bias that keeps the size at stride 1."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, groups=groups, bias=False, dilation=dilation)


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 1x1 convolution without bias."""
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Any = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        if (groups, base_width, dilation) != (1, 64, 1):
            got = f"groups={groups}, base_width={base_width}, dilation={dilation}"
            raise ArgumentError(explain("BasicBlock", expected="groups=1, base_width=64, dilation=1", got=got, hint="Bottleneck"))
        norm = norm_layer or nn.BatchNorm2d
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm(planes)
        self.relu = nn.ReLU()
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm(planes)
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the output has four times as many channels as `planes`."""

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Any = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm(planes * self.expansion)
        self.relu = nn.ReLU()
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """A residual net: (N, 3, H, W) normalised images -> (N, num_classes) logits.

    Args:
        block: BasicBlock or Bottleneck.
        layers: how many blocks each of the four stages has.
        num_classes: K.
        zero_init_residual: the last normalisation of each block starts at zero, so that the block starts as its shortcut.
        groups, width_per_group: ResNeXt and Wide ResNet.
        replace_stride_with_dilation: for the last three stages, whether they keep the resolution and dilate instead.
        norm_layer: what normalises; BatchNorm2d by default.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        dilated = (False, False, False) if replace_stride_with_dilation is None else tuple(replace_stride_with_dilation)
        if len(dilated) != 3:
            raise ArgumentError(explain("ResNet", expected="replace_stride_with_dilation=None or three bools", got=repr(dilated)))
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = 64, 1, groups, width_per_group
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], 2, dilated[0])
        self.layer3 = self._make_layer(block, 256, layers[2], 2, dilated[1])
        self.layer4 = self._make_layer(block, 512, layers[3], 2, dilated[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        self._initialise(zero_init_residual)

    def _initialise(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
        if zero_init_residual:
            for module in self.modules():
                last = module.bn3 if isinstance(module, Bottleneck) else module.bn2 if isinstance(module, BasicBlock) else None
                if last is not None:
                    nn.init.zeros_(last.weight)

    def _make_layer(self, block: Any, planes: int, blocks: int, stride: int = 1, dilate: bool = False) -> nn.Sequential:
        dilation, norm = self.dilation, self._norm_layer
        if dilate:
            self.dilation, stride = self.dilation * stride, 1
        downsample = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            downsample = nn.Sequential(conv1x1(self.inplanes, planes * block.expansion, stride), norm(planes * block.expansion))
        layers = [block(self.inplanes, planes, stride, downsample, self.groups, self.base_width, dilation, norm)]
        self.inplanes = planes * block.expansion
        for _ in range(1, blocks):
            layers.append(
                block(self.inplanes, planes, groups=self.groups, base_width=self.base_width, dilation=self.dilation, norm_layer=norm)
            )
        return nn.Sequential(*layers)

    def forward(self, x: Any) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # N 64 H/4 W/4
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # N 512e H/32 W/32
        return self.fc(flambeau.flatten(self.avgpool(x), 1))


def _resnet(block: Any, layers: Sequence[int], enum: Any, weights: Any, progress: bool, options: dict[str, Any]) -> ResNet:
    model: ResNet = build(lambda **kwargs: ResNet(block, layers, **kwargs), enum, weights, progress, options)
    return model


def resnet18(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-18: 11.7 million parameters.

    >>> import flambeau
    >>> resnet18(num_classes=7)(flambeau.zeros(2, 3, 32, 32)).shape
    flambeau.Size([2, 7])
    """
    return _resnet(BasicBlock, (2, 2, 2, 2), ResNet18_Weights, weights, progress, kwargs)


def resnet34(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-34: 21.8 million parameters."""
    return _resnet(BasicBlock, (3, 4, 6, 3), ResNet34_Weights, weights, progress, kwargs)


def resnet50(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-50: 25.6 million parameters."""
    return _resnet(Bottleneck, (3, 4, 6, 3), ResNet50_Weights, weights, progress, kwargs)


def resnet101(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-101: 44.5 million parameters."""
    return _resnet(Bottleneck, (3, 4, 23, 3), ResNet101_Weights, weights, progress, kwargs)


def resnet152(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-152: 60.2 million parameters."""
    return _resnet(Bottleneck, (3, 8, 36, 3), ResNet152_Weights, weights, progress, kwargs)


def resnext50_32x4d(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNeXt-50, 32 groups of width 4: 25.0 million parameters."""
    options = {"groups": 32, "width_per_group": 4, **kwargs}
    return _resnet(Bottleneck, (3, 4, 6, 3), ResNeXt50_32X4D_Weights, weights, progress, options)


def resnext101_32x8d(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNeXt-101, 32 groups of width 8: 88.8 million parameters."""
    options = {"groups": 32, "width_per_group": 8, **kwargs}
    return _resnet(Bottleneck, (3, 4, 23, 3), ResNeXt101_32X8D_Weights, weights, progress, options)


def resnext101_64x4d(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNeXt-101, 64 groups of width 4: 83.5 million parameters."""
    options = {"groups": 64, "width_per_group": 4, **kwargs}
    return _resnet(Bottleneck, (3, 4, 23, 3), ResNeXt101_64X4D_Weights, weights, progress, options)


def wide_resnet50_2(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """Wide ResNet-50-2: bottlenecks twice as wide; 68.9 million parameters."""
    return _resnet(Bottleneck, (3, 4, 6, 3), Wide_ResNet50_2_Weights, weights, progress, {"width_per_group": 128, **kwargs})


def wide_resnet101_2(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """Wide ResNet-101-2: bottlenecks twice as wide; 126.9 million parameters."""
    return _resnet(Bottleneck, (3, 4, 23, 3), Wide_ResNet101_2_Weights, weights, progress, {"width_per_group": 128, **kwargs})
