"""From a constraint to a transform of real numbers into it: `biject_to` (bijective) and `transform_to` (any, often better conditioned).

>>> import flambeau as fb
>>> from flambeau.distributions import constraints
>>> bool((transform_to(constraints.positive)(fb.tensor([-3.0, 2.0])) > 0).all())
True
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.base.errors import ArgumentTypeError, FlambeauError, explain
from flambeau.distributions import constraints, transforms


class NoTransform(FlambeauError, NotImplementedError):
    """No transform leads into a constraint."""


class ConstraintRegistry:
    """A table from constraints (classes, or single ones) to functions that make a transform."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._makers: dict[Any, Callable[[Any], Any]] = {}

    def register(self, constraint: Any, factory: Any = None) -> Any:
        """Add an entry: `register(constraint, factory)`, or as a decorator of the factory."""
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        if not isinstance(constraint, (type, constraints.Constraint)):
            raise ArgumentTypeError(explain(f"{self._name}.register", expected="a constraint", got=repr(constraint)))
        self._makers[constraint] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        """A transform from real numbers into the constraint."""
        maker = self._makers.get(constraint) or self._makers.get(type(constraint))
        if maker is None:
            hint = f"{self._name}.register({type(constraint).__name__}, ...)"
            raise NoTransform(explain(self._name, expected="a constraint with a transform", got=repr(constraint), hint=hint))
        return maker(constraint)


biject_to = ConstraintRegistry("biject_to")
transform_to = ConstraintRegistry("transform_to")


def _both(*keys: Any) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def put(factory: Any) -> Any:
        for key in keys:
            biject_to.register(key, factory)
            transform_to.register(key, factory)
        return factory

    return put


@_both(constraints.real)
def _real(constraint: Any) -> Any:
    return transforms.identity_transform


@_both(constraints.positive, constraints.nonnegative)
def _positive(constraint: Any) -> Any:
    return transforms.ExpTransform()


@_both(constraints.greater_than, constraints.greater_than_eq)
def _above(constraint: Any) -> Any:
    return transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(constraint.lower_bound, 1)])


@_both(constraints.less_than)
def _below(constraint: Any) -> Any:
    return transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(constraint.upper_bound, -1)])


@_both(constraints.interval, constraints.half_open_interval)
def _between(constraint: Any) -> Any:
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, (int, float)) and low == 0 and isinstance(high, (int, float)) and high == 1:
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform([transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)])


@_both(constraints.lower_cholesky)
def _lower_cholesky(constraint: Any) -> Any:
    return transforms.LowerCholeskyTransform()


@_both(constraints.positive_definite, constraints.positive_semidefinite)
def _positive_definite(constraint: Any) -> Any:
    return transforms.PositiveDefiniteTransform()


@_both(constraints.corr_cholesky)
def _corr_cholesky(constraint: Any) -> Any:
    return transforms.CorrCholeskyTransform()


biject_to.register(constraints.simplex, lambda constraint: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda constraint: transforms.SoftmaxTransform())


def _composed(registry: ConstraintRegistry) -> None:
    """Constraints made of others ask the same table for the parts."""
    registry.register(
        constraints.independent,
        lambda c: transforms.IndependentTransform(registry(c.base_constraint), c.reinterpreted_batch_ndims),
    )
    registry.register(constraints.cat, lambda c: transforms.CatTransform([registry(p) for p in c.cseq], c.dim, c.lengths))
    registry.register(constraints.stack, lambda c: transforms.StackTransform([registry(p) for p in c.cseq], c.dim))


_composed(biject_to)
_composed(transform_to)
