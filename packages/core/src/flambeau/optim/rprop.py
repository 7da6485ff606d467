"""Rprop."""

from __future__ import annotations

from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.optim.checks import at_least
from flambeau.optim.groups import Group, Params
from flambeau.optim.optimizer import Optimizer, Scalars, count
from flambeau.optim.state import State, counter
from flambeau.tensor.creation import full_like, ones_like, zeros_like
from flambeau.tensor.tensor import Tensor


class Rprop(Optimizer):
    """Resilient backpropagation: steps from the signs of gradients alone (Riedmiller and Braun 1993, "A direct adaptive method ...").

    Each element has a step size, `lr` at first. It grows by etas[1] while the sign of its gradient stays and shrinks by etas[0] when the
    sign changes (that element rests for a step then), within `step_sizes`. For full batches.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = fb.optim.Rprop([w], lr=0.1)
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
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = dict(lr=lr, etas=etas, step_sizes=step_sizes, foreach=foreach)
        super().__init__(params, {**options, "maximize": maximize, "differentiable": differentiable, "capturable": capturable})

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("Rprop", 0.0, group, "lr")
        minus, plus = group["etas"]
        if not 0.0 < minus < 1.0 < plus:
            raise ArgumentError(explain("Rprop", expected="0 < etas[0] < 1 < etas[1]", got=f"etas={group['etas']!r}", hint="(0.5, 1.2)"))

    def init_one(self, group: Group, p: Tensor) -> State:
        """The last gradient, and the step size of each element."""
        lr = float(group["lr"])
        return {"step": counter(), "prev": zeros_like(p), "step_size": full_like(p, complex(lr, lr) if p.is_complex() else lr)}

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class."""
        count(state)
        (minus, plus), (low, high) = group["etas"], group["step_sizes"]
        return {"minus": float(minus), "plus": float(plus), "low": float(low), "high": float(high)}

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """See the class."""
        if group["maximize"]:
            grad = -grad
        previous, size = state["prev"], state["step_size"]
        agreement = grad * (previous.clone() if group["differentiable"] else previous)
        turned = agreement < 0
        factor = ones_like(grad).masked_fill(agreement > 0, s["plus"]).masked_fill(turned, s["minus"])
        size.copy_((size * factor).clamp(s["low"], s["high"]))
        grad = grad.masked_fill(turned, 0)
        p.addcmul_(grad.sign(), size, value=-1)
        previous.copy_(grad)
