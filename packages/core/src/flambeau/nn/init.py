"""Initial values of parameters: in-place fills under PyTorch's names. Every draw takes a `generator` (the default one if None).

The draws come in PyTorch's order, so with `flambeau.random.use_stream("torch")` they give PyTorch's numbers.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, NameNotFound, ShapeError, did_you_mean, explain
from flambeau.linalg import qr
from flambeau.ops.pointwise import logical_and, logical_or, where
from flambeau.ops.random import randperm
from flambeau.tensor.creation import empty_like, eye
from flambeau.tensor.tensor import Tensor

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity changes the scale of signals, to be made up for by the weights.

    `param` is the negative slope of `leaky_relu` (0.01 by default).

    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ArgumentError(explain("calculate_gain", expected="a number as negative slope", got=repr(slope)))
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        hint = did_you_mean(nonlinearity, [*_GAINS, "leaky_relu"])
        raise _UnknownNonlinearity(explain("calculate_gain", expected="a known nonlinearity", got=repr(nonlinearity), hint=hint))
    return _GAINS[nonlinearity]


class _UnknownNonlinearity(NameNotFound, ValueError):
    pass


# -- constants ----------------------------------------------------------------------------------------------------------------------------
@no_grad()
def constant_(tensor: Any, val: float) -> Tensor:
    """Fill with one value."""
    return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return constant_(tensor, 0.0)


@no_grad()
def eye_(tensor: Any) -> Tensor:
    """Fill a matrix with the identity."""
    _need_dims("eye_", tensor, 2, 2)
    return tensor.copy_(eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


@no_grad()
def dirac_(tensor: Any, groups: int = 1) -> Tensor:
    """Fill the weight (out, in / groups, *kernel) of a convolution so that it passes on as many channels as it can unchanged."""
    _need_dims("dirac_", tensor, 3, 5)
    out, channels, *kernel = tensor.shape
    if out % groups:
        raise ArgumentError(explain("dirac_", expected=f"output channels divisible by groups={groups}", got=str(out)))
    zeros_(tensor)
    per_group = out // groups
    centre = tuple(k // 2 for k in kernel)
    for g in range(groups):
        for d in range(min(per_group, channels)):
            tensor[(g * per_group + d, d, *centre)] = 1
    return tensor


# -- plain draws --------------------------------------------------------------------------------------------------------------------------
@no_grad()
def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with numbers uniform in [a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with normal numbers."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def trunc_normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None) -> Tensor:
    """Fill with normal numbers drawn again until they lie in [a, b] (absolute bounds, not multiples of std).

    Where [a, b] holds little of the normal distribution, candidates are drawn uniformly in it and accepted by their density.
    """
    if tensor.is_meta:
        return tensor
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn("trunc_normal_: mean is more than 2 std away from [a, b]; the distribution may be off.", stacklevel=2)

    def below(x: float) -> float:
        return (1.0 + math.erf((x - mean) / std / math.sqrt(2.0))) / 2.0

    if below(b) - below(a) > 0.3:
        return _redraw_normal(tensor, mean, std, a, b, generator)
    return _reject_uniform(tensor, mean, std, a, b, generator)


def _redraw_normal(tensor: Any, mean: float, std: float, a: float, b: float, generator: Any) -> Tensor:
    low, high = (tensor.new_tensor(bound, device="cpu").item() for bound in (a, b))
    result = tensor.normal_(mean, std, generator=generator)
    while True:
        outside = logical_or(result < low, result > high)
        if not bool(outside.any()):
            break
        result = where(outside, _like(result).normal_(mean, std, generator=generator), result)
    return tensor if result is tensor else tensor.copy_(result)


def _like(tensor: Tensor) -> Any:
    return empty_like(tensor)


def _reject_uniform(tensor: Any, mean: float, std: float, a: float, b: float, generator: Any) -> Tensor:
    mode = max(a, min(mean, b))
    peak = -0.5 * ((mode - mean) / std) ** 2

    def rejected(values: Any) -> Any:
        density = values.sub(mean).div(std).pow(2).mul(-0.5).sub(peak)
        return _like(values).uniform_(generator=generator).log() > density

    result = tensor.uniform_(a, b, generator=generator)
    pending = rejected(result)
    while bool(pending.any()):
        candidates = _like(tensor).uniform_(a, b, generator=generator)
        result = where(pending, candidates, result)
        pending = logical_and(pending, rejected(candidates))
    return tensor if result is tensor else tensor.copy_(result)


# -- draws scaled by the layer's size ----------------------------------------------------------------------------------------------------
def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """Connections into and out of one unit, for a weight (out, in, *kernel)."""
    if tensor.dim() < 2:
        got = f"shape {tuple(tensor.shape)}"
        raise _FanError(explain("fan in and fan out", expected="a weight with 2 axes or more", got=got))
    out, inputs, *kernel = tensor.shape
    field = math.prod(kernel)
    return inputs * field, out * field


class _FanError(ShapeError, ValueError):
    pass


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(explain("kaiming initialisation", expected="mode 'fan_in' or 'fan_out'", got=repr(mode)))
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Glorot & Bengio 2010: uniform with std `gain * sqrt(2 / (fan_in + fan_out))`."""
    std = gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Glorot & Bengio 2010: normal with std `gain * sqrt(2 / (fan_in + fan_out))`."""
    std = gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None) -> Tensor:
    """He et al. 2015: uniform with std `gain / sqrt(fan)`; `a` is the negative slope of `leaky_relu`."""
    if 0 in tensor.shape:
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None) -> Tensor:
    """He et al. 2015: normal with std `gain / sqrt(fan)`."""
    if 0 in tensor.shape:
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))
    return normal_(tensor, 0.0, std, generator)


@no_grad()
def orthogonal_(tensor: Any, gain: float = 1, generator: Any = None) -> Tensor:
    """Saxe et al. 2013: a (semi-)orthogonal matrix times `gain`; axes after the first count as one.

    It is the Q of the QR decomposition of a normal matrix, with the signs that make it uniformly distributed.
    """
    _need_dims("orthogonal_", tensor, 2, None)
    if tensor.numel() == 0 or tensor.is_meta:
        return tensor
    rows = tensor.shape[0]
    flat = tensor.new_empty((rows, tensor.numel() // rows)).normal_(0, 1, generator=generator)
    wide = rows < flat.shape[1]
    q, r = qr(flat.t() if wide else flat)
    q = q * r.diagonal().sign()
    return tensor.copy_((q.t() if wide else q).reshape(tensor.shape)).mul_(gain)


@no_grad()
def sparse_(tensor: Any, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Martens 2010: a matrix of normal numbers with a fraction `sparsity` of every column set to 0."""
    _need_dims("sparse_", tensor, 2, 2)
    if tensor.is_meta:
        return tensor
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    tensor.normal_(0, std, generator=generator)
    for column in range(columns):
        chosen: Any = randperm(rows, device=tensor.device)
        tensor[chosen[:zeros], column] = 0
    return tensor


def _need_dims(op: str, tensor: Tensor, low: int, high: int | None) -> None:
    if tensor.dim() < low or (high is not None and tensor.dim() > high):
        wanted = f"{low}" if high == low else f"{low} or more" if high is None else f"{low} to {high}"
        raise _FanError(explain(op, expected=f"a tensor with {wanted} axes", got=f"shape {tuple(tensor.shape)}"))
