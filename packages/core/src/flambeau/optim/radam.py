"""RAdam."""

from __future__ import annotations

from typing import Any

from flambeau.optim.adam import decayed
from flambeau.optim.checks import at_least
from flambeau.optim.checks import betas as check_betas
from flambeau.optim.groups import Group, Params
from flambeau.optim.optimizer import Optimizer, Scalars, count
from flambeau.optim.state import State, counter
from flambeau.tensor.creation import zeros_like
from flambeau.tensor.tensor import Tensor


class RAdam(Optimizer):
    """Adam whose adaptive step is rectified while few gradients have been seen (Liu et al. 2020, arXiv:1908.03265).

        m = beta1 * m + (1 - beta1) * g            v = beta2 * v + (1 - beta2) * g**2
        rho_inf = 2 / (1 - beta2) - 1              rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        r = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        p = p - lr * m / (1 - beta1**t) * (r * sqrt(1 - beta2**t) / (sqrt(v) + eps)  if rho > 5 else  1)

    `weight_decay` is added to the gradient, or with `decoupled_weight_decay` shrinks p as in AdamW.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = fb.optim.RAdam([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.8000, -1.6000])
    """

    by_counters = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize, foreach=foreach)
        flags = dict(capturable=capturable, decoupled_weight_decay=decoupled_weight_decay, differentiable=differentiable)
        super().__init__(params, {**options, **flags})

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("RAdam", 0.0, group, "lr", "eps", "weight_decay")
        check_betas("RAdam", group)

    def init_one(self, group: Group, p: Tensor) -> State:
        """The averages of gradients and of their squares."""
        return {"step": counter(), "exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class. `rectify` is a bool: it decides what is computed, not with which numbers."""
        step = count(state)
        beta1, beta2 = map(float, group["betas"])
        lr, decay = float(group["lr"]), float(group["weight_decay"])
        correction2 = 1 - beta2**step
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * step * beta2**step / correction2
        rectify = rho > 5.0
        r = ((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5 if rectify else 1.0
        return {
            "weight1": 1 - beta1,
            "beta2": beta2,
            "weight2": 1 - beta2,
            "correction1": 1 - beta1**step,
            "root_correction2": correction2**0.5,
            "rectify": rectify,
            "r": r,
            "lr": lr,
            "eps": float(group["eps"]),
            "weight_decay": decay,
            "keep": 1 - lr * decay,
        }

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """See the class."""
        grad = decayed(group, p, grad, s)
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.lerp_(grad, s["weight1"])
        v.mul_(s["beta2"]).addcmul_(grad, grad, value=s["weight2"])
        update = (m / s["correction1"]).mul_(s["lr"])
        if s["rectify"]:
            adaptive = s["root_correction2"] / (v.sqrt() + s["eps"])
            update = (update * adaptive).mul_(s["r"])
        p.sub_(update)
