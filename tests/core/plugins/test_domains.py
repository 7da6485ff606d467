"""The official domain packages are ordinary plugins, and core's table of what they bring is true."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module

import pytest

from flambeau.base.known import PROVIDERS, known_names, provider
from flambeau.plugins import Register

PACKAGES = ("vision", "audio", "text", "rl")


def registered(package):
    facade = Register(package)
    register = getattr(import_module(f"flambeau_{package}.registry"), "flambeau_register", None)
    if register is not None:
        register(registry=facade)
    return facade.rows


@pytest.mark.parametrize("package", PACKAGES)
def test_the_table_of_providers_is_what_the_package_registers(package):
    names = {}
    for kind, name, _, _ in registered(package):
        names.setdefault(kind, []).append(name)
    assert {kind: tuple(sorted(found)) for kind, found in names.items()} == PROVIDERS[f"flambeau-{package}"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_target_lies_in_the_package_and_has_a_summary(package):
    for _, _, target, meta in registered(package):
        assert target.startswith(f"flambeau_{package}.")
        assert meta["summary"].endswith(".")


@pytest.mark.parametrize("package", PACKAGES)
def test_registration_imports_nothing_heavy(package):
    code = f"""
import sys
import flambeau_{package}.registry
heavy = {{"gymnasium", "PIL", "soundfile", "matplotlib", "cupy", "click", "rich"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


def test_providers():
    assert provider("recipes", "digits") == "flambeau-vision"
    assert provider("models", "text/anything") == "flambeau-text"
    assert provider("models", "other/anything") == provider("models", "unknown") == ""
    assert "ppo" in known_names("agents")
