"""Random numbers in machine code: Philox words, and the map from words to numbers that primitives/streams/philox.py lays down.

Each draw of a program has its own part of the stream: it starts a fixed number of blocks behind where the generator stands when a run
begins. A run reserves the blocks of all its draws at once, so that the numbers are those of eager code. uniform, bernoulli and integers
are the same bits; normal and exponential differ from NumPy's by what log, sin and cos do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.codegen import expr
from flambeau.codegen.llvm import Target
from flambeau.codegen.loops import Kernel
from flambeau.codegen.nest import LARGE, Nest
from flambeau.codegen.nodes import Access, Buffer, Node
from flambeau.codegen.value import F32, F64, V
from flambeau.codegen.vecmath import function
from flambeau.graph.control.rows import draws_inside
from flambeau.graph.ir import Graph, Op
from flambeau.primitives.kernels.philox import MULTIPLIERS, ROUNDS, WEYL
from flambeau.primitives.streams.philox import largest

if TYPE_CHECKING:
    from flambeau.codegen.lower import Lowering

_U32, _U64 = np.dtype("u4"), np.dtype("u8")
_WORDS = 16  # made in one round of the loop: four blocks
_MASK = (1 << 64) - 1


@dataclass(eq=False)
class Stream:
    """A generator as a program sees it: `state` holds its seed and the first block of a run; each draw starts `starts[k]` blocks on."""

    generator: Any
    state: Buffer
    starts: list[int]
    offsets: Buffer
    blocks: int = 0

    def reserve(self, state: np.ndarray) -> None:
        """Take the blocks of a run from the generator."""
        state[0], state[1] = self.generator.reserve(self.blocks)

    def draw(self, words: int) -> int:
        """The number of a new draw."""
        self.starts.append(self.blocks)
        self.blocks += -(-words // 4)
        return len(self.starts) - 1

    def close(self) -> None:
        """No more draws."""
        self.offsets.shape = (len(self.starts),)
        self.offsets.constant = np.array(self.starts, _U64)


def streams_of(graph: Graph) -> dict[int, Stream]:
    """The generators (by id) all of whose draws in a graph have code."""
    draws = [op for op in graph.ops if op.prim.name == "random"]
    without = {id(op.params["generator"]) for op in draws if _form(op) is None}
    without |= {id(draw.params["generator"]) for op in graph.ops for draw in draws_inside(op)}  # a loop draws when its turn comes
    found: dict[int, Stream] = {}
    for op in draws:
        g = op.params["generator"]
        if id(g) not in without and id(g) not in found:
            found[id(g)] = Stream(g, Buffer((2,), _U64), [], Buffer((0,), _U64))
    return found


# -- what each draw makes of words --------------------------------------------------------------------------------------------------------
Numbers = Callable[[V], V]  # <16 x i64> -> as many numbers as they give


@dataclass(frozen=True)
class Form:
    """How many numbers come from a word, how they do, and words for a name."""

    each: float
    numbers: Numbers


def _halves(words: V) -> V:
    text = words.code.let(f"bitcast <{_WORDS} x i64> {words.text} to <{2 * _WORDS} x i32>")
    return V(words.code, text, _U32, 2 * _WORDS)


def _float(x: V, d: np.dtype) -> V:
    """Small unsigned integers as floats of the same size; conversions of signed ones are quicker."""
    return V(x.code, x.text, np.dtype(f"i{d.itemsize}"), x.lanes).to(d)


def _shuffled(x: V, y: V, which: list[int]) -> V:
    numbers = ", ".join(f"i32 {i}" for i in which)
    text = x.code.let(f"shufflevector {x.type} {x.text}, {y.type} {y.text}, <{len(which)} x i32> <{numbers}>")
    return V(x.code, text, x.dtype, len(which))


def _unit(words: V, d: np.dtype) -> V:
    """In [0, 1)."""
    return _float(words >> 11, F64) * 2.0**-53 if d == F64 else _float(_halves(words) >> 8, F32) * 2.0**-24


def _uniform(d: np.dtype, low: float = 0.0, high: float = 1.0) -> Form:
    def numbers(words: V) -> V:
        unit = _unit(words, d)
        if low == 0.0 and high == 1.0:
            return unit
        first, last = d.type(low), d.type(high)
        value = unit * float(last - first) + float(first)
        return value.equals(float(last)).choose(float(first), value)

    return Form(1 if d == F64 else 2, numbers)


def _bernoulli(p: float, d: np.dtype) -> Form:
    limit = math.ceil(float(np.float32(p)) * 2.0**24) << 8

    def numbers(words: V) -> V:
        halves = _halves(words)
        hits = halves < limit if limit < 1 << 32 else halves.equals(halves)
        return hits.to(d)

    return Form(2, numbers)


def _exponential(d: np.dtype, rate: float = 1.0) -> Form:
    def numbers(words: V) -> V:
        if d == F64:
            unit = (_float(words >> 12, F64) + 0.5) * 2.0**-52
        else:
            unit = (_float(_halves(words) >> 9, F32) + 0.5) * 2.0**-23
        return -function("log", unit) / rate

    return Form(1 if d == F64 else 2, numbers)


def _integers(low: int, high: int, d: np.dtype) -> Form:
    kind = np.dtype("i8") if low < 0 or high <= 1 << 63 else _U64

    def numbers(words: V) -> V:
        rest = words % (high - low) if high - low <= _MASK else words
        moved = rest + (low & _MASK)
        return V(moved.code, moved.text, kind, moved.lanes).to(d)

    return Form(1, numbers)


def _normal(d: np.dtype, mean: float = 0.0, std: float = 1.0) -> Form:
    def numbers(words: V) -> V:
        units, drop, unit = (words, 11, 2.0**-53) if d == F64 else (_halves(words), 8, 2.0**-24)
        first, second = (_float(_shuffled(units, units, list(range(k, units.lanes, 2))) >> drop, d) for k in (0, 1))
        radius = (function("log", (first + 1) * unit) * -2).call("sqrt")
        angle = (second * unit) * float(d.type(2 * math.pi))
        pairs = [k * first.lanes + i for i in range(first.lanes) for k in (0, 1)]
        value = _shuffled(radius * function("cos", angle), radius * function("sin", angle), pairs)
        return value if mean == 0.0 and std == 1.0 else value * std + mean

    return Form(1 if d == F64 else 2, numbers)


def _form(op: Op) -> Form | None:
    """How a draw is written; None: it has no code."""
    params, d = op.params, op.outputs[0].dtype
    args, shape = params["args"], op.outputs[0].shape
    if params["generator"].stream.name != "philox" or d not in expr.DTYPES or 0 in shape:
        return None
    draw = params["draw"]
    if draw == "bernoulli":
        return _bernoulli(float(args[0]), d) if isinstance(args[0], (int, float)) and 0 <= args[0] <= 1 else None
    if draw == "randint":
        return _integers(args[0], args[1], d) if args[0] < args[1] else None
    if draw == "integers":
        return _integers(0, largest(d) + 1, d)
    makers: dict[str, Callable[..., Form]] = {"uniform": _uniform, "normal": _normal, "exponential": _exponential}
    if draw not in makers or d.kind != "f":
        return None
    return makers[draw](d, *map(float, args[2:]))


def random(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """The row."""
    stream, v, form = low.streams.get(id(params["generator"])), op.outputs[0], _form(op)
    if stream is None or form is None:
        return None
    number = stream.draw(-(-prod(v.shape) // int(form.each)))
    reads = tuple(Access(b, low.whole(b).layout) for b in (stream.state, stream.offsets))
    node = Node("native", "philox", reads, v.shape, params={"form": form, "number": number, "write": _write_random})
    return low.node(node, v.shape, v.dtype)


# -- the kernel ---------------------------------------------------------------------------------------------------------------------------
def _block(nest: Nest, seed: str, low: str, carry: str) -> list[str]:
    """The four words of the block whose counter is (low, carry)."""
    code = nest.code
    words = [low, carry, "0", "0"]
    key = [seed, "0"]
    for i in range(ROUNDS):
        if i:
            key = [code.let(f"add i64 {key[0]}, {_signed(WEYL[0])}"), str(_signed(i * WEYL[1] & _MASK))]
        (h0, l0), (h1, l1) = (_product(nest, words[j], m) for j, m in ((0, MULTIPLIERS[0]), (2, MULTIPLIERS[1])))
        first = code.let(f"xor i64 {code.let(f'xor i64 {h1}, {words[1]}')}, {key[0]}")
        third = code.let(f"xor i64 {code.let(f'xor i64 {h0}, {words[3]}')}, {key[1]}")
        words = [first, l1, third, l0]
    return words


def _product(nest: Nest, x: str, m: int) -> tuple[str, str]:
    """The upper and lower half of a product of 64-bit words."""
    code = nest.code
    wide = code.let(f"mul i128 {code.let(f'zext i64 {x} to i128')}, {m}")
    high = code.let(f"trunc i128 {code.let(f'lshr i128 {wide}, 64')} to i64")
    return high, code.let(f"trunc i128 {wide} to i64")


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def _words(nest: Nest, seed: str, first: str, round_: str) -> V:
    """The words of a round of the loop."""
    code, text, kind = nest.code, "poison", f"<{_WORDS} x i64>"
    for b in range(_WORDS // 4):
        at = code.let(f"add i64 {code.let(f'mul i64 {round_}, {_WORDS // 4}')}, {b}")
        low = code.let(f"add i64 {first}, {at}")
        carry = code.let(f"zext i1 {code.let(f'icmp ult i64 {low}, {at}')} to i64")
        for k, word in enumerate(_block(nest, seed, low, carry)):
            text = code.let(f"insertelement {kind} {text}, i64 {word}, i32 {4 * b + k}")
    return V(code, text, _U64, _WORDS)


def _write_random(node: Node, target: Target) -> list[list[Kernel]]:
    """Rounds of 16 words, then what is left of one."""
    form: Form = node.params["form"]
    out = node.outputs[0]
    state, offsets = (a.buffer for a in node.accesses())
    nest = Nest(target)
    code = nest.code
    each = int(_WORDS * form.each)
    rounds, rest = divmod(out.size, each)
    shared = out.size >= LARGE
    seed = nest.load(state, "0").text
    first = (nest.load(state, "1") + nest.load(offsets, "0")).text
    if rounds:
        loop = code.span("%end", start="%begin") if shared else code.loop(rounds)
        with loop as at:
            nest.store(out, code.arithmetic("mul", at, str(each)), form.numbers(_words(nest, seed, first, at)))
    if rest:
        last = code.let(f"zext i1 {code.let(f'icmp eq i64 %end, {rounds}')} to i64") if shared else "1"
        with code.span(last):
            nest.store(out, str(rounds * each), form.numbers(_words(nest, seed, first, str(rounds))).part(0, rest))
    kernels = nest.finish([out], shared=rounds if shared else 0)
    at_number = {offsets: 8 * node.params["number"]}
    for kernel in kernels:
        kernel.offsets = [at_number.get(b, 0) for b in kernel.buffers]
    return [kernels]
