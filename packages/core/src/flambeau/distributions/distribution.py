"""The base class of distributions."""

from __future__ import annotations

from typing import Any, ClassVar

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, FlambeauError, ShapeError, explain
from flambeau.base.shapes import broadcast
from flambeau.distributions import constraints
from flambeau.distributions.utils import holds, lazy_property
from flambeau.tensor.tensor import Size, Tensor


class Unsupported(FlambeauError, NotImplementedError):
    """A distribution does not have the quantity that was asked for."""


class Distribution:
    """A probability distribution, or a batch of independent ones.

    A draw has the shape `sample_shape + batch_shape + event_shape`: batch axes belong to different parameters, event axes to one
    (multivariate) draw. `log_prob` sums over the event axes.

    Args:
        batch_shape: shape of the parameters.
        event_shape: shape of one draw.
        validate_args: check parameters and values; None means the default (`set_default_validate_args`, on).
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: Any = {}
    support: Any = constraints.dependent
    _validate_args: ClassVar[bool] = True
    # Attributes that `expand` copies; parameters (by `arg_constraints`) and distributions inside are expanded.
    _kept: tuple[str, ...] = ()

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args  # type: ignore[misc]
        if self._validate_args:
            self._check_parameters()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Switch checks on or off for all distributions that do not say themselves."""
        if value not in (True, False):
            raise ArgumentError(explain("set_default_validate_args", expected="True or False", got=repr(value)))
        Distribution._validate_args = bool(value)

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            if constraints.is_dependent(constraint) or isinstance(getattr(type(self), name, None), lazy_property | property):
                if name not in self.__dict__:
                    continue  # computed from another parameter
            value = self.__dict__.get(name)
            if value is None or constraints.is_dependent(constraint) or holds(constraint.check(value)):
                continue
            got = f"a tensor of shape {tuple(value.shape)} with values outside: {value!r}"
            raise ArgumentError(explain(f"{type(self).__name__}({name}=...)", expected=f"values in {constraint!r}", got=got))

    # -- shapes ---------------------------------------------------------------------------------------------------------------------------
    @property
    def batch_shape(self) -> Size:
        """Shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """Shape of one draw of one of them."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distributions with their batch axes expanded (without copying parameters)."""
        shape = Size(batch_shape)
        new = self._blank(_instance)
        for name, value in self.__dict__.items():
            if name in self.arg_constraints and isinstance(value, Tensor):
                axes = self.arg_constraints[name].event_dim
                new.__dict__[name] = value.expand((*shape, *value.shape[value.ndim - axes :]))
            elif isinstance(value, Distribution):
                new.__dict__[name] = value.expand(shape)
            elif name in self._kept:
                new.__dict__[name] = value
        Distribution.__init__(new, shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _blank(self, instance: Any) -> Any:
        """An instance of the class whose `__init__` has not run; subclasses with another constructor pass one to `expand`."""
        return type(self).__new__(type(self)) if instance is None else instance

    # -- draws ----------------------------------------------------------------------------------------------------------------------------
    def sample(self, sample_shape: Any = ()) -> Any:
        """Draws of shape `sample_shape + batch_shape + event_shape`, without gradients."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Draws that are differentiable functions of the parameters (where `has_rsample`)."""
        raise self._lacks("rsample", "sample() with log_prob (the score function estimator)")

    def sample_n(self, n: int) -> Any:
        """`n` draws."""
        return self.sample((n,))

    def rsample_n(self, n: int) -> Any:
        """`n` differentiable draws."""
        return self.rsample((n,))

    # -- quantities -----------------------------------------------------------------------------------------------------------------------
    @property
    def mean(self) -> Any:
        """The mean."""
        raise self._lacks("mean")

    @property
    def mode(self) -> Any:
        """The value of highest density."""
        raise self._lacks("mode")

    @property
    def variance(self) -> Any:
        """The variance."""
        raise self._lacks("variance")

    @property
    def stddev(self) -> Any:
        """The standard deviation."""
        return self.variance.sqrt()

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density (or probability) of each event in `value`."""
        raise self._lacks("log_prob")

    def cdf(self, value: Any) -> Any:
        """The probability of a draw up to `value`."""
        raise self._lacks("cdf")

    def icdf(self, value: Any) -> Any:
        """The value below which a draw falls with probability `value`."""
        raise self._lacks("icdf")

    def entropy(self) -> Any:
        """The entropy in nats, of shape `batch_shape`."""
        raise self._lacks("entropy")

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values of a discrete distribution along a new first axis."""
        raise self._lacks("enumerate_support")

    def perplexity(self) -> Any:
        """exp(entropy)."""
        return self.entropy().exp()

    def _lacks(self, what: str, hint: str = "") -> Unsupported:
        return Unsupported(
            explain(f"{type(self).__name__}.{what}", expected=f"a distribution that has {what}", got="one without", hint=hint)
        )

    # -- checks ---------------------------------------------------------------------------------------------------------------------------
    def _validate_sample(self, value: Any) -> None:
        """Refuse values of another shape or outside the support."""
        name = f"{type(self).__name__}.log_prob"
        if not isinstance(value, Tensor):
            raise ArgumentError(explain(name, expected="a tensor", got=type(value).__name__))
        axes = len(self._event_shape)
        if tuple(value.shape[value.ndim - axes :]) != tuple(self._event_shape) or value.ndim < axes:
            raise ShapeError(
                explain(name, expected=f"events of shape {tuple(self._event_shape)}", got=f"a value of shape {tuple(value.shape)}")
            )
        broadcast(name, tuple(value.shape), tuple(self._extended_shape()))
        support = self.support
        if constraints.is_dependent(support) or holds(support.check(value)):
            return
        raise ArgumentError(explain(name, expected=f"values in the support {support!r}", got=f"others: {value!r}"))

    def __repr__(self) -> str:
        shown = []
        for name in self.arg_constraints:
            value = self.__dict__.get(name)
            if isinstance(value, Tensor):
                shown.append(f"{name}: {value!r}" if value.numel() == 1 else f"{name}: {tuple(value.shape)}")
        return f"{type(self).__name__}({', '.join(shown)})"
