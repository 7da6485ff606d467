"""Sparse tensors against scipy.sparse and dense tensors."""

import numpy as np
import pytest
from scipy import sparse as sp

import flambeau as fb
from flambeau.base.errors import ArgumentTypeError, DtypeError, IndexingError, ShapeError

RNG = np.random.default_rng(0)


def random(rows, columns, count):
    """A sparse tensor with repeated places, and the same of scipy."""
    i = np.stack([RNG.integers(0, rows, count), RNG.integers(0, columns, count)])
    v = RNG.normal(size=count)
    return fb.sparse_coo_tensor(i, v, (rows, columns)), sp.coo_matrix((v, i), (rows, columns))


@pytest.mark.parametrize(("rows", "columns", "count"), [(4, 5, 12), (1, 7, 3), (6, 1, 9), (3, 3, 0), (50, 40, 300)])
def test_against_scipy(rows, columns, count):
    a, b = random(rows, columns, count)
    other, theirs = random(rows, columns, count)
    x = RNG.normal(size=(columns, 3))
    assert np.allclose(a.to_dense().numpy(), b.toarray())
    assert np.allclose((a @ fb.tensor(x)).numpy(), b @ x)
    assert np.allclose((a @ fb.tensor(x[:, 0])).numpy(), b @ x[:, 0])
    assert np.allclose((fb.tensor(x.T) @ a.t()).numpy(), x.T @ b.T)
    assert np.allclose((a + other).to_dense().numpy(), (b + theirs).toarray())
    assert np.allclose((a - 2 * other / 3).to_dense().numpy(), (b - 2 * theirs / 3).toarray())
    assert np.allclose((a @ other.t()).to_dense().numpy(), (b @ theirs.T).toarray())
    assert np.allclose(fb.sparse.sum(a, 0).to_dense().numpy(), np.asarray(b.sum(0))[0])
    assert np.allclose(fb.sparse.sum(a, 1).to_dense().numpy(), np.asarray(b.sum(1))[:, 0])
    assert np.isclose(a.sum().item(), b.sum())
    c, d = a.coalesce(), b.tocsr()
    d.sum_duplicates()
    d = d.tocoo()
    assert c.is_coalesced() and c._nnz() == d.nnz and np.allclose(c.values().numpy(), d.data)
    assert np.array_equal(c.indices().numpy(), np.stack([d.row, d.col]))
    mat = fb.tensor(RNG.normal(size=(rows, 3)))
    assert np.allclose(fb.sparse.addmm(mat, a, fb.tensor(x), beta=0.5, alpha=2).numpy(), 0.5 * mat.numpy() + 2 * (b @ x))


def test_powers_and_signs_add_repeats_first():
    a = fb.sparse_coo_tensor([[0, 0], [1, 1]], [1.0, -3.0], (2, 2))
    assert a.abs().to_dense().tolist() == [[0, 2], [0, 0]] and (a**2).to_dense().tolist() == [[0, 4], [0, 0]]


def test_gradients_reach_values_and_dense_operands():
    v = fb.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = fb.randn(4, 2, requires_grad=True)
    i = fb.tensor([[0, 2, 0], [3, 1, 3]])
    a = fb.sparse_coo_tensor(i, v, (3, 4))
    weights = fb.randn(3, 2)
    for found in (a @ x, fb.mm(a, x), fb.matmul(a, x), fb.sparse.mm(a, x), a.coalesce() @ x, a.t().t() @ x, (a + a) @ x / 2):
        v.grad = x.grad = None
        (found * weights).sum().backward()
        dense = fb.zeros(3, 4).index_put((i[0], i[1]), v.detach(), accumulate=True)
        assert fb.allclose(x.grad, dense.t() @ weights)
        slope = weights @ x.detach().t()
        assert fb.allclose(v.grad, slope[i[0], i[1]])
    assert fb.autograd.gradcheck(lambda v, x: fb.sparse_coo_tensor(i, v, (3, 4)) @ x, (v.detach().double().requires_grad_(), x.double()))


def test_a_sparse_leaf_has_a_sparse_gradient():
    a = fb.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0], requires_grad=True)
    assert a.requires_grad and a.grad is None
    fb.sparse.mm(a, fb.tensor([[1.0], [5.0]])).sum().backward()
    assert a.grad.to_dense().tolist() == [[0.0, 5.0], [1.0, 0.0]]


def test_axes_of_values():
    a = fb.sparse_coo_tensor([[2, 0, 2]], fb.tensor([[1.0, 2], [3, 4], [5, 6]]), (3, 2))
    assert a.sparse_dim() == 1 and a.dense_dim() == 1 and a.to_dense().tolist() == [[3, 4], [0, 0], [6, 8]]
    assert a.coalesce().values().tolist() == [[3, 4], [6, 8]] and a.sum(0).tolist() == [9, 12]
    assert fb.sparse.sum(a, 1).to_dense().tolist() == [7, 0, 14] and fb.sparse.sum(a, (0, 1)).item() == 21
    b = fb.tensor([[0.0, 1.0], [0.0, 0.0]]).to_sparse(1)
    assert b.indices().tolist() == [[0]] and b.values().tolist() == [[0, 1]]
    with pytest.raises(ShapeError, match=r"matrices \(n, k\)"):
        a @ fb.ones(2, 1)


def test_it_says_what_it_is():
    a = fb.eye(2).to_sparse()
    assert a.is_sparse and not fb.eye(2).is_sparse and a.shape == a.size() == (2, 2) and a.size(0) == len(a) == a.dim() == 2
    assert a.layout is fb.sparse_coo and a.double().dtype is fb.float64 and a.to(fb.float16).dtype is fb.float16
    assert a.to("cpu").device.type == "cpu" and a.numel() == 4 and "nnz=2" in repr(a) and "size=(2, 2)" in repr(a)
    assert (a + fb.ones(2, 2)).tolist() == (fb.ones(2, 2) + a).tolist() == [[2, 1], [1, 2]]
    assert (fb.ones(2, 2) - a).tolist() == [[0, 1], [1, 0]] and (a * fb.full((2, 2), 3.0)).to_dense().tolist() == [[3, 0], [0, 3]]
    assert (fb.eye(3) + fb.sparse_coo_tensor([[0], [1]], fb.ones(1), (3, 3), dtype=fb.int64)).dtype is fb.float32
    assert a.index_select(0, fb.tensor([1])).to_dense().tolist() == [[0, 1]]
    copy = a.clone()
    copy._values().zero_()
    assert a.to_dense().tolist() == [[1, 0], [0, 1]] and a.detach().to_sparse().coalesce() is not None
    assert fb.sparse_coo_tensor([[], []], [], (2, 3)).to_dense().tolist() == [[0, 0, 0], [0, 0, 0]]


def test_refusals():
    a = fb.eye(2).to_sparse()
    for function in (fb.relu, fb.exp, lambda x: fb.cat([x, x]), lambda x: fb.nn.functional.softmax(x, 1), lambda x: x * a, lambda x: x**-1):
        with pytest.raises((ArgumentTypeError, DtypeError, AttributeError), match="(?i)sparse|dense"):
            function(a)
    with pytest.raises(AttributeError, match=r"to_dense\(\)"):
        a.softmax(1)
    assert not hasattr(a, "softmax")
    with pytest.raises(ArgumentTypeError, match="coalesce"):
        fb.sparse_coo_tensor([[0]], [1.0]).indices()
    for places in ([[2], [0]], [[0], [-1]]):
        with pytest.raises(IndexingError, match="inside"):
            fb.sparse_coo_tensor(places, [1.0], (2, 2))
    with pytest.raises(ShapeError, match="indices"):
        fb.sparse_coo_tensor([[0, 1]], [1.0])
    with pytest.raises(ShapeError, match="a size of"):
        fb.sparse_coo_tensor([[0]], [1.0], (2, 2))
    with pytest.raises(DtypeError, match="integers"):
        fb.sparse_coo_tensor([[0.5]], [1.0])
    with pytest.raises(DtypeError, match="one dtype"):
        a @ fb.ones(2, 1, dtype=fb.float64)
    with pytest.raises(DtypeError, match="two tensors"):
        fb.mm(a.to_dense(), 3)
    with pytest.raises(ShapeError, match="sparse axes"):
        a.to_dense().to_sparse(0)
