"""What the benchmarks share: paired timing, the machine's measured peaks, and the report (a table, and JSON under benchmarks/results/)."""

from __future__ import annotations

import datetime
import gc
import json
import os
import platform
import sys
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"


def paired(
    ours: Callable[[], Any], theirs: Callable[[], Any] | None, *, rounds: int = 15, seconds: float = 0.02
) -> tuple[float, float | None]:
    """The best time of each in seconds per call, measured in turns so that a slow moment of the machine hits both."""
    counts = [_count(f, seconds) if f else 0 for f in (ours, theirs)]
    best = [float("inf"), float("inf")]
    gc.disable()
    try:
        for _ in range(rounds):
            for i, f in enumerate((ours, theirs)):
                if f:
                    best[i] = min(best[i], timeit.timeit(f, number=counts[i]) / counts[i])
    finally:
        gc.enable()
    return best[0], best[1] if theirs else None


def beside(
    mine: Callable[[], Any], theirs: Callable[[], Any] | None, torch: Any, *, eager_only: bool = False, **rounds: Any
) -> dict[str, float | None]:
    """Seconds a call of ours, of PyTorch eager and of `torch.compile` (which needs a C++ compiler), and ours against the better of the two.
    What `torch.compile` refuses has no time. `rounds`: see `paired`."""
    rounds = {"rounds": 5, "seconds": 0.1, **rounds}
    best, eager = paired(mine, theirs, **rounds)
    built = None
    if theirs and not eager_only:
        compiled = torch.compile(theirs)
        try:
            for _ in range(3):
                compiled()
        except RuntimeError as error:  # it takes fewer programs than eager PyTorch: two backward passes in one function, for one
            print(f"torch.compile does not run this: {error}", file=sys.stderr)
        else:
            again, built = paired(mine, compiled, **rounds)
            best = min(best, again)
    better = min((t for t in (eager, built) if t is not None), default=None)
    return {"flambeau": best, "pytorch eager": eager, "torch.compile": built, "times faster": None if better is None else better / best}


def columns(found: dict[str, float | None], unit: str, scale: float) -> dict[str, float | None]:
    """What `beside` found as columns of a table, in a unit of which there are `scale` in a second."""
    times = {f"{k} {unit}": None if v is None else v * scale for k, v in found.items() if k != "times faster"}
    return {**times, "times faster": found["times faster"]}


def _count(f: Callable[[], Any], seconds: float) -> int:
    f()
    once = timeit.timeit(f, number=3) / 3
    return max(int(seconds / max(once, 1e-9)), 1)


def peaks() -> dict[str, float]:
    """GF/s of NumPy's matrix product (1024^3, float32) and GB/s of a large copy."""
    a = np.ones((1024, 1024), np.float32)
    product = min(timeit.repeat(lambda: a @ a, number=1, repeat=7))
    source, target = np.ones(1 << 24, np.float32), np.empty(1 << 24, np.float32)
    copy = min(timeit.repeat(lambda: np.copyto(target, source), number=1, repeat=7))
    return {"matmul_gflops": round(2 * 1024**3 / product / 1e9, 1), "copy_gbytes": round(2 * source.nbytes / copy / 1e9, 1)}


def machine() -> dict[str, Any]:
    """The kind of machine, without its name."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        model = next((line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")), model)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def chosen(name: str) -> bool:
    """Whether the command line asks for a row: by a part of its name, or by naming none."""
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")]
    return not wanted or any(word in name for word in wanted)


def report(name: str, rows: list[dict[str, Any]], extra: dict[str, Any] | None = None) -> None:
    """Print a table and JSON, which is kept as the latest result unless the command line chose rows: a part must not replace the whole."""
    result = {
        "benchmark": name,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "peaks": peaks(),
        **(extra or {}),
        "rows": rows,
    }
    columns = list(rows[0])
    widths = [max(len(c), *(len(_cell(r[c])) for r in rows)) for c in columns]
    print("  ".join(c.ljust(w) for c, w in zip(columns, widths)))
    for r in rows:
        print("  ".join(_cell(r[c]).ljust(w) for c, w in zip(columns, widths)))
    print(json.dumps(result))
    if sys.argv[1:]:
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def peer() -> Any:
    """PyTorch on one thread, or None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    return torch
