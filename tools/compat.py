"""Make docs/compat.md and the losses that tests compare with: run the programs of tests/compat under PyTorch and under Flambeau.

`python -m tools.compat PYTHON`, where PYTHON is an interpreter that has PyTorch. Each program runs three times; the best time counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RUNNER = ROOT / "tests" / "compat" / "runner.py"
LOSSES = ROOT / "tests" / "golden" / "program_losses.json"
TARGET = ROOT / "docs" / "compat.md"
ROUNDS = 3
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_MADE = "<!-- The table is made by `python -m tools.compat PYTHON`; the rest is written by hand. -->"


def run(command: list[str], path: str) -> dict[str, Any]:
    """What the runner prints."""
    environment = {**os.environ, **_ONE_THREAD, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, cwd=RUNNER.parent)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def difference(ours: list[float], theirs: list[float]) -> float | None:
    """The largest difference of two runs, relative to losses above 1; None if one printed more than the other."""
    if len(ours) != len(theirs):
        return None
    return max((abs(a - b) / max(1.0, abs(b)) for a, b in zip(ours, theirs, strict=True)), default=None)


def table(ours: dict[str, Any], theirs: dict[str, Any], cases: Any) -> str:
    """The rows of the document."""
    lines = [
        "| in the style of | runs | losses compared | largest difference | time: PyTorch | Flambeau | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        a, b = ours[case.command], theirs[case.command]
        gap = difference(a["losses"], b["losses"])
        ratio = a["seconds"] / b["seconds"]
        runs = "no" if a["error"] or gap is None else "yes"
        cells = [str(len(b["losses"])), "-" if gap is None else f"{gap:.1e}", f"{b['seconds']:.2f} s", f"{a['seconds']:.2f} s"]
        lines.append(f"| {case.style} | {runs} | {' | '.join(cells)} | {ratio:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run everything and write both files."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    from tests.compat.cases import CASES

    commands = [case.command for case in CASES]
    path = os.pathsep.join(str(folder) for folder in sorted((ROOT / "packages").glob("*/src")))
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    for _ in range(ROUNDS):
        for found, command, where in (
            (theirs, [sys.argv[1], str(RUNNER), *commands], ""),
            (ours, [sys.executable, "-m", "flambeau.torch", str(RUNNER), *commands], path),
        ):
            for name, result in run(command, where).items():
                best = min(result["seconds"], found.get(name, result)["seconds"])
                found[name] = {**result, "seconds": best}
    golden = {name: [float(f"{loss:.8g}") for loss in result["losses"]] for name, result in theirs.items()}
    LOSSES.write_text(json.dumps(golden, indent=0).replace(",\n", ", ").replace("], ", "],\n") + "\n", encoding="utf-8")
    head = TARGET.read_text(encoding="utf-8").partition(_MADE)[0]
    TARGET.write_text(f"{head}{_MADE}\n\n{table(ours, theirs, CASES)}", encoding="utf-8")
    for name, result in ours.items():
        if result["error"]:
            print(f"{name}\n{result['error']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
