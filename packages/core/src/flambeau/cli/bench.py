"""`flambeau bench`: a few small measurements of this machine, in a few seconds. `benchmarks/` in the repository has the thorough ones."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from flambeau.cli.output import common_options, print_json, print_table

CHAIN = 1000
MATRIX = 1024


class Measurement(NamedTuple):
    """One number: Flambeau's, and NumPy's for the same work where there is such."""

    name: str
    value: float
    unit: str
    numpy: float | None = None


def seconds_of(work: Callable[[], Any], *, repeats: int = 7) -> float:
    """The median time of one call, after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def import_seconds(module: str, *, repeats: int = 5) -> float:
    """The best time to import `module` in a fresh interpreter."""
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    return min(float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout) for _ in range(repeats))


def measure_import() -> Measurement:
    """How long `import flambeau` takes, and `import numpy` alone."""
    return Measurement("import", import_seconds("flambeau") * 1e3, "ms", import_seconds("numpy") * 1e3)


def measure_add() -> Measurement:
    """One addition of 4 numbers: what an operation costs besides arithmetic."""
    import numpy as np

    from flambeau.tensor.creation import ones

    def chain(x: Any) -> Callable[[], None]:
        def run() -> None:
            for _ in range(CHAIN):
                x + x

        return run

    ours, theirs = chain(ones(4)), chain(np.ones(4, np.float32))
    return Measurement("add of 4 numbers", seconds_of(ours) / CHAIN * 1e6, "us", seconds_of(theirs) / CHAIN * 1e6)


def measure_backward() -> Measurement:
    """Forward and backward through a chain of small operations, per operation."""
    from flambeau.tensor.creation import ones

    x = ones(4, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(CHAIN):
            y = y + x
        y.sum().backward()

    return Measurement("add with gradient", seconds_of(run) / CHAIN * 1e6, "us")


def measure_matmul() -> Measurement:
    """A matrix product in single precision."""
    import numpy as np

    from flambeau.ops.matmul import matmul
    from flambeau.tensor.creation import from_numpy

    array = np.random.default_rng(0).standard_normal((MATRIX, MATRIX), dtype=np.float32)
    tensor = from_numpy(array)
    work = 2e-9 * MATRIX**3
    return Measurement(
        f"matmul {MATRIX}", work / seconds_of(lambda: matmul(tensor, tensor)), "GF/s", work / seconds_of(lambda: array @ array)
    )


MEASUREMENTS = (measure_import, measure_add, measure_backward, measure_matmul)


@click.command()
@common_options
def bench(as_json: bool) -> None:
    """Measure import time, the cost of a small operation, and matrix products."""
    rows = [measure() for measure in MEASUREMENTS]
    if as_json:
        print_json({row.name: {"value": row.value, "unit": row.unit, "numpy": row.numpy} for row in rows})
        return
    cells = [(row.name, f"{row.value:.3g} {row.unit}", "" if row.numpy is None else f"{row.numpy:.3g} {row.unit}") for row in rows]
    print_table(("measurement", "flambeau", "numpy"), cells)
