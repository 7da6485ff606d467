"""Layers that several architectures share, under torchvision's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain

Layer = Callable[..., Any]


def make_divisible(value: float, divisor: int, least: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, but at least `least` and 90 % of it (the rounding of MobileNet's channels).

    >>> make_divisible(37, 8), make_divisible(11, 8)
    (40, 16)
    """
    rounded = max(divisor if least is None else least, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


class Conv2dNormActivation(nn.Sequential):
    """A convolution, a normalisation and an activation; "same" padding for odd kernels unless `padding` is given.

    `norm_layer` and `activation_layer` may be None, which leaves them out. The convolution has a bias only where no normalisation follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = 3,
        stride: Any = 1,
        padding: Any = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: Any = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        if padding is None:
            kernel, spread = _pair(kernel_size), _pair(dilation)
            padding = tuple((k - 1) // 2 * d for k, d in zip(kernel, spread, strict=True))
        bias = norm_layer is None if bias is None else bias
        layers: list[Any] = [
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation=dilation, groups=groups, bias=bias)
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer())  # never in place: features that a caller asked for must stay what they are
        super().__init__(*layers)
        self.out_channels = out_channels


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


class SqueezeExcitation(nn.Module):
    """Scales each channel by a function of all channels' means (Hu et al. 2018, https://arxiv.org/abs/1709.01507, figure 1)."""

    def __init__(
        self, input_channels: int, squeeze_channels: int, activation: Layer = nn.ReLU, scale_activation: Layer = nn.Sigmoid
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: Any) -> Any:
        return input * self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(input)))))


class MLP(nn.Sequential):
    """Linear layers with a normalisation, an activation and dropout after each; the last one has dropout only."""

    def __init__(
        self,
        in_channels: int,
        hidden_channels: Sequence[int],
        norm_layer: Layer | None = None,
        activation_layer: Layer = nn.ReLU,
        inplace: bool | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        layers: list[Any] = []
        for hidden in hidden_channels[:-1]:
            layers.append(nn.Linear(in_channels, hidden, bias=bias))
            layers += [] if norm_layer is None else [norm_layer(hidden)]
            layers += [activation_layer(), nn.Dropout(dropout)]
            in_channels = hidden
        super().__init__(*layers, nn.Linear(in_channels, hidden_channels[-1], bias=bias), nn.Dropout(dropout))


class Permute(nn.Module):
    """Reorders the axes of its input."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dims = tuple(dims)

    def forward(self, x: Any) -> Any:
        return x.permute(self.dims)


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of (N, C, H, W)."""

    def forward(self, x: Any) -> Any:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def stochastic_depth(input: Any, p: float, mode: str, training: bool = True) -> Any:
    """Drop residual branches at random (Huang et al. 2016, https://arxiv.org/abs/1603.09382): zero, or divided by 1 - p.

    Args:
        input: (N, ...).
        p: the chance to be dropped, 0..1.
        mode: "row" decides for each example, "batch" for all at once.
        training: without it, the input comes back.
    """
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(explain("stochastic_depth", expected="p from 0 to 1", got=repr(p)))
    if mode not in ("batch", "row"):
        raise ArgumentError(explain("stochastic_depth", expected="mode 'batch' or 'row'", got=repr(mode)))
    if not training or p == 0.0:
        return input
    size = [input.shape[0] if mode == "row" else 1, *(1 for _ in input.shape[1:])]
    kept = flambeau.empty(size, dtype=input.dtype, device=input.device).bernoulli_(1.0 - p)
    return input * (kept / (1.0 - p) if p < 1.0 else kept)


class StochasticDepth(nn.Module):
    """`stochastic_depth` as a layer."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, input: Any) -> Any:
        return stochastic_depth(input, self.p, self.mode, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode!r}"


class FrozenBatchNorm2d(nn.Module):
    """BatchNorm2d whose statistics and affine parameters are fixed: buffers, not parameters."""

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", flambeau.ones(num_features))
        self.register_buffer("bias", flambeau.zeros(num_features))
        self.register_buffer("running_mean", flambeau.zeros(num_features))
        self.register_buffer("running_var", flambeau.ones(num_features))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)  # checkpoints of ordinary batch normalisation have it
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: Any) -> Any:
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"
