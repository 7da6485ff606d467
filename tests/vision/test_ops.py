"""Box arithmetic, suppression and pooling against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as fb
from flambeau.base.errors import ArgumentError, ShapeError
from flambeau.testing import LayerCase, OpCase, floats, run, sample
from flambeau_vision import ops


def boxes(n, seed=0, size=50.0):
    random = np.random.default_rng(seed)
    corner = random.uniform(0, size, (n, 2))
    return np.concatenate([corner, corner + random.uniform(1, size / 2, (n, 2))], 1).astype(np.float32)


def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def brute_nms(found, scores, threshold):
    left, kept = sorted(range(len(found)), key=lambda i: -scores[i]), []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [i for i in left if iou(found[best], found[i]) <= threshold]
    return kept


@settings(max_examples=40)
@given(st.integers(0, 40), st.integers(0, 1000), st.floats(0.0, 1.0))
def test_nms(n, seed, threshold):
    found, scores = boxes(n, seed), np.random.default_rng(seed).permutation(n).astype(np.float32)
    assert ops.nms(fb.from_numpy(found), fb.from_numpy(scores), threshold).tolist() == brute_nms(found.astype(float), scores, threshold)
    classes = np.random.default_rng(seed).integers(0, 3, n)
    expected = [
        i
        for c in range(3)
        for i in np.flatnonzero(classes == c)[brute_nms(found[classes == c].astype(float), scores[classes == c], threshold)]
    ]
    kept = ops.batched_nms(fb.from_numpy(found), fb.from_numpy(scores), fb.from_numpy(classes), threshold).tolist()
    assert kept == sorted(expected, key=lambda i: -scores[i])


def test_overlaps():
    a, b = boxes(5), boxes(7, 1)
    expected = [[iou(x, y) for y in b.astype(float)] for x in a.astype(float)]
    np.testing.assert_allclose(ops.box_iou(fb.from_numpy(a), fb.from_numpy(b)).numpy(), expected, rtol=1e-4, atol=1e-6)
    same = fb.from_numpy(a)
    for function in (ops.generalized_box_iou, ops.distance_box_iou, ops.complete_box_iou):
        assert np.diag(function(same, same).numpy()) == pytest.approx(1.0, abs=1e-4)
        assert (function(same, fb.from_numpy(b)).numpy() <= ops.box_iou(same, fb.from_numpy(b)).numpy() + 1e-6).all()
    apart = fb.tensor([[0.0, 0.0, 1.0, 1.0]]), fb.tensor([[9.0, 0.0, 10.0, 1.0]])
    assert float(ops.generalized_box_iou(*apart)) == pytest.approx(-0.8)
    np.testing.assert_allclose(
        ops.generalized_box_iou_loss(fb.from_numpy(a), fb.from_numpy(b[:5])).numpy(),
        1 - np.diag(ops.generalized_box_iou(fb.from_numpy(a), fb.from_numpy(b[:5])).numpy()),
        rtol=1e-5,
    )
    assert ops.box_iou(fb.zeros(0, 4), fb.from_numpy(b)).shape == (0, 7)
    assert ops.remove_small_boxes(fb.tensor([[0.0, 0, 1, 5], [0, 0, 3, 3]]), 2).tolist() == [1]
    assert ops.clip_boxes_to_image(fb.tensor([[-1.0, 2, 30, 40]]), (10, 20)).tolist() == [[0, 2, 20, 10]]
    assert ops.masks_to_boxes(fb.tensor([[[0, 1, 0], [0, 1, 1]]])).tolist() == [[1, 0, 2, 1]]
    with pytest.raises(ShapeError, match=r"boxes \(n, 4\)"):
        ops.box_iou(fb.zeros(3), fb.zeros(2, 4))


def brute_align(x, roi, size, scale, ratio, aligned):
    """RoIAlign of one box by its definition: (C, *size)."""
    offset = 0.5 if aligned else 0.0
    x1, y1, x2, y2 = (value * scale - offset for value in roi[1:])
    wide, high = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1), max(y2 - y1, 1))
    down = ratio if ratio > 0 else int(np.ceil(high / size[0]))
    right = ratio if ratio > 0 else int(np.ceil(wide / size[1]))
    out = np.zeros((x.shape[1], *size))
    for i in range(size[0]):
        for j in range(size[1]):
            values = [
                bilinear(x[int(roi[0])], y1 + (i + (a + 0.5) / down) * high / size[0], x1 + (j + (b + 0.5) / right) * wide / size[1])
                for a in range(down)
                for b in range(right)
            ]
            out[:, i, j] = np.mean(values, axis=0)
    return out


def bilinear(image, y, x):
    c, h, w = image.shape
    if y < -1 or y > h or x < -1 or x > w:
        return np.zeros(c)
    y, x = min(max(y, 0), h - 1), min(max(x, 0), w - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
    fy, fx = y - y0, x - x0
    return (1 - fy) * ((1 - fx) * image[:, y0, x0] + fx * image[:, y0, x1]) + fy * ((1 - fx) * image[:, y1, x0] + fx * image[:, y1, x1])


ROIS = np.array([[0, 1, 2, 9, 7], [1, 0, 0, 3, 3], [1, -4, -3, 30, 25], [0, 5, 5, 5, 5], [0, 14, 10, 15.5, 12]], np.float64)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("ratio", [2, -1])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_roi_align(aligned, ratio, scale):
    x = np.random.default_rng(0).standard_normal((2, 3, 12, 16))
    rois = ROIS[:4] if aligned and ratio < 0 else ROIS
    rois = rois[[0, 1, 2]] if aligned else rois
    got = ops.roi_align(fb.from_numpy(x), fb.from_numpy(rois), (3, 2), scale, ratio, aligned).numpy()
    expected = np.stack([brute_align(x, roi, (3, 2), scale, ratio, aligned) for roi in rois])
    np.testing.assert_allclose(got, expected, atol=1e-9)
    listed = [fb.from_numpy(rois[rois[:, 0] == i, 1:]) for i in (0, 1)]
    order = np.argsort(rois[:, 0], kind="stable")
    np.testing.assert_allclose(ops.roi_align(fb.from_numpy(x), listed, (3, 2), scale, ratio, aligned).numpy(), expected[order], atol=1e-9)


def test_roi_pool():
    x = np.random.default_rng(0).standard_normal((2, 3, 12, 16))
    got = ops.roi_pool(fb.from_numpy(x), fb.from_numpy(ROIS), (3, 2), 0.5).numpy()
    for roi, pooled in zip(ROIS, got):
        x1, y1, x2, y2 = np.floor(roi[1:] * 0.5 + 0.5).astype(int)
        for i in range(3):
            for j in range(2):
                rows = [y1 + k for k in range(int(np.floor(i * max(y2 - y1 + 1, 1) / 3)), int(np.ceil((i + 1) * max(y2 - y1 + 1, 1) / 3)))]
                columns = [
                    x1 + k for k in range(int(np.floor(j * max(x2 - x1 + 1, 1) / 2)), int(np.ceil((j + 1) * max(x2 - x1 + 1, 1) / 2)))
                ]
                inside = [x[int(roi[0]), :, r, c] for r in rows for c in columns if 0 <= r < 12 and 0 <= c < 16]
                np.testing.assert_array_equal(pooled[:, i, j], np.max(inside, axis=0) if inside else 0)


def test_no_boxes():
    x = fb.zeros(1, 2, 4, 4)
    for function in (ops.roi_align, ops.roi_pool):
        assert function(x, fb.zeros(0, 5), (3, 2)).shape == (0, 2, 3, 2)
        assert function(x, [fb.zeros(0, 4)], 2).shape == (0, 2, 2, 2)
        with pytest.raises(ArgumentError, match="boxes for 1 images"):
            function(x, [], 2)
        with pytest.raises(ShapeError):
            function(x, fb.zeros(1, 4), 2)
    assert ops.nms(fb.zeros(0, 4), fb.zeros(0), 0.5).shape == (0,)


def test_levels_of_a_pyramid():
    """Each box is read at the level that its size belongs to."""
    levels = {
        "0": fb.full((1, 1, 64, 64), 1.0),
        "1": fb.full((1, 1, 32, 32), 2.0),
        "2": fb.full((1, 1, 16, 16), 3.0),
        "pool": fb.zeros(1, 1, 8, 8),
    }
    pool = ops.MultiScaleRoIAlign(["0", "1", "2"], 2, 2)
    found = fb.tensor([[0.0, 0, 250, 250], [0, 0, 20, 20], [0, 0, 120, 120], [10, 10, 14, 14]])
    assert pool(levels, [found], [(256, 256)])[:, 0, 0, 0].tolist() == [3, 1, 2, 1]


def focal(x, t, alpha=0.25, gamma=2, reduction="none"):
    p = 1 / (1 + np.exp(-x))
    right = np.where(t == 1, p, 1 - p)
    loss = -np.where(t == 1, alpha, 1 - alpha) * (1 - right) ** gamma * np.log(right)
    return loss if reduction == "none" else getattr(loss, reduction)()


TARGETS = (np.arange(6).reshape(2, 3) % 2).astype(np.float64)
CASES = [
    OpCase(
        "sigmoid_focal_loss",
        lambda x, reduction="none": ops.sigmoid_focal_loss(x, fb.from_numpy(TARGETS).to(x.dtype), reduction=reduction),
        [sample(floats(2, 3)), sample(floats(2, 3), reduction="sum")],
        reference=lambda x, reduction="none": focal(x, TARGETS, reduction=reduction),
        dtypes=("float32",),
        meta=False,
        vmap=False,
    ),
    OpCase(
        "roi_align",
        lambda x: ops.roi_align(x, fb.from_numpy(ROIS), (3, 2), 0.5, 2),
        [sample(floats(2, 1, 12, 16))],
        reference=lambda x: np.stack([brute_align(x, roi, (3, 2), 0.5, 2, False) for roi in ROIS]),
        dtypes=("float32",),
        meta=False,
        vmap=False,
    ),
    OpCase(
        "generalized_box_iou",
        lambda a: ops.generalized_box_iou(a.abs().cumsum(1) + 0.1, fb.from_numpy(boxes(2, 3, 3.0)).to(a.dtype)),
        [sample(floats(3, 4, low=0.2, high=1.0))],
        reference=lambda a: ops.generalized_box_iou(
            fb.from_numpy(np.abs(a).cumsum(1) + 0.1), fb.from_numpy(boxes(2, 3, 3.0).astype(np.float64))
        ).numpy(),
        dtypes=(),
        meta=False,
        vmap=False,
        skip={"values": "the reference is the operation itself; see test_overlaps"},
    ),
    LayerCase(
        "FrozenBatchNorm2d",
        lambda: ops.FrozenBatchNorm2d(3),
        [sample(floats(2, 3, 4, 4))],
        state=("weight", "bias", "running_mean", "running_var"),
        skip={"training": "it has no parameters"},
    ),
    LayerCase(
        "Conv2dNormActivation",
        lambda: ops.Conv2dNormActivation(3, 4, dilation=2, activation_layer=fb.nn.SiLU),
        [sample(floats(2, 3, 9, 9))],
        shapes=[(2, 4, 9, 9)],
    ),
    LayerCase("SqueezeExcitation", lambda: ops.SqueezeExcitation(4, 2, activation=fb.nn.SiLU), [sample(floats(2, 4, 3, 3))]),
    LayerCase("MLP", lambda: ops.MLP(4, [5, 3], norm_layer=fb.nn.LayerNorm, activation_layer=fb.nn.GELU), [sample(floats(2, 4))]),
    LayerCase("LayerNorm2d", lambda: ops.LayerNorm2d(3), [sample(floats(2, 3, 4, 4))]),
    LayerCase("Permute", lambda: ops.Permute([0, 2, 1]), [sample(floats(2, 3, 4))], shapes=[(2, 4, 3)]),
    LayerCase("StochasticDepth", lambda: ops.StochasticDepth(0.5, "row"), [sample(floats(2, 3))]),
]
test_contract = run(CASES)
