"""Muon."""

from __future__ import annotations

from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.optim.checks import at_least, real
from flambeau.optim.groups import Group, Params
from flambeau.optim.optimizer import Optimizer, Scalars
from flambeau.optim.state import State
from flambeau.tensor.creation import zeros_like
from flambeau.tensor.tensor import Tensor

_RATIOS = (None, "original", "match_rms_adamw")


class Muon(Optimizer):
    """Momentum made nearly orthogonal, for the matrices of hidden layers (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

        b = momentum * b + (1 - momentum) * grad
        u = (1 - momentum) * grad + momentum * b  if nesterov else  b
        p = (1 - lr * weight_decay) * p - lr * ratio * orthogonal(u)

    `orthogonal` replaces the singular values of a matrix by numbers near 1: `ns_steps` steps of a quintic Newton-Schulz iteration with
    `ns_coefficients`, in bfloat16. `adjust_lr_fn` sets the ratio for a (rows, columns) matrix: "original" (also None) gives
    sqrt(max(1, rows / columns)), "match_rms_adamw" gives 0.2 * sqrt(max(rows, columns)) (Liu et al. 2025, arXiv:2502.16982), so that
    learning rates and weight decays of AdamW carry over. Vectors and embeddings belong to another optimizer, e.g. AdamW.

    >>> import flambeau as fb
    >>> w = fb.ones(2, 3, requires_grad=True)
    >>> optimizer = fb.optim.Muon([w], lr=0.1)
    >>> (w**2).sum().backward()
    >>> optimizer.step()
    >>> bool((w < 1).all())
    True
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        options = dict(lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov, ns_coefficients=ns_coefficients)
        super().__init__(params, {**options, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn})

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("Muon", 0.0, group, "lr", "momentum", "weight_decay")
        if group["adjust_lr_fn"] not in _RATIOS:
            raise ArgumentError(explain("Muon", expected=f"adjust_lr_fn to be one of {_RATIOS}", got=repr(group["adjust_lr_fn"])))
        if not 0 <= group["ns_steps"] < 100 or len(group["ns_coefficients"]) != 3:
            got = f"ns_steps={group['ns_steps']!r} and ns_coefficients={group['ns_coefficients']!r}"
            raise ArgumentError(explain("Muon", expected="0 <= ns_steps < 100 and three ns_coefficients", got=got))
        real("Muon", group["params"])
        for p in group["params"]:
            if p.ndim != 2:
                hint = "give vectors, embeddings and convolutions to AdamW"
                raise ArgumentError(explain("Muon", expected="matrices as parameters", got=f"shape {tuple(p.shape)}", hint=hint))

    def init_one(self, group: Group, p: Tensor) -> State:
        """The momentum."""
        return {"momentum_buffer": zeros_like(p)}

    def scalars(self, group: Group, state: State) -> Scalars:
        """See the base class."""
        lr, momentum = float(group["lr"]), float(group["momentum"])
        rows, columns = state["momentum_buffer"].shape
        ratio = 0.2 * max(rows, columns) ** 0.5 if group["adjust_lr_fn"] == "match_rms_adamw" else max(1, rows / columns) ** 0.5
        return {
            "weight": 1 - momentum,
            "momentum": momentum,
            "keep": 1 - lr * float(group["weight_decay"]),
            "neg_lr": -lr * ratio,
            "eps": float(group["eps"]),
        }

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """See the class."""
        buffer = state["momentum_buffer"]
        buffer.lerp_(grad, s["weight"])
        update = grad.lerp(buffer, s["momentum"]) if group["nesterov"] else buffer
        update = orthogonal(update, group["ns_coefficients"], group["ns_steps"], s["eps"])
        p.mul_(s["keep"]).add_(update.to(p.dtype), alpha=s["neg_lr"])


def orthogonal(x: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """The matrix with the singular vectors of x and singular values near 1, in bfloat16.

    The odd polynomial a * s + b * s**3 + c * s**5 is applied to the singular values again and again, by products alone.
    """
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    x = x.bfloat16()
    if tall:
        x = x.T
    x = x / x.norm().clamp(min=eps)  # the Frobenius norm bounds the largest singular value
    for _ in range(steps):
        gram = x @ x.T
        x = x.addmm(gram.addmm(gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
