"""Programs for PyTorch run on Flambeau, and print the losses that PyTorch printed (tests/golden/program_losses.json)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flambeau
from tests.compat.cases import CASES, TOLERANCE

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE.parent / "golden" / "program_losses.json").read_text())


@pytest.fixture(scope="module")
def ours():
    """All programs, run in one process."""
    command = [sys.executable, "-m", "flambeau.torch", str(HERE / "runner.py"), *[case.command for case in CASES]]
    environment = {**os.environ, "PYTHONPATH": str(Path(flambeau.__file__).parent.parent), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", CASES, ids=[case.command for case in CASES])
def test_the_losses_are_those_of_pytorch(case, ours):
    found, expected = ours[case.command], GOLDEN[case.command]
    assert not found["error"], found["error"]
    assert len(found["losses"]) == len(expected) >= 50
    assert found["losses"] == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)


def test_every_program_is_a_case():
    assert {path.name for path in (HERE / "programs").glob("*.py")} == {case.command.split()[0] for case in CASES}


def test_nothing_is_missing_by_the_static_check():
    from flambeau.torch._compat import check_path

    found, files = check_path(HERE / "programs")
    assert found == [] and files > 20
