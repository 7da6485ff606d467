"""Transforms of single numbers."""

from __future__ import annotations

import math
from typing import Any

from flambeau.base.dtypes import finfo
from flambeau.distributions import constraints
from flambeau.distributions.transform import Transform
from flambeau.distributions.utils import softplus, sum_rightmost
from flambeau.tensor.tensor import Size, Tensor


class AffineTransform(Transform):
    """y = loc + scale * x; the last `event_dim` axes count as one event."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self._event_dim = loc, scale, event_dim

    @property
    def event_dim(self) -> int:
        return self._event_dim

    @property
    def domain(self) -> Any:
        return constraints.real if not self._event_dim else constraints.independent(constraints.real, self._event_dim)

    @property
    def codomain(self) -> Any:
        return self.domain

    @property
    def sign(self) -> Any:
        return self.scale.sign() if isinstance(self.scale, Tensor) else int(math.copysign(1, self.scale)) if self.scale else 0

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _backward(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        if isinstance(self.scale, Tensor):
            size: Any = self.scale.abs().log().expand_as(x) if self.scale.ndim <= x.ndim else self.scale.abs().log() + x * 0
        else:
            size = x.new_full(x.shape, math.log(abs(self.scale)))
        return sum_rightmost(size, self._event_dim)

    def forward_shape(self, shape: Any) -> Any:
        return _broadcast(shape, self.loc, self.scale)

    def inverse_shape(self, shape: Any) -> Any:
        return _broadcast(shape, self.loc, self.scale)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.loc, self.scale, self._event_dim)


def _broadcast(shape: Any, *parameters: Any) -> Any:
    from flambeau.base.shapes import broadcast

    return Size(broadcast("transform", tuple(shape), *[tuple(p.shape) for p in parameters if isinstance(p, Tensor)]))


class ExpTransform(Transform):
    """y = exp(x)."""

    codomain = constraints.positive
    bijective, sign = True, 1

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _backward(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x


class PowerTransform(Transform):
    """y = x ** exponent for positive x."""

    domain = codomain = constraints.positive
    bijective = True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent

    @property
    def sign(self) -> Any:
        return self.exponent.sign() if isinstance(self.exponent, Tensor) else int(math.copysign(1, self.exponent))

    def _call(self, x: Any) -> Any:
        return x.pow(self.exponent)

    def _backward(self, y: Any) -> Any:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return (self.exponent * y / x).abs().log()

    def forward_shape(self, shape: Any) -> Any:
        return _broadcast(shape, self.exponent)

    def inverse_shape(self, shape: Any) -> Any:
        return _broadcast(shape, self.exponent)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.exponent,)


class SigmoidTransform(Transform):
    """y = 1 / (1 + exp(-x)), kept inside (0, 1)."""

    codomain = constraints.unit_interval
    bijective, sign = True, 1

    def _call(self, x: Any) -> Any:
        info = finfo(x.dtype)
        return x.sigmoid().clamp(info.tiny, 1.0 - info.eps)

    def _backward(self, y: Any) -> Any:
        info = finfo(y.dtype)
        y = y.clamp(info.tiny, 1.0 - info.eps)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -softplus(-x) - softplus(x)


class SoftplusTransform(Transform):
    """y = log(1 + exp(x))."""

    codomain = constraints.positive
    bijective, sign = True, 1

    def _call(self, x: Any) -> Any:
        return softplus(x)

    def _backward(self, y: Any) -> Any:
        return (-(-y).expm1()).log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -softplus(-x)


class TanhTransform(Transform):
    """y = tanh(x). Its inverse loses precision near -1 and 1; `cache_size=1` keeps x."""

    codomain = constraints.interval(-1.0, 1.0)
    bijective, sign = True, 1

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _backward(self, y: Any) -> Any:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        # log(1 - tanh(x)^2), without the cancellation that the square of y would bring
        return 2.0 * (math.log(2.0) - x - softplus(-2.0 * x))


class AbsTransform(Transform):
    """y = |x|. Not a bijection: its "inverse" takes the positive value."""

    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _backward(self, y: Any) -> Any:
        return y


class CumulativeDistributionTransform(Transform):
    """y = cdf(x) of a univariate distribution: its inverse turns uniform numbers into draws."""

    bijective = True
    codomain = constraints.unit_interval
    sign = 1

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:
        return self.distribution.support

    def _call(self, x: Any) -> Any:
        return self.distribution.cdf(x)

    def _backward(self, y: Any) -> Any:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return self.distribution.log_prob(x)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.distribution,)
