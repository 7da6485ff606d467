"""flambeau.nn.utils against torch.nn.utils: names, values, gradients, and draws under the same stream."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402
from flambeau.primitives.generator import use_stream  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch warns that its older functions are old
LIBRARIES = (torch, fb)


@pytest.fixture(autouse=True)
def torch_stream():
    before = use_stream("torch")
    yield
    use_stream(before)


def array(t):
    return t.detach().numpy().copy()


def same(results, tolerance=1e-10):
    theirs, ours = results
    assert len(theirs) == len(ours)
    for e, g in zip(theirs, ours, strict=True):
        if isinstance(e, np.ndarray):
            np.testing.assert_allclose(g, e, rtol=tolerance, atol=tolerance)
        else:
            assert g == e


def layer(lib, kind="Linear", args=(4, 3)):
    lib.manual_seed(3)
    return getattr(lib.nn, kind)(*args).double()


def steps(lib, module, shape, count=3):
    """Train a few steps; what the module computes, and its state, after each."""
    numbers = np.random.default_rng(5)
    found = []
    for _ in range(count):
        out = module(lib.tensor(numbers.normal(size=shape)))
        for p in module.parameters():
            p.grad = None
        (out**3).sum().backward()
        found += [array(out), *(array(p.grad) for p in module.parameters())]
        with lib.no_grad():
            for p in module.parameters():
                p.sub_(p.grad, alpha=0.01)
        found += [array(v) for v in module.state_dict().values()]
    return [*module.state_dict(), *found]


KINDS = [("Linear", (4, 3), (5, 4)), ("Conv2d", (2, 3, 2), (2, 2, 4, 5)), ("ConvTranspose1d", (2, 3, 2), (2, 2, 4))]
NORMALISERS = [
    ("weight_norm", {}),
    ("weight_norm", {"dim": 1}),
    ("weight_norm", {"dim": None}),
    ("spectral_norm", {}),
    ("spectral_norm", {"n_power_iterations": 3, "dim": 1}),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("where", ["utils", "parametrizations"])
@pytest.mark.parametrize("name, settings", NORMALISERS, ids=str)
def test_normalised_weights(kind, where, name, settings):
    results = []
    for lib in LIBRARIES:
        home = lib.nn.utils if where == "utils" else lib.nn.utils.parametrizations
        module = getattr(home, name)(layer(lib, *kind[:2]), **settings)
        found = steps(lib, module, kind[2])
        if where == "utils":
            getattr(home, f"remove_{name}")(module)
        else:
            lib.nn.utils.parametrize.remove_parametrizations(module.eval(), "weight")
        found += [*sorted(module.state_dict()), array(module.weight), repr(module)]
        results.append(found)
    same(results)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
def test_orthogonal(shape, kind):
    results = []
    for lib in LIBRARIES:
        module = lib.nn.utils.parametrizations.orthogonal(layer(lib, "Linear", shape[::-1]), orthogonal_map=kind)
        results.append([array(module.weight), *steps(lib, module, (2, shape[1])), repr(module)])
    same(results, 1e-8)


def test_fusion():
    results = []
    for lib in LIBRARIES:
        conv, bn = layer(lib, "Conv2d", (2, 3, 2)), lib.nn.BatchNorm2d(3).double()
        bn(conv(lib.tensor(np.random.default_rng(0).normal(size=(2, 2, 4, 4)))))
        fused = lib.nn.utils.fuse_conv_bn_eval(conv.eval(), bn.eval())
        results.append([*fused.state_dict(), *(array(v) for v in fused.state_dict().values())])
    same(results)


def test_parametrized_names():
    results = []
    for lib in LIBRARIES:

        class Exp(lib.nn.Module):
            def forward(self, x):
                return x.exp()

            def right_inverse(self, x):
                return x.log()

        class Shift(lib.nn.Module):
            def forward(self, x):
                return x + 1

        module = layer(lib)
        with lib.no_grad():
            module.weight.abs_()
        register = lib.nn.utils.parametrize.register_parametrization
        register(register(register(module, "weight", Exp()), "bias", Shift()), "bias", Shift())
        found = [*module.state_dict(), array(module.weight), array(module.bias), repr(module)]
        found += [name for name, _ in module.named_modules()]
        module.weight = module.weight * 2
        results.append([*found, array(module.weight), array(module.parametrizations.weight.original)])
    same(results)


def test_functional_call():
    results = []
    for lib in LIBRARIES:
        call = torch.func.functional_call if lib is torch else fb.nn.utils.stateless.functional_call
        net = lib.nn.Sequential(layer(lib), lib.nn.BatchNorm1d(3).double())
        x = lib.tensor(np.random.default_rng(0).normal(size=(5, 4)))
        given = {"0.weight": lib.ones(3, 4, dtype=lib.float64).requires_grad_(), "1.running_mean": lib.zeros(3, dtype=lib.float64)}
        out = call(net, given, (x,))
        (out * out * out).sum().backward()
        results.append([array(out), array(given["0.weight"].grad), array(given["1.running_mean"]), array(net[1].running_mean)])
    same(results)
