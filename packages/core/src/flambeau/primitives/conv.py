"""Rows of convolution over 1 to 3 spatial axes (kernels/conv.py): x (N, C, *spatial), w (O, C / groups, *kernel).

The three products of a convolution (output, gradient of the input, gradient of the weight) are each other's derivatives.
`padding` is a (low, high) pair per spatial axis.
"""

from __future__ import annotations

from typing import Any

from flambeau.primitives import batching_conv
from flambeau.primitives.elementwise import cj
from flambeau.primitives.movement import slice_
from flambeau.primitives.prim import primitive


def out_sizes(sizes: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, ...]:
    """Output sizes of a sliding window."""
    return tuple(
        (n + lo + hi - d * (k - 1) - 1) // s + 1 for n, k, s, (lo, hi), d in zip(sizes, kernel, stride, padding, dilation, strict=True)
    )


def _conv_rule(x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    return (x.shape[0], w.shape[0], *out_sizes(x.shape[2:], w.shape[2:], stride, padding, dilation)), x.dtype


conv = primitive(
    "conv",
    "x w",
    kernel="conv.conv",
    rule=_conv_rule,
    vjp=(
        lambda g, w, x_shape, stride, padding, dilation, groups: conv_input_grad(
            g, cj(w), input_shape=x_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda g, x, w_shape, stride, padding, dilation, groups: conv_weight_grad(
            cj(x), g, weight_shape=w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    ),
    batch=batching_conv.conv,
)
conv_input_grad = primitive(  # also the transposed convolution
    "conv_input_grad",
    "y w",
    kernel="conv.conv_input_grad",
    rule=lambda y, w, input_shape, stride, padding, dilation, groups: (input_shape, y.dtype),
    vjp=(
        lambda g, w, y_shape, stride, padding, dilation, groups: _leading(
            conv(g, cj(w), stride=stride, padding=padding, dilation=dilation, groups=groups), y_shape
        ),
        lambda g, y, w_shape, stride, padding, dilation, groups: conv_weight_grad(
            g, cj(y), weight_shape=w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    ),
    batch=batching_conv.conv_input_grad,
)


def _leading(y: Any, shape: tuple[int, ...]) -> Any:
    """The first outputs: with output padding of a stride or more, a transposed convolution leaves room for windows that it did not fill."""
    return y if y._a.shape == shape else slice_(y, key=tuple(slice(0, n) for n in shape))


conv_weight_grad = primitive(
    "conv_weight_grad",
    "x y",
    kernel="conv.conv_weight_grad",
    rule=lambda x, y, weight_shape, stride, padding, dilation, groups: (weight_shape, x.dtype),
    vjp=(
        lambda g, y, x_shape, stride, padding, dilation, groups: conv_input_grad(
            cj(y), g, input_shape=x_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda g, x, y_shape, stride, padding, dilation, groups: _leading(
            conv(cj(x), g, stride=stride, padding=padding, dilation=dilation, groups=groups), y_shape
        ),
    ),
    batch=batching_conv.conv_weight_grad,
)
