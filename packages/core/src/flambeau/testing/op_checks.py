"""The checks of `OpCase`, one function each: they raise AssertionError and say what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from flambeau.base import tree
from flambeau.base.dtypes import named
from flambeau.tensor.creation import as_tensor, empty
from flambeau.tensor.tensor import Tensor
from flambeau.testing.compare import assert_close
from flambeau.testing.op_case import OpCase
from flambeau.testing.rules import agreeing_rules
from flambeau.testing.sample import Sample, Spec

# the largest relative error of one rounding, times the few roundings of an operation that accumulates in float32
_HALF = {"float16": 4e-3, "bfloat16": 3e-2}


# -- making the inputs --------------------------------------------------------------------------------------------------------------------
def tensors(sample: Sample, arrays: list[np.ndarray], dtype: str = "float64", device: Any = "cpu", grad: bool = False) -> list[Any]:
    """Tensors of the arrays; float ones in that dtype (complex ones in its complex companion)."""
    return [_tensor(spec, a, dtype, device, grad) for spec, a in zip(sample.specs, arrays)]


def _tensor(spec: Spec, a: np.ndarray, dtype: str, device: Any, grad: bool) -> Any:
    d = named(dtype)
    if spec.kind == "c":
        d = d.to_complex()
    made = as_tensor(np.ascontiguousarray(a).reshape(a.shape), device=device)
    if spec.kind in "fc":
        made = made.to(d)
    return made.requires_grad_() if grad and spec.grad and spec.kind in "fc" else made


def results(out: Any) -> list[Any]:
    """The tensors and numbers of a result, in order."""
    return [leaf for leaf in tree.leaves(out) if leaf is not None]


def _seeded(case: OpCase) -> Iterator[tuple[Sample, list[np.ndarray]]]:
    for i, sample in enumerate(case.samples):
        yield sample, sample.arrays(f"{case.name} {i}")


# -- values -------------------------------------------------------------------------------------------------------------------------------
def values(case: OpCase) -> None:
    """float64 results agree with the reference; inputs are left alone; every primitive keeps its shape rule."""
    for sample, arrays in _seeded(case):
        _values_of(case, sample, arrays)


def _values_of(case: OpCase, sample: Sample, arrays: list[np.ndarray]) -> None:
    inputs = tensors(sample, arrays)
    out = results(case.call(sample, inputs))
    with agreeing_rules():
        again = results(case.call(sample, inputs))
    _same(again, [_plain(x) for x in out], "a second call")
    for before, after in zip(arrays, inputs):
        assert_close(after, before, rtol=0, atol=0, equal_nan=True, msg=lambda m: f"an input was changed: {m}")
    if case.reference is None:
        return
    args, kwargs = sample.filled([a.copy() for a in arrays])
    with np.errstate(all="ignore"):
        expected = results(case.reference(*args, **kwargs))
    assert len(out) == len(expected), f"{len(out)} results where the reference has {len(expected)}"
    for got, want in zip(out, expected):
        short = _plain(got).dtype.name in ("float32", "complex64")  # what integers become
        rtol, atol = (max(case.rtol, 1e-5), max(case.atol, 1e-6)) if short else (case.rtol, case.atol)
        assert_close(_plain(got), np.asarray(want), rtol=rtol, atol=atol, equal_nan=True, check_dtype=False)


def _plain(x: Any) -> Any:
    return x.detach().cpu().resolve_conj().numpy() if isinstance(x, Tensor) else np.asarray(x)


def shapes(case: OpCase) -> None:
    """The same for shapes that hypothesis chooses, and in shape-only execution."""
    if case.shapes is None:
        return
    from hypothesis import given, settings
    from hypothesis.extra.numpy import mutually_broadcastable_shapes

    chosen = mutually_broadcastable_shapes(num_shapes=case.operands, min_dims=0, max_dims=3, min_side=0, max_side=3)

    @settings(max_examples=10, database=None, deadline=None, derandomize=True)
    @given(chosen)
    def agree(drawn: Any) -> None:
        assert case.shapes is not None
        sample = case.shapes(*drawn.input_shapes)
        arrays = sample.arrays(f"{case.name} {drawn.input_shapes}")
        _values_of(case, sample, arrays)
        if case.meta:
            _meta_of(case, sample, arrays, "float64")

    agree()


def meta(case: OpCase) -> None:
    """Shape-only execution gives the same shapes and dtypes."""
    for sample, arrays in _seeded(case):
        for dtype in ("float64", *case.dtypes[:1]):
            _meta_of(case, sample, arrays, dtype)


def _meta_of(case: OpCase, sample: Sample, arrays: list[np.ndarray], dtype: str) -> None:
    args, kwargs = sample.filled(tensors(sample, arrays, dtype))
    real = case.fn(*args, **kwargs)
    args, kwargs = sample.filled([empty(t.shape, dtype=t.dtype, device="meta") for t in tensors(sample, arrays, dtype)])
    unreal = case.fn(*args, **kwargs)
    facts = [[(tuple(t.shape), t.dtype) for t in results(out) if isinstance(t, Tensor)] for out in (real, unreal)]
    assert facts[0] == facts[1], f"shapes and dtypes {facts[1]} on the meta device, {facts[0]} on the CPU"


def dtypes(case: OpCase) -> None:
    """Other dtypes: float results in the dtype of the inputs, values within its precision."""
    for sample, arrays in _seeded(case):
        if not any(spec.kind in "fc" for spec in sample.specs):
            continue
        wide = results(case.call(sample, tensors(sample, arrays)))
        complex_ = any(spec.kind == "c" for spec in sample.specs)
        for dtype in case.dtypes:
            if complex_ and dtype in _HALF:
                continue  # there are no complex numbers of 16-bit parts
            _dtype_of(case, sample, arrays, wide, dtype)


def _dtype_of(case: OpCase, sample: Sample, arrays: list[np.ndarray], wide: list[Any], dtype: str) -> None:
    d = named(dtype)
    inputs = tensors(sample, arrays, dtype)
    out = results(case.call(sample, inputs))
    if d.is_floating_point:
        exact = (
            results(case.call(sample, [t.to(named("float64")) if t.is_floating_point() else t for t in inputs]))
            if d.itemsize == 2
            else wide
        )
    else:
        exact = wide
    for got, want in zip(out, exact):
        if not isinstance(got, Tensor):
            continue
        expected = {2: d, 3: d.to_complex()}.get(want.dtype.category, want.dtype)
        assert got.dtype == expected, f"dtype {got.dtype} for {dtype} inputs, expected {expected}"
        if not d.is_floating_point or got.dtype.category < 2:
            continue
        rtol = _HALF.get(dtype, 2e-5) * case.half
        atol = rtol * max(_largest(_wide(want)), 1e-2)
        assert_close(_wide(got), _wide(want), rtol=rtol, atol=atol, equal_nan=True, msg=lambda m: f"{dtype}: {m}")


def _largest(want: np.ndarray) -> float:
    finite = np.abs(want[np.isfinite(want)])
    return float(finite.max()) if finite.size else 0.0


def _wide(x: Any) -> np.ndarray:
    a = _plain(x)
    return a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)


# -- gradients ----------------------------------------------------------------------------------------------------------------------------
def gradient(case: OpCase) -> None:
    """Gradients agree with finite differences, and have the dtypes of the inputs."""
    from flambeau.autograd.numeric import gradcheck

    for sample, arrays in _differentiable(case):
        with agreeing_rules():
            gradcheck(lambda *ts, s=sample: case.call(s, ts), tensors(sample, arrays, grad=True), check_grad_dtypes=True)


def second_gradient(case: OpCase) -> None:
    """Gradients of gradients, too."""
    from flambeau.autograd.numeric import gradgradcheck

    for sample, arrays in _differentiable(case):
        with agreeing_rules():
            gradgradcheck(lambda *ts, s=sample: case.call(s, ts), tensors(sample, arrays, grad=True), fast_mode=True, atol=1e-4)


def _differentiable(case: OpCase) -> Iterator[tuple[Sample, list[np.ndarray]]]:
    for sample, arrays in _seeded(case):
        if any(spec.grad and spec.kind in "fc" for spec in sample.specs):
            yield sample, arrays


# -- memory layouts -----------------------------------------------------------------------------------------------------------------------
def _transposed(a: Any) -> Any:
    return a.permute(*reversed(range(a.ndim))).contiguous().permute(*reversed(range(a.ndim)))


def _strided(a: Any) -> Any:
    if a.ndim == 0:
        return a.expand(3)[1]
    wide = a.repeat_interleave(2, -1)
    return wide[..., ::2]


def _offset(a: Any) -> Any:
    if a.ndim == 0:
        return a.reshape(1).repeat(2)[1]
    from flambeau.ops.joining import cat

    return cat([a, a], 0)[a.shape[0] :]


LAYOUTS: dict[str, Callable[[Any], Any]] = {"transposed": _transposed, "strided": _strided, "with an offset": _offset}


def layouts(case: OpCase) -> None:
    """Views of other memory layouts (transposed, strided, with an offset, expanded) give the same results."""
    for sample, arrays in _seeded(case):
        inputs = tensors(sample, arrays)
        expected = [_plain(x) for x in results(case.call(sample, inputs))]
        for name, layout in LAYOUTS.items():
            got = results(case.call(sample, [layout(t) for t in inputs]))
            _same(got, expected, f"inputs that are {name} views" if name != "with an offset" else "inputs that are views with an offset")
        _expanded(case, sample, inputs)


def _expanded(case: OpCase, sample: Sample, inputs: list[Any]) -> None:
    """An input whose rows are one row in memory (stride 0), against its copy."""
    for i, (spec, t) in enumerate(zip(sample.specs, inputs)):
        if spec.build is None and t.ndim and t.shape[0] > 1 and spec.kind != "i":
            view = t[:1].expand(t.shape)
            got = results(case.call(sample, [*inputs[:i], view, *inputs[i + 1 :]]))
            want = results(case.call(sample, [*inputs[:i], view.clone().contiguous(), *inputs[i + 1 :]]))
            _same(got, [_plain(x) for x in want], f"input {i} expanded")


def _same(got: list[Any], expected: list[np.ndarray], where: str) -> None:
    assert len(got) == len(expected), where
    for x, want in zip(got, expected):
        assert_close(_plain(x), want, rtol=1e-9, atol=1e-10, equal_nan=True, msg=lambda m: f"{where}: {m}")


# -- batches, devices, errors -------------------------------------------------------------------------------------------------------------
def vmap(case: OpCase) -> None:
    """Mapped over a batch it gives what a loop gives."""
    from flambeau.autograd.vmap import vmap as mapped
    from flambeau.ops.joining import stack

    for i, sample in enumerate(case.samples):
        if not sample.specs:
            continue
        batch = [tensors(sample, sample.arrays(f"{case.name} {i} {k}")) for k in range(2)]
        stacked = [stack(list(column)) for column in zip(*batch)]
        got = results(mapped(lambda *ts, s=sample: tuple(results(case.call(s, ts))))(*stacked))
        loop = [results(case.call(sample, inputs)) for inputs in batch]
        expected = [np.stack([_plain(x) for x in column]) for column in zip(*loop)]
        assert len(got) == len(expected)
        for x, want in zip(got, expected):
            assert_close(_plain(x), want, rtol=1e-6, atol=1e-8, equal_nan=True)


def on_device(case: OpCase, device: Any) -> None:
    """On another device: the CPU's values and gradients, there."""
    for sample, arrays in _seeded(case):
        here, grads_here = _with_gradients(case, sample, arrays, "cpu")
        there, grads_there = _with_gradients(case, sample, arrays, device)
        assert len(here) == len(there)
        for want, got in zip([*here, *grads_here], [*there, *grads_there]):
            if not isinstance(want, Tensor):
                continue
            assert got.device.type == str(device).partition(":")[0], f"a result on {got.device}"
            assert got.dtype == want.dtype
            assert_close(_plain(got), _plain(want), rtol=1e-6, atol=1e-8, equal_nan=True)


def _with_gradients(case: OpCase, sample: Sample, arrays: list[np.ndarray], device: Any) -> tuple[list[Any], list[Any]]:
    from flambeau.autograd.engine import grad

    inputs = tensors(sample, arrays, device=device, grad=case.differentiable)
    out = results(case.call(sample, inputs))
    leaves = [t for t in inputs if t.requires_grad]
    live = [o for o in out if isinstance(o, Tensor) and o.requires_grad]
    if not live or not leaves:
        return out, []
    total: Any = 0
    for o in live:
        total = total + (o * o.conj()).real.sum() if o.is_complex() else total + (o * o).sum()
    return out, [g for g in grad(total, leaves, allow_unused=True) if g is not None]


def errors(case: OpCase) -> None:
    """Bad calls are refused with the promised message."""
    import re

    for call, kind, pattern in case.errors:
        message = None
        try:
            call()
        except kind as error:
            message = str(error)
        assert message is not None, f"a bad call was accepted (expected {kind.__name__}: {pattern})"
        assert re.search(pattern, message), f"message {message!r} without {pattern!r}"
