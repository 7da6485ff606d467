"""state_dict and load_state_dict."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.nn.state import StateDictError


def net():
    return nn.Sequential(OrderedDict(lin=nn.Linear(3, 2), bn=nn.BatchNorm1d(2)))


def test_round_trip_copies_values():
    a, b = net(), net()
    with fb.no_grad():
        a.bn.running_mean.add_(3)
        a.bn.num_batches_tracked.add_(7)
    state = a.state_dict()
    assert list(state) == ["lin.weight", "lin.bias", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked"]
    assert state._metadata == {"": {"version": 1}, "lin": {"version": 1}, "bn": {"version": 2}}
    assert not state["lin.weight"].requires_grad
    weight = b.lin.weight
    assert str(b.load_state_dict(state)) == "<All keys matched successfully>"
    assert b.lin.weight is weight and b.lin.weight.requires_grad
    for key, value in b.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key].numpy())
    with fb.no_grad():
        a.lin.weight.zero_()
    assert float(state["lin.weight"].abs().sum()) == 0  # the state shares the module's memory
    assert float(b.lin.weight.abs().sum()) > 0  # what was loaded does not


def test_keep_vars_prefix_and_destination():
    a = net()
    state = a.state_dict(keep_vars=True)
    assert state["lin.weight"] is a.lin.weight
    into = {}
    assert a.state_dict(destination=into, prefix="model.") is into and "model.bn.bias" in into


def test_arrays_load_too():
    a, b = net(), net()
    b.load_state_dict({k: v.numpy() for k, v in a.state_dict().items()})
    np.testing.assert_array_equal(a.lin.weight.detach().numpy(), b.lin.weight.detach().numpy())


def test_all_problems_are_listed_at_once():
    a = net()
    state = a.state_dict()
    del state["lin.bias"]
    state["extra"] = fb.ones(1)
    state["lin.more.deep"] = fb.ones(1)
    state["lin.weight"] = fb.ones(3, 3)
    state["bn.weight"] = "text"
    with pytest.raises(StateDictError) as caught:
        a.load_state_dict(state)
    text = str(caught.value)
    assert 'Missing key(s) in state_dict: "lin.bias"' in text
    assert '"extra"' in text and '"lin.more.deep"' in text and "Unexpected key(s)" in text
    assert "size mismatch for lin.weight: the state has shape (3, 3), the module has (2, 3)" in text
    assert "bn.weight: expected a tensor in the state, got str" in text
    assert isinstance(caught.value, RuntimeError)


def test_not_strict_reports_but_shapes_still_count():
    a = net()
    state = a.state_dict()
    del state["lin.bias"]
    state["extra"] = fb.ones(1)
    result = a.load_state_dict(state, strict=False)
    assert result.missing_keys == ["lin.bias"] and result.unexpected_keys == ["extra"]
    state["lin.weight"] = fb.ones(3, 3)
    with pytest.raises(StateDictError, match="size mismatch"):
        a.load_state_dict(state, strict=False)


@pytest.mark.parametrize(
    ("given", "wanted", "advice"), [("module.", "", "strip the prefix 'module.'"), ("", "backbone.", "add the prefix 'backbone.'")]
)
def test_a_prefix_is_recognised(given, wanted, advice):
    target = net() if not wanted else nn.ModuleDict({wanted[:-1]: net()})
    state = {given + k: v for k, v in net().state_dict().items()}
    with pytest.raises(StateDictError, match=advice):
        target.load_state_dict(state)


def test_assign_takes_the_tensors_over():
    with fb.device("meta"):
        a = net()
    state = net().state_dict()
    with pytest.raises(StateDictError, match="meta.*assign=True"):
        a.load_state_dict(state)
    a.load_state_dict(state, assign=True)
    assert type(a.lin.weight) is nn.Parameter and a.lin.weight.requires_grad
    assert a.bn.running_mean is state["bn.running_mean"]
    assert a(fb.ones(4, 3)).shape == (4, 2)


def test_old_batch_norm_states_load():
    a = net()
    state = OrderedDict((k, v) for k, v in a.state_dict().items() if "num_batches" not in k)
    a.load_state_dict(state)
    state._metadata = {"bn": {"version": 2}}
    with pytest.raises(StateDictError, match="num_batches_tracked"):
        a.load_state_dict(state)


def test_buffers_that_do_not_persist_and_extra_state():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("scratch", fb.ones(1), persistent=False)
            self.count = 5

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    a, b = nn.ModuleList([Counter()]), nn.ModuleList([Counter()])
    a[0].count = 9
    state = a.state_dict()
    assert list(state) == ["0._extra_state"]
    b.load_state_dict(state)
    assert b[0].count == 9
    with pytest.raises(StateDictError, match="_extra_state"):
        b.load_state_dict({})


def test_hooks():
    calls = []
    a = net()
    a.lin.register_state_dict_pre_hook(lambda module, prefix, keep: calls.append(("pre", prefix, keep)))

    def drop(module, state, prefix, meta):
        del state[prefix + "bias"]

    a.lin.register_state_dict_post_hook(drop)
    state = a.state_dict()
    assert calls == [("pre", "lin.", False)] and "lin.bias" not in state

    def rename(module, state, prefix, meta, strict, missing, unexpected, errors):
        state[prefix + "bias"] = state.pop(prefix + "b")

    def forgive(module, keys):
        keys.missing_keys.clear()

    b = net()
    b.lin.register_load_state_dict_pre_hook(rename)
    b.register_load_state_dict_post_hook(forgive)
    state["lin.b"] = fb.tensor([5.0, 6.0])
    del state["bn.bias"]
    b.load_state_dict(state)
    assert b.lin.bias.tolist() == [5.0, 6.0] and "lin.b" in state
