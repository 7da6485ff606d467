"""Spectral normalisation under its old names, `weight_orig`, `weight_u`, `weight_v` (see parametrizations.spectral_norm)."""

from __future__ import annotations

from typing import Any, TypeVar

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau.nn.conv import _ConvTranspose
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter
from flambeau.nn.utils.power import as_matrix, iterate
from flambeau.tensor.tensor import Tensor

T = TypeVar("T", bound=Module)


def default_dim(module: Module) -> int:
    """The axis of the outputs: 1 for transposed convolutions, else 0."""
    return 1 if isinstance(module, _ConvTranspose) else 0


class SpectralNorm:
    """The forward pre-hook that recomputes the weight, after a power iteration in training."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps

    def compute_weight(self, module: Any, do_power_iteration: bool) -> Tensor:
        """The weight divided by (an estimate of) its largest singular value."""
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix: Any = as_matrix(weight, self.dim)
        if do_power_iteration:
            with no_grad():
                right, left = iterate(matrix.t(), v, u, self.n_power_iterations, self.eps)
                u.copy_(left)
                v.copy_(right)
                u, v = u.clone(), v.clone()  # the buffers may change before the backward pass
        return weight / u.dot(matrix.mv(v))

    def __call__(self, module: Any, inputs: Any) -> None:
        module.__dict__[self.name] = self.compute_weight(module, module.training)


def _hook_of(module: Module, name: str) -> int | None:
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook.call, SpectralNorm) and hook.call.name == name:
            return key
    return None


def spectral_norm(module: T, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None) -> T:
    """Keep the largest singular value of a weight at 1, estimated by one power iteration per forward pass in training."""
    weight: Any = module._parameters.get(name)
    if weight is None or n_power_iterations < 1:
        expected = f"a parameter of {type(module).__name__} without spectral_norm, and at least one iteration"
        raise ArgumentError(explain("spectral_norm", expected=expected, got=f"{name!r} and {n_power_iterations}"))
    hook = SpectralNorm(name, n_power_iterations, default_dim(module) if dim is None else dim, eps)
    rows, columns = as_matrix(weight, hook.dim).shape
    with no_grad():
        u = F.normalize(weight.new_empty(rows).normal_(0, 1), dim=0, eps=eps)
        v = F.normalize(weight.new_empty(columns).normal_(0, 1), dim=0, eps=eps)
    del module._parameters[name]
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.data)
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: T, name: str = "weight") -> T:
    """Make the weight a plain parameter again, with its normalised value."""
    key = _hook_of(module, name)
    if key is None:
        got = f"{name!r} of {type(module).__name__}"
        raise ArgumentError(explain("remove_spectral_norm", expected="a weight with spectral_norm", got=got))
    hook: Any = module._forward_pre_hooks.pop(key).call
    with no_grad():
        weight = hook.compute_weight(module, False)
    for part in (name, f"{name}_u", f"{name}_v", f"{name}_orig"):
        delattr(module, part)
    module.register_parameter(name, Parameter(weight.detach()))
    return module
