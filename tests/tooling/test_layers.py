"""The layer checker finds each kind of forbidden import in a small bad tree, and accepts a good one."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.cycles import cycles
from tools.layers import Rules, check

RULES = """
[layers]
base = 0
device = 1
ops = 4
"ops.fancy" = 5
nn = 7
__init__ = 10

[only]
cupy = ["device.cuda"]

[never]
names = ["torch"]

[packages.flambeau]
source = "core"
requires = ["numpy"]
optional = ["cupy", "matplotlib"]

[packages.flambeau_rl]
source = "rl"
requires = ["numpy"]
optional = []

[packages.flambeau_vision]
source = "vision"
requires = ["numpy"]
optional = []
"""

GOOD = {
    "core/__init__.py": "from flambeau.nn import linear\nfrom flambeau.base.errors import Error",
    "core/base/__init__.py": "",
    "core/base/errors.py": "import sys\nclass Error(Exception): pass",
    "core/device/__init__.py": "",
    "core/device/cuda.py": "def xp():\n    import cupy\n    return cupy",
    "core/ops/__init__.py": "",
    "core/ops/loss.py": "import numpy as np\nfrom ..base import errors",
    "core/ops/fancy.py": "from flambeau.ops import loss",
    "core/nn/__init__.py": "from flambeau.nn.linear import Linear",
    "core/nn/linear.py": "from flambeau.ops.loss import np\nfrom . import module\nclass Linear: pass",
    "core/nn/module.py": "",
    "rl/__init__.py": "import flambeau\nfrom flambeau.nn import linear\nfrom flambeau_rl import agent",
    "rl/agent.py": "",
    "vision/__init__.py": "",
}

Checker = Callable[..., list[str]]


@pytest.fixture
def problems(tmp_path: Path) -> Checker:
    def run(files: dict[str, str] | None = None, rules: str = "") -> list[str]:
        for name, text in {**GOOD, **(files or {})}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(textwrap.dedent(text))
        (tmp_path / "layers.toml").write_text(RULES + rules)
        return [line.replace(f"{tmp_path}/", "") for line in check(Rules.read(tmp_path / "layers.toml", tmp_path))]

    return run


def test_a_good_tree_is_in_order(problems: Checker) -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"core/base/errors.py": "import flambeau.nn.module"}, "core/base/errors.py:1: layer 0 (flambeau.base.errors) imports layer 7 (flambeau.nn.module)"),
        ({"core/base/errors.py": "from flambeau.nn import module"}, "core/base/errors.py:1: layer 0 (flambeau.base.errors) imports layer 7"),
        ({"core/base/errors.py": "from ..nn.module import x"}, "core/base/errors.py:1: layer 0 (flambeau.base.errors) imports layer 7"),
        ({"core/base/errors.py": "\nimport flambeau"}, "core/base/errors.py:2: layer 0 (flambeau.base.errors) imports layer 10 (flambeau)"),
        ({"core/base/errors.py": "try:\n    import flambeau.nn.module\nexcept ImportError: pass"}, "core/base/errors.py:2: layer 0"),
        ({"core/base/errors.py": "class A:\n    from flambeau.nn import module"}, "core/base/errors.py:2: layer 0"),
        ({"core/ops/loss.py": "from flambeau.ops import fancy"}, "core/ops/loss.py:1: layer 4 (flambeau.ops.loss) imports layer 5 (flambeau.ops.fancy)"),
        ({"core/base/errors.py": "def f():\n    import flambeau.nn.module"}, "inside a function; list it under [[upward]]"),
        ({"core/base/errors.py": "f = lambda: __import__('flambeau.nn.module')"}, "inside a function; list it under [[upward]]"),
        ({"core/new/__init__.py": ""}, "core/new/__init__.py: flambeau.new has no layer in layers.toml"),
        ({"core/ops/loss.py": "def f():\n    import cupy"}, "core/ops/loss.py:2: cupy may be imported only by flambeau.device.cuda"),
        ({"core/ops/loss.py": "import importlib\nc = importlib.import_module('cupy.cuda')"}, "core/ops/loss.py:2: cupy may be imported only by"),
        ({"rl/agent.py": "def f():\n    import cupy"}, "rl/agent.py:2: cupy may be imported only by"),
        ({"core/device/cuda.py": "import cupy"}, "core/device/cuda.py:1: cupy is optional, so import it inside the function"),
        ({"core/ops/loss.py": "import requests"}, "core/ops/loss.py:1: requests is not listed for flambeau"),
        ({"rl/agent.py": "import matplotlib"}, "rl/agent.py:1: matplotlib is not listed for flambeau_rl"),
        ({"core/ops/loss.py": "def f():\n    from torch.nn import Module"}, "core/ops/loss.py:2: torch must not be imported by any package"),
        ({"core/ops/loss.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"}, "torch must not be imported by any package"),
        ({"core/ops/loss.py": "def f():\n    import flambeau_rl"}, "core/ops/loss.py:2: the core must not import the domain package flambeau_rl"),
        ({"rl/agent.py": "from flambeau import _engine"}, "rl/agent.py:1: flambeau._engine is private to the core"),
        ({"rl/agent.py": "from flambeau.nn._fast import x"}, "rl/agent.py:1: flambeau.nn._fast.x is private to the core"),
        ({"rl/agent.py": "from flambeau.nn import _fast"}, "rl/agent.py:1: flambeau.nn._fast is private to the core"),
        ({"rl/agent.py": "def f():\n    import flambeau_vision.transforms"}, "rl/agent.py:2: flambeau_rl must not import another domain package"),
        ({"rl/agent.py": "from flambeau import vision"}, "rl/agent.py:1: flambeau_rl must not import another domain package (flambeau.vision)"),
        ({"core/nn/module.py": "from flambeau.nn.linear import Linear"}, "import cycle when loading: flambeau.nn.linear -> flambeau.nn.module -> flambeau.nn.linear"),
        ({"core/nn/module.py": "from flambeau.nn import Linear"}, "import cycle when loading: flambeau.nn -> flambeau.nn.linear -> flambeau.nn"),
        ({"rl/agent.py": "import flambeau_rl.agent2", "rl/agent2.py": "import flambeau_rl.agent"}, "import cycle when loading: flambeau_rl.agent"),
    ],
)  # fmt: skip
def test_each_kind_of_bad_import_is_found(problems: Checker, files: dict[str, str], expected: str) -> None:
    found = problems(files)
    assert any(expected in line for line in found), found


@pytest.mark.parametrize(
    "files",
    [
        {
            "core/base/errors.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from flambeau.nn import module\n    import matplotlib"
        },
        {"core/ops/loss.py": "def f():\n    import matplotlib.pyplot"},
        {"core/nn/module.py": "def f():\n    from flambeau.nn.linear import Linear"},
        {"rl/agent.py": "from flambeau import __version__"},
    ],
)
def test_what_looks_similar_and_is_allowed(problems: Checker, files: dict[str, str]) -> None:
    assert problems(files) == []


def test_listed_exceptions_hold_only_inside_functions_and_only_while_needed(problems: Checker) -> None:
    entry = '\n[[upward]]\nfrom = "base"\nto = "nn"\nreason = "{}"\n'
    lazily = {"core/base/errors.py": "def f():\n    import flambeau.nn.module"}
    assert problems(lazily, entry.format("printing")) == []
    assert problems(lazily, entry.format("")) == ["layers.toml: the exception base -> nn gives no reason"]
    assert problems({"core/base/errors.py": ""}, entry.format("printing")) == [
        "layers.toml: the exception base -> nn is not needed any more"
    ]
    at_load = problems({"core/base/errors.py": "import flambeau.nn.module"}, entry.format("printing"))
    assert any("layer 0 (flambeau.base.errors) imports layer 7" in line for line in at_load), at_load


def test_a_cycle_through_another_package_s_init_is_found(problems: Checker) -> None:
    found = problems({"core/ops/__init__.py": "from flambeau.device import helper", "core/device/helper.py": "import flambeau.ops.loss"})
    assert any(line.startswith("import cycle when loading: flambeau.device.helper -> flambeau.ops -> ") for line in found), found


def test_an_absent_package_is_a_problem(problems: Checker, tmp_path: Path) -> None:
    assert problems(rules='\n[packages.flambeau_audio]\nsource = "audio"\nrequires = []\noptional = []\n') == [
        "audio: no Python file of the package flambeau_audio is there"
    ]


def test_cycles_reports_each_knot_once() -> None:
    graph = {"a": {"b"}, "b": {"c", "a"}, "c": {"a"}, "d": {"a", "d"}, "e": {"f"}, "f": set()}
    assert cycles(graph) == [["a", "b", "a"], ["d", "d"]]
    assert cycles({"a": {"b"}, "b": set()}) == []
