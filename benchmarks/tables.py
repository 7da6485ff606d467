"""Put the latest committed results into the README, between its two marks: `python -m benchmarks.tables` (with --check, only compare)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS

README = Path(__file__).resolve().parent.parent / "README.md"
START = "<!-- Tables made by scripts (speed, sizes, coverage) go between these two lines; nothing is typed in by hand. -->"
END = "<!-- End of the tables made by scripts. -->"


def small_ops(result: dict[str, Any]) -> list[str]:
    """Times beside PyTorch's."""
    lines = ["| operation | Flambeau, us | PyTorch, us | ratio |", "|---|---|---|---|"]
    for row in result["rows"]:
        lines.append(f"| {row['operation']} | {row['flambeau us']:.2f} | {_number(row['pytorch us'])} | {_number(row['ratio'])} |")
    title = f"Small operations, eager, one thread, beside PyTorch {result['pytorch']} in one run (`python -m benchmarks.small_ops`)"
    return [title + _where(result), "", *lines]


def import_time(result: dict[str, Any]) -> list[str]:
    """Imports as whole processes."""
    lines = ["| import | ms |", "|---|---|"]
    lines += [f"| {row['import']} | {row['ms']:.0f} |" for row in result["rows"]]
    size = f"The core's own files take {result['core_megabytes']} MB."
    return [
        "Import in a fresh process, less the bare interpreter (`python -m benchmarks.import_time`)" + _where(result),
        "",
        *lines,
        "",
        size,
    ]


def compiled_step(result: dict[str, Any]) -> list[str]:
    """A training step eager and compiled."""
    lines = ["| work | Flambeau, us | PyTorch eager, us | torch.compile, us | times faster |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        peers = _number(row["pytorch eager us"]), _number(row["torch.compile us"])
        cells = row["work"], f"{row['flambeau us']:.1f}", *peers, _number(row["times faster"])
        lines.append(f"| {' | '.join(cells)} |")
    title = f"A 4-64-64-2 tanh network, one thread, beside PyTorch {result['pytorch']} in one run (`python -m benchmarks.compiled_step`)"
    return [title + _where(result), "", *lines]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _where(result: dict[str, Any]) -> str:
    m = result["machine"]
    peaks = f"matrix product {result['peaks']['matmul_gflops']} GF/s, copy {result['peaks']['copy_gbytes']} GB/s"
    return f"; {result['date']}, {m['cpu']}, {m['cores']} cores, {m['system']}, Python {m['python']}, measured peaks: {peaks}:"


def text() -> str:
    """All tables."""
    blocks = []
    for make in (small_ops, compiled_step, import_time):
        path = RESULTS / f"{make.__name__}.json"
        if path.exists():
            blocks.append("\n".join(make(json.loads(path.read_text(encoding="utf-8")))))
    return "\n\n".join(blocks)


def main() -> int:
    """Write or check the README; 1 if it is out of date."""
    old = README.read_text(encoding="utf-8")
    head, rest = old.split(START)
    tail = rest.split(END)[1]
    new = f"{head}{START}\n\n{text()}\n\n{END}{tail}"
    if "--check" in sys.argv[1:]:
        print("tables: in order" if new == old else "tables: the README is out of date; run `python -m benchmarks.tables`")
        return int(new != old)
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
