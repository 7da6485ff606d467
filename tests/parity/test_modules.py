"""Every layer against PyTorch: outputs, gradients of inputs and parameters, state dicts, reprs, and initial values bit for bit."""

from __future__ import annotations

import copy
import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402
import flambeau.nn.utils.rnn as our_rnn  # noqa: E402
from flambeau.primitives.generator import use_stream  # noqa: E402

CASES = runpy.run_path(str(Path(__file__).parent / "modules_table.py"))["CASES"]
torch.set_num_threads(1)

every = pytest.mark.parametrize("case", CASES, ids=str)


def convert(lib, value):
    """Arrays as tensors of the library, within tuples and dicts too."""
    if isinstance(value, np.ndarray):
        return lib.tensor(value.copy())
    if isinstance(value, dict):
        return {k: convert(lib, v) for k, v in value.items()}
    return value


def build(lib, case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(lib.nn, case.name)(*(convert(lib, a) for a in case.args), **convert(lib, case.kwargs))


def inputs_of(lib, case):
    """The inputs of a case as tensors."""
    numbers = np.random.default_rng(7)
    made = []
    for i, spec in enumerate(case.inputs):
        array = numbers.normal(size=spec) if isinstance(spec, tuple) else spec
        tensor = lib.tensor(np.array(array))
        learnt = isinstance(spec, tuple) or (i == 0 and spec.dtype.kind == "f")
        made.append(tensor.requires_grad_() if learnt else tensor)
    return made


def leaves(out):
    if out is None:
        return []
    if isinstance(out, (tuple, list)):
        return [leaf for part in out for leaf in leaves(part)]
    return [out]


def array_of(tensor):
    return tensor.detach().numpy()


def run(lib, module, case):
    """Outputs, and gradients of a weighted sum of them with respect to inputs and parameters."""
    inputs = inputs_of(lib, case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = leaves(module(*inputs, **convert(lib, case.call)))
    numbers = np.random.default_rng(3)
    total = 0.0
    for out in outputs:
        if out.requires_grad:
            total = total + (out * lib.tensor(numbers.normal(size=tuple(out.shape)))).sum()
    if not isinstance(total, float):
        total.backward()
    grads = [x.grad for x in inputs] + [p.grad for p in module.parameters()]
    return [array_of(o) for o in outputs], [None if g is None else array_of(g) for g in grads]


def same(got, expected, tolerance):
    assert len(got) == len(expected)
    for g, e in zip(got, expected, strict=True):
        if e is None or g is None:
            # a gradient that is absent on one side must be zero on the other
            assert g is e or not np.any(g if e is None else e)
            continue
        assert g.shape == e.shape and g.dtype == e.dtype
        np.testing.assert_allclose(g, e, rtol=tolerance, atol=tolerance)


def pair(case):
    """Both modules in float64 with the same random state."""
    theirs, ours = build(torch, case).double(), build(fb, case).double()
    numbers = np.random.default_rng(11)
    state = {}
    for key, value in theirs.state_dict().items():
        floating = value.is_floating_point()
        spread = numbers.uniform(0.5, 1.5, tuple(value.shape)) if "var" in key else numbers.normal(size=tuple(value.shape)) * 0.5
        state[key] = spread if floating else value.numpy()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    ours.load_state_dict(state)
    return theirs, ours


@every
def test_outputs_and_gradients(case):
    theirs, ours = pair(case)
    for mode in case.modes:
        theirs.train(mode == "train")
        ours.train(mode == "train")
        expected, got = run(torch, theirs, case), run(fb, ours, case)
        same(got[0], expected[0], case.tolerance)
        same(got[1], expected[1], case.tolerance)
    after = {k: v.numpy() for k, v in theirs.state_dict().items()}
    same([array_of(v) for v in ours.state_dict().values()], list(after.values()), case.tolerance)


@every
def test_state_dict_and_repr(case):
    theirs, ours = build(torch, case), build(fb, case)
    expected, got = theirs.state_dict(), ours.state_dict()
    assert list(got) == list(expected)
    for key in expected:
        assert tuple(got[key].shape) == tuple(expected[key].shape)
        assert str(got[key].dtype).split(".")[1] == str(expected[key].dtype).split(".")[1]
    assert dict(got._metadata) == dict(expected._metadata)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_buffers()] == [n for n, _ in theirs.named_buffers()]
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    assert [p.requires_grad for p in ours.parameters()] == [p.requires_grad for p in theirs.parameters()]
    assert repr(ours) == repr(theirs)


@pytest.fixture
def torch_stream():
    before = use_stream("torch")
    yield
    use_stream(before)


@every
def test_initial_values_are_bit_equal(case, torch_stream):
    torch.manual_seed(5)
    expected = build(torch, case).state_dict()
    fb.manual_seed(5)
    got = build(fb, case).state_dict()
    for key in expected:
        np.testing.assert_array_equal(got[key].numpy(), expected[key].numpy(), err_msg=key)
    np.testing.assert_array_equal(fb.get_rng_state().numpy(), torch.get_rng_state().numpy())


PACKED = [
    ("RNN", {}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("GRU", {"bidirectional": True}),
    ("LSTM", {"proj_size": 3, "bidirectional": True}),
]


@pytest.mark.parametrize("name, settings", PACKED, ids=str)
@pytest.mark.parametrize("given_state", [False, True])
def test_packed_sequences(name, settings, given_state):
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(4, 6, **settings).double()
    ours = getattr(fb.nn, name)(4, 6, **settings).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    numbers = np.random.default_rng(1)
    lengths = [2, 5, 1, 5, 3]
    x = numbers.normal(size=(5, 6, 4))
    layers = theirs.num_layers * (2 if theirs.bidirectional else 1)
    states = [numbers.normal(size=(layers, 5, size)) for size in (theirs.proj_size or 6, 6)]
    results = []
    for lib, module, utils in ((torch, theirs, torch.nn.utils.rnn), (fb, ours, our_rnn)):
        leaf = lib.tensor(x).requires_grad_()
        packed = utils.pack_padded_sequence(leaf, lib.tensor(lengths), batch_first=True, enforce_sorted=False)
        initial = [lib.tensor(s) for s in states]
        state = None if not given_state else tuple(initial) if name == "LSTM" else initial[0]
        output, final = module(packed, state)
        padded, counts = utils.pad_packed_sequence(output, batch_first=True, total_length=6, padding_value=-1.0)
        total = (padded * padded).sum() + sum((s * s * s).sum() for s in leaves(final))
        total.backward()
        values = [padded, *leaves(final), leaf.grad, *(p.grad for p in module.parameters())]
        results.append([array_of(v) for v in values] + [counts.numpy(), output.batch_sizes.numpy(), output.data.detach().numpy()])
    same(results[1], results[0], 1e-9)


def test_sequence_helpers():
    numbers = np.random.default_rng(2)
    parts = [numbers.normal(size=(n, 2)) for n in (3, 1, 4)]
    for side in ("left", "right"):
        for batch_first in (True, False):
            settings = {"batch_first": batch_first, "padding_value": 9.0, "padding_side": side}
            expected = torch.nn.utils.rnn.pad_sequence([torch.tensor(p) for p in parts], **settings)
            got = our_rnn.pad_sequence([fb.tensor(p) for p in parts], **settings)
            np.testing.assert_array_equal(got.numpy(), expected.numpy())
    packed = our_rnn.pack_sequence([fb.tensor(p) for p in parts], enforce_sorted=False)
    expected = torch.nn.utils.rnn.pack_sequence([torch.tensor(p) for p in parts], enforce_sorted=False)
    for g, e in zip(packed, expected, strict=True):
        np.testing.assert_array_equal(g.numpy(), e.numpy())
    for g, p in zip(our_rnn.unpack_sequence(packed), parts, strict=True):
        np.testing.assert_array_equal(g.numpy(), p)


INITIALISERS = [
    ("uniform_", (6, 5), (-0.3, 0.8)),
    ("normal_", (6, 5), (0.5, 2.0)),
    ("trunc_normal_", (40, 50), (0.0, 0.02)),
    ("trunc_normal_", (20, 5), (0.5, 1.0, 0.0, 1.0)),
    ("trunc_normal_", (20, 5), (0.0, 1.0, 1.5, 2.0)),
    ("constant_", (6, 5), (0.7,)),
    ("ones_", (6, 5), ()),
    ("zeros_", (6, 5), ()),
    ("eye_", (6, 5), ()),
    ("dirac_", (6, 4, 3, 2), (2,)),
    ("dirac_", (3, 5, 3), ()),
    ("xavier_uniform_", (6, 5, 3), (2.0,)),
    ("xavier_normal_", (6, 5, 3), (2.0,)),
    ("kaiming_uniform_", (6, 5, 3), (0.1, "fan_out")),
    ("kaiming_normal_", (6, 5, 3), (0, "fan_in", "relu")),
    ("sparse_", (7, 5), (0.4,)),
]


@pytest.mark.parametrize("name, shape, args", INITIALISERS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_initialisers_are_bit_equal(name, shape, args, dtype, torch_stream):
    torch.manual_seed(2)
    expected = getattr(torch.nn.init, name)(torch.empty(*shape, dtype=getattr(torch, dtype)), *args)
    fb.manual_seed(2)
    tensor = fb.empty(*shape, dtype=getattr(fb, dtype))
    assert getattr(fb.nn.init, name)(tensor, *args) is tensor
    np.testing.assert_array_equal(tensor.numpy(), expected.numpy())
    np.testing.assert_array_equal(fb.get_rng_state().numpy(), torch.get_rng_state().numpy())


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 3, 2)])
def test_orthogonal(shape, torch_stream):
    torch.manual_seed(2)
    expected = torch.nn.init.orthogonal_(torch.empty(*shape, dtype=torch.float64), 1.5)
    fb.manual_seed(2)
    got = fb.nn.init.orthogonal_(fb.empty(*shape, dtype=fb.float64), 1.5)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["linear", "conv2d", "tanh", "relu", "leaky_relu", "selu", "sigmoid"])
def test_gains(name):
    assert fb.nn.init.calculate_gain(name) == torch.nn.init.calculate_gain(name)


def test_states_move_to_pytorch_and_back():
    def net(lib):
        encoder = lib.nn.TransformerEncoderLayer(8, 2, 16)
        return lib.nn.Sequential(lib.nn.Conv2d(3, 4, 3), lib.nn.BatchNorm2d(4), lib.nn.ModuleList([encoder]), lib.nn.LSTM(4, 3, 2))

    theirs, ours = net(torch), net(fb)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    fresh = copy.deepcopy(ours)
    for p in fresh.parameters():
        fb.nn.init.zeros_(p)
    fresh.load_state_dict({k: fb.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    for key, value in ours.state_dict().items():
        np.testing.assert_array_equal(fresh.state_dict()[key].numpy(), value.numpy())


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
def test_clipping(norm_type):
    numbers = np.random.default_rng(4)
    grads = [numbers.normal(size=(3, 4)), numbers.normal(size=5)]
    results = []
    for lib in (torch, fb):
        parameters = [lib.nn.Parameter(lib.zeros(*g.shape, dtype=lib.float64)) for g in grads]
        for p, g in zip(parameters, grads, strict=True):
            p.grad = lib.tensor(g)
        total = lib.nn.utils.clip_grad_norm_(parameters, 0.7, norm_type)
        values = [array_of(p.grad).copy() for p in parameters]
        lib.nn.utils.clip_grad_value_(parameters, 0.05)
        results.append([total.numpy(), *values, *(array_of(p.grad) for p in parameters)])
    same(results[1], results[0], 1e-12)
