"""The state of an environment, as far as it can be read from outside: what makes a resumed run go on in the middle of an episode.

Gymnasium has no call for this. But most environments in Python keep their state in plain attributes: numbers, text, arrays, NumPy random
generators, and containers of these. `take` collects them from the environment, its wrappers and, in a `SyncVectorEnv`, its environments;
`restore` writes them back into environments that were built in the same way. Spaces, functions, specs and enums are settings, not state. An
environment with anything else in it (a physics engine, a process) cannot be read: `take` says what it was.

An environment may offer `state_dict()` and `load_state_dict(state)` instead; these are then used for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import VectorEnv, VectorWrapper

from flambeau.base.errors import FlambeauError, explain

_SETTINGS = (gymnasium.Space, EnvSpec, Enum, type, ModuleType, FunctionType, MethodType, BuiltinFunctionType, partial)
_ENVIRONMENTS = (gymnasium.Env, VectorEnv, VectorWrapper)
_KIND = "!kind"


class NoSnapshot(FlambeauError, TypeError):
    """The environment's state cannot be read, or does not belong to this environment."""


class _IsSetting(Exception):
    """The value is part of how an environment was built."""


def take(env: Any) -> list[dict[str, Any]]:
    """The state of `env` and everything below it, as values that `flambeau.save` stores. Raises NoSnapshot."""
    return [_read(node) for node in _nodes(env)]


def restore(env: Any, state: list[dict[str, Any]]) -> None:
    """Write a state that `take` gave into an environment that was built in the same way and has been reset.

    Raises NoSnapshot when it does not fit; then `env` must be reset before it is used.
    """
    nodes = list(_nodes(env))
    names = [type(node).__name__ for node in nodes]
    saved = [str(part.get("type")) for part in state]
    if names != saved:
        raise NoSnapshot(explain("environment", expected=" > ".join(saved), got=" > ".join(names)))
    for node, part in zip(nodes, state, strict=True):
        _write(node, part)


def _nodes(env: Any) -> Iterator[Any]:
    """The environment, then those that it wraps or holds."""
    seen: set[int] = set()
    waiting = [env]
    while waiting:
        node = waiting.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        for value in vars(node).values():
            waiting += [item for item in (value if isinstance(value, (list, tuple)) else (value,)) if isinstance(item, _ENVIRONMENTS)]


def _read(node: Any) -> dict[str, Any]:
    if hasattr(type(node), "state_dict"):
        return {"type": type(node).__name__, "state": node.state_dict()}
    values = {}
    for name, value in vars(node).items():
        try:
            values[name] = _encode(value)
        except _IsSetting:
            continue
        except NoSnapshot as error:
            got = f"{type(node).__name__}.{name} = {error}"
            raise NoSnapshot(explain("environment", expected="state in plain attributes", got=got)) from None
    return {"type": type(node).__name__, "values": values}


def _write(node: Any, part: Mapping[str, Any]) -> None:
    if hasattr(type(node), "state_dict"):
        node.load_state_dict(part["state"])
        return
    strange = part["values"].keys() - vars(node).keys()
    if strange:
        got = f"a state with {', '.join(sorted(strange))}"
        raise NoSnapshot(explain(type(node).__name__, expected="the attributes of this environment", got=got))
    for name, value in part["values"].items():
        vars(node)[name] = _decode(value)


def _encode(value: Any) -> Any:
    """Plain data as it is or, where `flambeau.save` needs help, as a dict with its kind. Raises _IsSetting or NoSnapshot."""
    if value is None or type(value) in (bool, int, float, complex, str, bytes):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return value.copy()
    if isinstance(value, np.ndarray) and value.dtype.kind in "SU":
        return {_KIND: "text", "items": value.tolist(), "dtype": value.dtype.str}
    if isinstance(value, np.generic) and value.dtype.kind in "biufc":
        return {_KIND: "scalar", "array": np.asarray(value)}
    if isinstance(value, np.random.Generator):
        return {_KIND: "generator", "state": value.bit_generator.state}
    if type(value) in (list, tuple):
        return type(value)(_encode(item) for item in value)
    if type(value) is set:
        return {_KIND: "set", "items": [_encode(item) for item in value]}
    if type(value) is deque:
        return {_KIND: "deque", "items": [_encode(item) for item in value], "maxlen": value.maxlen}
    if type(value) is dict:
        return {_KIND: "dict", "items": [[_encode(key), _encode(item)] for key, item in value.items()]}
    if isinstance(value, (*_SETTINGS, *_ENVIRONMENTS)):
        raise _IsSetting
    raise NoSnapshot(f"a {type(value).__module__}.{type(value).__qualname__}")


def _decode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(_decode(item) for item in value)
    if not isinstance(value, dict):
        return value
    if value[_KIND] == "scalar":
        return value["array"][()]
    if value[_KIND] == "text":
        return np.array(value["items"], value["dtype"])
    if value[_KIND] == "generator":
        return _generator(value["state"])
    if value[_KIND] == "deque":
        return deque(map(_decode, value["items"]), value["maxlen"])
    if value[_KIND] == "set":
        return set(map(_decode, value["items"]))
    return {_decode(key): _decode(item) for key, item in value["items"]}


_BIT_GENERATORS = {
    kind.__name__: kind for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


def _generator(state: Mapping[str, Any]) -> np.random.Generator:
    try:
        bits: Any = _BIT_GENERATORS[state["bit_generator"]]()
        bits.state = state
    except (KeyError, TypeError, ValueError) as error:
        raise NoSnapshot(explain("environment", expected="the state of a NumPy generator", got=repr(error))) from None
    return np.random.Generator(bits)
