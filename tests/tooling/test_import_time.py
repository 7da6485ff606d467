"""The import check sees heavy modules and slow imports in a fresh interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.import_time import check, measure, unwanted


def package(root: Path, text: str) -> Path:
    (root / "lamp").mkdir()
    (root / "lamp/__init__.py").write_text(text)
    return root


def test_a_light_package_passes(tmp_path: Path) -> None:
    problems, best = check("lamp", package(tmp_path, "import numpy, json, math"), most_seconds=5.0)
    assert problems == []
    assert best.numpy > 0


@pytest.mark.parametrize(
    ("module", "named"), [("multiprocessing", "multiprocessing"), ("unittest.mock", "unittest"), ("pluggy", "pluggy"), ("pytest", "pytest")]
)
def test_heavy_modules_are_named(tmp_path: Path, module: str, named: str) -> None:
    problems, _ = check("lamp", package(tmp_path, f"import {module}"), most_seconds=60.0)
    assert any(f"loads {named};" in line for line in problems), problems


def test_a_slow_import_is_named(tmp_path: Path) -> None:
    problems, _ = check("lamp", package(tmp_path, "import time; time.sleep(0.02)"), most_seconds=0.01)
    assert len(problems) == 1
    assert "at most 10 ms" in problems[0]


def test_an_absent_or_failing_package_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="there is no package lamp"):
        measure("lamp", tmp_path)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        measure("lamp", package(tmp_path, "1 / 0"))


def test_unwanted_leaves_the_package_numpy_and_light_standard_modules_alone() -> None:
    assert unwanted(["lamp", "lamp.http", "numpy.linalg", "json", "_struct", "__editable___x"], "lamp") == []
    assert unwanted(["cupy.cuda", "xml.dom", "ssl"], "lamp") == ["cupy", "ssl", "xml"]
