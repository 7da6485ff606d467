"""Layer 0: errors, dtypes, shapes, trees, registries. Imports nothing of the other layers."""
