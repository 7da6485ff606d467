"""Hooks on modules: before and after forward, on the gradients that enter and leave. `Module` builds on this class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flambeau.autograd.hooks import RemovableHandle, put
from flambeau.autograd.modes import mode
from flambeau.autograd.node import Node, Pick, _next, merge_parts
from flambeau.base.errors import ArgumentError, explain
from flambeau.primitives.value import storage_of
from flambeau.tensor.tensor import Tensor, wrap


class Hook(NamedTuple):
    """A forward hook with how it is called."""

    call: Callable[..., Any]
    with_kwargs: bool = False
    always: bool = False


def add(table: dict[int, Any], hook: Any, prepend: bool = False) -> RemovableHandle:
    """Add a hook to a table, last or first."""
    before = dict(table) if prepend else {}
    if prepend:
        table.clear()
    handle = put(table, hook)
    table.update(before)
    return handle


class Hooked:
    """The hooks of a module and the call that runs them."""

    _forward_pre_hooks: dict[int, Hook]
    _forward_hooks: dict[int, Hook]
    _backward_pre_hooks: dict[int, Any]
    _backward_hooks: dict[int, Any]
    forward: Callable[..., Any]

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """Call `hook(module, args)` before forward; what it returns (if not None) replaces the positional arguments.

        With `with_kwargs=True` it is `hook(module, args, kwargs)`, which returns None or both.
        """
        return add(self._forward_pre_hooks, Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; what it returns (if not None) replaces the output.

        With `with_kwargs=True` it is `hook(module, args, kwargs, output)`. `always_call=True` calls it even when forward
        raises (the output is None then).

        >>> import flambeau as fb
        >>> layer = fb.nn.Identity()
        >>> with layer.register_forward_hook(lambda module, args, output: output + 1):
        ...     layer(fb.tensor(1))
        tensor(2)
        """
        return add(self._forward_hooks, Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradients of the output are known; a tuple it returns replaces them."""
        return add(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are known; a tuple returned replaces `grad_input`.

        Both are tuples with an entry per positional argument or output, None for those without gradient.
        """
        return add(self._backward_hooks, hook, prepend)

    def _call_hooked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Forward with its hooks."""
        pending = dict(self._forward_hooks)
        output = None
        try:
            args, kwargs = self._before(args, kwargs)
            backward = None
            if self._backward_hooks or self._backward_pre_hooks:
                backward = BackwardCall(self)
                args = backward.watch_inputs(args)
            output = self.forward(*args, **kwargs)
            for key, hook in self._forward_hooks.items():
                pending.pop(key)
                output = self._after(hook, args, kwargs, output)
            return output if backward is None else backward.watch_outputs(output)
        except Exception:
            for hook in pending.values():
                if hook.always:
                    self._after(hook, args, kwargs, output)
            raise

    def _before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for hook in list(self._forward_pre_hooks.values()):
            if not hook.with_kwargs:
                result = hook.call(self, args)
                if result is not None:
                    args = result if isinstance(result, tuple) else (result,)
                continue
            result = hook.call(self, args, kwargs)
            if result is not None:
                if not isinstance(result, tuple) or len(result) != 2:
                    raise ArgumentError(explain("forward pre-hook", expected="None or a tuple (args, kwargs)", got=repr(result)[:80]))
                args, kwargs = result
        return args, kwargs

    def _after(self, hook: Hook, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        result = hook.call(self, args, kwargs, output) if hook.with_kwargs else hook.call(self, args, output)
        return output if result is None else result


class Boundary(Node):
    """A node that passes gradients on and shows them to a function, which may replace them."""

    __slots__ = ("outputs", "seen")

    def __init__(self, tensors: list[Tensor], seen: Callable[[list[Any]], list[Any]]) -> None:
        self.parents, self.hooks, self.trace = tuple(t._node for t in tensors), None, None
        self.seq = _next()
        self.outputs = [(t._a.shape, t._a.dtype) for t in tensors]
        self.seen = seen

    def apply(self, g: Any, needed: Any) -> Any:
        return self.seen(g)

    def merge(self, old: Any, new: Any) -> Any:
        return merge_parts(old, new)


class BackwardCall:
    """The backward hooks of one call of a module."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.hooks = list(module._backward_hooks.values())
        self.pre_hooks = list(module._backward_pre_hooks.values())
        self.inputs: list[int] | None = None
        self.count = 0
        self.grad_outputs: tuple[Any, ...] | None = None

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments behind a node that sees their gradients."""
        self.count = len(args)
        watched, self.inputs = _behind(args, self._inputs_known)
        return watched

    def watch_outputs(self, output: Any) -> Any:
        """The output (a tensor or a tuple) behind a node that sees its gradients."""
        single = not isinstance(output, tuple)
        outputs = (output,) if single else output
        watched, places = _behind(outputs, lambda grads: self._outputs_known(grads, places, len(outputs)))
        if single:
            return watched[0]
        return type(output)(*watched) if hasattr(output, "_fields") else watched

    def _outputs_known(self, grads: list[Any], places: Any, count: int) -> list[Any]:
        known = _spread(grads, places, count)
        for hook in self.pre_hooks:
            known = _replaced("backward pre-hook", hook(self.module, known), known)
        self.grad_outputs = known
        if self.inputs is None:
            self._run((None,) * self.count)
        return [known[i] for i in places]

    def _inputs_known(self, grads: list[Any]) -> list[Any]:
        if self.grad_outputs is None:  # the gradient came past the output, as in a double backward
            return grads
        places: Any = self.inputs
        known = self._run(_spread(grads, places, self.count))
        return [known[i] for i in places]

    def _run(self, grad_inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.hooks:
            grad_inputs = _replaced("backward hook", hook(self.module, grad_inputs, self.grad_outputs), grad_inputs)
        self.grad_outputs = None
        return grad_inputs


def _behind(values: tuple[Any, ...], seen: Callable[[list[Any]], list[Any]]) -> tuple[tuple[Any, ...], list[int] | None]:
    """The values with those that require grad put behind a Boundary, and where these are (None if there are none)."""
    places = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v._node is not None] if mode.grad else []
    if not places:
        return values, None
    node = Boundary([values[i] for i in places], seen)
    watched = list(values)
    for k, i in enumerate(places):
        source = values[i]
        watched[i] = _alias(source, Pick(node, k))
    return tuple(watched), places


def _alias(source: Tensor, node: Node) -> Tensor:
    """Another tensor for the same value, with another node; a view, so that an in-place write to it reaches the source's history."""
    alias = wrap(source._a)
    alias._node = node
    alias._st = storage_of(source)
    alias._base = source if source._base is None else source._base
    alias._st.add_view(alias)
    return alias


def _spread(grads: list[Any], places: list[int], count: int) -> tuple[Any, ...]:
    spread = [None] * count
    for i, g in zip(places, grads, strict=True):
        spread[i] = g
    return tuple(spread)


def _replaced(op: str, result: Any, known: tuple[Any, ...]) -> tuple[Any, ...]:
    if result is None:
        return known
    result = result if isinstance(result, tuple) else (result,)
    if len(result) != len(known):
        raise ArgumentError(explain(op, expected=f"None or {len(known)} gradients", got=str(len(result))))
    return result
