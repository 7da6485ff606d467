"""The backward pass: order and memory, deep graphs, hooks, writes in place, modes, errors. (tests/parity compares it with PyTorch.)"""

from __future__ import annotations

import gc
import sys
import threading
import weakref

import numpy as np
import pytest

import flambeau as fb
from flambeau.autograd import grad
from flambeau.base.errors import ArgumentError, ArgumentTypeError, DtypeError, GradientError, ShapeError


def leaf(values, dtype=fb.float64):
    return fb.tensor(values, dtype=dtype, requires_grad=True)


# -- size and memory ----------------------------------------------------------------------------------------------------------------------
LINKS = {
    "nothing saved": lambda y: y + 1.0,
    "inputs saved": lambda y: y * y,
    "output saved": lambda y: y.tanh(),
    "views": lambda y: y.view(1),
    "several outputs": lambda y: y.sort().values,
    "in place": lambda y: (y * 1).add_(0.5),
}


@pytest.mark.parametrize("name", LINKS)
def test_long_chains_need_no_stack(name):
    """So many nodes are run and deleted without recursion."""
    count = 100_000 if name == "inputs saved" else 25_000
    x = leaf([0.5])
    y = x
    for _ in range(count):
        y = LINKS[name](y)
    y.backward()
    assert x.grad is not None
    del y
    y = x
    for _ in range(count):
        y = LINKS[name](y)
    node = weakref.ref(y.grad_fn)
    del y  # never run: its saved values hold the chain together
    gc.collect()
    assert node() is None


def test_long_chains_of_second_order():
    x = leaf([0.5])
    y = x
    for _ in range(5_000):
        y = y * 1.0001
    (g,) = grad((y * y).sum(), x, create_graph=True)
    (h,) = grad(g.sum(), x)
    assert float(h) == pytest.approx(2 * 1.0001**10_000)


def test_shared_parts_run_once():
    x = leaf([1.0])
    y = x
    for _ in range(60):
        y = y + y  # 2**60 paths
    y.backward()
    assert float(x.grad) == 2.0**60


def test_saved_values_go_as_soon_as_they_are_used():
    """When the gradient arrives at a node, the nodes above it hold nothing any more."""
    seen = []
    x = leaf(np.ones(4))
    y, nodes = x, []
    for _ in range(4):
        y = y.exp()
        nodes.append(y.grad_fn)
        y.register_hook(lambda g: seen.append([node.out is None for node in nodes]))
    y.sum().backward()
    assert seen == [[False] * (4 - k) + [True] * k for k in range(4)]
    assert all(node.out is None for node in nodes)


def test_gradients_of_inner_values_are_not_kept():
    """The peak is a few gradients, not one per node."""
    import tracemalloc

    x = leaf(np.ones(100_000))
    y = x
    for _ in range(50):
        y = y * 1.0
    y = y.sum()
    tracemalloc.start()
    y.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * x.nbytes


def test_an_accumulated_gradient_shares_memory_with_nothing():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    g = fb.ones(2, dtype=fb.float64)
    (x + y).backward(g)
    x.grad.add_(1)
    assert y.grad.tolist() == [1.0, 1.0] and g.tolist() == [1.0, 1.0]
    x = leaf([[1.0, 2.0]])
    x.expand(3, 2).sum().backward()
    x.grad.mul_(2)
    z = leaf([1.0, 2.0])
    z.reshape(2, 1).sum().backward()
    z.grad.add_(1)
    assert x.grad.tolist() == [[6.0, 6.0]] and z.grad.tolist() == [2.0, 2.0]


# -- hooks
def test_order_of_hooks():
    order = []
    x = leaf([1.0])
    h = x * 2
    h.retain_grad()
    h.register_hook(lambda g: order.append("tensor"))
    h.grad_fn.register_hook(lambda ins, outs: order.append("post"))
    h.grad_fn.register_prehook(lambda outs: order.append("pre"))
    x.register_hook(lambda g: order.append("leaf"))
    x.register_post_accumulate_grad_hook(lambda t: order.append(("after", t is x)))
    h.sum().backward()
    assert order == ["tensor", "pre", "post", "leaf", ("after", True)]


def test_replaced_gradients():
    x = leaf([1.0])
    h = x * 2
    h.register_hook(lambda g: g * 3)
    h.retain_grad()
    h.grad_fn.register_prehook(lambda outs: (outs[0] + 1,))
    h.grad_fn.register_hook(lambda ins, outs: (ins[0] * 10, *ins[1:]))
    h.sum().backward()
    assert float(h.grad) == 3 and float(x.grad) == 80


def test_hooks_of_several_outputs():
    x = leaf([3.0, 1.0, 2.0])
    values, places = x.sort()
    seen = []
    values.register_hook(lambda g: seen.append(g.tolist()))
    values.grad_fn.register_prehook(lambda outs: seen.append([None if o is None else o.tolist() for o in outs]))
    values.sum().backward()
    assert seen == [[1.0, 1.0, 1.0], [[1.0, 1.0, 1.0], None]]
    assert values.output_nr == 0 and values.grad_fn.name() == "SortBackward"


@pytest.mark.parametrize(
    "hook, error", [(lambda g: g[:1], ShapeError), (lambda g: "no", ArgumentTypeError)], ids=["another shape", "no tensor"]
)
def test_wrong_results_of_hooks(hook, error):
    x = leaf([1.0, 2.0])
    h = x * 2
    h.register_hook(hook)
    with pytest.raises(error, match="a hook that"):
        h.sum().backward()


def test_wrong_results_of_node_hooks():
    x = leaf([1.0, 2.0])
    for register in ("register_hook", "register_prehook"):
        h = x * 2
        getattr(h.grad_fn, register)(lambda *gs: (gs[0][0],) * 5)
        with pytest.raises(ShapeError, match="returns . gradients"):
            h.sum().backward()


def test_a_hook_may_run_another_backward():
    x, y = leaf([2.0]), leaf([3.0])

    def inner(g):
        with fb.enable_grad():
            (y * y).sum().backward()

    h = x * 2
    h.register_hook(inner)
    h.sum().backward()
    assert float(x.grad) == 2 and float(y.grad) == 6


def test_node_metadata():
    y = leaf([1.0]) * 2
    y.grad_fn.metadata["where"] = "here"
    assert y.grad_fn.metadata == {"where": "here"}
    assert isinstance(y.grad_fn, fb.autograd.graph.Node)


# -- writes in place
def test_writes_through_strided_views():
    for view, want in [
        (lambda h: h.diagonal(), [[3, 1, 1], [1, 3, 1], [1, 1, 3]]),
        (lambda h: h.diagonal(1), [[1, 3, 1], [1, 1, 3], [1, 1, 1]]),
        (lambda h: h[1:].diagonal(-1), [[1, 1, 1], [1, 1, 1], [3, 1, 1]]),
        (lambda h: h.as_strided((2,), (2,), 3), [[1, 1, 1], [3, 1, 3], [1, 1, 1]]),
        (lambda h: h.t()[1:, :2].diagonal(), [[1, 3, 1], [1, 1, 3], [1, 1, 1]]),
        (lambda h: h.unfold(1, 2, 1)[:, 1], [[1, 3, 3], [1, 3, 3], [1, 3, 3]]),
    ]:
        x = leaf(np.ones((3, 3)))
        h = x * 1
        view(h).mul_(3)
        h.sum().backward()
        assert x.grad.tolist() == want


def test_reads_of_a_base_after_writes_to_it():
    x = leaf([1.0, 2.0, 3.0])
    h = x * 1
    first, rest = h[:1], h[1:]
    h.mul_(2)
    rest.mul_(5)
    (first.sum() + rest.sum()).backward()
    assert x.grad.tolist() == [2.0, 10.0, 10.0]


# -- modes, threads, errors
def test_exceptions_restore_modes_and_leave_the_graph_usable():
    x = leaf([1.0])
    h = x * x
    calls = []

    def fail(g):
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("once")

    h.register_hook(fail)
    y = h.sum()
    with fb.no_grad(), pytest.raises(KeyError):
        y.backward()
    assert fb.is_grad_enabled() and fb.autograd.modes.mode.task is None
    h.sum().backward()
    assert float(x.grad) == 2


def test_other_threads_have_modes_of_their_own():
    x = leaf([1.0])
    found = []

    def work():
        found.append(fb.is_grad_enabled())
        (x * 2).sum().backward()
        with fb.no_grad():
            found.append((x * 2).requires_grad)

    with fb.no_grad():
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not fb.is_grad_enabled()
    assert found.count(True) == 4 and found.count(False) == 4
    assert float(x.grad) == 8


def test_no_gradient_is_lost_between_threads():
    x = leaf(np.zeros(200_000))
    count, barrier = 8, threading.Barrier(8)

    def work():
        y = (x * 1.0).sum()
        barrier.wait()
        y.backward()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads meet more often
    try:
        for _ in range(20):
            x.grad = None
            threads = [threading.Thread(target=work) for _ in range(count)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert float(x.grad.amin()) == float(x.grad.amax()) == count
    finally:
        sys.setswitchinterval(before)


def test_anomaly_detection_names_the_forward_line():
    x = leaf([0.0, 1.0])
    with fb.autograd.detect_anomaly():
        y = x * 0
        root = y.sqrt() * 0  # the culprit
        with pytest.raises(GradientError, match="NaN from SqrtBackward") as error:
            root.sum().backward()
    assert "# the culprit" in str(error.value)
    assert not fb.is_anomaly_enabled()
    root = (x * 0).sqrt() * 0
    root.sum().backward()  # silent outside
    assert np.isnan(x.grad.numpy()).all()


def test_anomaly_detection_points_at_the_forward_of_a_failing_backward():
    class Fails(fb.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            raise ValueError("in backward")

    x = leaf([1.0])
    with fb.autograd.set_detect_anomaly(True):
        y = Fails.apply(x)  # the call
        with pytest.raises(ValueError, match="in backward") as error:
            y.sum().backward()
    assert "# the call" in "".join(error.value.__notes__)
    with fb.autograd.detect_anomaly(check_nan=False):
        ((x - 1).sqrt() * 0).sum().backward()
    fb.autograd.set_detect_anomaly(True)
    assert fb.is_anomaly_enabled()
    fb.autograd.set_detect_anomaly(False)
    assert not fb.is_anomaly_enabled()


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda x: (x * 2).backward(), GradientError, "one element"),
        (lambda x: (x.sum() * 1j).backward(), GradientError, "real scalar"),
        (lambda x: fb.ones(1).backward(), GradientError, "requires grad"),
        (lambda x: (x * 2).backward(fb.ones(3)), ShapeError, r"shape \(2,\)"),
        (lambda x: (x * 2).backward(fb.ones(2) * 1j), DtypeError, "dtype"),
        (lambda x: x.sum().backward(inputs=[]), GradientError, "at least one"),
        (lambda x: grad(x.sum(), fb.ones(1)), GradientError, "input 0"),
        (lambda x: grad(x.sum(), [x, leaf([1.0])]), GradientError, "input 1.*allow_unused"),
        (lambda x: grad(x.sum(), x, materialize_grads=True, allow_unused=False), ArgumentError, "materialize_grads"),
        (lambda x: fb.autograd.backward([x.sum()], [None, None]), ArgumentError, "1 gradients"),
        (lambda x: x.add_(1), GradientError, "leaf"),
        (lambda x: x[:1].add_(1), GradientError, "view of a leaf"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call(leaf([1.0, 2.0]))


def test_detach_of_a_leaf_keeps_its_gradient():
    x = leaf([1.0])
    (x * 2).sum().backward()
    x.detach_()
    assert not x.requires_grad and float(x.grad) == 2


def test_variable_is_every_tensor():
    from flambeau.autograd import Variable

    x = fb.ones(2)
    v = Variable(x, requires_grad=True)
    assert isinstance(v, fb.Tensor) and isinstance(x, Variable) and not isinstance(3, Variable)
    v.data.add_(1)
    assert x.tolist() == [2.0, 2.0] and not x.requires_grad


@pytest.mark.parametrize(
    "norm",
    [
        fb.nn.InstanceNorm2d(2),
        fb.nn.BatchNorm2d(2, affine=False),
        fb.nn.LayerNorm((3, 3), elementwise_affine=False),
        fb.nn.GroupNorm(2, 2, affine=False),
        fb.nn.RMSNorm((3, 3), elementwise_affine=False),
    ],
)
def test_a_norm_without_weights_may_be_changed_in_place(norm):
    x = fb.randn(2, 2, 3, 3, dtype=fb.float64)
    w = fb.randn(2, 2, 3, 3, dtype=fb.float64)
    norm.double()
    grads = []
    for relu in (fb.nn.ReLU(inplace=True), fb.nn.ReLU()):
        leaf = x.clone().requires_grad_()
        (relu(norm(leaf)) * w).sum().backward()
        grads.append(leaf.grad)
    fb.testing.assert_close(*grads)


def test_outputs_that_a_derivative_needs_are_guarded_where_there_are_several():
    from flambeau.primitives.normalize import standardize

    y, _, _ = standardize(fb.randn(4, requires_grad=True), axis=(0,), eps=1e-5, center=True)
    y.mul_(2.0)
    with pytest.raises(GradientError, match="modified by an inplace operation"):
        y.sum().backward()
