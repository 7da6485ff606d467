"""The contract of an optimizer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flambeau.nn.parameter import Parameter
from flambeau.tensor.creation import tensor, zeros
from flambeau.testing.compare import assert_close
from flambeau.testing.layer_case import Checks

_TARGET = ((1.0, -2.0, 0.5), (3.0, 0.0, -1.0))


@dataclass(frozen=True)
class OptimizerCase:
    """What is known about an optimizer.

    Args:
        name: how it is called in messages.
        make: builds it for parameters (or parameter groups).
        steps, lowers: within so many steps it brings the loss of a small quadratic problem below that fraction of its start.
        closure: whether `step` needs a function that computes the loss.
        vectors: whether it takes parameters that are no matrices.
        errors: bad hyper-parameters, as (function without arguments, exception type, pattern of its message).
        skip: names of checks that make no sense for it, each with the reason.

    >>> import flambeau as fb
    >>> from flambeau.testing import check
    >>> check(OptimizerCase("sgd", lambda params: fb.optim.SGD(params, lr=0.1, momentum=0.5)))
    """

    name: str
    make: Callable[[Any], Any]
    steps: int = 60
    lowers: float = 0.5
    closure: bool = False
    vectors: bool = True
    errors: Sequence[tuple[Callable[[], Any], type[BaseException], str]] = ()
    skip: dict[str, str] = field(default_factory=dict)

    def checks(self, device: str) -> Checks:
        """All that apply on a device."""
        if device.partition(":")[0] != "cpu":
            return [("device", lambda: self.on_device(device))]
        names = ("descent", "resumption", "absent_gradients", "groups", "clearing", "closures", "refusals")
        return [(n, getattr(self, n)) for n in names if n not in self.skip]

    # -- the problem ----------------------------------------------------------------------------------------------------------------------
    def _parameters(self, device: Any = "cpu") -> list[Any]:
        return [Parameter(zeros(2, 3, device=device)), Parameter(zeros(*self._second(), device=device) + 0.5)]

    def _second(self) -> tuple[int, ...]:
        return (3,) if self.vectors else (1, 3)

    def _loss(self, parameters: list[Any]) -> Any:
        matrix, vector = parameters
        target = tensor(_TARGET, device=matrix.device)
        return (matrix - target).square().sum() + (vector * (1 + target[0].abs())).square().sum()

    def _step(self, optimizer: Any, parameters: list[Any]) -> Any:
        def evaluate() -> Any:
            optimizer.zero_grad()
            loss = self._loss(parameters)
            loss.backward()
            return loss

        if self.closure:
            return optimizer.step(evaluate)
        evaluate()
        return optimizer.step()

    # -- checks ---------------------------------------------------------------------------------------------------------------------------
    def descent(self) -> None:
        """It lowers a loss."""
        parameters = self._parameters()
        optimizer = self.make(parameters)
        first = float(self._loss(parameters))
        for _ in range(self.steps):
            self._step(optimizer, parameters)
        last = float(self._loss(parameters))
        assert last < first * self.lowers, f"the loss went from {first:.3g} to {last:.3g} in {self.steps} steps"

    def resumption(self) -> None:
        """A run that is saved and loaded goes on bit for bit."""
        parameters = self._parameters()
        optimizer = self.make(parameters)
        for _ in range(3):
            self._step(optimizer, parameters)
        others = [Parameter(p.detach().clone()) for p in parameters]
        resumed = self.make(others)
        resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        for _ in range(3):
            self._step(optimizer, parameters)
            self._step(resumed, others)
        assert_close([p.detach() for p in others], [p.detach() for p in parameters], rtol=0, atol=0)

    def absent_gradients(self) -> None:
        """A parameter without a gradient stays as it is."""
        used, unused = (Parameter(zeros(*self._second()) + 1) for _ in range(2))
        optimizer = self.make([used, unused])

        def evaluate() -> Any:
            optimizer.zero_grad()
            loss = used.square().sum()
            loss.backward()
            return loss

        optimizer.step(evaluate) if self.closure else (evaluate(), optimizer.step())
        assert_close(unused.detach(), zeros(*self._second()) + 1, rtol=0, atol=0)
        assert not bool((used.detach() == 1).all()), "a parameter with a gradient was not changed"

    def groups(self) -> None:
        """Parameter groups have own options, and may be added later."""
        first, second = self._parameters()
        optimizer = self.make([{"params": [first]}])
        optimizer.add_param_group({"params": [second], "lr": 0.0})
        assert len(optimizer.param_groups) == 2
        self._step(optimizer, [first, second])
        assert_close(second.detach(), zeros(*self._second()) + 0.5, rtol=0, atol=0, msg=lambda m: f"a group with lr=0 was changed: {m}")
        assert not bool((first.detach() == 0).all())

    def clearing(self) -> None:
        """`zero_grad` removes gradients, or sets them to 0."""
        parameters = self._parameters()
        optimizer = self.make(parameters)
        self._loss(parameters).backward()
        optimizer.zero_grad(set_to_none=False)
        assert all(p.grad is not None and not bool(p.grad.any()) for p in parameters)
        optimizer.zero_grad()
        assert all(p.grad is None for p in parameters)

    def closures(self) -> None:
        """`step(closure)` calls it with gradients on and returns its loss."""
        parameters = self._parameters()
        optimizer = self.make(parameters)

        def evaluate() -> Any:
            optimizer.zero_grad()
            loss = self._loss(parameters)
            loss.backward()
            return loss

        expected = float(self._loss(parameters))
        assert abs(float(optimizer.step(evaluate)) - expected) < 1e-5 * max(1.0, expected)

    def refusals(self) -> None:
        """Bad hyper-parameters are refused with the promised message."""
        import re

        for call, kind, pattern in self.errors:
            message = None
            try:
                call()
            except kind as error:
                message = str(error)
            assert message is not None, f"a bad hyper-parameter was accepted (expected {kind.__name__}: {pattern})"
            assert re.search(pattern, message), f"message {message!r} without {pattern!r}"

    def on_device(self, device: str) -> None:
        """On a device it takes the CPU's steps."""
        here, there = self._parameters(), self._parameters(device)
        for parameters in (here, there):
            optimizer = self.make(parameters)
            for _ in range(5):
                self._step(optimizer, parameters)
        assert_close([p.detach().cpu() for p in there], [p.detach() for p in here], rtol=1e-4, atol=1e-5)
