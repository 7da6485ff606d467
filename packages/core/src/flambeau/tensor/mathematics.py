"""The table of Tensor's methods for sorting, counting, linear algebra, transforms and comparison (see `tensor/methods.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.base.errors import ShapeError, explain
from flambeau.ops import (
    calculus,
    compare,
    counting,
    indexing,
    joining,
    linalg_names,
    matrix,
    pointwise,
    products,
    shape,
    solve,
    sorting,
    special,
    spectral,
)
from flambeau.tensor.inplace import inplace
from flambeau.tensor.kinds import strided
from flambeau.tensor.tensor import Tensor

METHODS = {
    sorting: "argsort isin kthvalue median mode msort nanmedian nanquantile sort topk",
    counting: "bincount histc histogram unique unique_consecutive",
    products: "cross kron",
    linalg_names: "cholesky cholesky_inverse cholesky_solve inverse lu lu_solve orgqr pinverse qr svd triangular_solve",
    solve: "det logdet slogdet",
    matrix: "matrix_exp matrix_power",
    spectral: "istft stft",
    special: "igamma igammac",
    compare: "allclose conj_physical equal is_conj is_neg is_nonzero isclose resolve_conj resolve_neg",
    calculus: "corrcoef cov diff",
    indexing: "index_reduce put",
    joining: "dsplit narrow_copy split_with_sizes unsafe_chunk unsafe_split unsafe_split_with_sizes",
    shape: "sum_to_size",
}
INPLACE = {
    pointwise: """arccosh arcsinh arctan2 arctanh bitwise_left_shift bitwise_right_shift gcd greater greater_equal i0 lcm ldexp less
    less_equal mvlgamma not_equal sgn true_divide""",
    indexing: "index_reduce put",
    special: "igamma igammac",
    compare: "conj_physical",
}


# -- methods whose function has its arguments in another order, or that exist on Tensor only --------------------------------------------
def where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """This tensor where the condition holds, else `other`."""
    return pointwise.where(condition, self, other)


def polygamma(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of digamma."""
    return pointwise.polygamma(n, self)


def resize_as_(self: Tensor, the_template: Tensor, memory_format: Any = None) -> Tensor:
    """`resize_` to the shape of another tensor."""
    return self.resize_(the_template.shape)


def swapaxes_(self: Tensor, axis0: int, axis1: int) -> Tensor:
    """In-place `swapaxes`."""
    return self.transpose_(axis0, axis1)


def resize(self: Tensor, *sizes: Any) -> Tensor:
    """The same elements in another shape (PyTorch keeps this name for old programs; `reshape` is the same)."""
    wanted = shape.sizes_from("resize", sizes)
    out = shape.reshape(self, wanted)
    if -1 in wanted:
        raise ShapeError(explain("resize", expected="sizes that are known", got=str(wanted), hint=".reshape(...)"))
    return out


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both are the same view of the same memory."""
    same = self.shape == tensor.shape and self.stride() == tensor.stride() and self.dtype is tensor.dtype
    return bool(same and self.device == tensor.device and self.data_ptr() == tensor.data_ptr())


def is_shared(self: Tensor) -> bool:
    """Whether the memory is shared with other processes (after `share_memory_`)."""
    import mmap

    owner = self._a
    while getattr(owner, "base", None) is not None:
        owner = owner.base
    return isinstance(getattr(owner, "obj", owner), mmap.mmap)


def to_sparse(self: Tensor, sparse_dim: int | None = None) -> Any:
    """The elements that are not 0, as a sparse tensor; see `flambeau.sparse`."""
    from flambeau.sparse import to_sparse as made

    return made(self, sparse_dim)


def to_dense(self: Tensor, dtype: Any = None) -> Tensor:
    """This tensor: it is dense."""
    return self if dtype is None else self.to(dtype)


OWN: tuple[Callable[..., Any], ...] = (where, polygamma, resize, resize_as_, swapaxes_, is_set_to, is_shared, to_sparse, to_dense)


def install() -> None:
    """Hang everything on Tensor."""
    for module, names in METHODS.items():
        for name in names.split():
            setattr(Tensor, name, getattr(module, name))
    for module, names in INPLACE.items():
        for name in names.split():
            setattr(Tensor, f"{name}_", inplace(getattr(module, name), f"{name}_"))
    for method in OWN:
        setattr(Tensor, method.__name__, method)
    extra: dict[str, Any] = {
        "swapdims_": swapaxes_,
        "polygamma_": inplace(polygamma, "polygamma_"),
        "layout": strided,
        "is_mps": False,
        "is_xpu": False,
        "is_xla": False,
        "is_nested": False,
    }
    for name, value in extra.items():
        setattr(Tensor, name, value)
