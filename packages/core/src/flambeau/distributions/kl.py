"""Kullback-Leibler divergences: the table of rules, chosen by the types of both distributions.

The formulas are in `kl_same` and `kl_mixed`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.base.errors import ArgumentTypeError, FlambeauError, explain
from flambeau.distributions.distribution import Distribution

_RULES: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}
_found: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}


class NoDivergence(FlambeauError, NotImplementedError):
    """There is no formula for a pair of distributions."""


def register_kl(type_p: Any, type_q: Any) -> Callable[[Any], Any]:
    """A decorator for a function (p, q) that gives KL(p || q) of these types and their subclasses. The closest match wins.

    >>> from flambeau.distributions import Normal, kl_divergence
    >>> class Mine(Normal):
    ...     pass
    >>> @register_kl(Mine, Normal)
    ... def rule(p, q):
    ...     return 42.0
    >>> kl_divergence(Mine(0.0, 1.0), Normal(0.0, 1.0))
    42.0
    """
    for t in (type_p, type_q):
        if not (isinstance(t, type) and issubclass(t, Distribution)):
            raise ArgumentTypeError(explain("register_kl", expected="two distribution classes", got=repr(t)))

    def put(rule: Any) -> Any:
        _RULES[type_p, type_q] = rule
        _found.clear()
        return rule

    return put


def kl_divergence(p: Any, q: Any) -> Any:
    """KL(p || q), the expectation under p of log p(x) - log q(x), in nats, of the (broadcast) batch shape.

    >>> from flambeau.distributions import Normal
    >>> kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0))
    tensor(0.5000)
    """
    key = (type(p), type(q))
    rule = _found.get(key)
    if rule is None:
        rule = _found[key] = _closest(*key)
    return rule(p, q)


def _closest(type_p: type, type_q: type) -> Callable[[Any, Any], Any]:
    order_p, order_q = type_p.__mro__, type_q.__mro__
    pairs = [(a, b) for a, b in _RULES if a in order_p and b in order_q]
    if not pairs:
        expected = f"a rule for {type_p.__name__} and {type_q.__name__}"
        raise NoDivergence(explain("kl_divergence", expected=expected, got="none", hint="write one with register_kl"))
    best = min(pairs, key=lambda pair: (order_p.index(pair[0]) + order_q.index(pair[1]), order_p.index(pair[0])))
    return _RULES[best]
