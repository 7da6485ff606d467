"""Weights of one layout as weights of another: a table of rows, each of which renames, drops, splits, joins or turns tensors.

A model's file holds such a table for each foreign layout that it reads, and a test that converts a small state and runs it:

    GPT2 = (
        Strip("transformer."),
        Drop(r"\\.attn\\.(masked_)?bias$"),
        Transpose(r"(c_attn|c_proj|c_fc)\\.weight$"),
        Split(r"(.*)\\.c_attn\\.(weight|bias)$", (r"\\1.q.\\2", r"\\1.k.\\2", r"\\1.v.\\2")),
        Rename(r"\\.ln_(\\d)\\.", r".norm\\1."),
    )

Rows work one after the other on all names, so a row sees the names that those before it made. Patterns are regular expressions that may
match anywhere in a name (`^` and `$` anchor them), templates name groups as `\\1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.base.registry import registry
from flambeau.ops.joining import cat
from flambeau.ops.joining import split as split_tensor

State = dict[str, Any]


class Rule(Protocol):
    """One row of a table."""

    def apply(self, state: State) -> State:
        """The state with this row applied."""
        ...


def convert(state: Mapping[str, Any], rules: str | Iterable[Rule]) -> State:
    """A state dict in another layout. `rules` is a table, or the name of one that is registered under the kind `converters`.

    The tensors of the result are views of those given, except where tensors are joined. Raises ArgumentError if two tensors would get
    one name, ShapeError if one cannot be split as a row says.

    >>> import flambeau as fb
    >>> state = {"module.attn.qkv.weight": fb.arange(6).view(6, 1), "module.norm.gamma": fb.ones(1)}
    >>> parts = ("attn.q.weight", "attn.k.weight", "attn.v.weight")
    >>> found = convert(state, [Strip("module."), Split(r"^attn.qkv.weight$", parts), Rename("gamma$", "weight")])
    >>> list(found), found["attn.k.weight"].tolist()
    (['attn.q.weight', 'attn.k.weight', 'attn.v.weight', 'norm.weight'], [[2], [3]])
    """
    table: Iterable[Rule] = registry("converters").get(rules) if isinstance(rules, str) else rules
    found = dict(state)
    for rule in table:
        found = rule.apply(found)
    return found


def _gather(pairs: Iterable[tuple[str, Any]], rule: object) -> State:
    """A dict of pairs whose names must differ."""
    found: State = {}
    for name, value in pairs:
        if name in found:
            raise ArgumentError(explain(f"convert, {rule}", expected="a name for each tensor", got=f"{name!r} twice"))
        found[name] = value
    return found


@dataclass(frozen=True)
class Strip:
    """Takes a prefix away from the names that have it, such as `module.` (data parallel) or `_orig_mod.` (compiled)."""

    prefix: str

    def apply(self, state: State) -> State:
        """The state without the prefix."""
        return _gather(((name.removeprefix(self.prefix), value) for name, value in state.items()), self)


@dataclass(frozen=True)
class Add:
    """Puts a prefix before the names that do not have it; with `unless`, not before names that match it."""

    prefix: str
    unless: str = r"(?!)"

    def apply(self, state: State) -> State:
        """The state with the prefix."""
        kept = re.compile(self.unless)
        names = {name: name if name.startswith(self.prefix) or kept.search(name) else self.prefix + name for name in state}
        return _gather(((names[name], value) for name, value in state.items()), self)


@dataclass(frozen=True)
class Rename:
    """Replaces what a pattern matches in names."""

    pattern: str
    template: str

    def apply(self, state: State) -> State:
        """The state under the new names."""
        pattern = re.compile(self.pattern)
        return _gather(((pattern.sub(self.template, name), value) for name, value in state.items()), self)


@dataclass(frozen=True)
class Drop:
    """Leaves out the tensors whose names match."""

    pattern: str

    def apply(self, state: State) -> State:
        """The state without them."""
        return {name: value for name, value in state.items() if not re.search(self.pattern, name)}


@dataclass(frozen=True)
class Copy:
    """Gives a tensor a second name, as weights that are tied have: files often keep one of the two. Nothing happens where it is there."""

    name: str
    second: str

    def apply(self, state: State) -> State:
        """The state with both names, if it has the first."""
        return state if self.name not in state else {self.second: state[self.name], **state}


@dataclass(frozen=True)
class Transpose:
    """Exchanges two axes of matching tensors: GPT-2's Conv1D keeps `(in, out)` where Linear has `(out, in)`."""

    pattern: str
    dim0: int = 0
    dim1: int = 1

    def apply(self, state: State) -> State:
        """The state with those tensors turned."""
        return {name: value.transpose(self.dim0, self.dim1) if re.search(self.pattern, name) else value for name, value in state.items()}


@dataclass(frozen=True)
class Reshape:
    """Gives matching tensors another shape of as many elements, such as a 1x1 convolution that becomes a Linear: `shape=(-1, 64)`."""

    pattern: str
    shape: tuple[int, ...]

    def apply(self, state: State) -> State:
        """The state with those tensors in the new shape."""
        return {name: value.reshape(self.shape) if re.search(self.pattern, name) else value for name, value in state.items()}


@dataclass(frozen=True)
class Split:
    """Cuts a matching tensor along an axis into one part for each template, such as a fused qkv projection.

    The parts are equal, or `sizes` long. With `heads=h` the axis holds, for each of h heads in turn, its rows of every part (GPT-NeoX,
    BLOOM); without, the parts lie one behind the other.
    """

    pattern: str
    templates: tuple[str, ...]
    dim: int = 0
    sizes: tuple[int, ...] | None = None
    heads: int | None = None

    def apply(self, state: State) -> State:
        """The state with the parts in the place of the whole."""
        pairs: list[tuple[str, Any]] = []
        for name, value in state.items():
            match = re.search(self.pattern, name)
            if match is None:
                pairs.append((name, value))
            else:
                names = [name[: match.start()] + match.expand(template) + name[match.end() :] for template in self.templates]
                pairs.extend(zip(names, self._parts(name, value), strict=True))
        return _gather(pairs, self)

    def _parts(self, name: str, value: Any) -> list[Any]:
        length, count, heads = value.shape[self.dim], len(self.templates), self.heads or 1
        sizes = self.sizes or (length // count // heads,) * count
        if sum(sizes) * heads != length or len(sizes) != count:
            parts = f"{count} parts of {sizes if self.sizes else 'equal size'}" + (f" for each of {heads} heads" if self.heads else "")
            raise ShapeError(explain(f"convert {name}", expected=f"a size of axis {self.dim} that makes {parts}", got=str(length)))
        axis = self.dim % value.ndim
        by_head = value.unflatten(axis, (heads, length // heads))
        return [part.flatten(axis, axis + 1) for part in split_tensor(by_head, list(sizes), axis + 1)]


@dataclass(frozen=True)
class Concat:
    """Joins tensors along an axis, in the order of the patterns, such as separate q, k and v into `in_proj_weight`.

    Patterns must match whole names; those whose groups agree belong together. A set that is not complete is an error.
    """

    patterns: tuple[str, ...]
    template: str
    dim: int = 0

    def apply(self, state: State) -> State:
        """The state with the whole in the place of the first part."""
        compiled = [re.compile(pattern) for pattern in self.patterns]
        groups: dict[tuple[str | None, ...], dict[int, str]] = {}
        owner: dict[str, tuple[str | None, ...]] = {}
        for name in state:
            for position, pattern in enumerate(compiled):
                match = pattern.fullmatch(name)
                if match:
                    owner[name] = match.groups()
                    groups.setdefault(match.groups(), {})[position] = name
                    break
        pairs: list[tuple[str, Any]] = []
        for name, value in state.items():
            if name not in owner:
                pairs.append((name, value))
                continue
            parts = groups.pop(owner[name], None)
            if parts is not None:
                pairs.append(self._join(state, parts, compiled))
        return _gather(pairs, self)

    def _join(self, state: State, parts: dict[int, str], compiled: list[re.Pattern[str]]) -> tuple[str, Any]:
        absent = [pattern for position, pattern in enumerate(self.patterns) if position not in parts]
        if absent:
            got = f"{sorted(parts.values())} without what {absent} should match"
            raise ArgumentError(explain("convert", expected=f"{len(self.patterns)} tensors to join", got=got))
        match = compiled[0].fullmatch(parts[0])
        assert match is not None
        return match.expand(self.template), cat([state[parts[position]] for position in sorted(parts)], self.dim)


# What old versions of PyTorch and of training programs leave in names, whatever the architecture.
WRAPPERS: tuple[Rule, ...] = (Strip("_orig_mod."), Strip("module."), Strip("model."))
GAMMA_BETA: tuple[Rule, ...] = (Rename(r"LayerNorm\.gamma$", "LayerNorm.weight"), Rename(r"LayerNorm\.beta$", "LayerNorm.bias"))
WEIGHT_NORM: tuple[Rule, ...] = (
    Rename(r"\.weight_g$", ".parametrizations.weight.original0"),
    Rename(r"\.weight_v$", ".parametrizations.weight.original1"),
)
