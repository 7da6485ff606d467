"""Feature pyramids (Lin et al. 2016, https://arxiv.org/abs/1612.03144)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau_vision.ops.layers import Conv2dNormActivation

Levels = list[Any]


class ExtraFPNBlock(nn.Module):
    """Adds levels to a pyramid: from the results, the inputs and the names to results and names."""

    def forward(self, results: Levels, x: Levels, names: list[str]) -> tuple[Levels, list[str]]:
        raise NotImplementedError


class LastLevelMaxPool(ExtraFPNBlock):
    """A last level with every other pixel, called "pool"."""

    def forward(self, results: Levels, x: Levels, names: list[str]) -> tuple[Levels, list[str]]:
        return [*results, F.max_pool2d(results[-1], kernel_size=1, stride=2)], [*names, "pool"]


class LastLevelP6P7(ExtraFPNBlock):
    """Two further levels by convolution, as RetinaNet has them."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.p6 = nn.Conv2d(in_channels, out_channels, 3, 2, 1)
        self.p7 = nn.Conv2d(out_channels, out_channels, 3, 2, 1)
        for module in (self.p6, self.p7):
            nn.init.kaiming_uniform_(module.weight, a=1)
            nn.init.zeros_(module.bias)
        self.use_P5 = in_channels == out_channels

    def forward(self, results: Levels, x: Levels, names: list[str]) -> tuple[Levels, list[str]]:
        p6 = self.p6(results[-1] if self.use_P5 else x[-1])
        return [*results, p6, self.p7(F.relu(p6))], [*names, "p6", "p7"]


class FeaturePyramidNetwork(nn.Module):
    """Features of several resolutions to features of one width, each with what the coarser ones know.

    Args:
        in_channels_list: channels of the inputs, finest first.
        out_channels: channels of every result.
        extra_blocks: adds coarser levels.
        norm_layer: normalises after each convolution.
    """

    def __init__(
        self,
        in_channels_list: Sequence[int],
        out_channels: int,
        extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        if not in_channels_list or min(in_channels_list) < 1:
            raise ArgumentError(explain("FeaturePyramidNetwork", expected="positive numbers of channels", got=repr(in_channels_list)))
        self.inner_blocks, self.layer_blocks = nn.ModuleList(), nn.ModuleList()
        for channels in in_channels_list:
            self.inner_blocks.append(
                Conv2dNormActivation(channels, out_channels, kernel_size=1, padding=0, norm_layer=norm_layer, activation_layer=None)
            )
            self.layer_blocks.append(
                Conv2dNormActivation(out_channels, out_channels, kernel_size=3, norm_layer=norm_layer, activation_layer=None)
            )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.extra_blocks = extra_blocks

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for block in ("inner_blocks", "layer_blocks"):  # older checkpoints have no normalisation, nor a place for it
            for i in range(len(self.inner_blocks)):
                for kind in ("weight", "bias"):
                    if f"{prefix}{block}.{i}.{kind}" in state_dict:
                        state_dict[f"{prefix}{block}.{i}.0.{kind}"] = state_dict.pop(f"{prefix}{block}.{i}.{kind}")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: Mapping[str, Any]) -> OrderedDict[str, Any]:
        """Named features, finest first, to named features."""
        names, levels = list(x), list(x.values())
        coarse = self.inner_blocks[-1](levels[-1])
        results = [self.layer_blocks[-1](coarse)]
        for i in range(len(levels) - 2, -1, -1):
            lateral = self.inner_blocks[i](levels[i])
            coarse = lateral + F.interpolate(coarse, size=tuple(lateral.shape[-2:]), mode="nearest")
            results.insert(0, self.layer_blocks[i](coarse))
        if self.extra_blocks is not None:
            results, names = self.extra_blocks(results, levels, names)
        return OrderedDict(zip(names, results, strict=True))
