"""The tree of modules: what is registered where, and walks over it. `Module` builds on this class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from flambeau.base.epoch import epoch
from flambeau.base.errors import ArgumentError, ArgumentTypeError, FlambeauError, did_you_mean, explain
from flambeau.nn.parameter import Parameter
from flambeau.tensor.tensor import Tensor

if TYPE_CHECKING:
    from typing import Self

    from flambeau.nn.module import Module


_MISSING: Any = object()
TABLES = ("_parameters", "_buffers", "_modules")


class MissingAttribute(FlambeauError, AttributeError):
    """A module has no attribute, submodule, parameter or buffer of that name."""


class UnknownName(MissingAttribute):
    """A name was read that a module does not have. The suggestion is looked for only when the message is read: `hasattr` asks often."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(kind, name, known)

    def __str__(self) -> str:
        kind, name, known = self.args
        hint = "" if name.startswith("_") else did_you_mean(name, [k for k in known if not k.startswith("_")])
        got = f"{name!r}" + ("" if "_modules" in known else " (Module.__init__ was not called)")
        return explain(kind, expected="the name of an attribute", got=got, hint=hint)


class Tree:
    """Registration of parameters, buffers and submodules, and the walks over them."""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Module | None]

    # -- registration -------------------------------------------------------------------------------------------------------------------
    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None stands for one that is switched off (as `bias=False` does)."""
        self._check_name("register_parameter", name, self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                hint = "flambeau.nn.Parameter(tensor)"
                raise ArgumentTypeError(
                    explain("register_parameter", expected=f"a Parameter or None for {name!r}", got=_kind(param), hint=hint)
                )
            if not param.is_leaf:
                hint = "compute values that depend on other tensors in forward"
                raise ArgumentError(explain("register_parameter", expected=f"a leaf for {name!r}", got="a computed tensor", hint=hint))
        self._note("_parameters", name)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the state but not learnt; `persistent=False` keeps it out of the state dict."""
        self._check_name("register_buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentTypeError(explain("register_buffer", expected=f"a Tensor or None for {name!r}", got=_kind(tensor)))
        self._note("_buffers", name)
        self._buffers[name] = tensor
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under a name."""
        if module is not None and not isinstance(module, Tree):
            raise ArgumentTypeError(explain("add_module", expected=f"a Module or None for {name!r}", got=_kind(module)))
        self._check_name("add_module", name, self._modules)
        self._note("_modules", name)
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under a name (the same as `add_module`)."""
        self.add_module(name, module)

    def _note(self, table: str, name: str) -> None:
        """Tell compiled programs that an entry of a table (or, with "", an attribute) is about to change."""
        look = partial(_entry, table, name)
        epoch.changed(self, name, look, look(self), table)

    def _check_name(self, op: str, name: Any, own: dict[str, Any]) -> None:
        if "_parameters" not in self.__dict__:
            hint = "call super().__init__() first"
            raise MissingAttribute(explain(op, expected="an initialised module", got=f"{_kind(self)} before Module.__init__", hint=hint))
        if not isinstance(name, str):
            raise ArgumentTypeError(explain(op, expected="a name as str", got=_kind(name)))
        if not name or "." in name:
            raise _NameError(explain(op, expected="a name that is not empty and has no dot", got=repr(name)))
        if name not in own and self._has(name):
            raise _NameError(explain(op, expected="a name that is not in use", got=f"{name!r}, which {_kind(self)} has already"))

    def _has(self, name: str) -> bool:
        """Whether the name means something already."""
        state = self.__dict__
        return name in state or hasattr(type(self), name) or any(name in state[table] for table in TABLES)

    # -- walks --------------------------------------------------------------------------------------------------------------------------
    def named_modules(self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """This module and all below it with their dotted names, each once unless `remove_duplicate=False`."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self  # type: ignore[misc]
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules with their names, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct submodules, each once."""
        for _, module in self.named_children():
            yield module

    def _named_members(
        self, members: Callable[[Any], Any], prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        owners = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in owners:
            for name, value in members(module):
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Parameters with their dotted names, those of submodules too unless `recurse=False`.

        >>> import flambeau as fb
        >>> [name for name, _ in fb.nn.Linear(2, 3).named_parameters()]
        ['weight', 'bias']
        """
        return self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Parameters, those of submodules too unless `recurse=False`."""
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Buffers with their dotted names."""
        return self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Buffers, those of submodules too unless `recurse=False`."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def apply(self, fn: Callable[[Any], Any]) -> Self:
        """Call `fn(module)` on every module below, then on this one; returns self."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # -- access by dotted name ------------------------------------------------------------------------------------------------------------
    def get_submodule(self, target: str) -> Any:
        """The module with that dotted name; an empty name is this module."""
        module: Any = self
        for name in target.split(".") if target else ():
            found = module._modules.get(name)
            if found is None:
                hint = did_you_mean(name, module._modules)
                raise MissingAttribute(explain("get_submodule", expected=f"a submodule of {_kind(module)}", got=repr(name), hint=hint))
            module = found
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at a dotted name; `strict=True` only replaces what is there."""
        if not target or not isinstance(module, Tree):
            got = f"{target!r} and {_kind(module)}"
            raise ArgumentError(explain("set_submodule", expected="a name and a Module", got=got))
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and name not in parent._modules:
            hint = did_you_mean(name, parent._modules)
            raise MissingAttribute(explain("set_submodule", expected=f"a submodule of {_kind(parent)}", got=repr(name), hint=hint))
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with that dotted name."""
        return self._member("get_parameter", target, "_parameters")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with that dotted name."""
        return self._member("get_buffer", target, "_buffers")

    def _member(self, op: str, target: str, table: str) -> Any:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        members = getattr(owner, table)
        if members.get(name) is None:
            hint = did_you_mean(name, members)
            raise MissingAttribute(explain(op, expected=f"a {table[1:-1]} of {_kind(owner)}", got=repr(name), hint=hint))
        return members[name]

    # -- text ---------------------------------------------------------------------------------------------------------------------------
    def extra_repr(self) -> str:
        """The arguments to show in the module's repr; layers override it."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {indent(repr(module))}" for name, module in self._modules.items()]
        if not children and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines + children) + "\n)"


class _NameError(ArgumentError, KeyError):
    """A name that cannot be registered; a KeyError too, as PyTorch raises."""

    def __str__(self) -> str:
        return str(self.args[0])


def indent(text: str, spaces: int = 2) -> str:
    """Indent all lines but the first."""
    return text.replace("\n", "\n" + " " * spaces)


def _entry(table: str, name: str, module: Any) -> Any:
    """What a module has under a name now."""
    state = module.__dict__
    return (state.get(table, state) if table else state).get(name, _MISSING)


def _kind(x: Any) -> str:
    return type(x).__name__
