"""Random tensors under PyTorch's names, and the in-place fills of Tensor.

All draws come from a `Generator` (the default one if none is given).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, DtypeError, explain
from flambeau.base.shapes import given, sizes_from
from flambeau.device.base import device as Device
from flambeau.device.base import executors
from flambeau.primitives import generator as streams
from flambeau.primitives.bind import host_values
from flambeau.primitives.elementwise import gamma_sample
from flambeau.primitives.movement import expand
from flambeau.primitives.source import random as row
from flambeau.primitives.source import source
from flambeau.tensor.inplace import write
from flambeau.tensor.tensor import Tensor, wrap


class Generator(streams.Generator):
    """A source of random numbers, decided by its seed and the draws made before.

    `device` is for PyTorch's signature: the same numbers come on every device.

    >>> import flambeau as fb
    >>> g = fb.Generator().manual_seed(3)
    >>> first = fb.rand(2, generator=g)
    >>> bool((fb.rand(2, generator=g.manual_seed(3)) == first).all())
    True
    """

    def __init__(self, device: Any = "cpu", *, stream: str | None = None) -> None:
        super().__init__(stream=stream)
        self.device = Device(device)

    def get_state(self) -> Any:
        """The state as a uint8 tensor."""
        return wrap(super().get_state())

    def set_state(self, state: Any) -> None:
        """Continue from a state."""
        super().set_state(state.numpy() if isinstance(state, Tensor) else state)

    def clone_state(self) -> Generator:
        """Another generator that will make the same draws."""
        other = Generator(self.device, stream=self._own)
        other.set_state(self.get_state())
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (str(self.device), self._own, super().get_state()))


def _restore(device: str, own: str | None, state: np.ndarray) -> Generator:
    g = Generator(device, stream=own)
    g.set_state(state)
    return g


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator."""
    default_generator.manual_seed(int(seed))
    return default_generator


def seed() -> int:
    """Seed the default generator from the system's entropy; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator, as a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Set the state of the default generator."""
    default_generator.set_state(new_state)


def draw(name: str, args: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype, generator: Any = None, where: Any = None) -> Tensor:
    """A tensor of random numbers: `generator.name(*args)`, which gives an array of that shape and dtype."""
    return source(row, where, generator=generator or default_generator, draw=name, args=args, shape=shape, dtype=dtype)


def _float(dtype: Any, op: str) -> np.dtype:
    d = dtypes.default_dtype() if dtype is None else dtypes.as_dtype(dtype, op)
    if d.category < 2:
        raise DtypeError(explain(op, expected="a floating-point dtype", got=repr(d), hint="randint"))
    return d.numpy


def _where(value: Any) -> Any:
    return None if value is None else Device(value)


def _continuous(name: str, op: str, doc: str) -> Any:
    def make(
        *sizes: Any,
        size: Any = None,
        generator: Any = None,
        out: Any = None,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
    ) -> Tensor:
        if generator is None and sizes and isinstance(sizes[-1], streams.Generator):
            generator, sizes = sizes[-1], sizes[:-1]
        shape = sizes_from(op, given(sizes, size))
        if min(shape, default=0) < 0:
            raise ArgumentError(explain(op, expected="sizes that are not negative", got=str(shape)))
        d = _float(dtype, op)
        if d.kind == "c":
            half = np.dtype(f"f{d.itemsize // 2}")
            pair = draw(name, ((*shape, 2), half, 0.0, 1.0), (*shape, 2), half, generator, _where(device))
            made = (pair * 0.5**0.5 if name == "normal" else pair).view_as_complex()
        else:
            made = draw(name, (shape, d, 0.0, 1.0), shape, d, generator, _where(device))
        if out is not None:
            return out.resize_(shape).copy_(made)
        return made.requires_grad_() if requires_grad else made

    make.__name__ = make.__qualname__ = op
    make.__doc__ = doc
    return make


rand = _continuous("uniform", "rand", "Numbers uniform in [0, 1).")
randn = _continuous("normal", "randn", "Numbers of the standard normal distribution.")


def _shaped_like(make: Any, op: str) -> Any:
    def like(
        input: Tensor,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        generator: Any = None,
        layout: Any = None,
        memory_format: Any = None,
    ) -> Tensor:
        return make(
            tuple(input.shape),
            dtype=dtype or input.dtype,
            device=input.device if device is None else device,
            requires_grad=requires_grad,
            generator=generator,
        )

    like.__name__ = like.__qualname__ = op
    like.__doc__ = f"As `{make.__name__}`, with the shape, dtype and device of `input`."
    return like


rand_like = _shaped_like(rand, "rand_like")
randn_like = _shaped_like(randn, "randn_like")


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Any = None,
    out: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers uniform in [low, high): `randint(high, size)` or `randint(low, high, size)`.

    >>> import flambeau as fb
    >>> fb.randint(5, (2, 3)).shape
    flambeau.Size([2, 3])
    """
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    d = (dtypes.int64 if dtype is None else dtypes.as_dtype(dtype, "randint")).numpy
    shape = sizes_from("randint", (size,))
    made = draw("randint", (int(low), int(high), shape, d), shape, d, generator, _where(device))
    return made.requires_grad_() if requires_grad else made


def randint_like(input: Tensor, low: int, high: Any = None, *, dtype: Any = None, device: Any = None) -> Tensor:
    """As `randint`, with the shape, dtype and device of `input`."""
    if high is None:
        low, high = 0, low
    return randint(low, high, tuple(input.shape), dtype=dtype or input.dtype, device=device or input.device)


def randperm(n: int, *, generator: Any = None, out: Any = None, dtype: Any = None, device: Any = None, pin_memory: bool = False) -> Tensor:
    """The numbers 0 ... n - 1 in random order."""
    d = (dtypes.int64 if dtype is None else dtypes.as_dtype(dtype, "randperm")).numpy
    return draw("permutation", (int(n), d), (int(n),), d, generator, _where(device))


def normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Tensor:
    """Normal numbers; mean and standard deviation are numbers (with `size`) or tensors, one per element."""
    if size is not None:
        shape, d = sizes_from("normal", (size,)), _float(dtype, "normal")
        return draw("normal", (shape, d, float(mean), float(std)), shape, d, generator, _where(device))
    like = mean if isinstance(mean, Tensor) else std
    shape = np.broadcast_shapes(*[tuple(t.shape) for t in (mean, std) if isinstance(t, Tensor)])
    return randn(shape, dtype=like.dtype, device=like.device, generator=generator) * std + mean


def _values(x: Tensor) -> np.ndarray:
    found: np.ndarray = host_values(x, "a draw by the values")
    return found


def _drawn(make: Any, again: Any, *tensors: Tensor) -> Tensor:
    """`make(*tensors)`, a draw with tensors as parameters; batched by vmap, `again` of all examples together."""
    if any(executors[type(t._a)].priority for t in tensors):
        from flambeau.autograd.batched_random import together

        return together(again, tensors)
    return make(*tensors)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probabilities of `input` (or with probability p), else 0, in the dtype of input."""
    a = input._a
    if p is not None:
        return draw("bernoulli", (float(p), a.shape, a.dtype), a.shape, a.dtype, generator, input.device)

    def make(x: Tensor) -> Tensor:
        return draw("bernoulli", (_values(x), a.shape, a.dtype), a.shape, a.dtype, generator, x.device)

    return _drawn(make, lambda x: bernoulli(x, generator=generator), input)


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """Categories drawn by the weights of `input`, (categories,) or (rows, categories)."""

    def make(x: Tensor) -> Tensor:
        weights = _values(x)
        shape = (*weights.shape[:-1], int(num_samples))
        return draw("multinomial", (weights, int(num_samples), replacement), shape, np.dtype(np.int64), generator, x.device)

    def rows(x: Tensor) -> Tensor:
        flat = x.reshape(-1, x._a.shape[-1])
        return multinomial(flat, num_samples, replacement, generator=generator).reshape(*x._a.shape[:-1], int(num_samples))

    return _drawn(make, rows, input)


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Counts of Poisson distributions with the rates of `input`."""

    def make(x: Tensor) -> Tensor:
        return draw("poisson", (_values(x),), x._a.shape, x._a.dtype, generator, x.device)

    return _drawn(make, lambda x: poisson(x, generator), input)


def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """Numbers of successes in `count` trials that succeed with `prob`."""

    def make(n: Tensor, p: Tensor) -> Tensor:
        shape = np.broadcast_shapes(n._a.shape, p._a.shape)
        return draw("binomial", (_values(n), _values(p)), shape, p._a.dtype, generator, p.device)

    return _drawn(make, lambda n, p: binomial(n, p, generator), count, prob)


def standard_gamma(alpha: Tensor, generator: Any = None) -> Tensor:
    """Numbers of the gamma distribution with shape `alpha` and scale 1.

    Their gradient is the implicit one of Figurnov, Mohamed & Mnih 2018: with the quantile held fixed, the number moves with alpha.
    """

    def make(x: Tensor) -> Tensor:
        return draw("gamma", (_values(x),), x._a.shape, x._a.dtype, generator, x.device)

    def again(x: Tensor) -> Tensor:
        return _drawn(make, again, x)

    return gamma_sample(alpha, _drawn(make, again, alpha))


# -- in place -------------------------------------------------------------------------------------------------------------------------
def _fill(self: Tensor, name: str, generator: Any, *after: Any, before: tuple[Any, ...] = ()) -> Tensor:
    a = self._a
    return write(self, draw(name, (*before, a.shape, a.dtype, *after), a.shape, a.dtype, generator, self.device), f"{name}_")


def uniform_(self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Any = None, **names: float) -> Tensor:
    """Fill with numbers uniform in [a, b)."""
    return _fill(self, "uniform", generator, float(names.get("from", a)), float(names.get("to", b)))


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with normal numbers."""
    return _fill(self, "normal", generator, float(mean), float(std))


def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with exponential numbers of rate lambd."""
    return _fill(self, "exponential", generator, float(lambd))


def cauchy_(self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with Cauchy numbers."""
    return _fill(self, "cauchy", generator, float(median), float(sigma))


def log_normal_(self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Tensor:
    """Fill with exponentials of normal numbers."""
    return _fill(self, "log_normal", generator, float(mean), float(std))


def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Fill with the numbers of trials until a success of probability p."""
    return _fill(self, "geometric", generator, before=(float(p),))


def random_(self: Tensor, *bounds: int, generator: Any = None) -> Tensor:
    """Fill with integers: of the whole range of the dtype, in [0, to) or in [from, to)."""
    if not bounds:
        return _fill(self, "integers", generator)
    low, high = (0, bounds[0]) if len(bounds) == 1 else bounds
    return _fill(self, "randint", generator, before=(int(low), int(high)))


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fill with 1 with probability p (a number, or a tensor of probabilities), else 0."""
    if isinstance(p, Tensor) and executors[type(p._a)].priority:
        return write(self, bernoulli(expand(p, shape=self._a.shape), generator=generator), "copy_")
    return _fill(self, "bernoulli", generator, before=(_values(p) if isinstance(p, Tensor) else float(p),))


METHODS: dict[str, Any] = {f.__name__: f for f in (uniform_, normal_, exponential_, cauchy_, log_normal_, geometric_, random_, bernoulli_)}
METHODS |= {"multinomial": multinomial, "bernoulli": bernoulli}


__all__ = """
Generator bernoulli binomial default_generator get_rng_state initial_seed manual_seed multinomial normal poisson rand rand_like randint
randint_like randn randn_like randperm seed set_rng_state
""".split()
