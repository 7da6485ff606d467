"""Process-wide switches under PyTorch's names: threads, determinism, precision of products.

Results on the CPU are deterministic whatever these say. The number of threads holds for NumPy's BLAS and for Flambeau's own kernels.
"""

from __future__ import annotations

import os

from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain


class _Values:
    """What is set."""

    threads: int | None = None
    interop_threads: int | None = None
    deterministic = False
    warn_only = False
    matmul_precision = "highest"


_values = _Values()


def _count(op: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentTypeError(explain(op, expected="an int", got=f"{type(value).__name__} {value!r}"))
    if value < 1:
        raise ArgumentError(explain(op, expected="a positive number of threads", got=str(value)))
    return value


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def set_num_threads(int: int) -> None:
    """Set how many threads an operation uses on the CPU. Small matrices (a few hundred rows) are quickest on one.

    >>> import flambeau as fb
    >>> before = fb.get_num_threads()
    >>> fb.set_num_threads(1)
    >>> fb.get_num_threads()
    1
    >>> fb.set_num_threads(before)
    """
    from threadpoolctl import threadpool_limits

    _values.threads = _count("set_num_threads", int)
    threadpool_limits(_values.threads, user_api="blas")


def get_num_threads() -> int:
    """How many threads an operation uses on the CPU: as set, or the cores that this process may use.

    >>> get_num_threads() >= 1
    True
    """
    return _values.threads or _cores()


def set_num_interop_threads(int: int) -> None:
    """Keep a number for `get_num_interop_threads`: operations run one after the other here, so it changes nothing."""
    _values.interop_threads = _count("set_num_interop_threads", int)


def get_num_interop_threads() -> int:
    """The number kept by `set_num_interop_threads`, or the cores that this process may use. It has no effect."""
    return _values.interop_threads or _cores()


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for operations that give the same bits each time. On the CPU all do; on a GPU, sums over repeated indices do not."""
    _values.deterministic, _values.warn_only = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """Whether `use_deterministic_algorithms` was switched on."""
    return _values.deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether a warning was asked for in place of an error."""
    return _values.deterministic and _values.warn_only


def set_float32_matmul_precision(precision: str) -> None:
    """Allow float32 matrix products to be rounded inside: "highest" (not at all), "high", "medium"."""
    if precision not in ("highest", "high", "medium"):
        raise ArgumentError(explain("set_float32_matmul_precision", expected="'highest', 'high' or 'medium'", got=repr(precision)))
    _values.matmul_precision = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` allows."""
    return _values.matmul_precision


__all__ = """
are_deterministic_algorithms_enabled get_float32_matmul_precision get_num_interop_threads get_num_threads
is_deterministic_algorithms_warn_only_enabled set_float32_matmul_precision set_num_interop_threads set_num_threads
use_deterministic_algorithms
""".split()
