"""Random numbers of compiled programs are those of eager code, whichever way the draws are mixed."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import flambeau as fb
from tests.core.codegen.programs import LEVELS

from flambeau.codegen import llvm  # isort: skip
from flambeau.codegen.build import build  # isort: skip
from flambeau.graph.capture import traced  # isort: skip

EXACT = {
    "uniform": lambda g, n: fb.rand(n, generator=g),
    "uniform f64": lambda g, n: fb.rand(n, generator=g, dtype=fb.float64),
    "uniform between": lambda g, n: fb.empty(n).uniform_(-2.5, 0.1, generator=g),
    "bernoulli": lambda g, n: fb.empty(n).bernoulli_(0.3, generator=g),
    "bernoulli of bools": lambda g, n: fb.empty(n, dtype=fb.bool).bernoulli_(0.3, generator=g),
    "always": lambda g, n: fb.empty(n).bernoulli_(1.0, generator=g),
    "randint": lambda g, n: fb.randint(-5, 1000, (n,), generator=g),
    "randint of floats": lambda g, n: fb.randint(0, 7, (n,), generator=g, dtype=fb.float32),
    "random_": lambda g, n: fb.empty(n, dtype=fb.int64).random_(generator=g),
}
ROUGH = {
    "normal": lambda g, n: fb.randn(n, generator=g),
    "normal f64": lambda g, n: fb.randn(n, generator=g, dtype=fb.float64),
    "normal around": lambda g, n: fb.empty(n).normal_(3.0, 0.5, generator=g),
    "exponential": lambda g, n: fb.empty(n).exponential_(2.0, generator=g),
    "exponential f64": lambda g, n: fb.empty(n, dtype=fb.float64).exponential_(2.0, generator=g),
}


def compiled(fn, level):
    """The program of fn(generator), and its generator as it was before the capture."""
    g = fb.Generator()
    g.manual_seed(123456789123)
    out, capture = traced(lambda: fn(g))
    capture.graph.results = [capture.read(o) for o in (out if isinstance(out, list) else [out])]
    g.manual_seed(123456789123)
    return build(capture.graph, target=llvm.host(level)), g


@pytest.mark.parametrize("name", [*EXACT, *ROUGH])
@pytest.mark.parametrize("level", LEVELS)
def test_draws(name, level):
    draw = (EXACT | ROUGH)[name]
    for n in (1, 31, 32, 77, 1000):
        program, g = compiled(partial(draw, n=n), level)
        assert program.native
        own = fb.Generator()
        own.manual_seed(123456789123)
        for _ in range(3):  # the stream goes on from run to run
            got, want = program.run([])[0], draw(own, n).numpy()
            assert got.dtype == want.dtype
            if name in EXACT:
                np.testing.assert_array_equal(got, want)
            else:
                np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)
        assert (g.get_state().numpy() == own.get_state().numpy()).all()


def test_large_draws_run_in_shares():
    for draw in (EXACT["uniform"], ROUGH["normal"]):
        program, _ = compiled(partial(draw, n=200_003), LEVELS[0])
        own = fb.Generator()
        own.manual_seed(123456789123)
        np.testing.assert_allclose(program.run([])[0], draw(own, 200_003).numpy(), rtol=2e-6, atol=1e-6)


def test_several_draws_and_wrapping_counters():
    def fn(g):
        return [fb.rand(5, generator=g), fb.randint(0, 9, (7,), generator=g), fb.rand(100, generator=g)]

    program, g = compiled(fn, LEVELS[0])
    own = fb.Generator()
    for offset in (0, (1 << 64) - 3, (1 << 63) + 5):
        for one in (g, own):
            one.set_state(fb.tensor(np.array([42, offset], "<u8").view("u1")))
        for got, want in zip(program.run([]), fn(own)):
            np.testing.assert_array_equal(got, want.numpy())


def test_draws_without_code_keep_the_order():
    def fn(g):
        return [fb.rand(5, generator=g), fb.randperm(6, generator=g), fb.rand(5, generator=g)]

    program, _ = compiled(fn, LEVELS[0])
    own = fb.Generator()
    own.manual_seed(123456789123)
    for _ in range(2):
        for got, want in zip(program.run([]), fn(own)):
            np.testing.assert_array_equal(got, want.numpy())
