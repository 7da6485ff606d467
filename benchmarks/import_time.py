"""How long does `import flambeau` take beside NumPy's and PyTorch's import? Whole processes: `python -m benchmarks.import_time`.

Bars: NumPy's import + 100 ms; the core's own files <= 15 MB.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import timeit
from pathlib import Path

import flambeau
from benchmarks.common import report


def process(statement: str) -> float:
    """Seconds of a whole interpreter that runs a statement; the best of several."""
    return min(timeit.repeat(lambda: subprocess.run([sys.executable, "-c", statement], check=True), number=1, repeat=9))


def main() -> None:
    """Measure and report."""
    bare = process("pass")
    rows = []
    numpy = process("import numpy") - bare
    for name in ("numpy", "flambeau", "torch"):
        if importlib.util.find_spec(name):
            seconds = process(f"import {name}") - bare
            bar = (numpy + 0.1) * 1e3 if name == "flambeau" else None
            rows.append({"import": name, "ms": seconds * 1e3, "bar ms": bar})
    folder = Path(flambeau.__file__).parent
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and f.suffix != ".pyc")
    report("import_time", rows, {"core_megabytes": round(size / 1e6, 2), "core_megabytes_bar": 15})


if __name__ == "__main__":
    main()
