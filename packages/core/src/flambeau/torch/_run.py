"""Runs a program written for PyTorch on Flambeau, in this process and in those that it starts."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import flambeau.torch
from flambeau.torch._facade import install

USAGE = "usage: python -m flambeau.torch [-m module | script.py] [arguments]"


def shim_folder() -> Path:
    """The folder that, first on PYTHONPATH, makes `import torch` find Flambeau in any Python process."""
    return Path(__file__).parent / "_shim"


def run(arguments: list[str]) -> None:
    """Run a script (or `-m module`) as Python would, with `torch`, `torchvision` and `torchaudio` standing for Flambeau."""
    if not arguments or arguments[0] in ("-h", "--help") or arguments == ["-m"]:
        print(USAGE, file=sys.stderr)
        raise SystemExit(0 if arguments and arguments[0] != "-m" else 2)
    install()
    inherited = os.environ.get("PYTHONPATH")
    home = str(Path(flambeau.__file__).parent.parent)  # so that child processes find Flambeau itself too
    os.environ["PYTHONPATH"] = os.pathsep.join([str(shim_folder()), home, *([inherited] if inherited else [])])
    sys.path.insert(0, str(shim_folder()))  # spawned workers take over sys.path
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return
    script = arguments[0]
    if not os.path.exists(script):
        print(f"flambeau.torch: no such file: {script}\n{USAGE}", file=sys.stderr)
        raise SystemExit(2)
    sys.argv = list(arguments)
    sys.path.insert(0, str(Path(script).resolve().parent))
    runpy.run_path(script, run_name="__main__")
