"""The single entry point of every operation: calling a primitive sends it to the interceptor, if one is installed, or to `execute`.

The type of the input arrays chooses the executor (a device, vmap's batching, ...). Higher layers install themselves in `state`: how to
wrap an array in a tensor, how to record an operation for autograd, and an interceptor that sees every call (graph capture).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numpy import ndarray

from flambeau.base.errors import ArgumentError, DtypeError, FlambeauError, IndexingError, explain
from flambeau.base.shapes import broadcast_error
from flambeau.device.base import executor_for, executors
from flambeau.device.cpu import CPU_BACKEND, as_arrays
from flambeau.primitives.value import Value, link_view


class Interceptor:
    """Sees every primitive that is bound, and what happens to tensors besides. Graph capture is one; this one only lets things happen."""

    def __call__(self, prim: Any, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Run the primitive, or stand in for it."""
        return execute(prim, inputs, params)

    def write(self, x: Any, value: Any) -> None:
        """The memory of x is about to be overwritten with a value that broadcasts and converts to it."""

    def observe(self, x: Any, how: str) -> None:
        """A value of x is about to leave for Python (`item`, `numpy`, ...)."""

    def touch_grad(self, node: Any, old: Any) -> None:
        """The `.grad` of a leaf was set, cleared or added to; it was `old` before."""

    def read_grad(self, node: Any) -> None:
        """The `.grad` of a leaf is about to be looked at."""

    def later(self, why: str) -> None:
        """Something happens that happens only once, such as the making of state."""

    def guard(self, compute: Callable[[], Any], what: str) -> None:
        """What happens here holds while `compute()` gives what it gives now; `what` names that for people."""

    def runtime(self, compute: Any) -> list[dict[str, Any]]:
        """Tables of numbers that host code, `compute()`, computes anew for each run of a program; `compute.undo()` takes one back."""
        found: list[dict[str, Any]] = compute()
        return found

    def effect(self, call: Callable[[], Any], what: str) -> None:
        """Host code changed Python state; `call()` does it again, after each run of a program. `what` names it for people."""

    def item(self, x: Any, value: Any) -> Any:
        """The only element of a tensor, `value`, is about to leave for Python; what goes out in its place."""
        self.observe(x, "item")
        return value


class State:
    """What the layers above have installed."""

    __slots__ = ("draw", "interceptor", "record", "wrap")
    draw: Callable[[Any, dict[str, Any]], Any] | None  # how to draw random numbers, if it matters where (inside vmap)
    interceptor: Interceptor | None
    wrap: Callable[[Any], Any]
    record: Callable[[Any, tuple[Any, ...], dict[str, Any], Any], None]


state = State()
state.draw = state.interceptor = None


def execute(prim: Any, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Run now, on the executor of the inputs' arrays, and record for autograd."""
    arrays = []
    kind: Any = None
    first: Any = None
    mixed = record = numbers = False
    for x in inputs:
        if isinstance(x, Value):
            a = x._a
            arrays.append(a)
            if type(a) is not kind:
                mixed = kind is not None
                kind, first = type(a), a
            if x._node is not None:
                record = True
        else:
            arrays.append(x)
            numbers = True
    if numbers and prim.elementwise:
        type_numbers(arrays)
    try:
        if kind is ndarray and not mixed:  # the CPU, without the detour
            result = prim.on_numpy(*arrays, **params) if first.size < CPU_BACKEND.large else CPU_BACKEND.run_large(prim, arrays, params)
            if type(result) is not ndarray:
                result = as_arrays(result)
        else:
            executor = executor_for(prim.name, {type(x._a) for x in inputs if isinstance(x, Value)}) if mixed else executors[kind]
            result = executor.run(prim, arrays, inputs, params)
    except FlambeauError:
        raise
    except (ValueError, TypeError, IndexError, ArithmeticError, KeyError) as error:
        raise kernel_error(prim, arrays, params, error) from error
    if type(result) is tuple:
        out: Any = tuple([state.wrap(r) for r in result])
    else:
        out = state.wrap(result)
        if prim.view:
            link_view(inputs[0], out, prim.view)
    if record and prim.rules is not None:
        state.record(prim, inputs, params, out)
    return out


def run_kernel(executor: Any, prim: Any, arrays: list[Any], inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """A primitive on an executor's arrays, with errors that say which operation failed on what."""
    try:
        return executor.run(prim, arrays, inputs, params)
    except FlambeauError:
        raise
    except (ValueError, TypeError, IndexError, ArithmeticError, KeyError) as error:
        raise kernel_error(prim, arrays, params, error) from error


def type_numbers(arrays: list[Any]) -> None:
    """Give Python numbers the dtype of a bfloat16 operand: ml_dtypes does not take them as weak, as NumPy's own types do."""
    d = next(a.dtype for a in arrays if hasattr(a, "dtype"))
    if d.kind == "V":
        arrays[:] = [a if hasattr(a, "dtype") else d.type(a) for a in arrays]


def detached(x: Any) -> Any:
    """The value of a tensor without its node, in the same storage."""
    plain = state.wrap(x._a)
    plain._st = x._st
    return plain


def host_values(x: Any, how: str) -> Any:
    """The values of a tensor as a NumPy array, for host code that decides by them (`how` says which): an interceptor is told."""
    if state.interceptor is not None:
        state.interceptor.observe(x, how)
    return executors[type(x._a)].to_numpy(x._a)


def kernel_error(prim: Any, arrays: list[Any], params: dict[str, Any], error: Exception) -> FlambeauError:
    """Say which operation failed on what, in place of the array library's words alone."""
    shaped = [a for a in arrays if hasattr(a, "shape")]
    if "broadcast" in str(error) and prim.elementwise:
        return broadcast_error(prim.name, [a.shape for a in shaped])
    operands = ", ".join(f"{a.dtype}{list(a.shape)}" if hasattr(a, "shape") else repr(a) for a in arrays)
    given = operands + "".join(f", {k}={v!r}" for k, v in params.items())
    if isinstance(error, IndexError):
        return IndexingError(explain(prim.name, expected="indices within the axis", got=f"{given} ({error})"))
    if isinstance(error, TypeError) or "dtype" in str(error):
        return DtypeError(explain(prim.name, expected="operands it supports", got=f"{given} ({error})", hint="convert with .to(dtype)"))
    return ArgumentError(explain(prim.name, expected="operands that it can take", got=f"{given} ({error})"))


@contextmanager
def intercept(interceptor: Interceptor | None) -> Iterator[None]:
    """Send every operation to `interceptor(prim, inputs, params)` within the block; None lets them run."""
    previous, state.interceptor = state.interceptor, interceptor
    try:
        yield
    finally:
        state.interceptor = previous
