"""Short correlations with few multiplications: the matrices of Toom and Cook, and writing their transforms.

m outputs of a correlation with r taps need m + r - 1 products: y = A^T ((G g) * (B^T d)), where rows of G and B belong to points at which
polynomials are evaluated (Winograd, "Arithmetic complexity of computations", 1980; Lavin and Gray, "Fast algorithms for convolutional
neural networks", 2016). The points decide the rounding error. Pairs p, -p and p, 1/p keep all entries small (Barabasz, Anderson, Soodhalter
and Gregg, "Error analysis and improving the accuracy of Winograd convolution", 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

from flambeau.codegen.text import Code
from flambeau.codegen.value import V

Matrix = tuple[tuple[float, ...], ...]
POINTS = (Fraction(0), Fraction(3, 2), Fraction(-3, 2), Fraction(2, 3), Fraction(-2, 3))  # and infinity


@dataclass(frozen=True)
class Algorithm:
    """The three matrices for `outputs` outputs and `taps` taps: `data` is B^T, `filter` G, `result` A^T."""

    outputs: int
    taps: int
    data: Matrix
    filter: Matrix
    result: Matrix

    @property
    def points(self) -> int:
        """Products along one axis."""
        return len(self.data)


def toom_cook(outputs: int, taps: int, points: Sequence[Fraction] = POINTS) -> Algorithm:
    """The algorithm for these points and infinity. Rows of B^T are polynomials with leading coefficient 1."""
    size = outputs + taps - 1
    points = points[: size - 1]
    others = [[q for q in points if q != p] for p in points]
    scale = [prod(p - q for q in rest) for p, rest in zip(points, others)]
    data = [(*_polynomial(rest), Fraction(0)) for rest in others] + [_polynomial(points)]
    filters = [[p**k / s for k in range(taps)] for p, s in zip(points, scale)] + [_last(taps)]
    results = [[p**k for k in range(outputs)] for p in points] + [_last(outputs)]
    return Algorithm(outputs, taps, _rows(data), _rows(filters), transposed(_rows(results)))


def _polynomial(roots: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The factors of 1, x, x^2, ... in the product of x - root."""
    factors = [Fraction(1)]
    for root in roots:
        factors = [a - root * b for a, b in zip([Fraction(0), *factors], [*factors, Fraction(0)])]
    return tuple(factors)


def _last(count: int) -> list[Fraction]:
    return [Fraction(int(k == count - 1)) for k in range(count)]


def _rows(matrix: Sequence[Sequence[Fraction]]) -> Matrix:
    return tuple(tuple(float(x) for x in row) for row in matrix)


def transposed(matrix: Matrix) -> Matrix:
    """Rows for columns."""
    return tuple(zip(*matrix))


def square(code: Code, matrix: Matrix, values: list[list[V]]) -> list[list[V]]:
    """matrix x matrix^T for a square x of values."""
    columns = [apply(code, matrix, column) for column in map(list, zip(*values))]
    return [apply(code, matrix, row) for row in map(list, zip(*columns))]


def apply(code: Code, matrix: Matrix, values: list[V]) -> list[V]:
    """matrix x for a vector x of values. Two columns that differ in signs alone are added and subtracted first; such rows share sums."""
    values = list(values)
    for i, j, _ in _pairs(transposed(matrix)):
        values[i], values[j] = values[i] + values[j], values[i] - values[j]
        matrix = tuple(_joined(row, i, j) for row in matrix)
    results: dict[int, V] = {}
    for i, j, same in _pairs(matrix):
        even = _dot([x if s else 0.0 for x, s in zip(matrix[i], same)], values)
        odd = _dot([0.0 if s else x for x, s in zip(matrix[i], same)], values)
        results[i], results[j] = even + odd, even - odd
    return [results[i] if i in results else _dot(row, values) for i, row in enumerate(matrix)]


def _joined(row: tuple[float, ...], i: int, j: int) -> tuple[float, ...]:
    """A row's factors of the sum (in place of column i) and the difference (j) of two columns."""
    first, second = row[i], row[j]
    return tuple(
        (first if first == second else 0.0) if k == i else (0.0 if first == second else first) if k == j else x for k, x in enumerate(row)
    )


def _pairs(rows: Matrix) -> list[tuple[int, int, list[bool]]]:
    """Rows that differ in some signs alone, and where they are the same."""
    found: list[tuple[int, int, list[bool]]] = []
    used: set[int] = set()
    for i, a in enumerate(rows):
        for j in range(i + 1, len(rows)):
            b = rows[j]
            same = [x == y for x, y in zip(a, b)]
            if (
                not used & {i, j}
                and all(abs(x) == abs(y) for x, y in zip(a, b))
                and not all(same)
                and any(x and x == y for x, y in zip(a, b))
            ):
                found.append((i, j, same))
                used |= {i, j}
    return found


def _dot(factors: Sequence[float], values: list[V]) -> V:
    """The sum of products with known factors; a factor of 1 comes first, so that every other is a fused multiply-add."""
    terms = sorted(((f, x) for f, x in zip(factors, values) if f), key=lambda t: abs(t[0]) != 1.0)
    (factor, x), rest = terms[0], terms[1:]
    total = x if factor == 1.0 else -x if factor == -1.0 else x * factor
    for factor, x in rest:
        total = total + x if factor == 1.0 else total - x if factor == -1.0 else x.fma(x.const(factor), total)
    return total
