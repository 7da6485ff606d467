"""The shape checker counts lines, parameters and bytes, and keeps its list of exceptions honest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools.shape import check

LIMITS = {"file_lines": 12, "function_lines": 4, "parameters": 3}


def settings(**more: Any) -> dict[str, Any]:
    return {"where": ["src"], "limits": LIMITS, **more}


def write(root: Path, text: str) -> Path:
    (root / "src").mkdir(exist_ok=True)
    (root / "src/a.py").write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\n" * 13, ["src/a.py: 13 file lines, at most 12"]),
        ("def f():\n" + "    x = 1\n" * 4, ["src/a.py::f: 5 function lines, at most 4"]),
        ("class A:\n  async def f(self):\n" + "    x = 1\n" * 4, ["src/a.py::A.f: 5 function lines, at most 4"]),
        ("def f(a, b, /, c, *, d): pass\n", ["src/a.py::f: 4 parameters, at most 3"]),
        ("if True:\n  def f():\n    def g(a, b, c, d): pass\n", ["src/a.py::f.g: 4 parameters, at most 3"]),
        ("x = 1\n" * 12, []),
        ("def f():\n    '''One\n    two\n    three\n    '''\n" + "    x = 1\n" * 3, []),
        ("class A:\n  def f(self, a, b, c, *args, **kwargs): pass\n  @classmethod\n  def g(cls, a, b, c): pass\n", []),
    ],
)
def test_limits(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert check(write(tmp_path, text), settings()) == expected


def test_bytes_of_a_package(tmp_path: Path) -> None:
    write(tmp_path, "")
    (tmp_path / "src/weights.bin").write_bytes(bytes(1_000_001))
    assert check(tmp_path, settings(megabytes={"src": 1})) == ["src: 1000001 bytes, at most 1000000"]
    assert check(tmp_path, settings(megabytes={"src": 2})) == []


def test_exceptions_need_a_reason_and_a_use(tmp_path: Path) -> None:
    write(tmp_path, "def f(a, b, c, d): pass\n")
    entry = {"what": "src/a.py::f", "limit": "parameters", "reason": "PyTorch's signature"}
    assert check(tmp_path, settings(allow=[entry])) == []
    assert check(tmp_path, settings(allow=[{**entry, "reason": " "}])) == ["shape.toml: src/a.py::f (parameters) gives no reason"]
    assert check(tmp_path, settings(allow=[entry, {**entry, "what": "src/a.py"}])) == [
        "shape.toml: src/a.py (parameters) is not needed any more"
    ]
