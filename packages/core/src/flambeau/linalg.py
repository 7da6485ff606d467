"""Linear algebra (PyTorch's `torch.linalg`): on matrices in the last two axes, in batches, real or complex, with gradients.

>>> import flambeau as fb
>>> A = fb.tensor([[2.0, 1.0], [1.0, 3.0]])
>>> fb.linalg.solve(A, fb.tensor([3.0, 4.0]))
tensor([1., 1.])
"""

from __future__ import annotations

from flambeau.base.errors import LinAlgError as LinAlgError
from flambeau.ops import factor as _factor
from flambeau.ops import matrix as _matrix
from flambeau.ops import solve as _solve
from flambeau.ops.matmul import matmul as matmul
from flambeau.ops.products import multi_dot as multi_dot

cholesky, cholesky_ex, householder_product = _factor.cholesky, _factor.cholesky_ex, _factor.householder_product
eig, eigh, eigvals, eigvalsh = _factor.eig, _factor.eigh, _factor.eigvals, _factor.eigvalsh
lu, lu_factor, qr, svd, svdvals = _factor.lu, _factor.lu_factor, _factor.qr, _factor.svd, _factor.svdvals
det, slogdet, inv, inv_ex, pinv, matrix_rank = _solve.det, _solve.slogdet, _solve.inv, _solve.inv_ex, _solve.pinv, _solve.matrix_rank
lstsq, lu_solve, solve, solve_ex, solve_triangular = _solve.lstsq, _solve.lu_solve, _solve.solve, _solve.solve_ex, _solve.solve_triangular
cond, matrix_norm, norm, vector_norm = _matrix.cond, _matrix.matrix_norm, _matrix.norm, _matrix.vector_norm
matrix_exp, matrix_power, tensorinv, tensorsolve = _matrix.matrix_exp, _matrix.matrix_power, _matrix.tensorinv, _matrix.tensorsolve
cross, diagonal, vander, vecdot = _matrix.cross, _matrix.diagonal, _matrix.vander, _matrix.vecdot
