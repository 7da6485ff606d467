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
        results = [held[contiguous[j]] if j in contiguous else None for j in range(len(program.graph.results))]
        self.copied = [at for kind, at in program.returned if kind == "result"]
        arrays = [a if a is not None else _blank(v) for a, v in zip(program.implicit, program.graph.inputs, strict=True)]
        self.call = build(program.graph, contiguous).bind(arrays, results)
        self.names = [scalar.name for scalar in program.graph.scalars]
        self.results = [r.reshape(v.shape) for r, v in zip(self.call.results, program.graph.results)]
        self.strided = [(k, a) for k, a in enumerate(program.implicit) if a is not None and not a.flags.c_contiguous]

    def run(self, given: list[tuple[int, Any]], tables: list[Any]) -> list[Any]:
        """One call."""
        call = self.call
        for k, array in given:
            call.set(k, array)
        for k, array in self.strided:
            call.set(k, array)
        if self.names:
            call.scalars[:] = [tables[t][i][name] for t, i, name in self.names]
        call()
        results = self.results.copy()
        for at in self.copied:
            results[at] = results[at].copy()
        return results


def _blank(value: Any) -> Any:
    return np.zeros(value.shape, value.dtype)
