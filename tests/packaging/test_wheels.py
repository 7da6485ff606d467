"""Each package as a user gets it: its wheel, alone in an empty environment, with what it needs and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("core", "vision", "audio", "text", "rl")
CORE = {"flambeau", "numpy", "ml-dtypes", "pluggy", "click", "rich", "safetensors", "threadpoolctl", "markdown-it-py", "mdurl", "pygments"}
NEEDS = {
    "vision": {"flambeau-vision", "pillow"},
    "audio": {"flambeau-audio", "soundfile", "cffi", "pycparser", "typing-extensions"},
    "text": {"flambeau-text"},
    "rl": {"flambeau-rl", "gymnasium", "cloudpickle", "farama-notifications", "typing-extensions"},
}
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
VERSION = "0.1.0"


def run(*command: object, cwd: Path) -> str:
    """The output of a command; its failure is the test's failure, with everything that it printed."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    target = tmp_path_factory.mktemp("wheels")
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        target,
        *(ROOT / "packages" / name for name in FOLDERS),
        cwd=ROOT,
    )
    names = {folder: "flambeau" if folder == "core" else f"flambeau_{folder}" for folder in FOLDERS}
    return {folder: target / f"{name}-{VERSION}-py3-none-any.whl" for folder, name in names.items()}


class Environment:
    """An empty virtual environment without even pip, filled by the pip outside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        run(sys.executable, "-m", "venv", "--without-pip", path, cwd=ROOT)
        self.bin = path / ("Scripts" if os.name == "nt" else "bin")

    def install(self, *wheels: Path) -> None:
        self._pip("install", "--quiet", "--constraint", ROOT / "constraints.txt", *wheels)

    def installed(self) -> set[str]:
        return {row["name"].lower().replace("_", "-") for row in json.loads(self._pip("list", "--format=json"))}

    def python(self, code: str) -> str:
        return run(self.bin / "python", "-W", "error", "-c", code, cwd=self.path)

    def command(self, *arguments: str) -> str:
        return run(self.bin / arguments[0], *arguments[1:], cwd=self.path)

    def _pip(self, *arguments: object) -> str:
        return run(sys.executable, "-m", "pip", "--python", self.bin / "python", *arguments, cwd=self.path)


@pytest.mark.parametrize("folder", FOLDERS)
def test_wheel_is_pure_typed_and_licensed(wheels: dict[str, Path], folder: str) -> None:
    wheel = wheels[folder]
    package = wheel.name.partition("-")[0]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(f"{package}-{VERSION}.dist-info/METADATA").decode()
    assert f"{package}/py.typed" in names
    assert f"{package}-{VERSION}.dist-info/licenses/LICENSE" in names
    assert "License-Expression: Apache-2.0" in metadata
    assert {name.partition("/")[0] for name in names} == {package, f"{package}-{VERSION}.dist-info"}
    assert not [name for name in names if name.endswith((".so", ".pyd", ".dll", ".dylib", ".pyc"))]
    sources = (ROOT / "packages" / folder / "src" / package).rglob("*.py")
    assert {f"{package}/{path.relative_to(ROOT / 'packages' / folder / 'src' / package).as_posix()}" for path in sources} <= set(names)


def test_core_alone(wheels: dict[str, Path], tmp_path: Path) -> None:
    environment = Environment(tmp_path / "venv")
    environment.install(wheels["core"])
    assert environment.installed() - {"colorama"} == CORE
    assert environment.python("import flambeau; print(flambeau.__version__)").strip() == VERSION
    assert VERSION in environment.command("flambeau", "--version")
    said = environment.python("""if True:
        import flambeau
        assert not hasattr(flambeau, "vision")
        try:
            from flambeau import vision
        except ImportError as error:
            print(error)
    """)
    assert 'pip install "flambeau-vision"' in said


@pytest.mark.parametrize("folder", sorted(NEEDS))
def test_domain_package_with_the_core(wheels: dict[str, Path], tmp_path: Path, folder: str) -> None:
    environment = Environment(tmp_path / "venv")
    environment.install(wheels["core"], wheels[folder])
    assert environment.installed() - {"colorama"} == CORE | NEEDS[folder]
    code = f"import flambeau_{folder} as package, flambeau; print(package.__version__, flambeau.{folder} is package)"
    assert environment.python(code).split() == [VERSION, "True"]
    assert VERSION in environment.command("flambeau", "--version")
