"""Sizes that depend on symbols: polynomials such as `4 * batch` or `batch * time + 1`, found from examples and evaluated for a call."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

from flambeau.base.errors import ArgumentError, explain

Env = Mapping[str, int]
Monomial = tuple[str, ...]
LIMIT = 1 << 62  # no size of a program is larger


@dataclass(frozen=True)
class Size:
    """A sum of products of symbols with integer factors: `terms` maps the symbols of a product (none for the constant) to its factor.

    >>> str(Size((((), 1), (("batch",), 4))))
    '1 + 4*batch'
    """

    terms: tuple[tuple[Monomial, int], ...]
    real: bool = False  # used as a float: a mean over the batch divides by it

    def at(self, env: Env) -> Any:
        """The value for these symbols."""
        value = sum(factor * prod(env[name] for name in names) for names, factor in self.terms)
        if abs(value) > LIMIT:
            raise ArgumentError(explain("exported program", expected="sizes below 2**62", got=f"{self} for {dict(env)}"))
        return float(value) if self.real else value

    def __str__(self) -> str:
        return " + ".join("*".join([*([str(factor)] if factor != 1 or not names else []), *names]) for names, factor in self.terms)


def symbol(name: str) -> Size:
    """The size that is one symbol."""
    return Size((((name,), 1),))


def symbol_of(size: int | Size) -> str | None:
    """The symbol that a size is, if it is just one."""
    if isinstance(size, Size) and len(size.terms) == 1 and len(size.terms[0][0]) == 1 and size.terms[0][1] == 1:
        return size.terms[0][0][0]
    return None


def at(size: int | Size, env: Env) -> int:
    """The value of a size."""
    return int(size.at(env)) if isinstance(size, Size) else size


def corners(sizes: Mapping[str, tuple[int, int, int]]) -> list[dict[str, int]]:
    """The symbols at which a program is captured: the first two sizes of each in all combinations, then the third ones."""
    pairs = [values[:2] for values in sizes.values()]
    envs = [dict(zip(sizes, chosen, strict=True)) for chosen in itertools.product(*pairs)]
    return [*envs, {name: values[2] for name, values in sizes.items()}] if sizes else envs


def fit(values: Sequence[int], envs: Sequence[Env]) -> int | Size | None:
    """The size that has these values at `corners`; None if none has.

    >>> envs = corners({"batch": (2, 3, 5)})
    >>> str(fit([9, 13, 21], envs)), fit([4, 9, 25], envs)
    ('1 + 4*batch', None)
    """
    if all(v == values[0] for v in values):
        return values[0]
    names = list(envs[0])
    terms = _solve(list(values[:-1]), names, envs)
    if any(factor.denominator != 1 for factor in terms.values()):
        return None
    size = Size(tuple((names, int(factor)) for names, factor in sorted(terms.items()) if factor))
    return size if size.at(envs[-1]) == values[-1] else None


def _solve(values: list[int], names: list[str], envs: Sequence[Env]) -> dict[Monomial, Fraction]:
    """Coefficients of the polynomial, linear in each symbol, through values at the corners."""
    basis = [m for k in range(len(names) + 1) for m in itertools.combinations(names, k)]
    matrix = [[Fraction(prod(env[n] for n in m)) for m in basis] + [Fraction(v)] for env, v in zip(envs, values)]
    for i in range(len(basis)):  # Gauss and Jordan; the matrix of distinct corners is regular
        pivot = next(r for r in range(i, len(basis)) if matrix[r][i])
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        matrix[i] = [x / matrix[i][i] for x in matrix[i]]
        for r in range(len(basis)):
            if r != i and matrix[r][i]:
                matrix[r] = [x - matrix[r][i] * y for x, y in zip(matrix[r], matrix[i])]
    return {m: matrix[i][-1] for i, m in enumerate(basis)}
