"""Tensors as the arrays that files hold, and back. TEMPORARY seam until the tensor lands."""
from __future__ import annotations
from typing import Any
import numpy as np
from flambeau.data.seam import Tensor, from_numpy


def is_tensor(x): return isinstance(x, Tensor)
def to_array(x): return x if isinstance(x, np.ndarray) else x.numpy()
def from_array(a, device="cpu"): return from_numpy(a)
def facts_of(t): return {}
def tensor_of(a, facts, map_location): return from_numpy(a)


SMALL: dict[str, Any] = {}
