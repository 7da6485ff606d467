"""Pretrained weights: where they are, what they are, and one checked copy of them on this machine."""

from __future__ import annotations

from flambeau.hub.cache import cache_dir
from flambeau.hub.conversion import convert
from flambeau.hub.download import fetch
from flambeau.hub.reading import load_weights
from flambeau.hub.weights import Weights

__all__ = ["Weights", "cache_dir", "convert", "fetch", "load_weights"]
