"""The command line: `flambeau fit`, `list`, `plugins`, `doctor`, `bench`, and what plugins add."""
