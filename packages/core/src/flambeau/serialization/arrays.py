"""The meeting point of files and tensors: a tensor as a host array, and back, and the few small objects that a state may hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentTypeError, FlambeauError, explain
from flambeau.device.base import device
from flambeau.primitives.value import storage_of
from flambeau.tensor.creation import from_numpy, transfer
from flambeau.tensor.tensor import Size, Tensor

Array = np.ndarray[Any, Any]


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor."""
    return isinstance(value, Tensor)


def to_array(value: Any) -> Array:
    """A tensor or array as an array on the host: its own memory where it is there already, else a copy."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Tensor):
        return value.detach().numpy(force=not value.is_cpu)
    raise ArgumentTypeError(explain("save", expected="tensors or NumPy arrays", got=type(value).__name__))


def to_arrays(values: Iterable[Any]) -> list[Array]:
    """Several tensors or arrays on the host. Tied tensors of another device become one array, as they are one memory there."""
    copies: dict[tuple[Any, ...], Array] = {}
    result = []
    for value in values:
        if isinstance(value, Tensor) and not value.is_cpu and value.numel():
            key = (str(value.device), value.data_ptr(), tuple(value.shape), value.stride(), value.dtype)
            if key not in copies:
                copies[key] = to_array(value)
            result.append(copies[key])
        else:
            result.append(to_array(value))
    return result


def from_array(array: Array, where: Any = "cpu") -> Tensor:
    """A tensor on a device; on the CPU it shares memory with the array."""
    made = from_numpy(array)
    target = device(where)
    return made if target == made.device else transfer(made, target)


def facts_of(tensor: Tensor) -> dict[str, Any]:
    """What a file keeps of a tensor besides its values: device, requires_grad and being a Parameter (where they are not the usual ones)."""
    facts: dict[str, Any] = {}
    if not tensor.is_cpu:
        facts["device"] = str(tensor.device)
    if tensor.requires_grad:
        facts["grad"] = True
    if type(tensor) is not Tensor and isinstance(tensor, _parameter_class()):
        facts["parameter"] = True
    return facts


def tensor_of(array: Array, facts: dict[str, Any], map_location: Any) -> Tensor:
    """The tensor that `facts_of` described, placed by `map_location` (None, a device, a dict of devices, or a function)."""
    saved = str(facts.get("device", "cpu"))
    if callable(map_location):
        made = map_location(from_numpy(array), saved)
        if made is None:
            made = from_array(array, saved)
    else:
        made = from_array(array, _target(saved, map_location))
    grad = facts.get("grad") is True
    if facts.get("parameter") is True:
        return _parameter_class()(made, requires_grad=grad)
    return made.requires_grad_() if grad else made


def _parameter_class() -> Any:
    from flambeau.nn.parameter import Parameter  # only where a parameter is met: files of plain tensors do not need nn

    return Parameter


def _target(saved: str, map_location: Any) -> Any:
    if map_location is None:
        return saved
    if isinstance(map_location, dict):
        places = {str(device(key)): value for key, value in map_location.items()}
        return places.get(saved, saved)
    return map_location


def share(tensors: list[Tensor]) -> None:
    """Let tensors whose arrays share memory share their storage, so that a write through one is seen as one by the others."""
    for tensor in tensors[1:]:
        tensor._st = storage_of(tensors[0])


def _dtype_named(name: Any) -> Any:
    found = next((known for known in dtypes.ALL if known.name == name), None)
    if found is None:
        raise ValueError(f"dtype {name!r}")
    return found


def _device_named(name: Any) -> device:
    try:
        return device(str(name))
    except FlambeauError as error:
        raise ValueError(str(error)) from None


# tag in a file: (whether an object is of the kind, how it is written, how it is read)
SMALL: dict[str, tuple[Callable[[Any], bool], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "dtype": (lambda value: isinstance(value, dtypes.dtype), lambda value: value.name, _dtype_named),
    "device": (lambda value: isinstance(value, device), str, _device_named),
    "size": (lambda value: isinstance(value, Size), list, lambda sizes: Size(int(size) for size in sizes)),
}
