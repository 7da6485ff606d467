"""Rotary positions (Su et al. 2021, "RoFormer"): queries and keys are turned by angles that grow with the position."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.pretrained.config import is_number

_NEEDED: dict[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}


def rotary_options(config: Any) -> dict[str, Any]:
    """The options of rotary positions from a configuration, of today or of older files."""
    found = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if not isinstance(found, dict):
        raise ArgumentError(explain("rotary positions", expected="rope_parameters, an object", got=repr(found)[:80]))
    options = {"rope_theta": getattr(config, "rope_theta", 10000.0), **found}
    options["rope_type"] = options.pop("type", None) or options.get("rope_type", "default")
    if options["rope_type"] not in tuple(_NEEDED):
        got = repr(options["rope_type"])
        raise ArgumentError(explain("rotary positions", expected="rope_type default, linear or llama3", got=got))
    for name in ("rope_theta", *_NEEDED[options["rope_type"]]):
        if not is_number(options.get(name)) or options[name] <= 0:
            raise ArgumentError(explain("rotary positions", expected=f"{name}, a number above 0", got=repr(options.get(name))[:80]))
    return options


def frequencies(size: int, options: dict[str, Any]) -> np.ndarray[Any, Any]:
    """(size / 2) radians a position. "linear" divides them by `factor`; "llama3" only the slow ones, with a smooth transition."""
    base = 1.0 / options["rope_theta"] ** (np.arange(0, size, 2, dtype=np.float32) / np.float32(size))
    if options["rope_type"] == "default":
        return base.astype(np.float32)
    factor = options["factor"]
    if options["rope_type"] == "linear":
        return (base / factor).astype(np.float32)
    low, high, before = options["low_freq_factor"], options["high_freq_factor"], options["original_max_position_embeddings"]
    turns = before * base / (2 * math.pi)  # within the length that the model was first trained on
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return ((1 - smooth) * base / factor + smooth * base).astype(np.float32)


class RotaryEmbedding(nn.Module):
    """Positions (N, L) -> (cos, sin), each (N, 1, L, size)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        inv_freq = flambeau.from_numpy(frequencies(config.head_dim, config.rope_parameters))
        self.register_buffer("inv_freq", inv_freq, persistent=False)

    def forward(self, positions: Any) -> tuple[Any, Any]:
        angles = positions[:, None, :, None].float() * self.inv_freq.float()  # N 1 L size/2
        angles = flambeau.cat([angles, angles], -1)
        return angles.cos(), angles.sin()


def rotate(x: Any, angles: tuple[Any, Any]) -> Any:
    """Turn pairs (i, i + size/2) of (N, heads, L, size) by their angles."""
    cos, sin = (part.to(x.dtype) for part in angles)
    first, second = x.chunk(2, -1)
    return x * cos + flambeau.cat([-second, first], -1) * sin
