"""Every family against SciPy: density, moments, entropy, cdf and its inverse, and the moments of draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import flambeau as fb
from flambeau import distributions as D
from flambeau.base.errors import ArgumentError, ShapeError


def t(*values):
    return fb.tensor(np.array(values, dtype=np.float64))


A, B = np.array([0.7, 1.0, 3.5]), np.array([0.4, 2.0, 1.3])
P = np.array([0.2, 0.5, 0.9])
CONTINUOUS = {
    "Normal": (lambda: D.Normal(t(*A), t(*B)), stats.norm(A, B)),
    "LogNormal": (lambda: D.LogNormal(t(*A), t(*(B / 2))), stats.lognorm(B / 2, scale=np.exp(A))),
    "Uniform": (lambda: D.Uniform(t(*-A), t(*B)), stats.uniform(-A, A + B)),
    "Beta": (lambda: D.Beta(t(*A), t(*B)), stats.beta(A, B)),
    "Gamma": (lambda: D.Gamma(t(*A), t(*B)), stats.gamma(A, scale=1 / B)),
    "Chi2": (lambda: D.Chi2(t(*A)), stats.chi2(A)),
    "InverseGamma": (lambda: D.InverseGamma(t(*(A + 4.5)), t(*B)), stats.invgamma(A + 4.5, scale=B)),
    "Exponential": (lambda: D.Exponential(t(*A)), stats.expon(scale=1 / A)),
    "Laplace": (lambda: D.Laplace(t(*A), t(*B)), stats.laplace(A, B)),
    "Cauchy": (lambda: D.Cauchy(t(*A), t(*B)), stats.cauchy(A, B)),
    "HalfNormal": (lambda: D.HalfNormal(t(*A)), stats.halfnorm(scale=A)),
    "HalfCauchy": (lambda: D.HalfCauchy(t(*A)), stats.halfcauchy(scale=A)),
    "StudentT": (lambda: D.StudentT(t(*(A + 4)), t(*A), t(*B)), stats.t(A + 4, A, B)),
    "FisherSnedecor": (lambda: D.FisherSnedecor(t(*A), t(*(B + 8))), stats.f(A, B + 8)),
    "Gumbel": (lambda: D.Gumbel(t(*A), t(*B)), stats.gumbel_r(A, B)),
    "Pareto": (lambda: D.Pareto(t(*A), t(*(B + 4))), stats.pareto(B + 4, scale=A)),
    "Weibull": (lambda: D.Weibull(t(*A), t(*B)), stats.weibull_min(B, scale=A)),
    "VonMises": (lambda: D.VonMises(t(*(A - 1)), t(*B)), stats.vonmises(B, loc=A - 1)),
}
DISCRETE = {
    "Bernoulli": (lambda: D.Bernoulli(t(*P)), stats.bernoulli(P)),
    "Poisson": (lambda: D.Poisson(t(*A)), stats.poisson(A)),
    "Binomial": (lambda: D.Binomial(6, t(*P)), stats.binom(6, P)),
    "NegativeBinomial": (lambda: D.NegativeBinomial(t(2.0, 3.0, 7.0), t(*P)), stats.nbinom([2, 3, 7], 1 - P)),
    "Geometric": (lambda: D.Geometric(t(*P)), stats.geom(P, loc=-1)),
}
ALL = CONTINUOUS | DISCRETE
# quantities that a family does not have, or (for the circle) means something else by
WITHOUT = {
    "cdf": {"Beta", "StudentT", "FisherSnedecor", "VonMises", *DISCRETE},
    "icdf": {"Beta", "StudentT", "FisherSnedecor", "VonMises", "Gamma", "Chi2", "InverseGamma", *DISCRETE},
    "entropy": {"FisherSnedecor", "Poisson", "NegativeBinomial"},
    "moments": {"Cauchy", "HalfCauchy", "VonMises"},
}


def values_of(reference):
    return (
        reference.ppf(np.linspace(0.08, 0.93, 7)[:, None]) if reference.dist.name != "vonmises" else reference.rvs((7, 3), random_state=0)
    )


@pytest.mark.parametrize("name", ALL)
def test_log_prob(name):
    make, reference = ALL[name]
    x = values_of(reference)
    ours = make().log_prob(fb.tensor(x)).numpy()
    theirs = reference.logpmf(x) if name in DISCRETE else reference.logpdf(x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in ALL if n not in WITHOUT["cdf"]])
def test_cdf(name):
    make, reference = ALL[name]
    x = values_of(reference)
    np.testing.assert_allclose(make().cdf(fb.tensor(x)).numpy(), reference.cdf(x), rtol=1e-9)


@pytest.mark.parametrize("name", [n for n in ALL if n not in WITHOUT["icdf"]])
def test_icdf(name):
    make, reference = ALL[name]
    q = np.linspace(0.05, 0.95, 6)[:, None]
    np.testing.assert_allclose(make().icdf(fb.tensor(np.broadcast_to(q, (6, 3)).copy())).numpy(), reference.ppf(q), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in ALL if n not in WITHOUT["moments"]])
def test_moments(name):
    make, reference = ALL[name]
    d = make()
    np.testing.assert_allclose(d.mean.numpy(), reference.mean(), rtol=1e-9)
    np.testing.assert_allclose(d.variance.numpy(), reference.var(), rtol=1e-8)
    np.testing.assert_allclose(d.stddev.numpy(), reference.std(), rtol=1e-8)


@pytest.mark.parametrize("name", [n for n in ALL if n not in WITHOUT["entropy"]])
def test_entropy(name):
    make, reference = ALL[name]
    np.testing.assert_allclose(make().entropy().numpy(), reference.entropy(), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(make().perplexity().numpy(), np.exp(reference.entropy()), rtol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_mode_has_the_highest_density(name):
    make, reference = ALL[name]
    d = make()
    if name in ("Uniform",):
        assert bool(d.mode.isnan().all())
        return
    mode = d.mode.numpy()
    density = reference.pmf if name in DISCRETE else reference.pdf
    others = density(values_of(reference))
    with np.errstate(divide="ignore"):  # SciPy on an infinite density at 0
        highest = density(np.where(np.isnan(mode), 0, mode))
    ok = np.isnan(mode) | (highest >= others.max(0) * (1 - 1e-9))
    assert ok.all()


@pytest.mark.parametrize("name", ALL)
def test_draws_follow_the_distribution(name):
    make, reference = ALL[name]
    fb.manual_seed(1)
    d = make()
    drawn = d.sample((2000,))
    assert tuple(drawn.shape) == (2000, 3)
    assert bool(d.support.check(drawn).all())
    for i in range(3):
        column = drawn[:, i].numpy()
        if name in DISCRETE:
            lo, hi = np.quantile(column, [0.25, 0.9])
            for k in (lo, hi):
                chance = np.atleast_1d(reference.cdf(k))[i] if np.ndim(reference.cdf(k)) else reference.cdf(k)
                assert abs((column <= k).mean() - chance) < 4 * 0.5 / 2000**0.5
        else:
            cdf = lambda v, i=i: np.asarray(reference.cdf(v[:, None]))[:, i]
            if name == "VonMises":  # SciPy's cdf counts from half a turn below loc
                column = A[i] - 1 + (column - A[i] + 1 + np.pi) % (2 * np.pi) - np.pi
            assert stats.kstest(column, cdf).pvalue > 1e-4


@pytest.mark.parametrize("name", [n for n in ALL if ALL[n][0]().has_rsample])
def test_rsample_carries_gradients(name):
    make, _ = ALL[name]
    d = make()
    parameters = [v.clone().requires_grad_() for k, v in {k: getattr(d, k) for k in d.arg_constraints}.items()]
    again = type(d)(*parameters)
    again.rsample((4,)).sum().backward()
    for p in parameters:
        assert p.grad is not None
        assert bool(p.grad.isfinite().all())


@pytest.mark.parametrize("name", ALL)
def test_expand_and_shapes(name):
    make, _ = ALL[name]
    d = make()
    assert tuple(d.batch_shape) == (3,)
    assert tuple(d.event_shape) == ()
    wide = d.expand((2, 3))
    assert type(wide) is type(d)
    assert tuple(wide.batch_shape) == (2, 3)
    assert tuple(wide.sample((4,)).shape) == (4, 2, 3)
    x = d.sample()
    np.testing.assert_allclose(wide.log_prob(x).numpy(), np.broadcast_to(d.log_prob(x).numpy(), (2, 3)), rtol=1e-12)
    np.testing.assert_allclose(wide.mean.numpy(), np.broadcast_to(d.mean.numpy(), (2, 3)))
    assert type(d).__name__ in repr(d)


@pytest.mark.parametrize("name", ALL)
def test_float_parameters_have_the_default_dtype(name):
    d = ALL[name][0]()
    numbers = [float(getattr(d, k).reshape(-1)[0].item()) for k in d.arg_constraints if k != "logits"]
    scalar = type(d)(*numbers)
    assert tuple(scalar.batch_shape) == ()
    drawn = scalar.sample()
    assert drawn.dtype is fb.float32
    assert scalar.log_prob(drawn).dtype is fb.float32


@pytest.mark.parametrize(
    "make",
    [
        lambda: D.Normal(0.0, -1.0),
        lambda: D.Gamma(t(1.0, -2.0), 1.0),
        lambda: D.Bernoulli(t(1.5)),
        lambda: D.Categorical(probs=t(-1.0, 2.0)),
        lambda: D.Uniform(1.0, 0.0),
        lambda: D.Bernoulli(),
        lambda: D.Bernoulli(t(0.5), t(0.0)),
        lambda: D.Poisson(-1.0),
        lambda: D.Geometric(0.0),
    ],
)
def test_bad_parameters_are_refused(make):
    with pytest.raises(ArgumentError):
        make()


def test_bad_values_are_refused():
    with pytest.raises(ArgumentError, match="support"):
        D.Exponential(1.0).log_prob(fb.tensor(-1.0))
    with pytest.raises(ArgumentError, match="support"):
        D.Categorical(fb.ones(3)).log_prob(fb.tensor(3))
    with pytest.raises(ShapeError, match="broadcast"):
        D.Normal(fb.zeros(3), 1.0).log_prob(fb.zeros(2))
    assert bool(D.Exponential(1.0, validate_args=False).log_prob(fb.tensor(-1.0)) == 1.0)


def test_refusals_name_the_distribution():
    with pytest.raises(NotImplementedError, match="Poisson.entropy"):
        D.Poisson(1.0).entropy()
    with pytest.raises(NotImplementedError, match="Bernoulli.rsample"):
        D.Bernoulli(0.5).rsample()


def test_validation_can_be_switched_off():
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)


def test_shape_only_parameters():
    d = D.Normal(fb.zeros(3, device="meta"), fb.ones(3, device="meta"))
    assert tuple(d.rsample((2,)).shape) == (2, 3)
    assert tuple(d.log_prob(fb.zeros(3, device="meta")).shape) == (3,)
