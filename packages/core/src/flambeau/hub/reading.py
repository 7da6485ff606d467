"""Weights as a dict from names to tensors, whatever file, folder or address they are in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flambeau.base.errors import ArgumentError, FileFormatError, did_you_mean, explain
from flambeau.hub.download import fetch
from flambeau.hub.huggingface import SCHEME, hf_path
from flambeau.serialization.formats import load
from flambeau.serialization.pth.machine import Opaque
from flambeau.tensor.tensor import Tensor

# The files of a model folder, best first: an index before the single file, safetensors before pickles.
_STEMS = ("model.safetensors", "pytorch_model.bin", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
_OTHERS = ("adapter_model.safetensors", "adapter_model.bin", "weights.safetensors")
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
# Under which key training programs keep the weights, most usual first.
_NESTS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params", "params_ema", "ema")

_DEEPEST = 64  # modules inside modules


def load_weights(source: str | os.PathLike[str], key: str | None = None, *, sha256: str | None = None) -> dict[str, Tensor]:
    """Read weights of any known format into `{name: tensor}`, in file order, on the CPU.

    `source` is a safetensors or PyTorch file (`.pt`, `.pth`, `.bin`, `.ckpt`), the index of a sharded model, or a folder such as a
    Hugging Face repository; or `hf://org/name@revision`; or the address of a file with its `sha256`. Tensors stay on a private memory
    map of the file where it allows that, so that only what is used is read, and writing to one does not change the file. Nothing is
    executed: objects of unknown classes beside the weights are passed over.

    A module that was pickled whole gives the names that its `state_dict()` had. In a training checkpoint the weights are found under the
    usual keys (`state_dict`, `model_state_dict`, `model`, ...); `key` names another one, with dots for nested dicts.

    Raises FileFormatError for damaged files, ArgumentError where there are no weights or it is not clear which.

    >>> import os, tempfile
    >>> import flambeau as fb
    >>> path = os.path.join(tempfile.mkdtemp(), "model.pt")
    >>> fb.save({"epoch": 3, "state_dict": {"w": fb.ones(2)}}, path, format="torch")
    >>> fb.hub.load_weights(path)
    {'w': tensor([1., 1.])}
    """
    path = _local(source, sha256)
    if path.is_dir():
        path = weight_file(path)
    found = load(path, "cpu", mmap=True, opaque=True)
    return _choose(found, key, str(path))


def _local(source: str | os.PathLike[str], sha256: str | None) -> Path:
    """The file or folder on this machine."""
    if isinstance(source, str) and source.startswith(SCHEME):
        return hf_path(source)
    if isinstance(source, str) and "://" in source:
        if sha256 is None:
            raise ArgumentError(explain(f"weights at {source}", expected="their sha256", got="none", hint="sha256='...'"))
        return fetch(source, sha256, progress=True)
    return Path(source)


def weight_file(folder: str | os.PathLike[str]) -> Path:
    """The file of weights (or index of shards) in a model folder. Raises ArgumentError if there is none or more than one could be meant."""
    base = Path(folder)
    for stem in _STEMS:
        for name in (f"{stem}.index.json", stem):
            if (base / name).is_file():
                return base / name
    others = [base / name for name in _OTHERS if (base / name).is_file()]
    if not others:
        others = sorted(path for path in base.iterdir() if path.suffix in _SUFFIXES and path.is_file())
    if len(others) != 1:
        got = f"{len(others)}: {[path.name for path in others[:5]]}" if others else "none"
        raise ArgumentError(explain(f"weights in {base}", expected=f"one file of {', '.join(_STEMS)}", got=got, hint="name the file"))
    return others[0]


def _choose(found: Any, key: str | None, source: str) -> dict[str, Tensor]:
    found = _plain(found)
    if key is not None:
        for part in key.split("."):
            if not isinstance(found, Mapping) or part not in found:
                known = [str(name) for name in found] if isinstance(found, Mapping) else []
                hint = did_you_mean(part, known) or f"one of {', '.join(known[:10])}"
                raise ArgumentError(explain(f"weights in {source}", expected=f"the key {part!r}", got="none", hint=hint))
            found = _plain(found[part])
        if not _is_weights(found):
            raise ArgumentError(explain(f"weights in {source}", expected=f"a dict of tensors under {key!r}", got=type(found).__name__))
        return _tensors(found)
    if _is_weights(found):
        return _tensors(found)
    inner = {name: _plain(value) for name, value in found.items()} if isinstance(found, Mapping) else {}
    candidates = {name: value for name, value in inner.items() if _is_weights(value)}
    for name in _NESTS:
        if name in candidates:
            return _tensors(candidates[name])
    if len(candidates) == 1:
        return _tensors(next(iter(candidates.values())))
    if not candidates:
        raise FileFormatError(explain(f"weights in {source}", expected="a dict of tensors", got=_outline(found)))
    names = ", ".join(repr(name) for name in candidates)
    raise ArgumentError(explain(f"weights in {source}", expected="one dict of tensors", got=names, hint=f"key={next(iter(candidates))!r}"))


def _plain(value: Any) -> Any:
    """A module that was pickled whole as the dict of its parameters and buffers; anything else as it is."""
    if not isinstance(value, Opaque) or not isinstance(value.state, dict) or "_parameters" not in value.state:
        return value
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any, int]] = [("", value, 0)]
    while waiting:
        prefix, module, depth = waiting.pop()
        state = getattr(module, "state", None)
        if not isinstance(state, dict) or depth > _DEEPEST:
            continue
        parts = [state.get(kind) for kind in ("_parameters", "_buffers", "_modules")]
        parameters, buffers, children = ({} if not isinstance(part, dict) else part for part in parts)
        found |= {f"{prefix}{name}": item for name, item in {**parameters, **buffers}.items() if isinstance(item, Tensor)}
        waiting.extend((f"{prefix}{name}.", child, depth + 1) for name, child in reversed(children.items()))
    return found


def _is_weights(value: Any) -> bool:
    """A dict from names to tensors; a few other values (versions, counters) may be among them."""
    if not isinstance(value, Mapping) or not value or not all(type(name) is str for name in value):
        return False
    tensors = sum(isinstance(item, Tensor) for item in value.values())
    return tensors > 0 and not any(_is_nested(item) for item in value.values())


def _is_nested(value: Any) -> bool:
    return isinstance(value, (Mapping, list)) and len(value) > 0


def _tensors(found: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in found.items() if isinstance(value, Tensor)}


def _outline(found: Any) -> str:
    if isinstance(found, Mapping):
        return f"a dict with {', '.join(f'{str(name)!r}: {type(value).__name__}' for name, value in list(found.items())[:8]) or 'nothing'}"
    return f"a {type(found).__name__}"
