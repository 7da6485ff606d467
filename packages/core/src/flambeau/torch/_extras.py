"""Small functions that only PyTorch programs ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

import flambeau


def no() -> bool:
    """No."""
    return False


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = None,
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """`flambeau.compile`. `dynamic`, `backend`, `mode` and `options` choose among PyTorch's compilers and change nothing here."""
    if model is None:
        return lambda inner: compile(inner, fullgraph=fullgraph, disable=disable)
    return model if disable else flambeau.compile(model, fullgraph=fullgraph)


def set_flush_denormal(mode: bool) -> bool:
    """Denormal numbers are kept; False says that the switch has no effect."""
    return False


def typename(obj: Any) -> str:
    """The name of an object's type, with PyTorch's prefix for tensors.

    >>> import flambeau
    >>> typename(flambeau.ones(1))
    'torch.FloatTensor'
    """
    if isinstance(obj, flambeau.Tensor):
        return str(obj.type()).replace("flambeau.", "torch.", 1)
    return f"{type(obj).__module__}.{type(obj).__qualname__}"


def ntuple(n: int) -> Callable[[Any], tuple[Any, ...]]:
    """A function that repeats a single value n times."""
    return lambda value: tuple(value) if isinstance(value, Iterable) else tuple(repeat(value, n))


single, pair, triple, quadruple = ntuple(1), ntuple(2), ntuple(3), ntuple(4)


def clones(module: Any, N: int) -> Any:
    """`N` copies of a module."""
    from copy import deepcopy

    return flambeau.nn.ModuleList([deepcopy(module) for _ in range(N)])


def to_dlpack(tensor: flambeau.Tensor) -> Any:
    """The tensor as a DLPack capsule."""
    return tensor.__dlpack__()


def assert_allclose(actual: Any, expected: Any, rtol: float | None = None, atol: float | None = None, **options: Any) -> None:
    """`flambeau.testing.assert_close` that does not look at dtypes."""
    from flambeau.testing import assert_close

    expected = flambeau.as_tensor(expected)
    assert_close(flambeau.as_tensor(actual), expected, rtol=rtol, atol=atol, check_dtype=False, **options)
