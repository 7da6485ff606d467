"""The worked plugin of examples/, installed with the core into an empty environment and used from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "examples" / "plugin-hello"
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "FLAMBEAU_"))}


def run(*command: object, cwd: Path) -> str:
    """The output of a command; its failure is the test's failure, with everything that it printed."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment in `venv` that holds the core and the plugin, and nothing else that is ours."""
    folder = tmp_path_factory.mktemp("plugin")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=ROOT)
    pip = (sys.executable, "-m", "pip", "--python", python(folder))
    run(*pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", ROOT / "packages" / "core", PLUGIN, cwd=folder)
    return folder


def python(folder: Path) -> Path:
    return folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"


def flambeau(folder: Path, *arguments: str) -> str:
    return run(python(folder), "-W", "error", "-m", "flambeau", *arguments, cwd=folder)


def test_it_is_found_with_what_it_brings(folder: Path) -> None:
    (row,) = [row for row in json.loads(flambeau(folder, "plugins", "--json")) if row["id"] == "hello"]
    assert (row["state"], row["source"], row["version"], row["first_party"]) == ("loaded", "flambeau-hello", "0.1.0", False)
    assert row["registered"] == {"models": 1, "datasets": 1, "recipes": 1, "commands": 1}
    listed = json.loads(flambeau(folder, "list", "--source", "flambeau-hello", "--json"))
    assert {(row["kind"], row["full_name"]) for row in listed} == {
        ("models", "hello/rings_net"), ("datasets", "hello/rings"), ("recipes", "hello/rings"), ("commands", "hello/hello"),
    }  # fmt: skip


def test_its_command_is_a_command(folder: Path) -> None:
    assert flambeau(folder, "hello") == "Hello from a plugin.\n"
    assert "Say hello. [flambeau-hello]" in flambeau(folder, "--help")


def test_its_recipe_trains_and_its_seed_decides(folder: Path) -> None:
    lines = [flambeau(folder, "fit", "rings", "--seed", seed, "--json").splitlines()[-1] for seed in ("1", "1", "2")]
    metrics = [json.loads(line)["metrics"] for line in lines]
    assert metrics[0]["accuracy"] > 0.95
    assert metrics[0] == metrics[1]
    assert (folder / "runs" / "rings" / "run.json").is_file()


def test_its_model_and_dataset_can_be_had_by_name(folder: Path) -> None:
    code = """if True:
        import flambeau
        net, data = flambeau.get("models", "rings_net")(8), flambeau.get("datasets", "hello/rings")(10)
        print(len(data), tuple(net(data.tensors[0]).shape))
    """
    assert run(python(folder), "-W", "error", "-c", code, cwd=folder) == "10 (10, 2)\n"


def test_it_can_be_switched_off(folder: Path) -> None:
    code = "import os; os.environ['FLAMBEAU_PLUGIN_AUTOLOAD'] = '0'; from flambeau.cli.main import main; main()"
    rows = json.loads(run(python(folder), "-c", code, "plugins", "--json", cwd=folder))
    assert {row["id"]: row["state"] for row in rows} == {"flambeau": "loaded", "hello": "disabled"}


def test_it_is_under_sixty_lines() -> None:
    assert len((PLUGIN / "flambeau_hello.py").read_text().splitlines()) < 60
