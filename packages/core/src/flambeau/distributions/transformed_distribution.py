"""Distributions of transformed numbers."""

from __future__ import annotations

from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentTypeError, ShapeError, explain
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.independent import Independent
from flambeau.distributions.transform import ComposeTransform, Transform
from flambeau.distributions.utils import sum_rightmost
from flambeau.tensor.tensor import Size


class TransformedDistribution(Distribution):
    """The distribution of f(x), where x has the base distribution and f is a transform (or a list of them, the first first).

    >>> import flambeau as fb
    >>> from flambeau.distributions import Normal, transforms
    >>> d = TransformedDistribution(Normal(0.0, 1.0), [transforms.ExpTransform()])
    >>> d.log_prob(fb.tensor(1.0))
    tensor(-0.9189)
    """

    arg_constraints = {}

    def __init__(self, base_distribution: Any, transforms: Any, validate_args: bool | None = None) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        for t in self.transforms:
            if not isinstance(t, Transform):
                raise ArgumentTypeError(explain("TransformedDistribution", expected="transforms", got=repr(t)))
        whole = ComposeTransform(self.transforms)
        shape = Size((*base_distribution.batch_shape, *base_distribution.event_shape))
        axes = len(base_distribution.event_shape)
        if len(shape) < whole.domain.event_dim:
            got = f"a base distribution of shape {tuple(shape)}"
            raise ShapeError(explain("TransformedDistribution", expected=f"at least {whole.domain.event_dim} axes to transform", got=got))
        after = Size(whole.forward_shape(shape))
        before = Size(whole.inverse_shape(after))
        if before != shape:  # parameters of the transforms broadcast
            base_distribution = base_distribution.expand(before[: len(before) - axes])
        if whole.domain.event_dim > axes:
            base_distribution = Independent(base_distribution, whole.domain.event_dim - axes)
        self.base_dist = base_distribution
        event = max(whole.codomain.event_dim, axes + whole.codomain.event_dim - whole.domain.event_dim)
        super().__init__(after[: len(after) - event], after[len(after) - event :], validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape: Any = Size((*batch_shape, *self._event_shape))
        for t in reversed(self.transforms):
            shape = t.inverse_shape(shape)
        base = self.base_dist.expand(tuple(shape)[: len(shape) - len(self.base_dist.event_shape)])
        new = self._blank(_instance)
        new.base_dist, new.transforms = base, self.transforms
        for name, value in self.__dict__.items():
            if name in self.arg_constraints:
                new.__dict__[name] = value.expand(Size(batch_shape))
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """As the base distribution."""
        return self.base_dist.has_rsample

    @constraints.dependent_property
    def support(self) -> Any:
        """The codomain of the last transform."""
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        extra = len(self._event_shape) - support.event_dim
        return constraints.independent(support, extra) if extra > 0 else support

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return self._through(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self._through(self.base_dist.rsample(sample_shape))

    def _through(self, x: Any) -> Any:
        for t in self.transforms:
            x = t(x)
        return x

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        axes, total, y = len(self._event_shape), 0.0, value
        for t in reversed(self.transforms):
            x = t.inv(y)
            axes += t.domain.event_dim - t.codomain.event_dim
            total = total - sum_rightmost(t.log_abs_det_jacobian(x, y), axes - t.domain.event_dim)
            y = x
        return total + sum_rightmost(self.base_dist.log_prob(y), axes - len(self.base_dist.event_shape))

    def _sign(self) -> Any:
        sign: Any = 1
        for t in self.transforms:
            sign = sign * t.sign
        return sign

    def _flip(self, p: Any) -> Any:
        """1 - p where the transforms turn the order around."""
        sign = self._sign()
        return p if isinstance(sign, int) and sign == 1 else sign * (p - 0.5) + 0.5

    def cdf(self, value: Any) -> Any:
        for t in reversed(self.transforms):
            value = t.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._flip(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        return self._through(self.base_dist.icdf(self._flip(value)))
