"""`DataParallel` and `DistributedDataParallel` of one device: the wrapped module itself, under the name `module` as checkpoints have it."""

from __future__ import annotations

from typing import Any

from flambeau.nn import Module


class DataParallel(Module):
    """Calls `module`. State dicts have the prefix `module.`, as in PyTorch."""

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module = module
        self.device_ids, self.output_device, self.dim = device_ids or [], output_device, dim

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """`module(...)`."""
        return self.module(*args, **kwargs)


class DistributedDataParallel(DataParallel):
    """Calls `module`: there is one process."""

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0, **options: Any) -> None:
        super().__init__(module, device_ids, output_device, dim)

    def no_sync(self) -> Any:
        """A block without exchange of gradients."""
        from contextlib import nullcontext

        return nullcontext()
