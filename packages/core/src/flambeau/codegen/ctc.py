"""The CTC loss and its gradient in machine code: a thread takes whole sequences, and walks their states step by step.

States, sums and conventions are those of primitives/kernels/ctc.py: float64 logarithms, so that nothing over- or underflows. A row of
states has two that do not exist before its first one, so that coming from one or two states before needs no case of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.codegen import vecmath
from flambeau.codegen.llvm import Target
from flambeau.codegen.loops import Kernel
from flambeau.codegen.memory_access import load, store
from flambeau.codegen.nest import LARGE, Nest
from flambeau.codegen.nodes import Access, Buffer, Node
from flambeau.codegen.value import F64, I64, V
from flambeau.graph.ir import Op

if TYPE_CHECKING:
    from flambeau.codegen.lower import Lowering

MOST = 1 << 12  # states of a sequence, which lie on the stack
LEFT = 2  # states that do not exist before the first one, and after the last
_NONE = -np.inf


def ctc(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """The rule of both rows."""
    x, targets, *rest = (low.memory(h) for h in handles)  # lengths, and for the gradient what it is multiplied with
    if x.dtype not in (np.dtype("f4"), np.dtype("f8")) or 0 in x.shape or 2 * targets.shape[1] + 1 > MOST:
        return None
    x = x if x.layout.strides[2] == 1 or x.shape[2] == 1 else low.materialise(x)
    operands = [low.materialise(a) for a in (targets, *rest)]
    node = Node("native", op.prim.name, (x, *operands), (), params={**params, "write": _write})
    node.outputs = tuple(Buffer(v.shape, v.dtype, node) for v in op.outputs)
    low.nodes.append(node)
    whole = tuple(low.whole(b) for b in node.outputs)
    return whole if len(whole) > 1 else whole[0]


RULES = {"ctc": ctc, "ctc_grad": ctc}


def _write(node: Node, target: Target) -> list[list[Kernel]]:
    return [_Sequences(node, target).kernels()]


class _Sequences:
    """Writes the kernel; `n` is the sequence that is walked."""

    def __init__(self, node: Node, target: Target) -> None:
        self.node, self.nest = node, Nest(target)
        self.code = self.nest.code
        self.x, self.targets, self.given, self.wanted, *g = node.accesses()
        self.g: Access | None = g[0] if g else None
        self.steps, self.batch, self.classes = self.x.shape
        self.labels = self.targets.shape[1]
        self.lanes = target.lanes(8)
        self.count = 2 * self.labels + 1
        self.room = -(-self.count // self.lanes) * self.lanes  # states in whole vectors
        self.width = LEFT + self.room + LEFT

    def kernels(self) -> list[Kernel]:
        """The loop over sequences, in shares where there is much to do."""
        nest, out = self.nest, self.node.outputs[0]
        self.alpha = Buffer((self.batch, self.steps + 1, self.width), F64) if self.g is not None else None
        shared = self.batch > 1 and self.steps * self.batch * self.count >= LARGE // 8
        self.where = self._array("i64", self.room)  # the class of each state
        self.skips = self._array("double", self.room + LEFT)  # 0 where a state may be reached by a skip
        self.emitted = self._array("double", self.room)
        with nest.loops((self.batch,), shared) as (n,):
            self._begin(n)
            loss = self._forward(n)
            if self.g is None:
                nest.store(out, n, loss.to(out.dtype))
            else:
                self._backward(n, loss, self.g, out)
        made = [out] if self.alpha is None else [out, self.alpha]
        return nest.finish(made, shared=self.batch if shared else 0)

    # -- a sequence ----------------------------------------------------------------------------------------------------------------------
    def _begin(self, n: str) -> None:
        """The states of a sequence: their classes, and which may be skipped into."""
        code, nest = self.code, self.nest
        self.stop = code.smaller(nest.load(self.given.buffer, n).text, str(self.steps))
        self.end = code.smaller(nest.load(self.wanted.buffer, n).text, str(self.labels))
        self.states = code.let(f"add i64 {code.let(f'shl i64 {self.end}, 1')}, 1")
        blank = self.node.params["blank"]
        self._fill(self.skips, self.room + LEFT, _NONE)
        self._fill(self.emitted, self.room, _NONE)
        with code.loop(self.room) as s:
            code.do(f"store i64 {blank}, ptr {code.element(self.where, 'i64', s)}")
        with code.span(self.end) as k:
            state = code.let(f"add i64 {code.let(f'shl i64 {k}, 1')}, 1")
            position = nest.offset([n, k], (self.labels, 1))
            label = V(code, code.smaller(nest.load(self.targets.buffer, position).text, str(self.classes - 1)), I64, 0)
            code.do(f"store i64 {label.text}, ptr {code.element(self.where, 'i64', state)}")
            before = code.let(f"load i64, ptr {code.element(self.where, 'i64', code.let(f'sub i64 {state}, {self._two(k)}'))}")
            free = label.differs(blank) & label.differs(V(code, before, I64, 0)) & V(code, k, I64, 0).differs(0)
            store(code, code.element(self.skips, "double", state), free.choose(V(code, "0.0", F64, 0), self._none(0)))

    def _two(self, k: str) -> str:
        """2, or 1 for the first label, which has no label before it."""
        first = self.code.let(f"icmp eq i64 {k}, 0")
        return self.code.let(f"select i1 {first}, i64 1, i64 2")

    def _emit(self, n: str, t: str) -> None:
        """The log-probabilities of the states at a step."""
        code, (step, sequence, _) = self.code, self.x.layout.strides
        start = self.nest.offset([t, n], (step, sequence), self.x.layout.offset)
        with code.span(self.states) as s:
            label = code.let(f"load i64, ptr {code.element(self.where, 'i64', s)}")
            value = self.nest.load(self.x.buffer, code.let(f"add i64 {start}, {label}"))
            store(code, code.element(self.emitted, "double", s), value.to(F64))

    def _forward(self, n: str) -> V:
        """Walk all steps; the negative log-likelihood. Row 0 stands before the first step: in state 0."""
        code = self.code
        if self.alpha:
            self.rows = code.element(self.nest.base(self.alpha), "double", self.nest.offset([n], ((self.steps + 1) * self.width,)))
        else:
            self.rows = self._array("double", 2 * self.width)
        self._fill(self.rows, self.width, _NONE)
        store(code, code.element(self.rows, "double", str(LEFT)), V(code, "0.0", F64, 0))
        with code.span(self.stop) as t:
            self._emit(n, t)
            goal = self._at(code.let(f"add i64 {t}, 1"))
            for k in range(LEFT):
                store(code, code.element(goal, "double", str(k)), self._none(0))
            self._step(self._at(t), goal, (0, -1, -2))
        last = self._at(self.stop)
        final = code.let(f"add i64 {code.let(f'shl i64 {self.end}, 1')}, {LEFT}")
        at_blank = load(code, code.element(last, "double", final), F64, 0)
        at_label = load(code, code.element(last, "double", code.let(f"sub i64 {final}, 1")), F64, 0)
        return -_sum([at_blank, at_label])

    def _at(self, t: str) -> str:
        """The row of states before step t; without a gradient there are two rows in turn."""
        code = self.code
        at = t if self.alpha else code.let(f"and i64 {t}, 1")
        return code.element(self.rows, "double", code.arithmetic("mul", at, str(self.width)))

    def _step(self, before: str, after: str, ways: tuple[int, int, int]) -> None:
        """One step of a recursion: stay, come from a neighbour, or skip one; and emit."""
        code, lanes = self.code, self.lanes
        with code.loop(self.room // lanes, step=lanes) as s:

            def read(array: str, shift: int = 0) -> V:
                position = code.arithmetic("add", s, str(shift)) if shift >= 0 else code.let(f"sub i64 {s}, {-shift}")
                return load(code, code.element(array, "double", position), F64, lanes)

            stay, near, far = (read(before, LEFT + way) for way in ways)
            free = read(self.skips, max(ways[2], 0))
            total = _sum([stay, near, far + free]) + read(self.emitted)
            store(code, code.element(after, "double", code.let(f"add i64 {s}, {LEFT}")), total)

    def _backward(self, n: str, loss: V, g: Access, out: Buffer) -> None:
        """Walk back, and write the gradient of each step."""
        code, lanes = self.code, self.lanes
        beta, shares, sums = self._array("double", 2 * self.width), self._array("double", self.room), self._array("double", self.classes)
        self._fill(beta, 2 * self.width, _NONE)
        first = code.let(f"add i64 {code.let(f'shl i64 {self.end}, 1')}, {LEFT}")
        code.do(f"store double 0.0, ptr {code.element(beta, 'double', first)}")
        scale, impossible = self.nest.load(g.buffer, n).to(F64), loss.equals(np.inf)
        with code.span(self.stop) as k:
            t = code.let(f"sub i64 {code.let(f'sub i64 {self.stop}, 1')}, {k}")
            self._emit(n, t)
            odd = code.let(f"mul i64 {code.let(f'and i64 {k}, 1')}, {self.width}")
            other = code.let(f"sub i64 {self.width}, {odd}")
            before, after = code.element(beta, "double", odd), code.element(beta, "double", other)
            self._step(before, after, (0, 1, 2))
            alpha = self._at(code.let(f"add i64 {t}, 1"))
            with code.loop(self.room // lanes, step=lanes) as s:
                at = code.let(f"add i64 {s}, {LEFT}")
                paths = self._states(alpha, at) + self._states(after, at)
                emitted = load(code, code.element(self.emitted, "double", s), F64, lanes)
                share = vecmath.exp(paths - emitted + loss.spread(lanes))
                store(code, code.element(shares, "double", s), (paths > _NONE).choose(share, 0.0))
            self._gradient(n, t, shares, sums, (scale, impossible), out)
        with code.span(str(self.steps), start=self.stop) as t, code.loop(self.classes) as c:
            self.nest.store(out, self._place(t, n, c), V(code, "0.0", out.dtype, 0))

    def _states(self, row: str, at: str) -> V:
        return load(self.code, self.code.element(row, "double", at), F64, self.lanes)

    def _gradient(self, n: str, t: str, shares: str, sums: str, factors: tuple[V, V], out: Buffer) -> None:
        """g times (probabilities minus expected counts)."""
        code, nest, (scale, impossible) = self.code, self.nest, factors
        step, sequence, _ = self.x.layout.strides
        start = nest.offset([t, n], (step, sequence), self.x.layout.offset)
        for c, lanes in nest.runs(self.classes, self.lanes):
            value = nest.load(self.x.buffer, nest.plus(start, c), lanes).to(F64)
            store(code, code.element(sums, "double", c), vecmath.exp(value))
        with code.span(self.states) as s:
            slot = code.element(sums, "double", code.let(f"load i64, ptr {code.element(self.where, 'i64', s)}"))
            store(code, slot, load(code, slot, F64, 0) - load(code, code.element(shares, "double", s), F64, 0))
        nothing = 0.0 if self.node.params["zero_infinity"] else np.nan
        for c, lanes in nest.runs(self.classes, self.lanes):
            value = load(code, code.element(sums, "double", c), F64, lanes) * scale.spread(lanes)
            value = impossible.spread(lanes).choose(value.const(nothing), value)
            nest.store(out, self._place(t, n, c), value.to(out.dtype))

    def _place(self, t: str, n: str, c: str) -> str:
        return self.nest.offset([t, n, c], (self.batch * self.classes, self.classes, 1))

    # -- memory --------------------------------------------------------------------------------------------------------------------------
    def _array(self, kind: str, size: int) -> str:
        return self.code.slot(f"[{size} x {kind}]", 64)

    def _fill(self, array: str, size: int, number: float) -> None:
        with self.code.loop(size) as s:
            store(self.code, self.code.element(array, "double", s), V(self.code, "0.0", F64, 0).const(number))

    def _none(self, lanes: int) -> V:
        return V(self.code, "0.0", F64, lanes).const(_NONE)


def _sum(terms: list[V]) -> V:
    """The logarithm of the sum of exponentials, also where all are -inf."""
    top = terms[0]
    for term in terms[1:]:
        top = (top > term).choose(top, term)
    top = (top > _NONE).choose(top, 0.0)
    total = vecmath.exp(terms[0] - top)
    for term in terms[1:]:
        total = total + vecmath.exp(term - top)
    return vecmath.log(total) + top
