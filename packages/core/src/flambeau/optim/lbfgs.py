"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.autograd.modes import enable_grad, no_grad
from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.ops.joining import cat
from flambeau.optim.checks import at_least
from flambeau.optim.groups import Group, Params
from flambeau.optim.line_search import Point, strong_wolfe
from flambeau.optim.optimizer import Optimizer
from flambeau.optim.state import State
from flambeau.primitives.movement import view_as_real
from flambeau.tensor.creation import zeros_like
from flambeau.tensor.tensor import Tensor


class LBFGS(Optimizer):
    """Limited-memory BFGS, a quasi-Newton method for full batches (Liu and Nocedal 1989, Mathematical Programming 45).

    `step(closure)` makes up to `max_iter` iterations with up to `max_eval` evaluations of the closure (1.25 * max_iter by default), which
    clears the gradients, computes the loss, calls backward and returns the loss. It stops early where the largest gradient is at most
    `tolerance_grad` or a step or a change of the loss is below `tolerance_change`. The last `history_size` steps approximate the Hessian.
    `line_search_fn` "strong_wolfe" searches along each direction, None takes steps of length `lr`. All parameters are in one group.

    >>> import flambeau as fb
    >>> w = fb.tensor([-1.2, 1.0], requires_grad=True)
    >>> optimizer = fb.optim.LBFGS([w], max_iter=60, line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item() > 20
    True
    >>> bool(closure() < 1e-6)
    True
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        options = dict(lr=lr, max_iter=max_iter, max_eval=max(1, max_iter * 5 // 4) if max_eval is None else max_eval)
        limits = dict(tolerance_grad=tolerance_grad, tolerance_change=tolerance_change, history_size=history_size)
        super().__init__(params, {**options, **limits, "line_search_fn": line_search_fn})

    def check(self, group: Group) -> None:
        """See the base class."""
        at_least("LBFGS", 0.0, group, "lr")
        at_least("LBFGS", 1, group, "max_iter", "max_eval", "history_size")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ArgumentError(explain("LBFGS", expected="line_search_fn None or 'strong_wolfe'", got=repr(group["line_search_fn"])))
        if self.param_groups:
            hint = "one list with all parameters"
            raise ArgumentError(explain("LBFGS", expected="one parameter group", got="a second one", hint=hint))

    # -- parameters as one vector --------------------------------------------------------------------------------------------------------
    def _flat_grad(self) -> Any:
        grads = [zeros_like(p) if p.grad is None else p.grad.detach() for p in self.param_groups[0]["params"]]
        return cat([(view_as_real(g) if g.is_complex() else g).reshape(-1) for g in grads])

    def _move(self, t: float, direction: Any) -> None:
        start = 0
        for p in self.param_groups[0]["params"]:
            real = view_as_real(p) if p.is_complex() else p
            end = start + real.numel()
            real.add_(direction[start:end].reshape(real.shape), alpha=t)
            start = end

    # -- a step --------------------------------------------------------------------------------------------------------------------------
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Iterate; returns the loss at the start. `closure` clears gradients, computes the loss, calls backward and returns it."""
        if closure is None:
            hint = "optimizer.step(closure), where closure() clears gradients, computes the loss, calls backward and returns the loss"
            raise ArgumentTypeError(explain("LBFGS.step", expected="a closure", got="none", hint=hint))
        with no_grad():
            return self._iterate(enable_grad()(closure), self.param_groups[0])

    def _iterate(self, closure: Callable[[], Any], group: Group) -> Any:
        state = self.state[group["params"][0]]  # PyTorch keeps it there too, so that it is cast with the parameter
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = closure()
        point = Point(0.0, float(first), self._flat_grad(), 0.0)
        state["func_evals"] += 1
        evaluations, iterations = 1, 0
        if _largest(point.g) <= group["tolerance_grad"]:
            return first
        while True:
            iterations += 1
            direction = self._direction(state, point.g, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = point.g, point.f
            lr = float(group["lr"])
            t = min(1.0, 1.0 / point.g.abs().sum().item()) * lr if state["n_iter"] == 1 else lr
            state["d"], state["t"] = direction, t
            slope = point.g.dot(direction).item()
            if slope > -group["tolerance_change"]:
                break
            start = Point(0.0, point.f, point.g, slope)
            last = iterations == group["max_iter"]
            point, used = self._along(closure, start, t, direction, group["max_eval"] - evaluations, last)
            state["t"] = point.t
            evaluations += used
            state["func_evals"] += used
            if last or evaluations >= group["max_eval"] or _largest(point.g) <= group["tolerance_grad"]:
                break
            if _largest(direction) * abs(point.t) <= group["tolerance_change"] or abs(point.f - start.f) < group["tolerance_change"]:
                break
        return first

    def _along(self, closure: Callable[[], Any], start: Point, t: float, direction: Any, budget: int, last: bool) -> tuple[Point, int]:
        """Move along the direction: the point reached, and the evaluations it took."""
        group = self.param_groups[0]
        if group["line_search_fn"] is None:
            self._move(t, direction)
            if last:  # the value after the last iteration is of no use
                return Point(t, start.f, start.g, start.slope), 0
            return Point(t, float(closure()), self._flat_grad(), 0.0), 1
        origin = [p.clone() for p in group["params"]]

        def evaluate(length: float) -> Point:
            self._move(length, direction)
            value, g = float(closure()), self._flat_grad()
            for p, before in zip(group["params"], origin, strict=True):
                p.copy_(before)
            return Point(length, value, g, g.dot(direction).item())

        size, tolerance = _largest(direction), group["tolerance_change"]
        point, used = strong_wolfe(evaluate, start, t, size, tolerance=tolerance, limit=budget)
        self._move(point.t, direction)
        return point, used

    def _direction(self, state: State, g: Any, history: int) -> Any:
        """The direction -H g, with H from the last steps by the two-loop recursion (Nocedal 1980)."""
        state["n_iter"] += 1
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -g
        changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = g - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = y.dot(s).item()
        if curvature > 1e-10:
            if len(changes) == history:
                for memory in (changes, steps, ro):
                    memory.pop(0)
            changes.append(y)
            steps.append(s)
            ro.append(1.0 / curvature)
            state["H_diag"] = curvature / y.dot(y).item()
        q, weights = -g, [0.0] * len(changes)
        for i in range(len(changes) - 1, -1, -1):
            weights[i] = steps[i].dot(q).item() * float(ro[i])
            q.add_(changes[i], alpha=-weights[i])
        q.mul_(float(state["H_diag"]))
        for i in range(len(changes)):
            q.add_(steps[i], alpha=weights[i] - changes[i].dot(q).item() * float(ro[i]))
        return q


def _largest(x: Any) -> float:
    return x.abs().max().item() if x.numel() else 0.0
