"""Working memory that programs borrow for a run."""

from __future__ import annotations

import threading
import weakref

import numpy as np

import flambeau as fb
from flambeau.codegen.scratch import BLOCKS, OWN, Blocks
from flambeau.compiler import compile


def test_a_block_is_used_again_and_a_small_one_goes_for_a_larger_one():
    blocks = Blocks()
    first = blocks.take(1000)
    blocks.give(first)
    assert blocks.take(500) is first
    gone = weakref.ref(first.base)
    blocks.give(first)
    del first
    assert blocks.take(5000).nbytes >= 5000
    assert gone() is None and not blocks.free


def test_runs_at_the_same_time_have_blocks_of_their_own():
    blocks = Blocks()
    first, second = blocks.take(100), blocks.take(100)
    assert not np.shares_memory(first, second)


def chain(n):
    """A function of (n, n) with more working memory than a program keeps."""
    return compile(lambda x: ((x @ x) * 0.5 @ x).tanh() @ x, fullgraph=True)


def test_calls_do_not_keep_the_blocks_that_they_had(monkeypatch):
    monkeypatch.setattr(BLOCKS, "free", [])
    small, large = chain(256), chain(384)
    x, y = fb.randn(256, 256), fb.randn(384, 384)
    expected = ((x @ x) * 0.5 @ x).tanh() @ x
    for _ in range(3):
        found = small(x)
    (block,) = BLOCKS.free
    assert block.nbytes > OWN
    gone = weakref.ref(block.base)
    del block
    for _ in range(3):
        large(y)
    assert gone() is None and len(BLOCKS.free) == 1
    assert np.allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-4)
    assert np.array_equal(small(x).numpy(), found.numpy())


def test_programs_in_several_threads_do_not_disturb_each_other():
    sizes = (200, 232, 264)
    inputs = [fb.randn(n, n) / n**0.5 for n in sizes]
    functions = [chain(n) for n in sizes]
    expected = [[f(x) for _ in range(3)][-1].numpy() for f, x in zip(functions, inputs)]
    wrong = []

    def work(f, x, right):
        for _ in range(30):
            if not np.array_equal(f(x).numpy(), right):
                wrong.append(x.shape)

    threads = [threading.Thread(target=work, args=row) for row in zip(functions, inputs, expected)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
