"""The losses kept in tests/golden/program_losses.json are those that this PyTorch prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat.cases import CASES, TOLERANCE

pytest.importorskip("torch")
TESTS = Path(__file__).parent.parent
GOLDEN = json.loads((TESTS / "golden" / "program_losses.json").read_text())


@pytest.fixture(scope="module")
def theirs():
    """All programs, run in one process."""
    command = [sys.executable, str(TESTS / "compat" / "runner.py"), *[case.command for case in CASES]]
    environment = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", CASES, ids=[case.command for case in CASES])
def test_pytorch_prints_the_kept_losses(case, theirs):
    expected = GOLDEN[case.command]
    assert not theirs[case.command]["error"]
    assert theirs[case.command]["losses"] == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)
