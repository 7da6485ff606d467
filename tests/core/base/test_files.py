"""Atomic writes and the lock between processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap

import pytest

from flambeau.base.errors import FlambeauError
from flambeau.base.files import atomic_write, file_lock, sha256_of


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(ValueError), atomic_write(path) as file:
        file.write(b"half")
        raise ValueError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file modes")
def test_modes_are_those_of_an_ordinary_file(tmp_path):
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.write_bytes(b"x")
    with atomic_write(atomic) as file:
        file.write(b"x")
    assert plain.stat().st_mode == atomic.stat().st_mode


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc" * 1000).hexdigest()


def test_a_lock_held_by_another_process_is_respected_and_dies_with_it(tmp_path):
    lock = tmp_path / "x.lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""
            from flambeau.base.files import file_lock
            with file_lock({str(lock)!r}):
                print("held", flush=True)
                input()
            """),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(FlambeauError, match="another process holds it"), file_lock(lock, timeout=0.2):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with file_lock(lock, timeout=10):
        pass
