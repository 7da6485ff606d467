"""Cold compiles, second processes and peak memory of whole training steps, each in a process of its own: `python -m benchmarks.footprint`.

Bars (compiler): a cold compile of the MLP's Adam step takes at most 1 s, of ResNet-18's training step at most 20 s, the same in a second
process (which finds the disk cache) at most 1.5 s; and the peak memory of a compiled training step is at most PyTorch eager's. The time is
that of the first three calls (a plain run, the capture, and what the second run still had to learn) less three later ones. Memory is the
most that was ever resident in the process, libraries and capture included.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import peer, report

WORKLOADS = ["MLP", "ResNet-18", "GPT"]
COLD = {"MLP": 1.0, "ResNet-18": 20.0, "GPT": None}


def workload(m: Any, name: str) -> Callable[[], Any]:
    """A call that trains once, of the network that the other benchmarks time."""
    from benchmarks import compiled_step, contractions, sequences

    if name == "MLP":
        return compiled_step.step(m, False)
    if name == "ResNet-18":
        return contractions.training(m, contractions.resnet18(m), m.randn(8, 3, 224, 224))
    fn, arguments = sequences.gpt_training(m)
    return lambda: fn(*arguments)


def resident() -> float:
    """The most megabytes that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024.0 if sys.platform == "linux" else 1024.0**2)


def child(library: str, name: str) -> dict[str, float]:
    """Seconds that the first calls took beyond what later ones take, and the peak memory of all."""
    m = importlib.import_module(library)
    m.set_num_threads(2)
    run = workload(m, name)
    if library == "flambeau":
        run = m.compile(run)
    first, later = (timeit.timeit(run, number=3) for _ in range(2))
    return {"seconds": first - later, "megabytes": resident()}


def spawn(library: str, name: str, cache: Path) -> dict[str, float]:
    """`child` in a fresh process with that cache folder."""
    command = [sys.executable, "-m", "benchmarks.footprint", library, name]
    environment = {**os.environ, "FLAMBEAU_HOME": str(cache)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and report; with a library and a workload, be the measured process."""
    if len(sys.argv) == 3:
        print(json.dumps(child(sys.argv[1], sys.argv[2])))
        return
    torch = peer()
    rows = []
    for name in WORKLOADS:
        with tempfile.TemporaryDirectory() as folder:
            cold, warm = (spawn("flambeau", name, Path(folder)) for _ in range(2))
            theirs = spawn("torch", name, Path(folder)) if torch else None
        memory = None if theirs is None else theirs["megabytes"]
        rows.append(
            {
                "work": f"{name}, training step",
                "cold compile s": cold["seconds"],
                "bar": COLD[name],
                "second process s": warm["seconds"],
                "bar of it": 1.5,
                "peak MB": warm["megabytes"],
                "pytorch eager peak MB": memory,
            }
        )
    report("footprint", rows, {"pytorch": torch.__version__ if torch else None, "threads": 2})


if __name__ == "__main__":
    main()
