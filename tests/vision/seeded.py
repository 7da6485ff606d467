"""Weights and images that numbers of NumPy's frozen generator decide, the same with any library."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np


def seeded_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A value for each name; matrices and filters keep the scale of what flows through them."""
    return {name: _value(name, shape) for name, shape in shapes.items()}


def _value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.array(3, np.int64)
    if name.endswith("running_var"):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    if len(shape) > 1:
        return (random.standard_normal(shape) * (0.9 / np.sqrt(np.prod(shape[1:])))).astype(np.float32)
    if name.endswith(("weight", "gamma")):
        return random.uniform(0.7, 1.3, shape).astype(np.float32)
    return (random.standard_normal(shape) * 0.1).astype(np.float32)


def seeded_images(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal pixels."""
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


# The models whose outputs are compared: name, options, and the size of the images.
MODELS: dict[str, tuple[dict[str, object], int]] = {
    "resnet18": ({}, 40),
    "resnet50": ({}, 32),
    "resnext50_32x4d": ({}, 32),
    "wide_resnet50_2": ({}, 32),
    "densenet121": ({}, 32),
    "mobilenet_v2": ({}, 32),
    "mobilenet_v3_small": ({}, 40),
    "mobilenet_v3_large": ({"reduced_tail": True, "dilated": True}, 32),
    "efficientnet_b0": ({}, 32),
    "efficientnet_b5": ({}, 32),
    "efficientnet_v2_s": ({}, 32),
    "convnext_tiny": ({}, 32),
    "vit_b_32": ({"image_size": 64, "representation_size": 16}, 64),
    "swin_t": ({}, 40),
    "swin_v2_t": ({}, 72),
    "alexnet": ({}, 63),
}
FIXED = ("relative_position_index", "relative_coords_table")  # buffers that are no weights
