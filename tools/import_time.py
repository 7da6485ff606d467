"""Check that `import flambeau` stays light: NumPy and nothing heavier is loaded, within 100 ms of NumPy's own import.

Run as `python -m tools.import_time`. Each measurement is a fresh interpreter; the best one counts, since others only add to it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MOST_SECONDS = 0.100
RUNS, MORE_RUNS = 5, 20

# Third-party packages are refused whatever their names. These are heavy parts of the standard library.
HEAVY = {
    "asyncio", "concurrent.futures.process", "doctest", "email", "http", "multiprocessing", "pdb", "pydoc", "socket", "sqlite3", "ssl",
    "tkinter", "unittest", "urllib.request", "xml", "zipfile",
}  # fmt: skip

PROBE = """
import json, sys, time
before = set(sys.modules)
start = time.perf_counter()
import numpy
middle = time.perf_counter()
by_numpy = set(sys.modules)
import {name}
end = time.perf_counter()
print(json.dumps({{"numpy": middle - start, "own": end - middle, "loaded": sorted(set(sys.modules) - by_numpy)}}))
"""


@dataclass(frozen=True)
class Measurement:
    """Seconds for NumPy, seconds for the package after it, and the modules that the package loaded."""

    numpy: float
    own: float
    loaded: tuple[str, ...]


def measure(name: str, path: Path) -> Measurement:
    """Import `name`, found in the directory `path`, in a fresh interpreter.

    Raises:
        RuntimeError: there is no such package, or its import failed; the message ends with the traceback.
    """
    if not (path / name / "__init__.py").is_file():
        raise RuntimeError(f"there is no package {name} in {path}")
    environment = {**os.environ, "PYTHONPATH": str(path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    done = subprocess.run([sys.executable, "-c", PROBE.format(name=name)], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`import {name}` failed in a fresh interpreter:\n{done.stderr}")
    result = json.loads(done.stdout.splitlines()[-1])
    return Measurement(result["numpy"], result["own"], tuple(result["loaded"]))


def unwanted(loaded: Iterable[str], own: str) -> list[str]:
    """Packages among the loaded modules that `import flambeau` must not load.

    >>> unwanted(["flambeau.nn", "json", "rich", "rich.table", "multiprocessing.util", "numpy.fft"], "flambeau")
    ['multiprocessing', 'rich']
    """
    found = set()
    for module in loaded:
        top = module.partition(".")[0]
        heavy = [name for name in HEAVY if module == name or module.startswith(name + ".")]
        if heavy:
            found.add(heavy[0])
        elif top not in sys.stdlib_module_names and top not in (own, "numpy") and not top.startswith("_"):
            found.add(top)
    return sorted(found)


def check(name: str, path: Path, most_seconds: float = MOST_SECONDS) -> tuple[list[str], Measurement]:
    """The problems (one line each) and the best measurement."""
    measure(name, path)  # writes the bytecode cache
    best = measure(name, path)
    for run in range(1, RUNS + MORE_RUNS):
        if run >= RUNS and best.own <= most_seconds:
            break
        best = min(best, measure(name, path), key=lambda m: m.own)
    problems = [f"`import {name}` loads {package}; import it inside the functions that need it" for package in unwanted(best.loaded, name)]
    if best.own > most_seconds:
        problems.append(f"`import {name}` takes {best.own * 1e3:.0f} ms after NumPy, at most {most_seconds * 1e3:.0f} ms")
    return problems, best


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    try:
        problems, best = check("flambeau", root / "packages/core/src")
    except RuntimeError as error:
        print(error)
        return 1
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"import time: NumPy {best.numpy * 1e3:.0f} ms, then flambeau {best.own * 1e3:.0f} ms ({len(best.loaded)} modules)")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
