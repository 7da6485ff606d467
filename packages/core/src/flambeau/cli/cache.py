"""`flambeau cache`: what lies in the cache directory, and how to empty it."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from flambeau.base.config import settings
from flambeau.cli.output import common_options, print_json, print_table

PARTS = {"compiled": "kernels", "downloads": "files"}  # what users call it -> its folder


@click.group()
def cache() -> None:
    """Show or empty the cache of compiled code and downloads."""


@cache.command()
@common_options
def show(as_json: bool) -> None:
    """How much there is of each kind, and where."""
    rows = [(name, *_size(_folder(name)), str(_folder(name))) for name in PARTS]
    if as_json:
        print_json([dict(zip(("name", "files", "bytes", "path"), row)) for row in rows])
    else:
        print_table(("name", "files", "MiB", "path"), [(name, n, f"{size / 2**20:.1f}", path) for name, n, size, path in rows])


@cache.command()
@click.option("--compiled", is_flag=True, help="Compiled code; it is made anew when it is needed.")
@click.option("--downloads", is_flag=True, help="Downloaded files, weights among them.")
@common_options
def clear(compiled: bool, downloads: bool, as_json: bool) -> None:
    """Remove what is named by the options."""
    chosen = [name for name, wanted in (("compiled", compiled), ("downloads", downloads)) if wanted]
    if not chosen:
        raise click.UsageError("flambeau cache clear: expected what to remove, got nothing. Try: --compiled or --downloads.")
    removed = {}
    for name in chosen:
        removed[name] = _size(_folder(name))[0]
        shutil.rmtree(_folder(name), ignore_errors=True)  # another process may be writing; what it writes is whole
    if as_json:
        print_json(removed)
    else:
        click.echo("\n".join(f"{name}: {count} files removed" for name, count in removed.items()))


def _folder(name: str) -> Path:
    return settings().cache_home / PARTS[name]


def _size(folder: Path) -> tuple[int, int]:
    """How many files, and their bytes."""
    sizes = []
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                sizes.append(path.stat().st_size)
        except OSError:  # gone by now
            continue
    return len(sizes), sum(sizes)
