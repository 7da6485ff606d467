"""Watching primitives: which run, and whether each one's shape rule predicts what its kernel computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flambeau.base.errors import FlambeauError, IndexingError
from flambeau.device.null import NullArray
from flambeau.primitives.bind import Interceptor, execute, intercept
from flambeau.primitives.source import make
from flambeau.primitives.value import Value

seen: set[str] = set()
"""Names of the primitives that ran within `agreeing_rules` so far, so that a suite can tell whether it reached all."""


@contextmanager
def agreeing_rules() -> Iterator[None]:
    """Within the block, every primitive's result must have the shape and dtype that its rule gives, or AssertionError is raised."""
    with intercept(_Watch()):
        yield


class _Watch(Interceptor):
    def __call__(self, prim: Any, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        seen.add(prim.name)
        if prim.inputs:
            out = execute(prim, inputs, params)
        else:
            out = make(prim, params["device"], **{k: v for k, v in params.items() if k != "device"})
        _compare(prim, inputs, params, out)
        return out


def _compare(prim: Any, inputs: tuple[Any, ...], params: dict[str, Any], out: Any) -> None:
    outs = out if isinstance(out, tuple) else (out,)
    if any(not hasattr(o._a, "flags") for o in outs):
        return  # a batch of vmap, or shapes only: the rule itself ran
    avals = [NullArray(x._a.shape, x._a.dtype) if isinstance(x, Value) else x for x in inputs]
    try:
        predicted = prim.infer(*avals, **{k: v for k, v in params.items() if prim.inputs or k != "device"})
    except FlambeauError as error:
        if "values" in str(error) or isinstance(error, IndexingError):
            return  # a shape that depends on values has no rule
        raise
    predicted = predicted if isinstance(predicted, list) else [predicted]
    found = [(tuple(o._a.shape), o._a.dtype) for o in outs]
    wanted = [(tuple(shape), dtype) for shape, dtype in predicted]
    assert found == wanted, f"primitive {prim.name}: its rule predicts {wanted}, its kernel made {found}"
