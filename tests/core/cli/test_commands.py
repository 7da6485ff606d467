"""`flambeau list`, `plugins`, `doctor`, `bench`, plugin commands, help, and starting up."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from flambeau.__about__ import __version__
from flambeau.base.errors import missing_extra
from flambeau.cli import bench, doctor
from flambeau.cli.bench import Measurement
from flambeau.cli.commands import COMMANDS
from flambeau.device import base as devices
from flambeau.plugins import Check
from tests.core.plugins.support import install


def run(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=60, **options)


def test_list_counts_kinds_and_shows_rows(flambeau):
    lines = flambeau("list").stdout.splitlines()
    rows = [line.split() for line in lines]
    assert rows[0] == ["kind", "count"]
    assert {tuple(row) for row in rows[1:]} >= {("recipes", "2"), ("commands", "12"), ("callbacks", "7")}
    lines = flambeau("list", "recipes").stdout.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["not-a-recipe", "hello-dist", "A", "number."],
        ["toy", "text", "hello-dist", "A", "toy."],
    ]
    rows = json.loads(flambeau("list", "recipes", "--domain", "text", "--json").stdout)
    assert rows == [
        {
            "kind": "recipes", "name": "toy", "owner": "hello", "source": "hello-dist", "domain": "text",
            "target": "cli_fake_plugin:toy", "full_name": "hello/toy", "meta": {"summary": "A toy."},
        }
    ]  # fmt: skip
    assert json.loads(flambeau("list", "--source", "nobody", "--json").stdout) == []


def test_list_points_to_what_is_not_installed(flambeau):
    result = flambeau("list", "agents")
    assert (result.exit_code, result.stdout) == (0, "")
    names = "a2c, c51, ddpg, dqn, ppo, sac, td3"
    assert " ".join(result.stderr.split()) == f"No agents are registered here. Not installed: {names} (pip install flambeau-rl)"


def test_list_of_an_unknown_kind(flambeau):
    result = flambeau("list", "recipe")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: registry: expected a kind of object, got 'recipe'. Did you mean 'recipes'?\n")


def test_names_with_brackets_are_shown_as_they_are(flambeau, site):
    install(
        site, "odd",
        """
        from flambeau.plugins import hookimpl
        @hookimpl
        def flambeau_register(registry):
            registry.model("net", "a:b", summary="[red]not red[/red] [/]")
        """,
    )  # fmt: skip
    assert "[red]not red[/red] [/]" in flambeau("list", "models").stdout


def test_plugins_shows_the_broken_too(flambeau, site):
    install(site, "broken", "1 / 0")
    result = flambeau("plugins")
    assert result.exit_code == 0
    assert result.stderr == "Warning: plugin 'broken' (broken-dist 1.0) is set aside: ZeroDivisionError: division by zero\n"
    rows = {line.split()[0]: line for line in result.stdout.splitlines()[1:]}
    assert "ZeroDivisionError" in rows["broken"]
    assert rows["hello"].split()[1:5] == ["hello-dist", "1.2", "1", "loaded"]
    assert rows["hello"].rstrip().endswith("2 recipes, 3 commands, hook doctor")
    answer = {row["id"]: row for row in json.loads(flambeau("plugins", "--json").stdout)}
    assert answer["flambeau"]["first_party"]
    assert answer["broken"]["state"] == "broken"


def test_a_plugin_command_runs_and_is_in_the_help(flambeau):
    assert flambeau("hello").stdout == "hello from the plugin\n"
    text = flambeau("--help").stdout
    assert "Say hello. [hello-dist]" in text
    assert all(summary in text for _, summary in COMMANDS.values())


def test_commands_that_plugins_got_wrong(flambeau):
    result = flambeau("not-a-command")
    assert (result.exit_code, result.stderr) == (1, "Error: command 'not-a-command': expected a click command, got a int.\n")
    result = flambeau("absent")
    assert result.exit_code == 1
    assert "commands 'hello/absent': expected no_such_module_here:command to be importable" in result.stderr
    assert "pip install --upgrade hello-dist" in result.stderr


def test_an_unknown_command_gets_a_suggestion(flambeau):
    result = flambeau("docter")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: flambeau docter: expected a command, got 'docter'. Did you mean 'doctor'?\n")


def test_a_wrong_environment_variable_is_a_message(flambeau, monkeypatch):
    monkeypatch.setenv("FLAMBEAU_DEBUG", "maybe")
    result = flambeau("list", "models")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: environment variable FLAMBEAU_DEBUG: expected 1 or 0, got 'maybe'.")


def test_doctor(flambeau, monkeypatch, tmp_path):
    monkeypatch.setenv("FLAMBEAU_OFLINE", "1")
    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path))
    report = json.loads(flambeau("doctor", "--json").stdout)
    assert report.pop("ok") is True
    checks = {section: {row["name"]: row for row in rows} for section, rows in report.items()}
    assert checks["system"]["python"]["status"] == "ok"
    assert checks["numpy"]["numpy"]["value"].startswith("2.")
    assert checks["devices"]["cpu"] == {"name": "cpu", "value": "usable", "status": "ok", "hint": ""}
    assert checks["plugins"]["hello: heart"] == {"name": "hello: heart", "value": "beats", "status": "warn", "hint": "rest"}
    assert checks["settings"]["FLAMBEAU_OFLINE"]["hint"].startswith("did you mean 'FLAMBEAU_OFFLINE'")
    assert checks["settings"]["cache"]["value"] == str(tmp_path)
    text = flambeau("doctor").stdout
    assert "warn hello: heart" in text


def test_doctor_survives_and_reports_failures(flambeau, monkeypatch, site):
    install(
        site, "ill",
        """
        from flambeau.plugins import hookimpl
        @hookimpl
        def flambeau_doctor():
            raise RuntimeError("ill")
        """,
    )  # fmt: skip
    monkeypatch.setitem(doctor.SECTIONS, "numpy", lambda: 1 / 0)
    result = flambeau("doctor", "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["ok"]) == (1, False)
    assert report["numpy"] == [{"name": "numpy", "value": "ZeroDivisionError: division by zero", "status": "fail", "hint": "report this"}]
    assert {
        "name": "ill: doctor",
        "value": "RuntimeError: ill",
        "status": "warn",
        "hint": "report it to the authors of ill-dist",
    } in report["plugins"]


def test_doctor_says_what_a_device_lacks(monkeypatch):
    def absent():
        raise missing_extra("device 'odd'", "oddpy", "flambeau-odd")

    def failing():
        raise OSError("no driver")

    for name, load in [("odd", absent), ("ill", failing)]:
        monkeypatch.setitem(devices._loaders, name, load)
    rows = {check.name: check for check in doctor.device_checks()}
    hint = "device 'odd': expected the package 'oddpy', got an environment without it. Try: pip install \"flambeau-odd\"."
    assert rows["odd"] == Check("odd", "not usable", "ok", hint)
    assert rows["ill"] == Check("ill", "OSError: no driver", "warn", "check the driver")


def test_doctor_compares_versions_and_lists_extras(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path))
    extras = """\
Provides-Extra: plot
Requires-Dist: rich; extra == 'plot'
Provides-Extra: hub
Requires-Dist: absent_dist[x]>=1; extra == "hub"
"""
    for name, version, rest in [("flambeau", "1.0", extras), ("flambeau-rl", "0.9", "")]:
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{rest}")
    packages = {check.name: check for check in doctor.package_checks()}
    assert packages["flambeau"] == Check("flambeau", "1.0")
    assert packages["flambeau-rl"] == Check("flambeau-rl", "0.9", "warn", "pip install flambeau-rl==1.0, the version of flambeau")
    assert [check for check in doctor.extra_checks() if check.name.startswith("flambeau[")] == [
        Check("flambeau[plot]", "learning curves as pictures: installed"),
        Check("flambeau[hub]", "downloads from the Hugging Face hub: not installed", "ok", 'pip install "flambeau[hub]"'),
    ]


def test_bench_prints_what_was_measured(flambeau, monkeypatch):
    monkeypatch.setattr(bench, "MEASUREMENTS", (lambda: Measurement("add", 1.25, "us", 0.5), lambda: Measurement("import", 80.0, "ms")))
    assert json.loads(flambeau("bench", "--json").stdout) == {
        "add": {"value": 1.25, "unit": "us", "numpy": 0.5},
        "import": {"value": 80.0, "unit": "ms", "numpy": None},
    }
    assert "1.25 us" in flambeau("bench").stdout


def test_bench_measures_what_it_says(monkeypatch):
    monkeypatch.setattr(bench, "CHAIN", 3)
    monkeypatch.setattr(bench, "MATRIX", 8)
    rows = [measure() for measure in (bench.measure_add, bench.measure_backward, bench.measure_matmul)]
    assert [(row.name, row.unit) for row in rows] == [("add of 4 numbers", "us"), ("add with gradient", "us"), ("matmul 8", "GF/s")]
    assert all(row.value > 0 for row in rows)
    assert 0 < bench.import_seconds("colorsys", repeats=1) < 60


def test_python_m_flambeau():
    assert run("-m", "flambeau", "--version").stdout == f"flambeau, version {__version__}\n"
    result = run("-m", "flambeau", "no-such-command")
    assert (result.returncode, result.stdout) == (2, "")


def test_the_core_commands_start_without_plugins_or_each_other():
    code = """
import sys
from flambeau.cli.main import cli
try:
    cli(["fit", "--help"])
except SystemExit:
    pass
loaded = {"pluggy", "flambeau.cli.doctor", "flambeau.cli.bench", "flambeau.plugins.manager"} & set(sys.modules)
assert not loaded, loaded
"""
    result = run("-c", code)
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_a_reader_that_stops_reading_is_no_error(extra):
    process = subprocess.Popen(
        [sys.executable, "-m", "flambeau", "list", "commands", *extra], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert errors == b""


def test_cache_shows_and_removes(flambeau, monkeypatch, tmp_path):
    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path))
    for name in ("kernels/ab/abc.o", "files/12/weights.bin"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x" * 2**20)
    rows = {row["name"]: row for row in json.loads(flambeau("cache", "show", "--json").stdout)}
    assert {name: (row["files"], row["bytes"]) for name, row in rows.items()} == {"compiled": (1, 2**20), "downloads": (1, 2**20)}
    assert "1.0" in flambeau("cache", "show").stdout
    nothing = flambeau("cache", "clear")
    assert nothing.exit_code == 2
    assert "--compiled or --downloads" in nothing.stderr
    assert flambeau("cache", "clear", "--compiled").stdout == "compiled: 1 files removed\n"
    assert not (tmp_path / "kernels").exists()
    assert json.loads(flambeau("cache", "clear", "--compiled", "--downloads", "--json").stdout) == {"compiled": 0, "downloads": 1}
    assert not (tmp_path / "files").exists()


@pytest.mark.parametrize("installed", [False, True])
def test_doctor_warns_once_where_nothing_compiles(monkeypatch, installed):
    monkeypatch.setattr("flambeau.codegen.llvm.available", lambda: False)
    monkeypatch.setattr(doctor, "_version", lambda name: "0.50.0" if installed and name == "llvmlite" else None)
    (check,) = doctor.compiler_checks()
    assert check.status == "warn"
    assert "NumPy runs everything" in check.value
    assert ("flambeau[compile]" in check.hint) is not installed
    assert [c.name for checks in (doctor.extra_checks(), doctor.compiler_checks()) for c in checks if c.status == "warn"] == ["compiler"]
