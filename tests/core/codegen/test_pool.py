"""Threads: workers take part, results do not depend on their number, forks and exits are clean, several Python threads may run at once."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import flambeau as fb
from tests.core.codegen.programs import build, captured, llvm  # first: skips where llvmlite is absent

from flambeau.codegen.pool import pool  # isort: skip

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has workers")
RNG = np.random.default_rng(0)
A, B = (RNG.standard_normal((300, 280)).astype("f4") for _ in range(2))
WIDE, TALL = (RNG.standard_normal(s).astype("f4") for s in ((70, 900), (900, 65)))
LONG = RNG.standard_normal(300_007).astype("f4")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = fb.get_num_threads()
    yield
    fb.set_num_threads(before)
    pool().start()


def work() -> list[np.ndarray]:
    """Programs with kernels that are large enough to be shared: along lanes, along rows, products cut along both sides."""
    found = []
    for fn, arrays in (
        (lambda x: (x * 3 + 1).tanh() - x.exp(), (LONG,)),
        (lambda x, y: (fb.softmax(x * y, 1), (x - y).tanh() * x.sin()), (A, B)),
        (lambda x, y: (x @ y.T, x.T @ y, x[:260] @ y[:120].T, x[:120] @ y.T), (A, B)),
        (lambda x, y: (x @ y, y.T[:50] @ x.T), (WIDE, TALL)),
    ):
        graph, inputs = captured(fn, *arrays)
        program = build(graph)
        assert program.native
        assert program.segments[0].threads or fb.get_num_threads() == 1  # type: ignore[union-attr]
        found += program.run(inputs)
    return found


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    runs = []
    for n in (1, 2, 3, 5):
        fb.set_num_threads(n)
        pool().start()
        runs.append(work())
    for run in runs[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(runs[0], run, strict=True))


@linux
def test_workers_take_part() -> None:
    fb.set_num_threads(3)
    pool().start()
    assert len(pool().threads) == 2
    text = (
        "declare i64 @syscall(i64, ...)\ndeclare i32 @usleep(i32)\n"
        "define void @note(ptr %a, i64 %i) {\n  %z = call i32 @usleep(i32 3000)\n"
        f"  %t = call i64 (i64, ...) @syscall(i64 {186 if 'x86_64' in llvm.host().triple else 178})\n"
        "  %p = getelementptr i64, ptr %a, i64 %i\n  store i64 %t, ptr %p\n  ret void\n}\n"
    )
    library = llvm.Library([llvm.compile_text(text, llvm.host())], ["note"], llvm.host(), ["syscall", "usleep"])
    parfor = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(pool().parfor)
    for _ in range(3):
        seen = np.zeros(30, np.int64)
        parfor(pool().address, library.addresses["note"], seen.ctypes.data, 30)
        assert (seen > 0).all()  # every index was done
        assert threading.get_native_id() in seen
        assert len(set(seen)) == 3


@linux
def test_thousands_of_short_jobs() -> None:
    fb.set_num_threads(4)
    pool().start()
    text = (
        "define void @count(ptr %a, i64 %i) {\n  %p = getelementptr i64, ptr %a, i64 %i\n"
        "  %o = atomicrmw add ptr %p, i64 1 monotonic\n  ret void\n}\n"
    )
    library = llvm.Library([llvm.compile_text(text, llvm.host())], ["count"], llvm.host())
    parfor = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(pool().parfor)
    counts = np.zeros(7, np.int64)
    for _ in range(20000):
        parfor(pool().address, library.addresses["count"], counts.ctypes.data, 7)
    assert (counts == 20000).all()


def test_python_threads_at_once() -> None:
    graph, inputs = captured(lambda x, y: (x @ y.T).tanh() + (x * y).sum(), A, B)
    programs = [build(graph) for _ in range(2)]
    expected = programs[0].run(inputs)[0]
    wrong: list[int] = []

    def loop(n: int) -> None:
        for _ in range(25):
            if not np.array_equal(programs[n % 2].run(inputs)[0], expected):
                wrong.append(n)

    threads = [threading.Thread(target=loop, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


CHILD = """
import os, sys
import numpy as np
import flambeau as fb
from tests.core.codegen.programs import build, captured
fb.set_num_threads(3)
x = np.linspace(-2, 2, 400000).astype("f4")
graph, inputs = captured(lambda t: (t * 2).tanh() + t, x)
program = build(graph)
call = program.bind(inputs)
right = call()[0].copy()
pid = os.fork()
if pid == 0:
    fine = all(np.array_equal(call()[0], right) for _ in range(20)) and np.array_equal(build(graph).run(inputs)[0], right)
    os._exit(0 if fine else 3)
assert os.waitpid(pid, 0)[1] == 0
assert np.array_equal(call()[0], right)
print("fine")
"""


@linux
def test_forked_children_work_and_the_process_ends() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", CHILD], env=env, capture_output=True, text=True, timeout=100)
    assert (done.stdout.strip(), done.returncode) == ("fine", 0), done.stderr
