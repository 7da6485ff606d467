"""Trees: round trips against a brute-force reference, order, None, and mismatches."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.base import tree
from flambeau.base.errors import ArgumentError

Point = namedtuple("Point", "x y")
keys = st.one_of(st.integers(-3, 3), st.text(max_size=2))


def containers(children):
    return st.one_of(
        st.lists(children, max_size=3),
        st.lists(children, max_size=3).map(tuple),
        st.dictionaries(keys, children, max_size=3),
        st.dictionaries(keys, children, max_size=3).map(OrderedDict),
        st.dictionaries(keys, children, max_size=3).map(lambda d: defaultdict(list, d)),
        st.tuples(children, children).map(lambda pair: Point(*pair)),
    )


trees = st.recursive(st.one_of(st.integers(), st.none(), st.text(max_size=2)), containers, max_leaves=12)


def reference_leaves(value, none_is_leaf):
    if isinstance(value, dict):
        return [leaf for child in value.values() for leaf in reference_leaves(child, none_is_leaf)]
    if isinstance(value, (list, tuple)):
        return [leaf for child in value for leaf in reference_leaves(child, none_is_leaf)]
    return [value] if none_is_leaf or value is not None else []


def same(a, b):
    """Equal, with the same container types and the same order of keys all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@given(trees, st.booleans())
def test_flatten_gives_the_leaves_and_unflatten_the_tree(value, none_is_leaf):
    flat, spec = tree.flatten(value, none_is_leaf=none_is_leaf)
    assert flat == reference_leaves(value, none_is_leaf) == tree.leaves(value, none_is_leaf=none_is_leaf)
    assert spec.num_leaves == len(flat) == len(tree.paths(spec))
    assert same(tree.unflatten(spec, iter(flat)), value)
    assert hash(spec) == hash(tree.flatten(value, none_is_leaf=none_is_leaf)[1])


@given(trees)
def test_map_keeps_the_shape(value):
    mapped = tree.map(lambda leaf: (leaf,), value, is_leaf=lambda node: False)
    assert tree.map(lambda leaf: leaf[0], mapped, is_leaf=lambda node: type(node) is tuple and len(node) == 1) is not None or value is None
    assert [leaf[0] for leaf in tree.flatten_up_to(tree.flatten(value)[1], mapped)] == tree.leaves(value)


def test_map_over_several_trees_matches_keys_not_order():
    assert tree.map(lambda a, b: a * b, {"a": 2, "b": [3]}, {"b": [5], "a": 7}) == {"a": 14, "b": [15]}


def test_what_lies_below_a_leaf_is_handed_over_whole():
    assert tree.map(lambda a, b: (a, b), [1, 2], [{"x": 1}, [3]]) == [(1, {"x": 1}), (2, [3])]


def test_defaultdict_keeps_its_factory():
    value = tree.map(lambda leaf: leaf + 1, defaultdict(list, a=1))
    assert value["missing"] == []
    assert value["a"] == 2


def test_subclasses_that_are_not_named_tuples_are_leaves():
    class Size(tuple):
        __slots__ = ()

    size = Size((2, 3))
    assert tree.leaves([size]) == [size]


def test_specs_differ_when_the_order_of_keys_does():
    assert tree.flatten({"a": 1, "b": 2})[1] != tree.flatten({"b": 1, "a": 2})[1]
    assert tree.flatten([1])[1] != tree.flatten((1,))[1]


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ([1, [2]], [1, (2,)], "tree.map: expected a list at tree[1], got a tuple."),
        ({"a": [1, 2]}, {"a": [1]}, "tree.map: expected 2 items at tree['a'], got 1 items."),
        ({"a": 1}, {"b": 1}, "tree.map: expected keys ['a'] at tree, got keys ['b']."),
        ({"a": None}, {"a": 1}, "tree.map: expected a NoneType at tree['a'], got a int."),
    ],
)
def test_a_mismatch_says_where(left, right, message):
    with pytest.raises(ArgumentError) as caught:
        tree.map(lambda a, b: a, left, right, none_is_leaf=False)
    assert str(caught.value) == message


def test_wrong_number_of_leaves():
    with pytest.raises(ArgumentError, match=r"expected 2 leaves, got 3\."):
        tree.unflatten(tree.flatten([1, 2])[1], [1, 2, 3])
