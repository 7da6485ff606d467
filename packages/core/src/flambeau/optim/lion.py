"""Lion."""

from __future__ import annotations

from typing import Any

from flambeau.optim.checks import at_least
from flambeau.optim.checks import betas as check_betas
from flambeau.optim.groups import Group, Params
from flambeau.optim.optimizer import Optimizer, Scalars
from flambeau.optim.state import State
from flambeau.tensor.creation import zeros_like
from flambeau.tensor.tensor import Tensor


class Lion(Optimizer):
    """Steps from the sign of an interpolated momentum (Chen et al. 2023, "Symbolic discovery of optimization algorithms",
    arXiv:2302.06675).

        p = (1 - lr * weight_decay) * p - lr * sign(beta1 * m + (1 - beta1) * grad)
        m = beta2 * m + (1 - beta2) * grad

    Half of Adam's state. The paper advises a learning rate 3 to 10 times smaller than Adam's and a weight decay as much larger.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = fb.optim.Lion([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.9000, -1.9000])
    """

    by_counters = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize, differentiable=differentiable))

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("Lion", 0.0, group, "lr", "weight_decay")
        check_betas("Lion", group)

    def init_one(self, group: Group, p: Tensor) -> State:
        """The momentum."""
        return {"exp_avg": zeros_like(p)}

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class."""
        beta1, beta2 = map(float, group["betas"])
        lr = float(group["lr"])
        return {"weight1": 1 - beta1, "weight2": 1 - beta2, "neg_lr": -lr, "keep": 1 - lr * float(group["weight_decay"])}

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """See the class."""
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            p.mul_(s["keep"])
        m = state["exp_avg"]
        p.add_(m.lerp(grad, s["weight1"]).sign(), alpha=s["neg_lr"])
        m.lerp_(grad, s["weight2"])
