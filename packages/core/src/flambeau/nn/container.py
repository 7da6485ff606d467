"""Modules and parameters held in sequences and dicts."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flambeau.base.errors import ArgumentError, ArgumentTypeError, IndexingError, explain
from flambeau.nn.module import Module
from flambeau.nn.tree import indent


class _Sequence(Module):
    """What Sequential and ModuleList share: modules under the names "0", "1", ..."""

    def _at(self, index: Any) -> str:
        """The name at a position, which may count from the end."""
        names = list(self._modules)
        i = operator.index(index)
        if not -len(names) <= i < len(names):
            raise IndexingError(explain(type(self).__name__, expected=f"an index within {len(names)} modules", got=str(i)))
        return names[i]

    def __setitem__(self, index: Any, module: Module) -> None:
        setattr(self, self._at(index), module)

    def __delitem__(self, index: Any) -> None:
        doomed = list(self._modules)[index] if isinstance(index, slice) else [self._at(index)]
        for name in doomed:
            delattr(self, name)
        kept = list(self._modules.values())
        self._modules.clear()
        self._modules.update({str(i): m for i, m in enumerate(kept)})

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a module before a position."""
        if not isinstance(module, Module):
            raise ArgumentTypeError(explain("insert", expected="a Module", got=type(module).__name__))
        n = len(self._modules)
        if not -n <= index <= n:
            raise IndexingError(explain("insert", expected=f"an index within {n} modules", got=str(index)))
        held = list(self._modules.values())
        held.insert(index, module)
        self._modules.clear()
        for i, m in enumerate(held):
            self.add_module(str(i), m)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end; returns self."""
        if not isinstance(modules, Iterable):
            raise ArgumentTypeError(explain("extend", expected="modules to iterate over", got=type(modules).__name__))
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, index: Any = -1) -> Any:
        """Remove and return a module."""
        found = self._modules[self._at(index)]
        del self[index]
        return found


class Sequential(_Sequence):
    """Modules called one after the other, each on the result of the one before.

    Takes modules, or one OrderedDict of named modules.

    >>> import flambeau as fb
    >>> net = fb.nn.Sequential(fb.nn.Linear(4, 8), fb.nn.Linear(8, 2))
    >>> net(fb.zeros(1, 4)).shape
    flambeau.Size([1, 2])
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        items = args[0].items() if len(args) == 1 and isinstance(args[0], OrderedDict) else ((str(i), m) for i, m in enumerate(args))
        for name, module in items:
            self.add_module(name, module)

    def forward(self, input: Any) -> Any:
        """Run the input through all modules."""
        for module in self._modules.values():
            input = module(input)  # type: ignore[misc]
        return input

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[self._at(index)]

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ArgumentTypeError(explain("Sequential + other", expected="a Sequential", got=type(other).__name__))
        return Sequential(*self, *other)

    def __iadd__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ArgumentTypeError(explain("Sequential += other", expected="a Sequential", got=type(other).__name__))
        return self.extend(other)

    def __mul__(self, times: int) -> Sequential:
        if not isinstance(times, int) or times <= 0:
            raise ArgumentError(explain("Sequential * times", expected="a positive int", got=repr(times)))
        return Sequential(*(list(self) * times))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Sequential:
        return self.extend(list(self * times)[len(self) :])


class ModuleList(_Sequence):
    """A list of modules that are registered; it is not called itself.

    >>> import flambeau as fb
    >>> layers = fb.nn.ModuleList([fb.nn.Linear(4, 4) for _ in range(3)])
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])  # type: ignore[arg-type]
        return self._modules[self._at(index)]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)

    def __repr__(self) -> str:
        texts = [repr(m) for m in self]
        if not texts:
            return f"{self._get_name()}()"
        runs: list[list[Any]] = []  # [first, last, text] of neighbours that look the same
        for i, text in enumerate(texts):
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        lines = [f"({a}): {text}" if a == b else f"({a}-{b}): {b - a + 1} x {text}" for a, b, text in runs]
        return f"{self._get_name()}(\n  " + "\n  ".join(indent(line) for line in lines) + "\n)"


class ModuleDict(Module):
    """A dict of modules that are registered.

    >>> import flambeau as fb
    >>> heads = fb.nn.ModuleDict({"actor": fb.nn.Linear(4, 2), "critic": fb.nn.Linear(4, 1)})
    >>> heads["critic"].out_features
    1
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Remove all modules."""
        for key in list(self._modules):
            del self[key]

    def pop(self, key: str) -> Any:
        """Remove and return a module."""
        found = self[key]
        del self[key]
        return found

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def items(self) -> Any:
        """Names and modules."""
        return self._modules.items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules from a mapping or from pairs."""
        for key, module in modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules:
            self[key] = module
