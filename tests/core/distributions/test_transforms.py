"""Transforms: inverses, Jacobians against numeric ones, shapes, and the tables from constraints to transforms."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau import distributions as D
from flambeau.base.errors import ShapeError
from flambeau.distributions import biject_to, constraints, transform_to, transforms

X = np.array([-1.3, 0.2, 0.9, 2.1])
SCALAR = {
    "exp": (transforms.ExpTransform(), X),
    "affine": (transforms.AffineTransform(0.5, -2.0), X),
    "affine tensor": (transforms.AffineTransform(fb.tensor(X), fb.tensor(X + 4)), X),
    "power": (transforms.PowerTransform(-1.5), np.exp(X)),
    "sigmoid": (transforms.SigmoidTransform(), X),
    "softplus": (transforms.SoftplusTransform(), X),
    "tanh": (transforms.TanhTransform(), X),
    "cdf": (transforms.CumulativeDistributionTransform(D.Normal(fb.tensor(0.2, dtype=fb.float64), 1.5)), X),
    "composed": (transforms.ComposeTransform([transforms.TanhTransform(), transforms.AffineTransform(1.0, 2.0)]), X),
    "inverse": (transforms.ExpTransform().inv, np.exp(X)),
}
VECTOR = {
    "stick breaking": (transforms.StickBreakingTransform(), np.stack([X[:3], X[1:]])),
    "correlation": (transforms.CorrCholeskyTransform(), np.stack([X[:3], X[1:]])),
    "reshape": (transforms.ReshapeTransform((4,), (2, 2)), X[None]),
    "independent": (transforms.IndependentTransform(transforms.ExpTransform(), 1), X[None]),
    "cat": (transforms.CatTransform([transforms.ExpTransform(), transforms.TanhTransform()], -1, [1, 3]), X[None]),
    "stack": (transforms.StackTransform([transforms.ExpTransform(), transforms.TanhTransform()], -1), X[None, :2]),
}


def numeric_jacobian(f, x, keep):
    """dy[keep] / dx of one event."""
    columns = []
    for i in range(len(x)):
        step = np.zeros_like(x)
        step[i] = 1e-6
        columns.append((f(x + step).reshape(-1)[keep] - f(x - step).reshape(-1)[keep]) / 2e-6)
    return np.stack(columns, 1)


@pytest.mark.parametrize("name", SCALAR)
def test_scalar_transforms(name):
    t, x = SCALAR[name]
    tx = fb.tensor(x)
    y = t(tx)
    np.testing.assert_allclose(t.inv(y).numpy(), x, rtol=1e-9, atol=1e-12)
    slope = (t(fb.tensor(x + 1e-6)) - t(fb.tensor(x - 1e-6))).numpy() / 2e-6
    jacobian = t.log_abs_det_jacobian(tx, y).numpy()
    np.testing.assert_allclose(jacobian, np.log(np.abs(slope)), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(
        np.broadcast_to(np.sign(slope), 4), np.broadcast_to(np.asarray(getattr(t.sign, "numpy", lambda s=t.sign: s)()), 4)
    )
    assert bool(t.codomain.check(y).all())
    assert tuple(t.forward_shape((4,))) == tuple(y.shape)


@pytest.mark.parametrize("name", VECTOR)
def test_vector_transforms(name):
    t, x = VECTOR[name]
    y = t(fb.tensor(x))
    np.testing.assert_allclose(t.inv(y).numpy(), x, rtol=1e-9, atol=1e-12)
    rows, n = y[0].numpy().reshape(-1), x.shape[-1]
    # coordinates of the image that are free: all but the last of a simplex, the strict lower triangle of a factor
    keep = {"stick breaking": np.arange(n), "correlation": np.array([3, 6, 7])}.get(name, np.arange(rows.size))
    jacobian = t.log_abs_det_jacobian(fb.tensor(x), y)
    for i in range(len(x)):
        numeric = numeric_jacobian(lambda v: t(fb.tensor(v[None])).numpy()[0], x[i], keep)
        expected = np.linalg.slogdet(numeric)[1]
        got = jacobian.numpy().reshape(len(x), -1)[i].sum()
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "constraint",
    [
        constraints.real,
        constraints.positive,
        constraints.nonnegative,
        constraints.unit_interval,
        constraints.greater_than(2.0),
        constraints.less_than(-1.0),
        constraints.interval(-1.0, 3.0),
        constraints.half_open_interval(0.0, 5.0),
        constraints.simplex,
        constraints.real_vector,
        constraints.corr_cholesky,
    ],
    ids=repr,
)
def test_transforms_into_constraints(constraint):
    x = fb.tensor(np.linspace(-2, 2, 6).reshape(2, 3))
    for registry in (biject_to, transform_to):
        t = registry(constraint)
        y = t(x)
        assert bool(constraint.check(y).all())
        if t.bijective:
            np.testing.assert_allclose(t.inv(y).numpy(), x.numpy(), atol=1e-8)
    square = fb.tensor(np.linspace(-1, 1, 9).reshape(3, 3))
    assert bool(constraints.lower_cholesky.check(biject_to(constraints.lower_cholesky)(square)).all())
    assert bool(constraints.positive_definite.check(transform_to(constraints.positive_definite)(square)).all())
    with pytest.raises(NotImplementedError, match="one_hot"):
        biject_to(constraints.one_hot)


def test_constraints_check_events():
    x = fb.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 1.0]])
    assert constraints.one_hot.check(x).tolist() == [True, False, False]
    assert constraints.simplex.check(x).tolist() == [True, True, False]
    assert constraints.boolean.check(x).all(-1).tolist() == [True, False, True]
    assert constraints.independent(constraints.greater_than(0.2), 1).check(x).tolist() == [False, True, True]
    assert constraints.symmetric.check(fb.tensor([[1.0, 2.0], [2.0, 1.0]])).item() is True
    assert constraints.square.check(fb.zeros(2, 3)).item() is False
    assert constraints.multinomial(2).check(fb.tensor([[1.0, 1.0], [2.0, 1.0]])).tolist() == [True, False]
    assert constraints.stack([constraints.positive, constraints.boolean], -1).check(x).tolist() == [
        [False, True],
        [True, False],
        [True, True],
    ]


def test_equality_cache_and_errors():
    assert transforms.AffineTransform(1.0, 2.0) == transforms.AffineTransform(1.0, 2.0)
    assert transforms.AffineTransform(1.0, 2.0) != transforms.AffineTransform(1.0, 3.0)
    t = transforms.TanhTransform(cache_size=1)
    x = fb.tensor([20.0])
    assert t.inv(t(x)) is x
    assert t.inv.inv is t
    with pytest.raises(ShapeError, match="as many elements"):
        transforms.ReshapeTransform((3,), (2,))
    with pytest.raises(NotImplementedError, match="bijection"):
        transforms.SoftmaxTransform().log_abs_det_jacobian(x, x)
