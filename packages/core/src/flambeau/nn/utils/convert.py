"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.base.errors import DeviceError, ShapeError, explain
from flambeau.ops.joining import cat
from flambeau.tensor.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of the parameters in one vector; gradients flow back to them."""
    found: list[Any] = list(parameters)
    if len({str(p.device) for p in found}) > 1:
        raise DeviceError(explain("parameters_to_vector", expected="parameters on one device", got="several"))
    return cat([p.reshape(-1) for p in found])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Let the parameters be pieces of `vec`, in order: they share its memory."""
    found: list[Any] = list(parameters)
    wanted = sum(p.numel() for p in found)
    if vec.dim() != 1 or vec.numel() < wanted:
        got = f"shape {tuple(vec.shape)}"
        raise ShapeError(explain("vector_to_parameters", expected=f"a vector with {wanted} elements", got=got))
    start = 0
    for p in found:
        p.data = vec[start : start + p.numel()].view(p.shape).data
        start += p.numel()
