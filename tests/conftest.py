"""What all tests share: deterministic property tests, and GPU tests only where there is a GPU."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import pytest

with contextlib.suppress(ImportError):  # the parity environment may lack it
    from hypothesis import settings

    # Seeds decide everything, also here; time limits would make a busy machine fail tests.
    settings.register_profile("flambeau", derandomize=True, deadline=None)
    settings.load_profile("flambeau")


@pytest.fixture(autouse=True)
def own_stream() -> Iterator[None]:
    """Whoever imports the facade gets PyTorch's random numbers; the next test gets ours again."""
    yield
    generator = sys.modules.get("flambeau.primitives.generator")
    if generator is not None and generator._choice != "philox":
        generator.use_stream("philox")


def _missing_gpu() -> str:
    """Why GPU tests cannot run here, empty where they can."""
    try:
        import cupy
    except ImportError:
        return "CuPy is not installed"
    try:
        return "" if cupy.cuda.runtime.getDeviceCount() else "there is no CUDA device"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CUDA does not work here: {error}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    reason = _missing_gpu() if marked else ""
    if reason:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))
