"""`flambeau.export.save`: functions of tensors as one file that runs without their Python code."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from flambeau.base import tree
from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.export.capture import argument_names
from flambeau.export.program import Exported
from flambeau.export.unify import trace
from flambeau.tensor.tensor import Tensor

Shapes = str | None | Mapping[str, Any] | Sequence[Any]


@dataclass(frozen=True)
class Entry:
    """A function to export, with example arguments. See `save` for `dynamic_shapes`."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    dynamic_shapes: Shapes = "batch"


def save(
    fn: Callable[..., Any] | Mapping[str, Entry],
    path: str | os.PathLike[str] | IO[bytes],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Shapes = "batch",
    format: str | None = None,
) -> None:
    """Write a module or function, with the tensors that it uses, to one file that `load` runs without its Python code.

    The function runs a few times on the example arguments (resized to find out which sizes depend on which), without gradients and without
    changing anything but its arguments.

    Args:
        fn: a module, function or method; or a dict of names and `Entry`, for several functions that share their tensors.
        path: where the file goes, and is written atomically; or an open binary file.
        args, kwargs: example arguments: tensors, numbers and strings, in dicts, lists and tuples. Numbers and strings become fixed.
        dynamic_shapes: which sizes may differ from call to call. A name: the first axis of every tensor, under that name. A dict
            (by parameter) or a sequence (by position) with, for each argument, None, or {axis: name}, or a container of these like the
            argument. None: no sizes.
        format: "flambeau" or "onnx"; by default "onnx" for a path that ends in .onnx.

    Raises:
        CannotExport: with the line, where the function reads values, draws random numbers, changes tensors from outside, or where sizes are
            no sums of products of the named ones.

    >>> import os, tempfile
    >>> import flambeau as fb
    >>> path = os.path.join(tempfile.mkdtemp(), "double.fbx")
    >>> fb.export.save(lambda x: 2 * x, path, (fb.ones(3),))
    >>> fb.export.load(path)(fb.tensor([1.0, 2.0]))
    tensor([2., 4.])
    """
    kind = format or ("onnx" if isinstance(path, (str, os.PathLike)) and os.fspath(path).endswith(".onnx") else "flambeau")
    if kind not in ("flambeau", "onnx"):
        raise ArgumentError(explain("export.save", expected="format 'flambeau' or 'onnx'", got=repr(format)))
    program = export(fn, args, kwargs, dynamic_shapes=dynamic_shapes)
    if kind == "onnx":
        from flambeau.export.onnx import write

        write(program, path)
        return
    from flambeau.export.codec import encode
    from flambeau.serialization import save as save_state

    save_state(encode(program), path)


def export(
    fn: Callable[..., Any] | Mapping[str, Entry],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Shapes = "batch",
) -> Exported:
    """The program that `save` would write."""
    if not isinstance(args, tuple):
        raise ArgumentTypeError(explain("export", expected="a tuple of example arguments", got=f"a {type(args).__name__}", hint="(x,)"))
    entries = fn if isinstance(fn, Mapping) else {"forward": Entry(fn, args, kwargs or {}, dynamic_shapes)}
    if not entries:
        raise ArgumentError(explain("export", expected="at least one entry", got="none"))
    names = _Names([e.fn for e in entries.values()])
    made = {}
    for name, e in entries.items():
        made[name] = trace(name, e.fn, e.args, e.kwargs, axes_of(e), names)
    return Exported(made, names.arrays)


class _Names:
    """Names for the tensors of a program: those of the module that they belong to, else numbers."""

    def __init__(self, fns: list[Any]) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._known: dict[int, str] = {}
        for fn in fns:
            owner: Any = fn if hasattr(fn, "state_dict") else getattr(fn, "__self__", None)
            if hasattr(owner, "state_dict"):
                for name, x in (*owner.named_parameters(), *owner.named_buffers()):
                    self._known.setdefault(id(x._a), name)
        self._given: dict[int, tuple[str, np.ndarray]] = {}

    def __call__(self, array: np.ndarray) -> str:
        if id(array) not in self._given:
            name = self._known.get(id(array), f"constant.{len(self.arrays)}")
            while name in self.arrays:
                name += "_"
            self.arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
            self._given[id(array)] = name, array
        return self._given[id(array)][0]


def axes_of(e: Entry) -> list[dict[int, str]]:
    """For each leaf of the arguments, the axes that have symbols."""
    leaves, _ = tree.flatten((e.args, dict(e.kwargs)))
    shapes = e.dynamic_shapes
    if shapes is None or isinstance(shapes, str):
        return [{0: shapes} if shapes and isinstance(x, Tensor) and x.ndim else {} for x in leaves]
    axes: list[dict[int, str]] = []
    names = argument_names(e.fn, tuple(0 for _ in e.args), dict.fromkeys(e.kwargs, 0))
    known = dict(shapes) if isinstance(shapes, Mapping) else dict(zip(names, shapes))
    unknown = [k for k in known if k not in names] or ([] if isinstance(shapes, Mapping) or len(shapes) <= len(names) else ["too many"])
    if unknown:
        raise ArgumentError(explain("export", expected=f"dynamic_shapes for some of {names}", got=str(unknown)))
    for name, x in zip(names, (*e.args, *e.kwargs.values())):
        _axes(known.get(name), x, name, axes)
    return axes


def _axes(spec: Any, x: Any, name: str, axes: list[dict[int, str]]) -> None:
    """Add the axes of each leaf below x."""
    if isinstance(x, Tensor) and isinstance(spec, Mapping):
        good = all(type(i) is int and -x.ndim <= i < x.ndim and type(s) is str and s.isidentifier() for i, s in spec.items())
        if not good:
            raise ArgumentError(explain("export", expected=f"{{axis: name}} for {name} of shape {tuple(x.shape)}", got=repr(dict(spec))))
        axes.append({i % x.ndim: s for i, s in spec.items()})
    elif isinstance(x, (dict, list, tuple)) and spec is not None:
        children = x.items() if isinstance(x, dict) else enumerate(x)
        for key, child in children:
            one = spec.get(key) if isinstance(spec, Mapping) else spec[key] if key < len(spec) else None
            _axes(one, child, f"{name}[{key!r}]", axes)
    elif spec is None:
        axes.extend({} for _ in tree.leaves(x))
    else:
        raise ArgumentError(explain("export", expected=f"None or {{axis: name}} for {name}", got=repr(spec)))
