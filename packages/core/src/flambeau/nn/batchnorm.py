"""Normalisation of channels by statistics of the batch or of the sample, with running statistics for evaluation."""

from __future__ import annotations

from typing import Any

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.nn import functional as F
from flambeau.nn.norm import _Affine
from flambeau.tensor.creation import ones, tensor, zeros
from flambeau.tensor.tensor import Tensor


class _NormBase(_Affine):
    """Scale, shift and running statistics of `num_features` channels."""

    _version = 2
    ranks: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        track = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype) if track else None)
        self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype) if track else None)
        self.register_buffer("num_batches_tracked", tensor(0, dtype=dtypes.int64, device=device) if track else None)
        self._make_affine((num_features,), affine, bias, device, dtype)

    def reset_running_stats(self) -> None:
        """Forget the statistics: mean 0, variance 1, no batches."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Set scale, shift and statistics to their first values."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in self.ranks:
            wanted = " or ".join(str(r) for r in self.ranks)
            raise _RankError(explain(type(self).__name__, expected=f"an input with {wanted} axes", got=f"shape {tuple(input.shape)}"))

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any) -> None:
        key = prefix + "num_batches_tracked"
        if local_metadata.get("version", 0) < 2 and self.track_running_stats and key not in state_dict:
            known = self.num_batches_tracked  # states of version 1 do not have it
            state_dict[key] = tensor(0, dtype=dtypes.int64) if known is None or known.is_meta else known
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class _RankError(ShapeError, ValueError):
    pass


class _BatchNorm(_NormBase):
    """Batch normalisation (Ioffe & Szegedy 2015); `momentum=None` makes the running statistics plain means over all batches."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the batch's statistics in training, by the running ones in evaluation."""
        self._check_input_dim(input)
        training, tracked = self.training, self.track_running_stats
        factor = 0.0 if self.momentum is None else self.momentum
        if training and tracked and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                factor = 1.0 / float(self.num_batches_tracked)
        mean, var = (self.running_mean, self.running_var) if tracked or not training else (None, None)
        by_batch = training or (mean is None and var is None)
        return F.batch_norm(input, mean, var, self.weight, self.bias, by_batch, factor, self.eps)


class BatchNorm1d(_BatchNorm):
    """Normalises the channels of (N, C) or (N, C, L) over all other axes.

    >>> import flambeau as fb
    >>> list(fb.nn.BatchNorm1d(4).state_dict())
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalises the channels of (N, C, H, W) over all other axes."""

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalises the channels of (N, C, D, H, W) over all other axes."""

    ranks = (5,)


class _InstanceNorm(_NormBase):
    """Instance normalisation (Ulyanov et al. 2016): every channel of every sample by its own statistics."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Any) -> Tensor:
        """Normalise (N, C, ...) or one sample (C, ...)."""
        self._check_input_dim(input)
        single = input.dim() == self.ranks[0]
        channels = input.shape[0 if single else 1]
        if channels != self.num_features and self.affine:
            raise ArgumentError(explain(type(self).__name__, expected=f"{self.num_features} channels", got=str(tuple(input.shape))))
        result: Any = F.instance_norm(
            input.unsqueeze(0) if single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return result.squeeze(0) if single else result


class InstanceNorm1d(_InstanceNorm):
    """Normalises (N, C, L) or (C, L) over L."""

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalises (N, C, H, W) or (C, H, W) over H and W."""

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalises (N, C, D, H, W) or (C, D, H, W) over D, H and W."""

    ranks = (4, 5)
