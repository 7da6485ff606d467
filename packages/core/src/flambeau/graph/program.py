"""A captured program: a tree of segments, each a graph with an engine, and what is done with the results.

A function that never reads a value has one segment. Where it reads one, a segment ends; what follows depends on the value (`children`).
Nothing outside changes before the last segment of a path, so a run that comes to a value for which nothing was captured is simply dropped:
its host numbers and draws are taken back, and the function runs under capture from the start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any

from flambeau.graph.capture import Capture, Host
from flambeau.graph.engine import Engine, Task
from flambeau.graph.ir import Value
from flambeau.graph.leaf import Leaf
from flambeau.graph.memory import root_of
from flambeau.graph.number import Expression, evaluate, function_of
from flambeau.graph.pieces import Piece, extract, same_ops
from flambeau.graph.verify import verify

MISS: Any = object()  # a replay came to where nothing was captured; nothing has happened
BRANCHES = 32  # how many paths a program may have

Make = Callable[[Task], Engine]


class Run:
    """What one replay knows: its arguments, tables of host numbers, values that Python read, and arrays from earlier segments."""

    def __init__(self, leaves: Any) -> None:
        self.leaves = leaves
        self.tables: list[Any] = []
        self.done: list[Host] = []

    @cached_property
    def reads(self) -> list[Any]:
        """Values that Python read, in order."""
        return []

    @cached_property
    def carried(self) -> dict[int, Any]:
        """Arrays from earlier segments by the number of their value."""
        return {}


class Segment:
    """A part of a captured path. `wanted` are the values that it hands on, `fetched` those that Python reads at its end."""

    def __init__(self, path: Path, index: int) -> None:
        capture, cuts = path.capture, path.capture.cuts
        start = cuts[index - 1].position if index else 0
        self.cut = cuts[index] if index < len(cuts) else None
        self.whole = capture.graph
        self.ops = capture.graph.ops[start : self.cut.position if self.cut else path.end]
        self.arrays = dict(zip(capture.graph.inputs, capture.outside))
        self.places = path.places
        self.numbers = [h for h in capture.numbers if h.segment == index]
        self.guards = [h for h in capture.guards if h.segment == index]
        self.gradients = path.gradients
        self.fixed = self._fixed(path, index)
        self.fetched = [v for v, segment in capture.fetched if segment == index]
        self.wanted: dict[int, Value] = {}
        self.fresh: set[Value] = set()
        self.children: dict[Any, Segment] = {}
        self.leaf: Leaf | None = None
        self.engine: Engine | None = None

    # -- made once ------------------------------------------------------------------------------------------------------------------------
    def want(self, values: dict[int, Value]) -> None:
        """Hand on these values too."""
        own = {v.number: v for op in self.ops for v in op.outputs}
        more = {n: own[n] for n in values if n in own and n not in self.wanted}
        if more:
            self.wanted.update(more)
            self.engine = None

    def prepare(self, make: Make) -> None:
        """Make the engine."""
        results = list(self.wanted.values()) + self.fetched + (self.leaf.results if self.leaf else [])
        piece = extract(self.whole, self.ops, results)
        verify(piece.graph)
        self.first, self.read = len(self.wanted), len(self.wanted) + len(self.fetched)
        held = [self._held(v) for v in piece.inputs]
        self.given = [self._source(v) for v, a in zip(piece.inputs, held) if a is None]
        self.arguments = [where for kind, where in self.given if kind == "argument"]
        self.simple = len(self.arguments) == len(self.given)
        strided = {k for k, v in enumerate(piece.inputs) if v in self.arrays and not self.arrays[v].flags.c_contiguous and held[k] is None}
        donated = {} if self.leaf is None else self._donated(piece, held)
        fresh = {self.read + j for j in self.leaf.fresh} if self.leaf else set()
        self.rebound = [(k, self.gradients[id(a)], a) for k, a in enumerate(held) if a is not None and id(a) in self.gradients]
        task = Task(piece.graph, held, donated, frozenset(fresh), frozenset(strided))
        self.pick = self._scalars(piece)
        self.engine = make(task)
        if self.leaf:
            self.leaf.settle({j - self.read for j in self.engine.stored})

    def _held(self, v: Value) -> Any:
        return self.arrays[v] if v in self.arrays and id(self.arrays[v]) not in self.places else None

    def _source(self, v: Value) -> tuple[str, int]:
        return ("argument", self.places[id(self.arrays[v])]) if v in self.arrays else ("carried", v.number)

    def _donated(self, piece: Piece, held: list[Any]) -> dict[int, int]:
        """Results of the last segment that replace a held input."""
        assert self.leaf is not None
        home = {id(a): k for k, a in enumerate(held) if a is not None}
        return {self.read + at: home[id(array)] for argument, array, at in self.leaf.writes if argument is None and id(array) in home}

    def _scalars(self, piece: Piece) -> Callable[[Run], Any]:
        """A function that gives the scalars of the graph in a run."""
        names = [scalar.name for scalar in piece.graph.scalars]
        if not names:
            return lambda run: ()
        tables = {name[1:3] for name in names if name[0] == "table"}
        if len(names) > 1 and len(tables) == 1 and all(name[0] == "table" for name in names):
            t, i = tables.pop()
            get = itemgetter(*[name[3] for name in names])
            return lambda run: get(run.tables[t][i])
        return lambda run: [evaluate(name, run) for name in names]

    def _fixed(self, path: Path, index: int) -> list[tuple[Callable[[Run], Any], Any]]:
        """What host code gives besides floats, and what Python did by its floats: they decided the form of what was captured."""
        decided = [(expression, value) for expression, value, segment in path.capture.decided if segment == index]
        found: list[tuple[Expression, Any]] = list(dict.fromkeys(decided))
        for tag, host in enumerate(path.capture.numbers):
            if host.segment == index:
                found += [(("table", tag, i, k), v) for i, table in enumerate(host.given) for k, v in table.items() if type(v) is not float]
        return [(function_of(expression), value) for expression, value in found]

    # -- each replay ----------------------------------------------------------------------------------------------------------------------
    def obstacle(self) -> str | None:
        """Why host code that the segment depends on forbids to run it, if it does."""
        for host in self.guards:
            if host.call() is not host.given and not host.holds():
                return host.what
        return None

    def run(self, run: Run, make: Make) -> list[Any] | None:
        """The results; None if the host's numbers say that this is another program."""
        if self.engine is None:
            self.prepare(make)
        engine = self.engine
        assert engine is not None
        if self.numbers:
            for host in self.numbers:
                run.tables.append(host.call())
                run.done.append(host)
            for decide, value in self.fixed:
                if decide(run) != value:
                    return None
        if self.rebound:
            self._rebind(engine)
        leaves = run.leaves
        if self.simple:
            given = [leaves[i]._a for i in self.arguments]
        else:
            given = [leaves[i]._a if kind == "argument" else run.carried[i] for kind, i in self.given]
        return engine.run(given, self.pick(run))

    def _rebind(self, engine: Engine) -> None:
        """Let the engine have the gradients of now; copies of those that lie where it will store the new ones."""
        for at, (k, node, array) in enumerate(self.rebound):
            now = node.grad._a
            if self.leaf is not None and node in self.leaf.wrapped and self.leaf.wrapped[node]._a is now:
                now = now.copy()
            if now is not array:
                engine.hold(k, now)
                self.rebound[at] = (k, node, now)


class Path:
    """One capture, taken apart."""

    def __init__(self, capture: Capture, leaves: list[Any], result: Any, make: Make) -> None:
        self.capture, self.end, self.make = capture, len(capture.graph.ops), make
        self.places = {id(x._a): i for i, x in enumerate(leaves) if hasattr(x, "_a")}
        before = {node: old._a for node, (old, _) in capture.grads.items() if old is not None}
        self.gradients = {id(array): node for node, array in {**before, **capture.read_grads}.items()}
        self.leaf = Leaf(capture, leaves, result, self)
        self.segments = [Segment(self, i) for i in range(len(capture.cuts) + 1)]
        last = self.segments[-1]
        last.leaf = self.leaf
        last.guards += self.leaf.guards
        needed: dict[int, Value] = {v.number: v for v in self.leaf.results}
        for segment in reversed(self.segments):
            segment.want({n: v for n, v in needed.items() if segment is not last})
            inside = {v.number for op in segment.ops for v in op.outputs}
            needed = {n: v for n, v in needed.items() if n not in inside}
            needed.update({v.number: v for op in segment.ops for v in op.values() if v.number not in inside})
            needed.update({v.number: v for v in segment.fetched if v.number not in inside})


class Program:
    """What a function did, for one kind of arguments and one state of the modules: all paths that were captured of it."""

    def __init__(self, path: Path, epoch: int, make: Make) -> None:
        self.epoch, self.make = epoch, make
        self.root = path.segments[0]
        self.generators = list(path.capture.generators)
        self.paths = 0
        self.owners: set[int] = set()  # of all held memory
        self.ended: Leaf | None = None  # where the latest run ended
        self.turns = True  # whether what comes after an engine's run reads its memory, so that threads must take turns
        self.lock = threading.RLock()
        self.missed = ""  # where the latest run was lost
        self._join(path.segments)

    def add(self, path: Path) -> bool:
        """Another path of the same function; whether it begins like those that are known."""
        node, rest = self.root, path.segments
        while True:
            new = rest[0]
            if node.cut is None or new.cut is None or not _alike(node, new):
                return False
            node.want(new.wanted)
            key = _key(new.cut.value)
            child = node.children.get(key)
            if child is None or (child.cut is None and len(rest) == 2):
                node.children[key] = rest[1]
                break
            node, rest = child, rest[1:]
        self.generators += [g for g in path.capture.generators if g not in self.generators]
        self._count(path)
        for segment, after in zip(rest[1:], rest[2:]):
            segment.children[_key(segment.cut.value if segment.cut else None)] = after
        return True

    def _join(self, segments: list[Segment]) -> None:
        for segment, after in zip(segments, segments[1:]):
            segment.children[_key(segment.cut.value if segment.cut else None)] = after
        assert segments[-1].leaf is not None
        self._count(segments[-1].leaf.path)

    def _count(self, path: Path) -> None:
        self.paths += 1
        self.owners |= path.leaf.owners

    def prepare(self) -> None:
        """Make all engines."""
        waiting = [self.root]
        while waiting:
            segment = waiting.pop()
            if segment.engine is None:
                segment.prepare(self.make)
            waiting += segment.children.values()
        self.turns = self.root.leaf is None or bool(self.root.leaf.copies)

    def uses(self, array: Any) -> bool:
        """Whether an array lies in memory that the program holds."""
        return id(root_of(array)) in self.owners

    def obstacle(self) -> str | None:
        """Why the program cannot run now, if host code that it depends on has changed."""
        return self.root.obstacle()

    def replay(self, leaves: Sequence[Any]) -> Any:
        """Run for these arguments, or MISS."""
        if self.turns:
            with self.lock:
                return self._replay(leaves)
        return self._replay(leaves)

    def _replay(self, leaves: Sequence[Any]) -> Any:
        run = Run(leaves)
        root = self.root
        if root.leaf is None and self.generators:
            states = [g.get_state() for g in self.generators]
        try:
            if root.leaf is not None:
                results = root.run(run, self.make)
                if results is not None:
                    self.ended = root.leaf
                    return root.leaf.finish(run, results, root)
                self.missed = "numbers of an optimizer changed their form"
            else:
                found = self._walk(run)
                if found is not MISS:
                    return found
        except BaseException:
            self._undo(run)
            raise
        self._undo(run)
        if root.leaf is None and self.generators:
            for g, state in zip(self.generators, states):
                g.set_state(state)
        return MISS

    def _walk(self, run: Run) -> Any:
        segment = self.root
        while True:
            results = segment.run(run, self.make)
            if results is None:
                self.missed = "numbers of an optimizer changed their form"
                return MISS
            if segment.leaf is not None:
                self.ended = segment.leaf
                return segment.leaf.finish(run, results, segment)
            run.carried.update(zip(segment.wanted, results))
            run.reads += [array.item() for array in results[segment.first : segment.read]]
            assert segment.cut is not None
            expression = segment.cut.expression
            value = None if expression is None else evaluate(expression, run)
            found = segment.children.get(_key(value))
            if found is None or found.obstacle() is not None:
                self.missed = f"the value read at {segment.cut.where} leads to where nothing was captured"
                return MISS
            segment = found

    def _undo(self, run: Run) -> None:
        for host in reversed(run.done):
            host.call.undo()


def _alike(a: Segment, b: Segment) -> bool:
    """Whether two captures did the same in this segment."""
    if a.cut is None or b.cut is None or a.cut.expression != b.cut.expression or not same_ops(a.ops, b.ops):
        return False
    if [v.number for v in a.fetched] != [v.number for v in b.fetched] or len(a.numbers) != len(b.numbers):
        return False
    mine = {v.number: array for v, array in a.arrays.items()}
    theirs = {v.number: array for v, array in b.arrays.items()}
    used = {v.number for op in b.ops for v in op.values()} & theirs.keys()
    return all(n in mine and _same_source(a, mine[n], b, theirs[n]) for n in used)


def _same_source(a: Segment, mine: Any, b: Segment, theirs: Any) -> bool:
    place = a.places.get(id(mine))
    return place == b.places.get(id(theirs)) and (place is not None or mine is theirs)


def _key(value: Any) -> Any:
    """A value as a key: equal numbers of different types are different, and a NaN is itself."""
    return type(value), repr(value) if isinstance(value, (float, complex)) else value
