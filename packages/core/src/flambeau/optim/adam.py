"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from flambeau.ops.pointwise import maximum
from flambeau.optim.checks import at_least
from flambeau.optim.checks import betas as check_betas
from flambeau.optim.groups import Group, Params
from flambeau.optim.optimizer import Optimizer, Scalars, count
from flambeau.optim.state import State, counter
from flambeau.tensor.creation import zeros_like
from flambeau.tensor.tensor import Tensor


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980); with `amsgrad` the variant of Reddi et al. 2018 (arXiv:1904.09237).

        m = beta1 * m + (1 - beta1) * g            v = beta2 * v + (1 - beta2) * g**2
        p = p - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    `amsgrad` divides by the largest v so far. `weight_decay` is added to the gradient (g = grad + weight_decay * p), or, with
    `decoupled_weight_decay`, shrinks p by the factor 1 - lr * weight_decay as in AdamW. `lr` may be a tensor with one element.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = fb.optim.Adam([w], lr=0.1)
    >>> for _ in range(100):
    ...     optimizer.zero_grad()
    ...     (w**2).sum().backward()
    ...     optimizer.step()
    >>> bool(w.abs().max() < 0.1)
    True
    """

    by_counters = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        options = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)
        kept = dict(foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused)
        super().__init__(params, {**options, **kept, "decoupled_weight_decay": decoupled_weight_decay})

    def check(self, group: Group) -> None:
        """See the base class."""
        op = type(self).__name__
        at_least(op, 0.0, group, "lr", "eps", "weight_decay")
        check_betas(op, group)

    def init_one(self, group: Group, p: Tensor) -> State:
        """The averages of gradients and of their squares."""
        state = {"step": counter(), "exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_like(p)
        return state

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class."""
        step = count(state)
        beta1, beta2 = group["betas"]
        beta1, beta2, lr, decay = float(beta1), float(beta2), float(group["lr"]), float(group["weight_decay"])
        return {
            "weight1": 1 - beta1,
            "beta2": beta2,
            "weight2": 1 - beta2,
            "root_correction2": (1 - beta2**step) ** 0.5,
            "neg_step_size": -(lr / (1 - beta1**step)),
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
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"]
            v = largest.copy_(maximum(largest.clone() if group["differentiable"] else largest, v))
        p.addcdiv_(m, (v.sqrt() / s["root_correction2"]).add_(s["eps"]), value=s["neg_step_size"])


def decayed(group: Group, p: Any, grad: Any, s: Scalars) -> Any:
    """The direction to go down, after weight decay: coupled (added to the gradient) or decoupled (p shrinks by `keep`)."""
    if group["maximize"]:
        grad = -grad
    if group["weight_decay"] == 0:
        return grad
    if group["decoupled_weight_decay"]:
        p.mul_(s["keep"])
        return grad
    return grad.add(p, alpha=s["weight_decay"])


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

        p = (1 - lr * weight_decay) * p             before the step of Adam

    >>> import flambeau as fb
    >>> w = fb.ones(3, requires_grad=True)
    >>> fb.optim.AdamW([w], lr=1e-3).param_groups[0]["weight_decay"]
    0.01
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        kept = dict(foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused)
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True, **kept)  # type: ignore[arg-type]
