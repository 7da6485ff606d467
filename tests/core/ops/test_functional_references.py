"""Functions of `flambeau.nn.functional` against SciPy, NumPy and definitions written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import flambeau as fb
import flambeau.nn.functional as F


def rng(seed=0):
    return np.random.default_rng(seed)


# -- convolution and windows ---------------------------------------------------------------------------------
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_convolution_is_correlation(dims):
    x, w = rng().standard_normal((2, 3, 6, 5, 7)[: dims + 2]), rng(1).standard_normal((4, 3, 3, 2, 3)[: dims + 2])
    got = getattr(F, f"conv{dims}d")(fb.tensor(x), fb.tensor(w)).numpy()
    for n, o in itertools.product(range(2), range(4)):
        want = sum(scipy.signal.correlate(x[n, c], w[o, c], mode="valid") for c in range(3))
        np.testing.assert_allclose(got[n, o], want, rtol=1e-10, atol=1e-10)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.integers(1, 2), st.integers(4, 9))
def test_transposed_convolution_is_the_adjoint(kernel, stride, padding, dilation, groups, size):
    """<conv(x), y> = <x, conv_transpose(y)>."""
    if dilation * (kernel - 1) + 1 > size + 2 * padding:
        return
    x, w = rng(size).standard_normal((2, 2 * groups, size)), rng(2).standard_normal((3 * groups, 2, kernel))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = F.conv1d(fb.tensor(x), fb.tensor(w), **options)
    g = rng(3).standard_normal(tuple(y.shape))
    extra = size - ((y.shape[2] - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1)
    if extra >= max(stride, dilation):
        return
    back = F.conv_transpose1d(fb.tensor(g), fb.tensor(w), output_padding=extra, **options).numpy()
    assert back.shape == x.shape
    np.testing.assert_allclose((y.numpy() * g).sum(), (back * x).sum(), rtol=1e-9, atol=1e-9)


def test_fold_undoes_unfold_up_to_the_count_of_windows():
    x = fb.tensor(rng().standard_normal((2, 3, 6, 7)))
    options = {"kernel_size": (3, 2), "padding": 1, "stride": (1, 2)}
    count = F.fold(F.unfold(fb.ones_like(x), **options), (6, 7), **options)
    np.testing.assert_allclose((F.fold(F.unfold(x, **options), (6, 7), **options) / count).numpy(), x.numpy(), rtol=1e-12)


def test_pools_by_scipy_filters():
    x = rng().standard_normal((1, 1, 8, 9))
    want = scipy.ndimage.maximum_filter(x[0, 0], 3, mode="constant", cval=-np.inf)
    np.testing.assert_array_equal(F.max_pool2d(fb.tensor(x), 3, 1, 1)[0, 0].numpy(), want)
    want = scipy.ndimage.uniform_filter(x[0, 0], 3, mode="constant")
    np.testing.assert_allclose(F.avg_pool2d(fb.tensor(x), 3, 1, 1)[0, 0].numpy(), want, rtol=1e-10, atol=1e-12)


# -- losses --------------------------------------------------------------------------------------------------
@given(st.integers(1, 6), st.integers(1, 5), st.floats(0, 1), st.integers(0, 10**6))
def test_cross_entropy_by_definition(n, classes, smoothing, seed):
    x, t, w = rng(seed).standard_normal((n, classes)) * 5, rng(seed).integers(0, classes, n), rng(seed).uniform(0.1, 2, classes)
    soft = np.eye(classes)[t] * (1 - smoothing) + smoothing / classes
    losses = -(soft * w * scipy.special.log_softmax(x, 1)).sum(1)
    got = F.cross_entropy(fb.tensor(x), fb.tensor(t), fb.tensor(w), label_smoothing=smoothing)
    np.testing.assert_allclose(got.item(), losses.sum() / w[t].sum(), rtol=1e-9, atol=1e-12)
    got = F.cross_entropy(fb.tensor(x), fb.tensor(np.eye(classes)[t]), fb.tensor(w), reduction="sum", label_smoothing=smoothing)
    np.testing.assert_allclose(got.item(), losses.sum(), rtol=1e-9, atol=1e-12)


def collapse(path, blank):
    return [c for c, _ in itertools.groupby(path) if c != blank]


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("target", [[], [1], [1, 1], [1, 3], [3, 1, 3]])
def test_ctc_adds_up_all_paths(target, blank):
    steps, classes = 5, 4
    scores = scipy.special.log_softmax(rng(len(target)).standard_normal((steps, 1, classes)), 2)
    paths = itertools.product(range(classes), repeat=steps)
    total = sum(np.exp(sum(scores[t, 0, c] for t, c in enumerate(p))) for p in paths if collapse(p, blank) == target)
    got = F.ctc_loss(fb.tensor(scores), fb.tensor([target], dtype=fb.int64), [steps], [len(target)], blank, "none")
    np.testing.assert_allclose(got.numpy(), [-np.log(total)], rtol=1e-10)


def test_ctc_of_a_long_sequence():
    """2,000 steps of 50 equal classes: a probability far below what floats hold."""
    x = fb.zeros(2000, 1, 50, requires_grad=True)
    target = fb.arange(200).reshape(1, 200) % 49 + 1
    loss = F.ctc_loss(F.log_softmax(x, -1), target, [2000], [200], reduction="sum")
    loss.backward()
    paths = 2000 * np.log(50) - loss.item()
    assert np.log(2) * 200 < paths < np.log(3) * 2000
    assert np.isfinite(x.grad.numpy()).all()
    np.testing.assert_allclose(x.grad.sum(-1).numpy(), 0, atol=1e-6)


def test_infinite_ctc_losses_can_count_as_zero():
    x = fb.tensor(rng().standard_normal((3, 2, 4)), requires_grad=True)
    losses = F.ctc_loss(F.log_softmax(x, -1), fb.tensor([[1, 1], [1, 2]]), [2, 3], [2, 2], reduction="none", zero_infinity=True)
    losses.sum().backward()
    assert losses[0].item() == 0
    assert losses[1].item() > 0
    assert not x.grad[:, 0].any()
    assert x.grad[:, 1].any()
    assert F.ctc_loss(F.log_softmax(x, -1), fb.tensor([[1, 1], [1, 2]]), [2, 3], [2, 2], reduction="none")[0].item() == np.inf


def test_a_second_derivative_of_ctc_is_refused():
    from flambeau.autograd.engine import grad

    x = fb.tensor(rng().standard_normal((4, 1, 3)), requires_grad=True)
    loss = F.ctc_loss(F.log_softmax(x, -1), fb.tensor([[1]]), [4], [1])
    (g,) = grad(loss, x, create_graph=True)
    with pytest.raises(fb.base.errors.GradientError, match="second"):
        g.square().sum().backward()


def test_focal_loss():
    x, t = rng(3).standard_normal((4, 5)), (rng(4).random((4, 5)) < 0.3) * 1.0
    p = 1 / (1 + np.exp(-x))
    right = np.where(t == 1, p, 1 - p)
    expected = np.where(t == 1, 0.25, 0.75) * (1 - right) ** 2 * -np.log(right)
    np.testing.assert_allclose(F.sigmoid_focal_loss(fb.tensor(x), fb.tensor(t)).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(F.sigmoid_focal_loss(fb.tensor(x), fb.tensor(t), -1, 0, "mean").item(), -np.log(right).mean(), rtol=1e-12)


def test_logits_of_any_size_give_finite_losses():
    x = fb.tensor([-1e4, -50.0, 0.0, 50.0, 1e4], requires_grad=True)
    t = fb.tensor([1.0, 0.0, 1.0, 0.0, 1.0])
    loss = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    loss.sum().backward()
    np.testing.assert_allclose(loss.detach().numpy(), [1e4, 0, np.log(2), 50, 0], atol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), [-1, 0, -0.5, 1, 0], atol=1e-6)


# -- normalisation -------------------------------------------------------------------------------------------
def test_batch_norm_moves_the_running_statistics():
    x, mean, var = rng().standard_normal((4, 3, 5)), fb.zeros(3), fb.ones(3)
    y = F.batch_norm(fb.tensor(x.astype(np.float32)), mean, var, training=True, momentum=0.25).numpy()
    np.testing.assert_allclose(mean.numpy(), 0.25 * x.mean((0, 2)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(var.numpy(), 0.75 + 0.25 * x.var((0, 2), ddof=1), rtol=1e-5)
    np.testing.assert_allclose(y.mean((0, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var((0, 2)), 1, rtol=1e-4)


def test_layer_norm_of_large_values_keeps_its_precision():
    x = rng().standard_normal((6, 64)) + 1e6
    y = F.layer_norm(fb.tensor(x), (64,)).numpy()
    np.testing.assert_allclose(y, (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5), rtol=1e-8, atol=1e-8)


# -- embedding, dropout, attention ---------------------------------------------------------------------------
@given(st.lists(st.integers(0, 5), max_size=12), st.sampled_from(["sum", "mean", "max"]), st.integers(0, 10**6))
def test_embedding_bag_by_loops(lengths, mode, seed):
    table, indices = rng(seed).standard_normal((5, 3)), rng(seed).integers(0, 5, sum(lengths))
    offsets = np.cumsum([0, *lengths])[:-1]
    got = F.embedding_bag(fb.tensor(indices), fb.tensor(table), fb.tensor(offsets.astype(np.int64)), mode=mode).numpy()
    bags = np.split(table[indices], offsets[1:]) if lengths else []
    want = [getattr(b, mode)(0) if len(b) else np.zeros(3) for b in bags]
    np.testing.assert_allclose(got, np.array(want).reshape(-1, 3), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("drop", [F.dropout, F.alpha_dropout])
def test_dropout_keeps_the_mean(drop):
    fb.manual_seed(3)
    x = fb.randn(40000)
    y = drop(x, 0.3, True)
    assert abs(y.mean().item() - x.mean().item()) < 0.03
    if drop is F.alpha_dropout:
        assert abs(y.var().item() - 1) < 0.05
    else:
        assert abs((y == 0).float().mean().item() - 0.3) < 0.01
    assert drop(x, 0.3, False) is x


def test_dropout_of_channels_drops_them_whole():
    fb.manual_seed(1)
    y = F.dropout2d(fb.ones(20, 30, 4, 5), 0.4).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.6)}
    assert (y.min((2, 3)) == y.max((2, 3))).all()


def test_attention_by_loops():
    q, k, v = (rng(i).standard_normal((2, n, 4)) for i, n in ((0, 3), (1, 5), (2, 5)))
    mask = rng(3).random((3, 5)) < 0.6
    mask[:, 0] = True
    got = F.scaled_dot_product_attention(*(fb.tensor(t) for t in (q, k, v)), fb.tensor(mask)).numpy()
    for b, i in itertools.product(range(2), range(3)):
        allowed = mask[i]
        weights = scipy.special.softmax(k[b][allowed] @ q[b, i] / 2)
        np.testing.assert_allclose(got[b, i], weights @ v[b][allowed], rtol=1e-10)


# -- padding, interpolation, grids ---------------------------------------------------------------------------
NUMPY_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@given(st.sampled_from(list(NUMPY_MODES)), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_padding_is_numpys(mode, widths):
    x = rng().standard_normal((2, 4, 5))
    want = np.pad(x, ((0, 0), widths[2:], widths[:2]), mode=NUMPY_MODES[mode])
    np.testing.assert_array_equal(F.pad(fb.tensor(x), widths, mode=mode).numpy(), want)


def test_interpolation_between_aligned_corners_is_numpys():
    x = rng().standard_normal((1, 1, 6))
    got = F.interpolate(fb.tensor(x), size=11, mode="linear", align_corners=True)[0, 0].numpy()
    np.testing.assert_allclose(got, np.interp(np.linspace(0, 5, 11), np.arange(6), x[0, 0]), rtol=1e-12)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
def test_interpolation_keeps_constants(mode, antialias):
    y = F.interpolate(fb.full((1, 2, 7, 9), 3.5), size=(12, 4), mode=mode, antialias=antialias)
    np.testing.assert_allclose(y.numpy(), 3.5, rtol=1e-6)


def test_one_input_may_spread_over_many_outputs():
    x = fb.tensor([[[2.0, 4.0]]], requires_grad=True)
    y = F.interpolate(x, size=5000)
    y.sum().backward()
    assert y[0, 0, 0].item() == 2
    assert y[0, 0, -1].item() == 4
    np.testing.assert_array_equal(x.grad.numpy(), [[[2500, 2500]]])


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_the_identity_grid_gives_the_image(mode, corners):
    x = fb.tensor(rng().standard_normal((2, 3, 4, 5)))
    theta = fb.tensor([[[1.0, 0, 0], [0, 1, 0]]] * 2, dtype=fb.float64)
    grid = F.affine_grid(theta, x.shape, align_corners=corners)
    np.testing.assert_allclose(F.grid_sample(x, grid, mode, align_corners=corners).numpy(), x.numpy(), atol=1e-12)


def test_shuffles_are_undone():
    x = fb.arange(2 * 12 * 2 * 3).reshape(2, 12, 2, 3)
    assert (F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2) == x).all()
    assert (F.channel_shuffle(F.channel_shuffle(x, 3), 4) == x).all()


# -- messages ------------------------------------------------------------------------------------------------
x4 = fb.zeros(2, 4, 5, 5)
MESSAGES = [
    (lambda: F.conv2d(x4, fb.zeros(8, 3, 3, 3)), "conv2d: expected input with 3 channels (weight is (8, 3, 3, 3), groups=1), got 4"),
    (lambda: F.conv2d(x4, fb.zeros(8, 4, 7, 7)), "the extent of the kernel"),
    (lambda: F.conv2d(x4.double(), fb.zeros(8, 4, 3, 3)), "one dtype"),
    (lambda: F.conv1d(x4, fb.zeros(8, 4, 3)), "expected input (N, C, L) or (C, L)"),
    (lambda: F.conv2d(x4, fb.zeros(8, 4, 3, 3), padding="same", stride=2), "stride 1 with padding='same'"),
    (lambda: F.conv_transpose2d(x4, fb.zeros(4, 2, 3, 3), output_padding=1), "output_padding smaller than stride or dilation"),
    (lambda: F.linear(fb.zeros(2, 5), fb.zeros(3, 4)), "linear: expected input with last size 4 (weight is (3, 4)), got shape (2, 5)"),
    (lambda: F.max_pool2d(x4, 2, padding=2), "half of kernel_size"),
    (lambda: F.cross_entropy(fb.zeros(2, 3), fb.tensor([0, 3])), "cross_entropy: expected class numbers in [0, 2]"),
    (lambda: F.cross_entropy(fb.zeros(2, 3), fb.tensor([0, 1, 2])), "a target of shape (2,)"),
    (lambda: F.cross_entropy(fb.zeros(2, 3), fb.tensor([0.5, 1.0])), "integer class numbers"),
    (lambda: F.binary_cross_entropy(fb.zeros(2, 3), fb.zeros(2)), "target of the input's shape (2, 3)"),
    (lambda: F.mse_loss(fb.zeros(2), fb.zeros(2), reduction="avg"), "reduction 'none' or 'mean' or 'sum'"),
    (lambda: F.gaussian_nll_loss(fb.zeros(2), fb.zeros(2), fb.tensor([1.0, -1.0])), "not negative"),
    (lambda: F.batch_norm(fb.zeros(1, 3), None, None, training=True), "more than 1 value per channel"),
    (lambda: F.layer_norm(fb.zeros(2, 3), (4,)), "input that ends in normalized_shape (4,)"),
    (lambda: F.group_norm(x4, 3), "channels divisible by num_groups"),
    (lambda: F.embedding(fb.tensor([7]), fb.zeros(5, 2)), "embedding: expected indices in [0, 4], got 7"),
    (lambda: F.embedding(fb.tensor([1.0]), fb.zeros(5, 2)), "integer tensor of indices"),
    (lambda: F.dropout(fb.zeros(2), 1.5), "a probability p in [0, 1]"),
    (lambda: F.scaled_dot_product_attention(fb.zeros(2, 3), fb.zeros(2, 4), fb.zeros(2, 4)), "key (..., S, E)"),
    (lambda: F.pad(x4, (6, 0), mode="reflect"), "reflect widths below the size 5"),
    (lambda: F.interpolate(x4, size=3, mode="linear"), "an input with 3 axes for mode 'linear'"),
    (lambda: F.grid_sample(x4, fb.zeros(2, 3, 3, 3), align_corners=True), "with grid (N, H', W', 2)"),
    (lambda: F.ctc_loss(fb.zeros(4, 1, 3), fb.tensor([[5]]), [4], [1]), "target labels in [0, 2]"),
    (lambda: F.one_hot(fb.tensor([3]), 2), "indices in [0, 1]"),
    (lambda: F.pixel_shuffle(fb.zeros(1, 6, 2, 2), 2), "channels divisible by upscale_factor^2 = 4"),
    (lambda: F.glu(fb.zeros(3)), "an even size"),
    (lambda: F.gelu(fb.tensor([1])), "a floating-point tensor"),
]


@pytest.mark.parametrize("call, message", MESSAGES, ids=[m for _, m in MESSAGES])
def test_errors_say_what_was_expected(call, message):
    with pytest.raises(fb.base.errors.FlambeauError) as caught:
        call()
    assert message in str(caught.value)
    assert "got" in str(caught.value)
