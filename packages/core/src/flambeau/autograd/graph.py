"""The autograd graph as PyTorch shows it: nodes, hooks on what they save, hooks on several gradients together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flambeau.autograd.engine import GradientEdge, Task, edge_of, target_of
from flambeau.autograd.hooks import RemovableHandle, hooks_of
from flambeau.autograd.modes import mode as current
from flambeau.autograd.node import Node
from flambeau.base.errors import ArgumentError, GradientError, explain
from flambeau.primitives.value import Value, storage_of

__all__ = """
GradientEdge Node disable_saved_tensors_hooks get_gradient_edge increment_version register_multi_grad_hook save_on_cpu saved_tensors_hooks
""".split()


class saved_tensors_hooks:
    """Within the block, each tensor that a node saves goes through `pack_hook`, and what that returns through `unpack_hook` when it is
    needed.

    The hooks of the innermost block count. `pack_hook` must not change the tensor; `unpack_hook` returns a tensor
    with the same values.

    >>> import flambeau as fb
    >>> x = fb.ones(3, requires_grad=True)
    >>> with fb.autograd.graph.saved_tensors_hooks(lambda t: t.half(), lambda t: t.float()):
    ...     y = x.exp()  # keeps its output in half precision
    >>> y.sum().backward()
    >>> x.grad
    tensor([2.7188, 2.7188, 2.7188])
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook
        self._before: list[Any] = []

    def __enter__(self) -> None:
        if current.hooks_refused is not None:
            raise GradientError(current.hooks_refused)
        self._before.append(current.hooks)
        current.hooks = (*current.hooks, (self.pack_hook, self.unpack_hook))
        current.watched = True

    def __exit__(self, *exc: object) -> None:
        current.hooks = self._before.pop()
        current.watched = current.anomaly or bool(current.hooks)


class save_on_cpu(saved_tensors_hooks):
    """Keep what nodes save in host memory (page-locked with `pin_memory`) and bring it back to its device when backward needs it."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(x: Any) -> tuple[Any, Any]:
            if x.device.type == "cpu":
                return x.device, x.clone()
            host = x.cpu()
            return x.device, host.pin_memory() if pin_memory else host

        super().__init__(pack, lambda packed: packed[1].to(packed[0], non_blocking=pin_memory))


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Within the block, `saved_tensors_hooks` raises an error with this message."""
    before, current.hooks_refused = current.hooks_refused, error_message
    try:
        yield
    finally:
        current.hooks_refused = before


def increment_version(tensor: Any) -> None:
    """Count a change that autograd could not see, in a tensor or several, so that a backward pass that needs the old values fails."""
    for x in (tensor,) if isinstance(tensor, Value) else tensor:
        storage_of(x).version += 1


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The place of a tensor in the graph, which `autograd.grad` takes in its place; the tensor itself need not be kept."""
    return edge_of(tensor)


class _Together:
    """What one `register_multi_grad_hook` has seen of the backward pass that runs."""

    def __init__(self, targets: Sequence[Node]) -> None:
        self.targets = targets
        self.lock = threading.Lock()
        self.task: Task | None = None
        self.grads: list[Any] = []
        self.missing = 0

    def enter(self) -> bool:
        """Note the pass; whether this is its first gradient."""
        if self.task is current.task:
            return False
        self.task = current.task
        self.grads = [None] * len(self.targets)
        self.missing = sum(current.task.will_run(node) for node in self.targets)
        return True


def register_multi_grad_hook(
    tensors: Sequence[Any],
    fn: Callable[[Sequence[Any]], None] | Callable[[Any], None],
    *,
    mode: str = "all",  # PyTorch's name for it
) -> RemovableHandle:
    """Call `fn` once in a backward pass: with the list of all gradients when the last of them is there (None for a tensor that the pass
    does not
    reach), or, with mode "any", with the first one. Returns a handle whose `remove()` takes the hook away.
    """
    if mode not in ("all", "any"):
        raise ArgumentError(explain("register_multi_grad_hook", expected="mode 'all' or 'any'", got=repr(mode)))
    targets = [target_of(t) for t in tensors]
    if any(node is None for node in targets):
        expected = "tensors that require grad"
        raise GradientError(explain("register_multi_grad_hook", expected=expected, got="one that does not"))
    seen = _Together(targets)

    def hook_for(places: list[int]) -> Callable[[Any], None]:
        def hook(g: Any) -> None:
            with seen.lock:
                first = seen.enter()
                for i in places:
                    seen.grads[i] = g
                seen.missing -= len(places)
                last = seen.missing == 0
            if mode == "any" and first:
                fn(g)
            elif mode == "all" and last:
                fn(seen.grads)
                seen.task = None

        return hook

    handle = RemovableHandle(*[hooks_of(node).tensor for node in targets])
    for node in dict.fromkeys(targets):
        hooks_of(node).tensor[handle.id] = hook_for([i for i, target in enumerate(targets) if target is node])
    return handle
