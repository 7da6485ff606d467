"""Linear maps."""

from __future__ import annotations

import math
from typing import Any

from flambeau.nn import init
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter
from flambeau.ops.matmul import matmul
from flambeau.tensor.creation import empty
from flambeau.tensor.tensor import Tensor


class Identity(Module):
    """Gives back its input; any arguments are accepted and ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """The input."""
        return input


class Linear(Module):
    """`y = x @ weight.T + bias`: (..., in_features) to (..., out_features).

    `weight` is (out_features, in_features) and `bias` (out_features), both uniform in ±1/sqrt(in_features) at first.

    >>> import flambeau as fb
    >>> fb.nn.Linear(20, 30)(fb.zeros(128, 20)).shape
    flambeau.Size([128, 30])
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.bias = Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None
        if not bias:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """The linear map of the last axis."""
        product = matmul(input, self.weight.t())
        return product if self.bias is None else product + self.bias

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
