"""nn.utils: clipping, vectors, parametrizations, old weight and spectral norm, fusion, functional calls."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.nn.utils import parametrizations, parametrize
from flambeau.nn.utils.stateless import functional_call

X = fb.tensor(np.random.default_rng(0).normal(size=(5, 4)))


def array(t):
    return t.detach().numpy()


def test_clipping_scales_to_the_norm():
    p, q = nn.Parameter(fb.zeros(2)), nn.Parameter(fb.zeros(3))
    p.grad = fb.tensor([3.0, 4.0])
    assert nn.utils.clip_grad_norm_([p, q], 10.0).item() == 5 and p.grad.tolist() == [3.0, 4.0]
    assert nn.utils.clip_grad_norm_(p, 1.0).item() == 5
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-5)
    nn.utils.clip_grad_value_([p, q], 0.7)
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.7], rtol=1e-5)
    assert nn.utils.clip_grad_norm_([q], 1.0).item() == 0
    p.grad = fb.tensor([float("nan"), 1.0])
    with pytest.raises(RuntimeError, match="finite"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)


def test_vectors_of_parameters():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (13,) and vector.requires_grad
    nn.utils.vector_to_parameters(fb.arange(13.0), net.parameters())
    assert net[0].weight.tolist() == [[0, 1], [2, 3], [4, 5]] and net[1].bias.tolist() == [12] and net[0].weight.requires_grad
    with pytest.raises(RuntimeError, match="13 elements"):
        nn.utils.vector_to_parameters(fb.ones(5), net.parameters())


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT

    def right_inverse(self, x):
        return x.triu()


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, x):
        return x / 2


def test_parametrizations_compute_read_and_write():
    layer = nn.Linear(4, 4).double()
    before = array(layer.weight).copy()
    parametrize.register_parametrization(layer, "weight", Symmetric())
    expected = np.triu(before) + np.triu(before, 1).T
    np.testing.assert_array_equal(array(layer.weight), expected)
    np.testing.assert_allclose(array(layer(X)), array(X) @ expected.T + array(layer.bias), rtol=1e-12)
    assert [n for n, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias") and isinstance(layer, nn.Linear)
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert repr(layer).startswith("ParametrizedLinear(\n  in_features=4, out_features=4, bias=True\n  (parametrizations)")
    layer(X).sum().backward()
    assert np.array_equal(np.tril(array(layer.parametrizations.weight.original.grad), -1), np.zeros((4, 4)))
    layer.weight = fb.eye(4, dtype=fb.float64)
    np.testing.assert_array_equal(array(layer.weight), np.eye(4))


def test_parametrizations_stack_copy_and_go():
    layer = nn.Linear(4, 4)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    value = array(layer.weight).copy()
    parametrize.register_parametrization(layer, "weight", Doubled())
    np.testing.assert_allclose(array(layer.weight), value, rtol=1e-6)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(array(twin.weight), array(layer.weight))
        assert twin.parametrizations.weight.original is not layer.parametrizations.weight.original
        twin.weight = fb.zeros(4, 4)
        assert float(layer.weight.abs().sum()) > 0 == float(twin.weight.abs().sum())
    other = copy.deepcopy(layer)
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and not parametrize.is_parametrized(layer)
    np.testing.assert_allclose(array(layer.weight), value, rtol=1e-6)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    original = array(other.parametrizations.weight.original).copy()
    parametrize.remove_parametrizations(other, "weight", leave_parametrized=False)
    np.testing.assert_array_equal(array(other.weight), original)


def test_parametrizations_are_checked_and_cached():
    class Wrong(nn.Module):
        def forward(self, x):
            return x[:1]

    with pytest.raises(RuntimeError, match=r"\(4, 4\).*\(1, 4\).*unsafe=True"):
        parametrize.register_parametrization(nn.Linear(4, 4), "weight", Wrong())
    with pytest.raises(ValueError, match="'weights'"):
        parametrize.register_parametrization(nn.Linear(4, 4), "weights", Wrong())
    calls = []

    class Counts(nn.Module):
        def forward(self, x):
            calls.append(1)
            return x

    layer = parametrize.register_parametrization(nn.Linear(4, 4), "weight", Counts())
    calls.clear()
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert len(calls) == 1
    assert layer.weight is not None and len(calls) == 2
    with pytest.raises(ValueError, match="right_inverse"):
        layer.weight = fb.ones(4, 4)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_both_ways(dim):
    new, old = nn.Linear(4, 3).double(), nn.Linear(4, 3).double()
    old.load_state_dict(new.state_dict())
    plain = array(new.weight).copy()
    parametrizations.weight_norm(new, dim=dim)
    nn.utils.weight_norm(old, dim=dim)
    assert sorted(old.state_dict()) == ["bias", "weight_g", "weight_v"]
    for layer in (new, old):
        np.testing.assert_allclose(array(layer.weight), plain, rtol=1e-12)
    with fb.no_grad():
        old.weight_g.mul_(2)
    np.testing.assert_allclose(array(old(X)), array(X) @ (2 * plain).T + array(old.bias), rtol=1e-12)
    new.load_state_dict(old.state_dict())  # the old names load
    np.testing.assert_allclose(array(new.weight), 2 * plain, rtol=1e-12)
    old(X).sum().backward()
    assert old.weight_g.grad is not None and old.weight_v.grad is not None
    nn.utils.remove_weight_norm(old)
    assert sorted(old.state_dict()) == ["bias", "weight"] and not old._forward_pre_hooks
    np.testing.assert_allclose(array(old(X)), array(X) @ (2 * plain).T + array(old.bias), rtol=1e-12)
    with pytest.raises(ValueError, match="weight_norm"):
        nn.utils.remove_weight_norm(old)


def test_spectral_norm_reaches_one():
    for apply in (parametrizations.spectral_norm, nn.utils.spectral_norm):
        layer = apply(nn.Conv1d(3, 5, 2).double())
        for _ in range(60):
            layer(fb.ones(1, 3, 4, dtype=fb.float64))
        layer.eval()
        layer(fb.ones(1, 3, 4, dtype=fb.float64))
        assert np.linalg.svd(array(layer.weight).reshape(5, -1))[1][0] == pytest.approx(1, rel=1e-6)
        layer(fb.ones(1, 3, 4, dtype=fb.float64)).sum().backward()
    nn.utils.remove_spectral_norm(layer)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    with pytest.raises(ValueError, match="iteration"):
        nn.utils.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_stays_orthogonal_while_learning(shape, kind):
    layer = parametrizations.orthogonal(nn.Linear(shape[1], shape[0]).double(), orthogonal_map=kind)
    small = np.eye(min(shape))
    for _ in range(3):
        q = array(layer.weight)
        np.testing.assert_allclose(q @ q.T if shape[0] <= shape[1] else q.T @ q, small, atol=1e-10)
        layer.zero_grad()
        (layer(fb.ones(2, shape[1], dtype=fb.float64)) ** 3).sum().backward()
        with fb.no_grad():
            for p in layer.parameters():
                p.sub_(p.grad, alpha=0.1)
    assert not np.allclose(q, array(layer.weight))


def test_orthogonal_starts_from_an_orthogonal_weight():
    layer = nn.Linear(4, 4).double()
    nn.init.orthogonal_(layer.weight)
    before = array(layer.weight).copy()
    parametrizations.orthogonal(layer)
    np.testing.assert_allclose(array(layer.weight), before, atol=1e-12)
    with pytest.raises(ValueError, match="householder"):
        parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="qr")


def test_batch_norm_folds_into_the_layer_before():
    conv, bn = nn.Conv2d(2, 3, 2, bias=False).double(), nn.BatchNorm2d(3).double()
    x = fb.randn(4, 2, 5, 5, dtype=fb.float64)
    bn(conv(x))
    with fb.no_grad():
        nn.init.uniform_(bn.weight, 0.5, 2)
        nn.init.uniform_(bn.bias)
    with pytest.raises(ValueError, match="evaluation"):
        nn.utils.fuse_conv_bn_eval(conv, bn)
    fused = nn.utils.fuse_conv_bn_eval(conv.eval(), bn.eval())
    np.testing.assert_allclose(array(fused(x)), array(bn(conv(x))), rtol=1e-9, atol=1e-12)
    assert conv.bias is None and fused.bias is not None
    up, bn = nn.ConvTranspose2d(2, 3, 2).double().eval(), nn.BatchNorm2d(3).double()
    bn(up(x))
    np.testing.assert_allclose(array(nn.utils.fuse_conv_bn_eval(up, bn.eval(), transpose=True)(x)), array(bn(up(x))), rtol=1e-9, atol=1e-12)
    linear, bn = nn.Linear(4, 3).double().eval(), nn.BatchNorm1d(3).double()
    bn(linear(X))
    np.testing.assert_allclose(array(nn.utils.fuse_linear_bn_eval(linear, bn.eval())(X)), array(bn(linear(X))), rtol=1e-9, atol=1e-12)


def test_functional_calls_leave_the_module_alone():
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3)).double()
    net[1].weight = nn.Parameter(fb.eye(3, dtype=fb.float64))
    before = {k: array(v).copy() for k, v in net.state_dict().items()}
    weight = fb.ones(3, 4, dtype=fb.float64).requires_grad_()
    out = functional_call(net, {"0.weight": weight}, X)
    expected = (array(X) @ np.ones((3, 4)).T + before["0.bias"]) + before["1.bias"]
    np.testing.assert_allclose(array(out), expected, rtol=1e-12)
    out.sum().backward()
    assert weight.grad is not None and net[0].weight.grad is None
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(array(value), before[key])
    with pytest.raises(ValueError, match="0.weigth"):
        functional_call(net, {"0.weigth": weight}, X)
    with pytest.raises(ValueError, match=r"none for 0\.weight"):
        functional_call(net, {"0.bias": fb.zeros(3, dtype=fb.float64)}, X, strict=True)
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)).double()
    tied[1].weight = tied[0].weight
    same = functional_call(tied, {"0.weight": fb.zeros(3, 3, dtype=fb.float64)}, X[:, :3])
    np.testing.assert_allclose(array(same), np.broadcast_to(array(tied[1].bias), (5, 3)))


def test_skip_init():
    layer = nn.utils.skip_init(nn.Linear, 3, 2, dtype=fb.float64)
    assert layer.weight.is_cpu and layer.weight.dtype is fb.float64 and layer.weight.requires_grad
