"""Layers that learn the size of their input from the first one that they see.

They start with parameters without a shape. The first call, or a state dict, gives these their shape, and the layer becomes the ordinary
one. An optimizer may be made before: the parameters stay the same objects.
"""

from __future__ import annotations

from typing import Any

from flambeau.base.epoch import moves
from flambeau.base.errors import ShapeError, explain
from flambeau.nn.batchnorm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from flambeau.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from flambeau.nn.linear import Linear
from flambeau.nn.parameter import Buffer, Parameter
from flambeau.primitives.value import storage_of
from flambeau.tensor.creation import empty
from flambeau.tensor.tensor import Tensor

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyConv3d", "LazyConvTranspose1d",
    "LazyConvTranspose2d", "LazyConvTranspose3d", "LazyInstanceNorm1d", "LazyInstanceNorm2d", "LazyInstanceNorm3d", "LazyLinear",
    "UninitializedBuffer", "UninitializedParameter",
]  # fmt: skip


class _Shapeless:
    """A tensor of a module whose shape is not known yet."""

    becomes: Any

    def materialize(self: Any, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give it a shape; the values are still to be set."""
        made = empty(tuple(shape), device=self.device if device is None else device, dtype=dtype or self.dtype)
        moves(self, made._a)
        for name, value in (("_a", made._a), ("_st", storage_of(made))):
            setattr(self, name, value)
        self.__class__ = self.becomes

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Shapeless, Parameter):
    """A parameter whose shape the first input decides."""

    __slots__ = ()
    becomes = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return super().__new__(cls, empty(0, device=device, dtype=dtype), requires_grad)


class UninitializedBuffer(_Shapeless, Buffer):
    """A buffer whose shape the first input decides."""

    __slots__ = ()
    becomes = Buffer

    def __new__(cls, requires_grad: bool = False, device: Any = None, dtype: Any = None) -> Any:
        return super().__new__(cls, empty(0, device=device, dtype=dtype))


class _Lazy:
    """What these layers do besides: wait for the first input, then become the ordinary layer. Mixed into that layer's class."""

    becomes: Any
    size_name = "num_features"  # the attribute that is 0 until then

    def __init__(self: Any, *args: Any, **options: Any) -> None:
        super().__init__(0, *args, **options)  # type: ignore[call-arg]
        for table, make in ((self._parameters, UninitializedParameter), (self._buffers, UninitializedBuffer)):
            for name in [name for name in self._shapes(1) if table.get(name) is not None]:
                table[name] = make(device=table[name].device, dtype=table[name].dtype)
        self._first = self.register_forward_pre_hook(_Lazy._initialize)

    def has_uninitialized_params(self: Any) -> bool:
        """Whether some tensors have no shape yet."""
        return any(isinstance(t, _Shapeless) for t in [*self._parameters.values(), *self._buffers.values()])

    def _input_size(self, input: Tensor) -> int:
        return int(input.shape[1]) if input.ndim > 1 else 0

    def _shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """The shapes of all tensors that wait, for inputs of this size."""
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (size,))

    def _initialize(self: Any, inputs: tuple[Any, ...]) -> None:
        size = self._input_size(inputs[0]) if inputs else 0
        if size <= 0:
            got = f"{tuple(inputs[0].shape)}" if inputs else "no positional input"
            raise ShapeError(explain(type(self).__name__, expected="an input whose size says that of the parameters", got=got))
        setattr(self, self.size_name, size)
        if self.has_uninitialized_params():
            for name, shape in self._shapes(size).items():
                waiting = getattr(self, name, None)
                if isinstance(waiting, _Shapeless):
                    waiting.materialize(shape)
            self.reset_parameters()
        self._first.remove()
        del self.__dict__["_first"]
        self.__class__ = self.becomes

    def reset_parameters(self: Any) -> None:
        """Draw initial values, once there are shapes."""
        if getattr(self, self.size_name) and not self.has_uninitialized_params():
            super().reset_parameters()  # type: ignore[misc]

    def _own_state(self: Any) -> dict[str, Tensor]:
        return {name: value for name, value in super()._own_state().items() if not isinstance(value, _Shapeless)}  # type: ignore[misc]

    def _load_from_state_dict(self: Any, state_dict: Any, prefix: str, *rest: Any) -> None:
        for name, waiting in [*self._parameters.items(), *self._buffers.items()]:
            if isinstance(waiting, _Shapeless) and prefix + name in state_dict:
                waiting.materialize(state_dict[prefix + name].shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)  # type: ignore[misc]


class LazyLinear(_Lazy, Linear):
    """`Linear` whose `in_features` is the size of the first input's last axis.

    >>> import flambeau as fb
    >>> layer = fb.nn.LazyLinear(3)
    >>> layer(fb.ones(2, 5)).shape, layer
    (flambeau.Size([2, 3]), Linear(in_features=5, out_features=3, bias=True))
    """

    becomes, size_name = Linear, "in_features"

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(out_features, bias, device, dtype)

    def _input_size(self, input: Tensor) -> int:
        return int(input.shape[-1]) if input.ndim else 0

    def _shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.out_features, size), "bias": (self.out_features,)}


class _LazyConv(_Lazy):
    """Takes the arguments of its convolution but for `in_channels`."""

    size_name = "in_channels"

    def _input_size(self: Any, input: Tensor) -> int:
        return int(input.shape[-1 - self.axes]) if input.ndim in (self.axes + 1, self.axes + 2) else 0

    def _shapes(self: Any, size: int) -> dict[str, tuple[int, ...]]:
        out, groups = self.out_channels, self.groups
        if size > 1:
            self._check()  # groups divides the channels, now that they are known
        channels = (size, out // groups) if self.transposed else (out, size // groups)
        return {"weight": (*channels, *self.kernel_size), "bias": (out,)}


class LazyConv1d(_LazyConv, Conv1d):
    """`Conv1d` whose `in_channels` is that of the first input. The first argument is `out_channels`."""

    becomes = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """`Conv2d` whose `in_channels` is that of the first input. The first argument is `out_channels`."""

    becomes = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """`Conv3d` whose `in_channels` is that of the first input. The first argument is `out_channels`."""

    becomes = Conv3d


class LazyConvTranspose1d(_LazyConv, ConvTranspose1d):
    """`ConvTranspose1d` whose `in_channels` is that of the first input. The first argument is `out_channels`."""

    becomes = ConvTranspose1d


class LazyConvTranspose2d(_LazyConv, ConvTranspose2d):
    """`ConvTranspose2d` whose `in_channels` is that of the first input. The first argument is `out_channels`."""

    becomes = ConvTranspose2d


class LazyConvTranspose3d(_LazyConv, ConvTranspose3d):
    """`ConvTranspose3d` whose `in_channels` is that of the first input. The first argument is `out_channels`."""

    becomes = ConvTranspose3d


class LazyBatchNorm1d(_Lazy, BatchNorm1d):
    """`BatchNorm1d` whose `num_features` is the size of the first input's second axis. The first argument is `eps`."""

    becomes = BatchNorm1d


class LazyBatchNorm2d(_Lazy, BatchNorm2d):
    """`BatchNorm2d` whose `num_features` is the size of the first input's second axis. The first argument is `eps`."""

    becomes = BatchNorm2d


class LazyBatchNorm3d(_Lazy, BatchNorm3d):
    """`BatchNorm3d` whose `num_features` is the size of the first input's second axis. The first argument is `eps`."""

    becomes = BatchNorm3d


class LazyInstanceNorm1d(_Lazy, InstanceNorm1d):
    """`InstanceNorm1d` whose `num_features` is the size of the first input's second axis. The first argument is `eps`."""

    becomes = InstanceNorm1d


class LazyInstanceNorm2d(_Lazy, InstanceNorm2d):
    """`InstanceNorm2d` whose `num_features` is the size of the first input's second axis. The first argument is `eps`."""

    becomes = InstanceNorm2d


class LazyInstanceNorm3d(_Lazy, InstanceNorm3d):
    """`InstanceNorm3d` whose `num_features` is the size of the first input's second axis. The first argument is `eps`."""

    becomes = InstanceNorm3d
