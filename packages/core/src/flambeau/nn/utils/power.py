"""The power iteration behind spectral normalisation (Miyato et al. 2018)."""

from __future__ import annotations

from typing import Any

from flambeau.nn import functional as F
from flambeau.tensor.tensor import Tensor


def as_matrix(weight: Any, dim: int) -> Tensor:
    """The weight with `dim` as rows and all other axes as columns."""
    if dim != 0:
        weight = weight.permute(dim, *(d for d in range(weight.dim()) if d != dim))
    return weight.flatten(1)


def iterate(matrix: Any, u: Any, v: Any, count: int, eps: float) -> tuple[Tensor, Tensor]:
    """Better left and right singular vectors of the largest singular value: u from v, then v from u, `count` times."""
    for _ in range(count):
        u = F.normalize(matrix.mv(v), dim=0, eps=eps)
        v = F.normalize(matrix.t().mv(u), dim=0, eps=eps)
    return u, v
