"""einsum and the other products against NumPy's, with derivatives against differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.linalg as sl
from hypothesis import given
from hypothesis import strategies as st

import flambeau as fb
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError
from flambeau.ops.einsum import make_plan
from tests.core.ops.slopes import check

RNG = np.random.default_rng(1)
SIZES = {"a": 2, "b": 3, "c": 1, "d": 4}


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


@given(st.data())
def test_einsum_of_any_equation(data: st.DataObject) -> None:
    terms = data.draw(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=4))
    letters = sorted(set("".join(terms)))
    output = data.draw(st.permutations(letters).flatmap(lambda p: st.integers(0, len(p)).map(lambda k: "".join(p[:k]))))
    equation = ",".join(terms) + "->" + output
    arrays = [np.random.default_rng(i).standard_normal([SIZES[a] for a in t]) for i, t in enumerate(terms)]
    got = fb.einsum(equation, *map(fb.tensor, arrays)).numpy()
    np.testing.assert_allclose(got, np.einsum(equation, *arrays), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    "equation, shapes",
    [
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 6)]),
        ("i...,i...->...", [(4, 2, 3), (4, 3)]),
        ("...,...", [(2, 3), (3,)]),
        ("ba", [(2, 3)]),
        ("ii", [(3, 3)]),
        (" i j , j -> i ", [(2, 3), (3,)]),
        ("ij,jk,kl,lm,mn,no,op->ip", [(2, 3), (3, 4), (4, 2), (2, 5), (5, 3), (3, 2), (2, 2)]),
    ],
)
def test_einsum_forms(equation: str, shapes: list) -> None:
    arrays = [normal(*s) for s in shapes]
    np.testing.assert_allclose(fb.einsum(equation, *map(fb.tensor, arrays)).numpy(), np.einsum(equation, *arrays), rtol=1e-9)


def test_einsum_broadcasts_sizes_of_one() -> None:
    x, y = normal(3, 1), normal(4)
    np.testing.assert_allclose(fb.einsum("ij,j->i", fb.tensor(x), fb.tensor(y)).numpy(), (x * y).sum(1))


def test_einsum_sublists_and_lists() -> None:
    x, y = normal(2, 3), normal(3, 4)
    want = (x @ y).T
    np.testing.assert_allclose(fb.einsum(fb.tensor(x), [0, 1], fb.tensor(y), [1, 2], [2, 0]).numpy(), want)
    np.testing.assert_allclose(fb.einsum("ij,jk->ki", [fb.tensor(x), fb.tensor(y)]).numpy(), want)


def test_einsum_takes_the_cheap_order() -> None:
    plan = make_plan("ij,jk,kl->il", ((2, 100), (100, 100), (100, 2)))
    assert plan.pairs[0][:2] in {(0, 1), (1, 2)}
    wide = make_plan("a,b,ab->", ((50,), (50,), (50, 50)))
    assert 2 in wide.pairs[0][:2]  # never the outer product first
    chain = ",".join(f"{a}{b}" for a, b in itertools.pairwise("abcdefgh")) + "->ah"
    shapes = tuple((100, 100) if i else (2, 100) for i in range(7))
    assert {0} <= set(make_plan(chain, shapes).pairs[0][:2])


def test_einsum_gradients() -> None:
    check(lambda x, y: fb.einsum("bij,bjk->ik", x, y), normal(2, 3, 2), normal(2, 2, 2))
    check(lambda x, y: [fb.einsum("ii->i", x), fb.einsum("iij,j->i", y, x[0])], normal(2, 2), normal(3, 3, 2))


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: fb.einsum("ij,jk", fb.ones(2, 3)), ArgumentError, "2 operands"),
        (lambda: fb.einsum("ij,jk", fb.ones(2, 3), fb.ones(4, 2)), ShapeError, "3 and 4 for 'j'"),
        (lambda: fb.einsum("ij->ik", fb.ones(2, 3)), ArgumentError, "output"),
        (lambda: fb.einsum("i", fb.ones(2, 3)), ShapeError, "add '...'"),
        (lambda: fb.einsum("i1", fb.ones(2, 3)), ArgumentError, "letters"),
        (lambda: fb.einsum("i,i", fb.ones(2), fb.ones(2, dtype=fb.float64)), DtypeError, "one dtype"),
        (lambda: fb.tensordot(fb.ones(2, 3), fb.ones(2, 4)), ShapeError, "equal sizes"),
        (lambda: fb.cross(fb.ones(2), fb.ones(2)), ShapeError, "size 3"),
        (lambda: fb.combinations(fb.ones(2, 2)), ShapeError, "vector"),
    ],
)
def test_errors(call, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_named_products() -> None:
    x, y = normal(2, 3, 4), normal(4, 3, 5)
    np.testing.assert_allclose(fb.tensordot(fb.tensor(x), fb.tensor(y), ([1, 2], [1, 0])).numpy(), np.tensordot(x, y, ([1, 2], [1, 0])))
    np.testing.assert_allclose(fb.kron(fb.tensor(x[0]), fb.tensor(y[0])).numpy(), np.kron(x[0], y[0]))
    chain = [normal(4, 8), normal(8, 2), normal(2, 5), normal(5, 3)]
    np.testing.assert_allclose(fb.linalg.multi_dot([fb.tensor(m) for m in chain]).numpy(), np.linalg.multi_dot(chain))
    ends = [normal(4), *chain[:3], normal(5)]
    np.testing.assert_allclose(fb.linalg.multi_dot([fb.tensor(m) for m in ends]).numpy(), np.linalg.multi_dot(ends))
    a, b = normal(4, 3), normal(4, 3)
    np.testing.assert_allclose(fb.cross(fb.tensor(a), fb.tensor(b)).numpy(), np.cross(a, b))
    np.testing.assert_allclose(fb.vander(fb.tensor(a[0])).numpy(), np.vander(a[0]))
    np.testing.assert_allclose(fb.block_diag(fb.tensor(a), fb.tensor(b[:2])).numpy(), sl.block_diag(a, b[:2]))
    v = fb.arange(4)
    assert fb.combinations(v, 2).tolist() == [list(c) for c in itertools.combinations(range(4), 2)]
    assert fb.combinations(v, 2, with_replacement=True).tolist() == [list(c) for c in itertools.combinations_with_replacement(range(4), 2)]
    assert fb.cartesian_prod(v[:2], v[2:]).tolist() == [list(c) for c in itertools.product((0, 1), (2, 3))]
    check(lambda x, y: [fb.kron(x, y), fb.tensordot(x, y, 1), fb.vander(x[0]), fb.cross(x, y, 1)], normal(3, 3), normal(3, 3))


def test_diagonals_are_views() -> None:
    x = fb.zeros(3, 4)
    x.diagonal(1).copy_(fb.tensor([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(x.numpy(), np.diag([1.0, 2.0, 3.0], 1)[:3])
    z = fb.tensor(normal(3, 3) + 0j)
    np.testing.assert_array_equal(z.real.diagonal().numpy(), np.diag(z.numpy().real))  # of memory that is not contiguous
    base = fb.zeros(2, 2, requires_grad=True)
    y = base * 1
    y.diagonal().mul_(3.0)
    (y + y.diagonal()).sum().backward()
    check(lambda t: fb.diagonal(t, -1, 2, 0), normal(3, 2, 4))
    assert fb.diagonal(fb.empty(5, 3, 4, device="meta"), 1, 1, 2).shape == (5, 3)
