"""The CUDA device on the stand-in: the same results as the CPU, on every operation; and on a real GPU under `-m gpu`."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import DeviceError, FlambeauError
from flambeau.device import base, cuda
from tests.cases import INDEXING, INPLACE, POINTWISE, REDUCTIONS, cases, with_or
from tests.core.device import stand_in


@pytest.fixture(autouse=True)
def pretended_gpu(monkeypatch):
    """CUDA means the stand-in."""
    backend = cuda.CudaBackend(stand_in.module())
    monkeypatch.setitem(base._loaders, "cuda", lambda: backend)
    monkeypatch.setitem(base._backends, "cuda", backend)
    stand_in.Device.current = 0
    yield backend
    base.executors.pop(stand_in.ndarray)


class On:
    """Flambeau with new tensors made on a device."""

    def __init__(self, device):
        self.device = device

    def __getattr__(self, name):
        value = getattr(fb, name)
        if name in ("tensor", "zeros", "ones", "arange", "full", "eye", "linspace"):
            return lambda *a, **k: value(*a, **{"device": self.device, **k})
        return value


def run(code, device, **shapes):
    rng = np.random.default_rng(0)
    m = On(device)
    inputs = {k: m.tensor(rng.standard_normal(shape)).requires_grad_() for k, shape in shapes.items()}
    scope = {"m": m, **inputs}
    if "\n" in code:
        exec(code, scope)
        out = scope["out"]
    else:
        out = eval(code, scope)
    parts = [p for p in (out if isinstance(out, (tuple, list)) else [out]) if isinstance(p, fb.Tensor)]
    total = sum((p * p).sum() for p in parts if p.requires_grad)
    if isinstance(total, fb.Tensor):
        total.backward()
    return parts, [t.grad for t in inputs.values()]


def compare(code, **shapes):
    here, grads_here = run(code, "cpu", **shapes)
    there, grads_there = run(code, "cuda", **shapes)
    assert len(here) == len(there)
    for a, b in zip([*here, *grads_here], [*there, *grads_there]):
        if a is None:
            assert b is None
            continue
        assert b.device == fb.device("cuda:0")
        np.testing.assert_allclose(b.detach().cpu().numpy(), a.detach().numpy(), rtol=1e-12, err_msg=code)


@pytest.mark.parametrize("code", cases(INDEXING) + cases(REDUCTIONS))
def test_shapes_and_reductions(code):
    compare(code, x=(2, 3, 4))


@pytest.mark.parametrize("code", with_or(POINTWISE))
def test_pointwise(code):
    compare(code, x=(3, 4), y=(4,))


@pytest.mark.parametrize("code", INPLACE)
def test_in_place(code):
    compare(code, x=(3, 4))


def test_transfers_and_their_gradient():
    x = fb.ones(3, requires_grad=True)
    y = x.cuda() * 2
    assert y.is_cuda and y.get_device() == 0
    y.sum().backward()
    assert x.grad.tolist() == [2, 2, 2] and x.grad.is_cpu
    assert x.to("cuda:1").device == fb.device("cuda", 1)
    assert fb.zeros(2, device="cuda").cpu().tolist() == [0, 0]
    with fb.device("cuda:1"):
        assert fb.ones(2).device.index == 1
    assert fb.randn(3, device="cuda").shape == (3,)


def test_mixing_devices_is_refused():
    with pytest.raises(DeviceError, match="add: expected tensors on one device, got cpu and cuda"):
        fb.ones(2) + fb.ones(2, device="cuda")
    with pytest.raises(DeviceError, match="cuda:0 and cuda:1"):
        fb.ones(2, device="cuda:0") + fb.ones(2, device="cuda:1")
    assert (fb.ones(2, device="cuda") + fb.tensor(1.0)).tolist() == [2, 2], "a zero-dimensional CPU tensor meets any device"


def test_same_random_numbers_on_every_device():
    draws = []
    for device in ("cpu", "cuda"):
        fb.manual_seed(5)
        draws.append(fb.randn(10, device=device).cpu().numpy())
    np.testing.assert_array_equal(*draws)


def test_an_absent_gpu_is_refused():
    with pytest.raises(DeviceError, match="cuda:0 to cuda:1"):
        fb.ones(2, device="cuda:7")


def test_the_cuda_namespace():
    assert fb.cuda.is_available() and fb.cuda.device_count() == 2 and fb.cuda.current_device() == 0
    assert fb.cuda.get_device_name() == "Pretended GPU" and fb.cuda.get_device_capability() == (9, 0)
    assert fb.cuda.memory_allocated() == 512 and fb.cuda.memory_reserved() == 1024 and fb.cuda.mem_get_info() == (1 << 30, 2 << 30)
    fb.cuda.set_device(1)
    assert fb.cuda.current_device() == 1 and fb.ones(1, device="cuda").device.index == 1
    fb.cuda.synchronize()
    fb.cuda.empty_cache()
    stream = fb.cuda.Stream()
    with fb.cuda.stream(stream):
        event = stream.record_event()
    event.synchronize()
    assert stream.query() and fb.cuda.is_bf16_supported()


def test_pinned_memory():
    pinned = fb.ones(3).pin_memory()
    assert pinned.tolist() == [1, 1, 1]


def test_numpy_needs_a_copy_to_the_host():
    with pytest.raises(FlambeauError, match="cpu"):
        fb.ones(2, device="cuda").numpy()
    assert fb.ones(2, device="cuda").numpy(force=True).tolist() == [1, 1]
    assert "device='cuda:0'" in repr(fb.ones(2, device="cuda"))
