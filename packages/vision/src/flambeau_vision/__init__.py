"""Images for Flambeau; also reachable as `flambeau.vision`."""

from __future__ import annotations

from flambeau_vision.__about__ import __version__

__all__ = ["__version__"]
