"""Ensembles: the states of several modules as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.ops.joining import stack


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of several modules of one kind, stacked along a new first axis, by name.

    With `functional_call` and `vmap` they compute all the modules at once.

    >>> import flambeau as fb
    >>> models = [fb.nn.Linear(3, 2) for _ in range(4)]
    >>> params, buffers = fb.func.stack_module_state(models)
    >>> run = fb.func.vmap(lambda p, x: fb.func.functional_call(models[0], p, x), in_dims=(0, None))
    >>> run(params, fb.ones(5, 3)).shape
    flambeau.Size([4, 5, 2])
    """
    if not models:
        raise ArgumentError(explain("stack_module_state", expected="at least one module", got="none"))
    kinds = {type(m) for m in models}
    if len(kinds) > 1:
        got = ", ".join(sorted(k.__name__ for k in kinds))
        raise ArgumentError(explain("stack_module_state", expected="modules of one class", got=got))
    if len({m.training for m in models}) > 1:
        hint = "module.eval() or module.train() on all"
        raise ArgumentError(explain("stack_module_state", expected="modules in one mode", got="some in training, some not", hint=hint))
    return (
        {name: _stacked(name, [dict(m.named_parameters())[name] for m in models]) for name, _ in models[0].named_parameters()},
        {name: _stacked(name, [dict(m.named_buffers())[name] for m in models]) for name, _ in models[0].named_buffers()},
    )


def _stacked(name: str, tensors: list[Any]) -> Any:
    """A leaf that holds all; it requires grad if they do."""
    wants = {t.requires_grad for t in tensors}
    if len(wants) > 1:
        got = f"{name} that requires grad in some modules only"
        raise ArgumentError(explain("stack_module_state", expected="the same parameters to require grad", got=got))
    return stack([t.detach() for t in tensors]).requires_grad_(wants.pop())
