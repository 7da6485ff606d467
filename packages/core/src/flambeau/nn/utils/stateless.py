"""Calling a module with other tensors than its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

from flambeau.base.epoch import epoch
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn.module import Module
from flambeau.tensor.tensor import Tensor

_Place = tuple[dict[str, Any], str]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)` as if its parameters and buffers were the given ones (by dotted name); the module is left as it was.

    Names left out keep the module's tensors (with `strict=True` they are an error). A tensor that the module has under several names is
    replaced under all of them, unless `tie_weights=False`.

    >>> import flambeau as fb
    >>> layer = fb.nn.Linear(2, 1)
    >>> fb.nn.utils.stateless.functional_call(layer, {"weight": fb.ones(1, 2), "bias": fb.zeros(1)}, fb.ones(1, 2))
    tensor([[2.]])
    """
    given: dict[str, Tensor] = {}
    for part in [parameter_and_buffer_dicts] if isinstance(parameter_and_buffer_dicts, Mapping) else parameter_and_buffer_dicts:
        given.update(part)
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with _swapped(_targets(module, given, tie_weights, strict)):
        return module(*positional, **(kwargs or {}))


def _targets(module: Module, given: dict[str, Tensor], tie_weights: bool, strict: bool) -> list[tuple[_Place, Tensor]]:
    places: dict[str, _Place] = {}
    names: dict[int, list[str]] = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        for table in (owner._parameters, owner._buffers):
            for name, value in table.items():
                if value is not None:
                    full = f"{path}.{name}" if path else name
                    places[full] = (table, name)
                    names.setdefault(id(value), []).append(full)
    unknown = [name for name in given if name not in places]
    if unknown:
        known = ", ".join(list(places)[:8])
        raise ArgumentError(explain("functional_call", expected=f"names of the module ({known}, ...)", got=", ".join(unknown)))
    wanted = dict(given)
    if tie_weights:
        for group in names.values():
            value = next((given[n] for n in group if n in given), None)
            if value is not None:
                wanted |= {n: wanted.get(n, value) for n in group}
    missing = [name for name in places if name not in wanted]
    if strict and missing:
        raise ArgumentError(explain("functional_call", expected="all parameters and buffers", got=f"none for {', '.join(missing)}"))
    return [(places[name], value) for name, value in wanted.items()]


@contextmanager
def _swapped(targets: list[tuple[_Place, Tensor]]) -> Iterator[None]:
    before = [(table, name, table[name]) for (table, name), _ in targets]
    try:
        for (table, name), value in targets:
            _put(table, name, value)
        yield
    finally:
        for table, name, old in before:
            _put(table, name, old)


def _put(table: dict[str, Any], name: str, value: Any) -> None:
    epoch.changed(table, name, itemgetter(name), table[name], name)
    table[name] = value
