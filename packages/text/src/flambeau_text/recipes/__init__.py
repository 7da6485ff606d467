"""Recipes that run offline: `flambeau fit char-gpt`, `reverse-translate`, `sentiment`."""
