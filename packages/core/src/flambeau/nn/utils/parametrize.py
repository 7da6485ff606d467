"""Parametrizations: a parameter computed from others by a module, whenever it is read.

`register_parametrization(module, "weight", p)` makes `module.weight` a property that gives `p(original)`. The originals are
`module.parametrizations.weight.original` (`original0`, `original1`, ... where `p.right_inverse` gives several).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.nn.container import ModuleDict, ModuleList
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter
from flambeau.tensor.tensor import Tensor

_cache: dict[tuple[int, str], Any] = {}
_cached_blocks = 0


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once within the block, however often it is read."""
    global _cached_blocks
    _cached_blocks += 1
    try:
        yield
    finally:
        _cached_blocks -= 1
        if not _cached_blocks:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied in turn, and the originals they compute it from."""

    def __init__(self, modules: list[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        with no_grad():
            value: Any = original
            for module in reversed(modules):
                if hasattr(module, "right_inverse"):
                    value = module.right_inverse(value)
        self.is_tensor = isinstance(value, Tensor)
        self.ntensors = 1 if self.is_tensor else len(value)
        for name, part in zip(self._names(), (value,) if self.is_tensor else value, strict=True):
            if isinstance(original, Parameter):
                kept = original if part is original else Parameter(part, requires_grad=original.requires_grad)
                self.register_parameter(name, kept)
            else:
                self.register_buffer(name, part)
        if not unsafe:
            self._check(original)

    def _names(self) -> list[str]:
        return ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]

    def _check(self, original: Tensor) -> None:
        with no_grad():
            computed = self()
        if not isinstance(computed, Tensor) or computed.shape != original.shape or computed.dtype != original.dtype:
            got = f"{tuple(computed.shape)} {computed.dtype!r}" if isinstance(computed, Tensor) else type(computed).__name__
            expected = f"a tensor of shape {tuple(original.shape)} and {original.dtype!r}"
            raise ShapeError(explain("register_parametrization", expected=expected, got=got, hint="unsafe=True to allow it"))

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parametrized tensor becomes `value`."""
        with no_grad():
            result: Any = value
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    got = f"{type(module).__name__} without one"
                    raise ArgumentError(explain("assignment to a parametrized tensor", expected="a method right_inverse", got=got))
                result = module.right_inverse(result)
            for name, part in zip(self._names(), (result,) if self.is_tensor else result, strict=True):
                target = getattr(self, name)
                if target.shape == part.shape:
                    target.copy_(part)
                else:
                    target.data = part

    def forward(self) -> Tensor:
        """The tensor, computed from the originals."""
        modules = iter(self)
        value = next(modules)(*(getattr(self, name) for name in self._names()))
        for module in modules:
            value = module(value)
        return value


def _property(name: str) -> property:
    def read(self: Any) -> Any:
        if not _cached_blocks:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def write(self: Any, value: Any) -> None:
        _cache.pop((id(self), name), None)
        self.parametrizations[name].right_inverse(value)

    return property(read, write)


@cache
def _parametrized_class(base: type, names: tuple[str, ...]) -> type:
    """A subclass of `base` whose attributes `names` are computed."""

    def reduce(self: Any, protocol: Any) -> tuple[Any, ...]:
        return _restore, (base, names), self.__dict__

    def assign(self: Any, name: str, value: Any) -> None:
        if name in names:
            object.__setattr__(self, name, value)
        else:
            base.__setattr__(self, name, value)  # type: ignore[call-arg]

    members: dict[str, Any] = {name: _property(name) for name in names}
    members |= {"__reduce_ex__": reduce, "__setattr__": assign, "__module__": base.__module__, "_parametrized_from": (base, names)}
    return type(f"Parametrized{base.__name__}", (base,), members)


def _restore(base: type, names: tuple[str, ...]) -> Any:
    return object.__new__(_parametrized_class(base, names))


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module (or that tensor of it) is parametrized."""
    found = module._modules.get("parametrizations")
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def type_before_parametrizations(module: Module) -> type:
    """The class of the module without its parametrizations."""
    return type(module)._parametrized_from[0] if is_parametrized(module) else type(module)  # type: ignore[attr-defined]


def register_parametrization(module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Module:
    """Let `module.tensor_name` be computed by `parametrization` from what the tensor is now; several apply in turn.

    A method `right_inverse` of the parametrization finds the original for a value; with it the tensor may be assigned to. Shape and dtype
    must not change unless `unsafe=True`.

    >>> import flambeau as fb
    >>> from flambeau.nn.utils import parametrize
    >>> class Symmetric(fb.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).mT
    >>> layer = parametrize.register_parametrization(fb.nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.mT).all()), [name for name, _ in layer.named_parameters()]
    (True, ['bias', 'parametrizations.weight.original'])
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        entries = module.parametrizations[tensor_name]
        value = getattr(module, tensor_name)
        entries.append(parametrization)
        if not unsafe:
            entries._check(value)
        if hasattr(parametrization, "right_inverse"):
            entries.right_inverse(value)
        return module
    tables = (module._parameters, module._buffers)
    table = next((t for t in tables if t.get(tensor_name) is not None), None)
    if table is None:
        expected = f"a parameter or buffer of {type(module).__name__}"
        raise ArgumentError(explain("register_parametrization", expected=expected, got=repr(tensor_name)))
    entries = ParametrizationList([parametrization], table[tensor_name], unsafe)  # type: ignore[arg-type]
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = entries
    _set_class(module)
    return module


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Undo: the tensor becomes a plain parameter with its computed value, or (`leave_parametrized=False`) its original."""
    if not is_parametrized(module, tensor_name):
        expected = f"a parametrized tensor of {type(module).__name__}"
        raise ArgumentError(explain("remove_parametrizations", expected=expected, got=repr(tensor_name)))
    entries = module.parametrizations[tensor_name]
    names = entries._names()
    first = getattr(entries, names[0])
    if leave_parametrized:
        with no_grad():
            value: Any = getattr(module, tensor_name).detach()
    elif entries.is_tensor:
        value = first
    else:
        hint = "leave_parametrized=True"
        raise ArgumentError(explain("remove_parametrizations", expected="one original", got=f"{len(names)}", hint=hint))
    del module.parametrizations[tensor_name]
    _set_class(module)
    if not isinstance(first, Parameter):
        module.register_buffer(tensor_name, value)
    elif entries.is_tensor and value.shape == first.shape:
        first.data = value.data  # the same object stays known to optimizers
        module.register_parameter(tensor_name, first)
    else:
        module.register_parameter(tensor_name, Parameter(value, requires_grad=first.requires_grad))
    return module


def _set_class(module: Any) -> None:
    """Give the module the class whose properties are the tensors parametrized now."""
    kind: Any = type(module)
    base: Any = kind._parametrized_from[0] if hasattr(kind, "_parametrized_from") else kind
    names = tuple(module.parametrizations)
    if not names:
        del module.parametrizations
    object.__setattr__(module, "__class__", _parametrized_class(base, names) if names else base)
