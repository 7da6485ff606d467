"""Plugins: laziness, switches, failures that stay where they happen, and versions."""

from __future__ import annotations

import sys
import warnings

import pytest

from flambeau.base import config, hooks, registry
from flambeau.base.errors import NameNotFound, PluginError
from flambeau.base.registry import KINDS, Registry
from flambeau.plugins import Check, PluginManager, PluginWarning, Register
from tests.core.plugins.support import install, see_only

GOOD = """
    from flambeau.plugins import hookimpl

    @hookimpl
    def flambeau_register(registry):
        registry.model("tiny", "collections:OrderedDict", summary="Very small.")
        registry.recipe("quick", "collections:Counter", domain="audio")
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty folder on `sys.path`, empty registries, and no settings from outside."""
    for name in config.environment():
        monkeypatch.delenv(name)
    monkeypatch.syspath_prepend(str(tmp_path))
    see_only(monkeypatch, tmp_path)
    monkeypatch.setattr(registry, "_REGISTRIES", {kind: Registry(kind) for kind in KINDS})
    before = hooks.install(None)
    yield tmp_path
    hooks.install(before)


def states(manager):
    return {plugin.id: plugin.state for plugin in manager.plugins()}


def test_looking_for_plugins_imports_none_and_a_miss_imports_all(site):
    module = install(site, "hello", GOOD)
    manager = PluginManager()
    hooks.install(manager)
    assert module not in sys.modules
    registry.registry("commands").add("own", "a:b", "flambeau", source="flambeau")
    registry.registry("commands").entry("own")
    assert module not in sys.modules
    assert registry.registry("models").get("tiny").__name__ == "OrderedDict"
    assert module in sys.modules
    (plugin,) = [plugin for plugin in manager.plugins() if plugin.id == "hello"]
    assert (plugin.source, plugin.version, plugin.state, plugin.api) == ("hello-dist", "1.0", "loaded", 1)
    assert plugin.registered == {"models": 1, "recipes": 1}
    assert plugin.hooks == ("flambeau_register",)
    assert plugin.milliseconds > 0
    row = registry.registry("recipes").entry("quick")
    assert (row.full_name, row.source, row.domain) == ("hello/quick", "hello-dist", "audio")


def test_the_core_registers_its_commands_through_the_same_hook(site):
    manager = PluginManager()
    manager.load()
    assert states(manager)["flambeau"] == "loaded"
    assert "flambeau/fit" in registry.registry("commands")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {"one": "loaded", "two": "loaded", "vision": "loaded"}),
        ({"FLAMBEAU_PLUGINS": "one"}, {"one": "loaded", "two": "disabled", "vision": "loaded"}),
        ({"FLAMBEAU_PLUGINS": "two-dist"}, {"one": "disabled", "two": "loaded", "vision": "loaded"}),
        ({"FLAMBEAU_PLUGIN_AUTOLOAD": "0"}, {"one": "disabled", "two": "disabled", "vision": "loaded"}),
        ({"FLAMBEAU_PLUGIN_AUTOLOAD": "0", "FLAMBEAU_PLUGINS": "one"}, {"one": "loaded", "two": "disabled", "vision": "loaded"}),
        ({"FLAMBEAU_DISABLE_PLUGINS": "one,vision"}, {"one": "disabled", "two": "loaded", "vision": "disabled"}),
        ({"FLAMBEAU_DISABLE_PLUGINS": "one", "FLAMBEAU_PLUGINS": "one"}, {"one": "disabled", "two": "disabled", "vision": "loaded"}),
    ],
)
def test_switches_decide_before_anything_is_imported(site, monkeypatch, variables, expected):
    modules = {name: install(site, name, GOOD) for name in ("one", "two")}
    modules["vision"] = install(site, "vision", GOOD, distribution="flambeau-vision")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = states(PluginManager())
    assert {name: found[name] for name in expected} == expected
    assert {name: module in sys.modules for name, module in modules.items()} == {n: s == "loaded" for n, s in expected.items()}


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import no_such_module_here", "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("def (", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("FLAMBEAU_API = 2", "plugin 'bad': expected FLAMBEAU_API = 1, got 2. Try: pip install --upgrade flambeau."),
        ("FLAMBEAU_API = 0", "plugin 'bad': expected FLAMBEAU_API = 1, got 0. Try: pip install --upgrade bad-dist."),
        ("FLAMBEAU_API = 'x'", "plugin 'bad': expected FLAMBEAU_API = 1, got 'x'. Try: pip install --upgrade bad-dist."),
        (GOOD + "        raise KeyError('late')\n", "KeyError: 'late'"),
        (GOOD + "        registry.model('tiny', 'a:b')\n", "register models bad/tiny: expected a name that is free"),
        (GOOD + "        registry.add('modles', 'x', 'a:b')\n", "Did you mean 'models'?"),
        (GOOD + "        registry.model('x', print)\n", "expected a target like 'package.module:attr'"),
        (GOOD.replace("(registry)", "(registry, other)"), "Argument(s) {'other'} are declared in the hookimpl"),
    ],
)
def test_a_broken_plugin_is_set_aside_and_leaves_nothing_behind(site, source, error):
    install(site, "bad", source)
    install(site, "good", GOOD)
    manager = PluginManager()
    with pytest.warns(PluginWarning, match=r"plugin 'bad' \(bad-dist 1\.0\) is set aside: ") as caught:
        assert (states(manager)["bad"], states(manager)["good"]) == ("broken", "loaded")
    assert len(caught) == 1
    (bad,) = [plugin for plugin in manager.plugins() if plugin.id == "bad"]
    assert error in bad.error
    assert {row.owner for row in registry.query()} == {"flambeau", "good"}
    facade = Register("again")
    manager.call("flambeau_register", registry=facade)  # only the hooks of those that were loaded
    assert [name for _, name, _, _ in facade.rows if name in ("tiny", "quick")] == ["tiny", "quick"]


def test_a_warning_made_an_error_still_leaves_the_others_loaded(site):
    install(site, "bad", "1 / 0")
    install(site, "good", GOOD)
    manager = PluginManager()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PluginWarning):
            manager.load()
    assert states(manager)["good"] == "loaded"


def test_two_plugins_of_one_name_are_refused_with_both_named(site):
    install(site, "same", GOOD, distribution="a-dist")
    install(site, "same", GOOD, distribution="b-dist")
    manager = PluginManager()
    with pytest.warns(PluginWarning, match="one in b-dist .* and one in a-dist .* Try: uninstall one of them"):
        manager.load()
    assert [plugin.state for plugin in manager.plugins() if plugin.id == "same"] == ["loaded", "broken"]
    assert registry.registry("models").entry("tiny").source == "a-dist"


def test_an_official_plugin_cannot_be_displaced(site):
    install(site, "vision", GOOD, distribution="a-dist")
    install(site, "vision", GOOD, distribution="flambeau-vision")
    manager = PluginManager()
    with pytest.warns(PluginWarning, match="a-dist"):
        manager.load()
    assert registry.registry("models").entry("tiny").source == "flambeau-vision"
    assert registry.registry("models").entry("tiny").domain == "vision"


def test_one_name_in_two_plugins(site):
    install(site, "one", GOOD)
    install(site, "two", GOOD)
    hooks.install(PluginManager())
    with pytest.raises(NameNotFound, match=r"got one/tiny \(from one-dist\) and two/tiny \(from two-dist\)"):
        registry.registry("models").get("tiny")
    assert registry.registry("models").get("two/tiny").__name__ == "OrderedDict"


def test_unknown_and_unmarked_hooks_are_warned_about(site):
    install(
        site,
        "odd",
        """
        from flambeau.plugins import hookimpl

        @hookimpl
        def flambeau_register_all(registry): pass

        def flambeau_doctor(): pass
        """,
    )
    manager = PluginManager()
    with pytest.warns(PluginWarning) as caught:
        manager.load()
    assert sorted(str(warning.message) for warning in caught) == [
        "plugin 'odd' (odd-dist 1.0) has a function 'flambeau_doctor' without @hookimpl, which is ignored",
        "plugin 'odd' (odd-dist 1.0) implements the unknown hook 'flambeau_register_all', which is ignored; this flambeau knows "
        "['flambeau_register', 'flambeau_doctor', 'flambeau_fetch']",
    ]
    assert states(manager)["odd"] == "loaded"


def test_hooks_are_called_together_or_one_by_one(site):
    install(
        site, "a",
        """
        from flambeau.plugins import hookimpl

        @hookimpl
        def flambeau_fetch(url, path):
            if url.startswith("a:"):
                path.write_text(url)
                return True

        @hookimpl
        def flambeau_doctor():
            raise RuntimeError("ill")
        """,
    )  # fmt: skip
    install(
        site, "b",
        """
        from flambeau.plugins import Check, hookimpl

        @hookimpl
        def flambeau_doctor():
            return [Check("heart", "beats")]
        """,
    )  # fmt: skip
    manager = PluginManager()
    assert manager.call("flambeau_fetch", url="b:x", path=site / "x", sha256="") is None
    assert manager.call("flambeau_fetch", url="a:x", path=site / "x", sha256="") is True
    assert (site / "x").read_text() == "a:x"
    (a, error), (b, checks) = manager.call_each("flambeau_doctor")
    assert (a.id, b.id) == ("a", "b")
    assert isinstance(error, RuntimeError)
    assert checks == [Check("heart", "beats", "ok", "")]


def test_a_plugin_may_ask_for_names_while_it_is_loaded(site):
    install(
        site, "asks",
        """
        from flambeau.base.registry import registry as names
        from flambeau.plugins import hookimpl

        @hookimpl
        def flambeau_register(registry):
            registry.model("one", "a:b") if "absent" not in names("models") else None
        """,
    )  # fmt: skip
    hooks.install(PluginManager())
    assert registry.registry("models").names() == ["one"]


def test_tracing_shows_loads_and_calls(site, monkeypatch, capsys):
    install(site, "hello", GOOD)
    monkeypatch.setenv("FLAMBEAU_TRACE_PLUGINS", "1")
    manager = PluginManager()
    manager.call("flambeau_doctor")
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("flambeau plugins: loaded 'hello' (hello-dist 1.0) in ") for line in lines)
    assert "flambeau plugins: flambeau_doctor() -> nobody" in lines


def test_every_kind_has_a_method():
    facade = Register("demo")
    singular = {"models": "model", "losses": "loss", "weights": "weights"}
    for kind in KINDS:
        getattr(facade, singular.get(kind, kind.removesuffix("s")))("x", "a:b", note=1)
    assert [row[0] for row in facade.rows] == list(KINDS)


def test_a_refused_name_keeps_names_of_other_owners(site):
    registry.registry("models").add("mine", "a:b", "session")
    facade = Register("demo")
    facade.model("fine", "a:b")
    facade.agent("bad name", "a:b")
    with pytest.raises(PluginError):
        facade.commit()
    assert [row.full_name for row in registry.query()] == ["session/mine"]
