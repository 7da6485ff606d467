"""Pruning of parameters."""

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.base.errors import ArgumentError, ArgumentTypeError
from flambeau.nn.utils import prune


def layer():
    fb.manual_seed(0)
    return nn.Linear(6, 4)


def test_the_smallest_elements_go_and_training_leaves_them_out():
    net = layer()
    before = net.weight.detach().clone()
    assert prune.l1_unstructured(net, "weight", 10) is net and prune.is_pruned(nn.Sequential(net))
    kept = np.sort(np.abs(before.numpy()).ravel())[10:]
    assert np.allclose(np.sort(np.abs(net.weight.detach().numpy()[net.weight_mask.numpy() == 1])), kept)
    assert list(net.state_dict()) == ["bias", "weight_orig", "weight_mask"] and not isinstance(net.weight, nn.Parameter)
    optimizer = fb.optim.SGD(net.parameters(), lr=1.0)
    net(fb.ones(2, 6)).sum().backward()
    assert fb.equal(net.weight_orig.grad == 0, net.weight_mask == 0)
    optimizer.step()
    net(fb.ones(2, 6))
    assert fb.equal(net.weight, net.weight_orig * net.weight_mask)
    other = prune.identity(layer(), "weight")
    other.load_state_dict(net.state_dict())
    x = fb.rand(3, 6)
    assert fb.equal(other(x), net(x))
    prune.remove(net, "weight")
    assert isinstance(net.weight, nn.Parameter) and int((net.weight == 0).sum()) == 10 and not prune.is_pruned(net)
    assert sorted(net.state_dict()) == ["bias", "weight"]


def test_later_pruning_looks_at_what_is_left():
    net = layer()
    prune.ln_structured(net, "weight", 1, n=2, dim=0)
    norms = net.weight_orig.detach().norm(dim=1)
    assert net.weight_mask.sum(1).tolist() == [0 if i == int(norms.argmin()) else 6 for i in range(4)]
    prune.ln_structured(net, "weight", 0.34, n=1, dim=0)
    assert sorted(net.weight_mask.sum(1).tolist()) == [0, 0, 6, 6]
    prune.l1_unstructured(net, "weight", 0.5)
    assert net.weight_mask.sum() == 6
    prune.random_unstructured(net, "weight", 2)
    assert net.weight_mask.sum() == 4
    container = next(iter(net._forward_pre_hooks.values())).call
    assert len(container) == 4 and isinstance(container[0], prune.LnStructured) and len(list(container)) == 4
    prune.random_structured(net, "bias", 2, dim=0)
    assert net.bias_mask.sum() == 2 and net(fb.ones(1, 6)).shape == (1, 4)


def test_several_as_one():
    nets = [layer(), nn.Linear(2, 3)]
    pairs = [(nets[0], "weight"), (nets[1], "weight")]
    everything = np.concatenate([np.abs(m.weight.detach().numpy()).ravel() for m in nets])
    prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=7)
    left = np.concatenate([np.abs(m.weight_orig.detach().numpy())[m.weight_mask.numpy() == 1] for m in nets])
    assert np.allclose(np.sort(left), np.sort(everything)[7:])
    with pytest.raises(ArgumentTypeError, match="unstructured"):
        prune.global_unstructured(pairs, pruning_method=prune.LnStructured, amount=1, n=1)


def test_masks_and_scores_that_are_given():
    net = layer()
    mask = fb.ones(4, 6)
    mask[1] = 0
    prune.custom_from_mask(net, "weight", mask)
    assert fb.equal(net.weight_mask, mask)
    other = layer()
    prune.l1_unstructured(other, "weight", 6, importance_scores=mask)
    assert fb.equal(other.weight_mask, mask)
    method = prune.RandomUnstructured(3)
    assert int((method.prune(fb.ones(4, 2)) == 0).sum()) == 3


def test_refusals():
    with pytest.raises(ArgumentError, match="an amount in"):
        prune.l1_unstructured(layer(), "weight", 1.5)
    with pytest.raises(ArgumentError, match="up to 24"):
        prune.l1_unstructured(layer(), "weight", 25)
    with pytest.raises(ArgumentError, match="a parameter 'wait'"):
        prune.l1_unstructured(layer(), "wait", 1)
    with pytest.raises(ArgumentError, match="not pruned"):
        prune.remove(layer(), "weight")
    with pytest.raises(ArgumentError, match="importance_scores of shape"):
        prune.l1_unstructured(layer(), "weight", 1, importance_scores=fb.ones(2))
