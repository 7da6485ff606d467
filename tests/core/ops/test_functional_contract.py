"""What each case of `flambeau.nn.functional` must do: gradients equal to differences, shapes without data, any memory layout."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

import flambeau as fb
import flambeau.nn.functional as F
from flambeau.autograd.engine import grad
from tests.functional import layers, losses, rest
from tests.functional.compare import fixed

CASES = [c for c in layers.CASES + losses.CASES + losses.CTC + rest.CASES if not c[0].endswith("edges")]
# Ties, slopes too steep for differences, and random numbers.
# Gradients that PyTorch defines in another way than as the derivative: through limits, for padding, by frequency, at repeated positions.
OTHERWISE = (
    "gaussian_nll_loss-eps",
    "cosine_similarity-small",
    "embedding-padding",
    "embedding-frequency",
    "max_unpool2d-unbatched",
    "kl_div-zero",
)
STEPS = ("max_pool2d-ties", "softmax-large", "cross_entropy-large", "log_softmax-large", "ctc-sharp", "cross_entropy-all-ignored", "rrelu")
READS_VALUES = ("one_hot", "ctc", "bag", "gaussian_nll_loss")


def arrays_of(case):
    rng = np.random.default_rng(zlib.crc32(case[0].encode()))
    return [(make(rng), not isinstance(make, fixed)) for make in case[2]]


def flat(result):
    if isinstance(result, (tuple, list)):
        return [t for r in result for t in flat(r)]
    return [] if result is None else [result]


def weighted(case, tensors) -> Any:
    """A number made of all differentiable results, curved so that linear functions have second derivatives too."""
    rng = np.random.default_rng(5)
    total: Any = 0
    for out in flat(case[1](F, fb, *tensors)):
        weights = fb.tensor(rng.standard_normal(tuple(out.shape)))
        if out.requires_grad:
            total = total + (out * weights).sum()
    return total


def moved(arrays, directions, step):
    return [fb.tensor(a if d is None else a + step * d).requires_grad_(d is not None) for (a, _), d in zip(arrays, directions, strict=True)]


def directions_of(arrays):
    rng = np.random.default_rng(9)
    return [rng.standard_normal(a.shape) if keep and a.dtype.kind == "f" else None for a, keep in arrays]


def slope(case, tensors, directions, create_graph=False):
    """The derivative along the directions, by backward."""
    inputs = [(t, d) for t, d in zip(tensors, directions, strict=True) if d is not None]
    value = weighted(case, tensors)
    grads = grad(fb.sin(value), [t for t, _ in inputs], create_graph=create_graph, allow_unused=True)
    total: Any = 0
    for g, (_, d) in zip(grads, inputs, strict=True):
        if g is not None:
            total = total + (g * fb.tensor(d)).sum()
    return total


DIFFERENTIABLE = [c for c in CASES if not c[0].startswith((*STEPS, *OTHERWISE))]


def check_slope(case, function, expected, step, rtol):
    high, low = function(step), function(-step)
    numeric = (high - low) / (2 * step)
    assert numeric == pytest.approx(expected, rel=rtol, abs=rtol)


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=[c[0] for c in DIFFERENTIABLE])
def test_gradients_are_slopes(case):
    arrays = arrays_of(case)
    directions = directions_of(arrays)
    if all(d is None or d.size == 0 for d in directions):
        return
    tensors = moved(arrays, directions, 0.0)
    if not isinstance(weighted(case, tensors), fb.Tensor):
        return
    got = float(slope(case, tensors, directions))
    check_slope(case, lambda s: float(fb.sin(weighted(case, moved(arrays, directions, s)))), got, 1e-6, 1e-5)


ROWS = (
    """
softmax|softmax-dim|log_softmax|batch_norm-train|batch_norm-train-2d|layer_norm|layer_norm-two|rms_norm|group_norm|instance_norm|linear
conv2d|conv2d-options|conv2d-depthwise|conv_transpose2d-options|conv_transpose1d-dilated|unfold|fold|avg_pool2d-ceil|max_pool2d
adaptive_avg_pool2d|cross_entropy-mean-2x1|nll_loss-none-2x0|binary_cross_entropy-mean-2x1|embedding|sdpa|sdpa-causal|mha-self
grid_sample-2-bilinear-border-True|hardtanh-limits|interpolate-(2, 3, 7, 5)-size=(14, 10)-mode=bicubic
interpolate-(1, 2, 17, 13)-size=(5, 20)-mode=bilinear-antialias=True
""".strip()
    .replace("\n", "|")
    .split("|")
)
SECOND = [c for c in CASES if c[0] in ROWS]


@pytest.mark.parametrize("case", SECOND, ids=[c[0] for c in SECOND])
def test_second_derivatives_are_slopes_of_gradients(case):
    arrays = arrays_of(case)
    directions = directions_of(arrays)
    tensors = moved(arrays, directions, 0.0)
    first = slope(case, tensors, directions, create_graph=True)
    inputs = [(t, d) for t, d in zip(tensors, directions, strict=True) if d is not None]
    grads = grad(first, [t for t, _ in inputs], allow_unused=True)
    got = sum(float((g * fb.tensor(d)).sum()) for g, (_, d) in zip(grads, inputs, strict=True) if g is not None)
    check_slope(case, lambda s: float(slope(case, moved(arrays, directions, s), directions)), got, 1e-5, 1e-4)


def test_all_rows_are_among_the_second_derivatives():
    assert {c[0] for c in SECOND} == set(ROWS)


SHAPES = [c for c in CASES if not c[0].startswith(READS_VALUES)]


class Meta:
    """The library with the device without data as default."""

    def __getattr__(self, name: str) -> Any:
        made = getattr(fb, name)
        if name in ("tensor", "zeros", "ones", "full", "arange"):
            return lambda *args, **kwargs: made(*args, **kwargs, device="meta")
        return made


@pytest.mark.parametrize("case", SHAPES, ids=[c[0] for c in SHAPES])
def test_shapes_without_data(case):
    arrays = arrays_of(case)
    results = []
    for lib, device in ((fb, "cpu"), (Meta(), "meta")):
        tensors = [fb.tensor(a).to(device).requires_grad_(keep and a.dtype.kind == "f") for a, keep in arrays]
        outs = flat(case[1](F, lib, *tensors))
        total = sum(o.sum() for o in outs if o.requires_grad)
        if isinstance(total, fb.Tensor):
            total.backward()
        grads = [t.grad for t in tensors if t.grad is not None]
        assert all(o.device.type == device for o in outs)
        results.append([(tuple(t.shape), t.dtype) for t in (*outs, *grads)])
    assert results[0] == results[1]


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_any_memory_layout(case):
    """Inputs whose axes lie in reverse order in memory give the same."""
    results = []
    for order in ("C", "F"):
        inputs = [fb.tensor(a).requires_grad_(keep and a.dtype.kind == "f") for a, keep in arrays_of(case)]
        tensors = [
            t if order == "C" else t.permute(*reversed(range(t.ndim))).contiguous().permute(*reversed(range(t.ndim))) for t in inputs
        ]
        fb.manual_seed(0)
        outs = flat(case[1](F, fb, *tensors))
        total = sum(o.sum() for o in outs if o.requires_grad)
        if isinstance(total, fb.Tensor):
            total.backward()
        results.append([o.detach().numpy() for o in outs] + [t.grad.numpy() for t in inputs if t.grad is not None])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


# These read the values of indices, lengths or samples; what they compute is batched by their own first axis.
VALUES = (*READS_VALUES, "embedding-max_norm")
MAPPED = [c for c in CASES if not c[0].startswith((*VALUES, "rrelu"))]


@pytest.mark.parametrize("case", MAPPED, ids=[c[0] for c in MAPPED])
def test_vmap_is_a_loop(case):
    """Values and gradients of three examples at once are those of one after the other."""
    examples = [[a for a, _ in arrays_of((f"{case[0]}-{i}", *case[1:]))] for i in range(3)]
    kept = [keep and a.dtype.kind == "f" for a, keep in arrays_of(case)]

    def run(program, inputs):
        tensors = [fb.tensor(a).requires_grad_(k) for a, k in zip(inputs, kept, strict=True)]
        outs = flat(program(*[t * 1 if k else t.clone() for t, k in zip(tensors, kept, strict=True)]))
        total = sum((o * (i + 1)).sum() for i, o in enumerate(outs) if o.requires_grad)
        if isinstance(total, fb.Tensor):
            total.backward()
        return [o.detach().numpy() for o in outs], [t.grad.numpy() for t in tensors if t.grad is not None]

    def one(*tensors):
        return tuple(flat(case[1](F, fb, *tensors)))

    values, grads = run(fb.func.vmap(one), [np.stack(column) for column in zip(*examples, strict=True)])
    looped = [run(one, example) for example in examples]
    for got, want in zip((*values, *grads), zip(*[(*v, *g) for v, g in looped], strict=True), strict=True):
        np.testing.assert_allclose(got, np.stack(want), rtol=1e-9, atol=1e-9)
