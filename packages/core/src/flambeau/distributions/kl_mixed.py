"""Divergences between different families, KL(p || q) = -H(p) - E_p[log q(x)]: one cross entropy for each q, from moments of p."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.distributions.bernoulli import Bernoulli
from flambeau.distributions.beta import Beta
from flambeau.distributions.binomial import Binomial
from flambeau.distributions.continuous_bernoulli import ContinuousBernoulli
from flambeau.distributions.exponential import Exponential
from flambeau.distributions.gamma import Gamma
from flambeau.distributions.gumbel import Gumbel
from flambeau.distributions.kl import register_kl
from flambeau.distributions.laplace import Laplace
from flambeau.distributions.normal import Normal
from flambeau.distributions.pareto import Pareto
from flambeau.distributions.poisson import Poisson
from flambeau.distributions.uniform import Uniform
from flambeau.distributions.utils import EULER, softplus
from flambeau.ops.pointwise import where, xlogy

_INF = float("inf")


# -- expectations that a cross entropy needs beyond mean and variance ---------------------------------------------------------------------
def _mean_log_uniform(low: Any, high: Any) -> Any:
    """E[log x] for x uniform in [low, high], low >= 0."""
    return (xlogy(high, high) - xlogy(low, low)) / (high - low) - 1


_MEAN_LOG: dict[type, Callable[[Any], Any]] = {
    Beta: lambda p: p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma(),
    Exponential: lambda p: -EULER - p.rate.log(),
    Pareto: lambda p: p.scale.log() + p.alpha.reciprocal(),
    Uniform: lambda p: _mean_log_uniform(p.low, p.high),
}
# E[exp(-x / s)]
_LAPLACE_TRANSFORM: dict[type, Callable[[Any, Any], Any]] = {
    Exponential: lambda p, s: p.rate / (p.rate + 1 / s),
    Gamma: lambda p, s: (1 + 1 / (p.rate * s)).pow(-p.concentration),
    Normal: lambda p, s: ((p.scale / s).square() / 2 - p.loc / s).exp(),
    Uniform: lambda p, s: s * ((-p.low / s).exp() - (-p.high / s).exp()) / (p.high - p.low),
}


def _of(table: dict[type, Callable[..., Any]], p: Any) -> Callable[..., Any]:
    return next(table[cls] for cls in type(p).__mro__ if cls in table)


# -- -E_p[log q(x)] for each q -----------------------------------------------------------------------------------------------------------
def _to_normal(p: Any, q: Any) -> Any:
    spread = (p.mean - q.loc).square() + p.variance
    return 0.5 * math.log(2 * math.pi) + q.scale.log() + spread / (2 * q.scale.square())


def _to_exponential(p: Any, q: Any) -> Any:
    return q.rate * p.mean - q.rate.log()


def _to_gamma(p: Any, q: Any) -> Any:
    k = q.concentration
    return k.lgamma() - k * q.rate.log() - (k - 1) * _of(_MEAN_LOG, p)(p) + q.rate * p.mean


def _to_gumbel(p: Any, q: Any) -> Any:
    return q.scale.log() + (p.mean - q.loc) / q.scale + (q.loc / q.scale).exp() * _of(_LAPLACE_TRANSFORM, p)(p, q.scale)


def _to_continuous_bernoulli(p: Any, q: Any) -> Any:
    return softplus(q.logits) - p.mean * q.logits - q._log_norm()


def _to_uniform(p: Any, q: Any) -> Any:
    return (q.high - q.low).log()


def _rule(type_p: type, type_q: type, cross: Callable[[Any, Any], Any], escapes: Callable[[Any, Any], Any] | None = None) -> None:
    """Register -H(p) + cross(p, q), infinite where p `escapes` the support of q."""

    def divergence(p: Any, q: Any) -> Any:
        value = cross(p, q) - p.entropy()
        return value if escapes is None else where(escapes(p, q), _INF, value)

    register_kl(type_p, type_q)(divergence)


def _outside_unit(p: Any, q: Any) -> Any:
    return (p.low < 0) | (p.high > 1)


def _below_zero(p: Any, q: Any) -> Any:
    return p.low < 0


def _beyond(p: Any, q: Any) -> Any:
    return (q.low > 0) | (q.high < 1)


_p: type
_q: type
for _p in (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform):
    _rule(_p, Normal, _to_normal)
for _p in (Beta, ContinuousBernoulli, Gamma, Pareto):
    _rule(_p, Exponential, _to_exponential)
for _p in (Beta, Exponential, Pareto):
    _rule(_p, Gamma, _to_gamma)
for _p in (Exponential, Gamma, Normal, Uniform):
    _rule(_p, Gumbel, _to_gumbel)
for _p in (Beta, ContinuousBernoulli):
    _rule(_p, Uniform, _to_uniform, _beyond)
_rule(Beta, ContinuousBernoulli, _to_continuous_bernoulli)
_rule(Uniform, Exponential, _to_exponential, _below_zero)
_rule(Uniform, Gamma, _to_gamma, _below_zero)
_rule(Uniform, ContinuousBernoulli, _to_continuous_bernoulli, _outside_unit)


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    off = p.loc - q.loc
    z = off / (p.scale * math.sqrt(2))
    distance = p.scale * math.sqrt(2 / math.pi) * (-z.square()).exp() + off * z.erf()
    return (2 * q.scale).log() + distance / q.scale - p.entropy()


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Any:
    a, b = q.concentration1, q.concentration0
    norm = a.lgamma() + b.lgamma() - (a + b).lgamma()
    logs = (a - 1) * _mean_log_uniform(p.low, p.high) + (b - 1) * _mean_log_uniform(1 - p.high, 1 - p.low)
    return where(_outside_unit(p, q), _INF, norm - logs - p.entropy())


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Any:
    logs = (q.alpha + 1) * _mean_log_uniform(p.low, p.high) - q.alpha.log() - q.alpha * q.scale.log()
    return where(p.low < q.scale, _INF, logs - p.entropy())


# -- pairs where p has mass outside the support of q -------------------------------------------------------------------------------------
def _infinite(p: Any, q: Any) -> Any:
    from flambeau.base.shapes import broadcast

    return p.mean.new_full(broadcast("kl_divergence", tuple(p.batch_shape), tuple(q.batch_shape)), _INF)


_BOUNDED = (Beta, ContinuousBernoulli, Uniform)
_escaping: dict[type, tuple[type, ...]] = {
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Exponential: (*_BOUNDED, Pareto),
    Gamma: (*_BOUNDED, Pareto),
    Gumbel: (*_BOUNDED, Exponential, Gamma, Pareto),
    Laplace: (*_BOUNDED, Exponential, Gamma, Pareto),
    Normal: (*_BOUNDED, Exponential, Gamma, Pareto),
    Pareto: _BOUNDED,
    Poisson: (Bernoulli, Binomial),
}
for _p, _qs in _escaping.items():
    for _q in _qs:
        register_kl(_p, _q)(_infinite)
