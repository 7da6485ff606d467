"""Run checkpoints: kept, found, and never half written."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from flambeau.base.errors import ArgumentError, FileFormatError
from flambeau.serialization import Checkpointer


def test_keeps_the_last_ones(tmp_path):
    checkpoints = Checkpointer(tmp_path / "run", keep=2)
    assert checkpoints.latest() is None and checkpoints.steps() == []
    for step in (5, 10, 100, 1_000_000_000_000):
        assert checkpoints.save(step, {"step": step, "w": np.full(3, step)}).exists()
    assert checkpoints.steps() == [100, 1_000_000_000_000]
    newest = checkpoints.latest()
    assert newest.step == 1_000_000_000_000 and newest.state["step"] == newest.step and newest.path == checkpoints.path(newest.step)
    assert checkpoints.load(100).state["w"].tolist() == [100, 100, 100]
    with pytest.raises(ArgumentError, match=r"a step of \[100, 1000000000000\], got 5"):
        checkpoints.load(5)


def test_saving_a_step_again_replaces_it(tmp_path):
    checkpoints = Checkpointer(tmp_path, keep=None)
    for value in (1, 2):
        checkpoints.save(7, value)
    assert checkpoints.latest().state == 2 and checkpoints.steps() == [7]


def test_a_step_before_the_kept_ones_is_not_deleted_at_once(tmp_path):
    checkpoints = Checkpointer(tmp_path, keep=1)
    checkpoints.save(10, "a")
    path = checkpoints.save(5, "b")
    assert path.exists() and checkpoints.load(5).state == "b"


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "zeros"])
def test_a_damaged_newest_falls_back_with_a_warning(tmp_path, damage):
    checkpoints = Checkpointer(tmp_path)
    for step in (1, 2, 3):
        checkpoints.save(step, {"w": np.full(1000, step)})
    path = checkpoints.path(3)
    raw = bytearray(path.read_bytes())
    path.write_bytes(
        {"cut": raw[:-10], "empty": b"", "zeros": bytes(len(raw)), "flip": raw[:-100] + bytes([raw[-100] ^ 4]) + raw[-99:]}[damage]
    )
    with pytest.warns(UserWarning, match="checkpoint-000000003.safetensors cannot be used, trying the one before"):
        found = checkpoints.latest()
    assert found.step == 2 and (found.state["w"] == 2).all()
    with pytest.raises(FileFormatError):
        checkpoints.load(3)


def test_all_damaged_is_an_error(tmp_path):
    checkpoints = Checkpointer(tmp_path)
    checkpoints.save(1, "x")
    checkpoints.path(1).write_bytes(b"junk")
    with pytest.raises(FileFormatError, match="an intact checkpoint in"), pytest.warns(UserWarning, match="cannot be used"):
        checkpoints.latest()


def test_left_over_temporary_files_go_after_a_while(tmp_path):
    checkpoints = Checkpointer(tmp_path)
    fresh, stale, other = (tmp_path / name for name in (".checkpoint-1.a.tmp", ".checkpoint-1.b.tmp", ".unrelated.tmp"))
    for path in (fresh, stale, other):
        path.write_bytes(b"x")
    for path in (stale, other):
        os.utime(path, (time.time() - 5000,) * 2)
    checkpoints.save(1, "x")
    assert fresh.exists() and other.exists() and not stale.exists()


def test_bad_arguments(tmp_path):
    with pytest.raises(ArgumentError, match="keep of 1 or more"):
        Checkpointer(tmp_path, keep=0)
    with pytest.raises(ArgumentError, match="a step of 0 or more"):
        Checkpointer(tmp_path).save(-1, None)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_kill_at_any_moment_leaves_a_loadable_checkpoint(tmp_path):
    script = textwrap.dedent(
        f"""
        import numpy as np
        from flambeau.serialization import Checkpointer
        checkpoints = Checkpointer({str(tmp_path)!r}, keep=2)
        found = checkpoints.latest()
        step = found.step if found else 0
        while True:
            step += 1
            checkpoints.save(step, {{"step": step, "w": np.full(200_000, step), "more": [np.full(1000, step)] * 20}})
            print(step, flush=True)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    moments = random.Random(0)
    last = 0
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-W", "error", "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as process:
            reported = int(process.stdout.readline())
            time.sleep(moments.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            reported = max([reported, *map(int, process.stdout.read().split())])
        found = Checkpointer(tmp_path).latest()  # a warning would be an error
        assert found.step >= reported > last
        assert found.state["step"] == found.step and (found.state["w"] == found.step).all()
        assert all((part == found.step).all() for part in found.state["more"])
        last = found.step
    assert len(list(pathlib.Path(tmp_path).glob("checkpoint-*"))) <= 3
