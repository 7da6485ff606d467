"""Threads for large kernels: a pool whose workers run machine code only, so that Python's lock is never in the way.

`parfor(pool, f, argument, n)` calls f(argument, i) for every i below n, on the caller and on all workers that come in time. Who runs which
i is left to chance; what each i computes is not, so results do not depend on the number of threads. A worker that comes too late finds
the job closed: nobody waits for a thread that the system has not woken. Idle workers spin for some microseconds and then sleep in a
futex. Only Linux has workers; elsewhere, in a forked child and inside a running job the caller does all the work itself.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import mmap
import os
import sys
import threading

import numpy as np

from flambeau.base.switches import get_num_threads
from flambeau.codegen import llvm
from flambeau.codegen.cache import object_code

# Words of the pool's memory, each on cache lines of its own: the generation (what sleepers wait for), the job (bits 0-31: workers in it,
# bit 32: open, above: its number), the next index, what to do (function, argument, count), whether a job runs, sleepers, whether to quit.
GENERATION, JOB, NEXT, WORK, BUSY, SLEEPERS, QUIT = (16 * i for i in range(7))

_HAS_WORKERS = sys.platform == "linux"
_TEXT = """
{declarations}
define internal void @drain(ptr %pool) noinline {{
entry:
  %nextp = getelementptr i64, ptr %pool, i64 {NEXT}
  %workp = getelementptr i64, ptr %pool, i64 {WORK}
  %argp = getelementptr i64, ptr %workp, i64 1
  %np = getelementptr i64, ptr %workp, i64 2
  %f = load ptr, ptr %workp
  %arg = load ptr, ptr %argp
  %n = load i64, ptr %np
  br label %again
again:
  %i = atomicrmw add ptr %nextp, i64 1 monotonic
  %more = icmp ult i64 %i, %n
  br i1 %more, label %do, label %done
do:
  call void %f(ptr %arg, i64 %i)
  br label %again
done:
  ret void
}}
define void @worker(ptr %pool) {{
entry:
  %jobp = getelementptr i64, ptr %pool, i64 {JOB}
  %sleepp = getelementptr i64, ptr %pool, i64 {SLEEPERS}
  %quitp = getelementptr i64, ptr %pool, i64 {QUIT}
  br label %wait
wait:
  %seen = phi i32 [ 0, %entry ], [ %now, %left ], [ %now, %look ]
  br label %spin
spin:
  %k = phi i32 [ 0, %wait ], [ %k1, %idle ]
  %g = load atomic i32, ptr %pool acquire, align 64
  %changed = icmp ne i32 %g, %seen
  br i1 %changed, label %come, label %idle
idle:
  {pause}
  %k1 = add i32 %k, 1
  %spinning = icmp ult i32 %k1, 4000
  br i1 %spinning, label %spin, label %sleep
sleep:
  %s0 = atomicrmw add ptr %sleepp, i64 1 seq_cst
  {sleep}
  %s1 = atomicrmw sub ptr %sleepp, i64 1 seq_cst
  %g2 = load atomic i32, ptr %pool acquire, align 64
  %changed2 = icmp ne i32 %g2, %seen
  br i1 %changed2, label %come, label %sleep
come:
  %now = load atomic i32, ptr %pool acquire, align 64
  %quit = load atomic i64, ptr %quitp acquire, align 64
  %stop = icmp ne i64 %quit, 0
  br i1 %stop, label %end, label %look
look:
  %job = load atomic i64, ptr %jobp acquire, align 64
  %bit = and i64 %job, 4294967296
  %open = icmp ne i64 %bit, 0
  br i1 %open, label %join, label %wait
join:
  %joined = add i64 %job, 1
  %pair = cmpxchg ptr %jobp, i64 %job, i64 %joined seq_cst seq_cst
  %ok = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %ok, label %run, label %look2
look2:
  %job2 = load atomic i64, ptr %jobp acquire, align 64
  %bit2 = and i64 %job2, 4294967296
  %open2 = icmp ne i64 %bit2, 0
  br i1 %open2, label %come, label %left
run:
  call void @drain(ptr %pool)
  %o = atomicrmw sub ptr %jobp, i64 1 release
  br label %left
left:
  br label %wait
end:
  ret void
}}
define void @parfor(ptr %pool, ptr %f, ptr %arg, i64 %n) {{
entry:
  %busyp = getelementptr i64, ptr %pool, i64 {BUSY}
  %got = cmpxchg ptr %busyp, i64 0, i64 1 seq_cst seq_cst
  %mine = extractvalue {{ i64, i1 }} %got, 1
  br i1 %mine, label %post, label %alone
alone:
  %i = phi i64 [ 0, %entry ], [ %i1, %alone ]
  call void %f(ptr %arg, i64 %i)
  %i1 = add i64 %i, 1
  %rest = icmp ult i64 %i1, %n
  br i1 %rest, label %alone, label %end
post:
  %jobp = getelementptr i64, ptr %pool, i64 {JOB}
  %nextp = getelementptr i64, ptr %pool, i64 {NEXT}
  %workp = getelementptr i64, ptr %pool, i64 {WORK}
  %argp = getelementptr i64, ptr %workp, i64 1
  %np = getelementptr i64, ptr %workp, i64 2
  %sleepp = getelementptr i64, ptr %pool, i64 {SLEEPERS}
  store ptr %f, ptr %workp
  store ptr %arg, ptr %argp
  store i64 %n, ptr %np
  store atomic i64 0, ptr %nextp monotonic, align 64
  %old = load atomic i64, ptr %jobp monotonic, align 64
  %number = add i64 %old, 8589934592
  %opened = or i64 %number, 4294967296
  store atomic i64 %opened, ptr %jobp seq_cst, align 64
  %g = atomicrmw add ptr %pool, i32 1 seq_cst
  %s = load atomic i64, ptr %sleepp seq_cst, align 64
  %any = icmp ne i64 %s, 0
  br i1 %any, label %wake, label %work
wake:
  {wake}
  br label %work
work:
  call void @drain(ptr %pool)
  %closing = atomicrmw and ptr %jobp, i64 -4294967297 seq_cst
  br label %join
join:
  %j = load atomic i64, ptr %jobp acquire, align 64
  %inside = and i64 %j, 4294967295
  %empty = icmp eq i64 %inside, 0
  br i1 %empty, label %free, label %hold
hold:
  {pause}
  br label %join
free:
  store atomic i64 0, ptr %busyp release, align 64
  br label %end
end:
  ret void
}}
"""


def text(target: llvm.Target) -> str:
    """The pool's module for a target."""
    x86 = target.triple.startswith(("x86_64", "amd64"))
    words = {k: v for k, v in globals().items() if k in ("GENERATION", "JOB", "NEXT", "WORK", "BUSY", "SLEEPERS", "QUIT")}
    call = f"%r = call i64 (i64, ...) @syscall(i64 {_futex(target)}, ptr %pool, i64"
    return _TEXT.format(
        declarations="\n".join(
            ["declare i64 @syscall(i64, ...)"] * _HAS_WORKERS + ["declare void @llvm.x86.sse2.pause()"] * x86,
        ),
        pause="call void @llvm.x86.sse2.pause()" if x86 else "fence seq_cst",
        sleep=f"{call} 128, i32 %seen, ptr null, ptr null, i32 0)" if _HAS_WORKERS else "",
        wake=f"{call} 129, i32 2147483647, ptr null, ptr null, i32 0)" if _HAS_WORKERS else "",
        **words,
    )


def _futex(target: llvm.Target) -> int:
    """The number of the system call."""
    return 202 if target.triple.startswith(("x86_64", "amd64")) else 98


class Pool:
    """The workers of this process; `address` is what `parfor` takes."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) if _HAS_WORKERS else bytearray(4096)
        self.words = np.frombuffer(self.memory, np.int64)
        self.address = self.words.ctypes.data
        self.threads: list[ctypes.c_ulong] = []
        self.lock = threading.Lock()
        target = llvm.host()
        self.library = llvm.Library([object_code(text(target), target)], ["worker", "parfor"], target, ["syscall"] * _HAS_WORKERS)
        self.parfor = self.library.addresses["parfor"]
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.stop)

    def start(self) -> None:
        """Have as many threads as `flambeau.set_num_threads` says, counting the caller."""
        wanted = get_num_threads() - 1
        if not _HAS_WORKERS or len(self.threads) == wanted:
            return
        with self.lock:
            if wanted < len(self.threads):
                self._stop()
            libc = ctypes.CDLL(None)
            libc.pthread_create.argtypes = [ctypes.c_void_p] * 4
            while len(self.threads) < wanted:
                thread = ctypes.c_ulong()
                if libc.pthread_create(ctypes.byref(thread), None, self.library.addresses["worker"], self.address):
                    break  # the system gives no more threads: work goes on with fewer
                self.threads.append(thread)

    def stop(self) -> None:
        """End the workers."""
        with self.lock:
            self._stop()

    def _stop(self) -> None:
        if not self.threads:
            return
        self.words[QUIT] = 1
        self.words[GENERATION] += 1
        libc = ctypes.CDLL(None)
        libc.syscall(_futex(llvm.host()), ctypes.c_void_p(self.address), 129, 0x7FFFFFFF, None, None, 0)
        libc.pthread_join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]
        for thread in self.threads:
            libc.pthread_join(thread, None)
        self.threads.clear()
        self.words[QUIT] = 0

    def _forget(self) -> None:
        """In a forked child: the workers are not there, whatever the memory says."""
        self.words[:] = 0
        self.threads.clear()
        self.lock = threading.Lock()


@functools.cache
def pool() -> Pool:
    """The pool of this process, without workers until `start`."""
    return Pool()
