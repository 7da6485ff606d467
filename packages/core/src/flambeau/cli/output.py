"""What commands share: `--json` and `--debug`, tables, and one way to print JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

DEBUG_KEY = "flambeau.debug"

F = TypeVar("F", bound=Callable[..., Any])


def _remember_debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[DEBUG_KEY] = True


def debug_option(command: F) -> F:
    """Add `--debug`, which the group handles."""
    return click.option("--debug", is_flag=True, expose_value=False, callback=_remember_debug, help="Show tracebacks.")(command)


def common_options(command: F) -> F:
    """Add `--json` (an argument `as_json` of the function) and `--debug` to a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(debug_option(command))


def print_json(value: Any) -> None:
    """One line of JSON on standard output."""
    click.echo(json.dumps(value, default=str))


def stdout() -> Console:
    """A console on standard output; lines are not wrapped or cut when a program reads them."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=4096)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """A table on standard output. Cell text is shown as it is, never read as markup."""
    table = Table(box=None, title=title or None, title_justify="left", header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    stdout().print(table)
