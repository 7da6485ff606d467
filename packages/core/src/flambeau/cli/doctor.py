"""`flambeau doctor`: what is installed, what works, what is missing and what would bring it."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any

import click

from flambeau.base import config
from flambeau.base.errors import FlambeauError, did_you_mean
from flambeau.base.known import FIRST_PARTY
from flambeau.cli.output import common_options, print_json, stdout
from flambeau.device.base import backend, device, device_types
from flambeau.plugins.manager import host
from flambeau.plugins.specs import Check

EXTRAS = {
    "cuda13": "NVIDIA GPUs with a CUDA 13 driver",
    "cuda12": "NVIDIA GPUs with a CUDA 12 driver",
    "compile": "flambeau.compile as machine code (without it programs are interpreted)",
    "onnx": "export to ONNX",
    "plot": "learning curves as pictures",
    "tensorboard": "TensorBoard logs",
    "hub": "downloads from the Hugging Face hub",
    "io": "FLAC, OGG and MP3 files",
    "render": "pictures of environments",
}


def system_checks() -> list[Check]:
    """Python, the processor and the memory."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    old = sys.version_info < (3, 11)
    version = f"{platform.python_implementation()} {platform.python_version()}"
    return [
        Check("python", version, "fail" if old else "ok", "Flambeau needs Python 3.11 or newer" if old else ""),
        Check("platform", f"{platform.system()} {platform.release()} {platform.machine()}"),
        Check("cores", f"{usable} usable of {os.cpu_count() or 1}"),
        Check("memory", _memory()),
    ]


def numpy_checks() -> list[Check]:
    """NumPy and the library that multiplies its matrices."""
    import numpy as np

    parts = np.show_config(mode="dicts")
    blas = parts.get("Build Dependencies", {}).get("blas", {}) if isinstance(parts, dict) else {}
    name = f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
    slow = Check("blas", name or "unknown", "warn", "a NumPy with OpenBLAS multiplies matrices many times faster: pip install numpy")
    found = bool(blas.get("found", True)) and name not in ("unknown", "none")
    return [Check("numpy", np.__version__), Check("blas", name) if found else slow]


def compiler_checks() -> list[Check]:
    """Whether machine code can be made here, and for which processor; else NumPy runs everything."""
    from flambeau.codegen import llvm

    if llvm.available():
        target = llvm.host()
        return [Check("compiler", f"LLVM {llvm.version()} for {target.cpu} ({target.level})")]
    why = "llvmlite is not installed" if _version("llvmlite") is None else f"llvmlite does not know this {platform.machine()} processor"
    hint = 'pip install "flambeau[compile]"' if _version("llvmlite") is None else "a newer llvmlite"
    return [Check("compiler", f"{why}: NumPy runs everything, compiled functions are interpreted", "warn", hint)]


def device_checks() -> list[Check]:
    """Which devices can be used here, and what the others lack."""
    rows = []
    for name in device_types():
        where = device(name)
        try:
            backend(where).synchronize(where)
        except FlambeauError as error:
            rows.append(Check(name, "not usable", "ok", str(error)))
        except Exception as error:  # a driver that fails in its own way
            rows.append(Check(name, f"{type(error).__name__}: {error}", "warn", "check the driver"))
        else:
            rows.append(Check(name, "usable"))
    return rows


def package_checks() -> list[Check]:
    """The official packages and their versions, which should agree."""
    versions = {name: _version(name) for name in FIRST_PARTY}
    core = versions["flambeau"]
    rows = []
    for name, version in versions.items():
        if version is None:
            rows.append(Check(name, "not installed", "ok", f"pip install {name}"))
        elif core is not None and version != core:
            rows.append(Check(name, version, "warn", f"pip install {name}=={core}, the version of flambeau"))
        else:
            rows.append(Check(name, version))
    return rows


def extra_checks() -> list[Check]:
    """The optional parts of each installed official package: what they bring, and whether they are here."""
    rows = []
    for name in FIRST_PARTY:
        if _version(name) is None:
            continue
        about = metadata.metadata(name)
        for extra in about.get_all("Provides-Extra") or []:
            needed = _extra_packages(about.get_all("Requires-Dist") or [], extra)
            missing = [package for package in needed if _version(package) is None]
            brings = EXTRAS.get(extra, ", ".join(needed))
            hint = f'pip install "{name}[{extra}]"' if missing else ""
            rows.append(Check(f"{name}[{extra}]", f"{brings}: {'not installed' if missing else 'installed'}", "ok", hint))
    return rows


def plugin_checks() -> list[Check]:
    """Whether each plugin was loaded, and what its own doctor says."""
    rows = []
    for plugin in host().plugins():
        value = f"{plugin.source} {plugin.version}: {plugin.state}"
        if plugin.state == "broken":
            rows.append(Check(plugin.id, f"{value}: {plugin.error}", "warn", f"pip install --upgrade {plugin.source}"))
        else:
            rows.append(Check(plugin.id, f"{value} {plugin.error}".strip()))
    for plugin, answer in host().call_each("flambeau_doctor"):
        if isinstance(answer, Exception):
            rows.append(
                Check(f"{plugin.id}: doctor", f"{type(answer).__name__}: {answer}", "warn", f"report it to the authors of {plugin.source}")
            )
            continue
        rows.extend(check._replace(name=f"{plugin.id}: {check.name}") for check in answer or [])
    return rows


def setting_checks() -> list[Check]:
    """Environment variables, with a warning for those that nothing reads, and the cache."""
    known = config.variables()
    rows = []
    for name, value in config.environment().items():
        hint = "" if name in known else did_you_mean(name, known) or "no setting has this name"
        rows.append(Check(name, value, "warn" if hint else "ok", hint))
    try:
        home = config.settings().cache_home
    except FlambeauError as error:
        return [*rows, Check("settings", str(error), "fail", "correct or unset that variable")]
    parent = next((path for path in (home, *home.parents) if path.exists()), home)
    usable = os.access(parent, os.W_OK)
    return [*rows, Check("cache", str(home), "ok" if usable else "warn", "" if usable else "it is not writable; set FLAMBEAU_HOME")]


SECTIONS: dict[str, Callable[[], list[Check]]] = {
    "system": system_checks, "numpy": numpy_checks, "compiler": compiler_checks, "devices": device_checks, "packages": package_checks,
    "extras": extra_checks, "plugins": plugin_checks, "settings": setting_checks,
}  # fmt: skip


def examine() -> dict[str, list[Check]]:
    """All checks by section. A section that fails becomes a failed check; the others are still made."""
    report: dict[str, list[Check]] = {}
    for name, section in SECTIONS.items():
        try:
            report[name] = section()
        except Exception as error:  # the doctor must survive the illness that it looks for
            report[name] = [Check(name, f"{type(error).__name__}: {error}", "fail", "report this")]
    return report


@click.command()
@common_options
def doctor(as_json: bool) -> None:
    """Show what is installed, what works and what is missing. Exit code 1 when something is broken."""
    report = examine()
    failed = any(check.status == "fail" for checks in report.values() for check in checks)
    if as_json:
        print_json({"ok": not failed, **{name: [check._asdict() for check in checks] for name, checks in report.items()}})
    else:
        _show(report)
    if failed:
        click.get_current_context().exit(1)


def _show(report: dict[str, list[Check]]) -> None:
    console = stdout()
    marks: dict[str, Any] = {"ok": "[green]ok[/]  ", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}
    for name, checks in report.items():
        if not checks:
            continue
        console.print(f"[bold]{name}[/]")
        width = max(len(check.name) for check in checks)
        for check in checks:
            console.print(f"  {marks[check.status]}", end=" ")
            console.print(f"{check.name:<{width}}  {check.value}" + (f"  ->  {check.hint}" if check.hint else ""), markup=False)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _extra_packages(requirements: list[str], extra: str) -> list[str]:
    """The distributions that an extra adds, from lines like `cupy-cuda13x[ctk]<15,>=14.2; extra == 'cuda13'`."""
    names = []
    for line in requirements:
        package, _, marker = line.partition(";")
        match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", package)
        if match and re.search(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""", marker):
            names.append(match.group(1))
    return names


def _memory() -> str:
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total = page * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, macOS not these names
        return "unknown"
    text = f"{total / 2**30:.1f} GiB"
    try:
        free = page * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return text
    return f"{text}, {free / 2**30:.1f} GiB free"
