"""Compiled steps whose very first call is machine code already.

`flambeau.compile` runs a function as it is at first, and captures it at the second call. Machine code rounds a little differently, so
that a run that was resumed, and begins again with such calls, would differ in its last digits from one without a break. A `Rehearsed` step
therefore makes these calls beforehand and takes back what they did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import flambeau
from flambeau import Tensor, is_grad_enabled, no_grad

_REHEARSALS = 2  # one that makes state that comes to be lazily, one that is captured


class Rehearsed:
    """A compiled function of tensors that changes known state only.

    Args:
        fn: the function; its arguments are tensors.
        state: gives the tensors that it changes in place. Those that a rehearsal makes (an optimizer's) begin at zero.
        generator: that it draws from.
    """

    def __init__(self, fn: Callable[..., Any], state: Callable[[], Iterable[Tensor]], generator: Any) -> None:
        self.compiled = flambeau.compile(fn)
        self.state, self.generator = state, generator
        self._known: set[Any] = set()

    def __call__(self, *args: Tensor) -> Any:
        key = (is_grad_enabled(), *[(x.shape, x.dtype) for x in args])
        if key not in self._known:
            self._rehearse(args)
            self._known.add(key)
        return self.compiled(*args)

    def _rehearse(self, args: tuple[Tensor, ...]) -> None:
        before = {id(x): (x, x.detach().clone()) for x in self.state()}
        random = self.generator.get_state()
        for _ in range(_REHEARSALS):
            self.compiled(*args)
        with no_grad():
            for x in self.state():
                if id(x) in before:
                    x.copy_(before[id(x)][1])
                else:
                    x.zero_()
        self.generator.set_state(random)


def tensors_of(parts: Iterable[Any]) -> Iterable[Tensor]:
    """The tensors that modules and optimizers among the parts of a checkpoint consist of."""
    for part in parts:
        if isinstance(part, flambeau.nn.Module):
            yield from part.parameters()
            yield from part.buffers()
        elif isinstance(part, flambeau.optim.Optimizer):
            for group in part.param_groups:
                yield from group["params"]
            for state in part.state.values():
                yield from (value for value in state.values() if isinstance(value, Tensor))
