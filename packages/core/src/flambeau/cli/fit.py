"""`flambeau fit RECIPE`: run a registered recipe with live progress."""

from __future__ import annotations

import dataclasses
import shlex
import sys
import time
from typing import Any

import click

from flambeau.base.errors import ArgumentError, NameNotFound, PluginError, explain
from flambeau.base.registry import registry
from flambeau.cli.output import common_options, print_json, print_table, stdout
from flambeau.train.display import LiveProgress
from flambeau.train.options import options, split_assignments
from flambeau.train.recipe import Recipe, Run, RunResult, find_checkpoint, prepare_run

CLOCK_SLACK = 2.0  # seconds by which the clock of a file system may lag behind ours


@click.command()
@click.argument("recipe")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change an option of the recipe; may be repeated.")
@click.option("--seed", type=int, help="Decides every random number (default 0).")
@click.option("--device", help="Where to compute: cpu (default), cuda, ...")
@click.option("--out", type=click.Path(file_okay=False), help="The run's directory (default runs/RECIPE).")
@click.option("--resume", is_flag=True, help="Continue the run in --out from its checkpoint.")
@click.option("--options", "show_options", is_flag=True, help="Show the recipe's options and stop.")
@common_options
def fit(recipe: str, assignments: tuple[str, ...], show_options: bool, as_json: bool, **where: Any) -> None:
    """Run RECIPE, a name that `flambeau list recipes` shows."""
    try:
        found = find_recipe(recipe)
        if show_options:
            _show_options(found, as_json)
            return
        run = prepare_run(found, split_assignments(assignments), **where)
    except (ArgumentError, NameNotFound) as error:
        raise click.UsageError(str(error)) from error
    start = 0.0 if run.resume else time.time() - CLOCK_SLACK
    try:
        with LiveProgress(found.name) as progress:
            result = run.execute(on_report=progress)
    except KeyboardInterrupt:
        click.echo(_interrupted(recipe, run, start), err=True)
        sys.exit(130)
    if as_json:
        print_json(dataclasses.asdict(result))
    else:
        _show_result(found, result)


def find_recipe(name: str) -> Recipe:
    """The registered recipe. Raises NameNotFound, or PluginError when the name leads to something else."""
    found = registry("recipes").get(name)
    if not isinstance(found, Recipe):
        raise PluginError(explain(f"recipe {name!r}", expected="a flambeau.train.Recipe", got=f"a {type(found).__name__}"))
    return found


def _interrupted(name: str, run: Run, start: float) -> str:
    checkpoint = find_checkpoint(run.out, since=start)
    if checkpoint is None:
        return "Interrupted before the first checkpoint; nothing to resume."
    command = ["flambeau", "fit", name, "--resume", "--out", str(run.out)]
    return f"Interrupted. {checkpoint} is saved; go on with:\n  {shlex.join(command)}"


def _show_options(recipe: Recipe, as_json: bool) -> None:
    rows = options(recipe.config)
    if as_json:
        required = dataclasses.MISSING
        print_json(
            [
                {"name": row.name, "type": row.type_name, "default": None if row.default is required else row.default, "help": row.help}
                for row in rows
            ]
        )
        return
    defaults = ["(required)" if row.default is dataclasses.MISSING else str(row.default) for row in rows]
    print_table(("option", "default", "type", ""), [(row.name, default, row.type_name, row.help) for row, default in zip(rows, defaults)])


def _show_result(recipe: Recipe, result: RunResult) -> None:
    numbers = [(name, "not finite" if value is None else f"{value:.6g}") for name, value in result.metrics.items()]
    print_table(("metric", "value"), numbers)
    console = stdout()
    console.print(f"{result.seconds:.1f} s, in {result.run_dir}", markup=False)
    if recipe.next_steps:
        console.print("What to try next:")
        for line in recipe.next_steps:
            console.print(f"  {line}", markup=False)
