"""Adamax."""

from __future__ import annotations

from typing import Any

from flambeau.ops.pointwise import maximum
from flambeau.optim.checks import at_least
from flambeau.optim.checks import betas as check_betas
from flambeau.optim.groups import Group, Params
from flambeau.optim.optimizer import Optimizer, Scalars, count, descent
from flambeau.optim.state import State, counter
from flambeau.tensor.creation import zeros_like
from flambeau.tensor.tensor import Tensor


class Adamax(Optimizer):
    """Adam with the infinity norm in place of squares (Kingma and Ba 2015, section 7.1, arXiv:1412.6980).

        m = beta1 * m + (1 - beta1) * g            u = max(beta2 * u, abs(g) + eps)
        p = p - lr / (1 - beta1**t) * m / u        with g = grad + weight_decay * p

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = fb.optim.Adamax([w], lr=0.5)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.5000, -1.5000])
    """

    by_counters = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        options = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        super().__init__(
            params, {**options, "foreach": foreach, "maximize": maximize, "differentiable": differentiable, "capturable": capturable}
        )

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("Adamax", 0.0, group, "lr", "eps", "weight_decay")
        check_betas("Adamax", group)

    def init_one(self, group: Group, p: Tensor) -> State:
        """The average of gradients and their decaying largest size."""
        return {"step": counter(), "exp_avg": zeros_like(p), "exp_inf": zeros_like(p)}

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class."""
        step = count(state)
        beta1, beta2 = map(float, group["betas"])
        return {
            "weight1": 1 - beta1,
            "beta2": beta2,
            "eps": float(group["eps"]),
            "neg_step_size": -(float(group["lr"]) / (1 - beta1**step)),
            "weight_decay": float(group["weight_decay"]),
        }

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """See the class."""
        grad = descent(group, p, grad, s)
        m, largest = state["exp_avg"], state["exp_inf"]
        m.lerp_(grad, s["weight1"])
        largest.copy_(maximum(largest * s["beta2"], grad.abs().add_(s["eps"])))
        p.addcdiv_(m, largest, value=s["neg_step_size"])
