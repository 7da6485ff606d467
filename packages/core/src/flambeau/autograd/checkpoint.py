"""Checkpointing: recompute the inner values of a function in the backward pass instead of keeping them (Chen et al. 2016,
arXiv:1604.06174)."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from flambeau.autograd import engine
from flambeau.autograd.function import Function
from flambeau.autograd.graph import saved_tensors_hooks
from flambeau.autograd.modes import enable_grad, mode
from flambeau.autograd.saved import Packed, pack
from flambeau.base.errors import ArgumentError, FlambeauError, GradientError, explain
from flambeau.ops.random import default_generator
from flambeau.primitives.value import Value

Contexts = Callable[[], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]]


class CheckpointError(FlambeauError, RuntimeError):
    """The recomputation of a checkpoint was not what the forward pass was."""


def _no_contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    return nullcontext(), nullcontext()


class _EnoughRecomputed(Exception):
    """Ends a recomputation that has given all that the forward pass had saved."""


@contextmanager
def _same_random_numbers(state: Any) -> Iterator[None]:
    """Draw from the default generator as it was, and leave it as it is."""
    if state is None:
        yield
        return
    now = default_generator.get_state()
    default_generator.set_state(state)
    try:
        yield
    finally:
        default_generator.set_state(now)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Contexts = _no_contexts,
    determinism_check: str = "default",
    preserve_rng_state: bool = True,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, keeping only its inputs for the backward pass, which runs the function again.

    `use_reentrant=False` (better, but PyTorch's default is True with a warning when left out) recomputes what nodes saved: it supports
    keyword arguments, `autograd.grad`, nesting, and inputs that do not require grad. With True the whole function is one node.
    `preserve_rng_state` repeats the random numbers. The rest is for `use_reentrant=False`: `context_fn()` returns two context managers, for
    the forward pass and for the recomputation; `determinism_check` "default" compares shapes and dtypes of what is saved, "none" nothing;
    `early_stop` ends the recomputation as soon as all is there.

    >>> import flambeau as fb
    >>> from flambeau.utils.checkpoint import checkpoint
    >>> x = fb.zeros(2, requires_grad=True)
    >>> checkpoint(lambda x: x.exp().sin(), x, use_reentrant=False).sum().backward()
    >>> x.grad
    tensor([0.5403, 0.5403])
    """
    if determinism_check not in ("default", "none"):
        raise ArgumentError(explain("checkpoint", expected="determinism_check 'default' or 'none'", got=repr(determinism_check)))
    if use_reentrant is None:
        warnings.warn("checkpoint: use_reentrant is True when left out; pass it. use_reentrant=False is recommended.", stacklevel=2)
        use_reentrant = True
    state = default_generator.get_state() if preserve_rng_state else None
    if use_reentrant:
        if kwargs:
            hint = "use_reentrant=False"
            raise ArgumentError(explain("checkpoint", expected="positional arguments only", got=", ".join(kwargs), hint=hint))
        if context_fn is not _no_contexts:
            raise ArgumentError(explain("checkpoint", expected="context_fn with use_reentrant=False only", got="use_reentrant=True"))
        if mode.grad and not any(isinstance(x, Value) and x._node is not None for x in args):
            warnings.warn("checkpoint: none of the inputs requires grad, so no gradient flows with use_reentrant=True.", stacklevel=2)
        return _Reentrant.apply(function, state, *args)
    forward, again = context_fn()
    if not mode.grad:
        with forward:
            return function(*args, **kwargs)
    frame = _Frame(function, args, kwargs, state, again, (determinism_check, early_stop))
    with saved_tensors_hooks(frame.pack, frame.unpack), forward:
        return function(*args, **kwargs)


class _Place:
    """Stands for the value that a node would have saved; holds it again from the recomputation until the node drops it."""

    __slots__ = ("__weakref__", "kind", "number", "task", "value")

    def __init__(self, number: int, kind: Any) -> None:
        self.number, self.kind = number, kind
        self.task: int | None = None  # the backward pass for which the value was recomputed
        self.value: Any = None


class _Frame:
    """A checkpointed call: the places of its saved values, and how to compute them again."""

    def __init__(self, function: Any, args: Any, kwargs: Any, state: Any, context: Any, options: tuple[str, bool]) -> None:
        # inputs go through the hooks outside, so that a checkpoint around this one keeps its own inputs only
        self.function, self.state, self.context = function, state, context
        self.args = [_Input(x) for x in args]
        self.kwargs = {name: _Input(x) for name, x in kwargs.items()}
        self.check, self.early_stop = options
        self.places: list[weakref.ref[_Place]] = []

    def pack(self, x: Any) -> _Place:
        """Forget the value and remember that there was one."""
        place = _Place(len(self.places), _kind(x))
        self.places.append(weakref.ref(place))
        return place

    def unpack(self, place: _Place) -> Any:
        """The value; the first to be asked for in a backward pass brings all of them back."""
        task = None if mode.task is None else mode.task.number
        if place.value is None or place.task != task or task is None:
            self._recompute(task)
            if place.value is None:
                got = "fewer saved values than in the forward pass"
                raise CheckpointError(explain("checkpoint", expected="a function that does the same again", got=got))
        return place.value

    def _recompute(self, task: int | None) -> None:
        taken = 0

        def keep(x: Any) -> None:
            nonlocal taken
            self._compare(taken, x)
            place = self.places[taken]() if taken < len(self.places) else None
            if place is not None:
                place.value, place.task = x, task
            taken += 1
            if self.early_stop and taken == len(self.places):
                raise _EnoughRecomputed

        with _same_random_numbers(self.state), enable_grad(), saved_tensors_hooks(keep, _gone), self.context:
            try:
                self.function(*[x.restore() for x in self.args], **{name: x.restore() for name, x in self.kwargs.items()})
            except _EnoughRecomputed:
                return
        if taken != len(self.places) and self.check == "default":
            got = f"{taken} values saved by the recomputation, {len(self.places)} by the forward pass"
            raise CheckpointError(explain("checkpoint", expected="a function that does the same again", got=got))

    def _compare(self, number: int, x: Any) -> None:
        place = self.places[number]() if number < len(self.places) else None
        if self.check == "default" and place is not None and place.kind != _kind(x):
            got = f"saved value {number} of {_text(_kind(x))}, which was of {_text(place.kind)} in the forward pass"
            raise CheckpointError(explain("checkpoint", expected="a function that does the same again", got=got))


class _Input:
    """An argument of a checkpointed call."""

    __slots__ = ("_node", "_x")

    def __init__(self, x: Any) -> None:
        self._x = pack(x)
        self._node = x._node if isinstance(x, Value) else None

    def restore(self) -> Any:
        """The argument as it was."""
        return self._x.restore(self._node) if type(self._x) is Packed else self._x


def _kind(x: Any) -> tuple[Any, Any, Any]:
    return x._a.shape, x._a.dtype, x.device


def _text(kind: tuple[Any, Any, Any]) -> str:
    return f"shape {tuple(kind[0])}, {kind[1]} on {kind[2]}"


def _gone(x: Any) -> Any:
    raise CheckpointError(explain("checkpoint", expected="a backward pass through the forward pass", got="one through a recomputation"))


class _Reentrant(Function):
    """The whole function as one node, whose backward runs it again and sends the gradients through."""

    @staticmethod
    def forward(ctx: Any, function: Any, state: Any, *args: Any) -> Any:
        ctx.function, ctx.state = function, state
        ctx.rest = [None if isinstance(x, Value) else x for x in args]
        ctx.places = [i for i, x in enumerate(args) if isinstance(x, Value)]
        ctx.save_for_backward(*[args[i] for i in ctx.places])
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if mode.task.needed is not None:
            hint = "use_reentrant=False"
            got = "autograd.grad, or backward(inputs=...)"
            raise GradientError(explain("checkpoint", expected="backward() without inputs where use_reentrant is True", got=got, hint=hint))
        args = list(ctx.rest)
        for i, x in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[i] = x.detach().requires_grad_(x.requires_grad)
        with _same_random_numbers(ctx.state), enable_grad():
            out = ctx.function(*args)
        outs = out if isinstance(out, tuple) else (out,)
        pairs = [(o, g) for o, g in zip(outs, grads, strict=True) if isinstance(o, Value) and o._node is not None]
        if not pairs:
            raise GradientError(explain("checkpoint", expected="an output that requires grad", got="none: this checkpoint is not needed"))
        engine.backward([o for o, _ in pairs], [g for _, g in pairs])
        return None, None, *[getattr(x, "grad", None) for x in args]


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True
) -> Any:
    """Run a list of functions (or an `nn.Sequential`) in `segments` parts, all but the last checkpointed.

    >>> import flambeau as fb
    >>> from flambeau.utils.checkpoint import checkpoint_sequential
    >>> x = fb.ones(1, requires_grad=True)
    >>> checkpoint_sequential([fb.exp, fb.log, fb.sin], 2, x, use_reentrant=False)
    tensor([0.8415], grad_fn=<SinBackward>)
    """
    parts = list(functions)
    if not 1 <= segments <= len(parts):
        raise ArgumentError(explain("checkpoint_sequential", expected=f"1 to {len(parts)} segments", got=str(segments)))

    def run(first: int, last: int) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for function in parts[first:last]:
                x = function(x)
            return x

        return forward

    step = len(parts) // segments
    start = 0
    for _ in range(segments - 1):
        options: dict[str, Any] = {"use_reentrant": use_reentrant, "preserve_rng_state": preserve_rng_state}
        input = checkpoint(run(start, start + step), input, **options)
        start += step
    return run(start, len(parts))(input)
