"""RMSprop."""

from __future__ import annotations

from typing import Any

from flambeau.optim.checks import at_least
from flambeau.optim.groups import Group, Params
from flambeau.optim.optimizer import Optimizer, Scalars, count, descent
from flambeau.optim.state import State, counter
from flambeau.tensor.creation import zeros_like
from flambeau.tensor.tensor import Tensor


class RMSprop(Optimizer):
    """Gradients divided by a running root mean square (Hinton 2012, lecture 6e of "Neural Networks for Machine Learning").

        v = alpha * v + (1 - alpha) * g**2         with g = grad + weight_decay * p
        d = sqrt(v) + eps
        b = momentum * b + g / d
        p = p - lr * b

    `centered` (Graves 2013, arXiv:1308.0850) keeps an average a of the gradient too, and d = sqrt(v - a**2) + eps.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = fb.optim.RMSprop([w], lr=0.01)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.9000, -1.9000])
    """

    by_counters = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = dict(lr=lr, momentum=momentum, alpha=alpha, eps=eps, centered=centered, weight_decay=weight_decay)
        flags = dict(capturable=capturable, foreach=foreach, maximize=maximize, differentiable=differentiable)
        super().__init__(params, {**options, **flags})

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("RMSprop", 0.0, group, "lr", "eps", "momentum", "weight_decay", "alpha")

    def init_one(self, group: Group, p: Tensor) -> State:
        """The average of squares; with the options, the momentum and the average of gradients."""
        state = {"step": counter(), "square_avg": zeros_like(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = zeros_like(p)
        return state

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class."""
        count(state)
        alpha = float(group["alpha"])
        return {
            "alpha": alpha,
            "weight": 1 - alpha,
            "eps": float(group["eps"]),
            "momentum": float(group["momentum"]),
            "neg_lr": -float(group["lr"]),
            "weight_decay": float(group["weight_decay"]),
        }

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """See the class."""
        grad = descent(group, p, grad, s)
        v = state["square_avg"]
        v.mul_(s["alpha"]).addcmul_(grad, grad, value=s["weight"])
        if group["centered"]:
            average = state["grad_avg"]
            average.lerp_(grad, s["weight"])
            v = v.addcmul(average, average, value=-1)
        denominator = v.sqrt() + s["eps"]
        if group["momentum"] > 0:
            buffer = state["momentum_buffer"].mul_(s["momentum"]).addcdiv_(grad, denominator)
            p.add_(buffer, alpha=s["neg_lr"])
        else:
            p.addcdiv_(grad, denominator, value=s["neg_lr"])
