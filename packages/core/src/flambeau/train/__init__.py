"""Training: recipes and what runs them."""

from __future__ import annotations

from flambeau.train.recipe import Progress, Recipe, RunContext, RunResult, run_recipe

__all__ = ["Progress", "Recipe", "RunContext", "RunResult", "run_recipe"]
