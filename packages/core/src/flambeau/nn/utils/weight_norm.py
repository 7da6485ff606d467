"""Weight normalisation under its old names, `weight_g` and `weight_v` (see parametrizations.weight_norm for the new ones)."""

from __future__ import annotations

from typing import Any, TypeVar

from flambeau.base.errors import ArgumentError, explain
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter
from flambeau.ops.reduction import vector_norm
from flambeau.tensor.tensor import Tensor

T = TypeVar("T", bound=Module)


def norm_except_dim(v: Any, dim: int | None) -> Tensor:
    """The norm over all axes but one, which keeps its size; over all axes if dim is None or -1."""
    if dim is None or dim == -1:
        return vector_norm(v)
    d = dim % v.dim()
    others = [i for i in range(v.dim()) if i != d]
    return vector_norm(v, dim=others, keepdim=True) if others else v.abs()


def normalised(v: Any, g: Any, dim: int | None) -> Tensor:
    """`g * v / norm(v)` (Salimans & Kingma 2016)."""
    return v * (g / norm_except_dim(v, dim))


class WeightNorm:
    """The forward pre-hook that recomputes the weight."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, -1 if dim is None else dim

    def compute_weight(self, module: Any) -> Tensor:
        """The weight from its length and direction."""
        return normalised(getattr(module, f"{self.name}_v"), getattr(module, f"{self.name}_g"), self.dim)

    def __call__(self, module: Any, inputs: Any) -> None:
        # Not through __setattr__: the value follows from the parameters, so it is no change of configuration.
        module.__dict__[self.name] = self.compute_weight(module)


def _hook_of(module: Module, name: str) -> int | None:
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook.call, WeightNorm) and hook.call.name == name:
            return key
    return None


def weight_norm(module: T, name: str = "weight", dim: int | None = 0) -> T:
    """Replace a weight by its length `{name}_g` and its direction `{name}_v`; `dim` is the axis that has a length for each index."""
    if _hook_of(module, name) is not None:
        raise ArgumentError(explain("weight_norm", expected="a weight without it", got=f"{name!r}, which has weight_norm already"))
    weight = module._parameters.get(name)
    if weight is None:
        raise ArgumentError(explain("weight_norm", expected=f"a parameter of {type(module).__name__}", got=repr(name)))
    hook = WeightNorm(name, dim)
    del module._parameters[name]
    module.register_parameter(f"{name}_g", Parameter(norm_except_dim(weight, dim).detach()))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: T, name: str = "weight") -> T:
    """Make the weight a plain parameter again."""
    key = _hook_of(module, name)
    if key is None:
        raise ArgumentError(explain("remove_weight_norm", expected="a weight with weight_norm", got=f"{name!r} of {type(module).__name__}"))
    weight = module._forward_pre_hooks.pop(key).call.compute_weight(module)  # type: ignore[attr-defined]
    for part in (name, f"{name}_g", f"{name}_v"):
        delattr(module, part)
    module.register_parameter(name, Parameter(weight.detach()))
    return module
