"""`torch.backends.cuda`: switches that are only kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


class _Matmul:
    """Precision of products on a GPU; see `flambeau.set_float32_matmul_precision`."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _Matmul()


def is_built() -> bool:
    """Whether GPUs can be used at all: through CuPy, if it is installed."""
    from flambeau import cuda

    return cuda.is_available()


@contextlib.contextmanager
def sdp_kernel(*args: Any, **kwargs: Any) -> Iterator[None]:
    """A block in which PyTorch would choose among kernels of attention; here there is one."""
    yield


def flash_sdp_enabled() -> bool:
    """Attention has one kernel here."""
    return False


mem_efficient_sdp_enabled = flash_sdp_enabled


def math_sdp_enabled() -> bool:
    """The one kernel that there is."""
    return True


def enable_flash_sdp(enabled: bool) -> None:
    """Nothing to switch."""


enable_mem_efficient_sdp = enable_math_sdp = enable_flash_sdp
