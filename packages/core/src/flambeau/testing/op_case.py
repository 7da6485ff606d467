"""The contract of an operation: the author gives example calls and a reference, the contract supplies the checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flambeau.testing.sample import Sample

FLOATS = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class OpCase:
    """What is known about an operation.

    Args:
        name: how it is called in messages.
        fn: the function of tensors.
        samples: example calls (`sample(floats(2, 3), dim=1)`), empty and zero-dimensional ones among them.
        reference: a function of NumPy arrays (and the other arguments) that gives the expected values; None where values are not unique.
        shapes: makes a sample from `operands` shapes that broadcast together; hypothesis chooses the shapes (empty and () among them).
        dtypes: dtypes besides float64 that float inputs may have; float outputs then have the same.
        differentiable, twice: whether there are first and second gradients of the float inputs that are marked so.
        meta: whether shapes follow from shapes alone, as on the device "meta".
        vmap: whether it maps over a batch.
        errors: bad calls, as (function without arguments, exception type, pattern of its message).
        rtol, atol: how far float64 results may be from the reference.
        half: relative tolerance of 16-bit floats (of the largest value).
        compare: applied to the result before anything else, where parts of it are not unique (signs of eigenvectors, say).
        skip: names of checks that make no sense for it, each with the reason.

    >>> import numpy as np
    >>> import flambeau as fb
    >>> from flambeau.testing import check, floats, sample
    >>> case = OpCase("sinc", fb.sinc, [sample(floats(2, 3)), sample(floats())], reference=np.sinc)
    >>> check(case)
    """

    name: str
    fn: Callable[..., Any]
    samples: Sequence[Sample] = ()
    reference: Callable[..., Any] | None = None
    shapes: Callable[..., Sample] | None = None
    operands: int = 1
    dtypes: Sequence[str] = FLOATS
    differentiable: bool = True
    twice: bool = True
    meta: bool = True
    vmap: bool = True
    errors: Sequence[tuple[Callable[[], Any], type[BaseException], str]] = ()
    rtol: float = 1e-7
    atol: float = 1e-9
    half: float = 1.0
    compare: Callable[[Any], Any] | None = None
    skip: dict[str, str] = field(default_factory=dict)

    def call(self, sample: Sample, values: Sequence[Any]) -> Any:
        """The result for one sample."""
        args, kwargs = sample.filled(list(values))
        result = self.fn(*args, **kwargs)
        return result if self.compare is None else self.compare(result)
