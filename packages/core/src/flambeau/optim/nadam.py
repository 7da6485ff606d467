"""NAdam."""

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


class NAdam(Optimizer):
    """Adam with Nesterov momentum (Dozat 2016, "Incorporating Nesterov Momentum into Adam").

        mu[t] = beta1 * (1 - 0.5 * 0.96**(t * momentum_decay))
        m = beta1 * m + (1 - beta1) * g            v = beta2 * v + (1 - beta2) * g**2
        m_hat = mu[t+1] * m / (1 - mu[1] * ... * mu[t+1]) + (1 - mu[t]) * g / (1 - mu[1] * ... * mu[t])
        p = p - lr * m_hat / (sqrt(v / (1 - beta2**t)) + eps)

    `weight_decay` is added to the gradient, or with `decoupled_weight_decay` shrinks p as in AdamW.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = fb.optim.NAdam([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> bool(((w**2) < fb.tensor([1.0, 4.0])).all())
    True
    """

    by_counters = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        flags = dict(decoupled_weight_decay=decoupled_weight_decay, maximize=maximize, foreach=foreach)
        super().__init__(params, {**options, **flags, "capturable": capturable, "differentiable": differentiable})

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("NAdam", 0.0, group, "lr", "eps", "weight_decay", "momentum_decay")
        check_betas("NAdam", group)

    def init_one(self, group: Group, p: Tensor) -> State:
        """As Adam's, with the product of all momenta."""
        return {"step": counter(), "mu_product": counter(1.0), "exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class."""
        step = count(state)
        beta1, beta2 = map(float, group["betas"])
        lr, decay, momentum_decay = float(group["lr"]), float(group["weight_decay"]), float(group["momentum_decay"])
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * momentum_decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
        product = state["mu_product"].mul_(mu).item()
        return {
            "weight1": 1 - beta1,
            "beta2": beta2,
            "weight2": 1 - beta2,
            "correction2": 1 - beta2**step,
            "eps": float(group["eps"]),
            "grad_step": -lr * (1.0 - mu) / (1.0 - product),
            "average_step": -lr * mu_next / (1.0 - product * mu_next),
            "weight_decay": decay,
            "keep": 1 - lr * decay,
        }

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """See the class."""
        grad = decayed(group, p, grad, s)
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.lerp_(grad, s["weight1"])
        v.mul_(s["beta2"]).addcmul_(grad, grad, value=s["weight2"])
        denominator = (v / s["correction2"]).sqrt() + s["eps"]
        p.addcdiv_(grad, denominator, value=s["grad_step"])
        p.addcdiv_(m, denominator, value=s["average_step"])
