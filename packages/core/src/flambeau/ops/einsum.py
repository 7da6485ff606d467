"""`einsum`: sums of products by index letters.

A plan of diagonals, sums and matrix products is made once for an equation and shapes, and kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

from flambeau.base.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError, explain
from flambeau.ops.casting import casting
from flambeau.ops.matmul import matmul
from flambeau.ops.pointwise import mul_op
from flambeau.ops.shape import diagonal
from flambeau.primitives.movement import permute, reshape
from flambeau.primitives.reduce import sum_
from flambeau.tensor.tensor import Tensor

Labels = tuple[str, ...]
Shape = tuple[int, ...]
_OPTIMAL = 6  # operands up to which all orders of contraction are weighed


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Multiply tensors and sum over indices, as letters say: "ik,kj->ij" is a matrix product.

    `...` stands for broadcast axes, a letter that comes twice in one operand for its diagonal, and a letter that is not in the output is
    summed over. Without `->` the output has the letters that come once, in alphabetical order. Operands with lists of integers in place of
    letters are taken too: `einsum(a, [0, 1], b, [1, 2], [0, 2])`. Three operands and more are contracted in the cheapest order found.

    >>> import flambeau as fb
    >>> fb.einsum("bi,bi->b", fb.ones(2, 3), fb.ones(2, 3))
    tensor([3., 3.])
    """
    if isinstance(equation, Tensor):
        equation, operands = _from_sublists(equation, *operands)
    elif len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    for k, x in enumerate(operands):
        if not isinstance(x, Tensor):
            raise ArgumentTypeError(explain("einsum", expected=f"a tensor as operand {k}", got=type(x).__name__))
    kinds = {x.dtype for x in operands}
    if len(kinds) > 1:
        got = " and ".join(sorted(map(repr, kinds)))
        raise DtypeError(explain("einsum", expected="operands of one dtype", got=got, hint="convert them with .to(dtype)"))
    plan = make_plan(equation, tuple(x._a.shape for x in operands))
    terms = [_prepared(x, steps) for x, steps in zip(operands, plan.prepare, strict=True)]
    for i, j, pair in plan.pairs:
        y, x = terms.pop(j), terms.pop(i)
        terms.append(_contract(x, y, pair))
    result = _prepared(terms[0], plan.finish)
    return result if plan.axes is None else permute(result, axes=plan.axes)


# -- running a plan ---------------------------------------------------------------------------------------------------------------------
class Prepare(NamedTuple):
    """Steps on one operand: pairs of axes to take the diagonal of (it becomes the last axis), then axes to sum over and drop."""

    diagonals: tuple[tuple[int, int], ...]
    sums: tuple[int, ...]


class Pair(NamedTuple):
    """How two operands are multiplied: what to do first with each, the order of their axes, shapes for the product, shape of the result."""

    left: Prepare
    right: Prepare
    axes: tuple[tuple[int, ...], tuple[int, ...]]
    shapes: tuple[Shape, Shape]
    multiply: bool  # elementwise, for there is nothing to sum over
    result: Shape


class Plan(NamedTuple):
    """All steps of an einsum."""

    prepare: tuple[Prepare, ...]
    pairs: tuple[tuple[int, int, Pair], ...]
    finish: Prepare
    axes: tuple[int, ...] | None


def _prepared(x: Tensor, steps: Prepare) -> Tensor:
    for i, j in steps.diagonals:
        x = diagonal(x, 0, i, j)
    return sum_(x, axis=steps.sums, keepdim=False) if steps.sums else x


def _contract(x: Tensor, y: Tensor, pair: Pair) -> Tensor:
    x, y = _prepared(x, pair.left), _prepared(y, pair.right)
    x = reshape(permute(x, axes=pair.axes[0]), shape=pair.shapes[0])
    y = reshape(permute(y, axes=pair.axes[1]), shape=pair.shapes[1])
    return reshape((mul_op if pair.multiply else matmul)(x, y), shape=pair.result)


# -- making a plan ----------------------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=2048)
def make_plan(equation: str, shapes: tuple[Shape, ...]) -> Plan:
    """The steps for an equation and the shapes of its operands."""
    inputs, output = _parse(equation, tuple(map(len, shapes)))
    sizes: dict[str, int] = {}
    for labels, shape in zip(inputs, shapes, strict=True):
        for label, n in zip(labels, shape, strict=True):
            have = sizes.get(label, 1)
            if 1 not in (have, n) and have != n:
                got = f"{have} and {n} for {label!r} in {equation!r} with shapes {', '.join(map(str, shapes))}"
                raise ShapeError(explain("einsum", expected="one size for each letter", got=got))
            sizes[label] = n if have == 1 else have
    terms: list[tuple[Labels, Shape]] = []
    prepare = []
    for k, (labels, shape) in enumerate(zip(inputs, shapes, strict=True)):
        diagonals, labels, shape = _diagonals(labels, shape)
        elsewhere = set(output).union(*(inputs[:k] + inputs[k + 1 :]))
        sums, labels, shape = _drop(labels, shape, {a for a in labels if a not in elsewhere})
        prepare.append(Prepare(diagonals, sums))
        terms.append((labels, shape))
    pairs = []
    for i, j in _order(tuple(frozenset(t[0]) for t in terms), frozenset(output), sizes):
        right, left = terms.pop(j), terms.pop(i)
        kept = set(output).union(*(t[0] for t in terms))
        pair, labels, shape = _pair(left, right, kept)
        pairs.append((i, j, pair))
        terms.append((labels, shape))
    labels, shape = terms[0]
    sums, labels, shape = _drop(labels, shape, set(labels) - set(output))
    axes = tuple(labels.index(a) for a in output)
    return Plan(tuple(prepare), tuple(pairs), Prepare((), sums), None if axes == tuple(range(len(axes))) else axes)


def _diagonals(labels: Labels, shape: Shape) -> tuple[tuple[tuple[int, int], ...], Labels, Shape]:
    steps = []
    while len(set(labels)) < len(labels):
        i, j = next((i, labels.index(a, i + 1)) for i, a in enumerate(labels) if a in labels[i + 1 :])
        if shape[i] != shape[j]:
            raise ShapeError(
                explain("einsum", expected=f"equal sizes for the repeated letter {labels[i]!r}", got=f"{shape[i]} and {shape[j]}")
            )
        steps.append((i, j))
        rest = [k for k in range(len(labels)) if k not in (i, j)]
        labels, shape = (*(labels[k] for k in rest), labels[i]), (*(shape[k] for k in rest), shape[i])
    return tuple(steps), labels, shape


def _drop(labels: Labels, shape: Shape, gone: set[str]) -> tuple[tuple[int, ...], Labels, Shape]:
    axes = tuple(i for i, a in enumerate(labels) if a in gone)
    rest = [i for i in range(len(labels)) if i not in axes]
    return axes, tuple(labels[i] for i in rest), tuple(shape[i] for i in rest)


def _pair(left: tuple[Labels, Shape], right: tuple[Labels, Shape], kept: set[str]) -> tuple[Pair, Labels, Shape]:
    """Multiply two operands and sum over the letters that nobody needs afterwards."""
    (a, a_shape), (b, b_shape) = left, right
    a_size, b_size = dict(zip(a, a_shape, strict=True)), dict(zip(b, b_shape, strict=True))
    a_gone = {x for x in a if x in b_size and a_size[x] == 1 != b_size[x]}  # broadcast: an axis of size 1 is no axis
    b_gone = {x for x in b if x in a_size and b_size[x] == 1 != a_size[x]}
    a_gone |= {x for x in a if x not in kept and (x not in b_size or x in b_gone)}
    b_gone |= {x for x in b if x not in kept and (x not in a_size or x in a_gone)}
    a_sums, a, _ = _drop(a, a_shape, a_gone)
    b_sums, b, _ = _drop(b, b_shape, b_gone)
    batch = [x for x in a if x in b and x in kept]
    inner = [x for x in a if x in b and x not in kept]
    rows, columns = [x for x in a if x not in b], [x for x in b if x not in a]
    axes = (tuple(a.index(x) for x in batch + rows + inner), tuple(b.index(x) for x in batch + inner + columns))
    size = a_size | {x: b_size[x] for x in b}
    lead, n, k, m = ([size[x] for x in group] for group in (batch, rows, inner, columns))
    result = (*lead, *n, *m)
    if not inner:
        shapes: tuple[Shape, Shape] = ((*lead, *n, *(1,) * len(m)), (*lead, *(1,) * len(n), *m))
    else:
        head = (prod(lead),) if batch else ()
        shapes = ((*head, prod(n), prod(k)), (*head, prod(k), prod(m)))
    return Pair(Prepare((), a_sums), Prepare((), b_sums), axes, shapes, not inner, result), (*batch, *rows, *columns), result


# -- the order of contraction -----------------------------------------------------------------------------------------------------------
def _order(terms: tuple[frozenset[str], ...], output: frozenset[str], sizes: dict[str, int]) -> list[tuple[int, int]]:
    """Pairs of positions to contract; the result goes to the end of the list."""
    if len(terms) <= 2:
        return [(0, 1)] * (len(terms) - 1)
    tree = _optimal(terms, output, sizes) if len(terms) <= _OPTIMAL else _greedy(terms, output, sizes)
    pairs: list[tuple[int, int]] = []
    names: list[Any] = list(range(len(terms)))

    def walk(node: Any) -> Any:
        if isinstance(node, int):
            return node
        x, y = walk(node[0]), walk(node[1])
        i, j = sorted((names.index(x), names.index(y)))
        pairs.append((i, j))
        names.pop(j)
        names.pop(i)
        names.append(node)
        return node

    walk(tree)
    return pairs


def _cost(x: frozenset[str], y: frozenset[str], sizes: dict[str, int]) -> int:
    return prod(sizes[a] for a in x | y)


def _optimal(terms: tuple[frozenset[str], ...], output: frozenset[str], sizes: dict[str, int]) -> Any:
    """The tree of contractions with the fewest products, over all subsets of operands."""
    n = len(terms)
    full = (1 << n) - 1

    def letters(subset: int) -> frozenset[str]:
        inside = frozenset().union(*(t for i, t in enumerate(terms) if subset >> i & 1))
        return inside & output.union(*(t for i, t in enumerate(terms) if not subset >> i & 1))

    free = [letters(s) if s & (s - 1) else (terms[s.bit_length() - 1] if s else frozenset()) for s in range(full + 1)]
    best: dict[int, tuple[int, Any]] = {1 << i: (0, i) for i in range(n)}
    for subset in range(1, full + 1):
        if subset in best:
            continue
        part = (subset - 1) & subset
        while part > subset - part:  # each split once
            rest = subset - part
            cost = best[part][0] + best[rest][0] + _cost(free[part], free[rest], sizes)
            if subset not in best or cost < best[subset][0]:
                best[subset] = (cost, (best[part][1], best[rest][1]))
            part = (part - 1) & subset
    return best[full][1]


def _greedy(terms: tuple[frozenset[str], ...], output: frozenset[str], sizes: dict[str, int]) -> Any:
    """Always contract the pair whose result is smallest against its operands (then the one with the fewest products)."""
    nodes: list[tuple[Any, frozenset[str]]] = list(enumerate(terms))

    def size(x: frozenset[str]) -> int:
        return prod(sizes[a] for a in x)

    while len(nodes) > 1:
        uses = Counter(a for _, t in nodes for a in t)

        def merged(i: int, j: int, uses: Counter[str] = uses) -> frozenset[str]:
            x, y = nodes[i][1], nodes[j][1]
            return frozenset(a for a in x | y if a in output or uses[a] > (a in x) + (a in y))

        def rank(pair: tuple[int, int]) -> tuple[int, int]:
            i, j = pair
            return size(merged(i, j)) - size(nodes[i][1]) - size(nodes[j][1]), _cost(nodes[i][1], nodes[j][1], sizes)

        i, j = min(((i, j) for i in range(len(nodes)) for j in range(i + 1, len(nodes))), key=rank)
        labels = merged(i, j)
        y, x = nodes.pop(j)[0], nodes.pop(i)[0]
        nodes.append(((x, y), labels))
    return nodes[0][0]


# -- reading an equation ----------------------------------------------------------------------------------------------------------------
def _parse(equation: str, ranks: tuple[int, ...]) -> tuple[list[Labels], Labels]:
    """Labels of each operand and of the output; broadcast axes are labelled "...1" (the last), "...2", ..."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(ranks):
        raise ArgumentError(explain("einsum", expected=f"{len(texts)} operands for {equation!r}", got=str(len(ranks))))
    inputs = [_labels(text, rank, equation) for text, rank in zip(texts, ranks, strict=True)]
    most = max((sum(len(a) > 1 for a in labels) for labels in inputs), default=0)
    dots = tuple(f"...{i}" for i in range(most, 0, -1))
    if not arrow:
        counts = Counter(a for labels in inputs for a in labels)
        return inputs, (*dots, *sorted(a for a, n in counts.items() if n == 1 and len(a) == 1))
    before, ellipsis, after = right.partition("...")
    output = (*before, *(dots if ellipsis else ()), *after)
    known = set().union(*inputs)
    unknown = [a for a in output if a not in known]
    if unknown or len(set(output)) < len(output):
        got = f"{right!r} in {equation!r}"
        raise ArgumentError(explain("einsum", expected="an output whose letters come once and are in the inputs", got=got))
    return inputs, output


def _labels(text: str, rank: int, equation: str) -> Labels:
    before, ellipsis, after = text.partition("...")
    letters = before + after
    if any(not a.isalpha() or not a.isascii() for a in letters):
        raise ArgumentError(explain("einsum", expected="letters, '...' and '->'", got=f"{text!r} in {equation!r}"))
    spare = rank - len(letters)
    if spare < 0 or (spare and not ellipsis):
        hint = "add '...'" if spare > 0 else ""
        raise ShapeError(explain("einsum", expected=f"an operand with {len(letters)} axes for {text!r}", got=f"one with {rank}", hint=hint))
    return (*before, *(f"...{i}" for i in range(spare, 0, -1)), *after)


def _from_sublists(*parts: Any) -> tuple[str, tuple[Any, ...]]:
    """`x, [0, 1], y, [1, 2], [0, 2]` as an equation."""
    output = _letters(parts[-1]) if len(parts) % 2 else None
    pairs = [(parts[i], parts[i + 1]) for i in range(0, len(parts) - 1, 2)]
    equation = ",".join(_letters(numbers) for _, numbers in pairs)
    return equation if output is None else f"{equation}->{output}", tuple(x for x, _ in pairs)


def _letters(numbers: Sequence[Any]) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    try:
        return "".join("..." if n is Ellipsis else alphabet[n] for n in numbers)
    except (TypeError, IndexError):
        raise ArgumentError(explain("einsum", expected="lists of integers in [0, 51] or ...", got=repr(numbers))) from None


__all__ = ["einsum"]

casting(globals())
