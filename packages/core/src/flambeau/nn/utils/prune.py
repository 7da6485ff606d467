"""Pruning: parameters multiplied by masks of 0 and 1, under PyTorch's names.

A pruned parameter `weight` is kept as the parameter `weight_orig` and the buffer `weight_mask`; before each call `weight` is made anew as
their product. `remove` makes it a plain parameter again. Pruning what is pruned already looks only at what is left.

>>> import flambeau as fb
>>> layer = fb.nn.Linear(4, 2)
>>> mask = l1_unstructured(layer, "weight", amount=0.5).weight_mask
>>> int(mask.sum()), [name for name, _ in layer.named_parameters()]
(4, ['bias', 'weight_orig'])
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.base.shapes import axis_of
from flambeau.ops import joining, random, reduction, sorting
from flambeau.tensor.creation import ones, ones_like
from flambeau.tensor.tensor import Tensor


def _count(amount: int | float, size: int) -> int:
    """How many of `size` an amount means: a whole number, or a share in 0..1."""
    share = isinstance(amount, float)
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 <= amount <= (1.0 if share else size):
        raise ArgumentError(explain("prune", expected=f"an amount in 0.0..1.0, or an int up to {size}", got=repr(amount)))
    return round(amount * size) if share else int(amount)


class BasePruningMethod:
    """A way to choose what is pruned. A subclass defines `compute_mask` and `PRUNING_TYPE`: "unstructured" sees the elements that are left,
    "structured" (with an axis `dim`) the slices that are, "global" everything."""

    PRUNING_TYPE = "global"
    dim: int
    _tensor_name = ""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for values `t` of which `default_mask` says what is left."""
        raise NotImplementedError(explain("compute_mask", expected=f"{type(self).__name__} to define it"))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def apply_mask(self, module: Any) -> Tensor:
        """The pruned parameter."""
        original = getattr(module, f"{self._tensor_name}_orig")
        pruned: Tensor = getattr(module, f"{self._tensor_name}_mask").to(original.dtype) * original
        return pruned

    @classmethod
    def apply(cls, module: Any, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any) -> Any:
        """Prune a parameter of a module by this method, made from the other arguments."""
        return cls(*args, **kwargs)._prune(module, name, importance_scores)

    def _prune(self, module: Any, name: str, importance_scores: Tensor | None) -> Any:
        earlier = _hook_of(module, name)
        target = getattr(module, name)
        if importance_scores is not None and importance_scores.shape != target.shape:
            got = f"{tuple(importance_scores.shape)}"
            raise ArgumentError(explain("prune", expected=f"importance_scores of shape {tuple(target.shape)}", got=got))
        method: Any = self
        default = getattr(module, f"{name}_mask") if earlier else ones_like(target)
        if earlier is not None:
            number, old = earlier
            del module._forward_pre_hooks[number]
            method = PruningContainer(*(old if isinstance(old, PruningContainer) else (old,)), self)
            mask_of = method.compute_mask
        else:
            module.register_parameter(f"{name}_orig", module._parameters.pop(name))
            mask_of = self.compute_mask
        method._tensor_name = self._tensor_name = name
        with no_grad():
            mask = mask_of(target.detach() if importance_scores is None else importance_scores, default)
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """A pruned copy of a tensor that belongs to no module."""
        mask = self.compute_mask(
            t if importance_scores is None else importance_scores, ones_like(t) if default_mask is None else default_mask
        )
        return t * mask.to(t.dtype)

    def remove(self, module: Any) -> None:
        """Make the pruned values those of a plain parameter again."""
        name = self._tensor_name
        pruned = self.apply_mask(module).detach()
        delattr(module, name)
        original = module._parameters.pop(f"{name}_orig")
        del module._buffers[f"{name}_mask"]
        original.data = pruned
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Several methods, one after the other, on one parameter."""

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods = tuple(args)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __getitem__(self, index: int) -> BasePruningMethod:
        return self._pruning_methods[index]

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Add a method, which must be one for the same parameter."""
        if not isinstance(method, BasePruningMethod) or method._tensor_name not in ("", self._tensor_name):
            raise ArgumentTypeError(explain("add_pruning_method", expected=f"a method for {self._tensor_name!r}", got=repr(method)))
        self._pruning_methods += (method,)

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of the last method, among what the earlier ones left."""
        method, mask = self._pruning_methods[-1], default_mask.clone()
        place: Any = ...
        if method.PRUNING_TYPE == "unstructured":
            place = mask == 1
        elif method.PRUNING_TYPE == "structured":
            axis = axis_of("prune", method.dim, t.ndim)
            left = mask.sum([d for d in range(t.ndim) if d != axis]) if t.ndim > 1 else mask
            place = (slice(None),) * axis + (left != 0,)
        mask[place] = method.compute_mask(t[place], mask[place])
        return mask


class Identity(BasePruningMethod):
    """Prunes nothing, but makes mask and original."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask as it is."""
        return default_mask


class _Amount(BasePruningMethod):
    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: int | float) -> None:
        _count(amount, 1 << 62)
        self.amount = amount

    def _without(self, default_mask: Tensor, scores: Tensor, largest: bool) -> Tensor:
        """The mask without the elements of the largest or smallest scores."""
        mask, count = default_mask.clone(), _count(self.amount, scores.numel())
        if count:
            flat = mask.reshape(-1)
            flat[sorting.topk(scores.reshape(-1), count, largest=largest)[1]] = 0
            mask = flat.reshape(mask.shape)
        return mask


class RandomUnstructured(_Amount):
    """Prunes elements by chance."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Without `amount` random elements."""
        return self._without(default_mask, random.rand_like(t), True)


class L1Unstructured(_Amount):
    """Prunes the elements that are nearest to 0."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Without the `amount` elements of the smallest magnitude."""
        return self._without(default_mask, t.abs(), False)


class RandomStructured(_Amount):
    """Prunes slices along an axis by chance."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: int | float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Without `amount` random slices."""
        chance = random.rand(t.shape[axis_of("prune", self.dim, t.ndim)])
        return _slices(t, self.dim, self._without(ones(chance.shape), chance, False)) * default_mask


class LnStructured(_Amount):
    """Prunes the slices along an axis whose norm is smallest."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: int | float, n: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.n, self.dim = n, dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Without the `amount` slices of the smallest norm of order `n`."""
        axis = axis_of("prune", self.dim, t.ndim)
        others = [d for d in range(t.ndim) if d != axis]
        norms = reduction.norm(t, p=self.n, dim=others) if others else t.abs()
        return _slices(t, axis, self._without(ones_like(norms), norms, False)) * default_mask


class CustomFromMask(BasePruningMethod):
    """Prunes by a mask that is given."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The given mask, where the default one leaves something."""
        return default_mask * self.mask.to(default_mask.dtype)


def _slices(t: Tensor, dim: int, kept: Tensor) -> Tensor:
    """A mask of `t`'s shape from one of the slices along an axis."""
    shape = [1] * t.ndim
    shape[axis_of("prune", dim, t.ndim)] = -1
    return kept.to(t.dtype).reshape(shape).expand(t.shape)


def _hook_of(module: Any, name: str) -> tuple[int, Any] | None:
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook.call, BasePruningMethod) and hook.call._tensor_name == name:
            return number, hook.call
    if name not in module._parameters:
        raise ArgumentError(explain("prune", expected=f"a parameter {name!r} of {type(module).__name__}", got="none of that name"))
    return None


def identity(module: Any, name: str) -> Any:
    """Make mask and original without pruning anything."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: int | float) -> Any:
    """Prune elements by chance: a share in 0.0..1.0, or a number of them."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Any, name: str, amount: int | float, importance_scores: Tensor | None = None) -> Any:
    """Prune the elements nearest to 0 (or of the smallest scores): a share in 0.0..1.0, or a number of them."""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: int | float, dim: int) -> Any:
    """Prune slices along `dim` by chance."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: Any, name: str, amount: int | float, n: Any, dim: int, importance_scores: Tensor | None = None) -> Any:
    """Prune the slices along `dim` of the smallest norm of order `n`."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Any, name: str, mask: Tensor) -> Any:
    """Prune by a mask of 0 and 1."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters: Iterable[tuple[Any, str]], pruning_method: Any, importance_scores: Any = None, **kwargs: Any) -> None:
    """Prune several parameters, `(module, name)` pairs, as if they were one."""
    pairs = list(parameters)
    given = importance_scores or {}
    scores = [given.get(pair, getattr(*pair)).detach().reshape(-1) for pair in pairs]
    masks = [getattr(module, f"{name}_mask", ones_like(getattr(module, name))).reshape(-1) for module, name in pairs]
    method = PruningContainer(pruning_method(**kwargs))
    if method[0].PRUNING_TYPE != "unstructured":
        raise ArgumentTypeError(explain("global_unstructured", expected="an unstructured method", got=method[0].PRUNING_TYPE))
    final, start = method.compute_mask(joining.cat(scores), joining.cat(masks)), 0
    for module, name in pairs:
        shape = getattr(module, name).shape
        custom_from_mask(module, name, final[start : start + shape.numel()].reshape(shape))
        start += shape.numel()


def remove(module: Any, name: str) -> Any:
    """Make a pruned parameter a plain one, with the zeros in it."""
    found = _hook_of(module, name) if hasattr(module, f"{name}_orig") else None
    if found is None:
        raise ArgumentError(explain("prune.remove", expected=f"a pruned parameter {name!r}", got="one that is not pruned"))
    number, hook = found
    del module._forward_pre_hooks[number]
    hook.remove(module)
    return module


def is_pruned(module: Any) -> bool:
    """Whether a parameter of the module, or of one inside it, is pruned."""
    return any(isinstance(hook.call, BasePruningMethod) for inner in module.modules() for hook in inner._forward_pre_hooks.values())
