"""The names that a PyTorch file may use, and what each of them stands for here. A name that is not in the table is refused."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

import numpy as np

from flambeau.base import dtypes
from flambeau.device.base import device
from flambeau.nn.parameter import Buffer, Parameter
from flambeau.serialization.pth import numpy_values
from flambeau.serialization.pth.machine import Global, Machine
from flambeau.serialization.pth.storages import Storage, StorageType
from flambeau.tensor.tensor import Size, Tensor

Build = Callable[[Machine, tuple[Any, ...]], Any]

_STORAGES = {
    "Double": dtypes.float64, "Float": dtypes.float32, "Half": dtypes.float16, "BFloat16": dtypes.bfloat16, "Long": dtypes.int64,
    "Int": dtypes.int32, "Short": dtypes.int16, "Char": dtypes.int8, "Byte": dtypes.uint8, "Bool": dtypes.bool_,
    "ComplexFloat": dtypes.complex64, "ComplexDouble": dtypes.complex128, "Untyped": None,
}  # fmt: skip
_REFERENCES = ("int", "float", "str", "bool", "list", "dict", "tuple", "bytes")


def table(map_location: Any) -> dict[str, Any]:
    """The names, for tensors that go to `map_location`."""
    names: dict[str, Any] = {}
    for prefix, dtype in _STORAGES.items():
        for home in ("torch", "torch.cuda", "torch.storage"):
            names[f"{home}.{prefix}Storage"] = StorageType(f"{prefix}Storage", dtype)
    names |= {f"torch.{dtype.name}": dtype for dtype in dtypes.ALL}
    names |= {f"{home}.{name}": Global(name, _reference) for name in _REFERENCES for home in ("builtins", "__builtin__")}
    for name, build in {**_VALUES, **_tensors(map_location)}.items():
        names[name] = Global(name, build)
    for name in [name for name in names if name.startswith("numpy.core.")]:
        names[name.replace("numpy.core.", "numpy._core.")] = names[name]
    for name in [name for name in names if name.startswith("builtins.")]:
        names[name.replace("builtins.", "__builtin__.")] = names[name]
    return names


def _tensors(map_location: Any) -> dict[str, Build]:
    def make(machine: Machine, storage: Any, dtype: Any, offset: Any, size: Any, stride: Any) -> Any:
        machine.need(isinstance(storage, Storage), "a storage for a tensor", storage)
        machine.need(_sizes(size) and _sizes(stride) and len(size) == len(stride), "sizes and strides that agree", (size, stride))
        machine.need(type(offset) is int and offset >= 0, "an offset of 0 or more", offset)
        return storage.tensor(dtype, offset, tuple(size), tuple(stride), map_location) if storage.known else None

    def finish(machine: Machine, tensor: Any, requires_grad: Any, metadata: Any) -> Any:
        machine.need(type(requires_grad) is bool, "requires_grad of True or False", requires_grad)
        machine.need(metadata is None or isinstance(metadata, dict), "metadata of a tensor", metadata)
        if tensor is None:
            return None
        if metadata and metadata.get("conj"):  # lazy bits of PyTorch: here the values say it themselves
            tensor = tensor.conj().resolve_conj()
        if metadata and metadata.get("neg"):
            tensor = -tensor
        return tensor.requires_grad_() if requires_grad else tensor

    def rebuild(machine: Machine, args: tuple[Any, ...]) -> Any:
        storage, offset, size, stride = _arguments(machine, args, 4, 4)
        return make(machine, storage, None, offset, size, stride)

    def rebuild_v2(machine: Machine, args: tuple[Any, ...]) -> Any:
        storage, offset, size, stride, requires_grad, _, metadata = _arguments(machine, args, 6, 7)
        return finish(machine, make(machine, storage, None, offset, size, stride), requires_grad, metadata)

    def rebuild_v3(machine: Machine, args: tuple[Any, ...]) -> Any:
        storage, offset, size, stride, requires_grad, _, dtype, metadata = _arguments(machine, args, 7, 8)
        machine.need(isinstance(dtype, dtypes.dtype), "a dtype", dtype)
        return finish(machine, make(machine, storage, dtype, offset, size, stride), requires_grad, metadata)

    home = "torch._utils."
    return {f"{home}_rebuild_tensor": rebuild, f"{home}_rebuild_tensor_v2": rebuild_v2, f"{home}_rebuild_tensor_v3": rebuild_v3}


def _sizes(values: Any) -> bool:
    return isinstance(values, tuple) and len(values) <= 64 and all(type(n) is int and n >= 0 for n in values)


def _arguments(machine: Machine, args: tuple[Any, ...], least: int, most: int) -> tuple[Any, ...]:
    """The arguments, with None for optional ones that are absent."""
    machine.need(least <= len(args) <= most, f"{least} to {most} arguments", len(args))
    return (*args, *[None] * (most - len(args)))


def _typed(kind: type[Tensor]) -> Build:
    def build(machine: Machine, args: tuple[Any, ...]) -> Any:
        data, requires_grad, _, _ = _arguments(machine, args, 1, 4)
        machine.need(data is None or isinstance(data, Tensor), f"the data of a {kind.__name__}", data)
        if data is None:
            return None
        made = kind(data.detach())
        return made.requires_grad_(requires_grad is not False) if kind is Parameter else made

    return build


def _from_type(machine: Machine, args: tuple[Any, ...]) -> Any:
    """`torch._tensor._rebuild_from_type_v2(function, type, arguments, state)`: the tensor; attributes that a program set are left out."""
    function, _, inner, _ = _arguments(machine, args, 4, 4)
    return machine.apply(function, inner)


def _ordered(machine: Machine, args: tuple[Any, ...]) -> Any:
    (pairs,) = _arguments(machine, args, 0, 1)
    pairs = [] if pairs is None else pairs
    machine.need(type(pairs) is list and all(type(p) in (list, tuple) and len(p) == 2 for p in pairs), "pairs", type(pairs).__name__)
    return OrderedDict((machine.key(key), value) for key, value in pairs)


def _counter(machine: Machine, args: tuple[Any, ...]) -> Any:
    (counts,) = _arguments(machine, args, 0, 1)
    machine.need(counts is None or type(counts) is dict, "a dict of counts", type(counts).__name__)
    made: Counter[Any] = Counter()
    dict.update(made, counts or {})
    return made


def _reference(machine: Machine, args: tuple[Any, ...]) -> Any:
    machine.need(False, "a type that is only named", "one that is applied")


def _plain_dict(machine: Machine, args: tuple[Any, ...]) -> dict[Any, Any]:
    """A dict of a kind that adds nothing to the data (a default factory, access by attribute)."""
    machine.need(all(not isinstance(a, Tensor) for a in args), "a factory or nothing", args)
    found = [dict(a) for a in args if isinstance(a, dict)]
    return found[0] if found else {}


def _set(make: type[set[Any]] | type[frozenset[Any]]) -> Build:
    def build(machine: Machine, args: tuple[Any, ...]) -> Any:
        (values,) = _arguments(machine, args, 0, 1)
        machine.need(values is None or type(values) in (list, tuple, set, frozenset), "the values of a set", type(values).__name__)
        return make(machine.key(value) for value in values or ())

    return build


def _bytes(machine: Machine, args: tuple[Any, ...]) -> bytes:
    """`_codecs.encode(text, "latin1")`, which is how protocol 2 stores bytes."""
    text, encoding = _arguments(machine, args, 2, 2)
    machine.need(type(text) is str and encoding in ("latin1", "latin-1"), "text to be stored as bytes", encoding)
    return str(text).encode("latin-1")


def _bytearray(machine: Machine, args: tuple[Any, ...]) -> bytearray:
    value, encoding = _arguments(machine, args, 0, 2)
    if type(value) is str:
        value = _bytes(machine, (value, encoding))
    machine.need(value is None or type(value) is bytes, "bytes", type(value).__name__)
    return bytearray(value or b"")


def _complex(machine: Machine, args: tuple[Any, ...]) -> complex:
    machine.need(len(args) == 2 and all(type(a) in (int, float) for a in args), "two numbers", args)
    return complex(*args)


def _size(machine: Machine, args: tuple[Any, ...]) -> Size:
    machine.need(len(args) == 1 and type(args[0]) in (tuple, list) and all(type(n) is int for n in args[0]), "sizes", args)
    return Size(args[0])


def _device(machine: Machine, args: tuple[Any, ...]) -> Any:
    kind, index = _arguments(machine, args, 1, 2)
    machine.need(type(kind) is str and (index is None or type(index) is int), "the name of a device", args)
    return device(kind, index)


def _path(machine: Machine, args: tuple[Any, ...]) -> PurePosixPath:
    machine.need(all(type(part) is str for part in args), "parts of a path", args)
    return PurePosixPath(*args)


def _slice(machine: Machine, args: tuple[Any, ...]) -> Any:
    return slice(*_arguments(machine, args, 3, 3))


def _namespace(machine: Machine, args: tuple[Any, ...]) -> SimpleNamespace:
    machine.need(not args, "no arguments", args)
    return SimpleNamespace()


def _array(machine: Machine, args: tuple[Any, ...]) -> Any:
    return np.empty(0, np.uint8)  # BUILD gives it shape, dtype and bytes


_VALUES: dict[str, Build] = {
    "collections.OrderedDict": _ordered,
    "collections.Counter": _counter,
    "collections.defaultdict": _plain_dict,
    "pytorch_lightning.utilities.parsing.AttributeDict": _plain_dict,
    "lightning.pytorch.utilities.parsing.AttributeDict": _plain_dict,
    "lightning_fabric.utilities.data.AttributeDict": _plain_dict,
    "lightning.fabric.utilities.data.AttributeDict": _plain_dict,
    "argparse.Namespace": _namespace,
    "builtins.set": _set(set),
    "builtins.frozenset": _set(frozenset),
    "builtins.bytearray": _bytearray,
    "builtins.complex": _complex,
    "builtins.slice": _slice,
    "_codecs.encode": _bytes,
    "pathlib.PosixPath": _path,
    "pathlib.PurePosixPath": _path,
    "pathlib.WindowsPath": _path,
    "pathlib.PureWindowsPath": _path,
    "torch.Size": _size,
    "torch.device": _device,
    "torch.Tensor": _typed(Tensor),
    "torch.nn.parameter.Parameter": _typed(Parameter),
    "torch.nn.parameter.Buffer": _typed(Buffer),
    "torch._utils._rebuild_parameter": _typed(Parameter),
    "torch._utils._rebuild_parameter_with_state": _typed(Parameter),
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "numpy.ndarray": _reference,
    "numpy.dtype": lambda machine, args: numpy_values.ArrayType(machine.source, args[0]),
    "numpy.core.multiarray._reconstruct": _array,
    "numpy.core.multiarray.scalar": lambda machine, args: numpy_values.scalar(machine.source, *_arguments(machine, args, 2, 2)),
    "numpy.core.numeric._frombuffer": lambda machine, args: numpy_values.array(machine.source, *_arguments(machine, args, 4, 4)),
}
