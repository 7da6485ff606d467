"""Golden error messages: each names the operation, what was expected, what came, and (where there is one) a remedy."""

from __future__ import annotations

import builtins

import pytest

import flambeau as fb
from flambeau import nn
from flambeau.base.errors import FlambeauError

F = nn.functional

# code, the built-in exception that a PyTorch user would catch, the message
GOLDEN = [
    (
        "fb.ones(2, 3) + fb.ones(2, 4)",
        "RuntimeError",
        "add: expected shapes that broadcast (aligned at the last axis, sizes equal or 1), got (2, 3) and (2, 4), which"
        " differ at axis -1: 3 and 4. Try: unsqueeze or expand one operand, or check the order of the axes.",
    ),
    (
        "fb.ones(2, 3) @ fb.ones(2, 4)",
        "RuntimeError",
        "matmul: expected inner sizes that agree, got (2, 3) and (2, 4) (inner sizes 3 and 2). Try: transpose the first"
        " operand: matmul(a.mT, b).",
    ),
    (
        "fb.ones(2, 3) @ fb.ones(3, 2, dtype=fb.float64)",
        "TypeError",
        "matmul: expected operands of one dtype, got flambeau.float32 and flambeau.float64. Try: convert one of them with .to(dtype).",
    ),
    (
        "fb.ones(2, 3).sum(5)",
        "IndexError",
        "sum: expected dim in [-2, 1], got dim=5 for a tensor with 2 axes.",
    ),
    (
        "fb.ones(2, 3)[2]",
        "IndexError",
        "indexing: expected an index in [-2, 1] for axis 0, got 2 (shape (2, 3)).",
    ),
    (
        "fb.ones(2, 3)[fb.tensor([0, 7])]",
        "IndexError",
        "indexing: expected indices in [-2, 1] for axis 0, got 7.",
    ),
    (
        "fb.ones(2, 3)[1.5]",
        "IndexError",
        "indexing: expected ints, slices, None, ..., tensors or sequences, got float.",
    ),
    (
        "fb.ones(2, 3).view(4, 2)",
        "RuntimeError",
        "reshape: expected a shape with 6 elements (at most one -1), got (4, 2).",
    ),
    (
        "fb.arange(6).reshape(2, 3).t().view(6)",
        "RuntimeError",
        "view: expected a layout that the new shape can describe, got a tensor of shape (3, 2) with strides (1, 3), whi"
        "ch has no such view as (6,). Try: .reshape(...).",
    ),
    (
        "fb.ones(2, 3).expand(4, 3)",
        "RuntimeError",
        "expand: expected sizes that (2, 3) expands to (only axes of size 1 grow), got (4, 3).",
    ),
    (
        "fb.cat([fb.ones(2, 3), fb.ones(2, 4)])",
        "RuntimeError",
        "cat: expected sizes equal to (2, 3) in all axes but 0, got tensor 1 of shape (2, 4).",
    ),
    (
        "fb.stack([fb.ones(2), fb.ones(3)])",
        "RuntimeError",
        "stack: expected tensors of shape (2,), got tensor 1 of shape (3,).",
    ),
    (
        "fb.tensor([1, 2]).mean()",
        "TypeError",
        "mean: expected a floating-point or complex tensor, got flambeau.int64. Try: .float().mean() or mean(dtype=...).",
    ),
    (
        "fb.tensor([[1, 2], [3]])",
        "RuntimeError",
        "tensor: expected nested sequences of equal lengths, or an array, got setting an array element with a sequence."
        " The requested array has an inhomogeneous shape after 1 dimensions.",
    ),
    (
        'fb.tensor("text")',
        "TypeError",
        "tensor: expected numbers or an array of them, got str 'text'.",
    ),
    (
        "fb.ones(2).backward()",
        "RuntimeError",
        "backward: expected a tensor that requires grad, got one of shape (2,) that does not. Try: requires_grad=True o"
        "n an input, and no no_grad() around the computation.",
    ),
    (
        "fb.ones(2, requires_grad=True).mul_(2)",
        "RuntimeError",
        "mul_: expected a tensor whose history may change in place, got a leaf that requires grad. Try: with flambeau.n"
        "o_grad():, or the out-of-place operation.",
    ),
    (
        "fb.ones(2, requires_grad=True).numpy()",
        "RuntimeError",
        "numpy: expected a tensor without gradient, got one that requires grad. Try: .detach().numpy().",
    ),
    (
        'fb.ones(3, device="cdua")',
        "RuntimeError",
        "device: expected one of cpu, cuda, meta, got 'cdua'. Did you mean 'cuda'?",
    ),
    (
        "fb.ones(2, 3).gather(1, fb.tensor([[9]]))",
        "IndexError",
        "gather: expected indices in [0, 2], got 9.",
    ),
    (
        'fb.ones(2).to("float33")',
        "TypeError",
        "to: expected a dtype, a device or a tensor, got 'float33'.",
    ),
    (
        "fb.randint(5, 5, (2,))",
        "ValueError",
        "randint: expected low < high within 64 bits, got 5 and 5.",
    ),
    (
        "fb.ones(2, dtype=fb.int64).requires_grad_()",
        "RuntimeError",
        "requires_grad_: expected a floating-point or complex dtype, got flambeau.int64. Try: convert with .float().",
    ),
    (
        "bool(fb.ones(2))",
        "RuntimeError",
        "bool: expected a tensor with one element, got shape (2,). Try: .any() or .all().",
    ),
    (
        "~fb.ones(2)",
        "TypeError",
        "bitwise_not: expected a bool or integer tensor, got flambeau.float32. Try: logical_not.",
    ),
    (
        "fb.arange(0, 5, -1)",
        "RuntimeError",
        "arange: expected a step that leads from start to end, got start=0, end=5, step=-1.",
    ),
    (
        "nn.Linear(4, 2)(fb.ones(3, 5))",
        "RuntimeError",
        "linear: expected input with last size 4 (weight is (2, 4)), got shape (3, 5).",
    ),
    (
        "nn.Conv2d(3, 8, 3)(fb.ones(1, 4, 8, 8))",
        "RuntimeError",
        "conv2d: expected input with 3 channels (weight is (8, 3, 3, 3), groups=1), got 4 (input is (1, 4, 8, 8)). Try:"
        " check the channel axis of the input (it comes first, after the batch).",
    ),
    (
        "nn.Embedding(10, 4)(fb.tensor([10]))",
        "IndexError",
        "embedding: expected indices in [0, 9], got 10.",
    ),
    (
        "F.cross_entropy(fb.ones(2, 3), fb.tensor([0, 3]))",
        "IndexError",
        "cross_entropy: expected class numbers in [0, 2] or ignore_index=-100, got 3.",
    ),
    (
        'nn.Linear(2, 2).load_state_dict({"weight": fb.ones(3, 2), "bais": fb.ones(2)})',
        "RuntimeError",
        'load_state_dict: the state does not fit Linear:\n    Missing key(s) in state_dict: "bias".\n    Unexpected key(s'
        ') in state_dict: "bais".\n    size mismatch for weight: the state has shape (3, 2), the module has (2, 2)',
    ),
    (
        "fb.optim.SGD([fb.ones(2, requires_grad=True)], lr=-1)",
        "ValueError",
        "SGD: expected lr >= 0, got lr=-1. Try: a lr of 0 or more.",
    ),
    (
        "fb.optim.SGD([], lr=1)",
        "ValueError",
        "SGD: expected at least one parameter, got an empty parameter list. Try: pass model.parameters() of a model tha"
        "t has some; a generator gives its items only once.",
    ),
    (
        "nn.LSTM(3, 4)(fb.ones(5, 2, 2))",
        "RuntimeError",
        "LSTM: expected (T, N, 3), got features of size 2.",
    ),
    (
        "fb.linalg.inv(fb.zeros(2, 2))",
        "RuntimeError",
        "inv: expected an invertible matrix, got a matrix of shape (2, 2) that is not. Try: flambeau.linalg.pinv.",
    ),
    (
        'fb.get("recipes", "zzz")',
        "LookupError",
        "recipes 'zzz': expected a registered name, got one that no installed package has. Try: flambeau list recipes.",
    ),
    (
        'fb.einsum("ij,jk->ik", fb.ones(2, 3), fb.ones(4, 2))',
        "RuntimeError",
        "einsum: expected one size for each letter, got 3 and 4 for 'j' in 'ij,jk->ik' with shapes (2, 3), (4, 2).",
    ),
    (
        "F.max_pool2d(fb.ones(1, 1, 2, 2), 3)",
        "RuntimeError",
        "pool: expected a padded size of at least 3 (the dilated kernel), got 2. Try: pad more, or use a smaller kernel or dilation.",
    ),
]


@pytest.mark.parametrize("code, kind, message", GOLDEN, ids=[row[0] for row in GOLDEN])
def test_message(code, kind, message):
    with pytest.raises(FlambeauError) as caught:
        eval(code)
    assert isinstance(caught.value, getattr(builtins, kind))
    assert str(caught.value) == message


def test_a_changed_saved_value():
    y = fb.ones(2, 3, requires_grad=True).exp()
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError) as caught:
        z.sum().backward()
    assert str(caught.value) == (
        "backward: expected the values that MulBackward saved (version 0), got a tensor of shape (2, 3) that has been modified by an "
        "inplace operation (version 1). Try: the out-of-place operation, or .clone() before changing it."
    )


def test_a_second_backward():
    z = (fb.ones(2, requires_grad=True) ** 2).sum()
    z.backward()
    with pytest.raises(RuntimeError, match=r"second time.*retain_graph=True"):
        z.backward()
