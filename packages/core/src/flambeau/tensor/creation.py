"""New tensors: from data, constants, ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base import dtypes
from flambeau.base.dtypes import dtype as DType
from flambeau.base.errors import ArgumentTypeError, DeviceError, DtypeError, ShapeError, explain
from flambeau.base.shapes import given, sizes_from
from flambeau.device.base import backend, default_device, device, executors
from flambeau.primitives import source as rows
from flambeau.primitives.source import source
from flambeau.tensor.tensor import Tensor, wrap


def _where(value: Any) -> device | None:
    return value if value is None or isinstance(value, device) else device(value)


def _finish(t: Tensor, requires_grad: bool) -> Tensor:
    return t.requires_grad_() if requires_grad else t


def host_array(data: Any, dtype: Any, op: str) -> np.ndarray:
    """A NumPy array of data as PyTorch reads it: Python floats take the default dtype, Python ints int64."""
    if isinstance(data, Tensor):
        array = data.numpy(force=True)
    elif isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
    else:
        array = _from_python(data, op)
        if dtype is None and not _typed(data):
            array = _default_precision(array)
    if dtype is not None:
        wanted = dtypes.as_dtype(dtype, op).numpy
        if array.dtype.kind == "c" and wanted.kind != "c" and not isinstance(data, (np.ndarray, Tensor)):
            raise DtypeError(explain(op, expected=f"real numbers for dtype {dtypes.of(wanted)!r}", got="a complex one", hint=".real"))
        return array if array.dtype == wanted else array.astype(wanted)
    dtypes.of(array.dtype)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _from_python(data: Any, op: str) -> np.ndarray:
    if isinstance(data, (list, tuple)) and _holds_tensors(data):
        data = _untensor(data)
    try:
        array = np.asarray(data)
    except (ValueError, TypeError) as error:
        raise ShapeError(
            explain(op, expected="nested sequences of equal lengths, or an array", got=str(error).split(" The detected")[0].rstrip("."))
        ) from None
    except OverflowError:
        raise DtypeError(explain(op, expected="integers that fit int64", got=repr(data)[:80])) from None
    if array.dtype.kind not in "biufcV":
        got = f"{type(data).__name__} {str(data)[:60]!r}"
        raise ArgumentTypeError(explain(op, expected="numbers or an array of them", got=got))
    return array


def _default_precision(array: np.ndarray) -> np.ndarray:
    """NumPy reads Python floats as float64; without a dtype they take the default one."""
    if array.dtype == np.float64:
        return array.astype(dtypes.default_dtype().numpy)
    if array.dtype == np.complex128:
        return array.astype(dtypes.default_dtype().to_complex().numpy)
    return array


def _typed(data: Any) -> bool:
    """Whether the data has a dtype of its own: an array, or nested sequences of NumPy values."""
    if hasattr(data, "__array__") or hasattr(data, "__array_interface__") or hasattr(data, "__dlpack__"):
        return True
    return isinstance(data, (list, tuple)) and _first(data) is not None


def _first(data: Any) -> Any:
    """The first leaf of nested sequences if it is a tensor or a NumPy value (whose dtype then counts)."""
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return data if isinstance(data, (Tensor, np.ndarray, np.generic)) else None


def _holds_tensors(data: Any) -> bool:
    return any(isinstance(x, Tensor) or (isinstance(x, (list, tuple)) and _holds_tensors(x)) for x in data)


def _untensor(data: Any) -> Any:
    return [x.numpy(force=True) if isinstance(x, Tensor) else _untensor(x) if isinstance(x, (list, tuple)) else x for x in data]


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """A new tensor with a copy of `data` (numbers, nested sequences, arrays, tensors).

    >>> import flambeau as fb
    >>> fb.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    array = host_array(data, dtype, "tensor")
    where = _where(device) or (data.device if isinstance(data, Tensor) else default_device())
    if isinstance(data, (np.ndarray, np.generic, Tensor)) or np.may_share_memory(array, array.base if array.base is not None else array):
        array = np.array(array, copy=True, order="C")
    owner = backend(where)
    if pin_memory:
        array = owner.pin(array)
    return _finish(wrap(owner.from_numpy(array, where)), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of `data`, without a copy where it can be avoided (tensors keep their history, NumPy arrays share memory)."""
    where = _where(device)
    if isinstance(data, Tensor):
        return data if dtype is None and where is None else data.to(device=where, dtype=dtype)
    if where is None:
        where = default_device()
    return wrap(backend(where).from_numpy(_writable(host_array(data, dtype, "as_tensor")), where))


asarray = as_tensor


def _writable(array: np.ndarray) -> np.ndarray:
    return array if array.flags.writeable else array.copy()


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares memory with a NumPy array.

    >>> import numpy as np, flambeau as fb
    >>> a = np.zeros(2)
    >>> t = fb.from_numpy(a)
    >>> a[0] = 5
    >>> t
    tensor([5., 0.], dtype=float64)
    """
    if not isinstance(array, np.ndarray):
        raise ArgumentTypeError(explain("from_numpy", expected="a numpy.ndarray", got=type(array).__name__, hint="flambeau.tensor(...)"))
    dtypes.of(array.dtype)
    if not array.dtype.isnative:
        raise DtypeError(
            explain("from_numpy", expected="native byte order", got=str(array.dtype), hint='array.astype(array.dtype.newbyteorder("="))')
        )
    return wrap(array)


def legacy(args: tuple[Any, ...], d: DType, where: Any) -> Tensor:
    """`Tensor(2, 3)` and `Tensor([1., 2.])`."""
    if len(args) == 0:
        return empty(0, dtype=d, device=where)
    if len(args) == 1 and not isinstance(args[0], int):
        data = args[0]
        if isinstance(data, Tensor) and data.dtype is d and where is None:
            return data.detach()
        return (
            empty(*data, dtype=d, device=where)
            if isinstance(data, tuple) and hasattr(data, "numel")
            else tensor(data, dtype=d, device=where)
        )
    return empty(*args, dtype=d, device=where)


def _sized(sizes: tuple[Any, ...], op: str) -> tuple[int, ...]:
    shape = sizes_from(op, sizes)
    if any(n < 0 for n in shape):
        raise ShapeError(explain(op, expected="sizes that are not negative", got=str(shape)))
    return shape


def _type(dtype: Any, op: str) -> np.dtype:
    return (dtypes.default_dtype() if dtype is None else dtypes.as_dtype(dtype, op)).numpy


def _check_layout(op: str, layout: Any, out: Any) -> None:
    if layout is not None and "strided" not in str(layout):
        raise DtypeError(explain(op, expected="strided tensors", got=f"layout={layout!r}"))


def empty(
    *sizes: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of uninitialised values."""
    _check_layout("empty", layout, None)
    return _finish(
        source(rows.empty, _where(device), shape=_sized(given(sizes, size), "empty"), dtype=_type(dtype, "empty")), requires_grad
    )


def _constant(op: str, value: Any) -> Any:
    def make(
        *sizes: Any,
        size: Any = None,
        out: Any = None,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
    ) -> Tensor:
        _check_layout(op, layout, out)
        made = source(rows.full, _where(device), shape=_sized(given(sizes, size), op), value=value, dtype=_type(dtype, op))
        if out is not None:
            return out.resize_(made.shape).copy_(made)
        return _finish(made, requires_grad)

    make.__name__ = make.__qualname__ = op
    make.__doc__ = f"""A tensor of {op}.

    >>> import flambeau as fb
    >>> fb.{op}(2, dtype=fb.int64)
    tensor([{value}, {value}])
    """
    return make


zeros = _constant("zeros", 0)
ones = _constant("ones", 1)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None) -> Tensor:
    """A tensor filled with one value, whose type decides the dtype where none is given."""
    _check_layout("full", layout, None)
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    if not isinstance(fill_value, (int, float, complex, np.generic)):
        raise ArgumentTypeError(explain("full", expected="a number", got=f"{type(fill_value).__name__} {fill_value!r:.40}"))
    d = dtypes.scalar_dtype(fill_value).numpy if dtype is None else _type(dtype, "full")
    shape = _sized((size,) if isinstance(size, (tuple, list)) else ((size,),), "full")
    return _finish(source(rows.full, _where(device), shape=shape, value=fill_value, dtype=d), requires_grad)


def adopted(like: Tensor, made: Tensor) -> Tensor:
    """A new tensor as one that goes with `like`: inside vmap, one with memory for each example."""
    a = like._a
    return made if type(a) is np.ndarray else executors[type(a)].adopt(a, made)


def _like(op: str, value: Any) -> Any:
    def make(
        input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None, memory_format: Any = None
    ) -> Tensor:
        d = input._a.dtype if dtype is None else dtypes.as_dtype(dtype, op).numpy
        where = input.device if device is None else _where(device)
        return _finish(adopted(input, source(rows.full, where, shape=input._a.shape, value=value, dtype=d)), requires_grad)

    make.__name__ = make.__qualname__ = op
    make.__doc__ = f"A tensor of the shape, dtype and device of `input`, filled with {value}."
    return make


zeros_like = _like("zeros_like", 0)
ones_like = _like("ones_like", 1)


def empty_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None, memory_format: Any = None
) -> Tensor:
    """An uninitialised tensor of the shape, dtype and device of `input`."""
    d = input._a.dtype if dtype is None else dtypes.as_dtype(dtype, "empty_like").numpy
    where = input.device if device is None else _where(device)
    return _finish(adopted(input, source(rows.empty, where, shape=input._a.shape, dtype=d)), requires_grad)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of the shape, dtype and device of `input`, filled with one value."""
    return _like("full_like", fill_value)(input, dtype=dtype, device=device, requires_grad=requires_grad)


def arange(
    *args: Any,
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    out: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
) -> Tensor:
    """Numbers from `start` up to (not including) `end`: `arange(end)`, `arange(start, end)`, `arange(start, end, step)`.

    >>> import flambeau as fb
    >>> fb.arange(1, 7, 2)
    tensor([1, 3, 5])
    """
    if len(args) == 1:
        end = args[0]
    elif args:
        start, end, step = (*args, step)[:3]
    start, end, step = (x.item() if isinstance(x, (Tensor, np.generic)) else x for x in (start, end, step))
    if not all(isinstance(x, (int, float)) for x in (start, end, step)):
        raise ArgumentTypeError(explain("arange", expected="numbers", got=f"start={start!r}, end={end!r}, step={step!r}"))
    if step == 0 or (end - start) * step < 0:
        raise ShapeError(explain("arange", expected="a step that leads from start to end", got=f"start={start}, end={end}, step={step}"))
    floating = any(isinstance(x, float) for x in (start, end, step))
    d = (dtypes.default_dtype() if floating else dtypes.int64).numpy if dtype is None else _type(dtype, "arange")
    made = source(rows.arange, _where(device), start=start, stop=end, step=step, dtype=d)
    return _finish(made if out is None else out.resize_(made.shape).copy_(made), requires_grad)


def range_(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Numbers from `start` to `end`, both included (float by default)."""
    count = int((end - start) / step) + 1
    return (arange(count, dtype=_type(dtype, "range"), device=device) * step + start).requires_grad_(requires_grad)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
) -> Tensor:
    """`steps` evenly spaced numbers from `start` to `end`, both included."""
    start, end = (x.item() if isinstance(x, (Tensor, np.generic)) else x for x in (start, end))
    if steps < 0:
        raise ShapeError(explain("linspace", expected="steps >= 0", got=str(steps)))
    return _finish(
        source(rows.linspace, _where(device), start=start, stop=end, steps=int(steps), dtype=_type(dtype, "linspace")), requires_grad
    )


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`base` to the powers `linspace(start, end, steps)`."""
    d = dtypes.default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    powers = linspace(start, end, steps, dtype=dtypes.float64, device=device)
    return (base**powers).to(d).requires_grad_(requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None) -> Tensor:
    """The identity matrix with n rows and m columns (n where left out)."""
    n, m = _sized((n, n if m is None else m), "eye")
    return _finish(source(rows.eye, _where(device), n=n, m=m, dtype=_type(dtype, "eye")), requires_grad)


def scalar_tensor(value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A zero-dimensional tensor of the default dtype."""
    return full((), value, dtype=dtype or dtypes.default_dtype(), device=device, requires_grad=requires_grad)


def transfer(x: Tensor, where: device) -> Tensor:
    """A detached copy of x on another device."""
    source_, target = backend(x.device), backend(where)
    if source_ is target and source_.name == "cuda":
        with target.scope(where):
            return wrap(target.xp.array(x._a))
    if source_.name == "meta":
        raise DeviceError(explain("to", expected="a tensor with data", got="a tensor on device 'meta'", hint="module.to_empty(device=...)"))
    return wrap(target.from_numpy(source_.to_numpy(x._a), where))
