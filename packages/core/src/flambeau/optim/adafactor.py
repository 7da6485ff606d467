"""Adafactor."""

from __future__ import annotations

from typing import Any

from flambeau.base.dtypes import finfo
from flambeau.base.errors import ArgumentError, explain
from flambeau.optim.checks import at_least, number, real
from flambeau.optim.groups import Group, Params
from flambeau.optim.optimizer import Optimizer, Scalars, count
from flambeau.optim.state import State, counter
from flambeau.tensor.creation import zeros, zeros_like
from flambeau.tensor.tensor import Tensor


class Adafactor(Optimizer):
    """Adam's second moments kept as one row and one column a matrix (Shazeer and Stern 2018, arXiv:1804.04235).

        rho = min(lr, 1 / sqrt(t))                 alpha = max(eps[1], rms(p)) * rho
        w = t**beta2_decay
        p = (1 - lr * weight_decay) * p
        r = r + w * (mean of grad**2 along the last axis - r)
        c = c + w * (mean of grad**2 along the axis before it - c)
        v = r @ c / max(mean(r), eps[0])           (a vector keeps v itself)
        u = grad / sqrt(max(v, eps[0]**2))
        p = p - alpha / max(1, rms(u) / d) * u

    `eps[0]` None means the machine epsilon of the dtype.

    >>> import flambeau as fb
    >>> w = fb.ones(30, 20, requires_grad=True)
    >>> optimizer = fb.optim.Adafactor([w])
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> sum(v.numel() for v in optimizer.state[w].values())
    51
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        options = dict(lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay)
        super().__init__(params, {**options, "foreach": foreach, "maximize": maximize})

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("Adafactor", 0.0, group, "lr", "weight_decay")
        at_least("Adafactor", 1.0, group, "d")
        if not number("Adafactor", "beta2_decay", group["beta2_decay"]) <= 0:
            raise ArgumentError(explain("Adafactor", expected="beta2_decay <= 0", got=f"beta2_decay={group['beta2_decay']!r}", hint="-0.8"))
        eps = group["eps"]
        if not isinstance(eps, (tuple, list)) or len(eps) != 2 or not all(e is None or e >= 0 for e in eps) or eps[1] is None:
            raise ArgumentError(explain("Adafactor", expected="eps as a pair (number or None, number) >= 0", got=f"eps={eps!r}"))
        real("Adafactor", group["params"])

    def init_one(self, group: Group, p: Tensor) -> State:
        """One row and one column of second moments for the last two axes; vectors and numbers keep all of them."""
        if p.ndim < 2:
            return {"step": counter(), "variance": zeros_like(p)}
        lead = tuple(p.shape[:-2])
        place: dict[str, Any] = {"dtype": p.dtype, "device": p.device}
        return {
            "step": counter(),
            "row_var": zeros((*lead, p.shape[-2], 1), **place),
            "col_var": zeros((*lead, 1, p.shape[-1]), **place),
        }

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class."""
        step = count(state)
        lr = float(group["lr"])
        tiny, least = group["eps"]
        held = state["row_var"] if "row_var" in state else state["variance"]
        return {
            "weight": step ** float(group["beta2_decay"]),
            "neg_rho": -min(lr, 1 / step**0.5),
            "keep": 1 - lr * float(group["weight_decay"]),
            "tiny": finfo(held.dtype).eps if tiny is None else float(tiny),
            "least": float(least),
            "d": float(group["d"]),
        }

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """See the class."""
        if group["maximize"]:
            grad = -grad
        root = max(p.numel(), 1) ** 0.5
        alpha = (p.norm() / root).clamp(min=s["least"]) * s["neg_rho"]
        if group["weight_decay"] != 0:
            p.mul_(s["keep"])
        if p.ndim > 1:
            row, column = state["row_var"], state["col_var"]
            row.lerp_(grad.square().mean(-1, keepdim=True), s["weight"])
            column.lerp_(grad.square().mean(-2, keepdim=True), s["weight"])
            estimate = (row @ column) / row.mean(-2, keepdim=True).clamp(min=s["tiny"])
        else:
            estimate = state["variance"].lerp_(grad * grad, s["weight"])
        update = estimate.clamp(min=s["tiny"] ** 2).rsqrt() * grad
        clipped = (update.norm() / (root * s["d"])).clamp(min=1.0)
        p.add_(update * (alpha / clipped))
