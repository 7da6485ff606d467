"""`DataParallel` and `DistributedDataParallel` of one device: the wrapped module itself, under the name `module` as checkpoints have it."""

from __future__ import annotations

from typing import Any

from flambeau.nn import Module
from flambeau.nn.batchnorm import _BatchNorm


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


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation of inputs with 2 axes and more. There is one process, so its batch is all that statistics are made of."""

    ranks = (2, 3, 4, 5)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module as it is: its batch normalisation sees everything already."""
        return module
