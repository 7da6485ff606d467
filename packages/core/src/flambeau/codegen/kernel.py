"""The loop-level form of a group: loops, lanes, phases; and which memory it reads and writes where.

The axes of the space are merged where every access allows it. One axis becomes the lanes of vectors. Loops over kept axes are outside,
loops over reduced axes inside; a group whose later values need a reduction's result goes over the reduced axes once more for each such
phase: softmax is three phases, from the same few cache lines. `loops.py` writes the code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from flambeau.codegen.expr import ELEMENTARY
from flambeau.codegen.fuse import Group, over_space
from flambeau.codegen.layout import Ints, Layout, row_major
from flambeau.codegen.nodes import Access, Buffer, Node

_MOST_KEPT = 1 << 16  # elements of scratch for values kept between phases: more would not stay in the near caches


@dataclass(frozen=True)
class Place:
    """How a kernel walks through a buffer: strides over the merged axes."""

    buffer: Buffer
    strides: Ints
    offset: int


@dataclass(eq=False)
class Form:
    """A group ready to be written. `sizes` are the merged axes, `reduced` those that are reduced, `lane` the vectorised one."""

    group: Group
    stores: list[tuple[Node, Place]]
    places: dict[tuple[Buffer, Layout, bool], Place]
    sizes: Ints
    reduced: frozenset[int]
    lane: int
    phase: dict[Node, int] = field(default_factory=dict)
    ready: dict[Node, int] = field(default_factory=dict)
    kept: dict[Node, Place] = field(default_factory=dict)  # where values are put down in their phase, to be read again in later ones

    def place(self, access: Access, row: bool) -> Place:
        """Where an operand of a full-level (or row-level) node lies."""
        return self.places[access.buffer, access.layout, row]

    @property
    def phases(self) -> int:
        """How many times the reduced axes are gone over."""
        return 1 + max([*self.phase.values(), *(r - 1 for r in self.ready.values())], default=0)


def form_of(group: Group, stored: list[Node], region: Layout | None = None) -> Form:
    """The form of a group that stores these nodes' buffers (into a region of the buffer, for a piece)."""
    raw: dict[tuple[Buffer, Layout, bool], tuple[Ints, int]] = {}
    members = {b for n in group.nodes for b in n.outputs}
    ndim = len(group.space)
    for node in group.nodes:
        row = node in group.rows and node.kind == "map"
        for a in node.accesses():
            if a.buffer not in members:
                strides = over_space(a.layout.strides, group.axes, ndim) if row else a.layout.strides
                raw[a.buffer, a.layout, row] = (strides, a.layout.offset)
    outputs = []
    for node in stored:
        if region is not None:
            outputs.append((node, region.strides, region.offset))
        else:
            outputs.append((node, group.row_strides() if node in group.rows else row_major(group.space), 0))
    sizes, reduced, merged = _merge(group, [*(s for s, _ in raw.values()), *(s for _, s, _ in outputs)])
    places = {key: Place(key[0], merged[i], offset) for i, (key, (_, offset)) in enumerate(raw.items())}
    stores = [(node, Place(node.outputs[0], merged[len(raw) + i], offset)) for i, (node, _, offset) in enumerate(outputs)]
    full = [places[k] for k in places if not k[2]] + 2 * [p for n, p in stores if n not in group.rows]
    form = Form(group, stores, places, sizes, frozenset(reduced), _lane(sizes, full or [p for _, p in stores]))
    _set_phases(form)
    _keep(form)
    return form


def _merge(group: Group, accesses: list[Ints]) -> tuple[Ints, list[int], list[Ints]]:
    """Join neighbouring axes that every access walks through as if they were one."""
    sizes: list[int] = []
    flags: list[bool] = []
    columns: list[list[int]] = []  # the strides of all accesses along each merged axis
    for i, n in enumerate(group.space):
        here = [s[i] for s in accesses]
        is_reduced = i in group.axes
        if sizes and flags[-1] == is_reduced and all(before == n * s for before, s in zip(columns[-1], here)):
            sizes[-1] *= n
            columns[-1] = here
        else:
            sizes.append(n)
            flags.append(is_reduced)
            columns.append(here)
    if not sizes:
        sizes, flags, columns = [1], [False], [[0] * len(accesses)]
    merged = [tuple(column[k] for column in columns) for k in range(len(accesses))]
    return tuple(sizes), [i for i, f in enumerate(flags) if f], merged


def _lane(sizes: Ints, places: list[Place]) -> int:
    """The axis along which most accesses are contiguous; of equals the longer, then the later one."""

    def score(i: int) -> tuple[int, int, int]:
        adjacent = sum(p.strides[i] == 1 for p in places)
        return (adjacent if sizes[i] >= 4 else 0, min(sizes[i], 16), i)

    return max(range(len(sizes)), key=score)


def _set_phases(form: Form) -> None:
    """Full-level nodes: the first phase that can compute them. Row-level nodes: the first phase before which they are known."""
    group = form.group
    maker = {b: n for n in group.nodes for b in n.outputs}
    for node in group.nodes:
        inside = [maker[a.buffer] for a in node.accesses() if a.buffer in maker]
        start = max([form.ready[m] if m in form.ready else form.phase[m] for m in inside], default=0)
        if node.kind == "reduce":
            form.ready[node] = start + 1
        elif node in group.rows:
            form.ready[node] = start
        else:
            form.phase[node] = start


def _keep(form: Form) -> None:
    """Decide which values of an earlier phase are kept for a later one: those that take an elementary function to compute again.

    They go to scratch memory as long as what one round of the outer loops covers, or, where they are stored anyway, are read back.
    """
    lane = [] if form.lane in form.reduced else [form.lane]
    inner = [*sorted(form.reduced), *lane]
    shape = tuple(form.sizes[i] for i in inner)
    stored = dict(form.stores)
    for phase in range(1, form.phases):
        roots = [n for n, _ in form.stores if form.phase.get(n) == phase]
        roots += [m for n in form.group.nodes if n.kind == "reduce" and form.ready[n] == phase + 1 for m in _full_operands(form, n)]
        for node in _again(form, roots, phase):
            if node in stored:
                form.kept[node] = stored[node]
            elif prod(shape) <= _MOST_KEPT:
                strides = dict(zip(inner, row_major(shape)))
                scratch = Buffer(shape, node.outputs[0].dtype)
                form.kept.setdefault(node, Place(scratch, tuple(strides.get(i, 0) for i in range(len(form.sizes))), 0))


def _again(form: Form, roots: list[Node], phase: int) -> list[Node]:
    """The values of earlier phases that this phase would compute again, if that is expensive: the last one of each chain."""
    found: dict[Node, None] = {}
    seen: set[Node] = set()
    todo = list(roots)
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        if form.phase[node] < phase and _is_expensive(form, node):
            found[node] = None
        else:
            todo += _full_operands(form, node)
    return list(found)


def _full_operands(form: Form, node: Node) -> list[Node]:
    """The full-level members that a node reads."""
    return [a.buffer.node for a in node.accesses() if a.buffer.node in form.phase]


def _is_expensive(form: Form, node: Node) -> bool:
    return node.name in ELEMENTARY or any(_is_expensive(form, m) for m in _full_operands(form, node))
