"""Exactly rounded a * b + c, and the float32 Box-Muller step that PyTorch's CPU kernel computes with it.

PyTorch fills large normal tensors with 8-wide AVX2 code: the Cephes logf and sincosf polynomials, each product-and-sum a fused
multiply-add. Reproducing its numbers bit for bit means rounding where it rounds.
Boldo and Melquiond 2008, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any

_F4, _F8 = np.float32, np.float64
_LOG = tuple(
    _F4(c)
    for c in (
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    )
)
_LOG2_LOW, _LOG2_HIGH = _F4(-2.12194440e-4), _F4(0.693359375)
_QUARTER_PI = tuple(_F4(c) for c in (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8))
_COS = tuple(_F4(c) for c in (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2))
_SIN = tuple(_F4(c) for c in (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1))
_BLOCK = 1 << 14


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum and its exact error (Knuth)."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded product and its exact error (Dekker), away from overflow and underflow."""
    product = a * b
    (ah, al), (bh, bl) = _split(a), _split(b)
    return product, ((ah * bh - product) + ah * bl + al * bh) + al * bl


def _split(a: Array) -> tuple[Array, Array]:
    scaled = a * 134217729.0
    high = scaled - (scaled - a)
    return high, a - high


def _to_odd(total: Array, error: Array) -> Array:
    """total + error rounded to odd: where the error is not zero, of the two neighbours the one with an odd last bit."""
    bits = np.ascontiguousarray(total).view(np.int64)
    step = np.where((error > 0) == (total > 0), 1, -1)
    return np.where((error != 0) & (bits & 1 == 0), bits + step, bits).view(_F8)


def fma32(a: Array, b: Array, c: Array) -> Array:
    """a * b + c with one rounding to float32; a is a float32 array."""
    product = np.multiply(a, b, dtype=_F8)  # exact: 24 + 24 bits
    total = product + c
    halfway = (total.view(np.int64) & 0x1FFFFFFF) == 0x10000000  # only there can rounding twice go wrong
    if halfway.any():
        total[halfway] = _to_odd(*two_sum(product[halfway], np.broadcast_to(c, product.shape)[halfway].astype(_F8)))
    return total.astype(_F4)


def fma64(a: Array, b: float, c: float) -> Array:
    """a * b + c with one rounding to float64; a is a float64 array, of ordinary magnitudes."""
    product, error = two_product(a, np.full_like(a, b))
    total, rest = two_sum(product, np.full_like(a, c))
    return total + _to_odd(*two_sum(rest, error))


def log32(x: Array) -> Array:
    """Natural logarithm of float32 x in (0, 1], as Cephes' logf."""
    m, e = np.frexp(x)
    low = m < _F4(0.707106781186547524)
    e = (e - low).astype(_F4)
    m = (m - _F4(1)) + np.where(low, m, _F4(0))
    z = m * m
    y = fma32(m, _LOG[0], _LOG[1])
    for c in _LOG[2:]:
        y = fma32(y, m, c)
    y = fma32(y * m, z, e * _LOG2_LOW) - z * _F4(0.5)
    return fma32(e, _LOG2_HIGH, m + y)


def sincos32(x: Array) -> tuple[Array, Array]:
    """Sine and cosine of float32 x in [0, 2 pi], as Cephes' sinf and cosf."""
    octant = ((x * _F4(1.27323954473516)).astype(np.int32) + 1) & ~1
    y = octant.astype(_F4)
    for c in _QUARTER_PI:
        x = fma32(y, c, x)
    z = x * x
    cosine = fma32(fma32(z, _COS[0], _COS[1]), z, _COS[2]) * z
    cosine = fma32(cosine, z, z * _F4(-0.5)) + _F4(1)
    sine = fma32(fma32(fma32(z, _SIN[0], _SIN[1]), z, _SIN[2]) * z, x, x)
    straight = (octant & 2) == 0
    s, c = np.where(straight, sine, cosine), np.where(straight, cosine, sine)
    return np.where(octant & 4, -s, s), np.where((octant - 2) & 4, c, -c)


def normal32(unit: Array, mean: float, std: float) -> Array:
    """Normals (n, 16) from uniforms (n, 16): columns 0-7 become radii, columns 8-15 angles."""
    out = np.empty(unit.shape, dtype=_F4)
    for start in range(0, len(unit), _BLOCK // 16):
        part = unit[start : start + _BLOCK // 16]
        radius = np.sqrt(_F4(-2) * log32(_F4(1) - part[:, :8]))
        sine, cosine = sincos32(_F4(2 * math.pi) * part[:, 8:])
        for half, wave in ((slice(0, 8), cosine), (slice(8, 16), sine)):
            value = radius * wave
            out[start : start + len(part), half] = value + _F4(0) if mean == 0.0 and std == 1.0 else fma32(value, _F4(std), _F4(mean))
    return out
