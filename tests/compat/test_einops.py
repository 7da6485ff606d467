"""einops' own tests, on Flambeau: installed by pip, run by a Python that finds Flambeau as `torch`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import flambeau
from tests.core.torch.folders import shim


@pytest.mark.slow
def test_the_tests_of_einops_pass(tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path), "einops==0.8.2"]
    installed = subprocess.run(pip, capture_output=True, text=True, timeout=120)
    if installed.returncode:
        pytest.skip(f"einops could not be installed: {installed.stderr[-200:]}")
    path = os.pathsep.join([shim(), str(Path(flambeau.__file__).parent.parent), str(tmp_path)])
    environment = {**os.environ, "PYTHONPATH": path, "EINOPS_TEST_BACKENDS": "numpy,torch"}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "einops" / "tests")]
    done = subprocess.run(tests, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=280)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-3000:]
