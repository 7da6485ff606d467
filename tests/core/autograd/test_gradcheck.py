"""`gradcheck` and `gradgradcheck` find wrong derivatives and accept right ones."""

from __future__ import annotations

import pytest

import flambeau as fb
from flambeau.autograd import Function, GradcheckError, gradcheck, gradgradcheck
from flambeau.base.errors import GradientError


def leaf(values, dtype=fb.float64):
    return fb.tensor(values, dtype=dtype, requires_grad=True)


X = [0.5, 2.0, -1.25]
Z = [0.5 + 1j, 2.0 - 3j]
REAL = {
    "product": lambda x: x * x.sin(),
    "two outputs": lambda x: (x.exp(), x.sum()),
    "integers beside": lambda x: (x.tanh(), x.argmax()),
    "in place": lambda x: x.mul_(2).sin(),
    "views": lambda x: x.clone()[1:].pow(3),
    "empty": lambda x: x[:0],
}
COMPLEX = {
    "square": lambda z: z * z,
    "abs": lambda z: z.abs(),
    "conj": lambda z: z.conj() * z,
    "exp": lambda z: z.exp(),
    "parts": lambda z: (z / (1 + z)).imag + z.real,
    "to complex": lambda z: fb.complex(z.real, z.imag) * 2j,
}


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", REAL)
def test_real(name, fast):
    assert gradcheck(REAL[name], (leaf(X),), fast_mode=fast, check_grad_dtypes=True)
    assert gradgradcheck(REAL[name], (leaf(X),), fast_mode=fast)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", COMPLEX)
def test_complex(name, fast):
    assert gradcheck(COMPLEX[name], (leaf(Z, fb.complex128),), fast_mode=fast)
    assert gradgradcheck(COMPLEX[name], (leaf(Z, fb.complex128),), fast_mode=fast)


def wrong(slope, second=None):
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * slope(x)

    return Wrong.apply


@pytest.mark.parametrize("fast", [False, True])
def test_a_wrong_derivative_is_found(fast):
    bad = wrong(lambda x: 2 * x + 0.01)
    with pytest.raises(GradcheckError, match="mismatch for output 0 with respect to input 0"):
        gradcheck(bad, (leaf(X),), fast_mode=fast)
    assert gradcheck(bad, (leaf(X),), raise_exception=False, fast_mode=fast) is False


@pytest.mark.parametrize("fast", [False, True])
def test_a_wrong_second_derivative_is_found(fast):
    bad = wrong(lambda x: 2 * x.detach())
    assert gradcheck(bad, (leaf(X),), fast_mode=fast)
    with pytest.raises(GradcheckError):
        gradgradcheck(bad, (leaf(X),), fast_mode=fast)


def test_a_conjugate_too_many_is_found():
    class Conj(Function):
        @staticmethod
        def forward(ctx, z):
            return z.conj()

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(GradcheckError):
        gradcheck(Conj.apply, (leaf(Z, fb.complex128),))


def test_an_unsteady_backward_is_found():
    class Drift(Function):
        calls = 0

        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            Drift.calls += 1
            return g * (2 + 1e-7 * Drift.calls)

    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(Drift.apply, (leaf(X),))
    assert gradcheck(Drift.apply, (leaf(X),), nondet_tol=1e-3)


def test_undefined_gradients_are_checked():
    class Ignore(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return fb.full((3,), 2.0, dtype=fb.float64) if not g.any() else g * 2

    with pytest.raises(GradcheckError, match="undefined output grads"):
        gradcheck(Ignore.apply, (leaf(X),))


def test_batched_gradients_are_checked():
    assert gradcheck(lambda x: (x.exp() * x).cumsum(0), (leaf(X),), check_batched_grad=True)


def test_inputs():
    with pytest.raises(GradientError, match="requires grad"):
        gradcheck(lambda x: x, (fb.ones(2),))
    with pytest.warns(UserWarning, match="float64"):
        gradcheck(lambda x: x * 2, (leaf([1.0], fb.float32),), eps=1e-2, atol=1e-2)
    assert gradcheck(lambda x, k, y: x * k + y, (leaf(X), 3, fb.ones(3, dtype=fb.float64)))


def test_the_input_is_left_alone():
    x = leaf(X)
    gradcheck(lambda x: x.mul_(3), (x,))
    assert x.tolist() == X and x.grad is None
