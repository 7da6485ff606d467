"""Clipping of gradients, in place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import GradientError, explain
from flambeau.ops.joining import stack
from flambeau.ops.pointwise import clamp
from flambeau.ops.reduction import vector_norm
from flambeau.tensor.creation import tensor
from flambeau.tensor.tensor import Tensor


def _several(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


@no_grad()
def get_total_norm(tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None) -> Tensor:
    """The norm of all tensors taken together as one vector.

    >>> import flambeau as fb
    >>> fb.nn.utils.get_total_norm([fb.tensor([3.0]), fb.tensor([4.0])])
    tensor(5.)
    """
    found = _several(tensors)
    if not found:
        return tensor(0.0)
    norm_type = float(norm_type)
    norms: list[Any] = [vector_norm(t.detach(), norm_type) for t in found]
    total: Any = vector_norm(stack([n.to(norms[0].device) for n in norms]), norm_type)
    if error_if_nonfinite and not bool(total.isfinite()):
        hint = "error_if_nonfinite=False to scale them anyway"
        raise GradientError(explain("get_total_norm", expected=f"a finite norm of order {norm_type}", got=str(total.item()), hint=hint))
    return total


@no_grad()
def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None) -> None:
    """Scale the gradients by `max_norm / total_norm` where that is below 1."""
    scale: Any = clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
    for p in _several(parameters):
        if p.grad is not None:
            p.grad.detach().mul_(scale.to(device=p.grad.device, dtype=p.grad.dtype))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of `parameters` so that their norm, taken together, is at most `max_norm`; returns the norm before.

    >>> import flambeau as fb
    >>> p = fb.nn.Parameter(fb.zeros(2))
    >>> p.grad = fb.tensor([3.0, 4.0])
    >>> fb.nn.utils.clip_grad_norm_([p], 1.0), p.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    found = _several(parameters)
    total = get_total_norm([p.grad for p in found if p.grad is not None], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(found, max_norm, total)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Limit every element of the gradients to [-clip_value, clip_value]."""
    limit = float(clip_value)
    for p in _several(parameters):
        if p.grad is not None:
            p.grad.detach().clamp_(-limit, limit)
