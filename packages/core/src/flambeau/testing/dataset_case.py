"""The contract of a dataset."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flambeau.base import tree
from flambeau.tensor.tensor import Tensor
from flambeau.testing.compare import assert_close
from flambeau.testing.layer_case import Checks


@dataclass(frozen=True)
class DatasetCase:
    """What is known about a map-style dataset.

    Args:
        name: how it is called in messages.
        make: builds it (from files that the test wrote, or from made data).
        length: how many examples it has.
        types: the types of the parts of an example (nested parts one after the other).
        collates: whether a DataLoader can batch its examples.
        picklable: whether worker processes can receive it.
        skip: names of checks that make no sense for it, each with the reason.

    >>> import flambeau as fb
    >>> from flambeau.testing import check
    >>> make = lambda: fb.data.TensorDataset(fb.arange(6).reshape(3, 2), fb.arange(3))
    >>> check(DatasetCase("pairs", make, length=3, types=(fb.Tensor, fb.Tensor)))
    """

    name: str
    make: Callable[[], Any]
    length: int
    types: Sequence[Any] = ()
    collates: bool = True
    picklable: bool = True
    skip: dict[str, str] = field(default_factory=dict)

    def checks(self, device: str) -> Checks:
        """All of them; a dataset lives in host memory."""
        names = [
            "size",
            "examples",
            "repetition",
            "bounds",
            *(["loading"] if self.collates else []),
            *(["pickling"] if self.picklable else []),
        ]
        return [(n, getattr(self, n)) for n in names if n not in self.skip]

    def size(self) -> None:
        """It has the promised length."""
        assert len(self.make()) == self.length, f"{len(self.make())} examples, promised {self.length}"

    def examples(self) -> None:
        """Every example has parts of the promised types."""
        data = self.make()
        for i in self._some():
            parts = tree.leaves(data[i])
            if self.types:
                assert len(parts) == len(self.types), f"example {i} has {len(parts)} parts, promised {len(self.types)}"
                for part, kind in zip(parts, self.types):
                    assert isinstance(part, kind), f"example {i} has a {type(part).__name__}, promised {kind}"

    def _some(self) -> list[int]:
        """All positions of a small dataset; of a large one both ends and a few between."""
        n = self.length
        return list(range(n)) if n <= 20 else sorted({0, 1, n // 3, n // 2, n - 2, n - 1})

    def repetition(self) -> None:
        """The same example comes each time, from each copy (transforms that draw random numbers are not part of the contract)."""
        first, second = self.make(), self.make()
        for i in self._some():
            _same(first[i], second[i], f"example {i} of two copies")
            _same(first[i], first[i], f"example {i} read twice")

    def bounds(self) -> None:
        """Positions beyond the end are refused with IndexError, so that iteration ends."""
        data = self.make()
        refused = False
        try:
            data[self.length]
        except IndexError:
            refused = True
        assert refused, f"position {self.length} of {self.length} examples was not refused with IndexError"

    def loading(self) -> None:
        """A DataLoader batches all examples, in order."""
        from flambeau.data import DataLoader, Subset

        positions = self._some()
        loader = DataLoader(Subset(self.make(), positions), batch_size=2)
        batches = list(loader)
        assert len(batches) == (len(positions) + 1) // 2
        first = tree.leaves(batches[0])
        assert all(len(part) == min(2, len(positions)) for part in first if hasattr(part, "__len__") and not isinstance(part, str))

    def pickling(self) -> None:
        """A copy by pickle, as workers get it, gives the same examples."""
        data = self.make()
        copy = pickle.loads(pickle.dumps(data))
        assert len(copy) == len(data)
        for i in self._some()[:3]:
            _same(copy[i], data[i], f"example {i} of a pickled copy")


def _same(a: Any, b: Any, where: str) -> None:
    mine, theirs = tree.leaves(a), tree.leaves(b)
    assert len(mine) == len(theirs), where
    for x, y in zip(mine, theirs):
        if isinstance(x, (Tensor, np.ndarray)):
            assert_close(x, y, rtol=0, atol=0, equal_nan=True, msg=lambda m: f"{where}: {m}")
        elif isinstance(x, (int, float, str, bytes, bool)) or hasattr(x, "__eq__"):
            assert type(x) is type(y), where
            assert not isinstance(x, (int, float, str, bytes)) or x == y, f"{where}: {x!r} and {y!r}"
