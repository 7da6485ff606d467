"""Tables that convert state dicts from one layout to another."""

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ShapeError
from flambeau.base.registry import registry
from flambeau.hub import convert
from flambeau.hub.conversion import GAMMA_BETA, WEIGHT_NORM, WRAPPERS, Add, Concat, Copy, Drop, Rename, Reshape, Split, Strip, Transpose


def state(*names):
    return {name: fb.full((2,), float(number)) for number, name in enumerate(names)}


@pytest.mark.parametrize(
    ("rule", "names", "expected"),
    [
        (Strip("module."), ["module.a", "b", "module.module.c"], ["a", "b", "module.c"]),
        (Add("bert."), ["a", "bert.b"], ["bert.a", "bert.b"]),
        (Add("bert.", unless=r"^cls\."), ["a", "cls.b"], ["bert.a", "cls.b"]),
        (Rename(r"\.gamma$", ".weight"), ["norm.gamma", "gamma.x"], ["norm.weight", "gamma.x"]),
        (Rename(r"^h\.(\d+)\.ln_(\d)", r"blocks.\1.norm\2"), ["h.3.ln_1.bias"], ["blocks.3.norm1.bias"]),
        (Rename(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2"), ["denselayer1.norm.1.weight"], ["denselayer1.norm1.weight"]),
        (Drop(r"\.attn\.(masked_)?bias$"), ["h.attn.bias", "h.attn.masked_bias", "h.attn.c.bias"], ["h.attn.c.bias"]),
        (Copy("wte", "head"), ["wte", "x"], ["head", "wte", "x"]),
        (Copy("wte", "head"), ["x"], ["x"]),
    ],
)
def test_names(rule, names, expected):
    before = state(*names)
    after = convert(before, [rule])
    assert list(after) == expected
    assert list(before) == names, "the given state is left as it is"


def test_copies_do_not_replace_what_is_there():
    found = convert(state("wte", "head"), [Copy("wte", "head")])
    assert found["head"][0] == 1


@pytest.mark.parametrize("rule", [Strip("m."), Rename("^m.", ""), Add("x.")])
def test_two_tensors_never_get_one_name(rule):
    names = ["m.a", "a"] if not isinstance(rule, Add) else ["x.a", "a"]
    with pytest.raises(ArgumentError, match="a name for each tensor, got '.*a' twice"):
        convert(state(*names), [rule])


def test_split_parts_one_behind_the_other_and_by_head():
    w = fb.arange(24.0).view(12, 2)
    names = (r"\1.q", r"\1.k", r"\1.v")
    found = convert({"a.qkv": w, "z": w}, [Split(r"(.*)\.qkv$", names)])
    assert list(found) == ["a.q", "a.k", "a.v", "z"]
    assert fb.equal(found["a.k"], w[4:8])
    found = convert({"a.qkv": w}, [Split(r"(.*)\.qkv$", names, sizes=(6, 3, 3))])
    assert fb.equal(found["a.v"], w[9:])
    found = convert({"a.qkv": w.t()}, [Split(r"(.*)\.qkv$", names, dim=-1)])
    assert fb.equal(found["a.q"], w[:4].t())
    found = convert({"a.qkv": w}, [Split(r"(.*)\.qkv$", names, heads=2)])
    expected = w.numpy().reshape(2, 3, 2, 2)  # head, part, row, column
    assert np.array_equal(found["a.k"].numpy(), expected[:, 1].reshape(4, 2))
    with pytest.raises(ShapeError, match="a size of axis 0 that makes 3 parts of equal size, got 10"):
        convert({"a.qkv": w[:10]}, [Split(r"(.*)\.qkv$", names)])
    with pytest.raises(ShapeError, match="for each of 5 heads"):
        convert({"a.qkv": w}, [Split(r"(.*)\.qkv$", names, heads=5)])


def test_concat_is_the_inverse_of_split():
    w = fb.arange(24.0).view(12, 2)
    parts = (r"\1.q.\2", r"\1.k.\2", r"\1.v.\2")
    cut = convert({"l.0.qkv.weight": w, "l.1.qkv.weight": w + 1, "l.0.qkv.bias": w[:, 0]}, [Split(r"(.*)\.qkv\.(\w+)$", parts)])
    patterns = tuple(rf"(.*)\.{part}\.(\w+)" for part in "qkv")
    joined = convert(dict(reversed(cut.items())), [Concat(patterns, r"\1.qkv.\2")])
    assert set(joined) == {"l.0.qkv.weight", "l.1.qkv.weight", "l.0.qkv.bias"}
    assert fb.equal(joined["l.1.qkv.weight"], w + 1) and fb.equal(joined["l.0.qkv.bias"], w[:, 0])
    del cut["l.0.k.weight"]
    with pytest.raises(ArgumentError, match="3 tensors to join"):
        convert(cut, [Concat(patterns, r"\1.qkv.\2")])


def test_shapes():
    w = fb.arange(6.0).view(2, 3)
    found = convert({"c_fc.weight": w, "x.weight": w, "p": w.view(2, 3, 1, 1)}, [Transpose(r"c_fc\.weight$"), Reshape("^p$", (2, 3))])
    assert found["c_fc.weight"].shape == (3, 2) and found["x.weight"].shape == (2, 3) and found["p"].shape == (2, 3)


def test_a_fused_layout_gives_the_same_attention():
    """A block in GPT-2's layout (Conv1D, fused qkv) as MultiheadAttention."""
    fb.manual_seed(0)
    e = 8
    theirs = {"transformer.h.0.attn.c_attn.weight": fb.randn(e, 3 * e), "transformer.h.0.attn.c_attn.bias": fb.randn(3 * e)}
    theirs |= {"transformer.h.0.attn.c_proj.weight": fb.randn(e, e), "transformer.h.0.attn.c_proj.bias": fb.randn(e)}
    theirs |= {"transformer.h.0.attn.bias": fb.ones(1, 1, 4, 4)}
    rules = [
        Strip("transformer.h.0.attn."),
        Drop(r"^bias$"),
        Transpose(r"weight$"),
        Rename(r"^c_attn\.(weight|bias)", r"in_proj_\1"),
        Rename(r"^c_proj", "out_proj"),
    ]
    attention = fb.nn.MultiheadAttention(e, 2, batch_first=True)
    attention.load_state_dict(convert(theirs, rules))
    x = fb.randn(1, 4, e)
    qkv = x @ theirs["transformer.h.0.attn.c_attn.weight"] + theirs["transformer.h.0.attn.c_attn.bias"]
    q, k, v = (part.view(1, 4, 2, e // 2).transpose(1, 2) for part in qkv.split(e, 2))
    y = fb.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, 4, e)
    expected = y @ theirs["transformer.h.0.attn.c_proj.weight"] + theirs["transformer.h.0.attn.c_proj.bias"]
    fb.testing.assert_close(attention(x, x, x, need_weights=False)[0], expected)


def test_weight_norm_of_both_ages():
    old = {"conv.weight_g": fb.ones(4, 1), "conv.weight_v": fb.ones(4, 3), "conv.bias": fb.zeros(4)}
    model = fb.nn.Sequential()
    model.add_module("conv", fb.nn.utils.parametrizations.weight_norm(fb.nn.Linear(3, 4)))
    model.load_state_dict(convert(old, WEIGHT_NORM))
    assert list(convert(state("a.LayerNorm.gamma", "a.LayerNorm.beta"), GAMMA_BETA)) == ["a.LayerNorm.weight", "a.LayerNorm.bias"]
    assert list(convert(state("module.model.x"), WRAPPERS)) == ["x"]


def test_tables_have_names(monkeypatch):
    registry("converters").add("demo", "tests.core.hub.test_conversion:DEMO", "test-owner")
    try:
        assert list(convert(state("old"), "demo")) == ["new"]
    finally:
        registry("converters").remove_owner("test-owner")


DEMO = (Rename("old", "new"),)
