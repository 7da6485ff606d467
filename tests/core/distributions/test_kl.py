"""Divergences against quadrature or sums of p (log p - log q), and the choice of rules."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

import flambeau as fb
from flambeau import distributions as D


def t(x):
    return fb.tensor(x, dtype=fb.float64)


MAKERS = {
    "Normal": lambda i: D.Normal(t([0.3, -0.5][i]), t([0.8, 1.3][i])),
    "Laplace": lambda i: D.Laplace(t([0.3, -0.5][i]), t([0.8, 1.3][i])),
    "Gumbel": lambda i: D.Gumbel(t([0.3, -0.5][i]), t([0.8, 1.3][i])),
    "Cauchy": lambda i: D.Cauchy(t([0.3, -0.5][i]), t([0.8, 1.3][i])),
    "Exponential": lambda i: D.Exponential(t([0.7, 1.6][i])),
    "Gamma": lambda i: D.Gamma(t([1.7, 2.6][i]), t([1.2, 0.8][i])),
    "Beta": lambda i: D.Beta(t([1.7, 2.6][i]), t([1.2, 1.8][i])),
    "ContinuousBernoulli": lambda i: D.ContinuousBernoulli(t([0.3, 0.8][i])),
    "Uniform": lambda i: D.Uniform(t([0.2, -0.5][i]), t([0.9, 1.5][i])),
    "Pareto": lambda i: D.Pareto(t([0.3, 0.15][i]), t([4.5, 3.5][i])),
    "HalfNormal": lambda i: D.HalfNormal(t([0.7, 1.6][i])),
    "LogNormal": lambda i: D.LogNormal(t([0.3, -0.5][i]), t([0.8, 1.3][i])),
    "Bernoulli": lambda i: D.Bernoulli(t([0.3, 0.8][i])),
    "Poisson": lambda i: D.Poisson(t([1.3, 2.5][i])),
    "Geometric": lambda i: D.Geometric(t([0.3, 0.6][i])),
    "Binomial": lambda i: D.Binomial(5, t([0.3, 0.6][i])),
    "Categorical": lambda i: D.Categorical(t([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]][i])),
}
SAME = [(n, n) for n in MAKERS]
FINITE = [
    *[(p, "Normal") for p in ("Beta", "ContinuousBernoulli", "Exponential", "Gamma", "Gumbel", "Laplace", "Pareto", "Uniform")],
    *[(p, "Exponential") for p in ("Beta", "ContinuousBernoulli", "Gamma", "Pareto", "Uniform")],
    *[(p, "Gamma") for p in ("Beta", "Exponential", "Pareto", "Uniform")],
    *[(p, "Gumbel") for p in ("Exponential", "Gamma", "Normal", "Uniform")],
    *[(p, "Uniform") for p in ("Beta", "ContinuousBernoulli")],
    ("Beta", "ContinuousBernoulli"),
    ("Uniform", "ContinuousBernoulli"),
    ("Uniform", "Beta"),
    ("Uniform", "Pareto"),
    ("Normal", "Laplace"),
    ("Bernoulli", "Poisson"),
]
BOUNDS = {
    "Normal": (-10, 10),
    "Laplace": (-25, 25),
    "Gumbel": (-4, 30),
    "Cauchy": (-np.inf, np.inf),
    "Exponential": (0, 60),
    "Gamma": (0, 40),
    "Beta": (0, 1),
    "ContinuousBernoulli": (0, 1),
    "Uniform": (0.2, 0.9),
    "Pareto": (0.3, np.inf),
    "HalfNormal": (0, 10),
    "LogNormal": (0, np.inf),
}


def expected(p, q, name):
    if name in BOUNDS:

        def integrand(x):
            x = fb.tensor(x, dtype=fb.float64)
            log_p = p.log_prob(x)
            return (log_p.exp() * (log_p - q.log_prob(x))).item()

        return integrate.quad(integrand, *BOUNDS[name], limit=200, points=[0.3] if name == "Laplace" else None)[0]
    x = fb.arange(3 if name == "Categorical" else 2 if name == "Bernoulli" else 6 if name == "Binomial" else 80, dtype=fb.float64)
    log_p = p.log_prob(x)
    return (log_p.exp() * (log_p - q.log_prob(x))).sum().item()


@pytest.mark.parametrize("pair", SAME + FINITE, ids="-".join)
def test_against_the_definition(pair):
    p, q = MAKERS[pair[0]](0), MAKERS[pair[1]](1)
    for d in (p, q):
        d._validate_args = False
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(D.kl_divergence(p, q).item(), expected(p, q, pair[0]), rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize(
    "pair",
    [(p, q) for p in ("Normal", "Laplace", "Gumbel") for q in ("Beta", "Uniform", "Exponential", "Gamma", "Pareto", "ContinuousBernoulli")]
    + [
        ("Exponential", "Beta"),
        ("Gamma", "Uniform"),
        ("Pareto", "Beta"),
        ("Beta", "Pareto"),
        ("Poisson", "Binomial"),
        ("Poisson", "Bernoulli"),
    ],
    ids="-".join,
)
def test_infinite_where_p_leaves_the_support_of_q(pair):
    assert D.kl_divergence(MAKERS[pair[0]](0), MAKERS[pair[1]](1)).item() == float("inf")


def test_infinite_by_values():
    assert D.kl_divergence(D.Uniform(0.0, 2.0), D.Uniform(0.0, 1.0)).item() == float("inf")
    assert D.kl_divergence(D.Pareto(1.0, 2.0), D.Pareto(2.0, 2.0)).item() == float("inf")
    assert D.kl_divergence(D.Categorical(t([0.5, 0.5])), D.Categorical(t([1.0, 0.0]))).item() == float("inf")
    assert D.kl_divergence(D.Bernoulli(t(0.5)), D.Bernoulli(t(0.0))).item() == float("inf")


def test_vectors_and_wrappers():
    a, b = D.Dirichlet(t([1.0, 2.0, 3.0])), D.Dirichlet(t([2.0, 0.5, 1.0]))
    fb.manual_seed(0)
    x = a.sample((40000,))
    assert abs(D.kl_divergence(a, b).item() - (a.log_prob(x) - b.log_prob(x)).mean().item()) < 0.02
    p, q = D.Normal(t([0.0, 1.0]), 1.0), D.Normal(t([1.0, 1.0]), 2.0)
    joint = D.kl_divergence(D.Independent(p, 1), D.Independent(q, 1))
    assert joint.item() == pytest.approx(D.kl_divergence(p, q).sum().item())
    one = D.MultivariateNormal(t([0.0, 1.0]), fb.eye(2, dtype=fb.float64))
    two = D.MultivariateNormal(t([1.0, 1.0]), 4 * fb.eye(2, dtype=fb.float64))
    assert D.kl_divergence(one, two).item() == pytest.approx(joint.item())
    hot = [D.OneHotCategorical(MAKERS["Categorical"](i).probs) for i in range(2)]
    assert D.kl_divergence(*hot).item() == pytest.approx(D.kl_divergence(MAKERS["Categorical"](0), MAKERS["Categorical"](1)).item())


def test_the_general_rule_of_exponential_families():
    from flambeau.distributions.kl import _RULES

    general = _RULES[D.ExponentialFamily, D.ExponentialFamily]
    for name in ("Normal", "Gamma", "Beta", "Bernoulli", "Exponential", "Poisson", "ContinuousBernoulli"):
        p, q = MAKERS[name](0), MAKERS[name](1)
        np.testing.assert_allclose(general(p, q).item(), D.kl_divergence(p, q).item(), rtol=1e-9, err_msg=name)
    for name in ("Normal", "Gamma", "Bernoulli", "Exponential"):
        p = MAKERS[name](0)
        np.testing.assert_allclose(D.ExponentialFamily.entropy(p).item(), p.entropy().item(), rtol=1e-9, err_msg=name)


def test_missing_rules_are_refused():
    with pytest.raises(NotImplementedError, match="register_kl"):
        D.kl_divergence(D.StudentT(3.0), D.Normal(0.0, 1.0))
    with pytest.raises(NotImplementedError, match="register_kl"):
        D.kl_divergence(D.Poisson(3.0), D.Gamma(1.0, 1.0))
    with pytest.raises(TypeError, match="two distribution classes"):
        D.register_kl(int, D.Normal)
