"""Convolutions of signals, images and volumes, and their transposes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau.nn import init
from flambeau.nn.module import Module
from flambeau.nn.parameter import blank
from flambeau.nn.sizes import ntuple
from flambeau.tensor.tensor import Tensor

_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolutions share. `axes` is the number of spatial axes; `weight` is (out, in / groups, *kernel), or
    (in, out / groups, *kernel) when transposed, uniform in ±1/sqrt(fan_in) at first, as is `bias` (out)."""

    axes: int
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        n = self.axes
        self.in_channels, self.out_channels, self.groups, self.padding_mode = in_channels, out_channels, groups, padding_mode
        self.kernel_size, self.stride, self.dilation = ntuple(kernel_size, n), ntuple(stride, n), ntuple(dilation, n)
        self.padding = padding if isinstance(padding, str) else ntuple(padding, n)
        self.output_padding = ntuple(output_padding, n)
        self._check()
        channels = (in_channels, out_channels // groups) if self.transposed else (out_channels, in_channels // groups)
        self.weight = blank(*channels, *self.kernel_size, device=device, dtype=dtype)
        self.register_parameter("bias", blank(out_channels, device=device, dtype=dtype) if bias else None)
        self.reset_parameters()

    def _check(self) -> None:
        op, groups = type(self).__name__, self.groups
        if groups <= 0 or self.in_channels % groups or self.out_channels % groups:
            got = f"{self.in_channels} to {self.out_channels} channels with groups={groups}"
            raise ArgumentError(explain(op, expected="channels that groups (1 or more) divides", got=got))
        if self.padding_mode not in _MODES or (self.transposed and self.padding_mode != "zeros"):
            known = "'zeros'" if self.transposed else f"one of {_MODES}"
            raise ArgumentError(explain(op, expected=f"padding_mode {known}", got=repr(self.padding_mode)))
        if isinstance(self.padding, str):
            if self.padding not in ("same", "valid") or self.transposed:
                raise ArgumentError(explain(op, expected="padding as numbers, 'same' or 'valid'", got=repr(self.padding)))
            if self.padding == "same" and any(s != 1 for s in self.stride):
                raise ArgumentError(explain(op, expected="stride 1 with padding='same'", got=f"stride={self.stride}"))

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def _both_sides(self) -> list[int]:
        """The padding as `F.pad` takes it: last axis first, both sides."""
        sides: list[Any] = []
        for axis in reversed(range(self.axes)):
            if self.padding == "same":
                total = self.dilation[axis] * (self.kernel_size[axis] - 1)
                sides += [total // 2, total - total // 2]
            else:
                sides += [0, 0] if self.padding == "valid" else [self.padding[axis]] * 2
        return sides

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        defaults = {"padding": (0,), "dilation": (1,), "output_padding": (0,)}
        for name, default in defaults.items():
            if getattr(self, name) != default * self.axes:
                text += f", {name}={getattr(self, name)}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text + (f", padding_mode={self.padding_mode}" if self.padding_mode != "zeros" else "")


class _Conv(_ConvNd):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode, device, dtype)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution with given weights (subclasses that change the weights call it)."""
        conv: Any = (F.conv1d, F.conv2d, F.conv3d)[self.axes - 1]
        if self.padding_mode == "zeros":
            return conv(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)
        padded = F.pad(input, self._both_sides(), self.padding_mode)
        return conv(padded, weight, bias, self.stride, 0, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        """The convolution."""
        return self._conv_forward(input, self.weight, self.bias)


class Conv1d(_Conv):
    """A convolution of signals: (N, C_in, L) or (C_in, L) to (N, C_out, L')."""

    axes = 1


class Conv2d(_Conv):
    """A convolution of images: (N, C_in, H, W) or (C_in, H, W) to (N, C_out, H', W').

    H' = (H + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1. `padding` is a number, one per axis, 'valid' or 'same'.

    >>> import flambeau as fb
    >>> fb.nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1)(fb.zeros(1, 3, 32, 32)).shape
    flambeau.Size([1, 8, 16, 16])
    """

    axes = 2


class Conv3d(_Conv):
    """A convolution of volumes: (N, C_in, D, H, W) or (C_in, D, H, W) to (N, C_out, D', H', W')."""

    axes = 3


class _ConvTranspose(_ConvNd):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The transposed convolution; `output_size` chooses among the sizes that a stride above 1 leaves open."""
        extra = self.output_padding if output_size is None else self._output_padding(input, list(output_size))
        conv: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.axes - 1]
        return conv(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _output_padding(self, input: Tensor, output_size: list[int]) -> tuple[int, ...]:
        op, n = type(self).__name__, self.axes
        sizes = output_size[-n:]
        if len(output_size) not in (n, input.dim()):
            raise ArgumentError(explain(op, expected=f"output_size with {n} or {input.dim()} sizes", got=str(output_size)))
        extra = []
        for axis in range(n):
            least = (
                (input.shape[axis - n] - 1) * self.stride[axis]
                - 2 * self.padding[axis]
                + self.dilation[axis] * (self.kernel_size[axis] - 1)
                + 1
            )
            most = least + self.stride[axis] - 1
            if not least <= sizes[axis] <= most:
                raise ArgumentError(explain(op, expected=f"a size in [{least}, {most}] for spatial axis {axis}", got=str(sizes[axis])))
            extra.append(sizes[axis] - least)
        return tuple(extra)


class ConvTranspose1d(_ConvTranspose):
    """The transpose (gradient) of a convolution of signals: (N, C_in, L) to (N, C_out, L')."""

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """The transpose (gradient) of a convolution of images: (N, C_in, H, W) to (N, C_out, H', W').

    H' = (H - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1.

    >>> import flambeau as fb
    >>> fb.nn.ConvTranspose2d(8, 3, kernel_size=4, stride=2, padding=1)(fb.zeros(1, 8, 16, 16)).shape
    flambeau.Size([1, 3, 32, 32])
    """

    axes = 2


class ConvTranspose3d(_ConvTranspose):
    """The transpose (gradient) of a convolution of volumes: (N, C_in, D, H, W) to (N, C_out, D', H', W')."""

    axes = 3
