"""Module: the base class of layers and models."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau.autograd.modes import no_grad
from flambeau.base.dtypes import dtype as DType
from flambeau.base.errors import ArgumentTypeError, DtypeError, FlambeauError, explain
from flambeau.nn.blame import locate
from flambeau.nn.hooks import Hooked
from flambeau.nn.parameter import Buffer, Parameter
from flambeau.nn.state import Stateful
from flambeau.nn.tree import _MISSING, TABLES, MissingAttribute, Tree, UnknownName
from flambeau.tensor.creation import empty_like
from flambeau.tensor.tensor import Tensor

if TYPE_CHECKING:
    from typing import Self

_HOOKS = (
    "_forward_pre_hooks",
    "_forward_hooks",
    "_backward_pre_hooks",
    "_backward_hooks",
    "_state_dict_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
_object_setattr = object.__setattr__


class Module(Stateful, Hooked):
    """The base class of layers and models: holds parameters, buffers and submodules, and computes in `forward`.

    Assigning a `Parameter`, a `Buffer` or a `Module` to an attribute registers it.

    >>> import flambeau as fb
    >>> class Net(fb.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = fb.nn.Linear(4, 8)
    ...         self.out = fb.nn.Linear(8, 2)
    ...
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).relu())
    >>> Net()(fb.zeros(3, 4)).shape
    flambeau.Size([3, 2])
    """

    def __init__(self) -> None:
        state = self.__dict__
        state["training"] = True
        for name in TABLES + _HOOKS:
            state[name] = {}
        state["_non_persistent_buffers_set"] = set()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(explain(type(self).__name__, expected="a method `forward` in the class", got="none"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks:
                return self._call_hooked(args, kwargs)
            return self.forward(*args, **kwargs)
        except FlambeauError as error:
            locate(error, self)
            raise

    # -- attributes: the one place where a module's Python state changes ------------------------------------------------------------------
    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if isinstance(value, (Tensor, Tree)):
            self._set_registered(state, name, value)
            return
        for table in TABLES:
            if name in state.get(table, ()):
                self._set_other(table, name, value)
                return
        if state.get(name, _MISSING) is not value:
            self._note("", name)
        _object_setattr(self, name, value)

    def _set_registered(self, state: dict[str, Any], name: str, value: Any) -> None:
        """Assign a tensor or a module."""
        if isinstance(value, Parameter):
            self._make_room(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Tree):
            self._make_room(name, "_modules")
            self.add_module(name, value)  # type: ignore[arg-type]
        elif isinstance(value, Buffer):
            self._make_room(name, "_buffers")
            self.register_buffer(name, value, value.persistent)
        elif name in state.get("_buffers", ()):
            self._note("_buffers", name)
            state["_buffers"][name] = value
        elif name in state.get("_parameters", ()):
            self._set_other("_parameters", name, value)
        elif name in state.get("_modules", ()):
            self._set_other("_modules", name, value)
        else:
            self._note("", name)
            _object_setattr(self, name, value)

    def _make_room(self, name: str, table: str) -> None:
        """Drop what the name means now, unless it is in the table that will hold it."""
        state = self.__dict__
        if table not in state:
            hint = "call super().__init__() first"
            got = f"{type(self).__name__} before Module.__init__"
            raise MissingAttribute(explain("attribute assignment", expected="an initialised module", got=got, hint=hint))
        state.pop(name, None)
        for other in TABLES:
            if other != table:
                state[other].pop(name, None)
        state["_non_persistent_buffers_set"].discard(name)

    def _set_other(self, table: str, name: str, value: Any) -> None:
        """Assign something else to a registered name: only None is possible."""
        if value is not None:
            wanted = {"_parameters": "a Parameter", "_modules": "a Module", "_buffers": "a Tensor"}[table]
            hint = f"flambeau.nn.Parameter(value), or del module.{name} first" if table == "_parameters" else f"del module.{name} first"
            raise ArgumentTypeError(
                explain(f"{type(self).__name__}.{name}", expected=f"{wanted} or None", got=type(value).__name__, hint=hint)
            )
        self._note(table, name)
        self.__dict__[table][name] = None

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        if "_modules" in state:
            found = state["_parameters"]
            if name in found:
                return found[name]
            found = state["_modules"]
            if name in found:
                return found[name]
            found = state["_buffers"]
            if name in found:
                return found[name]
        known = [k for table in TABLES for k in state.get(table, ())] + list(state)
        raise UnknownName(type(self).__name__, name, known)

    def __delattr__(self, name: str) -> None:
        for table in TABLES:
            if name in self.__dict__.get(table, ()):
                self._note(table, name)
                del self.__dict__[table][name]
                self._non_persistent_buffers_set.discard(name)
                return
        self._note("", name)
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *(k for table in TABLES for k in self.__dict__.get(table, ()))}
        return sorted(n for n in names if not n[0].isdigit())

    def __setstate__(self, state: dict[str, Any]) -> None:
        Module.__init__(self)
        self.__dict__.update(state)

    # -- modes ----------------------------------------------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> Self:
        """Switch this module and all below it to training (dropout on, batch statistics) or, with False, to evaluation."""
        if not isinstance(mode, bool):
            raise ArgumentTypeError(explain("train", expected="True or False", got=repr(mode)))
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Switch to evaluation: the same as `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let gradients flow to all parameters, or freeze them."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or set them to zero."""
        for param in self.parameters():
            grad = param.grad
            if grad is None:
                continue
            param.grad = None if set_to_none else grad.detach().zero_()

    # -- moves and conversions ------------------------------------------------------------------------------------------------------------
    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Self:
        """Replace every tensor by `fn(tensor)`; parameters stay the same objects."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        with no_grad():
            for param in self._parameters.values():
                if param is None:
                    continue
                grad = param.grad
                param.data = fn(param.data)
                if grad is not None:
                    moved = fn(grad)
                    param.grad = moved.requires_grad_() if grad.requires_grad else moved
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    moved = fn(buffer)
                    if moved is not buffer:
                        self._note("_buffers", name)
                        self._buffers[name] = moved
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device and/or convert to a floating-point dtype: `to("cuda")`, `to(fb.float64)`, `to(tensor)`. In place; returns self.

        Tensors of integers and bools are moved but not converted.
        """
        device, dtype, rest = _parse_to(args, kwargs)
        if dtype is not None and dtype.category < 2:
            raise DtypeError(explain("Module.to", expected="a floating-point or complex dtype", got=repr(dtype)))

        def move(t: Any) -> Any:
            return t.to(device=device, dtype=dtype if t._a.dtype.kind in "fcV" else None, **rest)

        return self._apply(move)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device without copying: the values there are undefined."""
        return self._apply(lambda t: empty_like(t, device=device), recurse)

    def cpu(self) -> Self:
        """Move to the CPU."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device: Any = None) -> Self:
        """Move to an NVIDIA GPU."""
        return self._apply(lambda t: t.cuda(device))

    def type(self, dst_type: Any) -> Self:
        """Convert all tensors, those of integers too."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Convert floating-point tensors to float32."""
        return self._convert("float")

    def double(self) -> Self:
        """Convert floating-point tensors to float64."""
        return self._convert("double")

    def half(self) -> Self:
        """Convert floating-point tensors to float16."""
        return self._convert("half")

    def bfloat16(self) -> Self:
        """Convert floating-point tensors to bfloat16."""
        return self._convert("bfloat16")

    def _convert(self, name: str) -> Self:
        return self._apply(lambda t: getattr(t, name)() if t._a.dtype.kind in "fV" else t)

    def share_memory(self) -> Self:
        """Move all tensors to memory that child processes share."""
        return self._apply(lambda t: t.share_memory_())


def _parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, DType | None, dict[str, Any]]:
    from flambeau.base.dtypes import as_dtype

    rest = dict(kwargs)
    device, dtype = rest.pop("device", None), rest.pop("dtype", None)
    tensor = rest.pop("tensor", None)
    for a in (*args, tensor):
        if isinstance(a, Tensor):
            device, dtype = a.device, a.dtype
        elif isinstance(a, DType):
            dtype = a
        elif isinstance(a, bool):
            rest["non_blocking"] = a
        elif a is not None:
            device = a
    return device, None if dtype is None else as_dtype(dtype, "Module.to"), rest
