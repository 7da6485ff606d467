"""Layer 1: devices. Importing it makes the built-in ones known; CuPy is imported when a CUDA device is used."""

from flambeau.device import cpu, cuda, null
from flambeau.device.base import backend, default_device, device, register_backend, set_default_device

__all__ = ["backend", "cpu", "cuda", "default_device", "device", "null", "register_backend", "set_default_device"]
