"""What PyTorch programs do every day, and what they must not get away with."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError


@pytest.mark.parametrize("number", [np.float64(2), np.float32(2), np.int64(2), np.float64(0.5)])
def test_a_numpy_number_counts_as_a_python_number(number: np.generic) -> None:
    x = fb.ones(2)
    results = (x * number, number * x, x / number, number / x, x - number, x**number, fb.where(x > 0, x, number), fb.maximum(x, x) + number)
    assert {r.dtype for r in results} == {fb.float32}
    assert (fb.ones(2, dtype=fb.float16) * number).dtype is fb.float16
    assert (fb.ones(2, dtype=fb.int32) * np.int64(3)).dtype is fb.int32
    assert (fb.ones(2) * np.complex128(1j)).dtype is fb.complex64


def test_results_of_indexing_are_row_major() -> None:
    a = np.arange(60.0).reshape(3, 4, 5)
    x, table = fb.tensor(a), fb.tensor([[0, 1], [2, 2]])
    for key in ((slice(None), [0, 2]), (slice(None), slice(None), [1, 0, 1]), ([0, 1], slice(None), [0, 1]), (slice(None), table)):
        picked = x[key]
        assert picked.is_contiguous()
        assert np.array_equal(picked.view(-1).numpy(), a[tuple(k.numpy() if k is table else k for k in key)].reshape(-1))
    assert np.array_equal(x.transpose(0, 1)[:, [2, -1]].numpy(), a.transpose(1, 0, 2)[:, [2, -1]])
    assert np.array_equal(x[:, -1 * fb.tensor([1, 4])].numpy(), a[:, [-1, -4]])


def test_a_wrong_shape_written_in_place_is_named() -> None:
    x = fb.zeros(3, 4)
    with pytest.raises(ShapeError, match=r"expected a result that fits the tensor of shape \(4,\), got \(3,\)"):
        x[0] = fb.ones(3)
    with pytest.raises(ShapeError, match=r"copy_: expected .* \(3, 4\), got \(5, 3, 4\)"):
        x.copy_(fb.ones(5, 3, 4))
    x[None, 0] = fb.ones(4)
    x[:, :1] = fb.full((3, 1), 2.0)
    assert x.tolist() == [[2, 1, 1, 1], [2, 0, 0, 0], [2, 0, 0, 0]]


def test_complex_numbers_do_not_lose_their_imaginary_part() -> None:
    x = fb.zeros(2, dtype=fb.int64)
    with pytest.raises(DtypeError, match="real numbers"):
        x[0] = 1j
    with pytest.raises(DtypeError, match="real numbers"):
        fb.tensor([1j], dtype=fb.float32)


@pytest.mark.parametrize("divide", [lambda x, y: x // y, lambda x, y: x % y, fb.fmod, lambda x, y: fb.div(x, y, rounding_mode="trunc")])
def test_integer_division_by_zero_is_refused(divide: object) -> None:
    assert callable(divide)
    seven = fb.tensor([7, 7])
    for zero in (0, fb.tensor(0), fb.tensor([2, 0])):
        with pytest.raises(ArgumentError, match="no zero among integer divisors"):
            divide(seven, zero)
    assert not fb.isfinite(divide(fb.tensor([7.0]), 0)).any()
    assert divide(seven, fb.tensor([2, 3])).tolist() == divide(seven.double(), fb.tensor([2, 3])).long().tolist()


def test_out_refuses_a_lower_category() -> None:
    with pytest.raises(DtypeError, match="out="):
        fb.add(fb.ones(3), 1, out=fb.zeros(3, dtype=fb.int64))
    wide = fb.zeros(3, dtype=fb.float64)
    assert fb.add(fb.ones(3), 1, out=wide) is wide
    assert wide.tolist() == [2, 2, 2]


def test_full_wants_a_number() -> None:
    with pytest.raises(ArgumentTypeError, match="a number"):
        fb.full((2,), None)
    assert fb.full((2,), np.float32(2)).tolist() == [2, 2]


def test_binary_cross_entropy_wants_probabilities() -> None:
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        fb.nn.functional.binary_cross_entropy(fb.tensor([0.5, 1.5]), fb.ones(2))
    assert fb.nn.functional.binary_cross_entropy(fb.tensor([0.0, 1.0]), fb.tensor([0.0, 1.0])).item() == 0


def test_einsum_wants_tensors() -> None:
    with pytest.raises(ArgumentTypeError, match="operand 1"):
        fb.einsum("i,j", fb.ones(2), 1)


def test_empty_tensors_print_their_dtype() -> None:
    assert repr(fb.zeros(0, dtype=fb.int64)) == "tensor([], dtype=int64)"
    assert repr(fb.zeros(0)) == "tensor([])"
    assert repr(fb.zeros(1, dtype=fb.int64)) == "tensor([0])"


def test_grad_takes_only_inputs_in_pytorchs_place() -> None:
    x, other = fb.tensor(3.0, requires_grad=True), fb.tensor(1.0, requires_grad=True)
    (g,) = fb.autograd.grad(outputs=x**3, inputs=x, grad_outputs=fb.tensor(2.0), create_graph=True, retain_graph=True, only_inputs=True)
    assert g.item() == 54
    assert fb.autograd.grad(x**2, (x, other), None, None, False, True, True)[1] is None


def test_data_under_its_old_name() -> None:
    from flambeau.utils.data import DataLoader, TensorDataset

    assert DataLoader is fb.data.DataLoader
    assert [b.tolist() for (b,) in DataLoader(TensorDataset(fb.arange(3)), batch_size=2)] == [[0, 1], [2]]
    assert fb.utils.data.Dataset is fb.data.Dataset


def test_numbers_format_as_numbers() -> None:
    assert f"{fb.tensor(1.5)} {fb.tensor(2.5):.2f} {fb.tensor(3):03d} {fb.tensor(True)}" == "1.5 2.50 003 True"
    assert f"{fb.tensor([1.5])}" == "tensor([1.5000])"
    assert f"{fb.nn.Parameter(fb.tensor(1.0))}".startswith("Parameter")


@pytest.mark.skipif(fb.cuda.is_available(), reason="there is a GPU")
def test_housekeeping_of_gpus_is_harmless_without_one() -> None:
    fb.cuda.empty_cache()
    fb.cuda.manual_seed_all(0)
    assert fb.cuda.memory_allocated() == fb.cuda.memory_reserved() == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda x: fb.add(x, None),
        lambda x: x.mul("a"),
        lambda x: x.sub([1]),
        lambda x: x.eq(None),
        lambda x: x.pow(None),
        lambda x: fb.div(x, None),
        lambda x: fb.div(x, None, rounding_mode="floor"),
        lambda x: x.add_(None),
        lambda x: fb.cat([x, np.ones(2)]),
        lambda x: fb.stack([1, 2]),
        lambda x: fb.nn.Linear(2, 2)(np.ones((1, 2))),
        lambda x: fb.nn.functional.cross_entropy(fb.ones(1, 2), np.array([1])),
        lambda x: fb.nn.functional.mse_loss(x, np.ones(2)),
    ],
)
def test_what_is_no_tensor_is_named(call: object) -> None:
    assert callable(call)
    with pytest.raises(ArgumentTypeError, match="expected (a tensor|tensors)"):
        call(fb.ones(2))
    with pytest.raises(TypeError):
        fb.ones(2) + None
    assert (fb.ones(2) == None) is False  # noqa: E711


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ShapeError, match="take_along_dim"):
        fb.take_along_dim(fb.ones(2, 3), fb.zeros(4, 3, dtype=fb.int64), 1)
    with pytest.raises(ShapeError, match="masked_select"):
        fb.ones(3).masked_select(fb.tensor([True, False]))
    with pytest.raises(ShapeError, match="diag"):
        fb.ones(2, 2, 2).diag()
    with pytest.raises(ShapeError, match="meshgrid"):
        fb.meshgrid(fb.ones(2, 2), fb.ones(2))


def test_the_slope_of_an_angle_at_the_origin_is_zero() -> None:
    y, x = fb.tensor([0.0, 3.0], requires_grad=True), fb.tensor([0.0, 4.0], requires_grad=True)
    fb.atan2(y, x).sum().backward()
    assert y.grad.tolist() == pytest.approx([0, 4 / 25])
    assert x.grad.tolist() == pytest.approx([0, -3 / 25])
