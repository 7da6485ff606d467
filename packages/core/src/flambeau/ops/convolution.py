"""Convolutions, their transposes, unfold and fold under PyTorch's names. An input without the batch axis is served too."""

from __future__ import annotations

from math import prod
from typing import Any

from flambeau.base.errors import ArgumentError, ArgumentTypeError, ShapeError, explain
from flambeau.base.shapes import pair
from flambeau.ops.casting import casting
from flambeau.ops.linear import check_dtypes
from flambeau.ops.pointwise import add_op
from flambeau.primitives import conv as rows
from flambeau.primitives import window
from flambeau.primitives.kernels.conv import conv_transpose_output_shape
from flambeau.primitives.movement import reshape
from flambeau.tensor.tensor import Tensor


def batched(op: str, x: Tensor, dims: int) -> Tensor:
    """x as (N, C, *spatial), from that or from (C, *spatial)."""
    if not isinstance(x, Tensor):
        raise ArgumentTypeError(explain(op, expected="a tensor", got=type(x).__name__))
    shape = x._a.shape
    if len(shape) == dims + 2:
        return x
    if len(shape) == dims + 1:
        return reshape(x, shape=(1, *shape))
    axes = ", ".join(("D", "H", "W")[3 - dims :]) if dims > 1 else "L"
    raise ShapeError(
        explain(op, expected=f"input (N, C, {axes}) or (C, {axes})", got=f"shape {tuple(shape)}", hint="unsqueeze(0) adds a batch axis")
    )


def unbatched(out: Tensor, x: Tensor, dims: int) -> Tensor:
    """Drop the batch axis again if x had none."""
    return out if x._a.ndim == dims + 2 else reshape(out, shape=out._a.shape[1:])


def _add_bias(op: str, out: Tensor, bias: Tensor | None, dims: int) -> Tensor:
    if bias is None:
        return out
    channels = out._a.shape[1]
    if bias._a.shape != (channels,):
        raise ShapeError(explain(op, expected=f"bias of shape ({channels},), one value per output channel", got=str(tuple(bias.shape))))
    return add_op(out, reshape(bias, shape=(channels, *(1,) * dims)))


def _positive(op: str, **values: Any) -> None:
    for name, sizes in values.items():
        if any(v < 1 for v in (sizes if isinstance(sizes, tuple) else (sizes,))):
            raise ArgumentError(explain(op, expected=f"{name} of at least 1", got=str(sizes)))


def _convolve(dims: int, input: Tensor, weight: Tensor, bias: Tensor | None, options: tuple[Any, Any, Any, int]) -> Tensor:
    op = f"conv{dims}d"
    stride, dilation, groups = pair(options[0], dims, op, "stride"), pair(options[2], dims, op, "dilation"), int(options[3])
    _positive(op, stride=stride, dilation=dilation, groups=groups)
    x = batched(op, input, dims)
    shape, w = x._a.shape, weight._a.shape
    if len(w) != dims + 2:
        raise ShapeError(explain(op, expected=f"a weight with {dims + 2} axes (out, in / groups, *kernel)", got=f"shape {tuple(w)}"))
    if w[0] % groups:
        raise ShapeError(explain(op, expected=f"output channels divisible by groups={groups}", got=f"weight {tuple(w)}"))
    if shape[1] != w[1] * groups:
        hint = f"groups={shape[1] // w[1]}" if groups == 1 and w[1] and shape[1] % w[1] == 0 and w[0] % (shape[1] // w[1]) == 0 else ""
        hint = hint or "check the channel axis of the input (it comes first, after the batch)"
        expected = f"input with {w[1] * groups} channels (weight is {tuple(w)}, groups={groups})"
        raise ShapeError(explain(op, expected=expected, got=f"{shape[1]} (input is {tuple(input.shape)})", hint=hint))
    check_dtypes(op, input, weight, bias)
    padding = _padding(op, options[1], w[2:], stride, dilation)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, w[2:], strict=True))
    room = tuple(n + lo + hi for n, (lo, hi) in zip(shape[2:], padding, strict=True))
    if any(n < r for n, r in zip(room, reach, strict=True)):
        got = f"{room} (input {tuple(input.shape)}, padding {options[1]!r})"
        raise ShapeError(explain(op, expected=f"padded sizes of at least {reach}, the extent of the kernel", got=got, hint="more padding"))
    out = rows.conv(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return unbatched(_add_bias(op, out, bias, dims), input, dims)


def _padding(
    op: str, padding: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """A (low, high) pair per axis. "same" puts the odd one of an uneven total on the high side."""
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ArgumentError(
                explain(op, expected="stride 1 with padding='same'", got=f"stride {stride}", hint="give the padding as numbers")
            )
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((t // 2, t - t // 2) for t in totals)
    if isinstance(padding, str):
        raise ArgumentError(explain(op, expected="padding 'same', 'valid' or ints", got=repr(padding)))
    sizes = pair(padding, len(kernel), op, "padding")
    if any(p < 0 for p in sizes):
        raise ArgumentError(explain(op, expected="padding that is not negative", got=str(sizes)))
    return tuple((p, p) for p in sizes)


def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """Cross-correlation over one axis: input (N, C, L) or (C, L), weight (O, C / groups, K), bias (O,) give (N, O, L').

    `padding` is a number, "same" (stride 1 only) or "valid".
    """
    return _convolve(1, input, weight, bias, (stride, padding, dilation, groups))


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """Cross-correlation over two axes: input (N, C, H, W) or (C, H, W), weight (O, C / groups, kH, kW), bias (O,) give (N, O, H', W').

    >>> import flambeau as fb
    >>> fb.conv2d(fb.ones(1, 1, 3, 3), fb.ones(1, 1, 2, 2))
    tensor([[[[4., 4.],
              [4., 4.]]]])
    """
    return _convolve(2, input, weight, bias, (stride, padding, dilation, groups))


def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """Cross-correlation over three axes: input (N, C, D, H, W) or (C, D, H, W), weight (O, C / groups, kD, kH, kW), bias (O,)."""
    return _convolve(3, input, weight, bias, (stride, padding, dilation, groups))


def _transposed(dims: int, input: Tensor, weight: Tensor, bias: Tensor | None, options: tuple[Any, Any, Any, int, Any]) -> Tensor:
    op = f"conv_transpose{dims}d"
    names = ("stride", "padding", "output_padding")
    stride, padding, extra = (pair(v, dims, op, n) for v, n in zip(options[:3], names, strict=True))
    groups, dilation = int(options[3]), pair(options[4], dims, op, "dilation")
    _positive(op, stride=stride, dilation=dilation, groups=groups)
    if any(e >= max(s, d) or e < 0 for e, s, d in zip(extra, stride, dilation, strict=True)):
        got = f"output_padding {extra}, stride {stride}, dilation {dilation}"
        raise ArgumentError(explain(op, expected="output_padding smaller than stride or dilation", got=got))
    x = batched(op, input, dims)
    w = weight._a.shape
    if len(w) != dims + 2 or x._a.shape[1] != w[0] or w[0] % groups:
        expected = (
            f"input with {w[0] if w else 0} channels (weight (in, out / groups, *kernel) is {tuple(w)}), divisible by groups={groups}"
        )
        raise ShapeError(explain(op, expected=expected, got=f"{x._a.shape[1]} (input is {tuple(input.shape)})"))
    check_dtypes(op, input, weight, bias)
    pads = tuple((p, p) for p in padding)
    shape = conv_transpose_output_shape(x._a.shape, w, stride=stride, padding=pads, output_padding=extra, dilation=dilation, groups=groups)
    out = rows.conv_input_grad(x, weight, input_shape=shape, stride=stride, padding=pads, dilation=dilation, groups=groups)
    return unbatched(_add_bias(op, out, bias, dims), input, dims)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of `conv1d`: input (N, C, L), weight (C, O / groups, K), bias (O,) give (N, O, L') with
    L' = (L - 1) * stride - 2 * padding + dilation * (K - 1) + output_padding + 1."""
    return _transposed(1, input, weight, bias, (stride, padding, output_padding, groups, dilation))


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of `conv2d`: input (N, C, H, W), weight (C, O / groups, kH, kW), bias (O,) give (N, O, H', W')."""
    return _transposed(2, input, weight, bias, (stride, padding, output_padding, groups, dilation))


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of `conv3d`: input (N, C, D, H, W), weight (C, O / groups, kD, kH, kW), bias (O,)."""
    return _transposed(3, input, weight, bias, (stride, padding, output_padding, groups, dilation))


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """`conv1d` with time first: input (T, N, C), weight (K, C, O), bias (O,) give (T', N, O)."""
    out = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return out.permute(2, 0, 1)


# -- windows as columns --------------------------------------------------------------------------------------
def _window_options(op: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> dict[str, Any]:
    kernel, spread, step = (pair(v, 2, op, n) for v, n in ((kernel_size, "kernel_size"), (dilation, "dilation"), (stride, "stride")))
    _positive(op, kernel_size=kernel, dilation=spread, stride=step)
    pads = tuple((p, p) for p in pair(padding, 2, op, "padding"))
    return {"kernel": kernel, "stride": step, "padding": pads, "dilation": spread}


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of (N, C, H, W) as columns: (N, C * kH * kW, windows) (im2col).

    >>> import flambeau as fb
    >>> fb.nn.functional.unfold(fb.ones(1, 3, 4, 4), 2, stride=2).shape
    flambeau.Size([1, 12, 4])
    """
    options = _window_options("unfold", kernel_size, dilation, padding, stride)
    x = batched("unfold", input, 2)
    columns = window.unfold(x, **options)
    n, c = x._a.shape[:2]
    out = reshape(columns, shape=(n, c * prod(options["kernel"]), prod(columns._a.shape[4:])))
    return out if input._a.ndim == 4 else reshape(out, shape=out._a.shape[1:])


def fold(input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Add columns (N, C * kH * kW, windows) into an image (N, C, *output_size) where `unfold` would have taken them from (col2im)."""
    options = _window_options("fold", kernel_size, dilation, padding, stride)
    size = pair(output_size, 2, "fold", "output_size")
    x = batched("fold", input, 1)
    n, length, count = x._a.shape
    area = prod(options["kernel"])
    counts = rows.out_sizes(size, options["kernel"], options["stride"], options["padding"], options["dilation"])
    if length % area or count != prod(counts):
        expected = f"(N, C * {area}, {prod(counts)}) for output_size {size} and kernel_size {options['kernel']}"
        raise ShapeError(explain("fold", expected=expected, got=f"shape {tuple(input.shape)}"))
    columns = reshape(x, shape=(n, length // area, *options["kernel"], *counts))
    out = window.fold(columns, output_size=size, **options)
    return out if input._a.ndim == 3 else reshape(out, shape=out._a.shape[1:])


__all__ = """
conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d
""".split()

casting(globals())
