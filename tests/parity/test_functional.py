"""`flambeau.nn.functional` against PyTorch: values and gradients of every case, and dropout masks."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402
import flambeau.nn.functional as F  # noqa: E402
from flambeau.primitives.generator import use_stream  # noqa: E402
from tests.functional import layers, losses, rest  # noqa: E402
from tests.functional.compare import check, exactly, fixed, normal  # noqa: E402

CASES = layers.CASES + losses.CASES + rest.CASES


@pytest.mark.filterwarnings("ignore:Using padding='same'", "ignore:The default value of recompute_scale_factor")
@pytest.mark.filterwarnings("ignore:`nn.functional.upsample", "ignore:Support for mismatched key_padding_mask")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_values_and_gradients(case, dtype):
    check(torch, case, dtype)


@pytest.mark.parametrize("case", losses.CTC, ids=[c[0] for c in losses.CTC])
def test_ctc(case):
    """In float64 only: for float32 PyTorch adds in float32, and ours in float64."""
    check(torch, case, "float64")


def test_raw_ctc_gradient_is_pytorchs():
    """For inputs that are not normalised PyTorch's gradient is not that of the loss; it is matched all the same."""
    case = ("ctc-raw", lambda F, lib, x: F.ctc_loss(x, lib.tensor([[1, 2]]), lib.tensor([5]), lib.tensor([2])), [normal(5, 1, 4)])
    check(torch, case, "float64")


def test_gradient_of_an_impossible_ctc_target():
    program = lambda F, lib, x: F.ctc_loss(F.log_softmax(x, -1), lib.tensor([[1, 1], [1, 2]]), [2, 2], [2, 2], reduction="none")
    check(torch, ("ctc-impossible", program, [normal(2, 2, 4)]), "float64")


def test_hardsigmoid():
    """PyTorch's derivative is a single-precision 1 / 6 in every dtype."""
    check(torch, ("hardsigmoid", layers.plain("hardsigmoid"), [layers.EDGES]), "float64", rtol=1e-7)


def test_certain_but_wrong_probabilities():
    """PyTorch's smallest p (1 - p) in the derivative is a single-precision 1e-12."""
    program = lambda F, lib, x, y: F.binary_cross_entropy(x, y, reduction="none")
    case = ("bce-edges", program, [exactly([0.0, 1.0, 0.0, 1.0]), fixed(exactly([0.0, 1.0, 1.0, 0.0]))])
    check(torch, case, "float64", rtol=1e-8)


@pytest.mark.parametrize("name", ["relu", "gelu", "silu", "softmax", "log_softmax", "layer_norm", "linear", "cross_entropy", "sigmoid"])
def test_bfloat16(name):
    """Within a rounding of bfloat16 of PyTorch, in its dtype."""
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((4, 6)).astype(np.float32), rng.standard_normal((3, 6)).astype(np.float32)
    results = []
    for lib, functional in ((fb, F), (torch, torch.nn.functional)):
        a = lib.tensor(x).to(lib.bfloat16).requires_grad_()
        more = {
            "softmax": (-1,),
            "log_softmax": (-1,),
            "layer_norm": ((6,),),
            "linear": (lib.tensor(w).to(lib.bfloat16),),
            "cross_entropy": (lib.tensor([0, 5, 2, 2]),),
        }.get(name, ())
        y = getattr(functional, name)(a, *more)
        (y * lib.tensor(np.cos(np.arange(y.numel(), dtype=np.float32))).reshape(y.shape).to(lib.bfloat16)).sum().backward()
        assert y.dtype == a.grad.dtype == lib.bfloat16
        results.append((y.detach().float().numpy(), a.grad.float().numpy()))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2**-6, atol=2**-6)


DROPS = [
    ("dropout", (4, 5)),
    ("dropout1d", (3, 4, 5)),
    ("dropout1d", (4, 5)),
    ("dropout2d", (3, 4, 5, 2)),
    ("dropout3d", (3, 4, 2, 2, 2)),
    ("dropout3d", (4, 2, 3, 2)),
    ("alpha_dropout", (4, 5)),
    ("feature_alpha_dropout", (3, 4, 5)),
]


@pytest.mark.parametrize("name, shape", DROPS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_dropout_masks_are_pytorchs(name, shape, dtype, p):
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    torch.manual_seed(5)
    theirs = torch.tensor(x, requires_grad=True)
    want = getattr(torch.nn.functional, name)(theirs, p, True)
    want.sum().backward()
    before = use_stream("torch")
    try:
        fb.manual_seed(5)
        ours = fb.tensor(x, requires_grad=True)
        got = getattr(F, name)(ours, p, True)
        got.sum().backward()
    finally:
        use_stream(before)
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-6, atol=1e-7)
