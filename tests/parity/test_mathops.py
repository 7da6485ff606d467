"""Sorting, counting, products and the like against PyTorch: values, dtypes and gradients."""

from __future__ import annotations

import numpy as np
import pytest

from tests.parity.agreement import agree, arrays

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(3)
TIES = RNG.integers(0, 4, (3, 7, 5)).astype("f8")
INTS = RNG.integers(0, 5, (4, 9))
HOLES = np.where(RNG.random((4, 6)) < 0.25, np.nan, RNG.standard_normal((4, 6)))

SORTING = {
    "sort": lambda t, x: [t.sort(x, dim=1, stable=True), t.sort(x, dim=0, descending=True, stable=True), x.sort(stable=True)],
    "argsort": lambda t, x: [t.argsort(x, dim=1, stable=True), x.argsort(dim=1, descending=True, stable=True)],
    "msort": lambda t, x: t.msort(x),
    "kthvalue": lambda t, x: [t.kthvalue(x, 3, dim=1).values, x.kthvalue(1, keepdim=True).values],
    "mode": lambda t, x: [t.mode(x, 1).values, x.mode(keepdim=True).values],
    "median": lambda t, x: [t.median(x), x.median(1).values, x.median(2, keepdim=True).values],
    "nanmedian": lambda t, x: [t.nanmedian(x), x.nanmedian(1).values],
    "quantile": lambda t, x: [
        t.quantile(x, 0.3),
        x.quantile(0.7, 1, True),
        t.quantile(x, t.tensor([0.0, 0.25, 1.0], dtype=t.float64), dim=2),
    ],
    "nanquantile": lambda t, x: [t.nanquantile(x, 0.3), x.nanquantile(0.7, 1, True)],
}


@pytest.mark.parametrize("name", SORTING)
@pytest.mark.parametrize("data", ["distinct", "ties", "nan"])
def test_sorting(name: str, data: str) -> None:
    if (name, data) == ("mode", "nan"):
        return  # PyTorch's answer depends on the order of the elements
    x = {"distinct": arrays((3, 7, 5))[0], "ties": TIES, "nan": np.stack([HOLES] * 3, 1)}[data]
    agree(torch, SORTING[name], x, grad=data == "distinct")


@pytest.mark.parametrize("how", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantile_interpolation(how: str) -> None:
    agree(torch, lambda t, x, q: t.quantile(x, q, dim=1, interpolation=how), arrays((3, 8))[0], np.array([0.0, 0.1, 0.5, 0.77, 1.0]))
    agree(torch, lambda t, x, q: t.nanquantile(x, q, dim=1, interpolation=how), HOLES, np.array([0.0, 0.1, 0.5, 0.77, 1.0]), grad=False)


def test_topk() -> None:
    x = arrays((4, 9))[0]
    agree(torch, lambda t, x: [t.topk(x, 3), x.topk(2, dim=0, largest=False), x.topk(9), x.topk(0)], x)
    agree(torch, lambda t, x: [x.topk(3).values, x.topk(2, largest=False).values], HOLES, grad=False)


def test_mode_and_median_indices_point_at_the_value() -> None:
    agree(torch, lambda t, x: x.gather(1, x.mode(1, keepdim=True).indices), TIES)
    agree(torch, lambda t, x: [x.median(0).indices, x.nanmedian(0).indices], arrays((5, 3))[0])


def test_zero_dimensional() -> None:
    agree(torch, lambda t, x: [x.sort(), x.topk(1), x.kthvalue(1), x.median(), x.median(0), x.argsort(), x.mode()], np.array(2.5))


def test_median_of_ties_shares_the_gradient() -> None:
    agree(torch, lambda t, x: [x.median()], np.array([1.0, 2.0, 2.0, 2.0, 5.0]))


COUNTING = {
    "unique": lambda t, x: [t.unique(x), *t.unique(x, return_inverse=True, return_counts=True)],
    "unique_dim": lambda t, x: [*t.unique(x, dim=0, return_inverse=True, return_counts=True), t.unique(x, dim=1)],
    "consecutive": lambda t, x: [*t.unique_consecutive(x, return_inverse=True, return_counts=True), x.unique_consecutive(dim=1)],
    "isin": lambda t, x: [t.isin(x, t.tensor([1, 3])), t.isin(x, 2), t.isin(x, t.tensor([1, 3]), invert=True)],
    "bincount": lambda t, x: [t.bincount(x.flatten()), x.flatten().bincount(minlength=9), t.bincount(x.flatten(), x.flatten() * 0.5)],
    "searchsorted": lambda t, x: [
        t.searchsorted(t.tensor([0, 2, 2, 4]), x),
        t.searchsorted(x.sort(1).values, x, right=True, out_int32=True),
    ],
    "bucketize": lambda t, x: [t.bucketize(x, t.tensor([0, 2, 3])), t.bucketize(x, t.tensor([0, 2, 3]), right=True)],
}


@pytest.mark.parametrize("name", COUNTING)
def test_counting(name: str) -> None:
    agree(torch, COUNTING[name], np.concatenate([INTS, INTS[:1]]))


def test_unique_keeps_each_nan() -> None:
    agree(
        torch,
        lambda t, x: list(t.unique(x, return_inverse=True, return_counts=True)),
        np.array([np.nan, 1.0, 1.0, np.nan, 0.0]),
        grad=False,
    )


def test_histograms() -> None:
    x = arrays((40,))[0]
    agree(torch, lambda t, x: [t.histc(x, 7), t.histc(x, 5, -1, 1), x.histc(4, 0, 0)], x, grad=False)
    agree(torch, lambda t, x: [*t.histogram(x, 6), *t.histogram(x, 4, range=(-1.0, 1.5), density=True)], x, grad=False)
    agree(
        torch, lambda t, x, e, w: [*t.histogram(x, e, weight=w)], x, np.array([-2.0, -0.5, 0.1, 3.0]), arrays((40,), seed=1)[0], grad=False
    )


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("bij,bjk", (5, 2, 3), (5, 3, 4)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 6)),
    ("...,...", (2, 3), (3,)),
    ("i...,i...->...", (4, 2, 3), (4, 3)),
    ("i,j->ij", (2,), (3,)),
    ("ij->ji", (2, 3)),
    ("ba", (2, 3)),
    ("bn,anm,bm->ba", (2, 3), (4, 3, 5), (2, 5)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 4), (4, 2), (2, 5)),
    ("ij,jk,kl,lm,mn,no,op->ip", (2, 3), (3, 4), (4, 2), (2, 5), (5, 3), (3, 2), (2, 2)),
    ("ijk->", (2, 3, 4)),
    ("bhld, bhmd -> bhlm", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("iij,jkk->ik", (3, 3, 2), (2, 4, 4)),
    ("ab,cd->", (2, 3), (4, 5)),
    ("ij,j->i", (3, 1), (4,)),
    ("ij,ij->ij", (3, 1), (1, 4)),
    ("abc,cd,abe->ed", (2, 3, 4), (4, 5), (2, 3, 6)),
    (",i->i", (), (3,)),
]


@pytest.mark.parametrize("case", EINSUMS, ids=[c[0] for c in EINSUMS])
@pytest.mark.parametrize("kind", ["f8", "c16"])
def test_einsum(case: tuple, kind: str) -> None:
    equation, *shapes = case
    agree(torch, lambda t, *xs: t.einsum(equation, *xs), *arrays(*shapes, kind=kind))


def test_einsum_sublists() -> None:
    x, y = arrays((2, 3), (3, 4))
    agree(torch, lambda t, x, y: [t.einsum(x, [0, 1], y, [1, 2], [2, 0]), t.einsum(x, [3, 1], y, [1, 2]), t.einsum("ij,jk", [x, y])], x, y)
    agree(torch, lambda t, x, y: t.einsum(x, [..., 1], y, [1, ...]), x, x.T.copy())


PRODUCTS = {
    "tensordot": (lambda t, x, y: [t.tensordot(x, y, dims=2), t.tensordot(x, y, dims=([2, 0], [1, 2]))], (2, 3, 4), (3, 4, 2)),
    "kron": (lambda t, x, y: [t.kron(x, y), t.kron(y, x)], (2, 3), (4, 1, 2)),
    "multi_dot": (lambda t, x, y, z: t.linalg.multi_dot([x, y, z]), (2, 9), (9, 3), (3, 5)),
    "cross": (lambda t, x, y: [t.cross(x, y, dim=1), t.linalg.cross(x, y, dim=1)], (4, 3), (4, 3)),
    "cartesian_prod": (lambda t, x, y: t.cartesian_prod(x, y), (3,), (2,)),
    "combinations": (lambda t, x: [t.combinations(x), t.combinations(x, 3, True), t.combinations(x, 1)], (5,)),
    "block_diag": (lambda t, x, y, z: t.block_diag(x, y, z), (2, 3), (4,), (1, 1)),
    "linalg.vander": (lambda t, x: [t.linalg.vander(x), t.linalg.vander(x, N=2)], (3, 4)),
    "vander": (lambda t, x: [t.vander(x), t.vander(x, 2, increasing=True), t.vander(x, 6)], (4,)),
    "diagonal": (lambda t, x: [t.diagonal(x, 1, 2, 0), x.diagonal(-1), x.diagonal(5)], (3, 4, 4)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name: str) -> None:
    expression, *shapes = PRODUCTS[name]
    agree(torch, expression, *arrays(*shapes), grad=name != "vander")  # PyTorch's vander has no gradient
