"""The safetensors file format: our own reader and writer. Files open by memory map, and what is read is checked first."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from flambeau.base.errors import ArgumentError, FileFormatError, IndexingError, NameNotFound, did_you_mean, explain
from flambeau.base.files import atomic_write
from flambeau.serialization.aliases import drop_aliases, refuse_aliases
from flambeau.serialization.arrays import from_array, to_array
from flambeau.serialization.layout import Header, entry_array, header_length, little_endian, parse_header, plan

PathLike = str | os.PathLike[str]
_FRAMEWORKS = {"flambeau": True, "pt": True, "torch": True, "pytorch": True, "np": False, "numpy": False}


def save(tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file; see `save_file`."""
    arrays = {name: to_array(tensor) for name, tensor in tensors.items()}
    refuse_aliases(arrays)
    head, order = plan(arrays, metadata)
    return b"".join([head, *(little_endian(arrays[name]).tobytes() for name in order)])


def save_file(tensors: Mapping[str, Any], filename: PathLike, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors (or NumPy arrays) to a safetensors file, atomically. `metadata` maps strings to strings.

    Raises ArgumentError if tensors share memory (see `save_model`), or have a dtype that the format does not know.

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "x.safetensors")
    >>> save_file({"w": np.arange(3)}, path)
    >>> load_file(path)["w"]
    tensor([0, 1, 2])
    """
    arrays = {name: to_array(tensor) for name, tensor in tensors.items()}
    refuse_aliases(arrays)
    with atomic_write(filename) as file:
        write_to(file, arrays, metadata)


def write_to(file: IO[bytes], arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str] | None) -> None:
    """Write arrays to an open file, one at a time, so that no second copy of all is in memory."""
    head, order = plan(arrays, metadata)
    file.write(head)
    for name in order:
        file.write(little_endian(arrays[name]).reshape(-1).view(np.uint8).data)


def load(data: bytes | bytearray | memoryview, device: Any = "cpu") -> dict[str, Any]:
    """Tensors from the bytes of a safetensors file."""
    buffer = bytearray(data)
    header = _header_of(buffer, len(buffer), "given as bytes")
    return {name: from_array(entry_array(buffer, header, name, f"tensor {name!r}"), device) for name in header.entries}


def load_file(filename: PathLike, device: Any = "cpu") -> dict[str, Any]:
    """All tensors of a safetensors file, as {name: tensor}.

    On the CPU the tensors are views of a private memory map: nothing is read before it is used, writing to a tensor does not change the
    file. Raises FileFormatError, naming the file and what is wrong, if the file is damaged.
    """
    with safe_open(filename, device=device) as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def save_model(model: Any, filename: PathLike, metadata: Mapping[str, str] | None = None) -> None:
    """Write a module's state. Tied weights are stored once, and the metadata says which name stands for which."""
    kept, dropped = drop_aliases({name: to_array(tensor) for name, tensor in model.state_dict().items()})
    with atomic_write(filename) as file:
        write_to(file, kept, {**(metadata or {}), **dropped})


def load_model(model: Any, filename: PathLike, strict: bool = True, device: Any = "cpu") -> tuple[list[str], list[str]]:
    """Load a module's state written by `save_model` (or any safetensors file) and return (missing names, unexpected names).

    A name that is missing because it is tied to a stored one is not counted. With `strict`, any other difference raises ArgumentError.
    """
    state = load_file(filename, device)
    _, tied = drop_aliases({name: to_array(tensor) for name, tensor in model.state_dict().items()})
    same = {**tied, **{kept: dropped for dropped, kept in tied.items()}}
    result = model.load_state_dict(state, strict=False)
    missing = [name for name in result.missing_keys if same.get(name) not in state]
    unexpected = list(result.unexpected_keys)
    if strict and (missing or unexpected):
        got = f"missing {missing}, unexpected {unexpected}"
        raise ArgumentError(explain(f"load_model {os.fspath(filename)}", expected="a file with the model's tensors", got=got))
    return missing, unexpected


def _header_of(buffer: Any, size: int, source: str) -> Header:
    length = header_length(bytes(buffer[:8]), size, source)
    return parse_header(bytes(buffer[8 : 8 + length]), size, source)


class safe_open:
    """A safetensors file opened lazily: a context manager from which single tensors, or slices of them, are read.

    `framework` chooses what comes out: "flambeau" (or "pt") gives tensors, "np" NumPy arrays.
    """

    def __init__(self, filename: PathLike, framework: str = "flambeau", device: Any = "cpu") -> None:
        if framework not in _FRAMEWORKS:
            raise ArgumentError(explain("safe_open", expected=f"a framework of {sorted(_FRAMEWORKS)}", got=repr(framework)))
        self._path = os.fspath(filename)
        self._device = device
        self._tensors = _FRAMEWORKS[framework]
        self._buffer: Any = None
        with open(filename, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < 8:
                raise FileFormatError(explain(f"safetensors file {self._path}", expected="at least 8 bytes", got=f"{size} bytes"))
            self._buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self._header = _header_of(self._buffer, size, self._path)

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, *_: object) -> None:
        self._buffer = None  # the map stays open as long as a tensor views it

    def keys(self) -> list[str]:
        """The names of the tensors, sorted."""
        return sorted(self._header.entries)

    def offset_keys(self) -> list[str]:
        """The names of the tensors in file order."""
        return list(self._header.entries)

    def metadata(self) -> dict[str, str] | None:
        """The metadata, or None where there is none."""
        return dict(self._header.metadata) or None

    def array(self, name: str) -> np.ndarray[Any, Any]:
        """One tensor as a NumPy array on the map."""
        if self._buffer is None:
            raise ArgumentError(explain(f"safe_open {self._path}", expected="an open file", got="one closed at the end of its with block"))
        if name not in self._header.entries:
            raise NameNotFound(
                explain(
                    f"safetensors file {self._path}",
                    expected="the name of a tensor in it",
                    got=repr(name),
                    hint=did_you_mean(name, self.keys()),
                )
            )
        return entry_array(self._buffer, self._header, name, f"file {self._path}, tensor {name!r}")

    def get_tensor(self, name: str) -> Any:
        """One tensor."""
        return self._out(self.array(name))

    def get_slice(self, name: str) -> TensorSlice:
        """A handle on one tensor from which slices are read: `file.get_slice("w")[10:20]`."""
        return TensorSlice(self, name)

    def _out(self, array: np.ndarray[Any, Any]) -> Any:
        return from_array(array, self._device) if self._tensors else array

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._header.entries)


class TensorSlice:
    """A tensor of an open file, not read yet; indexing (ints, slices, None, ...) reads that part only."""

    def __init__(self, file: safe_open, name: str) -> None:
        file.array(name)
        self._file, self._name = file, name

    def get_shape(self) -> list[int]:
        """The shape of the whole tensor."""
        return list(self._file._header.entries[self._name].shape)

    def get_dtype(self) -> str:
        """The dtype's name in the format, such as "F32"."""
        return self._file._header.entries[self._name].dtype

    def __getitem__(self, index: Any) -> Any:
        try:
            part = self._file.array(self._name)[index]
        except IndexError as error:
            got = f"{index!r} for shape {self.get_shape()} ({error})"
            raise IndexingError(explain(f"slice of {self._name!r}", expected="an index inside the tensor", got=got)) from None
        return self._file._out(np.asarray(part))
