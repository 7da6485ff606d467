"""Distributions of vectors, mixtures, wrappers and relaxations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import flambeau as fb
from flambeau import distributions as D
from flambeau.base.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(0)
PROBS = RNG.dirichlet(np.ones(4), 3)
MATRIX = RNG.standard_normal((3, 3))
COVARIANCE = MATRIX @ MATRIX.T + np.eye(3)
MEAN = np.array([0.5, -1.0, 2.0])


def test_categorical():
    d = D.Categorical(probs=fb.tensor(PROBS * 2))
    np.testing.assert_allclose(d.probs.numpy(), PROBS)
    np.testing.assert_allclose(d.entropy().numpy(), stats.entropy(PROBS, axis=1))
    every = d.enumerate_support()
    np.testing.assert_allclose(d.log_prob(every).exp().numpy(), PROBS.T)
    same = D.Categorical(logits=fb.tensor(np.log(PROBS) + 3))
    np.testing.assert_allclose(same.log_prob(every).numpy(), np.log(PROBS.T), atol=1e-12)
    fb.manual_seed(0)
    drawn = d.sample((4000,))
    assert tuple(drawn.shape) == (4000, 3)
    counts = np.stack([np.bincount(drawn[:, i].numpy(), minlength=4) for i in range(3)])
    assert stats.chisquare(counts, PROBS * 4000, axis=1).pvalue.min() > 1e-3
    np.testing.assert_array_equal(d.mode.numpy(), PROBS.argmax(1))
    assert tuple(d.expand((2, 3)).sample((5,)).shape) == (5, 2, 3)
    assert tuple(d.sample((0,)).shape) == (0, 3)
    with pytest.raises(ShapeError, match="zero-dimensional"):
        D.Categorical(fb.tensor(0.5))


def test_categorical_gradient_is_the_score():
    logits = fb.tensor(np.log(PROBS), requires_grad=True)
    D.Categorical(logits=logits).log_prob(fb.tensor([0, 1, 2])).sum().backward()
    np.testing.assert_allclose(logits.grad.numpy(), np.eye(4)[:3] - PROBS, atol=1e-12)


def test_one_hot():
    d = D.OneHotCategorical(fb.tensor(PROBS))
    assert (tuple(d.batch_shape), tuple(d.event_shape)) == ((3,), (4,))
    drawn = d.sample((6,))
    assert bool(d.support.check(drawn).all())
    np.testing.assert_allclose(d.log_prob(drawn).numpy(), np.log((drawn.numpy() * PROBS).sum(-1)))
    assert tuple(d.enumerate_support().shape) == (4, 3, 4)
    assert tuple(d.expand((2, 3)).sample().shape) == (2, 3, 4)
    probs = fb.tensor(PROBS, requires_grad=True)
    straight = D.OneHotCategoricalStraightThrough(probs).rsample()
    (straight * fb.arange(4)).sum().backward()
    assert probs.grad is not None and set(np.round(straight.detach().numpy().ravel(), 12)) <= {0.0, 1.0}


def test_multinomial():
    d = D.Multinomial(5, probs=fb.tensor(PROBS))
    fb.manual_seed(0)
    drawn = d.sample((3000,))
    assert bool((drawn.sum(-1) == 5).all())
    np.testing.assert_allclose(drawn.mean(0).numpy(), 5 * PROBS, atol=0.1)
    for i in range(3):
        reference = stats.multinomial(5, PROBS[i])
        np.testing.assert_allclose(d.log_prob(drawn[:50])[:, i].numpy(), reference.logpmf(drawn[:50, i].numpy()), rtol=1e-9)
        np.testing.assert_allclose(d.entropy()[i].item(), reference.entropy(), rtol=1e-9)


def test_dirichlet():
    alpha = np.array([[0.5, 2.0, 3.0], [4.0, 1.0, 0.2]])
    d = D.Dirichlet(fb.tensor(alpha))
    fb.manual_seed(0)
    drawn = d.sample((3000,))
    np.testing.assert_allclose(drawn.sum(-1).numpy(), 1, atol=1e-12)
    for i in range(2):
        reference = stats.dirichlet(alpha[i])
        np.testing.assert_allclose(d.log_prob(drawn)[:20, i].numpy(), [reference.logpdf(x) for x in drawn[:20, i].numpy()], rtol=1e-9)
        np.testing.assert_allclose(d.mean[i].numpy(), reference.mean())
        np.testing.assert_allclose(d.variance[i].numpy(), reference.var())
        np.testing.assert_allclose(d.entropy()[i].item(), reference.entropy())
        np.testing.assert_allclose(drawn[:, i].numpy().mean(0), reference.mean(), atol=0.03)


def test_gradients_of_gamma_beta_and_dirichlet_draws_are_those_of_the_expectation():
    """d/da E[x] by the mean of pathwise gradients, against the derivative of the closed form of the mean."""
    fb.manual_seed(0)
    a = fb.tensor(1.7, dtype=fb.float64, requires_grad=True)
    D.Gamma(a, 2.0).rsample((20000,)).mean().backward()
    assert abs(a.grad.item() - 1 / 2) < 0.02
    a = fb.tensor(1.7, dtype=fb.float64, requires_grad=True)
    b = fb.tensor(0.6, dtype=fb.float64, requires_grad=True)
    D.Beta(a, b).rsample((20000,)).mean().backward()
    assert abs(a.grad.item() - 0.6 / 2.3**2) < 0.01
    assert abs(b.grad.item() + 1.7 / 2.3**2) < 0.01
    alpha = fb.tensor([0.5, 2.0, 3.0], dtype=fb.float64, requires_grad=True)
    D.Dirichlet(alpha).rsample((20000,))[:, 1].mean().backward()
    np.testing.assert_allclose(alpha.grad.numpy(), [-2 / 5.5**2, 3.5 / 5.5**2, -2 / 5.5**2], atol=0.01)


def test_second_derivatives_of_gamma_draws_are_refused():
    a = fb.tensor(1.5, requires_grad=True)
    draw = D.Gamma(a, 1.0).rsample((3,)).sum()
    from flambeau.autograd.engine import grad

    (slope,) = grad(draw, [a], create_graph=True)
    with pytest.raises(RuntimeError, match="second derivative"):
        slope.backward()


@pytest.mark.parametrize("name", ["covariance_matrix", "precision_matrix", "scale_tril"])
def test_multivariate_normal(name):
    matrix = {"covariance_matrix": COVARIANCE, "precision_matrix": np.linalg.inv(COVARIANCE), "scale_tril": np.linalg.cholesky(COVARIANCE)}
    d = D.MultivariateNormal(fb.tensor(MEAN), **{name: fb.tensor(matrix[name])})
    reference = stats.multivariate_normal(MEAN, COVARIANCE)
    x = RNG.standard_normal((5, 3))
    np.testing.assert_allclose(d.log_prob(fb.tensor(x)).numpy(), reference.logpdf(x))
    np.testing.assert_allclose(d.entropy().item(), reference.entropy())
    np.testing.assert_allclose(d.covariance_matrix.numpy(), COVARIANCE)
    np.testing.assert_allclose(d.precision_matrix.numpy(), np.linalg.inv(COVARIANCE))
    np.testing.assert_allclose(d.scale_tril.numpy(), np.linalg.cholesky(COVARIANCE))
    np.testing.assert_allclose(d.variance.numpy(), np.diag(COVARIANCE))
    fb.manual_seed(0)
    np.testing.assert_allclose(np.cov(d.sample((8000,)).numpy().T), COVARIANCE, atol=0.25)
    wide = d.expand((2, 4))
    assert tuple(wide.sample().shape) == (2, 4, 3)
    np.testing.assert_allclose(wide.log_prob(fb.tensor(x[0])).numpy(), np.full((2, 4), reference.logpdf(x[0])))


def test_multivariate_normal_takes_one_matrix():
    with pytest.raises(ArgumentError, match="one of"):
        D.MultivariateNormal(fb.zeros(2), fb.eye(2), scale_tril=fb.eye(2))
    with pytest.raises(ArgumentError, match="positive_definite"):
        D.MultivariateNormal(fb.zeros(2), -fb.eye(2))


def test_low_rank_multivariate_normal():
    w, diagonal = RNG.standard_normal((3, 2)), np.array([0.5, 1.0, 2.0])
    covariance = w @ w.T + np.diag(diagonal)
    d = D.LowRankMultivariateNormal(fb.tensor(MEAN), fb.tensor(w), fb.tensor(diagonal))
    reference = stats.multivariate_normal(MEAN, covariance)
    x = RNG.standard_normal((5, 3))
    np.testing.assert_allclose(d.log_prob(fb.tensor(x)).numpy(), reference.logpdf(x))
    np.testing.assert_allclose(d.entropy().item(), reference.entropy())
    np.testing.assert_allclose(d.precision_matrix.numpy(), np.linalg.inv(covariance))
    fb.manual_seed(0)
    np.testing.assert_allclose(np.cov(d.sample((8000,)).numpy().T), covariance, atol=0.25)
    full = D.MultivariateNormal(fb.tensor(MEAN + 1), fb.tensor(COVARIANCE))
    same = D.MultivariateNormal(fb.tensor(MEAN), fb.tensor(covariance))
    np.testing.assert_allclose(D.kl_divergence(d, full).item(), D.kl_divergence(same, full).item())


def test_independent():
    base = D.Normal(fb.zeros(4, 3, dtype=fb.float64), 1.0)
    d = D.Independent(base, 1)
    x = fb.tensor(RNG.standard_normal((4, 3)))
    np.testing.assert_allclose(d.log_prob(x).numpy(), base.log_prob(x).sum(-1).numpy())
    np.testing.assert_allclose(d.entropy().numpy(), base.entropy().sum(-1).numpy())
    assert tuple(d.expand((2, 4)).rsample((5,)).shape) == (5, 2, 4, 3)
    with pytest.raises(ArgumentError, match="at most 2"):
        D.Independent(base, 3)


def test_mixture():
    weights, means, scales = np.array([0.3, 0.7]), np.array([-1.0, 2.0]), np.array([0.5, 1.0])
    d = D.MixtureSameFamily(D.Categorical(fb.tensor(weights)), D.Normal(fb.tensor(means), fb.tensor(scales)))
    x = np.linspace(-3, 4, 9)
    parts = stats.norm(means, scales)
    np.testing.assert_allclose(d.log_prob(fb.tensor(x)).numpy(), np.log(parts.pdf(x[:, None]) @ weights))
    np.testing.assert_allclose(d.cdf(fb.tensor(x)).numpy(), parts.cdf(x[:, None]) @ weights)
    fb.manual_seed(0)
    drawn = d.sample((6000,)).numpy()
    assert abs(drawn.mean() - d.mean.item()) < 0.08
    assert abs(drawn.var() - d.variance.item()) < 0.15
    assert tuple(d.expand((3,)).sample((2,)).shape) == (2, 3)
    vectors = D.MixtureSameFamily(D.Categorical(fb.ones(2)), D.Independent(D.Normal(fb.zeros(2, 3), 1.0), 1))
    assert tuple(vectors.sample((5,)).shape) == (5, 3)
    assert tuple(vectors.log_prob(fb.zeros(5, 3)).shape) == (5,)


def test_transformed():
    d = D.TransformedDistribution(D.Normal(fb.tensor(0.3, dtype=fb.float64), 0.5), [D.ExpTransform(), D.AffineTransform(1.0, -2.0)])
    x = np.array([-0.5, 0.2, -7.0])
    z = (x - 1) / -2
    reference = stats.lognorm(0.5, scale=np.exp(0.3))
    np.testing.assert_allclose(d.log_prob(fb.tensor(x)).numpy(), reference.logpdf(z) - math.log(2))
    np.testing.assert_allclose(d.cdf(fb.tensor(x)).numpy(), 1 - reference.cdf(z))
    np.testing.assert_allclose(d.icdf(d.cdf(fb.tensor(x))).numpy(), x)
    assert tuple(d.expand((2,)).rsample((3,)).shape) == (3, 2)


def test_tanh_normal_keeps_precision_with_a_cache():
    d = D.TransformedDistribution(D.Normal(8.0, 1.0), D.TanhTransform(cache_size=1))
    fb.manual_seed(0)
    action = d.rsample((100,))
    x = d.transforms[0].inv(action)
    expected = stats.norm(8, 1).logpdf(x.numpy()) - (2 * (np.log(2) - x.numpy() - np.log1p(np.exp(-2 * x.numpy()))))
    np.testing.assert_allclose(d.log_prob(action).numpy(), expected, rtol=1e-4)


def test_relaxed_distributions():
    fb.manual_seed(0)
    logits = fb.tensor([-1.0, 0.5], requires_grad=True)
    d = D.RelaxedBernoulli(0.4, logits=logits)
    drawn = d.rsample((2000,))
    np.testing.assert_allclose((drawn > 0.5).to(fb.float32).mean(0).numpy(), 1 / (1 + np.exp([1.0, -0.5])), atol=0.05)
    drawn.sum().backward()
    assert bool((logits.grad > 0).all())
    grid = fb.tensor((np.arange(20000) + 0.5) / 20000)
    chances = D.RelaxedBernoulli(0.9, probs=fb.tensor(0.3, dtype=fb.float64)).log_prob(grid).exp()
    assert abs(chances.mean().item() - 1) < 1e-3
    c = D.RelaxedOneHotCategorical(0.5, logits=fb.zeros(3))
    drawn = c.rsample((1000,))
    np.testing.assert_allclose(drawn.sum(-1).numpy(), 1, atol=1e-5)
    # integrate the density over the simplex by uniform points, whose density is 2
    points = fb.tensor(np.random.default_rng(0).dirichlet(np.ones(3), 40000))
    total = D.RelaxedOneHotCategorical(1.5, probs=fb.tensor([0.2, 0.3, 0.5], dtype=fb.float64)).log_prob(points).exp().mean() / 2
    assert abs(total.item() - 1) < 0.02


@pytest.mark.parametrize(
    "make",
    [
        lambda p: D.ContinuousBernoulli(probs=p),
        lambda p: D.Kumaraswamy(p * 3 + 0.5, 2.0 + p),
    ],
)
def test_unit_interval_families_by_quadrature(make):
    p = fb.tensor([0.2, 0.4999, 0.5005, 0.9], dtype=fb.float64)
    d = make(p)
    x = np.polynomial.legendre.leggauss(400)
    nodes, weights = 0.5 + 0.5 * x[0], 0.5 * x[1]
    density = d.log_prob(fb.tensor(nodes[:, None])).exp().numpy()
    total = lambda f: (weights[:, None] * f).sum(0)
    np.testing.assert_allclose(total(density), 1, rtol=1e-4)
    np.testing.assert_allclose(d.mean.numpy(), total(density * nodes[:, None]), rtol=1e-4)
    np.testing.assert_allclose(d.variance.numpy(), total(density * nodes[:, None] ** 2) - d.mean.numpy() ** 2, rtol=1e-3)
    np.testing.assert_allclose(d.entropy().numpy(), -total(density * np.log(density)), atol=1e-4)
    u = fb.tensor(np.full((1, 4), 0.3))
    np.testing.assert_allclose(d.cdf(d.icdf(u)).numpy(), 0.3, rtol=1e-5)
    below = nodes[:, None] < d.icdf(u).numpy()
    np.testing.assert_allclose(total(density * below), 0.3, atol=0.01)
    assert bool(d.support.check(d.rsample((5,))).all())


def test_logistic_normal():
    d = D.LogisticNormal(fb.zeros(2, dtype=fb.float64), fb.ones(2, dtype=fb.float64))
    assert (tuple(d.batch_shape), tuple(d.event_shape)) == ((), (3,))
    points = np.random.default_rng(1).dirichlet(np.ones(3), 40000)
    assert abs(d.log_prob(fb.tensor(points)).exp().mean().item() / 2 - 1) < 0.02
    np.testing.assert_allclose(d.rsample((7,)).sum(-1).numpy(), 1, atol=1e-12)
    assert tuple(d.expand((4,)).sample().shape) == (4, 3)
