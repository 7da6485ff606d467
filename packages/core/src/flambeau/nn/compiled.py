"""A module whose calls run compiled."""

from __future__ import annotations

from typing import Any

from flambeau.nn.module import Module


class CompiledModule(Module):
    """What `flambeau.compile(module)` gives. Calls run as programs; everything else is the original's, `_orig_mod`.

    As in PyTorch, the names of parameters and in the state dict begin with `_orig_mod.`; `model._orig_mod.state_dict()` has them without.

    >>> import flambeau as fb
    >>> model = fb.compile(fb.nn.Linear(2, 1))
    >>> model.in_features, [name for name, _ in model.named_parameters()]
    (2, ['_orig_mod.weight', '_orig_mod.bias'])
    """

    def __init__(self, module: Any, call: Any) -> None:
        super().__init__()
        self._orig_mod = module
        self.__dict__["_compiled"] = call
        self.__dict__["training"] = module.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The compiled call of the original."""
        return self._compiled(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules", {})
        if name == "_orig_mod" or "_orig_mod" not in modules:
            return super().__getattr__(name)
        return getattr(modules["_orig_mod"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_orig_mod" in self.__dict__.get("_modules", {}) and name != "training":
            setattr(self._orig_mod, name, value)
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)

    def __len__(self) -> int:
        return len(self._orig_mod)

    def __getitem__(self, key: Any) -> Any:
        return self._orig_mod[key]

    def __iter__(self) -> Any:
        return iter(self._orig_mod)

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> Any:
        call = self._compiled
        return _again, (self._orig_mod, call.fullgraph, call.check)


def _again(module: Any, fullgraph: bool, check: bool) -> Any:
    from flambeau.compiler import compile

    return compile(module, fullgraph=fullgraph, check=check)
