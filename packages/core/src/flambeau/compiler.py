"""`compile`: capture a function once, then replay it as a program.

The first call with a new kind of arguments runs as it is; the second runs under capture; later calls replay. What a replay depends on is
checked by a key of the arguments (structure, shapes, dtypes, devices, Python values), the modes of autograd, the configuration epoch that
modules and hooks count up, and the variables that the function closes over. Numbers of optimizers are computed anew for each replay, so
that a schedule never captures again. Several programs may stand under one key: one for `train()`, one for `eval()`.
"""

from __future__ import annotations

import functools
import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any

from flambeau.autograd.modes import mode
from flambeau.base import tree
from flambeau.base.config import settings
from flambeau.base.epoch import epoch
from flambeau.graph.capture import CannotCapture, Capture, capturing
from flambeau.graph.engine import Engine, Interpreted, Task
from flambeau.graph.number import Number
from flambeau.graph.program import BRANCHES, MISS, Path, Program
from flambeau.graph.signature import Closure, described, kind_of, matcher, overlap, source_line
from flambeau.primitives.bind import state

log = logging.getLogger("flambeau.compile")
RECAPTURES = 8  # from then on a warning says that capturing again and again costs more than it saves
GIVE_UP = 32  # captures for one kind of arguments, after which the function runs as it is
KINDS = 64  # how many kinds of arguments (shapes above all) have programs of their own
KEPT = 8  # programs for one kind of arguments


class Variant:
    """A program with what the closed-over variables were when it was captured."""

    def __init__(self, program: Program, bound: list[Any]) -> None:
        self.program, self.bound = program, bound
        self.pairs: list[tuple[Any, Any]] = []  # the cells of the function, with what was in them

    def ready(self) -> bool:
        """Whether it holds: the quick form of `obstacle`, which knows less often."""
        program = self.program
        if program.epoch != epoch.count:
            return False
        try:
            for cell, value in self.pairs:
                if cell.cell_contents is not value:
                    return False
        except ValueError:  # empty
            return False
        root = program.root
        for host in root.guards:
            if host.call() is not host.given:
                return False
        return True

    def obstacle(self, closure: Closure) -> str | None:
        """Why it does not hold now; None if it does."""
        program = self.program
        if program.epoch != epoch.count:
            why = epoch.difference(program.epoch, program.uses)
            if why is not None:
                return why
            program.epoch = epoch.count
        if self.bound:
            why = closure.difference(self.bound)
            if why is not None:
                return why
        return program.obstacle()


class CompiledFunction:
    """A function that is captured once for each kind of arguments. `programs` maps keys to programs, the one used last first; None stands
    for kinds that do not compile. `captures` counts."""

    def __init__(self, fn: Callable[..., Any], fullgraph: bool = False, check: bool = False) -> None:
        functools.update_wrapper(self, fn, updated=())
        self.fn, self.fullgraph, self.check = fn, fullgraph, check
        self.programs: dict[Any, list[Variant] | None] = {}
        self.captures: dict[Any, int] = {}
        self.closure = Closure(fn)
        self.name = getattr(fn, "__qualname__", type(fn).__name__)
        self._latest: tuple[Any, Variant] | None = None  # a quick test of the arguments, and the program for them
        self.written: set[int] = set()  # owners of outside memory that programs write, or read while they write arguments
        self._warned = False
        epoch.watched = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.interceptor is not None:  # inside another capture
            return self.fn(*args, **kwargs)
        latest = self._latest
        if latest is not None and not kwargs and latest[0](args):
            variant = latest[1]
            if variant.ready():
                found = variant.program.replay(args)
                if found is not MISS:
                    return found
        return self._call(args, kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    # -- the longer way -------------------------------------------------------------------------------------------------------------------
    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        leaves, structure = tree.flatten((args, kwargs))
        kinds = tuple([kind_of(x) for x in leaves])
        kind = (structure, mode.grad, mode.inference, mode.casting, kinds, self.closure.plain())
        key = (kind, overlap(leaves, self.written))
        variants = self.programs.get(key, [])
        if variants is None:
            return self.fn(*args, **kwargs)
        if key not in self.captures and len(self.captures) >= KINDS:
            self._too_many(kinds)
            return self.fn(*args, **kwargs)
        if key not in self.captures:  # the first call runs as it is: lazily made state comes to be outside the program
            self.captures[key] = 0
            return self.fn(*args, **kwargs)
        reason = "the arguments are of a new kind" if not variants else ""
        for variant in list(variants):
            why = variant.obstacle(self.closure)
            if why is None:
                found = self._replay(variant, leaves, args, kwargs)
                if found is not MISS:
                    self._prefer(variants, variant, args, kwargs)
                    return found
                why = variant.program.missed
            reason = reason or why
        return self._capture(key, kinds, reason, leaves, args, kwargs)

    def _replay(self, variant: Variant, leaves: list[Any], args: Any, kwargs: Any) -> Any:
        if self.check:
            from flambeau.graph.check import checked

            return checked(variant.program, leaves, lambda: self.fn(*args, **kwargs), self.name)
        return variant.program.replay(leaves)

    def _prefer(self, variants: list[Variant], variant: Variant, args: Any, kwargs: Any) -> None:
        """Try this one first from now on."""
        variants.remove(variant)
        variants.insert(0, variant)
        quick = None if kwargs or self.check or self.closure.used else matcher(args, self.written)
        variant.pairs = list(zip(self.closure.cells, variant.bound))
        self._latest = None if quick is None else (quick, variant)

    # -- capture --------------------------------------------------------------------------------------------------------------------------
    def _capture(self, key: Any, kinds: Any, reason: str, leaves: list[Any], args: Any, kwargs: Any) -> Any:
        self.captures[key] += 1
        count = self.captures[key]
        self._tell(f"capture {count} of {self.name} for ({described(kinds)}): {reason}")
        if count == RECAPTURES:
            warnings.warn(f"{self.name} was captured {RECAPTURES} times: its programs do not last. Latest reason: {reason}", stacklevel=4)
        bound = self.closure.values()
        with capturing(branches=True) as capture:
            result = self.fn(*args, **kwargs)
        try:
            self._store(key, capture, leaves, result, bound)
        except CannotCapture as error:
            if self.fullgraph:
                raise
            self.programs[key] = None
            warnings.warn(f"{self.name} runs uncompiled. {error}", stacklevel=4)
        if count >= GIVE_UP and self.programs.get(key) is not None:
            self.programs[key] = None
            warnings.warn(
                f"{self.name} ({source_line(self.fn)}) was captured {count} times and runs uncompiled now: {reason}", stacklevel=4
            )
        return tree.map(_as_float, result) if capture.fetched else result

    def _store(self, key: Any, capture: Capture, leaves: list[Any], result: Any, bound: list[Any]) -> None:
        """Keep a program for what was captured."""
        if self.fullgraph and capture.cuts:
            where = capture.cuts[0].where
            raise CannotCapture(f"{self.name}: expected one graph (fullgraph=True), got a value that Python reads at {where}")
        path = Path(capture, leaves, result, engine)
        if capture.once or not all(h.holds() for h in capture.guards):
            self._tell(f"nothing is kept of {self.name}: {capture.once or 'settings changed while it ran'}")
            return
        if not path.leaf.exclusive <= self.written:
            self.written |= path.leaf.exclusive
            key = (key[0], overlap(leaves, self.written))
            self.captures.setdefault(key, 1)
        variants = self.programs.setdefault(key, [])
        assert variants is not None
        for variant in variants:
            if capture.cuts and variant.obstacle(self.closure) is None and variant.program.add(path):
                if variant.program.paths > BRANCHES:
                    where = capture.cuts[-1].where
                    hint = "keep values as tensors (flambeau.where), or return them and decide outside"
                    raise CannotCapture(f"It took {BRANCHES} ways by the values that it reads, the latest at {where}. Try: {hint}")
                variant.program.prepare()
                variant.program.epoch = epoch.count
                return
        program = Program(path, epoch.count, engine)
        program.prepare()
        variants.insert(0, Variant(program, bound))
        del variants[KEPT:]

    def _too_many(self, kinds: Any) -> None:
        """Say once that further kinds of arguments run uncompiled."""
        self._tell(f"{self.name} runs uncompiled for ({described(kinds)}): there are {KINDS} kinds of arguments already")
        if not self._warned:
            self._warned = True
            hint = "give it a few sizes only: pad batches, or drop the last one"
            warnings.warn(f"{self.name} has had {KINDS} kinds of arguments; further ones run uncompiled. Try: {hint}", stacklevel=5)

    def _tell(self, text: str) -> None:
        log.info(text)
        if "recompiles" in settings().log:
            print(f"flambeau: {text}", file=sys.stderr)


def engine(task: Task) -> Engine:
    """Machine code where LLVM is installed, else the interpreter."""
    from flambeau.codegen import llvm

    if not llvm.available():
        return Interpreted(task)
    from flambeau.codegen.engine import Native

    return Native(task)


def _as_float(x: Any) -> Any:
    return x.value if isinstance(x, Number) else x


def compile(fn: Callable[..., Any] | None = None, *, fullgraph: bool = False, check: bool = False) -> Any:
    """Make a function, method or module run as one program. A decorator, too.

    Args:
        fn: what to compile. A module gives a module, with the attributes, parameters and state of the original.
        fullgraph: raise an error where the function cannot run as one program, instead of running it in parts or as it is.
        check: compare every replay with running the function as it is, and raise `CheckError` where they differ. Slow, for debugging.

    >>> import flambeau as fb
    >>> from flambeau.compiler import compile
    >>> double = compile(lambda x: x * 2 + 1)
    >>> for _ in range(3):
    ...     y = double(fb.tensor([1.0, 2.0]))
    >>> y
    tensor([3., 5.])
    """
    if fn is None:
        return functools.partial(compile, fullgraph=fullgraph, check=check)
    if hasattr(fn, "register_forward_hook"):
        from flambeau.nn.compiled import CompiledModule

        return CompiledModule(fn, CompiledFunction(fn, fullgraph, check))
    return CompiledFunction(fn, fullgraph, check)


__all__ = ["CompiledFunction", "Capture", "compile"]
