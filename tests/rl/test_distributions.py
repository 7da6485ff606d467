"""Distributions over actions against SciPy and written-out formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import flambeau
from flambeau_rl.distributions import Bernoulli, Categorical, DiagGaussian, MultiCategorical

random = np.random.default_rng(0)


def softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def generator():
    return flambeau.Generator().manual_seed(5)


def close(tensor, expected, **options):
    np.testing.assert_allclose(tensor.numpy(), expected, **{"rtol": 1e-5, "atol": 1e-6, **options})


def test_categorical():
    logits = random.normal(size=(6, 4)) * 3
    actions = random.integers(0, 4, 6)
    d = Categorical(flambeau.tensor(logits))
    p = softmax(logits)
    close(d.log_prob(flambeau.tensor(actions)), np.log(p[np.arange(6), actions]))
    close(d.entropy(), [stats.entropy(row) for row in p])
    close(d.mode(), logits.argmax(-1))


def test_categorical_draws_with_its_probabilities():
    p = np.array([0.5, 0.3, 0.15, 0.05])
    draws = Categorical(flambeau.tensor(np.log(p)).expand(20_000, 4)).sample(generator())
    assert draws.dtype == flambeau.int64
    assert stats.chisquare(np.bincount(draws.numpy(), minlength=4), p * 20_000).pvalue > 1e-3


def test_impossible_actions_are_never_drawn():
    logits = flambeau.tensor([[-1e30, 0.0, -1e30]]).expand(1000, 3)
    assert set(Categorical(logits).sample(generator()).tolist()) == {1}


def test_multi_categorical_is_several_categoricals():
    logits = random.normal(size=(5, 6))
    actions = np.stack([random.integers(0, n, 5) for n in (2, 3, 1)], -1)
    d = MultiCategorical(flambeau.tensor(logits), [2, 3, 1])
    parts = [softmax(part) for part in np.split(logits, [2, 5], -1)]
    close(d.log_prob(flambeau.tensor(actions)), sum(np.log(p[np.arange(5), actions[:, i]]) for i, p in enumerate(parts)))
    close(d.entropy(), sum(stats.entropy(p, axis=-1) for p in parts))
    close(d.mode(), np.stack([p.argmax(-1) for p in parts], -1))
    draws = d.sample(generator()).numpy()
    assert draws.shape == (5, 3)
    assert (draws < [2, 3, 1]).all() and (draws >= 0).all()


def test_bernoulli():
    logits = random.normal(size=(5, 3)) * 3
    actions = random.integers(0, 2, (5, 3)).astype(np.float64)
    d = Bernoulli(flambeau.tensor(logits))
    p = 1 / (1 + np.exp(-logits))
    close(d.log_prob(flambeau.tensor(actions)), stats.bernoulli.logpmf(actions, p).sum(-1))
    close(d.entropy(), stats.bernoulli.entropy(p).sum(-1))
    close(d.mode(), logits > 0)
    draws = Bernoulli(flambeau.tensor(logits[:1]).expand(20_000, 3)).sample(generator()).numpy()
    np.testing.assert_allclose(draws.mean(0), p[0], atol=0.02)


@pytest.mark.parametrize("make", [Categorical, Bernoulli])
def test_extreme_logits_give_finite_numbers(make):
    d = make(flambeau.tensor([[200.0, -200.0]]))
    actions = flambeau.tensor([1]) if make is Categorical else flambeau.tensor([[0.0, 1.0]])
    assert np.isfinite(d.log_prob(actions).numpy()).all()
    close(d.entropy(), 0.0, atol=1e-6)


def test_gaussian():
    mean, log_std = random.normal(size=(5, 2)), np.array([-1.0, 0.5])
    actions = random.normal(size=(5, 2))
    d = DiagGaussian(flambeau.tensor(mean), flambeau.tensor(log_std))
    close(d.log_prob(flambeau.tensor(actions)), stats.norm.logpdf(actions, mean, np.exp(log_std)).sum(-1))
    close(d.entropy(), np.full(5, stats.norm.entropy(0, np.exp(log_std)).sum()))
    close(d.mode(), mean)
    draws = DiagGaussian(flambeau.tensor(mean[:1]).expand(20_000, 2), flambeau.tensor(log_std)).sample(generator()).numpy()
    for i in range(2):
        assert stats.kstest(draws[:, i], stats.norm(mean[0, i], np.exp(log_std[i])).cdf).pvalue > 1e-3


def test_the_same_generator_gives_the_same_actions():
    logits = flambeau.zeros(50, 4)
    first, again = (Categorical(logits).sample(generator()).tolist() for _ in range(2))
    assert first == again
