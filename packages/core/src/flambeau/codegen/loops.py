"""Writing a kernel's form as IR: the loops, vectors of lanes, accumulators, loads and stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from flambeau.codegen import expr
from flambeau.codegen.kernel import Form, Place
from flambeau.codegen.llvm import Target, digest
from flambeau.codegen.nodes import Access, Buffer, Node, Operand, Parameter, Uniform
from flambeau.codegen.text import Code, Module, memory_type, scalar_type, splat, vector
from flambeau.codegen.value import F32, F64, V, fold, is_half
from flambeau.codegen.words import from_words, to_words

_CASCADE = 128  # float sums add this many vectors, then add the partial sums: the rounding error stays small in long sums
LARGE = 1 << 19  # elements times operations from which a kernel is worth several threads (some 50 microseconds)
_SHARES = 16  # how many shares a large kernel is cut into, whatever the number of threads
NAME = "@kernel"  # replaced by a name made from the content


@dataclass
class Kernel:
    """A finished kernel: its module's text, its name, and what it is called with: pointers to buffers, then numbers."""

    text: str
    name: str
    buffers: list[Buffer]
    scalars: list[int]
    imports: list[str] = field(default_factory=list)
    reads: dict[Buffer, set[Buffer]] = field(default_factory=dict)  # each buffer read: the written ones that may take its memory
    writes: list[Buffer] = field(default_factory=list)
    scratch: list[Buffer] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)  # for each buffer: bytes from its start to the address that is given (none: 0)
    extent: tuple[int, int] | None = None  # the part of its outermost loop that a kernel for several threads is to do
    same: tuple[Buffer, Buffer] | None = None  # a copy of one to the other, not needed where both lie in the same memory

    def shares(self, count: int, share: int) -> list[Kernel]:
        """The kernel cut along its outermost loop of `count` rounds, `share` rounds each."""
        kernels = []
        for at in range(0, count, share):
            own = {b: Buffer(b.shape, b.dtype) for b in self.scratch}  # scratch memory is not shared
            buffers = [own.get(b, b) for b in self.buffers]
            kernels.append(replace(self, extent=(at, min(at + share, count)), buffers=buffers, scratch=list(own.values())))
        return kernels


@dataclass(frozen=True)
class Unit:
    """One vector's worth of work: the position along the lane axis, and the number of lanes."""

    at: str
    lanes: int


class Writer:
    """Writes one form for one target."""

    def __init__(self, form: Form, target: Target) -> None:
        self.form, self.target = form, target
        self.module = Module(target.level != "generic", target.level)
        self.code = Code(self.module)
        self.buffers: dict[Buffer, str] = {}
        self.scalars: dict[int, str] = {}
        self.index: list[str] = ["0"] * len(form.sizes)
        self.maker = {b: n for n in form.group.nodes for b in n.outputs}
        self.row_values: dict[tuple[Node, int], V] = {}
        self.memo: dict[tuple[Node, int], V] = {}
        self.lanes, self.unroll = shape_of_work(form, target)
        self.phase = 0

    # -- the whole ------------------------------------------------------------------------------------------------------------------------
    def write(self) -> list[Kernel]:
        """The kernel; a large one in shares that can run side by side."""
        form = self.form
        kept = self._kept()
        rounds = form.sizes[kept[0]] if kept else self._rounds()
        shared = rounds > 1 and prod(form.sizes) * max(len(form.group.nodes), 4) >= LARGE
        with self._outermost(kept, shared):
            self._inner(shared and not kept)
        parameters = [f"ptr {p}" for p in self.buffers.values()] + [f"double {s}" for s in self.scalars.values()]
        self.module.functions["kernel"] = self.code.function(NAME[1:], parameters + (["i64 %begin", "i64 %end"] if shared else []))
        text = self.module.render(8 * self.target.bytes)
        name = f"k{digest(text)[:24]}"
        kernel = Kernel(text.replace(f"{NAME}(", f"@{name}("), name, list(self.buffers), list(self.scalars), list(self.module.imports))
        kernel.writes = [p.buffer for _, p in form.stores]
        kernel.reads = _reads(form)
        written = {p.buffer for _, p in form.stores}
        kernel.scratch = [p.buffer for p in form.kept.values() if p.buffer not in written]
        return kernel.shares(rounds, -(-rounds // _SHARES)) if shared else [kernel]

    def _kept(self) -> list[int]:
        """The axes of the loops outside."""
        return [i for i in range(len(self.form.sizes)) if i not in self.form.reduced and i != self.form.lane]

    def _rounds(self) -> int:
        """How many rounds can be shared where there are no loops outside."""
        return 0 if self.form.lane in self.form.reduced else self.form.sizes[self.form.lane] // (self.lanes * self.unroll)

    def _inner(self, shared: bool) -> None:
        """Everything within the loops over kept axes other than that of the lanes, which is shared if there are none."""
        if self.form.lane in self.form.reduced:
            self._phases([Unit("", 0)])
            return
        for units in self._blocks(self.form.sizes[self.form.lane], shared):
            self._phases(units)

    @contextmanager
    def _outermost(self, kept: list[int], shared: bool) -> Iterator[None]:
        if not (shared and kept):
            with self._nest(kept):
                yield
            return
        with self.code.span("%end", start="%begin") as at:
            self.index[kept[0]] = at
            with self._nest(kept[1:]):
                yield

    @contextmanager
    def _nest(self, axes: list[int]) -> Iterator[None]:
        """Loops over axes, the first outermost."""
        if not axes:
            yield
            return
        with self.code.loop(self.form.sizes[axes[0]]) as at:
            self.index[axes[0]] = at
            with self._nest(axes[1:]):
                yield

    def _blocks(self, count: int, shared: bool) -> Iterator[list[Unit]]:
        """Cover an axis with vectors: a loop over blocks of several, then the rest in one piece (which the last share does)."""
        block = self.lanes * self.unroll
        if shared:
            with self.code.span("%end", start="%begin") as number:
                at = self.code.let(f"mul nuw nsw i64 {number}, {block}")
                yield [Unit(self._plus(at, u * self.lanes), self.lanes) for u in range(self.unroll)]
            if self._rest(count):
                last = self.code.let(f"icmp eq i64 %end, {count // block}")
                with self.code.span(self.code.let(f"zext i1 {last} to i64")):
                    yield self._rest(count)
            return
        if count >= block:
            with self.code.loop(count // block, step=block) as at:
                yield [Unit(self._plus(at, u * self.lanes), self.lanes) for u in range(self.unroll)]
        rest = self._rest(count)
        if rest:
            yield rest

    def _plus(self, at: str, more: int) -> str:
        if at.isdigit():
            return str(int(at) + more)
        return at if more == 0 else self.code.let(f"add nuw nsw i64 {at}, {more}")

    # -- phases ---------------------------------------------------------------------------------------------------------------------------
    def _phases(self, units: list[Unit]) -> None:
        self.row_values.clear()
        for phase in range(self.form.phases + 1):
            self.phase = phase
            self._rows(phase, units)
            reduces = [n for n in self.form.group.nodes if n.kind == "reduce" and self.form.ready[n] == phase + 1]
            stores = [(n, p) for n, p in self.form.stores if self.form.phase.get(n) == phase]
            if reduces or stores:
                if self.form.lane in self.form.reduced:
                    self._across(reduces, stores)
                else:
                    self._along(units, reduces, stores)

    def _rows(self, phase: int, units: list[Unit]) -> None:
        """Row-level values that are known before this phase."""
        for u, unit in enumerate(units):
            self.index[self.form.lane] = unit.at
            for node in self.form.group.nodes:
                if node in self.form.group.rows and self.form.ready[node] == phase:
                    if node.kind == "map":
                        self.row_values[node, u] = self._apply(node, [self._operand(x, u, unit, node) for x in node.operands])
            self._store([(n, p, self.row_values[n, u]) for n, p in self.form.stores if self.form.ready.get(n) == phase], unit)

    def _along(self, units: list[Unit], reduces: list[Node], stores: list[tuple[Node, Place]]) -> None:
        """The lanes are kept: each reduction has an accumulator for each unit."""
        slots = {(n, u): self._accumulator(n, unit.lanes) for n in reduces for u, unit in enumerate(units)}
        with self._nest(sorted(self.form.reduced)):
            for u, unit in enumerate(units):
                self._body(unit, u, [(n, slots[n, u]) for n in reduces], stores)
        for n, u in slots:
            self.row_values[n, u] = self._load_slot(n, slots[n, u], units[u].lanes)

    def _across(self, reduces: list[Node], stores: list[tuple[Node, Place]]) -> None:
        """The lanes are reduced: several accumulators run side by side and are combined at the end."""
        count, block = self.form.sizes[self.form.lane], self.lanes * self.unroll
        main, wide, tail = count // block, min(self.unroll, count // self.lanes), count % self.lanes
        outer = sorted(self.form.reduced - {self.form.lane})
        slots = {(n, u): self._accumulator(n, self.lanes) for n in reduces for u in range(wide)}
        ends = {(n, wide): self._accumulator(n, tail) for n in reduces if tail}
        long = main > _CASCADE or bool(outer and main)
        sums = [n for n in reduces if long and n.name == "sum" and n.outputs[0].dtype.kind == "f"]
        totals = {(n, u): self._accumulator(n, self.lanes) for n in sums for u in range(wide)}

        def body(at: str) -> None:
            for u in range(self.unroll):
                self._body(Unit(self._plus(at, u * self.lanes), self.lanes), u, [(n, slots[n, u]) for n in reduces], stores)

        with self._nest(outer):
            chunks = main // _CASCADE if totals else 0
            if chunks:
                with self.code.loop(chunks, step=_CASCADE * block) as base:
                    with self.code.loop(_CASCADE, start=base, step=block) as at:
                        body(at)
                    self._flush(slots, totals)
            if main > chunks * _CASCADE:
                with self.code.loop(main - chunks * _CASCADE, start=str(chunks * _CASCADE * block), step=block) as at:
                    body(at)
            for u, unit in enumerate(self._rest(count)):
                index = u if unit.lanes == self.lanes else wide
                self._body(unit, index, [(n, (slots | ends)[n, index]) for n in reduces], stores)
            self._flush(slots, totals)
        for n in reduces:
            self.row_values[n, 0] = self._combined(n, slots | totals, ends, wide)

    def _rest(self, count: int) -> list[Unit]:
        """What blocks leave of an axis: whole vectors, then a shorter one."""
        lanes = self.lanes
        done = count // (lanes * self.unroll) * lanes * self.unroll
        units = [Unit(str(at), lanes) for at in range(done, count - lanes + 1, lanes)]
        tail = count % lanes
        return [*units, Unit(str(count - tail), tail)] if tail else units

    def _body(self, unit: Unit, u: int, reduces: list[tuple[Node, str]], stores: list[tuple[Node, Place]]) -> None:
        """All of one vector: every value first, then the stores, so that a result may take the memory of an operand."""
        self.memo.clear()
        self.index[self.form.lane] = unit.at
        put = {p: n for n, p in self.form.kept.items() if self.form.phase[n] == self.phase}
        put.update((p, n) for n, p in stores)
        values = [(n, p, self._value(n, u, unit)) for p, n in put.items()]
        for n, slot in reduces:
            total = expr.COMBINE[n.name](self._load_slot(n, slot, unit.lanes), self._operand(n.operands[0], u, unit, n))
            self.code.do(f"store {total.type} {total.text}, ptr {slot}")
        self._store(values, unit)

    # -- accumulators ---------------------------------------------------------------------------------------------------------------------
    def _accumulator(self, node: Node, lanes: int) -> str:
        d = node.outputs[0].dtype
        kind = vector(scalar_type(d), lanes)
        slot = self.code.slot(kind)
        self.code.do(f"store {kind} {splat(neutral_of(node), scalar_type(d), lanes)}, ptr {slot}")
        return slot

    def _load_slot(self, node: Node, slot: str, lanes: int) -> V:
        d = node.outputs[0].dtype
        return V(self.code, self.code.let(f"load {vector(scalar_type(d), lanes)}, ptr {slot}"), d, lanes)

    def _flush(self, slots: dict[tuple[Node, int], str], totals: dict[tuple[Node, int], str]) -> None:
        """Add partial sums to the totals, and start them again."""
        for (n, u), total in totals.items():
            part = self._load_slot(n, slots[n, u], self.lanes)
            done = self._load_slot(n, total, self.lanes) + part
            self.code.do(f"store {done.type} {done.text}, ptr {total}")
            self.code.do(f"store {part.type} {part.const(0).text}, ptr {slots[n, u]}")

    def _combined(self, n: Node, slots: dict[tuple[Node, int], str], ends: dict[tuple[Node, int], str], wide: int) -> V:
        """One number from all accumulators, always in the same order."""
        combine = expr.COMBINE[n.name]
        vectors = [self._load_slot(n, slots[n, u], self.lanes) for u in range(wide)]
        while len(vectors) > 1:
            pairs = [combine(a, b) for a, b in zip(vectors[::2], vectors[1::2])]
            vectors = pairs + vectors[len(pairs) * 2 :]
        parts = [fold(v, combine, neutral_of(n)) for v in vectors]
        if (n, wide) in ends:
            parts.append(fold(self._load_slot(n, ends[n, wide], self.form.sizes[self.form.lane] % self.lanes), combine, neutral_of(n)))
        return parts[0] if len(parts) == 1 else combine(parts[0], parts[1])

    # -- values ---------------------------------------------------------------------------------------------------------------------------
    def _value(self, node: Node, u: int, unit: Unit) -> V:
        """A full-level node for one vector."""
        if (node, u) not in self.memo and node in self.form.kept and self.form.phase[node] < self.phase:
            self.memo[node, u] = self._load(self.form.kept[node], unit)
        if (node, u) not in self.memo:
            self.memo[node, u] = self._apply(node, [self._operand(x, u, unit, node) for x in node.operands])
        return self.memo[node, u]

    def _apply(self, node: Node, operands: list[V]) -> V:
        return expr.apply(node.name, operands, node.params, node.outputs[0].dtype)

    def _operand(self, x: Operand, u: int, unit: Unit, node: Node) -> V:
        if isinstance(x, Access):
            maker = self.maker.get(x.buffer)
            if maker is None:
                return self._load(self.form.place(x, node in self.form.group.rows and node.kind == "map"), unit)
            if maker in self.form.group.rows:
                across = self.form.lane in self.form.reduced
                value = self.row_values[maker, 0 if across else u]
                return value.spread(unit.lanes) if across else value
            return self._value(maker, u, unit)
        d = x.dtype if isinstance(x, Uniform) else _dtype_of(node)
        like = V(self.code, "", F32 if is_half(d) else d, unit.lanes)
        if isinstance(x, Uniform):
            return like.const(np.float32(np.asarray(x.number).astype(d)) if is_half(d) else x.number)
        if x.index not in self.scalars:
            self.scalars[x.index] = f"%n{len(self.scalars)}"
        return V(self.code, self.scalars[x.index], F64, 0).to(d).spread(unit.lanes)

    # -- memory ---------------------------------------------------------------------------------------------------------------------------
    def _pointer(self, place: Place) -> str:
        """The address of the element at the current indices."""
        name = self.buffers.setdefault(place.buffer, f"%p{len(self.buffers)}")
        fixed, moving = place.offset, ""
        for at, stride in zip(self.index, place.strides):
            if stride == 0 or at == "":
                continue
            if at.isdigit():
                fixed += int(at) * stride
                continue
            term = at if stride == 1 else self.code.let(f"mul nsw i64 {at}, {stride}")
            moving = term if not moving else self.code.let(f"add nsw i64 {moving}, {term}")
        kind = memory_type(place.buffer.dtype)
        base = self.code.let(f"getelementptr {kind}, ptr {name}, i64 {moving}") if moving else name
        return self.code.let(f"getelementptr {kind}, ptr {base}, i64 {fixed}") if fixed else base

    def _load(self, place: Place, unit: Unit) -> V:
        d = place.buffer.dtype
        stride = place.strides[self.form.lane]
        pointer = self._pointer(place)
        if stride == 0 or unit.lanes == 0:
            return self._load_at(pointer, d, 0).spread(unit.lanes)
        if stride == 1:
            return self._load_at(pointer, d, unit.lanes)
        element, text, own = memory_type(d), "poison", F32 if is_half(d) else d
        kind = vector(scalar_type(own), unit.lanes)
        for i in range(unit.lanes):
            at = self.code.let(f"getelementptr {element}, ptr {pointer}, i64 {i * stride}") if i else pointer
            text = self.code.let(f"insertelement {kind} {text}, {scalar_type(own)} {self._load_at(at, d, 0).text}, i32 {i}")
        return V(self.code, text, own, unit.lanes)

    def _load_at(self, pointer: str, d: np.dtype, lanes: int) -> V:
        kind = vector(memory_type(d), lanes)
        raw = self.code.let(f"load {kind}, ptr {pointer}, align {d.itemsize}")
        if is_half(d):
            return from_words(V(self.code, raw, np.dtype("u2"), lanes), d)
        if d.kind != "b":
            return V(self.code, raw, d, lanes)
        return V(self.code, raw, np.dtype("u1"), lanes).differs(0)

    def _put(self, pointer: str, value: V, place: Place) -> None:
        if is_half(place.buffer.dtype):
            value = to_words(value, place.buffer.dtype)
        if value.dtype.kind == "b":
            value = value.of(f"zext {value.type} {value.text} to {vector('i8', value.lanes)}", np.dtype("u1"))
        self.code.do(f"store {value.type} {value.text}, ptr {pointer}, align {value.dtype.itemsize}")

    def _store(self, values: list[tuple[Node, Place, V]], unit: Unit) -> None:
        for _, place, value in values:
            stride = place.strides[self.form.lane]
            pointer = self._pointer(place)
            if stride == 1 or not value.lanes:
                self._put(pointer, value, place)
                continue
            if is_half(place.buffer.dtype):
                value = to_words(value, place.buffer.dtype)
            if value.dtype.kind == "b":
                value = value.of(f"zext {value.type} {value.text} to {vector('i8', value.lanes)}", np.dtype("u1"))
            align = value.dtype.itemsize
            for i in range(value.lanes):
                at = self.code.let(f"getelementptr {value.element}, ptr {pointer}, i64 {i * stride}") if i else pointer
                self.code.do(f"store {value.element} {value.lane(i).text}, ptr {at}, align {align}")


def neutral_of(node: Node) -> object:
    """The number that a reduction starts from."""
    return expr.neutral(node.name, node.outputs[0].dtype)


def _dtype_of(node: Node) -> np.dtype:
    """The dtype that a number given at run time takes: that of the arrays beside it."""
    return next(x.dtype for x in reversed(node.operands) if not isinstance(x, Parameter))


def shape_of_work(form: Form, target: Target) -> tuple[int, int]:
    """How many lanes a vector has (as many as of the widest dtype fit a register), and how many vectors make a block."""
    nodes = form.group.nodes
    wide = nodes
    if form.lane in form.reduced:  # what is known once for a row is not in vectors
        wide = [n for n in nodes if n not in form.group.rows or n.kind == "reduce"]
    dtypes = [n.outputs[0].dtype for n in wide] + [a.dtype for n in wide for a in n.accesses()]
    lanes = target.lanes(max(4, *(d.itemsize for d in dtypes)))
    return lanes, 4 if len(nodes) <= 6 else 2 if len(nodes) <= 16 else 1


def _reads(form: Form) -> dict[Buffer, set[Buffer]]:
    """The buffers read, each with the written ones that may take its memory.

    They must be walked through in the same way, and written when the read is done: at the same point in the last phase for a full-level
    value (earlier phases may be computed again), not before any reader for a row-level one.
    """
    heirs: dict[Buffer, set[Buffer]] = {}
    for buffer in {b for b, _, _ in form.places}:
        mine = {(row, p.strides, p.offset) for (b, _, row), p in form.places.items() if b is buffer}
        readers = [n for n in form.group.nodes if any(a.buffer is buffer for a in n.accesses())]
        heirs[buffer] = set()
        for node, place in form.stores:
            row = node in form.group.rows
            if mine != {(row, place.strides, place.offset)} or buffer.dtype.itemsize != place.buffer.dtype.itemsize:
                continue
            if row and all(n in form.ready and n.kind == "map" and form.ready[n] <= form.ready[node] for n in readers):
                heirs[buffer].add(place.buffer)
            if not row and form.phase[node] == form.phases - 1:
                heirs[buffer].add(place.buffer)
    return heirs
