"""Pretrained models: what there is, where weights are and what they are, and one checked copy of them on this machine."""

from __future__ import annotations

from flambeau.hub.cache import cache_dir
from flambeau.hub.conversion import convert
from flambeau.hub.download import fetch
from flambeau.hub.huggingface import hf_path
from flambeau.hub.loading import list, load
from flambeau.hub.lock import read_lock, write_lock
from flambeau.hub.reading import load_weights
from flambeau.hub.weights import Weights

__all__ = ["Weights", "cache_dir", "convert", "fetch", "hf_path", "list", "load", "load_weights", "read_lock", "write_lock"]
