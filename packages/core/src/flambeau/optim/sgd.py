"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.optim.checks import at_least
from flambeau.optim.groups import Group, Params
from flambeau.optim.optimizer import Optimizer, Scalars, descent
from flambeau.optim.state import State
from flambeau.tensor.tensor import Tensor


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov momentum as in Sutskever et al. 2013.

        g = grad + weight_decay * p
        b = momentum * b + (1 - dampening) * g      (b = g in the first step)
        p = p - lr * (g + momentum * b  if nesterov else  b)

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = fb.optim.SGD([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.8000, -1.6000])
    """

    pairs_of_reals = False  # linear in the gradient
    by_counters = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov)
        super().__init__(params, {**options, "maximize": maximize, "foreach": foreach, "differentiable": differentiable, "fused": fused})

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("SGD", 0.0, group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            got = f"momentum={group['momentum']!r} and dampening={group['dampening']!r}"
            raise ArgumentError(explain("SGD", expected="a momentum and no dampening with nesterov=True", got=got, hint="momentum=0.9"))

    def init_one(self, group: Group, p: Tensor) -> State:
        """No state without momentum."""
        return {"momentum_buffer": None} if group["momentum"] != 0 else {}

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class."""
        return {
            "neg_lr": -float(group["lr"]),
            "momentum": float(group["momentum"]),
            "share": 1 - float(group["dampening"]),
            "weight_decay": float(group["weight_decay"]),
        }

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """See the class."""
        grad = descent(group, p, grad, s)
        if group["momentum"] != 0:
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = grad.clone()
            else:
                buffer.mul_(s["momentum"]).add_(grad, alpha=s["share"])
            grad = grad.add(buffer, alpha=s["momentum"]) if group["nesterov"] else buffer
        p.add_(grad, alpha=s["neg_lr"])
