"""Metrics against NumPy, batch by batch and in one piece."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flambeau as fb
from flambeau.base.errors import ArgumentError, ShapeError
from flambeau.train import Accuracy, Mean, Metric
from flambeau.train.metrics import Meters

SPLITS = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def count(metric, splits, *arrays):
    """Update the metric with the rows of the arrays, a batch for each split."""
    for stop, size in zip(np.cumsum(splits), splits):
        metric.update(*(fb.tensor(array[stop - size : stop]) for array in arrays))
    return metric.compute()


@given(SPLITS, st.integers(0, 1000), st.sampled_from([(), (2,), (2, 3)]))
def test_accuracy_of_classes(splits, seed, extra):
    random = np.random.default_rng(seed)
    scores = random.standard_normal((sum(splits), 4, *extra)).astype(np.float32)
    target = random.integers(0, 4, (sum(splits), *extra))
    assert count(Accuracy(), splits, scores, target) == pytest.approx(np.mean(scores.argmax(1) == target), abs=1e-12)


@given(SPLITS, st.integers(0, 1000), st.integers(1, 4))
def test_accuracy_among_the_best(splits, seed, k):
    random = np.random.default_rng(seed)
    scores = random.standard_normal((sum(splits), 4)).astype(np.float32)
    target = random.integers(0, 4, sum(splits))
    right = [t in np.argsort(-row)[:k] for row, t in zip(scores, target)]
    assert count(Accuracy(top_k=k), splits, scores, target) == pytest.approx(np.mean(right), abs=1e-12)


@pytest.mark.parametrize("kind", [np.float32, np.int64, bool])
def test_accuracy_of_yes_and_no(kind):
    output, target = np.float32([[-1.0], [2.0], [0.5], [0.1]]), np.array([[0], [1], [0], [1]]).astype(kind)
    assert count(Accuracy(threshold=0.0), [3, 1], output, target) == 0.75
    assert count(Accuracy(threshold=0.2), [4], output, target) == 0.5


@pytest.mark.parametrize(
    ("options", "output", "target", "message"),
    [
        ({}, (4, 3), (4, 1), r"expected output \(N, K, \*\) and target \(N, \*\), got \(4, 3\) and \(4, 1\)"),
        ({}, (4,), (4,), "expected output"),
        ({"threshold": 0.5}, (4, 1), (4,), "expected output and target of one shape"),
    ],
)
def test_shapes_that_do_not_fit(options, output, target, message):
    with pytest.raises(ShapeError, match=message):
        Accuracy(**options).update(fb.zeros(*output), fb.zeros(*target, dtype=fb.int64))


def test_wrong_arguments():
    with pytest.raises(ArgumentError, match="expected at least 4 classes for top_k, got 3"):
        Accuracy(top_k=4).update(fb.zeros(2, 3), fb.zeros(2, dtype=fb.int64))
    for options in ({"top_k": 0}, {"top_k": 2, "threshold": 0.5}):
        with pytest.raises(ArgumentError, match="expected top_k of 1 or more, or a threshold"):
            Accuracy(**options)
    with pytest.raises(ArgumentError, match="expected names besides 'loss'"):
        Meters({"loss": Mean()})


@given(st.lists(st.tuples(st.floats(-1e3, 1e3, width=32), st.integers(1, 9)), min_size=1))
def test_mean_is_weighted(pairs):
    mean = Mean()
    for value, weight in pairs:
        mean.update(fb.tensor(value), weight)
    values, sizes = np.float64([value for value, _ in pairs]), [weight for _, weight in pairs]
    assert mean.compute() == pytest.approx(np.average(values, weights=sizes), rel=1e-5, abs=1e-3)


def test_sums_are_double():
    mean = Mean()
    for _ in range(1000):
        mean.update(fb.tensor(16777216.0))
        mean.update(fb.tensor(1.0))
    assert mean.compute() == 8388608.5


def test_state_goes_on_exactly():
    random = np.random.default_rng(0)
    whole, first, second = Mean(), Mean(), Mean()
    values = random.standard_normal(20)
    for number, value in enumerate(values):
        whole.update(fb.tensor(value), 3)
        if number == 9:
            second.load_state_dict(first.state_dict())
        (first if number < 9 else second).update(fb.tensor(value), 3)
    assert second.compute() == whole.compute()
    whole.reset()
    assert math.isnan(whole.compute())
    assert whole.state_dict() == {"total": 0.0, "weight": 0.0}


def test_meters_are_one():
    meters = Meters({"accuracy": Accuracy()})
    meters.update(fb.tensor(2.0), fb.tensor([[0.0, 1.0], [1.0, 0.0]]), fb.tensor([1, 1]), 2)
    assert meters.compute() == {"loss": 2.0, "accuracy": 0.5}
    fresh = meters.fresh()
    assert math.isnan(fresh.compute()["loss"])
    fresh.load_state_dict(meters.state_dict())
    assert fresh.compute("val_") == {"val_loss": 2.0, "val_accuracy": 0.5}
    meters.reset()
    assert math.isnan(meters.compute()["accuracy"])


def test_a_metric_must_say_how_it_counts():
    with pytest.raises(NotImplementedError, match=r"Metric must define update\(output, target\)"):
        Metric().update(None, None)
