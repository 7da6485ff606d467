"""The 16 bits of float16 and bfloat16 numbers, which are float32 in registers."""

from __future__ import annotations

import math

import numpy as np

from flambeau.codegen.text import vector
from flambeau.codegen.value import F32, V

_WORDS, _BITS = np.dtype("u2"), np.dtype("u4")


def rounded(x: V, d: np.dtype) -> V:
    """The nearest number of a 16-bit dtype (of two, the even one), as a float32."""
    if d.kind == "f":
        return from_words(to_words(x, d), d)
    bits = x.bits()
    even = (bits + ((bits >> 16) & 1) + 0x7FFF) & -0x10000
    return x.is_nan().choose(math.nan, even.from_bits())


def to_words(x: V, d: np.dtype) -> V:
    """The bits of a float32 that is a number of this dtype already (for float16: of any)."""
    if d.kind != "f":
        bits = x.bits()
        return x.of(f"trunc {bits.type} {(bits >> 16).text} to {vector('i16', x.lanes)}", _WORDS)
    if _has_conversions(x):
        half = vector("half", x.lanes)
        return x.of(f"bitcast {half} {x.code.let(f'fptrunc {x.type} {x.text} to {half}')} to {vector('i16', x.lanes)}", _WORDS)
    bits = _unsigned(x)
    return (_below(bits) | ((bits >> 16) & 0x8000)).to(_WORDS)


def from_words(x: V, d: np.dtype) -> V:
    """The float32 that 16 bits of this dtype stand for."""
    if d.kind != "f":
        return _float(x.to(_BITS) << 16)
    if _has_conversions(x):
        half, single = vector("half", x.lanes), vector("float", x.lanes)
        return x.of(f"fpext {half} {x.code.let(f'bitcast {x.type} {x.text} to {half}')} to {single}", F32)
    wide = x.to(_BITS)
    twice = wide << 17  # without the sign
    normal = _float((twice >> 4) + (0xE0 << 23)) * 2.0**-112
    small = _float((twice >> 17) | (126 << 23)) - 0.5
    return _float(_unsigned((twice < (1 << 27)).choose(small, normal)) | ((wide & 0x8000) << 16))


def _below(bits: V) -> V:
    """The bits of a float16 without its sign: adding a power of two makes float32 round at float16's last place."""
    size = _float(bits & 0x7FFFFFFF)
    scaled = (size * 2.0**112) * 2.0**-110
    twice = bits << 1
    bias = twice & 0xFF000000
    bias = (bias < 0x71000000).choose(0x71000000, bias)
    sum_bits = _unsigned(_float((bias >> 1) + 0x07800000) + scaled)
    words = ((sum_bits >> 13) & 0x7C00) + (sum_bits & 0xFFF)
    return (twice > 0xFF000000).choose(0x7E00, words)


def _has_conversions(x: V) -> bool:
    """Whether the target has instructions for float16."""
    return x.code.module.level in ("avx512", "avx2", "neon")


def _unsigned(x: V) -> V:
    return x.of(f"bitcast {x.type} {x.text} to {vector('i32', x.lanes)}", _BITS)


def _float(x: V) -> V:
    return x.of(f"bitcast {x.type} {x.text} to {vector('float', x.lanes)}", F32)
