"""Results that require grad: the backward pass of a captured function as a program of its own.

Capture runs the tape backward from the results once, so that forward and backward are one graph; the forward part gives the values that the
backward part needs as further results. A replay hangs one node on its results, whose `apply` runs the backward part.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from flambeau.autograd import engine as autograd
from flambeau.autograd.modes import mode
from flambeau.autograd.node import AccumulateGrad, Node, Pick, changed, merge_parts, released
from flambeau.base.errors import GradientError, explain
from flambeau.graph.capture import CannotCapture, Capture
from flambeau.graph.engine import Task
from flambeau.graph.ir import Value
from flambeau.graph.pieces import extract
from flambeau.graph.verify import verify
from flambeau.primitives.bind import detached, intercept, state
from flambeau.primitives.elementwise import fill
from flambeau.primitives.value import storage_of


class Derivative:
    """The backward program. `outs` are the places of the results that it starts from, `parents` what it ends at: arguments by place, or
    nodes of outside tensors."""

    def __init__(
        self, capture: Capture, outs: list[int], seeds: list[Any], parents: list[Any], grads: list[Any], end: int, leaf: Any
    ) -> None:
        self.outs, self.parents = outs, parents
        self.kinds = [(tuple(s._a.shape), s._a.dtype) for s in seeds]
        values = [capture.read(g) if g is not None else None for g in grads]
        known = [v for v in values if v is not None]
        count = iter(range(len(known)))
        self.places: list[int | None] = [None if v is None else next(count) for v in values]
        piece = extract(capture.graph, capture.graph.ops[end:], known)
        verify(piece.graph)
        self.piece = piece
        mine = {id(s._a): j for j, s in enumerate(seeds)}
        arrays = dict(zip(capture.graph.inputs, capture.outside))
        tensors = dict(zip(capture.graph.inputs, capture.origins))
        self.sources = [self._source(v, mine, arrays, tensors, leaf) for v in piece.inputs]
        self.engine: Any = None

    def _source(self, v: Value, seeds: dict[int, int], arrays: dict[Value, Any], tensors: dict[Value, Any], leaf: Any) -> tuple[str, Any]:
        """Where an input of the backward program comes from."""
        if v not in arrays:
            return "saved", leaf.result(v, fresh=True)
        array = arrays[v]
        if id(array) in seeds:
            return "seed", seeds[id(array)]
        if any(a is array for _, a, _ in leaf.writes):
            return "saved", leaf.result(v, fresh=True)  # overwritten by the time that backward runs
        where = leaf.path.places.get(id(array))
        return ("argument", where) if where is not None else ("tensor", tensors[v])

    def remember(self, leaf: Any, run: Any, results: list[Any]) -> dict[int, Any]:
        """The nodes of the results of one replay, by place."""
        parents = tuple([run.leaves[p]._node if isinstance(p, int) else p for p in self.parents])
        saved: list[Any] = []
        for kind, x in self.sources:
            if kind == "saved":
                saved.append((results[x], None, 0))
            elif kind != "seed":
                t = run.leaves[x] if kind == "argument" else x
                saved.append((t._a, t, storage_of(t).version))
            else:
                saved.append(None)
        node = CompiledBackward(self, parents, saved, leaf.path.make)
        return {at: node if len(self.outs) == 1 else Pick(node, j) for j, at in enumerate(self.outs)}

    def run(self, saved: list[Any], seeds: list[Any], make: Any) -> list[Any]:
        """The gradients of the parents."""
        given = []
        for (kind, x), entry in zip(self.sources, saved):
            given.append(np.ascontiguousarray(seeds[x]._a).reshape(seeds[x]._a.shape) if kind == "seed" else entry[0])
        if self.engine is None:
            graph = self.piece.graph
            strided = frozenset(k for k, a in enumerate(given) if not a.flags.c_contiguous)
            fresh = frozenset(range(len(graph.results)))
            self.engine = make(Task(graph, [None] * len(given), {}, fresh, strided))
        found = self.engine.run(given, ())
        return [None if at is None else state.wrap(found[at]) for at in self.places]


class CompiledBackward(Node):
    """The node of a compiled function's results."""

    __slots__ = ("derivative", "make", "outputs", "saved")
    fresh = True

    def __init__(self, derivative: Derivative, parents: tuple[Node | None, ...], saved: list[Any], make: Any) -> None:
        super().__init__(parents)
        self.derivative, self.saved, self.make = derivative, saved, make
        self.outputs = derivative.kinds

    def apply(self, g: Any, needed: Any) -> Any:
        parts = g if type(g) is list else [g]
        if mode.grad or any(p is not None and p._node is not None for p in parts):
            hint = "call autograd.grad inside the compiled function, or do not compile it"
            raise GradientError(
                explain("backward", expected="first derivatives of a compiled function", got="create_graph=True", hint=hint)
            )
        if self.saved is None:
            raise released(self)
        for entry in self.saved:
            if entry is not None and entry[1] is not None and entry[1]._st.version != entry[2]:
                raise changed(self, entry[1], entry[2])
        seeds = [state.wrap(np.zeros(*kind)) if p is None else p for p, kind in zip(parts, self.outputs)]
        return self.derivative.run(self.saved, seeds, self.make)

    def merge(self, old: Any, new: Any) -> Any:
        return merge_parts(old, new) if type(old) is list else old + new

    def release(self) -> None:
        self.saved = None  # type: ignore[assignment]


def derive(capture: Capture, leaf: Any, leaves: list[Any]) -> Derivative | None:
    """Capture the backward pass of the results that require grad, if there are any."""
    outs = [at for at, (kind, _) in enumerate(leaf.returned) if kind in ("result", "view", "alias") and leaf.outs[at]._node is not None]
    outs = [at for at in outs if leaf.outs[at]._node not in capture.borders]
    if not outs:
        return None
    ends = _ends([leaf.outs[at]._node for at in outs], capture)
    places = {x._node: i for i, x in enumerate(leaves) if getattr(x, "_node", None) in capture.borders}
    written = {id(m): m.version for m in capture.memories.values()}
    end, cuts, reads = len(capture.graph.ops), len(capture.cuts), len(capture.reads)
    with intercept(None):
        seeds = [fill(detached(leaf.outs[at]), value=1) for at in outs]
    targets: dict[Node, Any] = dict.fromkeys(ends)
    with intercept(capture), _without_hooks(ends):
        roots = [(leaf.outs[at]._node, s) for at, s in zip(outs, seeds)]
        try:
            autograd.run(roots, retain_graph=True, create_graph=False, targets=targets)
        except GradientError as error:  # it will be raised where eager code raises it
            raise CannotCapture(str(error)) from error
        made = Derivative(capture, outs, seeds, [places.get(n, n) for n in ends], [targets[n] for n in ends], end, leaf)
    grown = any(m.outside and m.version != written.get(id(m), 0) for m in capture.memories.values())
    if grown or len(capture.cuts) != cuts or len(capture.reads) != reads:
        got = "a backward pass that reads values or writes to outside memory"
        raise CannotCapture(explain("capture", expected="derivatives that only compute", got=got, hint="call backward inside"))
    return made


@contextmanager
def _without_hooks(nodes: list[Node]) -> Iterator[None]:
    """The hooks of the nodes where a captured backward pass ends are run by the pass that uses it."""
    hooks = [node.hooks for node in nodes]
    for node in nodes:
        node.hooks = None
    try:
        yield
    finally:
        for node, kept in zip(nodes, hooks):
            node.hooks = kept


def _ends(roots: list[Node], capture: Capture) -> list[Node]:
    """The nodes at which the captured part of the tape ends: leaves, and what outside tensors come from."""
    seen, stack = set(roots), list(roots)
    found: dict[Node, None] = {}
    while stack:
        node = stack.pop()
        if node in capture.borders or type(node) is AccumulateGrad:
            found[node] = None
            continue
        for p in node.parents:
            if p is not None and p not in seen:
                seen.add(p)
                stack.append(p)
    return list(found)
