"""Ready parametrizations: weight normalisation, spectral normalisation, orthogonal matrices."""

from __future__ import annotations

from typing import Any, TypeVar

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.linalg import householder_product, matrix_exp, qr, solve
from flambeau.nn import functional as F
from flambeau.nn.module import Module
from flambeau.nn.utils import parametrize
from flambeau.nn.utils.power import as_matrix, iterate
from flambeau.nn.utils.spectral_norm import default_dim
from flambeau.nn.utils.weight_norm import norm_except_dim, normalised
from flambeau.ops.joining import cat
from flambeau.ops.random import randn
from flambeau.tensor.creation import eye, zeros_like
from flambeau.tensor.tensor import Tensor

T = TypeVar("T", bound=Module)
_MAPS = ("matrix_exp", "cayley", "householder")


class _WeightNorm(Module):
    """The weight from its length (original0) and its direction (original1)."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return normalised(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: T, name: str = "weight", dim: int | None = 0) -> T:
    """Learn the length and the direction of a weight apart (Salimans & Kingma 2016); `dim` is the axis that has a length for each index.

    State dicts of the older `nn.utils.weight_norm` (`weight_g`, `weight_v`) load too.

    >>> import flambeau as fb
    >>> layer = fb.nn.utils.parametrizations.weight_norm(fb.nn.Linear(2, 3))
    >>> [k for k in layer.state_dict()]
    ['bias', 'parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module._register_load_state_dict_pre_hook(_OldNames(name))
    return module


class _OldNames:
    """A load hook that renames `weight_g` and `weight_v`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        for old, new in ((f"{prefix}{self.name}_g", "original0"), (f"{prefix}{self.name}_v", "original1")):
            if old in state_dict:
                state_dict[f"{prefix}parametrizations.{self.name}.{new}"] = state_dict.pop(old)


class _SpectralNorm(Module):
    """The weight divided by its largest singular value, estimated by power iteration."""

    def __init__(self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if n_power_iterations < 1 or not -weight.ndim <= dim < weight.ndim:
            got = f"{n_power_iterations} iterations and dim={dim} for shape {tuple(weight.shape)}"
            raise ArgumentError(explain("spectral_norm", expected="at least one iteration and an axis of the weight", got=got))
        self.dim, self.eps, self.n_power_iterations = dim % weight.ndim, eps, n_power_iterations
        if weight.ndim > 1:
            with no_grad():
                matrix = as_matrix(weight, self.dim)
                u, v = (F.normalize(weight.new_empty(n).normal_(0, 1), dim=0, eps=eps) for n in matrix.shape)
                u, v = iterate(matrix, u, v, 15, eps)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)

    def forward(self, weight: Any) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix: Any = as_matrix(weight, self.dim)
        if self.training:
            with no_grad():
                u, v = iterate(matrix, self._u, self._v, self.n_power_iterations, self.eps)
                self._u.copy_(u)
                self._v.copy_(v)
        u, v = self._u.clone(), self._v.clone()  # the buffers may change before the backward pass
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(module: T, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None) -> T:
    """Keep the largest singular value of a weight at 1 (Miyato et al. 2018): a power iteration at every read in training."""
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ArgumentError(explain("spectral_norm", expected=f"a tensor of {type(module).__name__}", got=repr(name)))
    made = _SpectralNorm(weight, n_power_iterations, default_dim(module) if dim is None else dim, eps)
    parametrize.register_parametrization(module, name, made)
    return module


class _Orthogonal(Module):
    """A matrix with orthonormal columns (rows where it is wide), from any matrix; `base` is what it is multiplied to."""

    def __init__(self, shape: Any, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.shape, self.orthogonal_map, self.use_trivialization = shape, orthogonal_map, use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Any) -> Tensor:
        wide = x.shape[-2] < x.shape[-1]
        x = x.mT if wide else x
        q = self._reflect(x) if self.orthogonal_map == "householder" else self._rotate(x)
        if self.use_trivialization:
            q = self.base @ q
        return q.mT if wide else q

    def _rotate(self, x: Any) -> Any:
        """From the skew-symmetric part of the lower triangle, by the exponential or the Cayley map."""
        n, k = x.shape[-2:]
        x = x.tril()
        if n != k:
            x = cat([x, x.new_zeros(*x.shape[:-2], n, n - k)], dim=-1)
        a = x - x.mH
        if self.orthogonal_map == "matrix_exp":
            q = matrix_exp(a)
        else:
            one = eye(n, dtype=a.dtype, device=a.device)
            q = solve(one - a * 0.5, one + a * 0.5)
        return q[..., :k] if n != k else q

    def _reflect(self, x: Any) -> Any:
        """A product of Householder reflections, one for each column; the diagonal of x holds signs."""
        a = x.tril(-1)
        q: Any = householder_product(a, 2.0 / (1.0 + (a * a).sum(-2)))
        return q * x.diagonal(dim1=-2, dim2=-1).detach().sign().unsqueeze(-2)

    def right_inverse(self, q: Any) -> Tensor:
        if tuple(q.shape) != tuple(self.shape):
            raise ShapeError(explain("orthogonal", expected=f"shape {tuple(self.shape)}", got=str(tuple(q.shape))))
        if not self.use_trivialization:
            hint = "use_trivialization=True"
            raise ArgumentError(explain("assignment to an orthogonal weight", expected="a base", got="none", hint=hint))
        minus_one = zeros_like(q)
        minus_one.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        q = q.mT if q.shape[-2] < q.shape[-1] else q
        n, k = q.shape[-2:]
        if n != k:
            q = cat([q, randn(*q.shape[:-2], n, n - k, dtype=q.dtype, device=q.device)], dim=-1)
        self.base = _orthonormal(q)
        return minus_one


def _orthonormal(x: Any) -> Any:
    """x itself (a copy) if its columns are orthonormal, else the Q of its QR decomposition with a positive diagonal of R."""
    n = x.shape[-1]
    one = eye(n, dtype=x.dtype, device=x.device)
    tolerance = 10.0 * n * {8: 2.2e-16, 4: 1.2e-7}.get(x.to(x.dtype).real.element_size() if x.is_complex() else x.element_size(), 1e-3)
    if bool(((x.mH @ x - one).abs() <= tolerance).all()):
        return x.clone()
    q, r = qr(x)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def orthogonal(module: T, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True) -> T:
    """Keep a matrix (or a batch of them) orthogonal: Q^T Q = 1, or Q Q^T = 1 where it is wide (Lezcano-Casado 2019).

    `orthogonal_map` is matrix_exp (the default for square matrices), cayley or householder. With `use_trivialization` the map starts from
    the weight as it is, made orthogonal, which is kept in the buffer `base`.
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor) or weight.dim() < 2:
        raise ArgumentError(explain("orthogonal", expected=f"a matrix of {type(module).__name__}", got=repr(name)))
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _MAPS or (orthogonal_map == "householder" and weight.is_complex()):
        got = f"{orthogonal_map!r} for {weight.dtype!r}"
        raise ArgumentError(explain("orthogonal", expected=f"a map among {', '.join(_MAPS)} (householder only for real)", got=got))
    made = _Orthogonal(weight.shape, orthogonal_map, use_trivialization)
    parametrize.register_parametrization(module, name, made, unsafe=True)
    return module
