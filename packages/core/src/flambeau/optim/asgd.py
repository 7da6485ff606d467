"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from flambeau.optim.checks import at_least
from flambeau.optim.groups import Group, Params
from flambeau.optim.optimizer import Optimizer, Scalars, count, descent
from flambeau.optim.state import State, counter
from flambeau.tensor.creation import zeros_like
from flambeau.tensor.tensor import Tensor


class ASGD(Optimizer):
    """Averaged stochastic gradient descent (Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging").

        p = (1 - lambd * eta) * p - eta * g        with g = grad + weight_decay * p, eta = lr at first
        ax = ax + mu * (p - ax)                    with mu = 1 at first
        eta = lr / (1 + lambd * lr * t)**alpha     mu = 1 / max(1, t - t0)

    The averaged parameters are `state[p]["ax"]`.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = fb.optim.ASGD([w], lr=0.1, lambd=0.0)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> optimizer.state[w]["ax"]
    tensor([ 0.8000, -1.6000])
    """

    by_counters = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        options = dict(lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, foreach=foreach)
        super().__init__(params, {**options, "maximize": maximize, "differentiable": differentiable, "capturable": capturable})

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("ASGD", 0.0, group, "lr", "weight_decay")

    def init_one(self, group: Group, p: Tensor) -> State:
        """The step size, the weight of the average, and the average."""
        return {"step": counter(), "eta": counter(float(group["lr"])), "mu": counter(1.0), "ax": zeros_like(p)}

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class. `average` is a bool: it decides what is computed, not with which numbers."""
        step = count(state)
        lr, lambd = float(group["lr"]), float(group["lambd"])
        eta, mu = state["eta"].item(), state["mu"].item()
        state["eta"].fill_(lr / (1 + lambd * lr * step) ** float(group["alpha"]))
        state["mu"].fill_(1 / max(1, step - float(group["t0"])))
        return {
            "keep": 1 - lambd * eta,
            "neg_eta": -eta,
            "mu": mu,
            "average": mu != 1,
            "weight_decay": float(group["weight_decay"]),
        }

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """See the class."""
        grad = descent(group, p, grad, s)
        p.mul_(s["keep"]).add_(grad, alpha=s["neg_eta"])
        average = state["ax"]
        if s["average"]:
            average.add_((p - average).mul_(s["mu"]))
        else:
            average.copy_(p)
