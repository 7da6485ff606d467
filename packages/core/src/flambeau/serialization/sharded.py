"""Models in several safetensors files with an index: the layout `model.safetensors.index.json` of Hugging Face repositories."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from flambeau.base.errors import ArgumentError, FileFormatError, explain
from flambeau.base.files import atomic_write
from flambeau.serialization.aliases import refuse_aliases
from flambeau.serialization.arrays import to_arrays
from flambeau.serialization.safetensors import PathLike, load_file, write_to

INDEX_SUFFIX = ".index.json"
_SHARDS = (".safetensors", ".bin", ".pt", ".pth")
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def save_sharded(
    tensors: Mapping[str, Any],
    folder: PathLike,
    *,
    max_shard_size: int | str = "5GB",
    name: str = "model",
    metadata: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write tensors to `name.safetensors`, or if they exceed `max_shard_size` (bytes, or such as "5GB") to numbered shards and an index.

    Tensors go to the shards in the given order; the index is written last, so a reader never sees one without its files. Returns the files.
    """
    limit = _bytes(max_shard_size)
    arrays = dict(zip(tensors, to_arrays(tensors.values()), strict=True))
    refuse_aliases(arrays)
    shards: list[dict[str, Any]] = [{}]
    filled = 0
    for key, array in arrays.items():
        if shards[-1] and filled + array.nbytes > limit:
            shards.append({})
            filled = 0
        shards[-1][key] = array
        filled += array.nbytes
    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    suffix = [f"-{number:05d}-of-{len(shards):05d}" for number in range(1, len(shards) + 1)] if len(shards) > 1 else [""]
    files = [base / f"{name}{part}.safetensors" for part in suffix]
    for path, shard in zip(files, shards, strict=True):
        with atomic_write(path) as file:
            write_to(file, shard, metadata)
    index = base / f"{name}.safetensors{INDEX_SUFFIX}"
    if len(shards) > 1:
        weight_map = {key: path.name for path, shard in zip(files, shards, strict=True) for key in shard}
        table = {"metadata": {"total_size": sum(array.nbytes for array in arrays.values())}, "weight_map": weight_map}
        with atomic_write(index) as file:
            file.write((json.dumps(table, indent=2, sort_keys=True) + "\n").encode())
        return [*files, index]
    index.unlink(missing_ok=True)
    return files


def load_sharded(path: PathLike, device: Any = "cpu", read: Callable[[Path], Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """All tensors that an index file names (or the index, or the single `model.safetensors`, in a folder).

    `read` reads one shard; without it, shards are safetensors files.
    """
    read = read or (lambda shard: load_file(shard, device))
    index = Path(path)
    if index.is_dir():
        candidates = [index / f"model.safetensors{INDEX_SUFFIX}", index / "model.safetensors"]
        found = next((candidate for candidate in candidates if candidate.exists()), None)
        if found is None:
            raise ArgumentError(
                explain("load_sharded", expected=f"{candidates[0].name} or {candidates[1].name} in the folder", got=str(index))
            )
        index = found
    if not index.name.endswith(INDEX_SUFFIX):
        return dict(read(index))
    weight_map = read_index(index)
    result = dict.fromkeys(weight_map)
    for shard in sorted(set(weight_map.values())):
        shard_path = index.parent / shard
        if not shard_path.is_file():
            raise FileFormatError(
                explain(f"index {index}", expected=f"the shard {shard} beside it", got="no such file", hint="download it again")
            )
        present = read(shard_path)
        for key in (key for key, owner in weight_map.items() if owner == shard):
            if key not in present:
                raise FileFormatError(explain(f"index {index}", expected=f"{key!r} in {shard}", got="a shard without it"))
            result[key] = present[key]
    return result


def read_index(path: PathLike) -> dict[str, str]:
    """The checked `weight_map` of an index file: {tensor name: file name}. File names with folders are refused."""

    def fail(expected: str, got: str) -> NoReturn:
        raise FileFormatError(explain(f"index {os.fspath(path)}", expected=expected, got=got[:300]))

    try:
        table = json.loads(Path(path).read_bytes())
    except RecursionError:
        fail("a JSON object", "JSON nested too deeply")
    except ValueError as error:
        fail("a JSON object", str(error))
    weight_map = table.get("weight_map") if isinstance(table, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        fail("a weight_map from tensor names to files", repr(weight_map))
    for value in weight_map.values():
        if not isinstance(value, str) or not value.endswith(_SHARDS) or set(value) & set("/\\:\0"):
            fail(f"shards that are file names ending in {', '.join(_SHARDS)}, without a folder", repr(value))
    return weight_map


def _bytes(size: int | str) -> int:
    if isinstance(size, int):
        return size
    text = size.strip().upper()
    unit = next((unit for unit in sorted(_UNITS, key=len, reverse=True) if text.endswith(unit)), None)
    try:
        return int(float(text[: -len(unit)]) * _UNITS[unit]) if unit else int(text)
    except ValueError:
        raise ArgumentError(explain("save_sharded", expected='max_shard_size in bytes or such as "5GB"', got=repr(size))) from None
