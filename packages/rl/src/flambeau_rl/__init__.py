"""Reinforcement learning for Flambeau; also reachable as `flambeau.rl`."""

from __future__ import annotations

from flambeau_rl.__about__ import __version__

__all__ = ["__version__"]
