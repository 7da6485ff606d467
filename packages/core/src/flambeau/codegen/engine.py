"""The engine that runs a captured program as machine code."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.codegen.build import build
from flambeau.graph.program import Program


class Native:
    """Machine code with the program's implicit inputs bound once. Their new values are stored straight into their memory.

    A gradient that a program leaves in `.grad` lives in the program's memory until the next run; results are handed out as copies.
    """

    def __init__(self, program: Program) -> None:
        donated = program.donated()
        held: list[Any] = program.implicit
        contiguous = {j: i for j, i in donated.items() if held[i].flags.c_contiguous}
        self.graph = program.graph
        results = [held[contiguous[j]] if j in contiguous else None for j in range(len(self.graph.results))]
        self.shapes = [v.shape for v in self.graph.results]
        self.copied = [at for kind, at in program.returned if kind == "result"]
        arrays = [a if a is not None else _blank(v) for a, v in zip(program.implicit, self.graph.inputs, strict=True)]
        self.call = build(self.graph, contiguous).bind(arrays, results)
        self.strided = [(k, a) for k, a in enumerate(program.implicit) if a is not None and not a.flags.c_contiguous]

    def run(self, given: list[tuple[int, Any]], scalars: dict[Any, float]) -> list[Any]:
        """One call."""
        call = self.call
        for k, array in given:
            call.set(k, array)
        for k, array in self.strided:
            call.set(k, array)
        for at, scalar in enumerate(self.graph.scalars):
            call.scalars[at] = scalars[scalar.name]
        results = [r.reshape(shape) for r, shape in zip(call(), self.shapes)]
        for at in self.copied:
            results[at] = results[at].copy()
        return results


def _blank(value: Any) -> Any:
    return np.zeros(value.shape, value.dtype)
