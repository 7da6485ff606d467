"""Recipes: what `flambeau fit` can run."""
