"""Invertible maps with the logarithm of their Jacobian's determinant, for `TransformedDistribution`: the base class and compositions.

The maps themselves are in `elementwise_transforms` (one number to one number) and `vector_transforms`; `transforms` has them all.
"""

from __future__ import annotations

import weakref
from typing import Any

from flambeau.base.errors import ArgumentError, FlambeauError, ShapeError, explain
from flambeau.distributions import constraints
from flambeau.distributions.utils import sum_rightmost
from flambeau.tensor.tensor import Size


class NotABijection(FlambeauError, NotImplementedError):
    """A transform has no inverse, or no Jacobian."""


class Transform:
    """A map from `domain` to `codomain`.

    Args:
        cache_size: 1 keeps the last (x, y), so that `inv(y)` gives back x exactly.
    """

    bijective = False
    domain: Any = constraints.real
    codomain: Any = constraints.real

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ArgumentError(explain(type(self).__name__, expected="cache_size 0 or 1", got=repr(cache_size)))
        self._cache_size = cache_size
        self._last: tuple[Any, Any] = (None, None)
        self._inverse: Any = None

    @property
    def event_dim(self) -> int:
        """Number of axes that the map mixes."""
        if self.domain.event_dim != self.codomain.event_dim:
            raise ShapeError(explain(f"{self!r}.event_dim", expected="equal event axes on both sides", got="different ones"))
        return self.domain.event_dim

    @property
    def inv(self) -> Any:
        """The inverse transform."""
        inverse = None if self._inverse is None else self._inverse()
        if inverse is None:
            inverse = _Inverse(self)
            self._inverse = weakref.ref(inverse)
        return inverse

    @property
    def sign(self) -> Any:
        """+1 for an increasing, -1 for a decreasing map of numbers."""
        raise NotABijection(explain(f"{self!r}.sign", expected="a monotone transform", got="another"))

    def with_cache(self, cache_size: int = 1) -> Any:
        """The same transform with another cache size."""
        if self._cache_size == cache_size:
            return self
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        Transform.__init__(other, cache_size)
        return other

    def __call__(self, x: Any) -> Any:
        if not self._cache_size:
            return self._call(x)
        if x is self._last[0]:
            return self._last[1]
        y = self._call(x)
        self._last = (x, y)
        return y

    def _inv_call(self, y: Any) -> Any:
        if not self._cache_size:
            return self._backward(y)
        if y is self._last[1]:
            return self._last[0]
        x = self._backward(y)
        self._last = (x, y)
        return x

    def _call(self, x: Any) -> Any:
        raise NotABijection(explain(repr(self), expected="a transform with a forward map", got="one without"))

    def _backward(self, y: Any) -> Any:
        raise NotABijection(explain(f"{self!r}.inv", expected="a transform with an inverse", got="one without"))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """log |det dy/dx| at x, where y is the image of x."""
        raise NotABijection(explain(f"{self!r}.log_abs_det_jacobian", expected="a bijection", got="a transform that is none"))

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the image of a value of that shape."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of the preimage."""
        return shape

    def _parameters(self) -> tuple[Any, ...]:
        """What tells apart transforms of one class."""
        return ()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return False
        mine, theirs = self._parameters(), other._parameters()
        return len(mine) == len(theirs) and all(_same(a, b) for a, b in zip(mine, theirs))

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    same = a == b
    return bool(same.all()) if hasattr(same, "all") else bool(same)


class _Inverse(Transform):
    """A transform backwards."""

    def __init__(self, forward: Transform) -> None:
        super().__init__(forward._cache_size)
        self._forward = forward

    @property
    def domain(self) -> Any:
        return self._forward.codomain

    @property
    def codomain(self) -> Any:
        return self._forward.domain

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return self._forward.bijective

    @property
    def sign(self) -> Any:
        return self._forward.sign

    @property
    def inv(self) -> Transform:
        return self._forward

    def with_cache(self, cache_size: int = 1) -> Any:
        return self._forward.with_cache(cache_size).inv

    def __call__(self, x: Any) -> Any:
        return self._forward._inv_call(x)

    def _inv_call(self, y: Any) -> Any:
        return self._forward(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self._forward.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        return self._forward.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._forward.forward_shape(shape)

    def _parameters(self) -> tuple[Any, ...]:
        return (self._forward,)

    def __repr__(self) -> str:
        return f"{self._forward!r}.inv"


class ComposeTransform(Transform):
    """Transforms one after the other, the first of `parts` first."""

    def __init__(self, parts: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = [p.with_cache(cache_size) for p in parts] if cache_size else list(parts)

    @property
    def domain(self) -> Any:
        if not self.parts:
            return constraints.real
        axes = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            axes = max(axes + part.domain.event_dim - part.codomain.event_dim, part.domain.event_dim)
        return _widened(self.parts[0].domain, axes)

    @property
    def codomain(self) -> Any:
        if not self.parts:
            return constraints.real
        axes = self.parts[0].domain.event_dim
        for part in self.parts:
            axes = max(axes + part.codomain.event_dim - part.domain.event_dim, part.codomain.event_dim)
        return _widened(self.parts[-1].codomain, axes)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all(p.bijective for p in self.parts)

    @property
    def sign(self) -> Any:
        total: Any = 1
        for p in self.parts:
            total = total * p.sign
        return total

    @property
    def inv(self) -> Any:
        return ComposeTransform([p.inv for p in reversed(self.parts)], self._cache_size)

    def with_cache(self, cache_size: int = 1) -> Any:
        return self if self._cache_size == cache_size else ComposeTransform(self.parts, cache_size)

    def __call__(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        if not self.parts:
            return x.new_zeros(x.shape)
        points = [x]
        for part in self.parts[:-1]:
            points.append(part(points[-1]))
        points.append(y)
        axes, total = self.domain.event_dim, None
        for part, before, after in zip(self.parts, points, points[1:]):
            term = sum_rightmost(part.log_abs_det_jacobian(before, after), axes - part.domain.event_dim)
            total = term if total is None else total + term
            axes += part.codomain.event_dim - part.domain.event_dim
        return total

    def forward_shape(self, shape: Any) -> Any:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def _parameters(self) -> tuple[Any, ...]:
        return tuple(self.parts)

    def __repr__(self) -> str:
        return f"ComposeTransform({self.parts!r})"


def _widened(constraint: Any, axes: int) -> Any:
    return constraint if axes == constraint.event_dim else constraints.independent(constraint, axes - constraint.event_dim)


identity_transform = ComposeTransform([])


class IndependentTransform(Transform):
    """A transform whose last `reinterpreted_batch_ndims` batch axes count as event axes."""

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform.with_cache(cache_size)
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def domain(self) -> Any:
        return constraints.independent(self.base_transform.domain, self.reinterpreted_batch_ndims)

    @property
    def codomain(self) -> Any:
        return constraints.independent(self.base_transform.codomain, self.reinterpreted_batch_ndims)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return self.base_transform.bijective

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    def _call(self, x: Any) -> Any:
        return self.base_transform(x)

    def _backward(self, y: Any) -> Any:
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return sum_rightmost(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Any) -> Any:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self.base_transform.inverse_shape(shape)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.base_transform, self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"IndependentTransform({self.base_transform!r}, {self.reinterpreted_batch_ndims})"


class ReshapeTransform(Transform):
    """Events of one shape to another shape with as many elements."""

    bijective = True

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = Size(in_shape), Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ShapeError(explain("ReshapeTransform", expected="as many elements on both sides", got=f"{in_shape} and {out_shape}"))

    @property
    def domain(self) -> Any:
        return constraints.independent(constraints.real, len(self.in_shape))

    @property
    def codomain(self) -> Any:
        return constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Any) -> Any:
        return x.reshape((*x.shape[: x.ndim - len(self.in_shape)], *self.out_shape))

    def _backward(self, y: Any) -> Any:
        return y.reshape((*y.shape[: y.ndim - len(self.out_shape)], *self.in_shape))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x.new_zeros(x.shape[: x.ndim - len(self.in_shape)])

    def forward_shape(self, shape: Any) -> Any:
        return self._swap(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._swap(shape, self.out_shape, self.in_shape)

    @staticmethod
    def _swap(shape: Any, old: Any, new: Any) -> Any:
        lead = len(shape) - len(old)
        if lead < 0 or tuple(shape[lead:]) != tuple(old):
            raise ShapeError(explain("ReshapeTransform", expected=f"a shape that ends in {tuple(old)}", got=str(tuple(shape))))
        return Size((*shape[:lead], *new))

    def _parameters(self) -> tuple[Any, ...]:
        return (self.in_shape, self.out_shape)
