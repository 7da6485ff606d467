"""The contract cases on other devices: a pretended GPU (tests/core/device/stand_in.py) everywhere, a real one under `-m gpu`."""

from __future__ import annotations

import pytest

from flambeau.device import base, cuda
from flambeau.testing import check
from tests.core.contract.tables_all import CASES
from tests.core.device import stand_in

# Without tensors among the arguments there is nothing to put on a device.
# The warnings of NumPy come from the stand-in, which stands for CuPy, and CuPy gives none.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
MOVABLE = [name for name, case in CASES.items() if any(s.specs for s in case.samples)]


@pytest.fixture
def pretended_gpu(monkeypatch):
    """CUDA means the stand-in."""
    backend = cuda.CudaBackend(stand_in.module())
    monkeypatch.setitem(base._loaders, "cuda", lambda: backend)
    monkeypatch.setitem(base._backends, "cuda", backend)
    stand_in.Device.current = 0
    yield
    base.executors.pop(stand_in.ndarray)


@pytest.mark.parametrize("name", MOVABLE)
def test_on_a_pretended_gpu(pretended_gpu, name):
    check(CASES[name], device="cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("name", MOVABLE)
def test_on_a_gpu(name):
    check(CASES[name], device="cuda")
