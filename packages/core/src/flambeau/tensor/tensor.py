"""The Tensor class: an array with PyTorch's attributes and its place in autograd.

It computes nothing; `tensor/methods.py` hangs operations on it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from math import prod
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.autograd import engine
from flambeau.autograd.hooks import RemovableHandle, add_hook, hooks_of, put
from flambeau.autograd.modes import mode
from flambeau.autograd.node import AccumulateGrad, Node, Pick
from flambeau.base import dtypes
from flambeau.base.epoch import epoch, moves
from flambeau.base.errors import ArgumentTypeError, GradientError, ShapeError, explain
from flambeau.device.base import backend, device, executors
from flambeau.primitives.bind import state
from flambeau.primitives.movement import offset_of
from flambeau.primitives.value import Storage, Value, storage_of

_new = object.__new__
_requires = attrgetter("requires_grad")


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple with `numel()`.

    >>> Size((2, 3)).numel()
    6
    """

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements."""
        return prod(self)

    def __repr__(self) -> str:
        return f"flambeau.Size({list(self)})"

    def __add__(self, other: Any) -> Size:
        return Size(tuple(self) + tuple(other))

    def __getitem__(self, key: Any) -> Any:
        item = tuple.__getitem__(self, key)
        return Size(item) if isinstance(key, slice) else item


class Tensor(Value):
    """A multi-dimensional array of one dtype on one device, with optional gradient.

    Made by `flambeau.tensor(data)`, `flambeau.zeros(...)` and the like; `Tensor(2, 3)` gives uninitialised values and `Tensor([1, 2])`
    float32 values.

    >>> import flambeau as fb
    >>> x = fb.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([[2., 4.],
            [6., 8.]])
    """

    __slots__ = ()
    __array_priority__ = 1000

    if TYPE_CHECKING:  # hung on the class by tensor/methods.py

        def __getattr__(self, name: str) -> Any: ...
        def _binary(self, other: Any) -> Tensor: ...

        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __floordiv__ = _binary
        __mod__ = __pow__ = __rpow__ = __matmul__ = __and__ = __or__ = __xor__ = __lshift__ = __rshift__ = _binary
        __lt__ = __le__ = __gt__ = __ge__ = _binary

        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __neg__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __getitem__(self, key: Any) -> Tensor: ...
        def __setitem__(self, key: Any, value: Any) -> None: ...

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        from flambeau.tensor.creation import legacy

        made = legacy(args, dtypes.default_dtype(), kwargs.get("device"))
        return made if cls is Tensor else made.as_subclass(cls)

    # -- what it is ---------------------------------------------------------------------------------------------------------------------
    @property
    def shape(self) -> Size:
        """Sizes of the axes."""
        return Size(self._a.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis."""
        if dim is None:
            return Size(self._a.shape)
        from flambeau.base.shapes import axis_of

        return self._a.shape[axis_of("size", dim, self._a.ndim)]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._a.ndim

    def dim(self) -> int:
        """Number of axes."""
        return self._a.ndim

    ndimension = dim

    def numel(self) -> int:
        """Number of elements."""
        return self._a.size

    nelement = numel

    @property
    def dtype(self) -> dtypes.dtype:
        """Type of the elements."""
        return dtypes.of(self._a.dtype)

    @property
    def device(self) -> device:
        """Where the elements are."""
        return executors[type(self._a)].device_of(self._a)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self._a.itemsize

    def element_size(self) -> int:
        """Bytes of an element."""
        return self._a.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._a.size * self._a.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """Steps in elements from one index to the next along each axis."""
        item = self._a.itemsize
        strides = tuple(s // item for s in self._a.strides)
        return strides if dim is None else strides[dim]

    def storage_offset(self) -> int:
        """Elements from the start of the memory to the first element."""
        return offset_of(self._a) if hasattr(self._a, "flags") else 0

    def data_ptr(self) -> int:
        """Address of the first element."""
        a = self._a
        return int(a.ctypes.data if isinstance(a, np.ndarray) else a.data.ptr)

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie in memory in row-major order (or, for `channels_last`, with the channels innermost)."""
        flags = getattr(self._a, "flags", None)
        if flags is None:
            return True
        if memory_format is not None and str(memory_format).endswith("channels_last"):
            if self._a.ndim != 4:
                return False
            (n, c, h, w), strides = self._a.shape, self.stride()
            wanted = zip((n, c, h, w), (h * w * c, 1, w * c, c), strides, strict=True)
            return 0 in self._a.shape or all(s == t or size == 1 for size, t, s in wanted)
        return bool(flags.c_contiguous)

    @property
    def is_cuda(self) -> bool:
        """Whether it lives on an NVIDIA GPU."""
        return self.device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        """Whether it lives in host memory."""
        return self.device.type == "cpu"

    @property
    def is_meta(self) -> bool:
        """Whether it has a shape but no data."""
        return self.device.type == "meta"

    is_sparse = False
    is_quantized = False
    layout = "strided"

    def get_device(self) -> int:
        """The number of the GPU; -1 on the CPU."""
        d = self.device
        return -1 if d.type == "cpu" else (d.index or 0)

    def is_floating_point(self) -> bool:
        """Whether the dtype is a float."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self._a.dtype.kind == "c"

    def is_signed(self) -> bool:
        """Whether the dtype can be negative."""
        return self.dtype.is_signed

    # -- autograd -------------------------------------------------------------------------------------------------------------------------
    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to it. May be set on leaves."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Switch gradients on or off for a leaf."""
        if not requires_grad:
            if self._node is not None and not isinstance(self._node, AccumulateGrad):
                hint = ".detach() gives a tensor without history"
                raise GradientError(explain("requires_grad_", expected="a leaf", got=f"the result of {self._node.name()}", hint=hint))
            if self._node is not None and self._node.grad is not None:
                self.__dict__["_grad"] = self._node.grad
            if self._node is not None:
                epoch.changed(self, "requires_grad", _requires, True, None, self._a)
            self._node = None
        elif self._node is None:
            if self._a.dtype.kind not in "fcV":
                got = f"{self.dtype!r}"
                raise GradientError(
                    explain("requires_grad_", expected="a floating-point or complex dtype", got=got, hint="convert with .float()")
                )
            epoch.changed(self, "requires_grad", _requires, False, None, self._a)
            self._node = AccumulateGrad(weakref.ref(self), self.__dict__.pop("_grad", None))
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was not made by a recorded operation."""
        return self._node is None or type(self._node) is AccumulateGrad

    @property
    def grad_fn(self) -> Node | None:
        """The node of the operation that made it."""
        node = self._node
        return None if type(node) is AccumulateGrad else node.parents[0] if type(node) is Pick else node

    @property
    def output_nr(self) -> int:
        """Which output of `grad_fn` it is."""
        return self._node.index if type(self._node) is Pick else 0

    @property
    def grad(self) -> Any:
        """The gradient summed up by `backward`, or None."""
        node = self._node
        if type(node) is not AccumulateGrad:
            return self.__dict__.get("_grad")
        if state.interceptor is not None:
            state.interceptor.read_grad(node)
        return node.grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise ArgumentTypeError(explain("grad", expected="a Tensor or None", got=type(value).__name__))
            if value._a.shape != self._a.shape:
                raise ShapeError(explain("grad", expected=f"shape {tuple(self.shape)}", got=str(tuple(value.shape))))
        if type(self._node) is AccumulateGrad:
            old, self._node.grad = self._node.grad, value
            if state.interceptor is not None:
                state.interceptor.touch_grad(self._node, old)
        else:
            self.__dict__["_grad"] = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def backward(self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None) -> None:
        """Sum the gradients of this tensor into the `.grad` of the leaves (see `flambeau.autograd.backward`)."""
        engine.backward((self,), None if gradient is None else (gradient,), retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """The same memory without gradient."""
        t: Tensor = _new(Tensor)
        a = self._a
        t._a = a if type(a) is np.ndarray else executors[type(a)].detach(a)
        t._node = t._base = None
        t._st = storage_of(self)
        return t

    def detach_(self) -> Tensor:
        """Forget the history of this tensor."""
        if type(self._node) is AccumulateGrad:
            return self.requires_grad_(False)
        self._node = None
        self._a = executors[type(self._a)].detach(self._a)
        return self

    @property
    def data(self) -> Tensor:
        """The same memory without gradient, and without the check that saved values were not changed."""
        t: Tensor = _new(Tensor)
        t._a, t._node, t._base, t._st = executors[type(self._a)].detach(self._a), None, None, None
        return t

    @data.setter
    def data(self, value: Tensor) -> None:
        moves(self, value._a)
        self._a = value._a
        self._st = storage_of(value)
        self._base = None

    def retain_grad(self) -> None:
        """Keep the gradient of a tensor that is not a leaf in `.grad`."""
        if self._node is None:
            raise GradientError(explain("retain_grad", expected="a tensor that requires grad", got="one that does not"))
        if self.is_leaf or "_retains" in self.__dict__:
            return
        me = weakref.ref(self)

        def keep(g: Any) -> None:
            t = me()
            if t is not None:
                t.grad = g if t.grad is None else t.grad + g

        self.__dict__["_retains"] = put(hooks_of(self._node).retain, keep).id

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called."""
        return not self.is_leaf and "_retains" in self.__dict__

    def register_hook(self, hook: Callable[[Any], Any]) -> RemovableHandle:
        """Call `hook(grad)` when the gradient of this tensor is computed; what it returns (if not None) replaces it."""
        if self._node is None:
            raise GradientError(explain("register_hook", expected="a tensor that requires grad", got="one that does not"))
        return add_hook(self._node, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Any], None]) -> RemovableHandle:
        """Call `hook(tensor)` after `.grad` of this leaf was updated."""
        if type(self._node) is not AccumulateGrad:
            raise GradientError(explain("register_post_accumulate_grad_hook", expected="a leaf that requires grad", got="another tensor"))
        if self._node.after is None:
            self._node.after = {}
        return put(self._node.after, hook)

    @property
    def _version(self) -> int:
        """How often the memory was written in place."""
        return 0 if self._st is None else self._st.version

    def is_inference(self) -> bool:
        """Whether inference mode is on here; tensors carry no mark of their own."""
        return mode.inference

    # -- out to Python and NumPy ----------------------------------------------------------------------------------------------------------
    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The elements as a NumPy array that shares memory (on the CPU). `force=True` detaches and copies to the host first."""
        if self._node is not None and not force and mode.grad:
            raise GradientError(
                explain("numpy", expected="a tensor without gradient", got="one that requires grad", hint=".detach().numpy()")
            )
        self._observed("numpy")
        owner = executors[type(self._a)]
        if owner.device_of(self._a).type == "cuda" and not force:
            raise ArgumentTypeError(explain("numpy", expected="a tensor on the CPU", got=f"one on {self.device}", hint=".cpu().numpy()"))
        return owner.to_numpy(self._a)

    def _observed(self, how: str) -> None:
        """Tell graph capture that Python is about to see values."""
        if state.interceptor is not None:
            state.interceptor.observe(self, how)

    def item(self) -> Any:
        """The single element as a Python number."""
        if self._a.size != 1:
            raise ShapeError(explain("item", expected="a tensor with one element", got=f"shape {tuple(self.shape)}"))
        value = executors[type(self._a)].to_numpy(self._a).item()
        return value if state.interceptor is None else state.interceptor.item(self, value)

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        self._observed("tolist")
        return executors[type(self._a)].to_numpy(self._a).tolist()

    def __bool__(self) -> bool:
        if self._a.size != 1:
            got = f"shape {tuple(self.shape)}"
            raise ShapeError(explain("bool", expected="a tensor with one element", got=got, hint=".any() or .all()"))
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self._a.dtype.kind not in "biu":
            raise ArgumentTypeError(explain("index", expected="an integer tensor with one element", got=f"{self.dtype!r}"))
        return int(self.item())

    def __len__(self) -> int:
        if self._a.ndim == 0:
            raise ArgumentTypeError(explain("len", expected="a tensor with axes", got="a zero-dimensional one"))
        return self._a.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if self._a.ndim == 0:
            raise ArgumentTypeError(explain("iteration", expected="a tensor with axes", got="a zero-dimensional one", hint=".item()"))
        return iter([self[i] for i in range(self._a.shape[0])])

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        from flambeau.tensor.printing import to_string

        return to_string(self)

    def __format__(self, spec: str) -> str:
        return format(self.item() if self._a.ndim == 0 and type(self) is Tensor and not self.is_meta else repr(self), spec)

    # -- copies
    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        if not self.is_leaf:
            got = f"the result of {self._node.name()}"
            raise GradientError(explain("deepcopy", expected="a leaf", got=got, hint=".detach().clone()"))
        copied: Any = _new(type(self))
        memo[id(self)] = copied
        owner = executors[type(self._a)]
        copied._a = self._a.copy() if hasattr(self._a, "copy") else owner.empty(self._a.shape, self._a.dtype, self.device)
        copied._node = copied._st = copied._base = None
        if self._node is not None:
            copied.requires_grad_()
        if self.grad is not None:
            copied.grad = self.grad.__deepcopy__(memo)
        for name, value in self.__dict__.items():
            if name not in ("_grad", "_retains"):
                import copy

                copied.__dict__[name] = copy.deepcopy(value, memo)
        return copied

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        extra = {k: v for k, v in self.__dict__.items() if k not in ("_grad", "_retains")}
        return (
            rebuild,
            (type(self), np.ascontiguousarray(self.numpy(force=True)).reshape(self._a.shape), str(self.device), self.requires_grad, extra),
        )

    def as_subclass(self, cls: type) -> Any:
        """The same value as an instance of a subclass of Tensor."""
        t: Any = _new(cls)
        t._a, t._node, t._base, t._st = self._a, self._node, self._base, self._st
        return t


def rebuild(cls: type, array: np.ndarray, where: str, requires_grad: bool, extra: dict[str, Any]) -> Any:
    """Undo pickling."""
    t: Any = _new(cls)
    target = device(where)
    t._a, t._node, t._base, t._st = backend(target).from_numpy(array, target), None, None, None
    t.__dict__.update(extra)
    if requires_grad:
        t.requires_grad_()
    return t


def wrap(array: Any) -> Tensor:
    """A tensor without history around an array."""
    t: Tensor = _new(Tensor)
    t._a = array
    t._node = t._st = t._base = None
    return t


state.wrap = wrap
__all__ = ["Size", "Storage", "Tensor", "rebuild", "wrap"]
