"""Adadelta."""

from __future__ import annotations

from typing import Any

from flambeau.optim.checks import at_least, within
from flambeau.optim.groups import Group, Params
from flambeau.optim.optimizer import Optimizer, Scalars, count, descent
from flambeau.optim.state import State, counter
from flambeau.tensor.creation import zeros_like
from flambeau.tensor.tensor import Tensor


class Adadelta(Optimizer):
    """Steps in the units of the parameters, from running averages (Zeiler 2012, arXiv:1212.5701).

        v = rho * v + (1 - rho) * g**2             with g = grad + weight_decay * p
        d = sqrt(u + eps) / sqrt(v + eps) * g
        u = rho * u + (1 - rho) * d**2
        p = p - lr * d

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = fb.optim.Adadelta([w])
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> bool(((w**2) < fb.tensor([1.0, 4.0])).all())
    True
    """

    by_counters = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize)
        super().__init__(params, {**options, "capturable": capturable, "foreach": foreach, "differentiable": differentiable})

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("Adadelta", 0.0, group, "lr", "eps", "weight_decay")
        if group["rho"] != 1:
            within("Adadelta", "rho", group["rho"], 0.0, 1.0)

    def init_one(self, group: Group, p: Tensor) -> State:
        """The averages of squares of gradients and of steps."""
        return {"step": counter(), "square_avg": zeros_like(p), "acc_delta": zeros_like(p)}

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class."""
        count(state)
        rho = float(group["rho"])
        return {
            "rho": rho,
            "weight": 1 - rho,
            "eps": float(group["eps"]),
            "neg_lr": -float(group["lr"]),
            "weight_decay": float(group["weight_decay"]),
        }

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """See the class."""
        grad = descent(group, p, grad, s)
        v, u = state["square_avg"], state["acc_delta"]
        v.mul_(s["rho"]).addcmul_(grad, grad, value=s["weight"])
        delta = (u + s["eps"]).sqrt() / (v + s["eps"]).sqrt() * grad
        u.mul_(s["rho"]).addcmul_(delta, delta, value=s["weight"])
        p.add_(delta, alpha=s["neg_lr"])
