"""Pruning and sparse tensors, compared with PyTorch."""

import numpy as np
import pytest

import flambeau as fb
from flambeau.nn.utils import prune as ours

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("torch.nn.utils.prune")


def layers():
    a = torch.nn.Conv2d(3, 6, 3)
    b = fb.nn.Conv2d(3, 6, 3)
    b.load_state_dict({k: v.numpy() for k, v in a.state_dict().items()})
    return a, b


def same(a, b):
    assert list(a.state_dict()) == list(b.state_dict())
    for key, value in a.state_dict().items():
        assert np.array_equal(value.numpy(), b.state_dict()[key].numpy()), key


@pytest.mark.parametrize(
    "steps",
    [
        [("l1_unstructured", "weight", 0.3)],
        [("ln_structured", "weight", 2, 2, 0), ("l1_unstructured", "weight", 20), ("ln_structured", "weight", 0.5, 1, 1)],
        [("identity", "bias"), ("l1_unstructured", "bias", 2), ("l1_unstructured", "bias", 0.5)],
        [("ln_structured", "weight", 1, float("inf"), -1), ("ln_structured", "weight", 1, 2, -1)],
    ],
)
def test_the_same_masks(steps):
    a, b = layers()
    for name, *args in steps:
        getattr(theirs, name)(a, *args)
        getattr(ours, name)(b, *args)
        same(a, b)
    x = torch.randn(1, 3, 5, 5)
    assert np.allclose(a(x).detach().numpy(), b(fb.tensor(x.numpy())).detach().numpy(), atol=1e-5)
    for name in {name for _, name, *_ in steps}:
        theirs.remove(a, name)
        ours.remove(b, name)
    assert sorted(a.state_dict()) == sorted(b.state_dict())


def test_the_same_products_and_gradients():
    i = torch.tensor([[0, 1, 1, 0], [2, 0, 2, 2]])
    v, x = torch.randn(4, requires_grad=True), torch.randn(3, 2, requires_grad=True)
    w, y = fb.tensor(v.detach().numpy(), requires_grad=True), fb.tensor(x.detach().numpy(), requires_grad=True)
    a, b = torch.sparse_coo_tensor(i, v, (2, 3), check_invariants=True), fb.sparse_coo_tensor(i.numpy(), w, (2, 3))
    (torch.sparse.mm(a, x) ** 2).sum().backward()
    (fb.sparse.mm(b, y) ** 2).sum().backward()
    assert np.allclose(v.grad.numpy(), w.grad.numpy(), atol=1e-5) and np.allclose(x.grad.numpy(), y.grad.numpy(), atol=1e-5)
    a, b = a.detach().coalesce(), b.detach().coalesce()
    assert a.indices().tolist() == b.indices().tolist() and np.allclose(a.values(), b.values())
    assert np.allclose(torch.sparse.sum(a, 0).to_dense(), fb.sparse.sum(b, 0).to_dense())
