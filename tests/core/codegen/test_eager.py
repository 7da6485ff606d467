"""Eager code on large arrays runs as machine code, with the same results, gradients and in-place effects as on NumPy."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

import flambeau as fb
from flambeau.device import cpu
from flambeau.device.cpu import CPU_BACKEND
from flambeau.ops import fused

pytest.importorskip("llvmlite")

from flambeau.codegen.eager import FORMS, Kernels

F = fb.nn.functional


@pytest.fixture
def table(monkeypatch):
    """Everything that can runs as machine code, whatever its size; the kernels."""
    kernels = Kernels()
    monkeypatch.setattr(fused, "_LEAST", 1)
    monkeypatch.setattr(cpu, "LEAST", dict.fromkeys([*cpu.LEAST, "add", "sub", "mul", "div", "abs"], 1))
    before = CPU_BACKEND.large, CPU_BACKEND._load, CPU_BACKEND._compiled
    CPU_BACKEND.accelerate(1, lambda: kernels)
    yield kernels.kernels
    CPU_BACKEND.large, CPU_BACKEND._load, CPU_BACKEND._compiled = before


def on_numpy(fn, *args):
    large, CPU_BACKEND.large = CPU_BACKEND.large, cpu.NEVER
    try:
        return fn(*args)
    finally:
        CPU_BACKEND.large = large


def names(table):
    return {getattr(s[0], "name", "") or getattr(s[0], "__qualname__", "update") for s in table}


def agree(fn, *shapes, dtype="f4", tolerance=3e-6, rounds=2):
    """fn of random tensors and its gradients, on NumPy and by kernels, the first time and again."""
    for i in range(rounds):
        rng = np.random.default_rng(i)
        arrays = [rng.standard_normal(s).astype(dtype) for s in shapes]

        def run(arrays=arrays):
            xs = [fb.tensor(a).requires_grad_() for a in arrays]
            out = fn(*xs)
            outs = list(out) if isinstance(out, (tuple, list)) else [out]
            floats = [o for o in outs if o.requires_grad]
            grads = fb.autograd.grad(sum((o * o).sum() for o in floats), xs) if floats else ()
            return [o.detach().numpy() for o in (*outs, *grads)]

        for got, want in zip(run(), on_numpy(run), strict=True):
            assert got.dtype == want.dtype and got.shape == want.shape and got.strides == want.strides
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(want).max())))


ACTIVATIONS = {
    "gelu": F.gelu, "gelu tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu, "mish": F.mish, "elu": lambda x: F.elu(x, 0.7),
    "celu": lambda x: F.celu(x, 1.5), "selu": F.selu, "softplus": lambda x: F.softplus(x, beta=2, threshold=1.0), "softsign": F.softsign,
    "hardswish": F.hardswish, "hardsigmoid": F.hardsigmoid, "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "logsigmoid": F.logsigmoid,
    "tanhshrink": F.tanhshrink, "softshrink": F.softshrink, "hardshrink": lambda x: F.hardshrink(x, 0.3),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_one_kernel_each_way(table, name):
    agree(ACTIVATIONS[name], (7, 33))
    assert {name.split()[0], f"{name.split()[0]}_slope"} <= names(table)


OPERATIONS = {
    "arithmetic": (lambda x, y: (x + y) * 0.3 - y / (x * x + 1), [(5, 40), (5, 40)]),
    "bias": (lambda x, b: x * 2 + b, [(6, 9), (9,)]),
    "broadcast both ways": (lambda x, y: x * y, [(6, 1), (1, 9)]),
    "exponentials": (lambda x: [x.exp(), x.tanh(), x.sigmoid(), (x * x + 1).log(), x.expm1(), x.abs().sqrt()], [(4, 50)]),
    "choices": (lambda x, y: [fb.where(x > 0, x, y), x.clamp(-0.5, 0.5), fb.maximum(x, y), F.relu6(x)], [(4, 50), (4, 50)]),
    "reductions": (lambda x: [x.sum(), x.sum(0), x.mean(1), x.amax(1), x.var(1), x.sum((0, 2))], [(3, 8, 5)]),
    "softmax": (lambda x: [x.softmax(1), x.log_softmax(0)], [(6, 40)]),
    "layer norm": (lambda x, w, b: F.layer_norm(x, (20,), w, b), [(4, 6, 20), (20,), (20,)]),
    "batch norm": (lambda x: F.batch_norm(x, None, None, training=True), [(4, 3, 5, 5)]),
    "group norm": (lambda x, w: F.group_norm(x, 2, w), [(3, 4, 6), (4,)]),
    "cross entropy": (lambda x: F.cross_entropy(x, fb.arange(6)), [(6, 40)]),
    "convolution": (lambda x, w, b: F.conv2d(x, w, b, padding=1), [(2, 3, 7, 7), (4, 3, 3, 3), (4,)]),
    "strided convolution": (lambda x, w: F.conv1d(x, w, stride=2, groups=2), [(2, 4, 19), (6, 2, 3)]),
    "pooling": (lambda x: F.max_pool2d(x, 2), [(2, 3, 8, 8)]),
    "attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), [(2, 2, 9, 8)] * 3),
    "transposed": (lambda x: x.mT.exp() + x.mT, [(6, 40)]),
    "expanded": (lambda x: x.expand(3, 6, 40) * 2, [(6, 40)]),
    "sliced": (lambda x: (x[:, ::2] * 3).tanh(), [(6, 40)]),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_operations(table, name, dtype):
    fn, shapes = OPERATIONS[name]
    agree(fn, *shapes, dtype=dtype, tolerance=3e-6 if dtype == "f4" else 1e-13)


def test_what_is_compiled_and_when(table):
    x = fb.randn(50, 50)
    x.exp()
    assert "exp" in names(table)
    for k in range(5):
        x * float(k)  # a number is an input of the kernel
    assert sum(getattr(s[0], "name", "") == "mul" for s in table) == 1
    for _ in range(4):
        fb.ones(3, dtype=fb.int64) + 1
        (x > 0).sum()
        fb.randn(4, 4, dtype=fb.complex64).exp()
    np.testing.assert_array_equal((x > 0).sum(), (x.numpy() > 0).sum())


def test_a_result_does_not_depend_on_how_often_it_was_computed(table):
    x = fb.randn(50, 50)
    results = [F.gelu(x).numpy() for _ in range(4)]
    assert all((r == results[0]).all() for r in results)
    assert "gelu" in names(table)


@pytest.mark.parametrize("all_of_them", [False, True])
def test_ever_new_shapes_stay_with_numpy(table, all_of_them):
    fb.use_deterministic_algorithms(all_of_them)
    try:
        xs = [fb.randn(3, 40 + n) for n in range(FORMS + 3)]
        first = [x.exp() for x in xs]
        assert len(table) == (FORMS + 3 if all_of_them else FORMS)
        assert all((x.exp() == y).all() for x, y in zip(xs, first))
    finally:
        fb.use_deterministic_algorithms(False)


def test_second_derivatives_of_fused_activations(table):
    def fn(x):
        x = x.detach().requires_grad_()
        (first,) = fb.autograd.grad((F.gelu(x) ** 2).sum(), [x], create_graph=True)
        return fb.autograd.grad(first.sum(), [x])[0]

    for _ in range(2):
        x = fb.randn(30, 30, dtype=fb.float64)
        np.testing.assert_allclose(fn(x), on_numpy(fn, x), rtol=1e-9, atol=1e-12)


def test_inplace_activations_and_changed_inputs(table):
    for _ in range(2):
        x = fb.randn(30, 30)
        expected = on_numpy(F.silu, x).numpy()
        y = x.clone()
        assert F.silu(y, inplace=True) is y and F.silu(x.clone(), True) is not x
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-7)
    x = fb.randn(30, 30, requires_grad=True)
    h = x * 1
    out = F.gelu(h)
    h.add_(1)
    with pytest.raises(RuntimeError, match="inplace operation"):
        out.sum().backward()


RULES = {
    "adam": lambda p: fb.optim.Adam(p, 0.01, weight_decay=0.1),
    "amsgrad": lambda p: fb.optim.Adam(p, 0.01, amsgrad=True, maximize=True),
    "adamw": lambda p: fb.optim.AdamW(p, 0.01),
    "sgd": lambda p: fb.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "plain sgd": lambda p: fb.optim.SGD(p, 0.1),
    "rmsprop": lambda p: fb.optim.RMSprop(p, 0.01, centered=True, momentum=0.5),
    "adagrad": lambda p: fb.optim.Adagrad(p, 0.1),
    "lion": lambda p: fb.optim.Lion(p, 0.01),
    "nadam": lambda p: fb.optim.NAdam(p, 0.01),
    "radam": lambda p: fb.optim.RAdam(p, 0.01),
    "adadelta": lambda p: fb.optim.Adadelta(p, 1.0),
    "adamax": lambda p: fb.optim.Adamax(p, 0.01),
}


@pytest.mark.parametrize("name", RULES)
def test_optimizers(table, name):
    def train():
        rng = np.random.default_rng(0)
        p = fb.tensor(rng.standard_normal((12, 13)), requires_grad=True)
        optimizer = RULES[name]([p])
        schedule = fb.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        memory, states = p.data_ptr(), []
        for _ in range(10):
            p.grad = fb.tensor(rng.standard_normal((12, 13)))
            optimizer.step()
            schedule.step()
            states.append([p.detach().numpy().copy(), *(v.numpy().copy() for v in optimizer.state[p].values() if isinstance(v, fb.Tensor))])
        assert p.data_ptr() == memory
        return states

    got, want = train(), on_numpy(train)
    for a, b in zip(got, want):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)
    if name in ("adam", "adamw", "sgd", "lion"):
        assert any(k.written for k in table.values())


def test_an_update_counts_the_versions(table):
    p = fb.randn(20, 20, requires_grad=True)
    optimizer = fb.optim.SGD([p], 0.1)
    for _ in range(2):
        loss = (p * p).sum()
        p.grad = fb.ones(20, 20)
        optimizer.step()
        with pytest.raises(RuntimeError, match="inplace operation"):
            loss.backward()


def test_kernels_keep_no_arrays_and_little_memory(table, monkeypatch):
    for n in range(20, 60):
        fb.randn(n, n).tanh() if n % 2 else fb.randn(n, n).exp()
    assert len(table) == 40 and not any(k.call.results or k.call._arrays for k in table.values())
    monkeypatch.setattr("flambeau.codegen.eager.MOST", 5)
    fb.randn(7, 7).tanh()
    assert len(table) <= 5


def test_several_python_threads(table):
    x = fb.randn(100, 100)
    expected = on_numpy(x.exp).numpy()
    wrong = []

    def work():
        for _ in range(100):
            if not np.allclose(x.exp(), expected, rtol=1e-5):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_waits_for_nobody(table):
    x = fb.randn(100, 100)
    x.exp()
    (kernel,) = table.values()
    with kernel.lock, kernel.call.program.lock:  # as if another thread were in it
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            same = np.allclose(x.exp(), np.exp(x.numpy()), rtol=1e-5)
            os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_compiled_functions_and_vmap_do_not_care(table):
    for _ in range(2):
        x = fb.randn(30, 30)
        np.testing.assert_allclose(fb.vmap(F.gelu)(x), on_numpy(F.gelu, x), rtol=1e-5, atol=1e-6)
    compiled = fb.compile(lambda x: F.gelu(x).sum(0), fullgraph=True)
    for _ in range(4):
        x = fb.randn(30, 30)
        np.testing.assert_allclose(compiled(x), on_numpy(lambda x=x: F.gelu(x).sum(0)), rtol=1e-4, atol=1e-5)


def test_the_switch(monkeypatch):
    from flambeau.codegen.eager import kernels

    monkeypatch.setenv("FLAMBEAU_EAGER_KERNELS", "0")
    assert kernels() is None
    before = CPU_BACKEND.large, CPU_BACKEND._load, CPU_BACKEND._compiled
    CPU_BACKEND.accelerate(1, kernels)
    try:
        fb.randn(9).softmax(0)
        assert CPU_BACKEND.large == cpu.NEVER or CPU_BACKEND._compiled is None
    finally:
        CPU_BACKEND.large, CPU_BACKEND._load, CPU_BACKEND._compiled = before


def test_numbers_of_one_kernel_may_differ(table):
    """Two optimizers with other numbers share kernels, whatever Python made of the numbers on the way."""

    def train(lr, betas, decay):
        p = fb.nn.Parameter(fb.tensor(np.random.default_rng(0).standard_normal(200).astype("f4")))
        optimizer = fb.optim.AdamW([p], lr=lr, betas=betas, weight_decay=decay)
        for k in range(3):
            p.grad = fb.tensor(np.random.default_rng(k + 1).standard_normal(200).astype("f4"))
            optimizer.step()
        return p.detach().numpy()

    def between(weight):
        return fb.lerp(fb.ones(300), fb.full((300,), 3.0), weight).numpy()

    settings = [(0.1, (0.9, 0.99), 0.01), (0.03, (0.5, 0.8), 0.2), (0.1, (0.0, 0.999), 0.1)]
    for given in settings:
        np.testing.assert_allclose(train(*given), on_numpy(train, *given), rtol=2e-5, atol=1e-6)
    for weight in (0.25, 0.75, 0.5):
        np.testing.assert_allclose(between(weight), 1 + 2 * weight, rtol=1e-6)
