"""Divergences between distributions of one family."""

from __future__ import annotations

from typing import Any

from flambeau.autograd.engine import grad
from flambeau.autograd.modes import enable_grad
from flambeau.base.errors import explain
from flambeau.distributions.bernoulli import Bernoulli
from flambeau.distributions.beta import Beta
from flambeau.distributions.binomial import Binomial
from flambeau.distributions.categorical import Categorical
from flambeau.distributions.cauchy import Cauchy
from flambeau.distributions.continuous_bernoulli import ContinuousBernoulli
from flambeau.distributions.dirichlet import Dirichlet
from flambeau.distributions.exp_family import ExponentialFamily
from flambeau.distributions.exponential import Exponential
from flambeau.distributions.gamma import Gamma
from flambeau.distributions.geometric import Geometric
from flambeau.distributions.gumbel import Gumbel
from flambeau.distributions.half_normal import HalfNormal
from flambeau.distributions.independent import Independent
from flambeau.distributions.kl import NoDivergence, kl_divergence, register_kl
from flambeau.distributions.laplace import Laplace
from flambeau.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from flambeau.distributions.multivariate_normal import MultivariateNormal, log_diagonal, mahalanobis
from flambeau.distributions.normal import Normal
from flambeau.distributions.one_hot_categorical import OneHotCategorical
from flambeau.distributions.pareto import Pareto
from flambeau.distributions.poisson import Poisson
from flambeau.distributions.transformed_distribution import TransformedDistribution
from flambeau.distributions.uniform import Uniform
from flambeau.distributions.utils import EULER, holds, softplus, sum_rightmost
from flambeau.ops.pointwise import where
from flambeau.ops.solve import solve_triangular

_INF = float("inf")


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    yes = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    yes = where(p.probs == 0, 0.0, where(q.probs == 0, _INF, yes))
    no = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    return yes + where(p.probs == 1, 0.0, where(q.probs == 1, _INF, no))


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    terms = p.probs * (p.logits - q.logits)
    return where(p.probs == 0, 0.0, where(q.probs == 0, _INF, terms)).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Any:
    return _categorical(p, q)


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if not holds(p.total_count >= q.total_count):
        expected = "a total_count of p that is not below that of q"
        raise NoDivergence(explain("kl_divergence(Binomial, Binomial)", expected=expected, got="one below"))
    divergence = p.total_count * _bernoulli(p, q)
    return where(p.total_count > q.total_count, _INF, divergence)


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    norm = total.lgamma() - a.lgamma().sum(-1) - b.sum(-1).lgamma() + b.lgamma().sum(-1)
    return norm + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    # Chyzak & Nielsen 2019, "A closed-form formula for the Kullback-Leibler divergence between Cauchy distributions"
    return ((p.scale + q.scale).square() + (p.loc - q.loc).square()).log() - (4 * p.scale * q.scale).log()


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Any:
    here = p.mean * p.logits - softplus(p.logits) + p._log_norm()
    return here - (p.mean * q.logits - softplus(q.logits) + q._log_norm())


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    shapes = b.lgamma() - a.lgamma() + (a - b) * a.digamma()
    return shapes + b * (p.rate / q.rate).log() + (q.rate - p.rate) * (a / p.rate)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio, off = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return off - ratio.log() + ratio * EULER + ((1 + ratio).lgamma() - off).exp() - (1 + EULER)


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio, off = p.scale / q.scale, (p.loc - q.loc).abs()
    return off / q.scale + ratio * (-off / p.scale).exp() - 1 - ratio.log()


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).square() - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    return _normal(p.base_dist, q.base_dist)


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Any:
    n = p.event_shape[0]
    if n != q.event_shape[0]:
        got = f"{n} and {q.event_shape[0]}"
        raise NoDivergence(explain("kl_divergence", expected="normal distributions of one dimension", got=got))
    trace = solve_triangular(q.scale_tril, p.scale_tril, upper=False).square().sum((-2, -1))
    determinants = log_diagonal(q.scale_tril) - log_diagonal(p.scale_tril)
    return determinants + 0.5 * (trace + mahalanobis(q.scale_tril, q.loc - p.loc) - n)


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    ratio = q.alpha / p.alpha
    divergence = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return where(p.scale < q.scale, _INF, divergence)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    outside = (q.low > p.low) | (q.high < p.high)
    return where(outside, _INF, ((q.high - q.low) / (p.high - p.low)).log())


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        got = f"{p.transforms} and {q.transforms}"
        raise NoDivergence(explain("kl_divergence", expected="equal transforms and event shapes on both sides", got=got))
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), len(p.event_shape) - len(p.base_dist.event_shape))


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        got = f"{p.reinterpreted_batch_ndims} and {q.reinterpreted_batch_ndims}"
        raise NoDivergence(explain("kl_divergence", expected="as many reinterpreted axes on both sides", got=got))
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: Any, q: Any) -> Any:
    """The Bregman divergence of the log normaliser."""
    if type(p) is not type(q):
        expected = f"a rule for {type(p).__name__} and {type(q).__name__}"
        raise NoDivergence(explain("kl_divergence", expected=expected, got="none", hint="write one with register_kl"))
    with enable_grad():
        given = p._natural_params
        mine = [t if t.requires_grad else t.detach().requires_grad_() for t in given]
        normaliser = p._log_normalizer(*mine)
        slopes = grad(normaliser.sum(), mine, create_graph=True)
    total = q._log_normalizer(*q._natural_params) - normaliser
    for theirs, theta, slope in zip(q._natural_params, mine, slopes):
        total = total - sum_rightmost((theirs - theta) * slope, len(q.event_shape))
    parameters = (*given, *q._natural_params)
    return total if any(t.requires_grad for t in parameters) else total.detach()
