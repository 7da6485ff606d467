"""The engine that runs a captured program as machine code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.codegen.build import build
from flambeau.codegen.nodes import Node
from flambeau.codegen.program import Program, Segment
from flambeau.graph.engine import Task

_SMALL = 4096  # bytes up to which a result is copied rather than stored in new memory


class Native:
    """Machine code with the held inputs bound once. Donated results are stored straight into the memory of their input."""

    def __init__(self, task: Task) -> None:
        held = task.held
        donated = {j: i for j, i in task.donated.items() if held[i].flags.c_contiguous}
        program = build(task.graph, donated)
        late = _late(program, donated)
        if late:  # a step in Python may fail, and must find nothing overwritten
            donated = {j: i for j, i in donated.items() if j not in late}
            program = build(task.graph, donated)
        self.donated, self.stored = donated, frozenset(donated)
        results = [held[donated[j]] if j in donated else None for j in range(len(task.graph.results))]
        blank = [np.zeros(v.shape, v.dtype) if a is None else a for a, v in zip(held, task.graph.inputs)]
        self.call = program.bind(blank, results)
        self.lock = program.lock
        self.enter = self.call.entering([k for k, a in enumerate(held) if a is None], task.strided)
        self.strided = [(k, a) for k, a in enumerate(held) if a is not None and not a.flags.c_contiguous]
        self.small = [j for j in task.fresh if self.call.results[j].nbytes <= _SMALL]
        self.large = [j for j in task.fresh if self.call.results[j].nbytes > _SMALL]
        self.numbers = bool(task.graph.scalars)

    def run(self, given: Sequence[Any], numbers: Sequence[float]) -> list[Any]:
        """One call."""
        call = self.call
        self.lock.acquire()  # runs share the program's memory
        try:
            self.enter(given)
            if self.strided:
                for k, array in self.strided:
                    call.set(k, array)
            if self.numbers:
                call.scalars[:] = numbers
            for j in self.large:
                call.renew(j)
            call.run()
            results = call.results.copy()
            for j in self.small:
                results[j] = results[j].copy()
            return results
        finally:
            self.lock.release()

    def hold(self, k: int, array: Any) -> None:
        """See `Engine`."""
        self.call.set(k, array)
        self.strided = [(i, array if i == k else a) for i, a in self.strided]
        for j, i in self.donated.items():
            if i == k:
                self.call.place(j, array)


def _late(program: Program, donated: dict[int, int]) -> set[int]:
    """Donated results that are stored before the last step that may fail: one that Python runs, or a check."""
    steps = [step for s in program.segments for step in (s.steps if isinstance(s, Segment) else [s])]
    last = max((i for i, step in enumerate(steps) if isinstance(step, Node)), default=-1)
    written: set[Any] = set()
    for step in steps[: max(last, 0)]:
        written.update(step.outputs if isinstance(step, Node) else [b for kernel in step for b in kernel.writes])
    return {j for j in donated if program.results[j] in written}
