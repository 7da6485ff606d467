"""Sparse tensors in coordinate form (PyTorch's `torch.sparse`), with gradients: graphs, adjacency matrices, bags of words.

A sparse tensor is the places of its elements and their values, both ordinary tensors. It does what programs on graphs do with one: it
is made, moved, added, scaled, summed, multiplied with dense matrices, and made dense. It is no `Tensor`: other operations refuse it,
and say so.

>>> import flambeau as fb
>>> a = fb.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 3))
>>> a @ fb.ones(3, 1)
tensor([[3.],
        [9.]])
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NoReturn

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentTypeError, DtypeError, IndexingError, ShapeError, explain
from flambeau.base.shapes import axis_of
from flambeau.ops import counting, indexing, joining, shape
from flambeau.tensor import creation
from flambeau.tensor.kinds import sparse_coo
from flambeau.tensor.tensor import Size, Tensor

__all__ = ["SparseTensor", "addmm", "mm", "sparse_coo_tensor", "sum", "to_sparse"]

_HINT = "x.to_dense(), and x.to_dense().to_sparse() for the way back"


def _refuse(what: str) -> NoReturn:
    raise ArgumentTypeError(explain(what, expected="a dense tensor", got="a sparse one", hint=_HINT))


class SparseTensor:
    """A tensor of which only some elements are stored; the others are 0. Made by `sparse_coo_tensor` and `Tensor.to_sparse`.

    `indices` are int64 `(sparse_dim, n)`, `values` `(n, *dense sizes)`. Elements at one place add up; `coalesce` adds them and sorts.
    """

    __slots__ = ("_coalesced", "_places", "_stored", "shape")
    __array_priority__ = 1000
    is_sparse, is_quantized, is_nested, layout = True, False, False, sparse_coo

    def __init__(self, indices: Tensor, values: Tensor, size: Sequence[int], coalesced: bool = False) -> None:
        self._places, self._stored, self._coalesced = indices, values, coalesced
        self.shape = Size(size)

    # -- what it is ---------------------------------------------------------------------------------------------------------------------
    dtype = property(lambda self: self._stored.dtype, doc="Type of the values.")
    device = property(lambda self: self._stored.device, doc="Where the values are.")
    is_cuda = property(lambda self: self._stored.is_cuda, doc="Whether the values are on a GPU.")
    requires_grad = property(lambda self: self._stored.requires_grad, doc="Whether gradients go to the values.")
    ndim = property(lambda self: len(self.shape), doc="Number of axes.")

    @property
    def grad(self) -> SparseTensor | None:
        """The gradient at the places that are stored."""
        found = self._stored.grad
        return None if found is None else SparseTensor(self._places, found, self.shape, self._coalesced)

    @property
    def _a(self) -> NoReturn:
        """What operations of dense tensors ask for first."""
        _refuse("this operation")

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis."""
        return self.shape if dim is None else self.shape[axis_of("size", dim, self.ndim)]

    def dim(self) -> int:
        """Number of axes."""
        return self.ndim

    def numel(self) -> int:
        """Number of elements, zeros included."""
        return self.shape.numel()

    def sparse_dim(self) -> int:
        """Number of axes that the indices speak of."""
        return int(self._places.shape[0])

    def dense_dim(self) -> int:
        """Number of axes of a single value."""
        return self.ndim - self.sparse_dim()

    def _nnz(self) -> int:
        return int(self._places.shape[1])

    def _indices(self) -> Tensor:
        return self._places

    def _values(self) -> Tensor:
        return self._stored

    def is_coalesced(self) -> bool:
        """Whether the places are sorted and differ."""
        return self._coalesced

    def indices(self) -> Tensor:
        """The places `(sparse_dim, n)` of a coalesced tensor."""
        return self._sorted("indices")._places

    def values(self) -> Tensor:
        """The values `(n, *dense sizes)` of a coalesced tensor."""
        return self._sorted("values")._stored

    def _sorted(self, op: str) -> SparseTensor:
        if not self._coalesced:
            raise ArgumentTypeError(explain(op, expected="a coalesced tensor", got="one that is not", hint="x.coalesce() first"))
        return self

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        lines = f"indices={self._places!r},\nvalues={self._stored!r},\nsize={tuple(self.shape)}, nnz={self._nnz()}, layout={self.layout!r}"
        return f"tensor({lines})".replace("\n", "\n       ")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        got = f"a sparse tensor, which has no {name!r}"
        raise AttributeError(explain(f"x.{name}", expected="a dense tensor", got=got, hint=_HINT), name=name, obj=self)

    # -- other forms --------------------------------------------------------------------------------------------------------------------
    def _like(self, values: Tensor) -> SparseTensor:
        return SparseTensor(self._places, values, self.shape, self._coalesced)

    def _flat(self) -> Tensor:
        """Each place as one number."""
        flat = creation.zeros((self._nnz(),), dtype=dtypes.int64, device=self.device)
        for row, length in zip(self._places, self.shape, strict=False):
            flat = flat * length + row
        return flat

    def to_dense(self, dtype: Any = None) -> Tensor:
        """All elements as an ordinary tensor."""
        k = self.sparse_dim()
        made = creation.zeros((prod(self.shape[:k]), *self.shape[k:]), dtype=self.dtype, device=self.device)
        dense = indexing.index_add(made, 0, self._flat(), self._stored).reshape(self.shape)
        return dense if dtype is None else dense.to(dtype)

    def coalesce(self) -> SparseTensor:
        """Sorted by place, with the values of one place added up."""
        if self._coalesced:
            return self
        flat, inverse = counting.unique(self._flat(), return_inverse=True)
        empty = creation.zeros((flat.shape[0], *self._stored.shape[1:]), dtype=self.dtype, device=self.device)
        rows = []
        for length in reversed(self.shape[: self.sparse_dim()]):
            rows.append(flat % length)
            flat = flat // length
        return SparseTensor(joining.stack(rows[::-1]), indexing.index_add(empty, 0, inverse, self._stored), self.shape, True)

    def to(self, *args: Any, **kwargs: Any) -> SparseTensor:
        """The values in another dtype, or all of it on another device."""
        values = self._stored.to(*args, **kwargs)
        return SparseTensor(self._places.to(values.device), values, self.shape, self._coalesced)

    def cpu(self) -> SparseTensor:
        """All of it on the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False) -> SparseTensor:
        """All of it on a GPU."""
        return self.to("cuda" if device is None else device)

    def float(self) -> SparseTensor:
        """The values as float32."""
        return self.to(dtypes.float32)

    def double(self) -> SparseTensor:
        """The values as float64."""
        return self.to(dtypes.float64)

    def to_sparse(self, sparse_dim: int | None = None) -> SparseTensor:
        """This tensor."""
        return self

    def detach(self) -> SparseTensor:
        """The same elements without gradient."""
        return self._like(self._stored.detach())

    def clone(self) -> SparseTensor:
        """A copy."""
        return SparseTensor(self._places.clone(), self._stored.clone(), self.shape, self._coalesced)

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        """Gradients go to the values; see `grad`."""
        self._stored.requires_grad_(requires_grad)
        return self

    def transpose(self, dim0: int, dim1: int) -> SparseTensor:
        """With two of the sparse axes exchanged."""
        k, size = self.sparse_dim(), list(self.shape)
        a, b = axis_of("transpose", dim0, self.ndim), axis_of("transpose", dim1, self.ndim)
        if max(a, b) >= k and a != b:
            raise ShapeError(explain("transpose", expected=f"two of the {k} sparse axes", got=f"{dim0} and {dim1}", hint=_HINT))
        order = list(range(k))
        if a != b:
            order[a], order[b], size[a], size[b] = b, a, size[b], size[a]
        return SparseTensor(joining.stack([self._places[i] for i in order]), self._stored, size)

    def t(self) -> SparseTensor:
        """A matrix with rows and columns exchanged."""
        return self.transpose(0, 1) if self.ndim == 2 else _refuse(f"x.t() of {self.ndim} axes")

    T = property(t, doc="`t()`")

    # -- mathematics --------------------------------------------------------------------------------------------------------------------
    def __add__(self, other: Any) -> Any:
        """Sparse with sparse gives sparse, with dense dense."""
        if isinstance(other, Tensor):
            return self.to_dense() + other
        if not isinstance(other, SparseTensor):
            return NotImplemented
        if self.shape != other.shape or self.sparse_dim() != other.sparse_dim():
            raise ShapeError(explain("add", expected=f"a sparse tensor of shape {tuple(self.shape)}", got=f"{tuple(other.shape)}"))
        dtype = dtypes.promote(self.dtype, other.dtype)
        values = joining.cat([self._stored.to(dtype), other._stored.to(dtype)])
        return SparseTensor(joining.cat([self._places, other._places], 1), values, self.shape).coalesce()

    __radd__ = add = __add__

    def __sub__(self, other: Any) -> Any:
        return self + -other if isinstance(other, (Tensor, SparseTensor)) else NotImplemented

    sub = __sub__

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __neg__(self) -> SparseTensor:
        return self._like(-self._stored)

    neg = __neg__

    def __mul__(self, other: Any) -> Any:
        """With a number, or with a dense tensor of the same shape, whose elements at the places count."""
        if isinstance(other, (int, float, complex)) or (isinstance(other, Tensor) and other.numel() == 1):
            return self._like(self._stored * other)
        if isinstance(other, Tensor) and other.shape == self.shape:
            return self._like(self._stored * other[tuple(self._places)])
        return _refuse("the product with another sparse tensor or another shape")

    __rmul__ = mul = __mul__

    def __truediv__(self, other: Any) -> Any:
        """By a number."""
        if isinstance(other, (int, float, complex)) or (isinstance(other, Tensor) and other.numel() == 1):
            return self._like(self._stored / other)
        return _refuse("the quotient by a tensor")

    div = __truediv__

    def __pow__(self, exponent: Any) -> SparseTensor:
        made = self.coalesce()
        return made._like(made._stored**exponent) if exponent > 0 else _refuse("a power that is not positive")

    pow = __pow__

    def abs(self) -> SparseTensor:
        """Without signs."""
        made = self.coalesce()
        return made._like(made._stored.abs())

    def __matmul__(self, other: Any) -> Any:
        return mm(self, other) if isinstance(other, (Tensor, SparseTensor)) else NotImplemented

    matmul = mm = spmm = __matmul__

    def __rmatmul__(self, other: Any) -> Any:
        return mm(self.t(), other.t()).t() if isinstance(other, Tensor) else NotImplemented

    def sum(self, dim: Any = None) -> Any:
        """`flambeau.sparse.sum` of this tensor."""
        return sum(self, dim)

    def index_select(self, dim: int, index: Tensor) -> SparseTensor:
        """Slices along an axis, as a sparse tensor."""
        return to_sparse(indexing.index_select(self.to_dense(), dim, index), self.sparse_dim())


def sparse_coo_tensor(
    indices: Any,
    values: Any,
    size: Sequence[int] | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    is_coalesced: bool = False,
    check_invariants: bool | None = None,
) -> SparseTensor:
    """A sparse tensor from places `(sparse_dim, n)` and values `(n, *dense sizes)`; without `size` the smallest that fits.

    Gradients go to `values` if it has them. Raises IndexingError for places outside `size`.

    >>> import flambeau as fb
    >>> fb.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0]).to_dense()
    tensor([[0., 1.],
            [2., 0.]])
    """
    stored = creation.as_tensor(values, dtype=dtype, device=device)
    places = creation.as_tensor(indices, device=stored.device)
    if places.is_floating_point() and places.numel() or places.is_complex():
        raise DtypeError(explain("sparse_coo_tensor", expected="indices of integers", got=repr(places.dtype)))
    places = places.to(dtypes.int64)
    places = places[None] if places.ndim == 1 else places
    if places.ndim != 2 or stored.ndim < 1 or places.shape[1] != stored.shape[0]:
        got = f"{tuple(places.shape)} and {tuple(stored.shape)}"
        raise ShapeError(explain("sparse_coo_tensor", expected="indices (sparse_dim, n) and values (n, ...)", got=got))
    some = bool(places.numel())
    lowest, highest = (places.amin(1).tolist(), places.amax(1).tolist()) if some else ([0] * len(places), [-1] * len(places))
    wanted = tuple(size) if size is not None else (*(top + 1 for top in highest), *stored.shape[1:])
    if len(wanted) != len(places) + stored.ndim - 1 or wanted[len(places) :] != tuple(stored.shape[1:]):
        expected = f"a size of {len(places)} sparse axes and then {tuple(stored.shape[1:])}"
        raise ShapeError(explain("sparse_coo_tensor", expected=expected, got=f"{wanted}"))
    if min(lowest, default=0) < 0 or any(top >= length for top, length in zip(highest, wanted, strict=False)):
        got = f"indices from {lowest} to {highest}"
        raise IndexingError(explain("sparse_coo_tensor", expected=f"indices inside {wanted}", got=got))
    made = SparseTensor(places, stored, wanted, is_coalesced)
    return made.requires_grad_() if requires_grad else made


def to_sparse(input: Tensor, sparse_dim: int | None = None) -> SparseTensor:
    """The elements that are not 0, as a sparse tensor.

    >>> import flambeau as fb
    >>> fb.eye(3).to_sparse().values()
    tensor([1., 1., 1.])
    """
    k = input.ndim if sparse_dim is None else int(sparse_dim)
    if not 0 < k <= input.ndim:
        raise ShapeError(explain("to_sparse", expected=f"1 to {input.ndim} sparse axes", got=f"{k} of {input.ndim}"))
    full = input.detach() != 0
    places = (shape.flatten(full, k).any(-1) if k < input.ndim else full).nonzero().t().contiguous()
    return SparseTensor(places, input[tuple(places)], input.shape, True)


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices of which one or both are sparse: dense, or sparse if both are. Gradients reach values and dense matrix.

    >>> import flambeau as fb
    >>> mm(fb.eye(2).to_sparse(), fb.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 2.],
            [3., 4.]])
    """
    if not isinstance(input, SparseTensor):
        return input @ mat2
    if isinstance(mat2, SparseTensor):
        return to_sparse(mm(input, mat2.to_dense()))
    if input.sparse_dim() != 2 or input.ndim != 2 or mat2.ndim not in (1, 2) or input.shape[1] != mat2.shape[0]:
        got = f"{tuple(input.shape)} and {tuple(mat2.shape)}"
        raise ShapeError(explain("sparse.mm", expected="matrices (n, k) and (k, m), or a vector (k,)", got=got))
    if input.dtype != mat2.dtype:
        got = f"{input.dtype!r} and {mat2.dtype!r}"
        raise DtypeError(explain("sparse.mm", expected="operands of one dtype", got=got, hint="convert one of them with .to(dtype)"))
    rows, columns = input._places
    scale = input._stored if mat2.ndim == 1 else input._stored[:, None]
    made = creation.zeros((input.shape[0], *mat2.shape[1:]), dtype=mat2.dtype, device=mat2.device)
    return indexing.index_add(made, 0, rows, scale * mat2[columns])


def addmm(mat: Tensor, mat1: SparseTensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * mat + alpha * (mat1 @ mat2)` for a sparse `mat1`."""
    result: Tensor = mat * beta + mm(mat1, mat2) * alpha
    return result


def sum(input: SparseTensor, dim: Any = None, dtype: Any = None) -> Any:
    """The sum of all elements, a tensor; or over axes, sparse if one of the sparse axes is left, else dense.

    >>> import flambeau as fb
    >>> sum(fb.eye(3).to_sparse(), 0).to_dense()
    tensor([1., 1., 1.])
    """
    made = input if dtype is None else input.to(dtype)
    if dim is None:
        return made._stored.sum()
    k = made.sparse_dim()
    axes = {axis_of("sparse.sum", d, made.ndim) for d in ((dim,) if isinstance(dim, int) else dim)}
    inside = tuple(axis - k + 1 for axis in axes if axis >= k)
    values = made._stored.sum(inside) if inside else made._stored
    kept = [axis for axis in range(k) if axis not in axes]
    if not kept:
        return values.sum(0)
    size = [length for axis, length in enumerate(made.shape) if axis not in axes]
    return SparseTensor(joining.stack([made._places[axis] for axis in kept]), values, size, made._coalesced and len(kept) == k).coalesce()
