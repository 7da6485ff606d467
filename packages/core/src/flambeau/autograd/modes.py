"""Switches of autograd, one set per thread: recording (`no_grad`, `enable_grad`), inference mode, anomaly detection."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
_GENERATOR = 0x20  # inspect.CO_GENERATOR, without the cost of importing inspect


class Modes(threading.local):
    """The switches of a thread; a new thread starts with recording on."""

    grad: bool = True
    inference: bool = False
    anomaly: bool = False
    check_nan: bool = True
    hooks: tuple[tuple[Any, Any], ...] = ()  # pack and unpack hooks for saved values, the innermost last
    hooks_refused: str | None = None  # why hooks may not be used here
    watched: bool = False  # anomaly detection or hooks: the one switch that recording looks at
    vmap: int = 0  # how many vmaps are running
    casting: tuple[tuple[str, Any], ...] | None = None  # autocast: the low precision of each type of device that has one
    task: Any = None  # the backward pass that is running


mode = Modes()


class _Switch:
    """Context manager and decorator that sets one switch and restores it."""

    def __init__(self, **values: Any) -> None:
        self._values = values
        self._saved: list[dict[str, Any]] = []

    def __enter__(self) -> Any:
        self._saved.append({name: getattr(mode, name) for name in self._values})
        for name, value in self._values.items():
            setattr(mode, name, value)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name, value in self._saved.pop().items():
            setattr(mode, name, value)

    def __call__(self, fn: F) -> F:
        if isinstance(fn, type):
            fn.__init__ = self(fn.__init__)  # type: ignore[misc]
            return fn
        if getattr(getattr(fn, "__code__", None), "co_flags", 0) & _GENERATOR:
            return self._generator(fn)
        values = self._values

        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _Switch(**values):
                return fn(*args, **kwargs)

        return wrapped  # type: ignore[return-value]

    def _generator(self, fn: F) -> F:
        """The switch holds while the generator runs, not while it waits."""
        values = self._values

        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            generator = fn(*args, **kwargs)
            sent = None
            while True:
                try:
                    with _Switch(**values):
                        item = generator.send(sent)
                except StopIteration as stop:
                    return stop.value
                sent = yield item

        return wrapped  # type: ignore[return-value]


class no_grad(_Switch):
    """Do not record operations: results do not require grad. A context manager and a decorator.

    >>> import flambeau as fb
    >>> x = fb.ones(2, requires_grad=True)
    >>> with fb.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __new__(cls, fn: Any = None) -> Any:
        if fn is not None and callable(fn):
            return cls()(fn)
        return super().__new__(cls)

    def __init__(self, fn: Any = None) -> None:
        super().__init__(grad=False)


class enable_grad(_Switch):
    """Record operations again inside a `no_grad` block."""

    def __new__(cls, fn: Any = None) -> Any:
        if fn is not None and callable(fn):
            return cls()(fn)
        return super().__new__(cls)

    def __init__(self, fn: Any = None) -> None:
        super().__init__(grad=True)


class set_grad_enabled(_Switch):
    """Switch recording on or off, at once as a call, or for a block."""

    def __init__(self, mode: bool) -> None:
        super().__init__(grad=bool(mode))
        self._before = {"grad": globals()["mode"].grad}
        globals()["mode"].grad = bool(mode)

    def __enter__(self) -> Any:
        self._saved.append(self._before)
        mode.grad = self._values["grad"]
        return self

    def __call__(self, fn: F) -> F:
        mode.grad = self._before["grad"]
        return super().__call__(fn)


class inference_mode(_Switch):
    """As `no_grad`, for code that will never need gradients of what is computed inside."""

    def __new__(cls, mode: Any = True) -> Any:
        if callable(mode):
            return cls()(mode)
        return super().__new__(cls)

    def __init__(self, mode: Any = True) -> None:
        super().__init__(**({"grad": False, "inference": True} if mode else {"inference": False}))


class detect_anomaly(_Switch):
    """Name the forward line whose backward fails or gives NaN. Slow: it keeps a traceback for each operation."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(anomaly=True, check_nan=check_nan)

    def __enter__(self) -> Any:
        super().__enter__()
        mode.watched = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        mode.watched = mode.anomaly or bool(mode.hooks)


class set_detect_anomaly(detect_anomaly):
    """Switch anomaly detection on or off, at once as a call, or for a block."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        _Switch.__init__(self, anomaly=bool(mode), check_nan=check_nan)
        self._before = {name: getattr(globals()["mode"], name) for name in self._values}
        current = globals()["mode"]
        for name, value in self._values.items():
            setattr(current, name, value)
        current.watched = current.anomaly or bool(current.hooks)

    def __enter__(self) -> Any:
        self._saved.append(self._before)
        return self


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return mode.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is in inference mode."""
    return mode.inference


def is_anomaly_enabled() -> bool:
    """Whether this thread looks for anomalies."""
    return mode.anomaly
