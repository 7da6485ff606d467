"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import flambeau as fb
from flambeau import nn


def three():
    return [nn.Linear(2, 2), nn.Identity(), nn.Linear(2, 3)]


def keys(module):
    return list(module._modules)


def test_sequential():
    parts = three()
    seq = nn.Sequential(*parts)
    assert len(seq) == 3 and seq[-1] is parts[2] and list(seq) == parts and seq(fb.ones(4, 2)).shape == (4, 3)
    head = seq[:2]
    assert type(head) is nn.Sequential and list(head) == parts[:2]
    named = nn.Sequential(OrderedDict(a=parts[0], b=parts[1]))
    assert named.a is parts[0] and keys(named) == ["a", "b"]
    assert len(seq + head) == 5 and len(seq * 2) == 6 and len(2 * seq) == 6
    seq += head
    assert keys(seq) == ["0", "1", "2", "3", "4"]
    del seq[1:3]
    assert keys(seq) == ["0", "1", "2"] and seq[0] is parts[0]
    seq.insert(1, parts[2])
    assert seq[1] is parts[2] and len(seq) == 4
    assert seq.pop(0) is parts[0] and len(seq) == 3
    seq[0] = parts[1]
    assert seq[0] is parts[1]
    assert seq.append(parts[0]).extend(parts)[-1] is parts[2]
    with pytest.raises(IndexError, match="within"):
        seq[99]
    with pytest.raises(TypeError):
        seq + 3


def test_module_list():
    parts = three()
    held = nn.ModuleList(parts)
    assert keys(held) == ["0", "1", "2"] and held[0] is parts[0] and list(held[1:]) == parts[1:]
    held += [nn.Identity()]
    held.insert(0, nn.Identity())
    assert len(held) == 5 and held[1] is parts[0]
    held[-1] = parts[0]
    del held[0]
    assert [m is p for m, p in zip(held, [*parts, parts[0]], strict=True)] == [True] * 4
    assert len(held + held) == 8
    with pytest.raises(NotImplementedError):
        held(1)
    with pytest.raises(IndexError):
        held.insert(9, parts[0])
    with pytest.raises(TypeError):
        held.extend(3)
    same = nn.ModuleList([nn.Identity(), nn.Identity(), nn.Linear(1, 1)])
    assert repr(same) == ("ModuleList(\n  (0-1): 2 x Identity()\n  (2): Linear(in_features=1, out_features=1, bias=True)\n)")
    assert repr(nn.ModuleList()) == "ModuleList()"


def test_module_dict():
    parts = three()
    held = nn.ModuleDict({"a": parts[0], "b": parts[1]})
    held["c"] = parts[2]
    assert list(held) == ["a", "b", "c"] and "b" in held and len(held) == 3 and held["c"] is parts[2]
    assert held.pop("a") is parts[0] and list(held.keys()) == ["b", "c"]
    held.update([("a", parts[0])])
    assert dict(held.items())["a"] is parts[0] and list(held.values())[0] is parts[1]
    del held["b"]
    held.clear()
    assert len(held) == 0
    with pytest.raises(KeyError):
        held["a.b"] = parts[0]


def test_parameter_list():
    held = nn.ParameterList([fb.ones(2), nn.Parameter(fb.zeros(3)), "text"])
    assert [name for name, _ in held.named_parameters()] == ["0", "1"] and held[2] == "text" and len(held) == 3
    assert isinstance(held[0], nn.Parameter) and held[-1] == "text"
    held += [fb.ones(1)]
    held[0] = nn.Parameter(fb.zeros(4))
    assert held[0].shape == (4,) and len(list(held.parameters())) == 3 and len(held[1:3]) == 2
    assert list(held.state_dict()) == ["0", "1", "3"]
    with pytest.raises(IndexError):
        held[7]
    with pytest.raises(TypeError, match="call"):
        held(1)


def test_parameter_dict():
    held = nn.ParameterDict({"a": fb.ones(2), "n": 3})
    held["b"] = nn.Parameter(fb.zeros(1))
    assert list(held) == ["a", "n", "b"] and held["n"] == 3 and list(held.state_dict()) == ["a", "b"]
    assert held.get("z", 5) == 5 and held.setdefault("c", fb.ones(1)).requires_grad
    other = held.copy() | nn.ParameterDict({"d": fb.ones(1)})
    assert "d" in other and "d" not in held and other["a"] is held["a"]
    assert held.pop("n") == 3 and held.popitem()[0] == "c" and [k for k, _ in held.items()] == ["a", "b"]
    assert list(reversed(held)) == ["b", "a"]
    held.clear()
    assert len(held) == 0
    with pytest.raises(KeyError):
        held["a"]
