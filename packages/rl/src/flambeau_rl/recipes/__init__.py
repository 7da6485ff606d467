"""The recipes, one a file."""
