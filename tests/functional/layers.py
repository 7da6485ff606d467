"""Cases of activations, linear maps, convolutions and pooling. See compare.py."""

from __future__ import annotations

import numpy as np

from tests.functional.compare import exactly, fixed, ints, normal, uniform

EDGES = exactly([-30.0, -6.0, -3.0, -1.0, -0.5, -1e-3, 0.0, 1e-3, 0.5, 1.0, 3.0, 6.0, 25.0, 800.0, -800.0])
PLAIN = """relu relu6 hardtanh leaky_relu rrelu elu celu selu sigmoid tanh logsigmoid softplus softsign silu mish hardswish hardshrink
softshrink tanhshrink gelu""".split()


def plain(name):
    return lambda F, lib, x: getattr(F, name)(x)


ACTIVATIONS = [(name, plain(name), [normal(3, 5)]) for name in PLAIN]
ACTIVATIONS += [(f"{name}-edges", plain(name), [EDGES]) for name in PLAIN if name != "selu"]
ACTIVATIONS += [(f"{name}-empty", plain(name), [normal(0, 3)]) for name in PLAIN]
ACTIVATIONS += [
    ("hardtanh-limits", lambda F, lib, x: F.hardtanh(x, -0.3, 0.7), [normal(9)]),
    ("leaky_relu-slope", lambda F, lib, x: F.leaky_relu(x, 0.3), [normal(9)]),
    ("elu-alpha", lambda F, lib, x: F.elu(x, 0.7), [normal(9)]),
    ("celu-alpha", lambda F, lib, x: F.celu(x, 0.25), [normal(9)]),
    ("softplus-beta", lambda F, lib, x: F.softplus(x, 3.0, 2.0), [normal(9)]),
    ("hardshrink-lambda", lambda F, lib, x: F.hardshrink(x, 0.9), [normal(9)]),
    ("softshrink-lambda", lambda F, lib, x: F.softshrink(x, 0.9), [normal(9)]),
    ("threshold", lambda F, lib, x: F.threshold(x, 0.1, -7.0), [normal(9)]),
    ("gelu-tanh", lambda F, lib, x: F.gelu(x, approximate="tanh"), [EDGES]),
    ("glu", lambda F, lib, x: F.glu(x), [normal(3, 6)]),
    ("glu-dim", lambda F, lib, x: F.glu(x, dim=1), [normal(2, 4, 3)]),
    ("prelu-one", lambda F, lib, x, w: F.prelu(x, w), [normal(3, 4), normal(1)]),
    ("prelu-channels", lambda F, lib, x, w: F.prelu(x, w), [normal(3, 4, 2), normal(4)]),
    ("prelu-vector", lambda F, lib, x, w: F.prelu(x, w), [normal(5), normal(1)]),
    ("inplace", lambda F, lib, x: F.elu(F.relu(x * 2, inplace=True) - 1, inplace=True), [normal(3, 4)]),
    ("inplace-more", lambda F, lib, x: F.leaky_relu(F.hardtanh(x * 1, inplace=True) * 2, 0.2, inplace=True), [normal(8)]),
    ("softmax", lambda F, lib, x: F.softmax(x, -1), [normal(3, 5)]),
    ("softmax-dim", lambda F, lib, x: F.softmax(x, 1), [normal(2, 3, 4)]),
    ("softmax-large", lambda F, lib, x: F.softmax(x * 1000, 0), [normal(6, 2)]),
    ("softmax-dtype", lambda F, lib, x: F.softmax(x, 0, dtype=lib.float64), [normal(6)]),
    ("softmax-scalar", lambda F, lib, x: F.softmax(x, 0), [normal()]),
    ("softmin", lambda F, lib, x: F.softmin(x, 1), [normal(3, 5)]),
    ("log_softmax", lambda F, lib, x: F.log_softmax(x, -1), [normal(3, 5)]),
    ("log_softmax-large", lambda F, lib, x: F.log_softmax(x * 1000, 1), [normal(2, 3, 4)]),
    ("log_softmax-empty", lambda F, lib, x: F.log_softmax(x, 1), [normal(0, 4)]),
    ("softmax-no-classes", lambda F, lib, x: F.softmax(x, 1), [normal(3, 0)]),
    (
        "softmax-masked",
        lambda F, lib, x, m: F.softmax(x.masked_fill(m, float("-inf")), 0),
        [normal(6, 3), exactly(np.eye(6, 3, dtype=bool))],
    ),
]


def conv(dims, **options):
    return lambda F, lib, x, w, b: getattr(F, f"conv{dims}d")(x, w, b, **options)


def transposed(dims, **options):
    return lambda F, lib, x, w, b: getattr(F, f"conv_transpose{dims}d")(x, w, b, **options)


LINEAR = [
    ("linear", lambda F, lib, x, w, b: F.linear(x, w, b), [normal(4, 3), normal(5, 3), normal(5)]),
    ("linear-no-bias", lambda F, lib, x, w: F.linear(x, w), [normal(2, 4, 3), normal(5, 3)]),
    ("linear-vector", lambda F, lib, x, w: F.linear(x, w), [normal(4, 3), normal(3)]),
    ("linear-one", lambda F, lib, x, w, b: F.linear(x, w, b), [normal(3), normal(5, 3), normal(5)]),
    ("linear-empty", lambda F, lib, x, w, b: F.linear(x, w, b), [normal(0, 3), normal(5, 3), normal(5)]),
    ("bilinear", lambda F, lib, x, y, w, b: F.bilinear(x, y, w, b), [normal(4, 3), normal(4, 2), normal(5, 3, 2), normal(5)]),
    ("bilinear-axes", lambda F, lib, x, y, w: F.bilinear(x, y, w), [normal(2, 4, 3), normal(2, 4, 2), normal(5, 3, 2)]),
    ("conv1d", conv(1), [normal(2, 3, 9), normal(4, 3, 3), normal(4)]),
    ("conv1d-options", conv(1, stride=2, padding=2, dilation=2, groups=2), [normal(2, 4, 11), normal(6, 2, 3), normal(6)]),
    ("conv1d-same", conv(1, padding="same", dilation=3), [normal(2, 3, 9), normal(4, 3, 4), normal(4)]),
    ("conv1d-unbatched", conv(1, padding="valid"), [normal(3, 9), normal(4, 3, 3), normal(4)]),
    ("conv2d", conv(2), [normal(2, 3, 6, 7), normal(4, 3, 3, 2), normal(4)]),
    ("conv2d-options", conv(2, stride=(2, 1), padding=(1, 2), dilation=(1, 2)), [normal(2, 3, 7, 8), normal(4, 3, 3, 2), normal(4)]),
    ("conv2d-depthwise", conv(2, padding=1, groups=3), [normal(2, 3, 5, 5), normal(6, 1, 3, 3), normal(6)]),
    ("conv2d-same", conv(2, padding="same"), [normal(2, 3, 5, 6), normal(2, 3, 3, 4), normal(2)]),
    ("conv2d-pointwise", conv(2, stride=2), [normal(2, 3, 5, 6), normal(2, 3, 1, 1), normal(2)]),
    ("conv2d-empty", conv(2), [normal(0, 3, 5, 6), normal(2, 3, 3, 3), normal(2)]),
    ("conv2d-unbatched", conv(2), [normal(3, 5, 6), normal(2, 3, 3, 3), normal(2)]),
    ("conv2d-large", conv(2, padding=1), [normal(2, 8, 17, 19), normal(16, 8, 3, 3), normal(16)]),
    ("conv3d", conv(3, padding=1, stride=(1, 2, 2)), [normal(1, 2, 4, 5, 6), normal(3, 2, 3, 3, 3), normal(3)]),
    ("conv_transpose1d", transposed(1, stride=2, padding=1, output_padding=1), [normal(2, 3, 5), normal(3, 4, 3), normal(4)]),
    ("conv_transpose1d-dilated", transposed(1, dilation=3, output_padding=2, groups=3), [normal(2, 3, 5), normal(3, 2, 3), normal(6)]),
    ("conv_transpose2d", transposed(2), [normal(2, 3, 4, 5), normal(3, 4, 3, 2), normal(4)]),
    (
        "conv_transpose2d-options",
        transposed(2, stride=(2, 3), padding=1, output_padding=(1, 0)),
        [normal(2, 4, 4, 3), normal(4, 2, 3, 3), normal(2)],
    ),
    ("conv_transpose2d-groups", transposed(2, stride=2, groups=2), [normal(2, 4, 4, 3), normal(4, 2, 3, 3), normal(4)]),
    ("conv_transpose2d-unbatched", transposed(2, stride=2), [normal(4, 4, 3), normal(4, 2, 3, 3), normal(2)]),
    ("conv_transpose3d", transposed(3, stride=2), [normal(1, 2, 3, 2, 3), normal(2, 2, 2, 3, 2), normal(2)]),
    ("conv_tbc", lambda F, lib, x, w, b: F.conv_tbc(x, w, b, 1), [normal(6, 2, 3), normal(3, 3, 4), normal(4)]),
    ("unfold", lambda F, lib, x: F.unfold(x, (2, 3), dilation=(2, 1), padding=1, stride=(1, 2)), [normal(2, 3, 6, 7)]),
    ("unfold-unbatched", lambda F, lib, x: F.unfold(x, 2), [normal(3, 4, 4)]),
    ("fold", lambda F, lib, x: F.fold(x, (5, 6), (2, 3), padding=1, stride=2), [normal(2, 12, 9)]),
    ("fold-unbatched", lambda F, lib, x: F.fold(x, (4, 4), 2, stride=2), [normal(8, 4)]),
]

POOLS = [
    ("max_pool1d", lambda F, lib, x: F.max_pool1d(x, 3, 2, 1), [normal(2, 3, 9)]),
    ("max_pool1d-unbatched", lambda F, lib, x: F.max_pool1d(x, 2), [normal(3, 9)]),
    ("max_pool2d", lambda F, lib, x: F.max_pool2d(x, 2), [normal(2, 3, 6, 7)]),
    ("max_pool2d-options", lambda F, lib, x: F.max_pool2d(x, (3, 2), (2, 1), (1, 0), (1, 2)), [normal(2, 3, 7, 6)]),
    ("max_pool2d-ceil", lambda F, lib, x: F.max_pool2d(x, 3, 2, ceil_mode=True), [normal(2, 3, 6, 8)]),
    ("max_pool2d-indices", lambda F, lib, x: F.max_pool2d(x, 3, 2, 1, return_indices=True), [normal(2, 3, 6, 7)]),
    ("max_pool2d-ties", lambda F, lib, x: F.max_pool2d(x * 0, 3, 1, 1, return_indices=True), [normal(1, 2, 4, 5)]),
    ("max_pool2d-empty", lambda F, lib, x: F.max_pool2d(x, 2), [normal(0, 3, 6, 7)]),
    ("max_pool2d-int", lambda F, lib, x: F.max_pool2d(x, 2), [ints(9, 2, 3, 6, 7)]),
    ("max_pool3d", lambda F, lib, x: F.max_pool3d(x, 2, 2, return_indices=True), [normal(2, 2, 4, 5, 6)]),
    ("max_pool3d-unbatched", lambda F, lib, x: F.max_pool3d(x, (1, 2, 3), 1), [normal(2, 4, 5, 6)]),
    ("max_unpool1d", lambda F, lib, x: F.max_unpool1d(*F.max_pool1d(x, 2, return_indices=True), 2), [normal(2, 3, 8)]),
    (
        "max_unpool2d",
        lambda F, lib, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2, output_size=(7, 6)),
        [normal(2, 3, 7, 6)],
    ),
    ("max_unpool2d-unbatched", lambda F, lib, x: F.max_unpool2d(*F.max_pool2d(x, 3, 2, return_indices=True), 3, 2), [normal(3, 7, 7)]),
    ("max_unpool3d", lambda F, lib, x: F.max_unpool3d(*F.max_pool3d(x, 2, return_indices=True), 2), [normal(1, 2, 4, 4, 4)]),
    ("avg_pool1d", lambda F, lib, x: F.avg_pool1d(x, 3, 2, 1), [normal(2, 3, 9)]),
    ("avg_pool1d-ceil", lambda F, lib, x: F.avg_pool1d(x, 3, 2, 1, True, False), [normal(2, 3, 8)]),
    ("avg_pool2d", lambda F, lib, x: F.avg_pool2d(x, (2, 3)), [normal(2, 3, 6, 7)]),
    ("avg_pool2d-exclude", lambda F, lib, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), [normal(2, 3, 6, 7)]),
    ("avg_pool2d-ceil", lambda F, lib, x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), [normal(2, 3, 6, 7)]),
    ("avg_pool2d-divisor", lambda F, lib, x: F.avg_pool2d(x, 2, divisor_override=3), [normal(3, 6, 7)]),
    ("avg_pool3d", lambda F, lib, x: F.avg_pool3d(x, 2, 1, 1, True, False), [normal(1, 2, 3, 4, 5)]),
    ("avg_pool2d-empty", lambda F, lib, x: F.avg_pool2d(x, 2), [normal(0, 3, 6, 7)]),
    ("lp_pool1d", lambda F, lib, x: F.lp_pool1d(x, 2, 3, 2), [uniform(2, 3, 9)]),
    ("lp_pool2d", lambda F, lib, x: F.lp_pool2d(x, 3, (2, 3), ceil_mode=True), [uniform(2, 3, 6, 7)]),
    ("lp_pool3d", lambda F, lib, x: F.lp_pool3d(x, 2, 2), [uniform(2, 3, 4, 4, 4)]),
    ("adaptive_avg_pool1d", lambda F, lib, x: F.adaptive_avg_pool1d(x, 4), [normal(2, 3, 9)]),
    ("adaptive_avg_pool2d", lambda F, lib, x: F.adaptive_avg_pool2d(x, (3, 5)), [normal(2, 3, 7, 6)]),
    ("adaptive_avg_pool2d-one", lambda F, lib, x: F.adaptive_avg_pool2d(x, 1), [normal(2, 3, 7, 6)]),
    ("adaptive_avg_pool2d-even", lambda F, lib, x: F.adaptive_avg_pool2d(x, (3, 2)), [normal(3, 6, 6)]),
    ("adaptive_avg_pool2d-larger", lambda F, lib, x: F.adaptive_avg_pool2d(x, (9, None)), [normal(2, 3, 7, 6)]),
    ("adaptive_avg_pool3d", lambda F, lib, x: F.adaptive_avg_pool3d(x, (2, 3, 4)), [normal(2, 1, 5, 4, 6)]),
    ("adaptive_max_pool1d", lambda F, lib, x: F.adaptive_max_pool1d(x, 4, return_indices=True), [normal(2, 3, 9)]),
    ("adaptive_max_pool2d", lambda F, lib, x: F.adaptive_max_pool2d(x, (3, None)), [normal(2, 3, 7, 6)]),
    ("adaptive_max_pool2d-indices", lambda F, lib, x: F.adaptive_max_pool2d_with_indices(x, 4), [normal(3, 7, 6)]),
    ("adaptive_max_pool3d", lambda F, lib, x: F.adaptive_max_pool3d(x, 2, return_indices=True), [normal(1, 2, 5, 4, 3)]),
]

POOLS += [
    (
        "fractional_max_pool2d",
        lambda F, lib, x, r: F.fractional_max_pool2d(x, (2, 3), (4, 3), return_indices=True, _random_samples=r),
        [normal(2, 3, 9, 8), fixed(uniform(2, 3, 2))],
    ),
    (
        "fractional_max_pool2d-ratio",
        lambda F, lib, x, r: F.fractional_max_pool2d(x, 2, output_ratio=(0.5, 0.7), _random_samples=r),
        [normal(3, 9, 8), fixed(uniform(1, 3, 2))],
    ),
    (
        "fractional_max_pool3d",
        lambda F, lib, x, r: F.fractional_max_pool3d_with_indices(x, 2, (3, 1, 4), _random_samples=r),
        [normal(1, 2, 7, 5, 6), fixed(uniform(1, 2, 3))],
    ),
]

CASES = ACTIVATIONS + LINEAR + POOLS
