"""autocast and GradScaler, eagerly and in compiled functions (dtypes of each operation against PyTorch: tests/parity/test_autocast.py)."""

from __future__ import annotations

import threading

import pytest

import flambeau as fb
from flambeau import nn
from flambeau.base.errors import ArgumentError, ArgumentTypeError, GradientError
from flambeau.ops import casting


def product(*shape):
    return fb.ones(*shape) @ fb.ones(*shape).mT


def test_blocks_and_decorators():
    assert product(2, 3).dtype is fb.float32
    with fb.autocast("cpu"):
        assert product(2, 3).dtype is fb.bfloat16
        assert fb.is_autocast_enabled("cpu")
        assert not fb.is_autocast_enabled()
        with fb.autocast("cpu", enabled=False):
            assert product(2, 3).dtype is fb.float32
            with fb.autocast("cpu", dtype=fb.float16):
                assert product(2, 3).dtype is fb.float16
            assert product(2, 3).dtype is fb.float32
        with fb.autocast("cuda"):
            assert fb.is_autocast_enabled()
            assert product(2, 3).dtype is fb.bfloat16
        with pytest.raises(KeyError), fb.autocast("cpu", enabled=False):
            raise KeyError
        assert product(2, 3).dtype is fb.bfloat16
    assert not fb.is_autocast_enabled("cpu")
    assert fb.autocast("cpu")(product)(2, 3).dtype is fb.bfloat16
    assert fb.cpu.amp.autocast()(product)(2, 3).dtype is fb.bfloat16
    assert product(2, 3).dtype is fb.float32
    assert fb.amp.autocast is fb.autocast
    assert fb.cuda.amp.autocast().fast_dtype is fb.float16


def test_one_block_many_times():
    block = fb.autocast("cpu")
    for _ in range(2):
        with block, block:
            assert product(2, 2).dtype is fb.bfloat16
        assert product(2, 2).dtype is fb.float32


def test_the_low_precision_can_be_chosen():
    assert fb.get_autocast_dtype("cpu") is fb.bfloat16
    fb.set_autocast_dtype("cpu", fb.float16)
    try:
        with fb.autocast("cpu"):
            assert product(2, 2).dtype is fb.float16
    finally:
        fb.set_autocast_dtype("cpu", fb.bfloat16)


def test_bad_arguments():
    with pytest.raises(ArgumentTypeError, match="the type of a device"):
        fb.autocast(fb.device("cpu"))
    with pytest.raises(ArgumentError, match="got 'gpu'"):
        fb.autocast("gpu")
    with pytest.warns(UserWarning, match="autocast is off"), fb.autocast("cpu", dtype=fb.float32):
        assert product(2, 2).dtype is fb.float32


def test_a_thread_has_its_own():
    found = []
    with fb.autocast("cpu"):
        thread = threading.Thread(target=lambda: found.append(product(2, 2).dtype))
        thread.start()
        thread.join()
    assert found == [fb.float32]


def test_weights_are_converted_once(monkeypatch):
    w = nn.Parameter(fb.ones(3, 3))
    with fb.autocast("cpu"):
        y = nn.functional.linear(fb.ones(2, 3), w)
        (entry,) = casting._cache.entries.values()
        nn.functional.linear(fb.ones(2, 3), w)
        assert list(casting._cache.entries.values()) == [entry]
        with fb.no_grad():
            w.add_(1)
        assert nn.functional.linear(fb.ones(1, 3), w).tolist() == [[6.0, 6.0, 6.0]]
    assert casting._cache.entries == {}
    assert y.dtype is fb.bfloat16
    with fb.autocast("cpu", cache_enabled=False):
        nn.functional.linear(fb.ones(2, 3), w)
        assert casting._cache.entries == {}
        assert not fb.is_autocast_cache_enabled()
    assert fb.is_autocast_cache_enabled()


def test_gradients_are_in_the_weights_dtype():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 3))
    x = fb.randn(5, 4, requires_grad=True)
    with fb.autocast("cpu"):
        out = model(x)
        loss = nn.functional.cross_entropy(out, fb.tensor([0, 1, 2, 0, 1]))
    loss.backward()
    assert (out.dtype, loss.dtype, x.grad.dtype) == (fb.bfloat16, fb.float32, fb.float32)
    assert {p.grad.dtype for p in model.parameters()} == {fb.float32}


def trained(compiled, around):
    """Losses of a few steps with autocast inside the step, or around the call."""
    fb.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = fb.optim.Adam(model.parameters(), lr=0.02)
    x, y = fb.randn(8, 4), fb.randn(8, 1)

    def step(x, y):
        with fb.autocast("cpu", enabled=True if not around else fb.is_autocast_enabled("cpu")):
            out = model(x)
            loss = nn.functional.mse_loss(out, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), out.detach()

    step = fb.compile(step, fullgraph=True) if compiled else step
    found = []
    for _ in range(6):
        with fb.autocast("cpu", enabled=around):
            loss, out = step(x, y)
        assert (loss.dtype, out.dtype) == (fb.float32, fb.bfloat16)
        found.append(loss.item())
    return found


@pytest.mark.parametrize("around", [False, True])
def test_compiled_steps(around):
    eager = trained(False, around)
    assert eager[-1] < eager[0]
    assert trained(True, around) == pytest.approx(eager, rel=2e-2)


def test_a_program_belongs_to_its_autocast():
    w = nn.Parameter(fb.ones(3, 2))
    fn = fb.compile(lambda x: (x @ w).detach(), fullgraph=True)
    x = fb.ones(2, 3)
    for _ in range(3):
        assert fn(x).dtype is fb.float32
        with fb.autocast("cpu"):
            assert fn(x).dtype is fb.bfloat16
        with fb.autocast("cpu", dtype=fb.float16):
            assert fn(x).dtype is fb.float16
        with fb.no_grad():
            w.add_(1)
        assert fn(x)[0, 0].item() == 3 * w[0, 0].item()
        with fb.autocast("cpu"):
            assert fn(x)[0, 0].item() == 3 * w[0, 0].item()


def test_vmap_and_loops():
    with fb.autocast("cpu"):
        assert fb.vmap(lambda a: a @ a)(fb.ones(3, 2, 2)).dtype is fb.bfloat16
        carry, _ = fb.scan(lambda c, x: ((c @ x).float(), None), fb.ones(2, 2), fb.ones(3, 2, 2))
    assert carry.dtype is fb.float32
    assert carry[0, 0] == 8


def test_switches_without_a_block():
    assert fb.is_autocast_available("cpu")
    assert not fb.is_autocast_available("meta")
    fb.set_autocast_enabled("cpu", True)
    try:
        assert product(2, 2).dtype is fb.bfloat16
    finally:
        fb.set_autocast_enabled("cpu", False)
    assert product(2, 2).dtype is fb.float32
    fb.set_autocast_cache_enabled(False)
    assert not fb.is_autocast_cache_enabled()
    fb.set_autocast_cache_enabled(True)


@pytest.mark.parametrize("cast_inputs", [None, fb.float32])
def test_functions_with_a_derivative_of_their_own(cast_inputs):
    seen = []

    class Product(fb.autograd.Function):
        @staticmethod
        @fb.amp.custom_fwd(device_type="cpu", cast_inputs=cast_inputs)
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            seen.append((a @ b).dtype)
            return a @ b

        @staticmethod
        @fb.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            seen.append((a @ b).dtype)
            return g.float() @ b.mT.float(), a.mT.float() @ g.float()

    a = fb.ones(2, 2, requires_grad=True)
    with fb.autocast("cpu"):
        out = Product.apply(a, fb.ones(2, 2))
    out.sum().backward()
    wanted = fb.bfloat16 if cast_inputs is None else fb.float32
    assert seen == [wanted, wanted]
    assert out.dtype is wanted
    assert not fb.is_autocast_enabled("cpu")
    Product.apply(a, fb.ones(2, 2))
    assert seen[-1] is fb.float32


# -- GradScaler -----------------------------------------------------------------------------------------------------------------------
def scaler_and_weight(**options):
    w = nn.Parameter(fb.ones(2))
    return fb.amp.GradScaler("cpu", **{"init_scale": 8.0, **options}), w, fb.optim.SGD([w], lr=0.5)


def test_a_step_that_is_not_finite_is_skipped():
    scaler, w, optimizer = scaler_and_weight()
    scaler.scale((w * float("inf")).sum()).backward()
    assert scaler.step(optimizer) is None
    scaler.update()
    assert w.tolist() == [1.0, 1.0]
    assert scaler.get_scale() == 4.0


def test_the_order_of_calls():
    scaler, w, optimizer = scaler_and_weight()
    with pytest.raises(GradientError, match="parameters with gradients"):
        scaler.step(optimizer)
    with pytest.raises(GradientError, match="a step before"):
        scaler.update()
    first, second = scaler.scale([(w * w).sum(), w.sum()])
    assert second.item() == 16.0
    first.backward()
    scaler.unscale_(optimizer)
    assert w.grad.tolist() == [2.0, 2.0]
    with pytest.raises(GradientError, match="a second call"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(GradientError, match="after each step"):
        scaler.step(optimizer)
    with pytest.raises(GradientError, match="after step"):
        scaler.unscale_(optimizer)
    scaler.update(2.0)
    assert (w.tolist(), scaler.get_scale()) == ([0.0, 0.0], 2.0)


def test_a_scale_is_part_of_what_a_program_depends_on():
    scaler, w, optimizer = scaler_and_weight()
    loss = fb.compile(lambda: scaler.scale((w * w).sum()).detach(), fullgraph=True)
    assert [loss().item() for _ in range(3)] == [16.0] * 3
    scaler._scale = 4.0
    assert [loss().item() for _ in range(2)] == [8.0] * 2


def test_a_function_that_steps_it_runs_as_it_is():
    def trained(compiled):
        scaler, w, optimizer = scaler_and_weight(growth_interval=2)

        def step(factor):
            optimizer.zero_grad()
            scaler.scale((w * w * factor).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
            return w.detach().clone()

        step = fb.compile(step) if compiled else step
        factors = [0.1, 0.1, 0.1, float("inf"), 0.1, 0.1]
        return [(step(fb.tensor(f)).tolist(), scaler.get_scale()) for f in factors]

    with pytest.warns(UserWarning, match="bookkeeping of a GradScaler"):
        found = trained(True)
    assert found == trained(False)


def test_its_state():
    scaler, *_ = scaler_and_weight(growth_interval=5)
    other = fb.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()
    assert other.get_growth_interval() == 5
    off = fb.cuda.amp.GradScaler(enabled=False)
    assert (off.state_dict(), off.get_scale(), off.is_enabled()) == ({}, 1.0, False)
    with pytest.raises(ArgumentError, match="an empty state"):
        scaler.load_state_dict({})


def test_bad_settings():
    with pytest.raises(ArgumentError, match="growth_factor"):
        fb.amp.GradScaler("cpu", growth_factor=1.0)
    with pytest.raises(ArgumentError, match="backoff_factor"):
        fb.amp.GradScaler("cpu", backoff_factor=1.5)
    scaler, w, optimizer = scaler_and_weight()
    with pytest.raises(ArgumentTypeError, match="a tensor or a list"):
        scaler.scale(3.0)
    with pytest.raises(ArgumentError, match="closure"):
        scaler.step(optimizer, closure=lambda: 0)
    half = nn.Parameter(fb.ones(2).half())
    optimizer = fb.optim.SGD([half], lr=0.1)
    scaler.scale(half.sum()).backward()
    with pytest.raises(ArgumentError, match="gradients in float16"):
        scaler.unscale_(optimizer)
