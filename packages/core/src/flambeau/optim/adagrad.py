"""Adagrad."""

from __future__ import annotations

from typing import Any

from flambeau.optim.checks import at_least
from flambeau.optim.groups import Group, Params
from flambeau.optim.optimizer import Optimizer, Scalars, count, descent
from flambeau.optim.state import State, counter
from flambeau.tensor.creation import full_like
from flambeau.tensor.tensor import Tensor


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares (Duchi, Hazan and Singer 2011, JMLR 12).

        v = v + g**2                               with g = grad + weight_decay * p, v = initial_accumulator_value at first
        p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(v) + eps)

    The state exists from the start, as in PyTorch; `share_memory` lets processes train together.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = fb.optim.Adagrad([w], lr=0.5)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.5000, -1.5000])
    """

    by_counters = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = dict(lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay, initial_accumulator_value=initial_accumulator_value)
        super().__init__(params, {**options, "foreach": foreach, "maximize": maximize, "differentiable": differentiable, "fused": fused})
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = self.init_one(group, p)

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("Adagrad", 0.0, group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def init_one(self, group: Group, p: Tensor) -> State:
        """The sum of squares."""
        start = float(group["initial_accumulator_value"])
        return {"step": counter(), "sum": full_like(p, complex(start, start) if p.is_complex() else start)}

    def share_memory(self) -> None:
        """Move the sums to memory that child processes share."""
        for state in self.state.values():
            state["sum"].share_memory_()

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class."""
        step = count(state)
        return {
            "neg_step_size": -(float(group["lr"]) / (1 + (step - 1) * float(group["lr_decay"]))),
            "eps": float(group["eps"]),
            "weight_decay": float(group["weight_decay"]),
        }

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """See the class."""
        grad = descent(group, p, grad, s)
        total = state["sum"].addcmul_(grad, grad)
        p.addcdiv_(grad, total.sqrt() + s["eps"], value=s["neg_step_size"])
