"""The engine against PyTorch: the same program runs in both, and what it notes down must be equal.

A case is a function of (module, note): it computes with `module` (flambeau or torch) and notes values, names of exceptions and orders of
calls.
"""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb

torch = pytest.importorskip("torch")

CASES = {}


def case(fn):
    CASES[fn.__name__] = fn
    return fn


def plain(x):
    """Something comparable from a noted value."""
    if isinstance(x, (fb.Tensor, torch.Tensor)):
        return [tuple(x.shape), str(x.dtype).split(".")[-1], x.requires_grad, np.round(x.detach().numpy().astype(complex), 6).tolist()]
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    return x


def run(fn, m):
    notes = []
    fn(m, lambda *values: notes.append(plain(values)))
    return notes


def tried(call):
    """The kind of error that a call gives, or None."""
    try:
        call()
    except Exception as error:
        for kind in (ValueError, TypeError, IndexError, RuntimeError):
            if isinstance(error, kind):
                return kind.__name__
        raise
    return None


def leaf(m, values):
    return m.tensor(values, dtype=m.float64, requires_grad=True)


@case
def accumulation(m, note):
    x = leaf(m, [1.0, 2.0])
    (x * x).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    note(x.grad, first is x.grad)
    y = (x**3).sum()
    y.backward(create_graph=True)
    note(x.grad, x.grad is first)


@case
def same_tensor_twice(m, note):
    x = leaf(m, [1.0, 2.0])
    note(m.autograd.grad((x * x + x).sum(), [x, x]))
    m.autograd.backward([(x * 2).sum(), (x * 5).sum()])
    note(x.grad)
    y = x * 2
    m.autograd.backward([y, y], [m.ones(2, dtype=m.float64), m.ones(2, dtype=m.float64)])
    note(x.grad)


@case
def second_backward(m, note):
    x = leaf(m, [1.0, 2.0])
    y = x.exp().sum()
    y.backward()
    note(tried(y.backward))
    z = (x + 1).sum()  # nothing saved: a second pass is fine
    z.backward()
    note(tried(z.backward), x.grad)
    y = x.exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    note(x.grad)


@case
def grad_frees_only_what_it_ran(m, note):
    x = leaf(m, [1.0, 2.0])
    h = x.exp()
    y = h.sin().sum()
    note(m.autograd.grad(y, h))
    note(tried(lambda: h.sum().backward()), x.grad)
    note(tried(y.backward))


@case
def unused_inputs(m, note):
    x, y = leaf(m, [1.0]), leaf(m, [2.0])
    z = (x * 2).sum()
    note(tried(lambda: m.autograd.grad(z, [x, y], retain_graph=True)))
    note(m.autograd.grad(z, [x, y], retain_graph=True, allow_unused=True))
    note(m.autograd.grad(z, [x, y], retain_graph=True, materialize_grads=True))
    note(tried(lambda: m.autograd.grad(z, [x, y], retain_graph=True, materialize_grads=True, allow_unused=False)))
    note(tried(lambda: m.autograd.grad(z, m.ones(1), retain_graph=True)))
    note(tried(lambda: m.autograd.grad(m.ones(1), x)))


@case
def wrong_root_gradients(m, note):
    x = leaf(m, [1.0, 2.0])
    note(tried((x * 2).backward))
    note(tried(lambda: (x * 2).backward(m.ones(3, dtype=m.float64))))
    (x * 2).backward(m.ones(2, dtype=m.float32))
    note(x.grad)
    note(tried((x.sum() * 1j).backward))
    note(tried(m.ones(1).backward))
    (x[:1] * 2).backward()
    note(x.grad)


@case
def backward_with_inputs(m, note):
    x, y = leaf(m, [1.0]), leaf(m, [2.0])
    h = x * 3
    h.retain_grad()
    (h * y).sum().backward(inputs=[x], retain_graph=True)
    note(x.grad, y.grad, h.grad)
    (h * y).sum().backward(inputs=[h, y])
    note(x.grad, y.grad, h.grad)
    note(tried(lambda: (x * 2).sum().backward(inputs=[])))


@case
def hook_order_and_replacement(m, note):
    order = []
    x = leaf(m, [1.0])
    h = x * 2
    h.register_hook(lambda g: order.append(("first", float(g))) or g * 10)
    h.retain_grad()
    h.register_hook(lambda g: order.append(("second", float(g))))
    h.grad_fn.register_prehook(lambda gs: order.append(("pre", float(gs[0]))) or (gs[0] + 1,))
    h.grad_fn.register_hook(lambda ins, outs: order.append(("post", float(ins[0]), float(outs[0]))))
    x.register_hook(lambda g: order.append(("leaf", float(g))))
    x.register_post_accumulate_grad_hook(lambda t: order.append(("after", float(t.grad))))
    (h * 3).sum().backward()
    note(order, h.grad, x.grad)


@case
def hooks_and_grad(m, note):
    order = []
    x = leaf(m, [1.0])
    h = x * 2
    h.register_hook(lambda g: order.append("tensor") or g * 2)
    h.grad_fn.register_prehook(lambda gs: order.append("pre"))
    h.grad_fn.register_hook(lambda ins, outs: order.append("post"))
    h.retain_grad()
    x.register_post_accumulate_grad_hook(lambda t: order.append("after"))
    note(m.autograd.grad((h * 3).sum(), h, retain_graph=True), order, h.grad)
    order.clear()
    m.autograd.grad((h * 3).sum(), [h, x], retain_graph=True)
    note(order, h.grad)
    order.clear()
    (h * 3).sum().backward(inputs=[x])
    note(order, h.grad, x.grad)


@case
def removed_hooks(m, note):
    x = leaf(m, [1.0])
    handle = x.register_hook(lambda g: g * 100)
    with x.register_hook(lambda g: g * 10):
        (x * 1).sum().backward()
    handle.remove()
    handle.remove()
    (x * 1).sum().backward()
    note(x.grad)


@case
def hooks_that_return_nonsense(m, note):
    x = leaf(m, [1.0, 2.0])
    h = x * 2
    h.register_hook(lambda g: g[:1])
    note(tried(h.sum().backward))
    h = x * 2
    h.register_hook(lambda g: "no")
    note(tried(h.sum().backward))


@case
def retain_grad_follows_writes(m, note):
    x = leaf(m, [1.0, 2.0])
    h = x * 2
    seen = []
    h.register_hook(lambda g: seen.append(g.tolist()))
    h.retain_grad()
    h.mul_(3)
    h.register_hook(lambda g: seen.append(g.tolist()))
    (h * 5).sum().backward()
    note(seen, h.grad, h.retains_grad, x.grad)
    h = x * 2
    view = h[:1]
    view.retain_grad()
    h.mul_(3)
    (view * 5).sum().backward()
    note(view.grad)


@case
def retain_grad_accumulates(m, note):
    x = leaf(m, [1.0])
    h = x * 2
    h.retain_grad()
    y = (h * 3).sum()
    y.backward(retain_graph=True)
    y.backward()
    note(h.grad, x.grad)
    note(tried(m.ones(1).retain_grad))
    x.retain_grad()
    note(x.retains_grad)


@case
def in_place_writes(m, note):
    x = leaf(m, [1.0, 2.0, 3.0])
    h = x * 1
    h[0] = 5
    h[1:].mul_(2)
    view = h[1:]
    view += x[:2]
    h.sum().backward()
    note(h, view, x.grad)
    square = leaf(m, [[1.0, 2.0], [3.0, 4.0]])
    h = square * 1
    h.diagonal().mul_(3)
    h[1:].diagonal().add_(square[0, 1])
    h.unfold(0, 2, 1)[0, 1].mul_(2)
    h.as_strided((2,), (1,), 1).mul_(7)
    h.sum().backward()
    note(h, square.grad)
    note(tried(lambda: x.add_(1)), tried(lambda: x[0].add_(1)))
    h = x.exp()
    h.add_(1)
    note(tried(h.sum().backward))
    h = x * 1
    y = h * h
    h.zero_()
    note(tried(y.sum().backward))
    with m.no_grad():
        x.add_(1)
    note(x)
    expanded = (x[:1] * 1).expand(3)
    note(tried(lambda: expanded.add_(1)))


@case
def leaves_and_detach(m, note):
    x = leaf(m, [1.0])
    h = x * 2
    note(x.is_leaf, h.is_leaf, m.ones(1).is_leaf, h.detach().is_leaf, h.detach().requires_grad)
    note(tried(lambda: h.requires_grad_(False)), tried(lambda: m.ones(1, dtype=m.int64).requires_grad_()))
    h.detach_()
    note(h.requires_grad, h.is_leaf)
    x.sum().backward()
    x.detach_()
    note(x.requires_grad, x.grad)
    d = (leaf(m, [1.0]) * 2).detach().requires_grad_()
    (d * 3).sum().backward()
    note(d.grad)


@case
def modes(m, note):
    x = leaf(m, [1.0])
    with m.no_grad():
        a = x * 2
        with m.enable_grad():
            b = x * 2
    note(a.requires_grad, b.requires_grad, m.is_grad_enabled())

    @m.no_grad()
    def f():
        return x * 2

    with m.set_grad_enabled(False):
        note((x * 2).requires_grad)
    note(f().requires_grad, (x * 2).requires_grad)
    with m.inference_mode():
        note((x * 2).requires_grad)
    m.set_grad_enabled(False)
    note((x * 2).requires_grad)
    m.set_grad_enabled(True)


@case
def a_failing_backward_leaves_modes_alone(m, note):
    x = leaf(m, [1.0])
    h = x * 2

    def fail(g):
        raise ValueError("no")

    h.register_hook(fail)
    note(tried(h.sum().backward), m.is_grad_enabled())
    with m.no_grad():
        note(tried((h * 1).sum().backward))
    note((x * 1).requires_grad)


@case
def mode_inside_hooks(m, note):
    x = leaf(m, [1.0])
    for create_graph in (False, True):
        h = x * x
        h.register_hook(lambda g: note(m.is_grad_enabled()))
        m.autograd.grad(h.sum(), x, create_graph=create_graph)


@case
def higher_orders(m, note):
    x = leaf(m, [0.5, 1.5])
    y = (x**4).sum()
    for _ in range(3):
        (g,) = m.autograd.grad(y, x, create_graph=True)
        note(g)
        y = g.sum()


@case
def several_outputs(m, note):
    x = leaf(m, [3.0, 1.0, 2.0])
    values, places = x.max(0)
    note(values.requires_grad, places.requires_grad)
    values.backward()
    note(x.grad)
    parts = (x * 2).unbind()
    (parts[0] * 5 + parts[2]).backward()
    note(x.grad)
    a, b = (x * 1).split([1, 2])
    b.sum().backward()
    note(x.grad)


@case
def gradients_of_views_and_expansions(m, note):
    x = leaf(m, [[1.0, 2.0], [3.0, 4.0]])
    x.sum().backward()
    note(x.grad.is_contiguous())
    x.grad.add_(1)  # would fail on an expanded gradient
    note(x.grad)
    y = x.t().reshape(-1)[1:3]
    y.sum().backward()
    note(x.grad)


@case
def complex_gradients(m, note):
    z = m.tensor([1 + 2j, 3 - 1j], dtype=m.complex128, requires_grad=True)
    for f in (lambda z: (z * z.conj()).real, lambda z: z.abs(), lambda z: (z**2).imag, lambda z: z.exp().real, lambda z: z.angle()):
        note(m.autograd.grad(f(z).sum(), z))
    x = leaf(m, [1.0, 2.0])
    note(m.autograd.grad((x * z.detach()).abs().sum(), x))


@case
def ties(m, note):
    x = leaf(m, [2.0, 2.0, 1.0])
    for f in (lambda x: x.amax(), lambda x: x.max(), lambda x: x.clamp(1, 2).sum(), lambda x: x.abs().sum(), lambda x: x.relu().sum()):
        note(m.autograd.grad(f(x), x))
    y = leaf(m, [2.0, 3.0, 1.0])
    note(m.autograd.grad(m.maximum(x, y).sum(), [x, y]))


@case
def grad_setters(m, note):
    x = leaf(m, [1.0, 2.0])
    x.grad = m.ones(2, dtype=m.float64)
    (x * 2).sum().backward()
    note(x.grad)
    note(tried(lambda: setattr(x, "grad", m.ones(3, dtype=m.float64))), tried(lambda: setattr(x, "grad", 3)))
    x.grad = None
    note(x.grad)


@case
def graph_names(m, note):
    x = leaf(m, [1.0])
    y = (x * 2).sum()
    chain = []
    node = y.grad_fn
    while node is not None:
        chain.append(node.name().rstrip("0123456789").removeprefix("torch::autograd::"))
        node = node.next_functions[0][0] if node.next_functions else None
    note(chain)
    note(x.grad_fn, [n for _, n in y.grad_fn.next_functions])


@case
def saved_tensors_hooks(m, note):
    log = []
    x = leaf(m, [1.0, 2.0])
    pack = lambda t: log.append(("pack", t.tolist(), t.requires_grad)) or t * 2
    unpack = lambda t: log.append(("unpack",)) or t / 2
    with m.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = x * x
    note(sorted(map(str, log)))
    log.clear()
    y.sum().backward()
    note(x.grad, len(log))
    with m.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: 5):
        y = x.exp()
    note(tried(y.sum().backward))

    def use():
        with m.autograd.graph.disable_saved_tensors_hooks("not here"), m.autograd.graph.saved_tensors_hooks(pack, unpack):
            pass

    note(tried(use))
    with m.autograd.graph.save_on_cpu():
        y = x.exp() * x
    note(m.autograd.grad(y.sum(), x))


@case
def multi_grad_hooks(m, note):
    seen = []
    a, b, c = leaf(m, [1.0]), leaf(m, [2.0]), leaf(m, [3.0])
    handle = m.autograd.graph.register_multi_grad_hook([a, b, c], lambda gs: seen.append([None if g is None else g.tolist() for g in gs]))
    (a * b).sum().backward()
    (a * b * c).sum().backward()
    note(seen)
    handle.remove()
    (a * b).sum().backward()
    note(len(seen))
    m.autograd.graph.register_multi_grad_hook([a, b], lambda g: seen.append(g.tolist()), mode="any")
    (a * b * 2).sum().backward()
    (a * b * 2).sum().backward()
    note(len(seen))


@case
def gradient_edges(m, note):
    x = leaf(m, [1.0, 2.0])
    h = x * 2
    edge = m.autograd.graph.get_gradient_edge(h)
    note(edge.output_nr, edge.node is h.grad_fn)
    y = (h**2).sum()
    del h
    note(m.autograd.grad(y, [edge, x]))
    note(tried(lambda: m.autograd.graph.get_gradient_edge(m.ones(1))))


@case
def versions(m, note):
    x = leaf(m, [1.0])
    h = x * 1
    note(h._version)
    h.add_(1)
    h[0] = 3
    note(h._version, h[:1]._version, h.detach()._version, h.data._version)
    y = h * h
    m.autograd.graph.increment_version(h)
    note(tried(y.sum().backward))
    h = x * 1
    y = h * h
    h.data.add_(1)
    note(tried(y.sum().backward), x.grad)


@case
def batched_gradients(m, note):
    x = leaf(m, [1.0, 2.0, 3.0])
    y = x.cumprod(0)
    note(m.autograd.grad(y, x, m.eye(3, dtype=m.float64), retain_graph=True, is_grads_batched=True))
    note(m.autograd.grad(y, x, m.eye(3, dtype=m.float64)[:2], is_grads_batched=True))


@case
def grad_modes_of_requires_grad(m, note):
    x = m.ones(2, dtype=m.float64)
    y = x * 2
    x.requires_grad_()
    note(y.requires_grad, (x * y).requires_grad)
    (x * y).sum().backward()
    note(x.grad)
    x.requires_grad = False
    note(x.grad, x.requires_grad)


@case
def functions(m, note):
    class Double(m.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            ctx.mark_non_differentiable(y)
            return x * y, y

        @staticmethod
        def backward(ctx, g, h):
            x, y = ctx.saved_tensors
            note(ctx.needs_input_grad, h)
            return g * y, g * x

    x, y = leaf(m, [1.0, 2.0]), m.ones(2, dtype=m.float64) * 3
    a, b = Double.apply(x, y)
    note(a.requires_grad, b.requires_grad, a.grad_fn.name())
    a.sum().backward()
    note(x.grad)


@case
def function_errors(m, note):
    def make(returned):
        class F(m.autograd.Function):
            @staticmethod
            def forward(ctx, x, k):
                return x * k

            @staticmethod
            def backward(ctx, g):
                return returned(g)

        return F

    x = leaf(m, [1.0, 2.0])
    for returned in (lambda g: g, lambda g: (g, None, None), lambda g: (g, g), lambda g: (g[:1], None), lambda g: (g, None, g)):
        note(tried(make(returned).apply(x, 2.0).sum().backward))


@case
def checkpoints(m, note):
    from importlib import import_module

    checkpoint = import_module(f"{m.__name__}.utils.checkpoint").checkpoint
    x, w = leaf(m, [0.5, 1.5]), leaf(m, [1.0, 2.0])
    f = lambda x: ((x * w).exp() * x).sin()
    for reentrant in (False, True):
        x.grad = w.grad = None
        checkpoint(f, x, use_reentrant=reentrant).sum().backward()
        note(x.grad, w.grad)
    note(m.autograd.grad(checkpoint(f, x, use_reentrant=False).sum(), [x, w]))
    note(tried(lambda: m.autograd.grad(checkpoint(f, x, use_reentrant=True).sum(), [x, w])))
    calls = []

    def unsteady(x):
        calls.append(1)
        return x.exp() if len(calls) == 1 else x[:1].exp() + x

    note(tried(checkpoint(unsteady, x, use_reentrant=False).sum().backward))


@case
def threads(m, note):
    import threading

    x = leaf(m, [1.0])
    found = []

    def work():
        found.append(m.is_grad_enabled())
        (x * 2).sum().backward()

    with m.no_grad():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    note(found, x.grad)


@pytest.mark.filterwarnings("ignore:.*create_graph=True:UserWarning")
@pytest.mark.filterwarnings("ignore:.*non-leaf Tensor:UserWarning")
@pytest.mark.filterwarnings("ignore:.*performance drop:UserWarning")
@pytest.mark.parametrize("name", sorted(CASES))
def test_same_as_pytorch(name):
    fn = CASES[name]
    assert run(fn, fb) == run(fn, torch)
