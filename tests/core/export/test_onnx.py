"""ONNX models give in onnxruntime what the function gives here: operations and layers of the contract tables, models at other sizes."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.base import tree
from flambeau.base.errors import MissingExtra
from flambeau.export import CannotExport, Entry, save
from flambeau.export.onnx.model import model as onnx_model
from flambeau.export.save import export
from flambeau.testing import assert_close
from tests.core.contract.layers_table import CASES as LAYERS
from tests.core.contract.tables_all import CASES
from tests.core.export.test_contracts import BATCHED, REASONS

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


def session(data):
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(running, leaves):
    """The outputs for the tensors among the arguments, in their order."""
    tensors = [x.detach().numpy() for x in leaves if isinstance(x, fb.Tensor)]
    given = {i.name: a for i, a in zip(running.get_inputs(), tensors, strict=True)}
    return running.run(None, given)


def compare(found, expected, rtol=1e-4, atol=1e-5):
    wanted = [x for x in tree.leaves(expected) if isinstance(x, fb.Tensor)]
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        b = b.detach().numpy()
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def in_single(arrays):
    """Samples in float32, which every kernel of the runtime takes."""
    return [fb.tensor(a).float() if a.dtype.kind == "f" else fb.tensor(a) for a in arrays]


def written(fn, args, kwargs):
    """The model, or None for what ONNX does not hold, whose reason must be a known one."""
    try:
        program = export(fn, args, kwargs, dynamic_shapes=None)
        return onnx_model(program).SerializeToString()
    except CannotExport as error:
        reason = str(error)
    assert any(known in reason for known in (*REASONS, "operations that ONNX has no words for", "that is written to", "without tensors")), (
        reason
    )
    return None


LACKING = ("NOT_IMPLEMENTED", "Could not find an implementation")  # kernels that the runtime does not have for a dtype


def check(fn, call):
    args, kwargs = call()
    with fb.no_grad():
        expected = fn(*args, **kwargs)
    leaves = tree.leaves((args, kwargs))
    if any(isinstance(x, fb.Tensor) and (x.is_complex() or 0 in x.shape) for x in [*leaves, *tree.leaves(expected)]):
        return None
    data = written(fn, *call())
    if data is None:
        return None
    try:
        running = session(data)
    except Exception as error:
        if any(text in str(error) for text in LACKING):
            return None
        raise
    compare(run(running, leaves), expected)
    return True


@pytest.mark.parametrize("name", CASES)
def test_operations(name):
    case = CASES[name]
    for s in case.samples[:2]:
        if not s.specs or any(callable(x) and not isinstance(x, fb.Tensor) for x in tree.leaves((s.args, s.kwargs))):
            continue
        check(case.fn, lambda s=s: s.filled(in_single(s.arrays(name))))


@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.name)
def test_layers(case):
    layer = case.layer()
    check(layer, lambda: case.samples[0].filled(in_single(case.samples[0].arrays(case.name))))


NEEDED = """
add sub mul div exp tanh matmul bmm sum mean amax softmax nn.functional.gelu nn.functional.linear nn.functional.conv1d
nn.functional.conv2d nn.functional.conv3d nn.functional.conv_transpose2d nn.functional.max_pool2d nn.functional.avg_pool2d
nn.functional.adaptive_avg_pool2d nn.functional.layer_norm nn.functional.batch_norm nn.functional.group_norm
nn.functional.scaled_dot_product_attention nn.functional.embedding nn.functional.interpolate nn.functional.cross_entropy
reshape permute transpose expand flip cat stack where gather scatter index_select topk sort argmax cumsum pad getitem_lists
""".split()


@pytest.mark.parametrize("name", [name for name in NEEDED if name in CASES])
def test_what_networks_need_is_there(name):
    """The comparison above passes over what ONNX does not hold; these it must hold."""
    case = CASES[name]
    assert check(case.fn, lambda: case.samples[0].filled(in_single(case.samples[0].arrays(name))))


@pytest.mark.parametrize("name", BATCHED)
def test_any_batch(name, tmp_path):
    make, shape = BATCHED[name]
    fb.manual_seed(0)
    model = make().eval()
    path = tmp_path / "model.onnx"
    save(model, path, (fb.randn(2, *shape),))
    running = session(path.read_bytes())
    assert running.get_inputs()[0].shape == ["batch", *shape]
    for n in (1, 4):
        x = fb.randn(n, *shape)
        with fb.no_grad():
            compare(run(running, [x]), model(x))


def test_names_and_several_sizes(tmp_path):
    def fn(batch, mask, scale=2.0):
        n, t, c = batch["x"].shape
        both = fb.cat([batch["x"], batch["y"]], 1)
        flat = (both * scale).reshape(n * both.shape[1], c)
        wide = mask[:, None].expand(n, t)
        return {"flat": flat - flat.mean(0), "more": [wide.sum(1), fb.arange(t) + n, batch["x"][:, -1], both[:, 1:t].flip(1)]}

    def example(n, t, s):
        return ({"x": fb.randn(n, t, 4), "y": fb.randn(n, s, 4)}, fb.ones(n))

    sizes = {"batch": {"x": {0: "n", 1: "t"}, "y": {0: "n", 1: "s"}}, "mask": {0: "n"}}
    save(fn, tmp_path / "model.onnx", example(2, 3, 5), dynamic_shapes=sizes)
    running = session((tmp_path / "model.onnx").read_bytes())
    assert [(i.name, i.shape) for i in running.get_inputs()] == [("batch_x", ["n", "t", 4]), ("batch_y", ["n", "s", 4]), ("mask", ["n"])]
    assert [o.name for o in running.get_outputs()] == ["flat", "more_0", "more_1", "more_2", "more_3"]
    for n, t, s in ((1, 1, 1), (4, 6, 2)):
        args = example(n, t, s)
        compare(run(running, tree.leaves(args)), fn(*args))


def test_weights_keep_their_names(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    save(model, tmp_path / "model", (fb.ones(1, 3),), format="onnx")
    found = onnx.load(tmp_path / "model")
    assert {"0.weight", "0.bias"} <= {t.name for t in found.graph.initializer}
    assert found.producer_name == "flambeau"


def test_what_is_missing_is_listed_with_its_lines(tmp_path):
    def fn(x):
        y = fb.lgamma(x) + 1
        return fb.linalg.det(y), fb.lgamma(y)

    with pytest.raises(CannotExport, match=r"lgamma at test_onnx.py:\d+: .*; det at test_onnx.py:\d+: .*format='flambeau'"):
        save(fn, tmp_path / "model.onnx", (fb.ones(3, 3),), dynamic_shapes=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fn", "args", "message"),
    [
        (lambda x: x.add_(1), (fb.ones(2),), "an argument that is written to"),
        (lambda x: None, (fb.ones(2),), "without tensors as results"),
        (lambda x: x * 1j, (fb.ones(2),), "complex numbers"),
    ],
)
def test_what_onnx_has_no_words_for(fn, args, message, tmp_path):
    with pytest.raises(CannotExport, match=message):
        save(fn, tmp_path / "model.onnx", args)


def test_several_entries(tmp_path):
    entry = Entry(lambda x: x + 1, (fb.ones(2),))
    with pytest.raises(CannotExport, match="2 entries"):
        save({"a": entry, "b": entry}, tmp_path / "model.onnx")


def test_without_the_package(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r'pip install "flambeau\[onnx\]"'):
        save(lambda x: x + 1, tmp_path / "model.onnx", (fb.ones(2),))


def test_half_precision_and_integers(tmp_path):
    def fn(x, i):
        return x.half() * 2, i // 2 % 3, (i > 2) & (x > 0), i.float().clamp(1, 2)

    args = (fb.tensor([1.0, -2.0, 3.0]), fb.tensor([5, 2, -7]))
    save(fn, tmp_path / "model.onnx", args)
    compare(run(session((tmp_path / "model.onnx").read_bytes()), args), fn(*args))
    assert_close(fn(*args)[1], fb.tensor([2, 1, 2]))


@pytest.mark.parametrize(("mask", "causal"), [(None, False), (None, True), ("bool", False), ("float", False)])
def test_attention(mask, causal, tmp_path):
    """Grouped heads, sizes that change, masks of which a row allows nothing."""

    def fn(q, k, v, allowed):
        given = {"bool": allowed > 0, "float": allowed.log(), None: None}[mask]
        return nn.functional.scaled_dot_product_attention(q, k, v, given, is_causal=causal, enable_gqa=True) + 0 * allowed.sum()

    def example(n, t, s):
        allowed = (fb.rand(t, s) > 0.3).float()
        allowed[-1] = 0
        return fb.randn(n, 4, t, 8), fb.randn(n, 2, s, 8), fb.randn(n, 2, s, 8), allowed

    path = tmp_path / "model.onnx"
    save(fn, path, example(2, 3, 4), dynamic_shapes=({0: "n", 2: "t"}, {0: "n", 2: "s"}, {0: "n", 2: "s"}, {0: "t", 1: "s"}))
    running = session(path.read_bytes())
    for sizes in ((1, 1, 1), (3, 5, 7)):
        args = example(*sizes)
        compare(run(running, args), fn(*args))
