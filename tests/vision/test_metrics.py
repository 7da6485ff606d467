"""Measures against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as fb
from flambeau.base.errors import ArgumentError, ShapeError
from flambeau_vision import metrics
from flambeau_vision.metrics.detection import THRESHOLDS


def scene(seed, images=4, classes=3):
    random = np.random.default_rng(seed)

    def boxes(n):
        corner = random.uniform(0, 60, (n, 2))
        return np.concatenate([corner, corner + random.uniform(15, 70, (n, 2))], 1)

    truths, founds = [], []
    for _ in range(images):
        n = int(random.integers(0, 5))
        truth = {"boxes": boxes(n), "labels": random.integers(0, classes, n)}
        near = truth["boxes"] + random.normal(0, 3, (n, 4)).clip(-7, 7)
        extra = int(random.integers(0, 4))
        found = {
            "boxes": np.concatenate([near, boxes(extra)]),
            "labels": np.concatenate([truth["labels"], random.integers(0, classes, extra)]),
            "scores": random.permutation(n + extra) / 10 + random.uniform(0, 0.05, n + extra),
        }
        truths.append(truth)
        founds.append(found)
    return founds, truths


def brute_ap(founds, truths, label, threshold):
    """Interpolated precision at 101 recalls, straight from the definition."""
    rows, positives = [], 0
    for found, truth in zip(founds, truths):
        free = [box for box, kind in zip(truth["boxes"], truth["labels"]) if kind == label]
        positives += len(free)
        mine = sorted(((s, b) for s, b, k in zip(found["scores"], found["boxes"], found["labels"]) if k == label), key=lambda row: -row[0])
        for score, box in mine:
            overlaps = [iou(box, other) for other in free]
            best = int(np.argmax(overlaps)) if overlaps else -1
            hit = best >= 0 and overlaps[best] >= threshold
            if hit:
                free.pop(best)
            rows.append((score, hit))
    if positives == 0:
        return np.nan
    rows.sort(key=lambda row: -row[0])
    points = [(sum(h for _, h in rows[: k + 1]) / positives, sum(h for _, h in rows[: k + 1]) / (k + 1)) for k in range(len(rows))]
    return np.mean([max((p for r, p in points if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)])


def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


@settings(max_examples=25)
@given(st.integers(0, 10000))
def test_average_precision(seed):
    founds, truths = scene(seed)
    metric = metrics.CocoAP()
    metric.update(founds[:2], truths[:2])
    metric.update(founds[2:], truths[2:])
    result = metric.compute()
    labels = sorted({int(k) for side in (*founds, *truths) for k in side["labels"]})
    table = np.array([[brute_ap(founds, truths, label, t) for t in THRESHOLDS] for label in labels]).reshape(len(labels), 10)
    known = table[~np.isnan(table[:, 0])]
    if len(known):
        assert result["map50"] == pytest.approx(known[:, 0].mean(), abs=1e-9)
        assert result["map"] == pytest.approx(known.mean(), abs=1e-9)
    else:
        assert np.isnan(result["map"])
    for label, row in zip(labels, table):
        np.testing.assert_allclose(result["per_class"][label], row.mean(), atol=1e-9)


def test_crowds_and_sizes():
    truth = {"boxes": [[0, 0, 100, 100], [200, 200, 210, 210]], "labels": [1, 1], "iscrowd": [1, 0]}
    found = {"boxes": [[200, 200, 210, 210], [10, 10, 20, 20], [300, 300, 310, 310]], "labels": [1, 1, 1], "scores": [0.5, 0.9, 0.1]}
    metric = metrics.CocoAP()
    metric.update([found], [truth])
    result = metric.compute()
    assert result["map50"] == 1.0  # the detection in the crowd counts neither way, and the last one comes after all recall
    assert result["map_small"] == 1.0
    assert np.isnan(result["map_large"])
    with pytest.raises(ArgumentError):
        metric.update([found], [])
    assert np.isnan(metrics.CocoAP().compute()["map"])


def test_classification():
    random = np.random.default_rng(0)
    scores, targets = random.standard_normal((50, 7)), random.integers(0, 7, 50)
    for k, value in zip((1, 3, 7), metrics.accuracy_at_k(fb.from_numpy(scores), fb.from_numpy(targets), (1, 3, 7))):
        assert value == np.mean([t in np.argsort(-s)[:k] for s, t in zip(scores, targets)])
    counts = metrics.confusion_matrix(targets, scores.argmax(1), 7)
    assert all(counts[i, j] == np.sum((targets == i) & (scores.argmax(1) == j)) for i in range(7) for j in range(7))
    for wrong in (lambda: metrics.accuracy_at_k(scores, targets, (8,)), lambda: metrics.confusion_matrix([0], [5], 2)):
        with pytest.raises(ArgumentError):
            wrong()
    with pytest.raises(ShapeError):
        metrics.accuracy_at_k(scores, targets[:3])


def test_mean_iou():
    random = np.random.default_rng(0)
    target, guess = random.integers(0, 4, (2, 8, 8)), random.integers(0, 4, (2, 8, 8))
    target[0, :2] = 255
    seen = target != 255
    expected = [np.sum(seen & (target == c) & (guess == c)) / np.sum(seen & ((target == c) | (guess == c))) for c in range(4)]
    mean, each = metrics.mean_iou(fb.from_numpy(target), fb.from_numpy(guess), 4)
    np.testing.assert_allclose(each, expected)
    assert mean == pytest.approx(np.mean(expected))
    assert np.isnan(metrics.mean_iou([0, 0], [0, 0], 2)[1][1])


def test_generated():
    random = np.random.default_rng(0)
    a, b = random.standard_normal((300, 5)), random.standard_normal((200, 5)) @ random.standard_normal((5, 5)) + 1
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * scipy.linalg.sqrtm(ca @ cb).real)
    assert metrics.frechet_distance(a, fb.from_numpy(b)) == pytest.approx(expected, rel=1e-6)
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    images = fb.from_numpy(random.uniform(0, 1, (2, 3, 16, 16)))
    assert metrics.ssim(images, images) == pytest.approx(1.0)
    assert metrics.ssim(images, 1 - images) < 0
    assert metrics.psnr(images, images) == np.inf
    with pytest.raises(ShapeError):
        metrics.ssim(images[..., :8], images[..., :8])
    with pytest.raises(ShapeError):
        metrics.psnr(images, images[0])
    with pytest.raises(ArgumentError):
        metrics.frechet_distance(a[:1], b)


def test_ssim_by_its_definition():
    random = np.random.default_rng(1)
    x, y = random.uniform(0, 1, (2, 12, 13))
    window = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    window = np.outer(window, window) / window.sum() ** 2
    values = []
    for i in range(2):
        for j in range(3):
            p, q = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq, c = (window * p * p).sum() - mp**2, (window * q * q).sum() - mq**2, (window * p * q).sum() - mp * mq
            values.append((2 * mp * mq + 1e-4) * (2 * c + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
    assert metrics.ssim(fb.from_numpy(x)[None, None], fb.from_numpy(y)[None, None]) == pytest.approx(np.mean(values), abs=1e-7)
