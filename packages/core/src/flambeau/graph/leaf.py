"""The end of a captured path: what is returned, what outside memory changes, which `.grad` are set."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from flambeau.base import tree
from flambeau.base.errors import explain
from flambeau.graph.capture import CannotCapture, Capture, Host
from flambeau.graph.derivative import Derivative, derive
from flambeau.graph.ir import Value
from flambeau.graph.memory import address, root_of
from flambeau.graph.number import Number, evaluate
from flambeau.primitives.bind import state
from flambeau.primitives.value import Storage, storage_of


class Leaf:
    """What happens after the last segment. `results` are the values that it needs; the rest counts in positions of that list."""

    def __init__(self, capture: Capture, leaves: list[Any], result: Any, path: Any) -> None:
        if capture.reads:
            raise CannotCapture(
                explain("capture", expected="what a program can hold", got=capture.reads[0], hint="return tensors and read values outside")
            )
        self.path = path
        self.results: list[Value] = []
        self.fresh: set[int] = set()
        self.guards: list[Host] = []
        self._writes(capture, leaves)
        self._grads(capture)
        self._outputs(capture, leaves, result)
        self.effects = capture.effects
        self.derivative: Derivative | None = derive(capture, self, leaves)
        self._overlaps(capture)

    # -- made once ------------------------------------------------------------------------------------------------------------------------
    def result(self, value: Value, fresh: bool = False) -> int:
        """The position of a value among the results, asked for now or before."""
        for at, v in enumerate(self.results):
            if v is value and (at in self.fresh) == fresh:
                return at
        self.results.append(value)
        if fresh:
            self.fresh.add(len(self.results) - 1)
        return len(self.results) - 1

    def _outputs(self, capture: Capture, leaves: list[Any], result: Any) -> None:
        """How each leaf of the returned structure comes to be, as a kind and what that needs."""
        self.outs, self.structure = tree.flatten(result)
        same = {id(x): i for i, x in enumerate(leaves) if _is_tensor(x)}
        first: dict[int, int] = {}
        bases: dict[int, tuple[int, Any]] = {}
        self.returned: list[tuple[str, Any]] = []
        for at, x in enumerate(self.outs):
            if isinstance(x, Number):
                self.returned.append(("number", x.expression))
            elif not _is_tensor(x):
                self.returned.append(("value", x))
            elif id(x) in same:
                self.returned.append(("argument", same[id(x)]))
            elif id(x) in first:
                self.returned.append(("again", first[id(x)]))
            else:
                first[id(x)] = at
                self.returned.append(self._tensor(capture, x, at, bases))
        self.single = self.returned[0] if self.structure is tree.LEAF or self.structure == tree.LEAF else None

    def _tensor(self, capture: Capture, x: Any, at: int, bases: dict[int, tuple[int, Any]]) -> tuple[str, Any]:
        """A tensor of the result: a new one, or a view of what is outside or of another one."""
        value = capture.read(x)
        home = capture.home(x)
        if capture.is_outside(x):
            return self._outside(capture, x)
        if id(home) in bases:
            return "view", (*bases[id(home)], *_place(x._a, bases[id(home)][1]))
        if x._a.flags.c_contiguous:
            bases[id(home)] = (at, x._a)
        return "result", self.result(value, fresh=True)

    def _outside(self, capture: Capture, x: Any) -> tuple[str, Any]:
        """A tensor in memory from outside: over an argument it is made anew by each replay, else it is what it is."""
        root = root_of(x._a)
        for i, base in zip(map(self.path.places.get, map(id, capture.outside)), capture.outside):
            if root_of(base) is root and (i is not None or id(base) in self.path.gradients or x._node not in (None, *capture.borders)):
                if i is None or base.dtype != x._a.dtype:
                    got = f"a view of shape {tuple(x._a.shape)} of memory from outside"
                    raise CannotCapture(explain("capture", expected="results that are new", got=got, hint="return a .clone()"))
                return "alias", (i, *_place(x._a, base))
        return "value", x

    def _grads(self, capture: Capture) -> None:
        """Leaves whose `.grad` is another tensor after the run: they get one of this run after each replay.

        Where the run depends on what `.grad` was before (it added to it, or asked for it), that is looked at before each replay.
        """
        self.grads: list[tuple[Any, int | None]] = []
        before = {node: (old._a if old is not None else None) for node, (old, cleared) in capture.grads.items() if not cleared}
        before.update({**dict.fromkeys(capture.absent), **capture.read_grads})
        for node, array in before.items():
            kind = None if array is None else (array.shape, array.dtype, array.strides)
            self.guards.append(
                Host(partial(_has_grad, node, kind), 0, True, "there is a gradient, or none, or of another kind than before")
            )
        for node in capture.grads:
            if node.grad is None:
                self.grads.append((node, None))
            elif not capture.is_outside(node.grad):
                self.grads.append((node, self.result(capture.read(node.grad))))
        self.wrapped: dict[Any, Any] = {}

    def _writes(self, capture: Capture, leaves: list[Any]) -> None:
        """Outside memory that the program changes: where the new value goes."""
        self.writes: list[tuple[int | None, Any, int]] = []
        for array, value in capture.written():
            self.results.append(value)
            self.writes.append((self.path.places.get(id(array)), array, len(self.results) - 1))
        self.storages: list[Storage] = capture.storages
        self.copies = self.writes

    def _overlaps(self, capture: Capture) -> None:
        """Memory that arguments must not share with: held memory that is written, or all of it if arguments are."""
        writes_arguments = any(argument is not None for argument, _, _ in self.writes)
        places = self.path.places
        mine = [array for argument, array, _ in self.writes if argument is None]
        held = [a for a in capture.outside if id(a) not in places] if writes_arguments else mine
        self.owners = {id(root_of(a)) for a in capture.outside if id(a) not in places}
        self.exclusive = {id(root_of(a)) for a in held}

    def settle(self, stored: set[int]) -> None:
        """Which results the engine puts where they belong itself."""
        self.copies = [(argument, array, at) for argument, array, at in self.writes if at not in stored]

    # -- each replay ----------------------------------------------------------------------------------------------------------------------
    def finish(self, run: Any, results: list[Any], segment: Any) -> Any:
        """Store what changes and return the result. `results` of the segment begin with those that it hands on."""
        if segment.read:
            run.reads += [array.item() for array in results[segment.first : segment.read]]
            results = results[segment.read :]
        leaves = run.leaves
        links = self.derivative.remember(self, run, results) if self.derivative else None
        for argument, array, at in self.copies:
            if argument is not None:
                target = leaves[argument]._a
            else:
                node = self.path.gradients.get(id(array))
                target = array if node is None else node.grad._a  # which may be another array than at capture
            np.copyto(target, results[at])
            if argument is not None:
                storage_of(leaves[argument]).version += 1
        for st in self.storages:
            st.version += 1
        for effect in self.effects:
            effect()
        wrapped = self.wrapped
        for node, place in self.grads:
            if place is None:
                node.grad = None
                continue
            known = wrapped.get(node)
            if known is None or known._a is not results[place]:
                known = wrapped[node] = state.wrap(results[place])
            node.grad = known
        if self.single is not None and links is None and self.single[0] == "result":
            return state.wrap(results[self.single[1]])
        return self._build(run, results, links)

    def _build(self, run: Any, results: list[Any], links: Any) -> Any:
        made: list[Any] = []
        for at, (kind, x) in enumerate(self.returned):
            if kind == "result":
                out = state.wrap(results[x])
            elif kind == "value":
                out = x
            elif kind == "argument":
                out = run.leaves[x]
            elif kind == "number":
                out = evaluate(x, run)
            elif kind == "again":
                out = made[x]
            elif kind == "view":
                out = _view(made[x[0]], *x[2:])
            else:
                out = _view(run.leaves[x[0]], *x[1:])
            made.append(out)
            if links is not None and at in links:
                out._node = links[at]
        return tree.unflatten(self.structure, made)


def _place(array: Any, base: Any) -> tuple[Any, ...]:
    """Shape, strides and distance in bytes of an array from another in the same memory."""
    return array.shape, array.strides, address(array) - address(base)


def _view(base: Any, shape: Any, strides: Any, distance: int) -> Any:
    """A tensor over a part of another tensor's memory."""
    root = root_of(base._a)
    start = address(base._a) - address(root) + distance
    flat = root.reshape(-1, order="A").view(np.uint8) if root.flags.forc else root
    array = np.ndarray(shape, base._a.dtype, flat, start, strides)
    out = state.wrap(array)
    out._st = storage_of(base)
    return out


def _has_grad(node: Any, kind: Any) -> bool:
    """Whether a leaf has a `.grad` of a shape, dtype and strides; with None, whether it has none."""
    g = node.grad
    return g is None if kind is None else g is not None and (g._a.shape, g._a.dtype, g._a.strides) == kind


def _is_tensor(x: Any) -> bool:
    return hasattr(x, "_a") and hasattr(x, "_node")
