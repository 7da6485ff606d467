"""Text for Flambeau; also reachable as `flambeau.text`."""

from __future__ import annotations

from flambeau_text.__about__ import __version__

__all__ = ["__version__"]
