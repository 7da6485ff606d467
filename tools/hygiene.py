"""Check that no file of the repository names a package index host, or a path that exists on one machine only.

Run as `python -m tools.hygiene`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

# Written so that this file does not match its own patterns.
BANNED = {
    "a package index host": r"(?:test\.)?pypi\.org|pythonhosted\.org|pythonhosted\.com|registry\.npmjs|download\.pytorch\.org/whl",
    "a pip index option": r"(?:--index-ur[l]|--extra-index-ur[l])\b",
    "a machine's path": r"(?<![\w.])(?:/wor[k]|/roo[t]|/hom[e]/\w+|/User[s]/\w+|/op[t])/[\w.]|\b[A-Z]:\\Users\\",
}


def check(paths: Iterable[Path]) -> list[str]:
    """One line for each banned text in the files, `path:line: what`."""
    return [problem for path in paths for problem in _file(path)]


def _file(path: Path) -> Iterator[str]:
    data = path.read_bytes()
    if b"\0" in data:
        return
    for number, line in enumerate(data.decode("utf-8", errors="replace").splitlines(), start=1):
        for what, pattern in BANNED.items():
            match = re.search(pattern, line)
            if match:
                yield f"{path}:{number}: {what}: {match.group()}"


def repository_files(root: Path) -> list[Path]:
    """The files that git has, or would add: everything that is not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=root, capture_output=True, check=True, text=True).stdout.split("\0")
    return [path for path in (root / name for name in names if name) if path.is_file()]


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    problems = check(repository_files(root))
    for problem in problems:
        print(problem.removeprefix(f"{root}/"))
    print(f"hygiene: {len(problems)} problems" if problems else "hygiene: in order")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
