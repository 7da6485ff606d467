"""The package checker sees a version, a licence, an entry point or a requirement that disagrees."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tools.packages import check

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the metadata of the real packages, with the modules that it names."""
    shutil.copy(ROOT / "LICENSE", tmp_path / "LICENSE")
    for folder in (ROOT / "packages").iterdir():
        package = "flambeau" if folder.name == "core" else f"flambeau_{folder.name}"
        source = tmp_path / "packages" / folder.name / "src" / package
        source.mkdir(parents=True)
        for name in ("pyproject.toml", "LICENSE"):
            shutil.copy(folder / name, tmp_path / "packages" / folder.name / name)
        for name in ("__about__.py", "py.typed"):
            shutil.copy(folder / "src" / package / name, source / name)
        module = source / ("cli/main.py" if folder.name == "core" else "registry.py")
        module.parent.mkdir(exist_ok=True)
        module.touch()
    return tmp_path


def test_the_packages_agree(tree: Path) -> None:
    assert check(tree) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("text/src/flambeau_text/__about__.py", "0.1.0", "0.1.1", "versions differ: audio 0.1.0, core 0.1.0, rl 0.1.0, text 0.1.1, vision 0.1.0"),
        ("text/src/flambeau_text/__about__.py", "__version__", "version", "versions differ: audio 0.1.0, core 0.1.0, rl 0.1.0, text none"),
        ("rl/LICENSE", "Apache", "Other", "packages/rl: LICENSE is not the same as the repository's"),
        ("rl/pyproject.toml", "flambeau_rl.registry", "flambeau_rl.nowhere", "packages/rl: the entry point rl names flambeau_rl.nowhere"),
        ("core/pyproject.toml", "flambeau.cli.main:main", "flambeau.cli.gone:main", "packages/core: the entry point flambeau names"),
        ("rl/pyproject.toml", ">=3.11", ">=3.10", "packages/rl: requires-python is >=3.10"),
        ("rl/pyproject.toml", 'name = "flambeau-rl"', 'name = "flambeau-r1"', "packages/rl: the distribution is called flambeau-r1, not flambeau-rl"),
        ("rl/pyproject.toml", "flambeau>=0.1.0,<0.2", "flambeau>=0.2.0,<0.3", "packages/rl: needs flambeau>=0.2.0,<0.3, which does not admit version 0.1.0"),
        ("rl/pyproject.toml", "flambeau>=0.1.0,<0.2", "flambeau", "packages/rl: needs flambeau, which does not admit version 0.1.0"),
    ],
)  # fmt: skip
def test_each_disagreement_is_named(tree: Path, file: str, old: str, new: str, expected: str) -> None:
    path = tree / "packages" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert any(line.startswith(expected) for line in check(tree)), check(tree)


@pytest.mark.parametrize("name", ["py.typed", "__about__.py"])
def test_missing_files_are_named(tree: Path, name: str) -> None:
    (tree / "packages/audio/src/flambeau_audio" / name).unlink()
    assert f"packages/audio: src/flambeau_audio/{name} is missing" in check(tree)
