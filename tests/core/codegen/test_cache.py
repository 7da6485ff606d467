"""The kernel cache: hits, corrupt and foreign entries, folders that cannot be used, several processes, size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.core.codegen.programs import check, llvm  # first: skips where llvmlite is absent

from flambeau.codegen import cache  # isort: skip

TEXT = "define i64 @answer() {\n  ret i64 %d\n}\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a count of compilations in `compiled`."""
    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path))
    monkeypatch.setattr(cache, "_memory", {})
    return tmp_path


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    plain = cache.compile_text
    monkeypatch.setattr(cache, "compile_text", lambda text, target: texts.append(text) or plain(text, target))
    return texts


def forget() -> None:
    cache._memory.clear()


def entries(home: Path) -> list[Path]:
    return sorted(home.glob("kernels/*/*.o"))


def test_compiled_once(home: Path, compiled: list[str]) -> None:
    first = cache.object_code(TEXT % 42, llvm.host())
    forget()
    assert cache.object_code(TEXT % 42, llvm.host()) == first
    assert len(compiled) == 1
    assert len(entries(home)) == 1
    cache.object_code(TEXT % 43, llvm.host())
    assert len(compiled) == 2


def test_each_processor_has_its_own(home: Path, compiled: list[str]) -> None:
    cache.object_code(TEXT % 42, llvm.host())
    cache.object_code(TEXT % 42, llvm.host("generic"))
    assert len(compiled) == len(entries(home)) == (1 if llvm.host().level == "generic" else 2)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:200], lambda b: b"", lambda b: b[:100] + b"x" + b[101:], lambda b: b"no"]
)
def test_damaged_entries_are_compiled_again(home: Path, compiled: list[str], damage: object) -> None:
    right = cache.object_code(TEXT % 42, llvm.host())
    (entry,) = entries(home)
    entry.write_bytes(damage(entry.read_bytes()))  # type: ignore[operator]
    forget()
    assert cache.object_code(TEXT % 42, llvm.host()) == right
    assert len(compiled) == 2
    forget()
    cache.object_code(TEXT % 42, llvm.host())
    assert len(compiled) == 2  # the entry was repaired


def test_a_file_where_the_folder_should_be(home: Path, compiled: list[str]) -> None:
    (home / "kernels").write_text("in the way")
    assert cache.object_code(TEXT % 42, llvm.host())
    assert cache.object_code(TEXT % 42, llvm.host())
    assert len(compiled) == 1  # it is in memory


def test_read_only_or_full_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "atomic_write", refuse)
    assert cache.object_code(TEXT % 42, llvm.host())
    assert entries(home) == []


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions of POSIX")
def test_a_folder_that_others_can_write_to_is_not_used(home: Path, compiled: list[str]) -> None:
    cache.object_code(TEXT % 42, llvm.host())
    (home / "kernels").chmod(0o777)
    forget()
    cache.object_code(TEXT % 42, llvm.host())
    assert len(compiled) == 2


def test_trim_removes_what_was_used_longest_ago(home: Path) -> None:
    for n in range(4):
        cache.object_code(TEXT % n, llvm.host())
    by_use = entries(home)
    for age, path in enumerate(by_use):
        os.utime(path, (1e9 - age, 1e9 - age))
    size = by_use[0].stat().st_size
    cache.trim(2 * size + size // 2)
    assert entries(home) == sorted(by_use[:2])
    assert cache.clear() == 2
    assert entries(home) == []


def test_two_processes_at_once(home: Path) -> None:
    code = (
        "import numpy as np, flambeau as fb\n"
        "from tests.core.codegen.programs import check\n"
        "for n in range(3, 7): check(lambda x: (x * n).tanh().sum(0), np.ones((n, 9), 'f4'))\n"
        "print('fine')"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    runs = [subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [run.communicate(timeout=120)[0].strip() for run in runs] == ["fine", "fine"]
    check(lambda x: (x * 3).tanh().sum(0), np.ones((3, 9), "f4"))


def test_an_entry_in_the_place_of_another(home: Path, compiled: list[str]) -> None:
    """Whole, and of this program, but of other code: not taken for what its name says."""
    right = cache.object_code(TEXT % 1, llvm.host())
    (mine,) = entries(home)
    cache.object_code(TEXT % 2, llvm.host())
    (other,) = (path for path in entries(home) if path != mine)
    mine.write_bytes(other.read_bytes())
    forget()
    assert cache.object_code(TEXT % 1, llvm.host()) == right
    assert len(compiled) == 3


def test_the_first_write_of_a_process_looks_at_the_size(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        cache.object_code(TEXT % n, llvm.host())
    monkeypatch.setattr(cache, "_writes", 0)
    monkeypatch.setattr(cache.trim, "__defaults__", (1,))
    cache.object_code(TEXT % 9, llvm.host())
    assert entries(home) == []


_CHURN = """
import sys
from flambeau.codegen import cache, llvm
cache.trim.__defaults__ = (3000,)
cache._TRIM_EVERY = 3
for turn in range(3):
    for n in range(12):
        cache._memory.clear()
        body = cache.object_code("define i64 @answer() {\\n  ret i64 %d\\n}\\n" % n, llvm.host())
        assert llvm.Library([body], ["answer"], llvm.host()).addresses["answer"]
    if turn == int(sys.argv[1]):
        cache.clear()
print("fine")
"""


def test_processes_that_write_trim_and_clear_at_once(home: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    runs = [subprocess.Popen([sys.executable, "-c", _CHURN, str(i)], env=env, stdout=subprocess.PIPE, text=True) for i in range(3)]
    assert [run.communicate(timeout=120)[0].strip() for run in runs] == ["fine"] * 3
    left = [path for path in home.rglob("*") if path.is_file()]
    assert [path for path in left if path.suffix != ".o"] == []  # no temporary files
    forget()
    for path in entries(home):
        assert cache._read(path, path.stem) is not None  # what is there is whole


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="permissions of POSIX do not bind the administrator")
def test_a_folder_without_permission(home: Path) -> None:
    (home / "kernels").mkdir(mode=0o500)
    assert cache.object_code(TEXT % 42, llvm.host())
    assert entries(home) == []
