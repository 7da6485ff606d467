"""The one table that hangs operations on Tensor: operators, methods, in-place methods, properties."""

from __future__ import annotations

from typing import Any

from flambeau.base.epoch import moves
from flambeau.base.errors import ShapeError, explain
from flambeau.ops import activation, convert, indexing, joining, matmul, pointwise, random, reduction, shape
from flambeau.primitives import elementwise as rows
from flambeau.primitives.value import storage_of
from flambeau.tensor import creation, interop, lanes, mathematics
from flambeau.tensor.indexing import getitem, setitem
from flambeau.tensor.inplace import inplace, inplace_binary, write
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.transfer import to_device

POINTWISE = """
abs absolute acos acosh add addcdiv addcmul angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh
bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil clamp clamp_max clamp_min clip conj
copysign cos cosh deg2rad digamma div divide eq erf erfc erfinv exp exp2 expm1 fix float_power floor floor_divide fmax fmin fmod
frac gcd ge greater greater_equal gt heaviside hypot i0 isfinite isinf isnan isneginf isposinf isreal lcm ldexp le lerp less
less_equal lgamma log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logit lt maximum minimum
mul multiply mvlgamma nan_to_num ne neg negative nextafter not_equal positive pow rad2deg reciprocal relu remainder round rsqrt rsub
sgn sigmoid sign signbit sin sinc sinh sqrt square sub subtract tan tanh true_divide trunc xlogy
""".split()
SHAPE = """
adjoint as_strided broadcast_to clone contiguous diagonal expand expand_as flatten flip fliplr flipud moveaxis movedim permute ravel
repeat repeat_interleave reshape reshape_as roll rot90 squeeze swapaxes swapdims t tile transpose unflatten unfold unsqueeze view
view_as view_as_real view_as_complex
""".split()
JOINING = "chunk hsplit narrow select split tensor_split unbind vsplit".split()
REDUCTION = """
all amax amin aminmax any argmax argmin count_nonzero cummax cummin cumprod cumsum dist log_softmax logcumsumexp logsumexp max mean
min nanmean nansum norm prod quantile renorm softmax std sum var
""".split()
INDEXING = """
argwhere diag diag_embed diagflat diagonal_scatter gather index_add index_copy index_fill index_put index_select masked_fill
masked_scatter masked_select nonzero scatter scatter_add scatter_reduce select_scatter slice_scatter take take_along_dim trace tril
triu
""".split()
MATMUL = "addbmm addmm addmv addr baddbmm bmm dot ger inner matmul mm mv outer vdot".split()
CONVERT = "cpu cuda pin_memory to type_as".split()

ACTIVATION = "hardshrink prelu".split()

INPLACE = """
abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr arccos arcsin arctan asin asinh atan atan2 atanh baddbmm
bitwise_and bitwise_not bitwise_or bitwise_xor ceil clamp clamp_max clamp_min clip copysign cos cosh cumprod cumsum deg2rad digamma
div divide eq erf erfc erfinv exp exp2 expm1 fix float_power floor floor_divide fmod frac ge gt heaviside hypot index_add index_copy
index_fill index_put le lerp lgamma log log10 log1p log2 logical_and logical_not logical_or logical_xor logit lt masked_fill
masked_scatter mul multiply nan_to_num ne neg negative nextafter pow rad2deg reciprocal relu remainder renorm round rsqrt scatter
scatter_add scatter_reduce sigmoid sign sin sinc sinh sqrt square sub subtract tan tanh tril triu trunc xlogy fill_diagonal
""".split()

OPERATORS = {
    "__add__": pointwise.add_op,
    "__radd__": pointwise.add_op,
    "__sub__": pointwise.sub_op,
    "__mul__": pointwise.mul_op,
    "__rmul__": pointwise.mul_op,
    "__truediv__": pointwise.div_op,
    "__floordiv__": pointwise.floordiv_op,
    "__mod__": pointwise.remainder_op,
    "__pow__": pointwise.pow_op,
    "__eq__": pointwise.eq_op,
    "__ne__": pointwise.ne_op,
    "__lt__": pointwise.lt_op,
    "__le__": pointwise.le_op,
    "__gt__": pointwise.gt_op,
    "__ge__": pointwise.ge_op,
    "__neg__": pointwise.neg,
    "__pos__": pointwise.positive,
    "__abs__": pointwise.abs,
    "__invert__": pointwise.bitwise_not,
    "__getitem__": getitem,
    "__setitem__": setitem,
}


def _reflected(op: Any) -> Any:
    def method(self: Tensor, other: Any) -> Any:
        return op(pointwise.number(other, op.__name__), self)

    return method


for _name, _op in (("sub", pointwise.sub_op), ("truediv", pointwise.div_op), ("floordiv", pointwise.floordiv_op)):
    OPERATORS[f"__r{_name}__"] = _reflected(_op)
for _name, _op in (("mod", pointwise.remainder_op), ("pow", pointwise.pow_op), ("matmul", matmul.matmul)):
    OPERATORS[f"__r{_name}__"] = _reflected(_op)
for _name, _op in (("and", pointwise.bitwise_and), ("or", pointwise.bitwise_or), ("xor", pointwise.bitwise_xor)):
    OPERATORS[f"__{_name}__"] = OPERATORS[f"__r{_name}__"] = _op
OPERATORS["__lshift__"], OPERATORS["__rshift__"] = pointwise.bitwise_left_shift, pointwise.bitwise_right_shift


def _matmul_operator(self: Tensor, other: Any) -> Any:
    return matmul.matmul(self, other) if isinstance(other, Tensor) else NotImplemented


OPERATORS["__matmul__"] = _matmul_operator


# -- methods that exist on Tensor only ----------------------------------------------------------------------------------------------------
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Take over the elements of `src` (broadcast, converted, moved)."""
    if not isinstance(src, Tensor):
        src = creation.as_tensor(src, device=self.device)
    return write(self, to_device(src, self.device), "copy_")


def fill_(self: Tensor, value: Any) -> Tensor:
    """Set all elements to a number."""
    if not isinstance(value, Tensor):
        value = creation.full((), indexing._fitting(value, self), dtype=self.dtype, device=self.device)
    return write(self, value, "fill_")


def zero_(self: Tensor) -> Tensor:
    """Set all elements to 0."""
    return fill_(self, 0)


def resize_(self: Tensor, *sizes: Any) -> Tensor:
    """Change the shape in place; memory grows where needed, and new elements are undefined."""
    from math import prod

    wanted = shape.sizes_from("resize_", sizes)
    if self._node is not None:
        raise ShapeError(explain("resize_", expected="a tensor without gradient", got="one that requires grad", hint=".detach()"))
    a = self._a
    if prod(wanted) <= a.size and self.is_contiguous():
        moved = a.reshape(-1)[: prod(wanted)].reshape(wanted)
    else:
        grown = creation.empty(wanted, dtype=self.dtype, device=self.device)
        grown.reshape(-1)[: a.size] = self.reshape(-1)
        moved = grown._a
        self._st = None
    moves(self, moved)
    self._a = moved
    return self


def set_(self: Tensor, source: Tensor) -> Tensor:
    """Share the memory of another tensor."""
    self._a, self._st = source._a, storage_of(source)
    return self


def _new(make: Any, name: str) -> Any:
    def method(self: Tensor, *args: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **kwargs: Any) -> Tensor:
        made = make(*args, dtype=dtype or self.dtype, device=self.device if device is None else device, **kwargs)
        made = creation.adopted(self, made)
        return made.requires_grad_() if requires_grad else made

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{make.__name__}` with the dtype and device of this tensor."
    return method


def new(self: Tensor, *args: Any) -> Tensor:
    """As the constructor, with the dtype and device of this tensor."""
    return creation.legacy(args, self.dtype, self.device)


def apply_(self: Tensor, callable: Any) -> Tensor:
    """Apply a Python function to each element (slow)."""
    import numpy as np

    host = self.numpy(force=True)
    return write(self, creation.as_tensor(np.vectorize(callable, otypes=[host.dtype])(host), device=self.device), "apply_")


def map_(self: Tensor, tensor: Tensor, callable: Any) -> Tensor:
    """Apply a Python function to each pair of elements (slow)."""
    import numpy as np

    host = np.vectorize(callable, otypes=[self._a.dtype])(self.numpy(force=True), tensor.numpy(force=True))
    return write(self, creation.as_tensor(host, device=self.device), "map_")


def squeeze_(self: Tensor, dim: Any = None) -> Tensor:
    """In-place `squeeze`."""
    return _reshaped(self, shape.squeeze(self, dim) if dim is not None else shape.squeeze(self))


def unsqueeze_(self: Tensor, dim: int) -> Tensor:
    """In-place `unsqueeze`."""
    return _reshaped(self, shape.unsqueeze(self, dim))


def transpose_(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """In-place `transpose`."""
    return _reshaped(self, shape.transpose(self, dim0, dim1))


def t_(self: Tensor) -> Tensor:
    """In-place `t`."""
    return _reshaped(self, shape.t(self))


def _reshaped(self: Tensor, other: Tensor) -> Tensor:
    """Take over the layout of a view of oneself."""
    from flambeau.tensor.inplace import check_leaf

    check_leaf(self, "in-place reshape")
    self._a, self._node = other._a, other._node
    return self


def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether both have one shape."""
    return bool(self._a.shape == other._a.shape)


def share_memory_(self: Tensor) -> Tensor:
    """Move the elements to memory that child processes share."""
    import mmap

    import numpy as np

    block = np.frombuffer(mmap.mmap(-1, max(self.nbytes, 1)), self._a.dtype, self.numel()).reshape(self._a.shape)
    block[...] = self._a
    moves(self, block)
    self._a = block
    return self


OWN = {
    f.__name__: f
    for f in (copy_, fill_, zero_, resize_, set_, new, apply_, map_, squeeze_, unsqueeze_, transpose_, t_, is_same_size, share_memory_)
}
NEW = {f"new_{name}": _new(getattr(creation, name), f"new_{name}") for name in ("zeros", "ones", "empty", "full", "tensor")}
PROPERTIES = {
    "T": shape.reversed_axes,
    "mT": shape.matrix_transpose,
    "mH": shape.adjoint,
    "H": shape.adjoint,
    "real": pointwise.real,
    "imag": pointwise.imag,
}


def _install_lanes() -> None:
    """The in-place methods that write straight into memory."""
    import numpy as np

    table: list[tuple[str, Any, Any]] = [
        ("addcmul_", lanes.product, np.multiply),
        ("addcdiv_", lanes.product, np.divide),
        ("abs_", lanes.single, np.absolute),
        ("neg_", lanes.single, np.negative),
        ("sqrt_", lanes.single, np.sqrt),
        ("square_", lanes.single, np.square),
    ]
    for name, lane, ufunc in table:
        setattr(Tensor, name, lane(ufunc, getattr(Tensor, name)))
    for op, ufunc in ((pointwise.add, np.add), (pointwise.sub, np.subtract)):
        name = f"{op.__name__}_"
        setattr(Tensor, name, lanes.scaled(ufunc, getattr(Tensor, name), inplace(op, name)))
    setattr(Tensor, "lerp_", lanes.towards(getattr(Tensor, "lerp_")))  # noqa: B009, B010


def install() -> None:
    """Hang everything on Tensor."""
    for module, names in (
        (pointwise, POINTWISE),
        (shape, SHAPE),
        (joining, JOINING),
        (reduction, REDUCTION),
        (indexing, INDEXING),
        (matmul, MATMUL),
        (convert, CONVERT),
        (activation, ACTIVATION),
    ):
        for name in names:
            setattr(Tensor, name, getattr(module, name))
    for name in INPLACE:
        source = next(m for m in (pointwise, indexing, reduction, matmul) if hasattr(m, name))
        setattr(Tensor, f"{name}_", inplace(getattr(source, name), f"{name}_"))
    for row, name in ((rows.add, "add"), (rows.sub, "sub"), (rows.mul, "mul"), (rows.div, "div")):
        setattr(Tensor, f"{name}_", inplace_binary(row, getattr(pointwise, name), f"{name}_"))
    _install_lanes()
    mathematics.install()
    for table in (OPERATORS, OWN, NEW, random.METHODS, convert.casts, interop.METHODS):
        for name, value in table.items():
            setattr(Tensor, name, value)
    for name, op in PROPERTIES.items():
        setattr(Tensor, name, property(op, doc=op.__doc__))
    Tensor.type = convert.type_  # type: ignore[attr-defined]
    for name in ("add", "sub", "mul"):
        setattr(Tensor, f"__i{name}__", getattr(Tensor, f"{name}_"))
    for symbol, name in (
        ("truediv", "div"),
        ("pow", "pow"),
        ("floordiv", "floor_divide"),
        ("mod", "remainder"),
        ("and", "bitwise_and"),
        ("or", "bitwise_or"),
        ("xor", "bitwise_xor"),
    ):
        setattr(Tensor, f"__i{symbol}__", getattr(Tensor, f"{name}_"))


install()
