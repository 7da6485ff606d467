"""Settings: defaults, environment, scoped overrides, and what a wrong value says."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from flambeau.base import config
from flambeau.base.errors import ArgumentError


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in config.environment():
        monkeypatch.delenv(name)


def test_defaults():
    assert config.settings() == config.Settings()
    assert config.settings().plugin_autoload


@pytest.mark.parametrize(("text", "value"), [("1", True), ("TRUE", True), ("on", True), ("0", False), ("", False), ("no", False)])
def test_flags_from_the_environment(monkeypatch, text, value):
    monkeypatch.setenv("FLAMBEAU_OFFLINE", text)
    assert config.settings().offline is value


def test_lists_and_paths_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FLAMBEAU_DISABLE_PLUGINS", "a, b,,")
    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path))
    assert config.settings().disable_plugins == ("a", "b")
    assert config.settings().cache_home == tmp_path


def test_the_cache_follows_xdg_then_the_home_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert config.settings().cache_home == tmp_path / "flambeau"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "me")
    monkeypatch.setattr("sys.platform", "linux")
    assert config.settings().cache_home == tmp_path / "me" / ".cache" / "flambeau"


def test_a_wrong_value_names_the_variable(monkeypatch):
    monkeypatch.setenv("FLAMBEAU_OFFLINE", "maybe")
    with pytest.raises(ArgumentError) as caught:
        config.settings()
    assert str(caught.value) == (
        "environment variable FLAMBEAU_OFFLINE: expected 1 or 0, got 'maybe'. Try: export FLAMBEAU_OFFLINE=1, or unset it."
    )


def test_overrides_nest_and_end():
    with config.override(offline=True), config.override(debug=True) as inner:
        assert inner.offline
        assert inner.debug
    assert not config.settings().offline


def test_an_override_is_local_to_its_thread_and_task():
    seen = []
    with config.override(offline=True):
        thread = threading.Thread(target=lambda: seen.append(config.settings().offline))
        thread.start()
        thread.join()

    async def task(value):
        with config.override(offline=value):
            await asyncio.sleep(0)
            return config.settings().offline

    async def both():
        return await asyncio.gather(task(True), task(False))

    assert seen == [False]
    assert asyncio.run(both()) == [True, False]


def test_an_unknown_setting_suggests_the_right_one():
    with pytest.raises(ArgumentError, match="Did you mean 'offline'"), config.override(ofline=True):
        pass


def test_every_setting_is_documented():
    assert all(text for text in config.variables().values())
