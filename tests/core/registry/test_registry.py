"""Names: lazy import, bare and full names, duplicates, ambiguity, and what a miss says."""

from __future__ import annotations

import sys

import pytest

from flambeau.base import hooks, registry
from flambeau.base.errors import NameNotFound, PluginError
from flambeau.base.registry import Registry


@pytest.fixture(autouse=True)
def no_host():
    before = hooks.install(None)
    yield
    hooks.install(before)


@pytest.fixture
def models():
    return Registry("models")


def test_registering_imports_nothing_and_getting_does(models, monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    models.add("hls", "colorsys:rgb_to_hls", "demo")
    assert "colorsys" not in sys.modules
    assert models.get("hls") is models.get("demo/hls") is sys.modules["colorsys"].rgb_to_hls


def test_targets_may_be_nested_attributes(models):
    models.add("keys", "collections:OrderedDict.fromkeys", "demo")
    assert models.get("keys")("ab") == {"a": None, "b": None}


def test_a_duplicate_is_refused_with_both_owners_named(models):
    models.add("net", "a:Net", "demo", source="demo-dist")
    with pytest.raises(PluginError) as caught:
        models.add("net", "b:Net", "demo", source="other-dist")
    assert str(caught.value) == (
        "register models demo/net: expected a name that is free, got one registered by other-dist (b:Net), "
        "the other by demo-dist (a:Net). Try: rename one of them."
    )
    assert models.entry("net").target == "a:Net"
    models.add("net", "b:Net", "demo", exist_ok=True)
    assert models.entry("net").target == "b:Net"


def test_a_bare_name_of_two_plugins_is_ambiguous(models):
    models.add("net", "a:Net", "one", source="dist-one")
    models.add("net", "b:Net", "two", source="dist-two")
    with pytest.raises(NameNotFound) as caught:
        models.entry("net")
    assert str(caught.value) == (
        "models 'net': expected a name that one plugin has, got one/net (from dist-one) and two/net (from dist-two). Try: 'one/net'."
    )
    assert models.entry("two/net").target == "b:Net"
    assert models.names() == ["one/net", "two/net"]


def test_an_official_package_wins_a_bare_name(models):
    models.add("net", "a:Net", "one", source="dist-one")
    models.add("net", "b:Net", "vision", source="flambeau-vision")
    assert models.entry("net").owner == "vision"
    assert models.entry("one/net").owner == "one"
    assert models.names() == ["one/net", "net"]


@pytest.mark.parametrize("target", ["os", "os:", ":x", "os:path x", "os;path", "../evil:x", "a b:c", lambda: 1])
def test_a_target_that_is_no_place_is_refused(models, target):
    with pytest.raises(PluginError, match="expected a target like 'package.module:attr'"):
        models.add("net", target, "demo")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "-x", "\N{GREEK SMALL LETTER ALPHA}"])
def test_odd_names_are_refused(models, name):
    with pytest.raises(PluginError, match="expected a name of letters"):
        models.add(name, "a:b", "demo")


@pytest.mark.parametrize("target", ["no_such_module_here:x", "collections:NoSuchThing"])
def test_an_object_that_cannot_be_imported_names_its_owner(models, target):
    models.add("net", target, "demo", source="demo-dist")
    with pytest.raises(PluginError, match=r"models 'demo/net': expected .* to be importable, got .*pip install --upgrade demo-dist"):
        models.get("net")


def test_a_miss_suggests(models):
    models.add("glyphreader", "a:b", "demo")
    with pytest.raises(NameNotFound) as caught:
        models.get("glyphreade")
    assert str(caught.value) == (
        "models 'glyphreade': expected a registered name, got one that no installed package has. Did you mean 'glyphreader'?"
    )


def test_a_miss_of_an_official_name_says_what_to_install():
    with pytest.raises(NameNotFound) as caught:
        Registry("recipes").get("cartpole")
    assert str(caught.value) == (
        "recipes 'cartpole': expected the package flambeau-rl, got an environment without it. Try: pip install flambeau-rl."
    )
    with pytest.raises(NameNotFound, match=r"Did you mean 'cartpole'\? \(pip install flambeau-rl\)"):
        Registry("recipes").get("cartpol")
    with pytest.raises(NameNotFound, match="pip install flambeau-audio"):
        Registry("recipes").get("audio/anything")


def test_a_miss_loads_the_plugins_and_a_hit_of_an_official_name_does_not(models):
    loads = []

    class Host:
        def load(self):
            loads.append(1)
            if len(loads) == 1:
                models.add("late", "os:getcwd", "demo")

        def call(self, hook, /, **arguments):
            return (hook, arguments)

    models.add("early", "os:getcwd", "vision", source="flambeau-vision")
    hooks.install(Host())
    assert models.entry("early").owner == "vision"
    assert loads == []
    assert models.entry("late").owner == "demo"
    assert "late" in models
    assert hooks.call_hook("x", a=1) == ("x", {"a": 1})


def test_kinds(monkeypatch):
    assert registry.registry("models") is registry.registry("models")
    with pytest.raises(NameNotFound, match="Did you mean 'models'"):
        registry.registry("model")


def test_query_filters(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRIES", {kind: Registry(kind) for kind in registry.KINDS})
    registry.registry("models").add("b", "m:b", "vision", source="flambeau-vision", domain="vision", meta={"summary": "B"})
    registry.registry("models").add("a", "m:a", "extra", source="extra-dist", domain="audio")
    registry.registry("agents").add("c", "m:c", "extra", source="extra-dist")
    assert [row.full_name for row in registry.query()] == ["extra/a", "vision/b", "extra/c"]
    assert [row.name for row in registry.query("models", domain="vision")] == ["b"]
    assert [row.name for row in registry.query(source="extra-dist")] == ["a", "c"] == [row.name for row in registry.query(source="extra")]
    assert registry.get.__doc__
    registry.registry("models").remove_owner("extra")
    assert registry.registry("models").names() == ["b"]
