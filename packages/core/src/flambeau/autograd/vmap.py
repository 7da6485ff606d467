"""`vmap`: run a function of single examples on a batch of them at once. What happens inside is in batched.py."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau.autograd import batched_random as batched_random  # random numbers look at the vmaps from now on
from flambeau.autograd.batched import BatchedArray, Frame, batched, frame, unbatched
from flambeau.base import tree
from flambeau.base.errors import ArgumentError, ArgumentTypeError, FlambeauError, GradientError, IndexingError, explain
from flambeau.primitives.movement import cat, slice_
from flambeau.primitives.value import Value


def vmap(func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None) -> Any:
    """A function that applies `func` to every example of a batch, with vectorised operations in place of a loop.

    `in_dims` says which axis of each argument counts the examples (None: the argument is the same for all): one number for all arguments,
    or a tuple that may follow nested arguments. `out_dims` says where that axis goes in the results. `randomness` is "error", "different"
    (own random numbers for each example) or "same". `chunk_size` limits how many examples are computed at once. Keyword arguments are not
    mapped.

    Inside, a tensor has no batch axis; what needs the values of one example (`.item()`, `if x > 0`) is an error.

    >>> import flambeau as fb
    >>> rows, v = fb.arange(6.0).reshape(3, 2), fb.ones(2)
    >>> fb.func.vmap(fb.dot, in_dims=(0, None))(rows, v)
    tensor([1., 5., 9.])
    """
    if randomness not in ("error", "different", "same"):
        raise ArgumentError(explain("vmap", expected="randomness 'error', 'different' or 'same'", got=repr(randomness)))
    if chunk_size is not None and chunk_size < 1:
        raise ArgumentError(explain("vmap", expected="a chunk_size of at least 1", got=str(chunk_size)))

    @functools.wraps(func, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        values, spec = tree.flatten(args)
        dims = _in_dims(in_dims, args, values)
        size = _batch_size(values, dims)
        if chunk_size is None or chunk_size >= size:
            with frame(size, randomness) as owner:
                return _packed(_call(func, values, dims, spec, kwargs, owner), out_dims, owner)
        return _in_chunks(func, (values, dims, spec, kwargs), out_dims, randomness, (size, chunk_size))

    return wrapped


def _call(func: Any, values: list[Any], dims: list[int | None], spec: Any, kwargs: dict[str, Any], owner: Frame) -> Any:
    inside = [x if dim is None else batched(x, dim, owner) for x, dim in zip(values, dims, strict=True)]
    return func(*tree.unflatten(spec, inside), **kwargs)


def _prefix(what: str, dims: Any, whole: Any) -> list[Any]:
    """One entry of `dims` for each leaf of `whole`: dims may end earlier, and then counts for all below."""
    entries, spec = tree.flatten(tuple(dims) if isinstance(dims, list) and isinstance(whole, tuple) else dims)
    try:
        parts = tree.flatten_up_to(spec, whole)
    except FlambeauError as error:
        raise ArgumentError(explain("vmap", expected=f"{what} that follow the structure", got=f"{dims!r} ({error})")) from None
    return [entry for entry, part in zip(entries, parts, strict=True) for _ in tree.leaves(part)]


def _in_dims(in_dims: Any, args: tuple[Any, ...], values: list[Any]) -> list[int | None]:
    dims = _prefix("in_dims", in_dims, args)
    found: list[int | None] = []
    for x, dim in zip(values, dims, strict=True):
        if dim is None:
            found.append(None)
            continue
        if not isinstance(dim, int):
            raise ArgumentTypeError(explain("vmap", expected="in_dims as ints or None", got=repr(dim)))
        if not isinstance(x, Value):
            got = f"in_dim {dim} for an argument of type {type(x).__name__}"
            raise ArgumentTypeError(explain("vmap", expected="tensors where in_dims is not None", got=got, hint="in_dims=None there"))
        found.append(_axis("in_dims", dim, x._a.ndim))
    return found


def _axis(what: str, dim: int, ndim: int) -> int:
    if not -ndim <= dim < ndim:
        raise IndexingError(explain("vmap", expected=f"{what} within the {ndim} axes of the tensor", got=str(dim)))
    return dim % ndim


def _batch_size(values: list[Any], dims: list[int | None]) -> int:
    sizes = [x._a.shape[dim] for x, dim in zip(values, dims, strict=True) if dim is not None]
    if not sizes:
        raise ArgumentError(explain("vmap", expected="at least one argument with a batch axis", got="none", hint="check in_dims"))
    if len(set(sizes)) > 1:
        raise ArgumentError(explain("vmap", expected="batch axes of one size", got=f"sizes {sizes}"))
    return int(sizes[0])


def _packed(out: Any, out_dims: Any, owner: Frame) -> Any:
    """The results with their batch axes."""
    values, spec = tree.flatten(out)
    dims = _prefix("out_dims", out_dims, out)
    return tree.unflatten(spec, [_with_axis(x, dim, owner) for x, dim in zip(values, dims, strict=True)])


def _with_axis(x: Any, dim: Any, owner: Frame) -> Any:
    if not isinstance(x, Value):
        got = f"a result of type {type(x).__name__}"
        raise ArgumentTypeError(explain("vmap", expected="a function that returns tensors", got=got))
    if dim is None:
        if type(x._a) is BatchedArray and x._a.frame is owner:
            raise GradientError(explain("vmap", expected="out_dims that is an axis", got="None for a result that differs between examples"))
        return x
    return unbatched(x, owner, _axis("out_dims", dim, x._a.ndim + 1))


def _in_chunks(func: Any, call: tuple[Any, ...], out_dims: Any, randomness: str, sizes: tuple[int, int]) -> Any:
    """Some examples at a time, joined."""
    values, dims, spec, kwargs = call
    size, step = sizes
    starts: dict[int, Any] = {}
    results = []
    for first in range(0, size, step):
        count = min(step, size - first)
        part = [x if dim is None else _part(x, dim, first, count) for x, dim in zip(values, dims, strict=True)]
        with frame(count, randomness) as owner:
            if randomness == "same":
                for generator, state in starts.values():
                    generator.set_state(state)
                owner.starts = starts
            out = _call(func, part, dims, spec, kwargs, owner)
            results.append(tree.flatten(_packed(out, out_dims, owner)))
            axes = _prefix("out_dims", out_dims, out)
    columns = zip(*[flat for flat, _ in results], strict=True)
    joined = [c[0] if d is None else cat(*c, axis=_axis("out_dims", d, c[0]._a.ndim)) for c, d in zip(columns, axes, strict=True)]
    return tree.unflatten(results[0][1], joined)


def _part(x: Any, dim: int, first: int, count: int) -> Any:
    return slice_(x, key=(*(slice(None),) * dim, slice(first, first + count)))
