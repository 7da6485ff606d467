"""The sets that parameters and values of distributions lie in. `constraint.check(value)` tells, for every event, whether it is inside.

`dependent` marks a support that depends on parameters. Lower-case names without arguments are ready-made constraints
(`constraints.positive`), the others are made with their bounds (`constraints.interval(0.0, 5.0)`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.base.dtypes import bool_, finfo
from flambeau.ops.factor import cholesky_ex, eigvalsh
from flambeau.ops.joining import cat as _cat
from flambeau.ops.joining import stack as _stack


class Constraint:
    """A set. `event_dim` is the number of axes that one element of the set has."""

    is_discrete = False
    event_dim = 0

    def check(self, value: Any) -> Any:
        """A bool tensor of the shape of `value` without its event axes."""
        raise NotImplementedError(f"{self!r} has no check of its own")

    def __repr__(self) -> str:
        name = type(self).__name__.lstrip("_")
        bounds = ", ".join(f"{k}={v}" for k, v in vars(self).items() if not k.startswith("_") and isinstance(v, (int, float)))
        return f"{name}({bounds})"


class _Dependent(Constraint):
    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, *, is_discrete: bool | None = None, event_dim: int | None = None) -> _Dependent:
        """The same with other attributes."""
        return _Dependent(
            is_discrete=self.is_discrete if is_discrete is None else is_discrete,
            event_dim=self.event_dim if event_dim is None else event_dim,
        )


class dependent_property(property, _Dependent):
    """A property that is a constraint: on the class it says that the support depends on parameters, on an instance it is the support."""

    def __init__(self, fn: Any = None, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        property.__init__(self, fn)
        _Dependent.__init__(self, is_discrete=is_discrete, event_dim=event_dim)

    def __call__(self, fn: Any) -> Any:  # type: ignore[override]
        return dependent_property(fn, is_discrete=self.is_discrete, event_dim=self.event_dim)


class independent(Constraint):
    """A constraint on the last `reinterpreted_batch_ndims` axes together."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims

    def check(self, value: Any) -> Any:
        return _all_last(self.base_constraint.check(value), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"independent({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


def _all_last(ok: Any, count: int) -> Any:
    return ok if count == 0 else ok.flatten(-count).all(-1)


class _Where(Constraint):
    """A constraint given by a test of each event."""

    def __init__(self, name: str, test: Callable[[Any], Any], event_dim: int = 0, is_discrete: bool = False) -> None:
        self._name, self._test = name, test
        self.event_dim, self.is_discrete = event_dim, is_discrete

    def check(self, value: Any) -> Any:
        return self._test(value)

    def __repr__(self) -> str:
        return self._name


class integer_interval(Constraint):
    """Integers from `lower_bound` to `upper_bound`, both included."""

    is_discrete = True

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def check(self, value: Any) -> Any:
        return (value % 1 == 0) & (value >= self.lower_bound) & (value <= self.upper_bound)


class greater_than(Constraint):
    """Numbers above `lower_bound`."""

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound

    def check(self, value: Any) -> Any:
        return value > self.lower_bound


class greater_than_eq(Constraint):
    """Numbers from `lower_bound` on."""

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound

    def check(self, value: Any) -> Any:
        return value >= self.lower_bound


class less_than(Constraint):
    """Numbers below `upper_bound`."""

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Any) -> Any:
        return value < self.upper_bound


class interval(Constraint):
    """Numbers from `lower_bound` to `upper_bound`, both included."""

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def check(self, value: Any) -> Any:
        return (value >= self.lower_bound) & (value <= self.upper_bound)


class half_open_interval(interval):
    """Numbers from `lower_bound` to below `upper_bound`."""

    def check(self, value: Any) -> Any:
        return (value >= self.lower_bound) & (value < self.upper_bound)


class multinomial(Constraint):
    """Vectors of counts that sum to at most `upper_bound`."""

    is_discrete, event_dim = True, 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Any) -> Any:
        return (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)


class cat(Constraint):
    """One constraint for each of several parts of the axis `dim`, of the given lengths."""

    def __init__(self, cseq: Any, dim: int = 0, lengths: Any = None) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        self.event_dim = max(c.event_dim for c in self.cseq)

    def check(self, value: Any) -> Any:
        parts = value.split(self.lengths, self.dim)
        return _cat([c.check(part) for c, part in zip(self.cseq, parts)], self.dim)


class stack(Constraint):
    """One constraint for each index of the axis `dim`."""

    def __init__(self, cseq: Any, dim: int = 0) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        self.event_dim = max(c.event_dim for c in self.cseq) + (1 if dim < 0 else 0)

    def check(self, value: Any) -> Any:
        return _stack([c.check(part) for c, part in zip(self.cseq, value.unbind(self.dim))], self.dim)


def _one_hot(value: Any) -> Any:
    return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


def _simplex(value: Any) -> Any:
    return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


def _lower_triangular(value: Any) -> Any:
    return (value.tril() == value).flatten(-2).all(-1)


def _lower_cholesky(value: Any) -> Any:
    return _lower_triangular(value) & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


def _corr_cholesky(value: Any) -> Any:
    room = finfo(value.dtype).eps * value.shape[-1] * 10
    return _lower_cholesky(value) & ((value.square().sum(-1).sqrt() - 1).abs() < room).all(-1)


def _square(value: Any) -> Any:
    return value.new_full(value.shape[:-2], value.shape[-2] == value.shape[-1], dtype=bool_)


def _symmetric(value: Any) -> Any:
    return _square(value) & ((value - value.mT).abs() <= 1e-8 + 1e-5 * value.abs()).flatten(-2).all(-1)


is_dependent: Callable[[Any], bool] = lambda constraint: isinstance(constraint, _Dependent)
dependent = _Dependent()
boolean = _Where("boolean", lambda v: (v == 0) | (v == 1), is_discrete=True)
one_hot = _Where("one_hot", _one_hot, 1, is_discrete=True)
nonnegative_integer = _Where("nonnegative_integer", lambda v: (v % 1 == 0) & (v >= 0), is_discrete=True)
positive_integer = _Where("positive_integer", lambda v: (v % 1 == 0) & (v >= 1), is_discrete=True)
real = _Where("real", lambda v: v == v)
real_vector = independent(real, 1)
positive, nonnegative, unit_interval = greater_than(0.0), greater_than_eq(0.0), interval(0.0, 1.0)
simplex = _Where("simplex", _simplex, 1)
lower_triangular = _Where("lower_triangular", _lower_triangular, 2)
lower_cholesky = _Where("lower_cholesky", _lower_cholesky, 2)
corr_cholesky = _Where("corr_cholesky", _corr_cholesky, 2)
square = _Where("square", _square, 2)
symmetric = _Where("symmetric", _symmetric, 2)
positive_semidefinite = _Where("positive_semidefinite", lambda v: _symmetric(v) & (eigvalsh(v) >= 0).all(-1), 2)
positive_definite = _Where("positive_definite", lambda v: _symmetric(v) & (cholesky_ex(v)[1] == 0), 2)
