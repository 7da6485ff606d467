"""Layers that learn the size of their input."""

import copy

import pytest

import flambeau as fb
from flambeau import nn
from flambeau.base.errors import ArgumentError, ShapeError

CASES = [
    (nn.LazyLinear, (3,), nn.Linear, (5, 3), (2, 4, 5)),
    (nn.LazyConv1d, (4, 3), nn.Conv1d, (5, 4, 3), (2, 5, 8)),
    (nn.LazyConv2d, (4, 3, 2, 1), nn.Conv2d, (5, 4, 3, 2, 1), (2, 5, 8, 8)),
    (nn.LazyConv3d, (4, 2), nn.Conv3d, (5, 4, 2), (5, 4, 4, 4)),
    (nn.LazyConvTranspose1d, (4, 3), nn.ConvTranspose1d, (5, 4, 3), (2, 5, 8)),
    (nn.LazyConvTranspose2d, (4, 3, 2), nn.ConvTranspose2d, (5, 4, 3, 2), (2, 5, 4, 4)),
    (nn.LazyConvTranspose3d, (4, 2), nn.ConvTranspose3d, (5, 4, 2), (2, 5, 3, 3, 3)),
    (nn.LazyBatchNorm1d, (1e-3,), nn.BatchNorm1d, (5, 1e-3), (4, 5)),
    (nn.LazyBatchNorm2d, (), nn.BatchNorm2d, (5,), (4, 5, 2, 2)),
    (nn.LazyBatchNorm3d, (), nn.BatchNorm3d, (5,), (4, 5, 2, 2, 2)),
    (nn.LazyInstanceNorm1d, (), nn.InstanceNorm1d, (5,), (4, 5, 6)),
    (nn.LazyInstanceNorm2d, (1e-5, 0.1, True, True), nn.InstanceNorm2d, (5, 1e-5, 0.1, True, True), (4, 5, 3, 3)),
    (nn.LazyInstanceNorm3d, (), nn.InstanceNorm3d, (5,), (4, 5, 2, 2, 2)),
]


@pytest.mark.parametrize(("lazy", "given", "plain", "full", "shape"), CASES, ids=[case[0].__name__ for case in CASES])
def test_it_becomes_the_ordinary_layer_with_the_same_values(lazy, given, plain, full, shape):
    x = fb.rand(shape)
    fb.manual_seed(3)
    layer = lazy(*given)
    found = layer(x)
    fb.manual_seed(3)
    wanted = plain(*full)
    assert type(layer) is plain and repr(layer) == repr(wanted) and fb.equal(found, wanted(x))
    assert list(layer.state_dict()) == list(wanted.state_dict()) and not layer._forward_pre_hooks
    assert fb.equal(copy.deepcopy(layer)(x), wanted(x))


def test_an_optimizer_made_before_knows_the_parameters():
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1, bias=False))
    assert net[0].has_uninitialized_params() and repr(net[0].weight) == "<UninitializedParameter>" and net.state_dict() == {}
    optimizer = fb.optim.SGD(net.parameters(), lr=0.1)
    net.to(fb.float64)
    net(fb.ones(3, 2, dtype=fb.float64)).sum().backward()
    assert net[0].weight.dtype is fb.float64 and isinstance(net[0].weight, nn.Parameter) and net[2].bias is None
    before = net[0].bias.detach().clone()
    optimizer.step()
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 3 and not fb.equal(before, net[0].bias)


def test_a_state_dict_gives_the_shapes():
    source = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    source(fb.rand(2, 3, 5, 5))
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d())
    net.load_state_dict(source.state_dict())
    assert not net[0].has_uninitialized_params() and net[0].weight.shape == (4, 3, 3, 3)
    x = fb.rand(2, 3, 5, 5)
    assert fb.equal(net.eval()(x), source.eval()(x)) and net[0].in_channels == 3 and type(net[1]) is nn.BatchNorm2d


def test_refusals():
    with pytest.raises(ShapeError, match="says that of the parameters"):
        nn.LazyConv2d(4, 3)(fb.ones(3, 3))
    with pytest.raises(ShapeError, match="no positional input"):
        nn.LazyLinear(4)()
    with pytest.raises(ArgumentError, match="groups"):
        nn.LazyConv1d(4, 3, groups=2)(fb.ones(1, 3, 5))
