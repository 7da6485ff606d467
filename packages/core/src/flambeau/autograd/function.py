"""`Function`: operations with a derivative of one's own.

A call inside vmap has one graph node per layer of batching among its inputs: the node of an inner layer wraps the gradient that reaches it
into the batches that the user's `backward` expects, and unwraps what it returns (function_node.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from flambeau.autograd.batched import Frame, batched, innermost, is_batched, tracked, unbatched
from flambeau.autograd.function_node import FunctionNode, Layer, Saved
from flambeau.autograd.modes import mode
from flambeau.autograd.node import Node, Pick
from flambeau.autograd.rebase import check_leaf, rebase
from flambeau.base.errors import ArgumentTypeError, GradientError, explain
from flambeau.primitives.bind import state
from flambeau.primitives.value import Value, storage_of


class FunctionCtx:
    """What `forward` hands to `backward`: saved tensors, and any attributes."""

    def __init__(self, name: str, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._name = name
        self._to_save: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()
        self._plain: tuple[Any, ...] = ()
        self._materialize = True
        self._node: FunctionNode | None = None  # the node whose backward runs

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for `backward`, where they are `ctx.saved_tensors`. Inputs and outputs must be kept this way."""
        for i, x in enumerate(tensors):
            if x is not None and not isinstance(x, Value):
                got = f"argument {i} of type {type(x).__name__}"
                raise ArgumentTypeError(explain("save_for_backward", expected="tensors or None", got=got, hint="ctx.name = value"))
        self._to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """For PyTorch's forward mode, which does not exist here: nothing to do."""

    def mark_dirty(self, *tensors: Any) -> None:
        """Say which inputs `forward` changed in place; it must return them too."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say which outputs have no gradient."""
        self._plain = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default) or None for an output that no gradient reached."""
        self._materialize = bool(value)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors given to `save_for_backward`. An error if they were dropped, or changed in place since."""
        return self._to_save if self._node is None else self._node.unpack()


class VmapInfo(NamedTuple):
    """What the `vmap` of a Function is told about the batch."""

    batch_size: int
    randomness: str


class Function:
    """An operation with a derivative of one's own: a subclass with static methods `forward` and `backward`, called by `apply`.

    `forward(ctx, *args)` computes; or `forward(*args)` does and `setup_context(ctx, inputs, output)` keeps what `backward` needs. It is not
    recorded. `backward(ctx, *grads)` takes one gradient per output and returns one per input (None for what has none). It is differentiable
    itself unless marked `once_differentiable`.

    Inside vmap, `forward` and `backward` run on batches (their operations apply to each example); a static method
    `vmap(info, in_dims, *args)`, which returns `(output, out_dims)`, takes the place of that.

    >>> import flambeau as fb
    >>> class Cube(fb.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return g * 3 * x**2
    >>> x = fb.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    generate_vmap_rule = False

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the output (a tensor, or a tuple)."""
        raise NotImplementedError("a Function needs a static method forward")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what `backward` needs, if `forward` takes no ctx."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Gradients of the inputs, given those of the outputs."""
        raise NotImplementedError("a Function needs a static method backward to be differentiated")

    @staticmethod
    def vmap(info: VmapInfo, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        """The output for a batch of inputs, and the positions of the batch axis in it."""
        raise NotImplementedError

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Call the operation."""
        owner = innermost([a._a for a in args if isinstance(a, Value)])
        by_rule = owner is not None and cls.vmap is not Function.vmap
        if by_rule and cls.generate_vmap_rule:
            got = "generate_vmap_rule = True and a static method vmap"
            raise GradientError(explain(cls.__name__, expected="one of the two ways to define its vmap", got=got))
        ctx = FunctionCtx(cls.__name__, tuple([isinstance(a, Value) and tracked(a) for a in args]))
        if by_rule:
            assert owner is not None
            return _by_rule(cls, ctx, owner, args)
        outputs = _forward(cls, ctx, args)
        single = type(outputs) is not tuple
        made = _outputs(ctx, args, (outputs,) if single else outputs)
        if mode.grad and any(ctx.needs_input_grad):
            made = _record(cls, ctx, args, made)
        return made[0] if single else made


def _forward(cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...]) -> Any:
    """Run the user's code without recording."""
    before = mode.grad
    mode.grad = False
    try:
        if cls.setup_context is Function.setup_context:
            return cls.forward(ctx, *args)
        outputs = cls.forward(*args)
        cls.setup_context(ctx, args, outputs)
        return outputs
    finally:
        mode.grad = before


def _outputs(ctx: FunctionCtx, args: tuple[Any, ...], outputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The outputs as tensors of their own, so that a node can be hung on each: an input that was not changed comes back as an alias."""
    dirty = {id(x) for x in ctx._dirty}
    inputs = {id(a) for a in args if isinstance(a, Value)}
    if not dirty <= inputs:
        raise GradientError(explain(f"{ctx._name}: mark_dirty", expected="inputs of forward", got="another tensor"))
    if not dirty <= {id(o) for o in outputs}:
        expected = "forward to return every input that it marks as changed in place"
        raise GradientError(explain(f"{ctx._name}: mark_dirty", expected=expected, got="one that it does not return"))
    seen: set[int] = set()
    made = []
    for o in outputs:
        if isinstance(o, Value) and id(o) not in dirty and (id(o) in inputs or id(o) in seen or o._node is not None):
            original, o = o, _alias(o)
            ctx._to_save = tuple([o if x is original and id(x) not in inputs else x for x in ctx._to_save])
            ctx._plain = tuple([o if x is original else x for x in ctx._plain])
        seen.add(id(o))
        made.append(o)
    return tuple(made)


def _alias(x: Any) -> Any:
    out = state.wrap(x._a)
    out._st = storage_of(x)
    return out


def _record(cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], outputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Hang a node on the outputs in every layer of batching, from the outermost to the plain tensors."""
    layers: list[Layer] = []
    owner = innermost([a._a for a in args if isinstance(a, Value)])
    if owner is not None:
        outputs = tuple([_spread(o, args) if isinstance(o, Value) else o for o in outputs])
    plain = {id(o) for o in ctx._plain}
    live = tuple([isinstance(o, Value) and o._a.dtype.kind not in "biu" and id(o) not in plain for o in outputs])
    saved = Saved(ctx._to_save, outputs, live)
    ctx._to_save = ()
    inner_args, inner_outputs = args, outputs
    dirty = {id(x) for x in ctx._dirty}
    changed = tuple([id(o) in dirty for o in outputs])
    while True:
        parents = tuple([a._node if isinstance(a, Value) else None for a in inner_args])
        if any(p is not None for p in parents):
            node = FunctionNode(cls, ctx, parents, (args, inner_args, outputs, inner_outputs), saved, tuple(layers))
            for i, o in enumerate(inner_outputs):
                if live[i]:
                    _hang(node, o, i, changed[i], cls.__name__)
        owner = innermost([a._a for a in inner_args if isinstance(a, Value)])
        if owner is None:
            return outputs
        layers.append(Layer(owner, tuple([_axis(a, owner) for a in inner_args]), tuple([_axis(o, owner) for o in inner_outputs])))
        inner_args = tuple([_inner(a, owner) for a in inner_args])
        inner_outputs = tuple([_inner(o, owner) for o in inner_outputs])


def _hang(node: FunctionNode, x: Any, i: int, changed: bool, name: str) -> None:
    hook: Node = node if len(node.outputs) == 1 else Pick(node, i)
    if not changed:
        x._node = hook
        return
    check_leaf(x, name)
    value = state.wrap(x._a)
    value._node = hook
    rebase(x, value)


def _axis(x: Any, owner: Frame) -> int | None:
    return x._a.axis if is_batched(x) and x._a.frame is owner else None


def _inner(x: Any, owner: Frame) -> Any:
    return x._a.value if _axis(x, owner) is not None else x


def _spread(x: Any, args: tuple[Any, ...]) -> Any:
    """An output batched in every layer in which an input is."""
    owner = innermost([a._a for a in args if isinstance(a, Value)])
    if owner is None:
        return x
    axis = _axis(x, owner)
    inner_args = tuple([_inner(a, owner) for a in args])
    if axis is None:
        return batched(_spread(unbatched(x, owner, 0), inner_args), 0, owner)
    inner = _spread(x._a.value, inner_args)
    return x if inner is x._a.value else batched(inner, axis, owner)


def _by_rule(cls: type[Function], ctx: FunctionCtx, owner: Frame, args: tuple[Any, ...]) -> Any:
    """Let the user's `vmap` compute the innermost batch; it records what it does itself."""
    in_dims = tuple([_axis(a, owner) for a in args])
    result = cls.vmap(VmapInfo(owner.size, owner.randomness), in_dims, *[_inner(a, owner) for a in args])
    if not (isinstance(result, tuple) and len(result) == 2):
        raise ArgumentTypeError(explain(f"{cls.__name__}.vmap", expected="(output, out_dims)", got=type(result).__name__))
    output, out_dims = result
    single = type(output) is not tuple
    inner = (output,) if single else output
    dims = out_dims if isinstance(out_dims, (tuple, list)) else (out_dims,) * len(inner)
    if len(dims) != len(inner):
        raise GradientError(explain(f"{cls.__name__}.vmap", expected=f"{len(inner)} out_dims", got=str(len(dims))))
    pairs = zip(inner, dims, strict=True)
    made = tuple([batched(o, d % o._a.ndim, owner) if isinstance(o, Value) and d is not None else o for o, d in pairs])
    parents = tuple([a._node if isinstance(a, Value) else None for a in args])
    if mode.grad and any(p is not None for p in parents):
        if cls.setup_context is Function.setup_context:
            expected = "a Function whose forward takes no ctx, with setup_context, to differentiate inside vmap"
            raise GradientError(explain(cls.__name__, expected=expected, got="forward(ctx, ...) together with a vmap of its own"))
        _set_up(cls, ctx, args, made[0] if single else made)
        made = _outputs(ctx, args, made)
        plain = {id(o) for o in ctx._plain}
        live = tuple([isinstance(o, Value) and o._a.dtype.kind not in "biu" and id(o) not in plain for o in made])
        node = FunctionNode(cls, ctx, parents, (args, args, made, made), Saved(ctx._to_save, made, live), ())
        ctx._to_save = ()
        for i, o in enumerate(made):
            if live[i]:
                _hang(node, o, i, False, cls.__name__)
    return made[0] if single else made


def _set_up(cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], output: Any) -> None:
    before = mode.grad
    mode.grad = False
    try:
        cls.setup_context(ctx, args, output)
    finally:
        mode.grad = before


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """For a `backward` that is not differentiable: its results cannot be differentiated again, and trying says so."""

    @functools.wraps(fn)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        again = mode.grad
        mode.grad = False
        try:
            outputs = fn(ctx, *grads)
        finally:
            mode.grad = again
        if not again:
            return outputs
        parents = tuple([g._node for g in grads if isinstance(g, Value)])
        single = not isinstance(outputs, tuple)
        node = Once((*parents, *ctx._node.parents), ctx._name)
        made = tuple([_once(o, node) for o in ((outputs,) if single else outputs)])
        return made[0] if single else made

    return wrapper


class Once(Node):
    """The node of what a `once_differentiable` backward returned."""

    __slots__ = ("_of",)

    def __init__(self, parents: tuple[Node | None, ...], of: str) -> None:
        super().__init__(parents)
        self._of = of

    def apply(self, g: Any, needed: Any) -> Any:
        expected, got = "a function that is differentiable twice", f"{self._of}, whose backward is marked once_differentiable"
        raise GradientError(explain("backward", expected=expected, got=got))

    def name(self) -> str:
        return f"{self._of}BackwardBackward"


def _once(x: Any, node: Once) -> Any:
    if not isinstance(x, Value):
        return x
    out = _alias(x)
    out._node = node
    return out
