"""Audio and speech for Flambeau; also reachable as `flambeau.audio`."""

from __future__ import annotations

from flambeau_audio.__about__ import __version__

__all__ = ["__version__"]
