"""`GradScaler`: a loss is multiplied by a large number, so that gradients in float16 do not vanish; `torch.amp.GradScaler`.

Micikevicius et al. 2018, "Mixed Precision Training".
"""

from __future__ import annotations

from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.dtypes import float16
from flambeau.base.errors import ArgumentError, ArgumentTypeError, GradientError, explain
from flambeau.primitives.bind import state
from flambeau.tensor.creation import tensor
from flambeau.tensor.tensor import Tensor

_READY, _UNSCALED, _STEPPED = "ready", "unscaled", "stepped"


class GradScaler:
    """Scales losses, takes the scale off gradients, and skips steps whose gradients are not finite.

    Args:
        device: the type of device that gradients are on (any works).
        init_scale: the first scale.
        growth_factor, growth_interval: after so many good steps in a row the scale is multiplied by the factor.
        backoff_factor: what a bad step multiplies the scale by.
        enabled: False makes everything pass through.

    >>> import flambeau as fb
    >>> w = fb.nn.Parameter(fb.ones(2))
    >>> optimizer, scaler = fb.optim.SGD([w], lr=0.5), GradScaler("cpu", init_scale=8.0)
    >>> scaler.scale((w * w).sum()).backward()
    >>> w.grad
    tensor([16., 16.])
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> w.tolist(), scaler.get_scale()
    ([0.0, 0.0], 8.0)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and not growth_factor > 1.0:
            raise ArgumentError(explain("GradScaler", expected="a growth_factor above 1", got=repr(growth_factor)))
        if enabled and not 0.0 < backoff_factor < 1.0:
            raise ArgumentError(explain("GradScaler", expected="a backoff_factor between 0 and 1", got=repr(backoff_factor)))
        self._device, self._enabled = device, enabled
        self._scale = float(init_scale)
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._good = growth_interval, 0
        self._states: dict[int, tuple[Any, str, bool]] = {}  # id of an optimizer -> it, what was done, whether all was finite

    def is_enabled(self) -> bool:
        """Whether it does anything."""
        return self._enabled

    def scale(self, outputs: Any) -> Any:
        """A tensor, or tensors in lists and tuples, multiplied by the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if state.interceptor is not None:
                state.interceptor.guard(lambda: self._scale, "the scale of a GradScaler")
            return outputs * tensor(self._scale, device=outputs.device)  # a tensor: half precision times it is as PyTorch's
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(x) for x in outputs)
        raise ArgumentTypeError(explain("GradScaler.scale", expected="a tensor or a list of them", got=f"a {type(outputs).__name__}"))

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the scale; for clipping before `step`. Once between two updates."""
        if not self._enabled:
            return
        done = self._done(optimizer)
        if done != _READY:
            got = "a second call since update()" if done == _UNSCALED else "a call after step()"
            raise GradientError(explain("GradScaler.unscale_", expected="one call for each step, before it", got=got))
        self._unscale(optimizer, allow_half=False)

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(...)`, unless a gradient is not finite; its result, or None."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise ArgumentError(explain("GradScaler.step", expected="a step without closure", got="a closure"))
        done = self._done(optimizer)
        if done == _STEPPED:
            raise GradientError(explain("GradScaler.step", expected="update() after each step", got="a second step"))
        if done == _READY:
            self._unscale(optimizer, allow_half=True)
        finite = self._states[id(optimizer)][2]
        result = optimizer.step(*args, **kwargs) if finite else None
        self._states[id(optimizer)] = optimizer, _STEPPED, finite
        return result

    def update(self, new_scale: Any = None) -> None:
        """Choose the scale for the next step: smaller after gradients that were not finite, larger after many good steps."""
        if not self._enabled:
            return
        _outside_of_programs(None)
        if new_scale is not None:
            self._scale = float(new_scale)
        else:
            if not self._states:
                raise GradientError(explain("GradScaler.update", expected="a step before", got="none", hint="scaler.step(optimizer)"))
            self._adapt(all(finite for _, _, finite in self._states.values()))
        self._states.clear()

    def _adapt(self, finite: bool) -> None:
        if not finite:
            self._scale *= self._backoff_factor
            self._good = 0
            return
        self._good += 1
        if self._good == self._growth_interval:
            grown = self._scale * self._growth_factor
            self._scale, self._good = (grown if grown < float("inf") else self._scale), 0

    def _done(self, optimizer: Any) -> str:
        state = self._states.get(id(optimizer))
        return _READY if state is None else state[1]

    def _unscale(self, optimizer: Any, allow_half: bool) -> None:
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not grads:
            raise GradientError(
                explain("GradScaler", expected="parameters with gradients", got="none", hint="scaler.scale(loss).backward()")
            )
        _outside_of_programs(grads[0])
        finite = True
        with no_grad():
            for g in grads:
                if g.dtype is float16 and not allow_half:
                    raise ArgumentError(explain("GradScaler", expected="parameters in float32", got="gradients in float16"))
                g.mul_(1.0 / self._scale)
                finite = finite and bool(g.isfinite().all())
        self._states[id(optimizer)] = optimizer, _UNSCALED, finite

    # -- settings -------------------------------------------------------------------------------------------------------------------------
    def get_scale(self) -> float:
        """The scale; 1 if not enabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale grows by."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale grows by."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale shrinks by."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale shrinks by."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many good steps the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many good steps the scale grows."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """Its state, with PyTorch's keys; empty if not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state."""
        if not self._enabled:
            return
        if not state_dict:
            raise ArgumentError(explain("GradScaler.load_state_dict", expected="the state of one that was enabled", got="an empty state"))
        self._scale = float(state_dict["scale"])
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval, self._good = state_dict["growth_interval"], state_dict["_growth_tracker"]


def _outside_of_programs(x: Any) -> None:
    """What a scaler notes down belongs to Python, so that a function that steps it runs as it is."""
    if state.interceptor is not None:
        state.interceptor.observe(tensor(0.0) if x is None else x, "the bookkeeping of a GradScaler with a value")
