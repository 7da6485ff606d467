"""The accelerator of this machine, whatever it is, under the names of `torch.accelerator`.

>>> import flambeau as fb
>>> fb.accelerator.is_available() in (True, False)
True
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from flambeau import cuda
from flambeau.base.errors import DeviceError, explain
from flambeau.device.base import device


def is_available() -> bool:
    """Whether there is one that can be used."""
    return cuda.is_available()


def current_accelerator(check_available: bool = False) -> device | None:
    """The type of accelerator as a device without a number; None where there is none."""
    return device("cuda") if cuda.is_available() else None


def device_count() -> int:
    """How many there are."""
    return cuda.device_count()


def _required(op: str) -> None:
    if not cuda.is_available():
        raise DeviceError(
            explain(f"accelerator.{op}", expected="an accelerator", got="a machine without one that can be used", hint="flambeau doctor")
        )


def current_device_index() -> int:
    """The number of the current one."""
    _required("current_device_index")
    return cuda.current_device()


current_device_idx = current_device_index


def set_device_index(device: Any) -> None:
    """Make one the current one."""
    _required("set_device_index")
    cuda.set_device(device)


set_device_idx = set_device_index


@contextlib.contextmanager
def device_index(device: int | None) -> Iterator[None]:
    """Make one the current one for a block."""
    if device is None:
        yield
        return
    _required("device_index")
    with cuda.device(device):
        yield


def synchronize(device: Any = None) -> None:
    """Wait until all work queued on it is done."""
    _required("synchronize")
    cuda.synchronize(device)


def get_device_module(device: Any = None) -> Any:
    """The namespace of a device type: `flambeau.cuda` or `flambeau.cpu`; without a device, of the accelerator (or the CPU)."""
    from flambeau import cpu
    from flambeau.device.base import device as Device

    kind = Device(device).type if device is not None else (current_accelerator() or Device("cpu")).type
    modules = {"cuda": cuda, "cpu": cpu}
    if kind not in modules:
        raise DeviceError(
            explain("get_device_module", expected="a device type with a namespace: " + ", ".join(sorted(modules)), got=repr(kind))
        )
    return modules[kind]
