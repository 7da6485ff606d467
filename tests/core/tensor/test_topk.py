"""topk reaches its kernel with every option."""

from __future__ import annotations

import flambeau as fb


def test_topk():
    x = fb.tensor([[1.0, 5.0, 3.0], [9.0, 2.0, 4.0]], requires_grad=True)
    values, indices = fb.topk(x, 2)
    assert values.tolist() == [[5.0, 3.0], [9.0, 4.0]] and indices.tolist() == [[1, 2], [0, 2]]
    values.sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]
    assert x.topk(1, dim=0, largest=False).values.tolist() == [[1.0, 2.0, 3.0]]
    assert sorted(x[0].topk(2, sorted=False).values.tolist()) == [3.0, 5.0]
