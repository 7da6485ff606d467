"""Contract cases of what makes tensors or answers questions about them: creation, windows, spectra, comparisons, conversions."""

from __future__ import annotations

import numpy as np
import scipy.signal as ss
from numpy.lib.stride_tricks import sliding_window_view

import flambeau as fb
from flambeau.base.errors import FlambeauError
from flambeau.testing import bools, complexes, floats, ints, sample
from tests.core.contract.tables import op

D = {"dtype": fb.float64}
X = floats(2, 3)
NEW = {"differentiable": False, "vmap": False}


def window(name):
    def reference(n, periodic=True):
        return ss.get_window(
            {"hann_window": "hann", "hamming_window": "hamming", "blackman_window": "blackman"}.get(name, "bartlett"), n, periodic
        )

    return op(
        name, reference, sample(6), sample(7), sample(6, False), sample(1), fn=lambda *a: getattr(fb, name)(*a, dtype=fb.float64), atol=1e-7
    )


def like(name, value):
    return op(
        f"{name}_like",
        lambda x, *a: np.full_like(x, value if value is not None else a[0]),
        sample(X, *([] if value is not None else [2.5])),
        **NEW,
    )


CREATION = [
    op("zeros", np.zeros, sample((2, 3)), sample(())),
    op("ones", np.ones, sample((2, 3)), sample((0, 2)), errors=[(lambda: fb.ones(-1), FlambeauError, "negative|size")]),
    op("full", np.full, sample((2, 3), 2.5), sample((), 1)),
    like("zeros", 0),
    like("ones", 1),
    like("full", None),
    op("empty", lambda s: np.zeros(s), sample((2, 3)), fn=lambda s: fb.empty(s).zero_()),
    op("empty_like", np.zeros_like, sample(X), fn=lambda x: fb.empty_like(x).zero_(), **NEW),
    op("arange", np.arange, sample(5), sample(1, 9, 2), sample(0.5, 2.0, 0.25), sample(3, 3), errors=[(lambda: fb.arange(0, 3, -1), FlambeauError, "arange")]),
    op("range", lambda a, b, s=1: np.arange(a, b + s / 2, s), sample(1, 4), fn=fb.range),
    op("linspace", np.linspace, sample(0.0, 1.0, 5), sample(2.0, -1.0, 4), sample(1.0, 3.0, 1), fn=lambda *a: fb.linspace(*a, **D)),
    op("logspace", np.logspace, sample(0.0, 2.0, 5), fn=lambda *a: fb.logspace(*a, **D)),
    op("eye", np.eye, sample(3), sample(2, 3)),
    op("tensor", np.array, sample([[1.0, 2.0], [3.0, 4.0]]), sample(2.5), errors=[(lambda: fb.tensor([[1.0], [1.0, 2.0]]), FlambeauError, "tensor|length|shape")]),
    op("as_tensor", np.asarray, sample(np.arange(3.0))),
    op("asarray", np.asarray, sample(np.arange(3.0))),
    op("from_numpy", np.asarray, sample(np.arange(3.0))),
    op("scalar_tensor", np.asarray, sample(2.5)),
    *[window(n) for n in ("hann_window", "hamming_window", "blackman_window", "bartlett_window")],
    op("kaiser_window", lambda n, periodic=True, beta=12.0: ss.get_window(("kaiser", beta), n, periodic), sample(6), sample(7, False, 8.0), fn=lambda *a: fb.kaiser_window(*a, dtype=fb.float64)),
]  # fmt: skip


def stft(x, n_fft, hop_length, window):
    x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)], "reflect")
    frames = sliding_window_view(x, n_fft, -1)[..., ::hop_length, :]
    return np.swapaxes(np.fft.rfft(frames * window), -1, -2)


SPECTRA = [
    op("stft", stft, sample(floats(2, 20), 8, 4, floats(8, low=0.5, high=1)), fn=lambda x, n, hop, w: fb.stft(x, n, hop, window=w, return_complex=True), dtypes=("float32",)),
    op("istft", lambda x, n, hop: x, sample(floats(2, 20), 8, 4), dtypes=("float32",), vmap=False,
       fn=lambda x, n, hop: fb.istft(fb.stft(x, n, hop, window=fb.hann_window(n, dtype=x.dtype, device=x.device), return_complex=True), n, hop, window=fb.hann_window(n, dtype=x.dtype, device=x.device))),
]  # fmt: skip

ASKING = {"differentiable": False, "meta": False, "vmap": False}


def told(name, reference, *samples, **options):
    return op(name, reference, *samples, **{**ASKING, **options})


COMPARING = [
    op("isclose", np.isclose, sample(X, X), sample(X, X, equal_nan=True), differentiable=False),
    told("allclose", np.allclose, sample(X, X)),
    told("equal", np.array_equal, sample(X, X), sample(ints(3), ints(3))),
    told("is_tensor", lambda x: True, sample(X)),
    told("is_floating_point", lambda x: x.dtype.kind == "f", sample(X), sample(ints(2))),
    told("is_complex", np.iscomplexobj, sample(X), sample(complexes(2))),
    told("is_signed", lambda x: x.dtype.kind != "b", sample(X), sample(bools(2))),
    told("is_nonzero", bool, sample(floats(1))),
    told("is_same_size", lambda x, y: x.shape == y.shape, sample(X, X), sample(X, floats(3))),
    told("is_conj", lambda x: False, sample(complexes(2))),
    told("is_neg", lambda x: False, sample(X)),
    told("is_inference", lambda x: False, sample(X)),
    told("numel", np.size, sample(X), sample(floats(0, 2))),
    told("get_device", lambda x: -1, sample(X)),
    told("can_cast", lambda a, b: True, sample(fb.float32, fb.float64)),
    told("result_type", lambda x, y: True, sample(X, 2), fn=lambda x, y: fb.result_type(x, y) == x.dtype),
    told("promote_types", lambda a, b: True, sample(fb.float32, fb.float64), fn=lambda a, b: fb.promote_types(a, b) == b),
]  # fmt: skip

CONVERTING = [
    op("Tensor.to", np.copy, sample(X), fn=lambda x: x.to(x.dtype, copy=True)),
    op("Tensor.float", lambda x: x.astype(np.float32), sample(X, ), fn=lambda x: x.float(), dtypes=(), differentiable=False),
    op("Tensor.double", lambda x: x.astype(np.float64), sample(ints(2, 3)), sample(bools(2)), fn=lambda x: x.double()),
    op("Tensor.long", lambda x: x.astype(np.int64), sample(X), fn=lambda x: x.long(), differentiable=False),
    op("Tensor.int", lambda x: x.astype(np.int32), sample(X), fn=lambda x: x.int(), differentiable=False),
    op("Tensor.bool", lambda x: x.astype(bool), sample(X), fn=lambda x: x.bool(), differentiable=False),
    op("Tensor.type_as", lambda x, y: x.astype(np.int64), sample(X, ints(2)), fn=lambda x, y: x.type_as(y), differentiable=False),
]  # fmt: skip
CASES = [*CREATION, *SPECTRA, *COMPARING, *CONVERTING]
