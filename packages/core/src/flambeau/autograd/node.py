"""Nodes of the autograd graph: what an operation keeps so that its gradient can be computed.

`seq` counts up, so a node is always newer than its parents: sorting by it is a topological order.
"""

from __future__ import annotations

import itertools
from typing import Any

from flambeau.autograd.hooks import Hooks, hooks_of, put
from flambeau.autograd.modes import mode
from flambeau.autograd.saved import Packed, watch
from flambeau.base.errors import GradientError, explain
from flambeau.primitives.bind import state
from flambeau.primitives.elementwise import real
from flambeau.primitives.movement import sum_to
from flambeau.primitives.prim import DTYPES, OUT, Prim
from flambeau.primitives.value import Value, storage_of

_next = itertools.count().__next__
_new = object.__new__
_NOTHING: dict[str, Any] = {}


class Node:
    """What a differentiable value comes from. `parents[i]` is the node of input i, or None where no gradient flows."""

    __slots__ = ("__weakref__", "hooks", "notes", "parents", "seq", "trace")
    parents: tuple[Node | None, ...]
    seq: int
    hooks: Hooks | None
    notes: dict[str, Any] | None
    trace: str | None
    fresh = False  # whether the gradients that `apply` returns are new tensors, which nobody else holds

    def __init__(self, parents: tuple[Node | None, ...]) -> None:
        self.parents = parents
        self.seq = _next()
        self.hooks = self.notes = self.trace = None

    def apply(self, g: Any, needed: Any) -> Any:
        """Gradients for the parents, given that of the output; with `needed`, a set of nodes, others may be skipped."""
        raise NotImplementedError

    def merge(self, old: Any, new: Any) -> Any:
        """Combine gradients that reach this node from two uses."""
        return old + new

    def release(self) -> None:
        """Drop what was kept; a second backward is an error then."""

    def name(self) -> str:
        """As PyTorch prints it, e.g. `MulBackward`."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The parents, with the output of theirs that was used."""
        return tuple((p.parents[0], p.index) if isinstance(p, Pick) else (p, 0) for p in self.parents)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dict for whatever a program wants to note at this node."""
        notes = self.notes
        if notes is None:
            notes = self.notes = {}
        return notes

    def register_hook(self, hook: Any) -> Any:
        """Call `hook(grad_inputs, grad_outputs)` after this node ran; a tuple it returns replaces the gradients of the inputs."""
        return put(hooks_of(self).post, hook)

    def register_prehook(self, hook: Any) -> Any:
        """Call `hook(grad_outputs)` before this node runs; a tuple it returns replaces the gradients of the outputs."""
        return put(hooks_of(self).pre, hook)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


class AccumulateGrad(Node):
    """The node of a leaf: sums gradients into `grad`."""

    __slots__ = ("after", "grad", "variable")

    def __init__(self, variable: Any, grad: Any = None) -> None:
        super().__init__(())
        self.grad = grad
        self.after: Any = None
        self.variable = variable  # a weak reference to the leaf


class PrimNode(Node):
    """The node of a primitive with one output."""

    __slots__ = ("dtypes", "out", "params", "prim", "saved", "shapes", "versions")
    prim: Prim
    params: dict[str, Any]
    saved: Any  # per input: the tensor or number that a derivative needs, or None
    versions: Any
    shapes: Any
    dtypes: Any
    out: Any  # (array or arrays, storage, version) where a derivative needs the output; packed: a list
    fresh = True

    def apply(self, g: Any, needed: Any) -> Any:
        prim = self.prim
        rules: Any = prim.rules
        if prim.variadic:
            return rules[0](g, self)
        grads: list[Any] = []
        i = 0
        for parent in self.parents:
            if parent is None or (needed is not None and parent not in needed):
                grads.append(None)
            else:
                gi = rules[i](g, self)
                if prim.elementwise and gi._a.shape != self.shapes[i]:
                    gi = sum_to(gi, self.shapes[i])
                grads.append(gi)
            i += 1
        return grads

    def unpack(self, i: int) -> Any:
        """Input i as it was; an error if it was changed in place or dropped since."""
        saved = self.saved
        if saved is None:
            raise released(self)
        x = saved[i]
        if not isinstance(x, Value):
            return x.restore(self.parents[i]) if type(x) is Packed else x
        if x._st is not None and x._st.version != self.versions[i]:
            raise changed(self, x, self.versions[i])
        if x._node is not self.parents[i]:
            alias = state.wrap(x._a)
            alias._st, alias._node = x._st, self.parents[i]
            return alias
        return x

    def unpack_out(self) -> Any:
        """The output as it was."""
        if self.out is None:
            raise released(self)
        if type(self.out) is list:
            arrays = tuple([packed.restore(None)._a for packed in self.out])
            return self.rewrap(arrays if isinstance(self, MultiNode) else arrays[0])
        array, st, version = self.out
        if st is not None and st.version != version:
            raise changed(self, self.rewrap(array), version, st.version)
        return self.rewrap(array, st)

    def rewrap(self, array: Any, st: Any = None) -> Any:
        """The output as a tensor that hangs on this node."""
        if type(array) is tuple:
            outs = tuple(state.wrap(a) for a in array)
            if mode.grad:
                for i, o in enumerate(outs):
                    if o._a.dtype.kind not in "biu":
                        o._node = Pick(self, i)
            return outs
        out = state.wrap(array)
        out._st = st
        if mode.grad:
            out._node = self
        return out

    def release(self) -> None:
        self.saved = self.out = None

    def name(self) -> str:
        return "".join(p.capitalize() for p in self.prim.name.split("_")) + "Backward"


class ComplexNode(PrimNode):
    """The node of a primitive with a complex output, whose inputs may be real: their gradients are real too."""

    __slots__ = ()

    def apply(self, g: Any, needed: Any) -> Any:
        grads = super().apply(g, needed)
        kinds = self.dtypes
        return [
            real(gi) if gi is not None and d is not None and d.kind != "c" and gi._a.dtype.kind == "c" else gi
            for gi, d in zip(grads, kinds, strict=True)
        ]


class MultiNode(PrimNode):
    """The node of a primitive with several outputs; its gradient is a list with an entry per output."""

    __slots__ = ("outputs",)
    outputs: list[Any]  # (shape, dtype) of each

    def unpack_out(self) -> Any:
        """The outputs as they were."""
        if type(self.out) is tuple:
            arrays, storages, versions = self.out
            now = tuple(st.version for st in storages)
            if now != versions:
                raise changed(self, self.rewrap(arrays), max(versions), max(now))
            return self.rewrap(arrays)
        return super().unpack_out()

    def apply(self, g: Any, needed: Any) -> Any:
        return super().apply(g if self.prim.partial else materialize(g, self.outputs), needed)

    def merge(self, old: Any, new: Any) -> Any:
        return merge_parts(old, new)


def materialize(parts: list[Any], outputs: Any) -> tuple[Any, ...]:
    """Zeros for the differentiable outputs that no gradient reached."""
    from flambeau.primitives.indexing import zeros_of

    like = next(p for p in parts if p is not None)
    filled = []
    for part, (shape, dtype) in zip(parts, outputs, strict=True):
        if part is None and dtype.kind not in "biu":
            part = zeros_of(like, shape)
            if part._a.dtype != dtype:
                from flambeau.primitives.elementwise import cast

                part = cast(part, dtype=dtype)
        filled.append(part)
    return tuple(filled)


def merge_parts(old: list[Any], new: list[Any]) -> list[Any]:
    """Sum two lists of gradients entry by entry."""
    return [b if a is None else a if b is None else a + b for a, b in zip(old, new, strict=True)]


class Pick(Node):
    """One output of a node with several."""

    __slots__ = ("index",)

    def __init__(self, node: Any, index: int) -> None:
        super().__init__((node,))
        self.index = index

    def apply(self, g: Any, needed: Any) -> Any:
        parts: list[Any] = [None] * len(self.parents[0].outputs)  # type: ignore[union-attr]
        parts[self.index] = g
        return (parts,)

    def name(self) -> str:
        return self.parents[0].name()  # type: ignore[union-attr]


def released(node: Node) -> GradientError:
    """The error of a second backward."""
    return GradientError(
        explain(
            "backward",
            expected="a graph that still has its saved values",
            got=f"{node.name()}, which was already run (trying to backward through the graph a second time)",
            hint="backward(retain_graph=True) the first time",
        )
    )


def changed(node: Node, x: Any, was: int, now: int | None = None) -> GradientError:
    """The error of a saved value that was overwritten."""
    found = x._st.version if now is None else now
    shape = [tuple(o._a.shape) for o in x] if type(x) is tuple else tuple(x._a.shape)
    return GradientError(
        explain(
            "backward",
            expected=f"the values that {node.name()} saved (version {was})",
            got=f"a tensor of shape {shape} that has been modified by an inplace operation (version {found})",
            hint="the out-of-place operation, or .clone() before changing it",
        )
    )


def record(prim: Prim, inputs: tuple[Any, ...], params: dict[str, Any], out: Any) -> None:
    """Hang a node on the output of an operation whose inputs require grad. `bind` calls this."""
    if not mode.grad:
        return
    multi = type(out) is tuple
    kind = "" if multi else out._a.dtype.kind
    if kind and kind in "biu":
        return
    rules: Any = prim.rules
    needs = prim.needs
    variadic = prim.variadic
    mask = 0
    parents: list[Any] = []
    shapes = []
    i = 0
    for x in inputs:
        p = None
        if isinstance(x, Value):
            shapes.append(x._a.shape)
            p = x._node
            if p is not None:
                j = 0 if variadic else i
                if rules[j] is None:
                    p = None
                else:
                    mask |= needs[j]
        else:
            shapes.append(())
        parents.append(p)
        i += 1
    if parents.count(None) == i:
        return
    node: PrimNode = _new(MultiNode if multi else ComplexNode if kind == "c" else PrimNode)
    node.prim, node.params, node.parents, node.shapes = prim, params, tuple(parents), shapes
    node.seq = _next()
    node.hooks = node.notes = node.trace = None
    saved: list[Any] = []
    versions = []
    for k in range(i):
        x = inputs[k]
        if mask >> k & 1:
            saved.append(x)
            versions.append(x._st.version if isinstance(x, Value) and x._st is not None else 0)
        else:
            saved.append(None)
            versions.append(0)
    node.saved, node.versions = saved, versions
    node.dtypes = [x._a.dtype if isinstance(x, Value) else None for x in inputs] if mask & DTYPES or kind == "c" else None
    if multi:
        _hang(node, out, mask)
    else:
        if mask & OUT:
            st = storage_of(out)
            node.out = (out._a, st, st.version)
        else:
            node.out = None
        out._node = node
    if mode.watched:
        watch(node, out)


def record_pair(prim: Prim, x: Any, y: Any, out: Any) -> None:
    """`record` for a primitive of two inputs that are both differentiable, without its loops: the hot path of arithmetic."""
    if not mode.grad:
        return
    px = x._node
    mask = prim.needs[0] if px is not None else 0
    node: PrimNode = _new(PrimNode)
    if isinstance(y, Value):
        py = y._node
        if py is not None:
            mask |= prim.needs[1]
        node.shapes = (x._a.shape, y._a.shape)
        vy = 0 if y._st is None else y._st.version
    else:
        py = None
        node.shapes = (x._a.shape, ())
        vy = 0
    node.parents = (px, py)
    node.saved = (x if mask & 1 else None, y if mask & 2 else None)
    node.versions = (0 if x._st is None else x._st.version, vy)
    node.prim, node.params, node.dtypes = prim, _NOTHING, None
    node.seq = _next()
    node.hooks = node.notes = node.trace = None
    if mask & OUT:
        st = storage_of(out)
        node.out = (out._a, st, st.version)
    else:
        node.out = None
    out._node = node
    if mode.watched:
        watch(node, out)


def _hang(node: Any, out: tuple[Any, ...], mask: int) -> None:
    node.outputs = [(o._a.shape, o._a.dtype) for o in out]
    node.out = None
    if mask & OUT:
        storages = tuple(storage_of(o) for o in out)
        node.out = (tuple(o._a for o in out), storages, tuple(st.version for st in storages))
    for index, o in enumerate(out):
        if o._a.dtype.kind not in "biu":
            o._node = Pick(node, index)


state.record = record
