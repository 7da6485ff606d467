"""Folding batch normalisation into the layer before it, for evaluation."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from flambeau.base.errors import ArgumentError, explain
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter
from flambeau.ops.pointwise import rsqrt
from flambeau.tensor.creation import ones_like, zeros_like
from flambeau.tensor.tensor import Tensor

T = TypeVar("T", bound=Module)
Pair = tuple[Parameter, Parameter]


def fuse_conv_bn_weights(
    conv_w: Any, conv_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any, transpose: bool = False
) -> Pair:
    """Weight and bias of the convolution that does the work of a convolution and a batch norm with these tensors."""
    scale: Any = rsqrt(bn_rv + bn_eps) * (ones_like(bn_rm) if bn_w is None else bn_w)
    shape = [1] * conv_w.dim()
    shape[1 if transpose else 0] = -1
    bias = ((zeros_like(bn_rm) if conv_b is None else conv_b) - bn_rm) * scale + (0 if bn_b is None else bn_b)
    weight: Any = conv_w * scale.reshape(shape)
    return _parameter(weight.to(conv_w.dtype), conv_w), _parameter(bias.to(conv_w.dtype), conv_w if conv_b is None else conv_b)


def fuse_linear_bn_weights(linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any) -> Pair:
    """Weight and bias of the linear layer that does the work of a linear layer and a batch norm with these tensors."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def _parameter(value: Tensor, like: Tensor) -> Parameter:
    return Parameter(value.detach(), requires_grad=like.requires_grad)


def _fused(op: str, layer: T, bn: Any, **settings: Any) -> T:
    if layer.training or bn.training or bn.running_mean is None:
        hint = ".eval() on both, and track_running_stats=True"
        raise ArgumentError(explain(op, expected="modules in evaluation with running statistics", got="others", hint=hint))
    made: Any = copy.deepcopy(layer)
    parts = (bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    made.weight, bias = fuse_conv_bn_weights(made.weight, made.bias, *parts, **settings)
    made.register_parameter("bias", bias)
    return made


def fuse_conv_bn_eval(conv: T, bn: Module, transpose: bool = False) -> T:
    """A copy of the convolution with the batch norm folded in; both must be in evaluation."""
    return _fused("fuse_conv_bn_eval", conv, bn, transpose=transpose)


def fuse_linear_bn_eval(linear: T, bn: Module) -> T:
    """A copy of the linear layer with the batch norm folded in; both must be in evaluation."""
    if linear.out_features != bn.num_features and bn.num_features != 1:
        got = f"{linear.out_features} and {bn.num_features}"
        raise ArgumentError(explain("fuse_linear_bn_eval", expected="as many outputs as normalised features", got=got))
    return _fused("fuse_linear_bn_eval", linear, bn)
