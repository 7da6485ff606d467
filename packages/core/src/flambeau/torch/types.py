"""`torch.types`: names for annotations."""

from __future__ import annotations

from typing import Any

import flambeau

Number = int | float | bool
Device = Any
_dtype = flambeau.dtype
_device = flambeau.device
_size = flambeau.Size
_TensorOrTensors = Any
