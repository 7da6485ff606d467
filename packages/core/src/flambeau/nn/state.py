"""state_dict and load_state_dict. `Module` builds on this class."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from flambeau.autograd.hooks import RemovableHandle
from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentTypeError, FlambeauError, explain
from flambeau.nn.hooks import add
from flambeau.nn.parameter import Parameter
from flambeau.nn.tree import Tree
from flambeau.tensor.creation import from_numpy
from flambeau.tensor.tensor import Tensor

EXTRA = "_extra_state"


class StateDictError(FlambeauError, RuntimeError):
    """A state dict does not fit the module."""


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Stateful(Tree):
    """The state of a module as an ordered dict of tensors, and back."""

    _version: int = 1
    _state_dict_pre_hooks: dict[int, Callable[..., Any]]
    _state_dict_hooks: dict[int, Callable[..., Any]]
    _load_state_dict_pre_hooks: dict[int, Callable[..., Any]]
    _load_state_dict_post_hooks: dict[int, Callable[..., Any]]

    # -- out ----------------------------------------------------------------------------------------------------------------------------
    def state_dict(self, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """An ordered dict of all parameters and persistent buffers by dotted name, detached but sharing memory (as they are with
        `keep_vars=True`). Its attribute `_metadata` holds the version of every module.

        >>> import flambeau as fb
        >>> list(fb.nn.Linear(2, 3).state_dict())
        ['weight', 'bias']
        """
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            result = hook(self, destination, prefix, local_metadata)
            destination = destination if result is None else result
        return destination

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Put the module's own tensors into `destination`; overridden where a module's state is not just its tensors."""
        for name, value in self._own_state().items():
            destination[prefix + name] = value if keep_vars else value.detach()
        if type(self).get_extra_state is not Stateful.get_extra_state:
            destination[prefix + EXTRA] = self.get_extra_state()

    def _own_state(self) -> dict[str, Tensor]:
        buffers = {k: v for k, v in self._buffers.items() if k not in self._non_persistent_buffers_set}
        return {name: value for name, value in {**self._parameters, **buffers}.items() if value is not None}

    def get_extra_state(self) -> Any:
        """State beyond tensors, saved under `_extra_state`; override together with `set_extra_state`."""
        raise NotImplementedError(explain("get_extra_state", expected=f"{type(self).__name__} to define it"))

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise NotImplementedError(explain("set_extra_state", expected=f"{type(self).__name__} to define it"))

    # -- in -----------------------------------------------------------------------------------------------------------------------------
    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> IncompatibleKeys:
        """Copy the tensors (or NumPy arrays) of a state dict into this module; `assign=True` takes over the tensors themselves.

        Names that do not match are an error, or with `strict=False` the result. Shapes that do not match are always an error; all problems
        are listed in one StateDictError.
        """
        if not isinstance(state_dict, Mapping):
            raise ArgumentTypeError(explain("load_state_dict", expected="a dict of tensors", got=type(state_dict).__name__))
        metadata = getattr(state_dict, "_metadata", None)
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        found = OrderedDict(state_dict)
        if metadata is not None:
            found._metadata = metadata  # type: ignore[attr-defined]

        def load(module: Any, local: Any, prefix: str) -> None:
            facts = {} if metadata is None else dict(metadata.get(prefix[:-1], {}))
            if assign:
                facts["assign_to_params_buffers"] = True
            module._load_from_state_dict(local, prefix, facts, True, missing, unexpected, errors)
            for name, child in module._modules.items():
                if child is not None:
                    inner = f"{prefix}{name}."
                    load(child, {k: v for k, v in local.items() if k.startswith(inner)}, inner)
            incompatible = IncompatibleKeys(missing, unexpected)
            for hook in module._load_state_dict_post_hooks.values():
                if hook(module, incompatible) is not None:
                    raise ArgumentTypeError(
                        explain("load_state_dict post-hook", expected="None (change the lists in place)", got="a value")
                    )

        load(self, found, "")
        if strict:
            errors = _key_errors(missing, unexpected) + errors
        if errors:
            lines = "".join(f"\n    {e}" for e in errors)
            raise StateDictError(f"load_state_dict: the state does not fit {type(self).__name__}:{lines}")
        return IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load the module's own tensors (not those of submodules); overridden where names or shapes of old files need care."""
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        assign = local_metadata.get("assign_to_params_buffers", False)
        own = self._own_state()
        for name, target in own.items():
            key = prefix + name
            if key in state_dict:
                error = self._load_tensor(name, key, target, state_dict[key], assign)
                error_msgs.extend([error] if error else [])
            elif strict:
                missing_keys.append(key)
        if type(self).set_extra_state is not Stateful.set_extra_state:
            if prefix + EXTRA in state_dict:
                self.set_extra_state(state_dict[prefix + EXTRA])
            elif strict:
                missing_keys.append(prefix + EXTRA)
        elif strict and prefix + EXTRA in state_dict:
            unexpected_keys.append(prefix + EXTRA)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != prefix + EXTRA:
                    first, dot, _ = key[len(prefix) :].partition(".")
                    if first not in (self._modules if dot else own):
                        unexpected_keys.append(key)

    def _load_tensor(self, name: str, key: str, target: Tensor, value: Any, assign: bool) -> str:
        """Copy or assign one tensor; returns what is wrong, if anything."""
        if isinstance(value, np.ndarray):
            value = from_numpy(value)
        if not isinstance(value, Tensor):
            return f"{key}: expected a tensor in the state, got {type(value).__name__}"
        if target._a.ndim == 0 and value._a.shape == (1,):
            value = value[0]  # files of PyTorch 0.3 and older have no zero-dimensional tensors
        if value._a.shape != target._a.shape:
            return f"size mismatch for {key}: the state has shape {tuple(value.shape)}, the module has {tuple(target.shape)}"
        if assign:
            if isinstance(target, Parameter) and not isinstance(value, Parameter):
                value = Parameter(value, requires_grad=target.requires_grad)
            elif isinstance(value, Parameter):
                value.requires_grad_(target.requires_grad)
            setattr(self, name, value)
            return ""
        if target.is_meta:
            return (
                f"{key}: the module's tensor is on device 'meta' and has no memory. Try: assign=True, or module.to_empty(device=...) first"
            )
        with no_grad():
            target.copy_(value)
        return ""

    # -- hooks --------------------------------------------------------------------------------------------------------------------------
    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before the module's state is gathered."""
        return add(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after it was gathered; it may change the dict in place."""
        return add(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)` before loading."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(self, hook: Callable[..., Any], with_module: bool = False) -> RemovableHandle:
        return add(self._load_state_dict_pre_hooks, _WithModule(hook, self) if with_module else hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading; it may change the lists of keys in place."""
        return add(self._load_state_dict_post_hooks, hook)


class _WithModule:
    """A hook with the module as its first argument; a class so that a deep copy or pickle of the module keeps them together."""

    def __init__(self, hook: Callable[..., Any], module: Any) -> None:
        self.hook, self.module = hook, module

    def __call__(self, *args: Any) -> Any:
        return self.hook(self.module, *args)


def _key_errors(missing: list[str], unexpected: list[str]) -> list[str]:
    errors = []
    if missing:
        errors.append("Missing key(s) in state_dict: " + ", ".join(f'"{k}"' for k in missing) + ".")
    if unexpected:
        errors.append("Unexpected key(s) in state_dict: " + ", ".join(f'"{k}"' for k in unexpected) + ".")
    if missing and unexpected:
        errors.extend(_prefix_hint(missing, unexpected))
    return errors


def _prefix_hint(missing: list[str], unexpected: list[str]) -> list[str]:
    """The names often differ by a prefix such as `module.`, which wrappers add."""
    found = set(unexpected)
    for key in unexpected:
        if key.endswith(missing[0]) and {key[: -len(missing[0])] + m for m in missing} <= found:
            return [f"Try: strip the prefix {key[: -len(missing[0])]!r} from the keys."]
        if missing[0].endswith(key) and {m[len(missing[0]) - len(key) :] for m in missing} <= found:
            return [f"Try: add the prefix {missing[0][: -len(key)]!r} to the keys."]
    return []
