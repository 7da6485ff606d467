"""Lists and dicts of parameters."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flambeau.base.errors import ArgumentTypeError, IndexingError, explain
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter
from flambeau.nn.tree import indent
from flambeau.tensor.tensor import Tensor


def _line(name: Any, value: Any) -> str:
    """How ParameterList and ParameterDict show an entry."""
    if isinstance(value, Tensor):
        kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
        where = "" if value.is_cpu else f" ({value.device})"
        size = "x".join(str(n) for n in value.shape)
        return f"({name}): {kind} containing: [{repr(value.dtype)} of size {size}{where}]"
    return f"({name}): Object of type: {type(value).__name__}"


class _Parameters(Module):
    """What ParameterList and ParameterDict share: entries are attributes, and tensors among them become parameters."""

    _keys: Any

    def _put(self, name: str, value: Any) -> None:
        setattr(self, name, Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value)

    def __repr__(self) -> str:
        lines = [indent(_line(name, getattr(self, str(name)))) for name in self._names()]
        return f"{self._get_name()}(" + ("\n  " + "\n  ".join(lines) + "\n" if lines else "") + ")"

    def _names(self) -> list[Any]:
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise ArgumentTypeError(explain(type(self).__name__, expected="use of its entries", got="a call; it computes nothing"))


class ParameterList(_Parameters):
    """A list of parameters that are registered; tensors that are added become parameters, other values are kept as they are."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _names(self) -> list[Any]:
        return list(range(self._size))

    def _at(self, index: Any) -> str:
        i = operator.index(index)
        if not -self._size <= i < self._size:
            raise IndexingError(explain("ParameterList", expected=f"an index within {self._size} entries", got=str(i)))
        return str(i % self._size)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(getattr(self, str(i)) for i in range(*index.indices(self._size)))
        return getattr(self, self._at(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        self._put(self._at(index), value)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(self._size)])

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def append(self, value: Any) -> ParameterList:
        """Add an entry at the end; returns self."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add entries at the end; returns self."""
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise ArgumentTypeError(explain("ParameterList.extend", expected="parameters to iterate over", got=type(values).__name__))
        for value in list(values):
            self.append(value)
        return self


class ParameterDict(_Parameters):
    """A dict of parameters that are registered; tensors that are added become parameters, other values are kept as they are.

    >>> import flambeau as fb
    >>> scales = fb.nn.ParameterDict({"left": fb.ones(2), "right": fb.zeros(2)})
    >>> [name for name, _ in scales.named_parameters()]
    ['left', 'right']
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys = {}
        if parameters is not None:
            self.update(parameters)

    def _names(self) -> list[Any]:
        return list(self._keys)

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise ArgumentTypeError(explain("ParameterDict", expected="names as str", got=type(key).__name__))
        self._keys[key] = None
        self._put(key, value)

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._keys))

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __or__(self, other: Any) -> ParameterDict:
        return ParameterDict({**dict(self.items()), **dict(other.items())})

    def __ior__(self, other: Any) -> ParameterDict:
        self.update(other)
        return self

    def copy(self) -> ParameterDict:
        """Another ParameterDict with the same entries."""
        return ParameterDict(dict(self.items()))

    def clear(self) -> None:
        """Remove all entries."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key: str) -> Any:
        """Remove and return an entry."""
        found = self[key]
        del self[key]
        return found

    def popitem(self) -> tuple[str, Any]:
        """Remove and return the last entry with its name."""
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The entry, which is set to `default` if there is none."""
        if key not in self._keys:
            self[key] = default
        return self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The entry, or `default`."""
        return self[key] if key in self._keys else default

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A ParameterDict with those names and one value."""
        return ParameterDict(dict.fromkeys(keys, default))

    def keys(self) -> Any:
        """The names."""
        return self._keys.keys()

    def values(self) -> list[Any]:
        """The entries."""
        return [self[key] for key in self._keys]

    def items(self) -> list[tuple[str, Any]]:
        """Names and entries."""
        return [(key, self[key]) for key in self._keys]

    def update(self, parameters: Any) -> None:
        """Add entries from a mapping or from pairs."""
        for key, value in parameters.items() if isinstance(parameters, (Mapping, ParameterDict)) else parameters:
            self[key] = value
