"""`flambeau run-torch`, `flambeau torch-shim` and `flambeau compat check`."""

from __future__ import annotations

import dataclasses
import traceback
from collections import Counter

import click

from flambeau.cli.output import common_options, print_json
from flambeau.torch._compat import check_path
from flambeau.torch._run import run, shim_folder


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": ["-h", "--help"]})
@click.argument("program", nargs=-1, type=click.UNPROCESSED, required=True)
def run_torch(program: tuple[str, ...]) -> None:
    """Run a program that was written for PyTorch: SCRIPT.py ARGUMENTS, or -m MODULE ARGUMENTS."""
    try:
        run(list(program))
    except Exception as error:  # the program's own: shown as Python shows it
        traceback.print_exception(error)
        raise click.exceptions.Exit(1) from None


@click.command()
def torch_shim() -> None:
    """Print the folder that makes `import torch` find Flambeau: PYTHONPATH=$(flambeau torch-shim) python script.py"""
    click.echo(str(shim_folder()))


@click.group()
def compat() -> None:
    """How far programs for PyTorch are supported."""


@compat.command()
@click.argument("path", type=click.Path())
@common_options
def check(path: str, as_json: bool) -> None:
    """List the names of PyTorch that a FILE or FOLDER uses and Flambeau lacks. Nothing is run. Exit code 1 if there are any."""
    found, files = check_path(path)
    if as_json:
        print_json({"files": files, "missing": [dataclasses.asdict(use) for use in found]})
    else:
        for use in found:
            click.echo(f"{use.file}:{use.line}: {use.name} ({use.reason})")
        names = Counter(use.name for use in found)
        click.echo(f"{files} files, {len(names)} missing names." if names else f"{files} files, nothing is missing.")
    if found:
        raise click.exceptions.Exit(1)
