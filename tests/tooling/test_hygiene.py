"""The scan finds index hosts and machine paths. The bad texts are put together here, so that the scan does not find this file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.hygiene import check, repository_files


@pytest.mark.parametrize(
    "text",
    [
        "see https://py" + "pi.org/project/x",
        "https://files.python" + "hosted.org/x.whl",
        "pip install --index" + "-url X",
        "--extra-index" + "-url=X",
        "the log is in /wo" + "rk/main/log.txt",
        "PATH=/ro" + "ot/.pyenv",
        "file:///op" + "t/wheels",
        "/ho" + "me/ann/flambeau",
        "C:" + "\\Users\\Ann",
    ],
)
def test_bad_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.md"
    path.write_text(f"fine\nbefore {text} after\n", encoding="utf-8")
    problems = check([path])
    assert len(problems) == 1
    assert problems[0].startswith(f"{path}:2: ")


@pytest.mark.parametrize(
    "text", ["docs/home/index.md", "a/work/b", "https://example.org/opt/x", "rl/rollout", "the root / the work", "~/.cache"]
)
def test_good_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.md"
    path.write_text(text, encoding="utf-8")
    assert check([path]) == []


def test_binary_files_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\0 py" + b"pi.org")
    assert check([path]) == []


def test_repository_files_are_those_that_git_does_not_ignore(tmp_path: Path) -> None:
    for name, text in {".gitignore": "built/\n", "new.md": "", "built/out.md": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    assert sorted(path.name for path in repository_files(tmp_path)) == [".gitignore", "new.md"]
