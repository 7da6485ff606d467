"""`flambeau list` and `flambeau plugins`: what there is, and who brought it."""

from __future__ import annotations

import dataclasses
from collections import Counter

import click

from flambeau.base.errors import NameNotFound
from flambeau.base.known import PROVIDERS, known_names
from flambeau.base.registry import KINDS, query, registry
from flambeau.cli.output import common_options, print_json, print_table
from flambeau.plugins.manager import Plugin, host


@click.command("list")
@click.argument("kind", required=False)
@click.option("--domain", help="Only this domain: vision, audio, text, rl, ...")
@click.option("--source", help="Only this distribution or plugin.")
@common_options
def list_objects(kind: str | None, domain: str | None, source: str | None, as_json: bool) -> None:
    """List the registered objects of KIND (models, recipes, ...), or how many there are of each kind."""
    try:
        rows = query(kind, domain=domain, source=source)
    except NameNotFound as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        fields = ("kind", "name", "owner", "source", "domain", "target")
        print_json([{**{name: getattr(row, name) for name in fields}, "full_name": row.full_name, "meta": dict(row.meta)} for row in rows])
    elif kind is None:
        counts = Counter(row.kind for row in rows)
        print_table(("kind", "count"), [(name, counts[name]) for name in KINDS if counts[name]])
    else:
        short = set(registry(kind).names())
        names = [row.name if row.name in short else row.full_name for row in rows]
        cells = [(name, row.domain, row.source, row.meta.get("summary", "")) for name, row in zip(names, rows)]
        if cells:
            print_table(("name", "domain", "from", ""), cells)
        else:
            click.echo(f"No {kind} are registered here.", err=True)
        if domain is None and source is None:
            _point_elsewhere(kind, {row.name for row in rows})


def _point_elsewhere(kind: str, here: set[str]) -> None:
    """Say on stderr what official packages that are not installed would add."""
    for package in PROVIDERS:
        absent = [name for name, owner in known_names(kind).items() if owner == package and name not in here]
        if absent:
            click.echo(f"Not installed: {', '.join(absent)} (pip install {package})", err=True)


@click.command()
@common_options
def plugins(as_json: bool) -> None:
    """List plugins: state, version, load time, and what each brings."""
    found = host().plugins()
    if as_json:
        print_json([{**dataclasses.asdict(plugin), "first_party": plugin.first_party} for plugin in found])
        return
    print_table(("plugin", "from", "version", "api", "state", "ms", "brings"), [_row(plugin) for plugin in found])


def _row(plugin: Plugin) -> tuple[object, ...]:
    brings = ", ".join(f"{count} {kind}" for kind, count in plugin.registered.items())
    extra = [name.removeprefix("flambeau_") for name in plugin.hooks if name != "flambeau_register"]
    brings = ", ".join(filter(None, [brings, *(f"hook {name}" for name in extra)]))
    api = "" if plugin.api is None else plugin.api
    return plugin.id, plugin.source, plugin.version, api, plugin.state, f"{plugin.milliseconds:.1f}", plugin.error or brings
