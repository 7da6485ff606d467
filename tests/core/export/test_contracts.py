"""Every contract case of operations and layers, saved and loaded, gives what it gives directly, at the example's size and at others."""

from __future__ import annotations

import pytest

import flambeau as fb
from flambeau.base import tree
from flambeau.export import CannotExport, Loaded, load, save
from flambeau.export.codec import decode, encode
from flambeau.export.save import export
from flambeau.testing import assert_close
from tests.core.contract.layers_table import CASES as LAYERS
from tests.core.contract.tables_all import CASES

# What programs in files cannot hold.
RANDOM = "random numbers"
VALUES = "of a tensor of shape"  # Python reads values
SHAPES = "the shape of the result"  # values decide the shape
OUTSIDE = "primitives that files do not hold"
REASONS = (
    RANDOM,
    VALUES,
    SHAPES,
    OUTSIDE,
    "of type ndarray",
    "of type Generator",
    "of type device",
    "a result of type",
    "a write to a tensor",
    "an argument that shares memory",
)


def same(found, expected):
    """Equal leaves, in the order of the containers (named tuples come back as tuples)."""
    a, b = tree.leaves(found), tree.leaves(expected)
    assert len(a) == len(b)
    for x, y in zip(a, b):
        if isinstance(y, fb.Tensor):
            assert_close(x, y.detach(), equal_nan=True)
        else:
            assert x == y or x != x


def again(fn, args, kwargs):
    """The function as a file would bring it back; None for what files do not hold, whose reason must be a known one."""
    try:
        data = encode(export(fn, args, kwargs, dynamic_shapes=None))
    except CannotExport as error:
        reason = str(error)
    else:
        return Loaded(decode(data, "memory"), compiled=False)
    assert any(known in reason for known in REASONS), reason
    return None


@pytest.mark.parametrize("name", CASES)
def test_operations(name):
    case = CASES[name]
    for s in case.samples[:3]:
        args, kwargs = s.filled([fb.tensor(a) for a in s.arrays(name)])
        if any(callable(x) and not isinstance(x, fb.Tensor) for x in tree.leaves((args, kwargs))):
            continue
        with fb.no_grad():
            expected = case.fn(*args, **kwargs)
        program = again(case.fn, args, kwargs)
        if program is not None:
            args, kwargs = s.filled([fb.tensor(a) for a in s.arrays(name)])
            same(program(*args, **kwargs), expected)


@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.name)
def test_layers(case):
    layer = case.layer()
    s = case.samples[0]
    args, kwargs = s.filled([fb.tensor(a).float() if a.dtype.kind == "f" else fb.tensor(a) for a in s.arrays(case.name)])
    program = again(layer, args, kwargs)
    if program is not None:
        with fb.no_grad():
            same(program(*args, **kwargs), layer(*args, **kwargs))


BATCHED = {
    "mlp": (lambda: fb.nn.Sequential(fb.nn.Linear(4, 8), fb.nn.GELU(), fb.nn.LayerNorm(8), fb.nn.Linear(8, 3)), (4,)),
    "cnn": (
        lambda: fb.nn.Sequential(
            fb.nn.Conv2d(3, 4, 3, padding=1),
            fb.nn.BatchNorm2d(4),
            fb.nn.ReLU(),
            fb.nn.MaxPool2d(2),
            fb.nn.AvgPool2d(2),
            fb.nn.Flatten(),
            fb.nn.Linear(16, 3),
        ),
        (3, 8, 8),
    ),
    "transformer": (lambda: fb.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (5, 8)),
    "lstm": (lambda: fb.nn.LSTM(4, 6, batch_first=True), (5, 4)),
    "gru": (lambda: fb.nn.GRU(4, 6, batch_first=True), (5, 4)),
    "transposed": (lambda: fb.nn.ConvTranspose2d(3, 2, 4, 2, 1), (3, 4, 4)),
    "norms": (lambda: fb.nn.Sequential(fb.nn.GroupNorm(2, 4), fb.nn.InstanceNorm1d(4), fb.nn.Softmax(1)), (4, 6)),
    "resized": (lambda: fb.nn.Sequential(fb.nn.Upsample(scale_factor=2, mode="bilinear"), fb.nn.AdaptiveAvgPool2d(3)), (2, 4, 5)),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", BATCHED)
def test_any_batch(name, compiled, tmp_path):
    if compiled:
        pytest.importorskip("llvmlite")
    make, shape = BATCHED[name]
    fb.manual_seed(0)
    model = make().eval()
    save(model, tmp_path / "program", (fb.randn(2, *shape),))
    program = load(tmp_path / "program", compiled=compiled)
    for n in (1, 4):
        x = fb.randn(n, *shape)
        with fb.no_grad():
            expected = tree.leaves(model(x))
        for found, wanted in zip(tree.leaves(program(x)), expected, strict=True):
            assert_close(found, wanted, rtol=1e-4, atol=1e-5)
