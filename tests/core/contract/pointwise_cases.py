"""Contract cases of the elementwise operations, with NumPy and SciPy as references."""

from __future__ import annotations

import numpy as np
import scipy.special as sp

import flambeau as fb
from flambeau.base.errors import DtypeError, ShapeError
from flambeau.testing import OpCase, bools, complexes, floats, ints, sample


def unary(name, reference, low=-2.0, high=2.0, *, fn=None, extra=(), **options):
    return OpCase(
        name,
        fn or getattr(fb, name),
        [sample(floats(2, 3, low=low, high=high)), sample(floats(low=low, high=high)), sample(floats(0, 2)), *extra],
        reference=reference,
        shapes=lambda a: sample(floats(*a, low=low, high=high)),
        **options,
    )


def binary(name, reference, low=-2.0, high=2.0, low2=None, high2=None, *, fn=None, extra=(), **options):
    low2, high2 = low if low2 is None else low2, high if high2 is None else high2

    def call(a, b):
        return sample(floats(*a, low=low, high=high), floats(*b, low=low2, high=high2))

    fn = fn or getattr(fb, name)
    wrong = (lambda: fn(fb.zeros(2, 3), fb.zeros(2)), ShapeError, "broadcast")
    return OpCase(
        name,
        fn,
        [call((2, 3), (3,)), call((), (2,)), call((2, 1), (1, 3)), call((0, 2), (1,)), *extra],
        reference=reference,
        shapes=call,
        operands=2,
        errors=[wrong],
        **options,
    )


FLAT = {"differentiable": False}
SMALL = (-0.9, 0.9)
POSITIVE = (0.1, 3.0)
COMPLEX = [sample(complexes(2, 3))]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


UNARY = [
    unary("abs", np.abs, extra=COMPLEX + [sample(ints(2, 3))]),
    unary("absolute", np.abs),
    *[unary(n, np.arccos, *SMALL) for n in ("acos", "arccos")],
    *[unary(n, np.arccosh, 1.1, 3.0) for n in ("acosh", "arccosh")],
    *[unary(n, np.arcsin, *SMALL) for n in ("asin", "arcsin")],
    *[unary(n, np.arcsinh) for n in ("asinh", "arcsinh")],
    *[unary(n, np.arctan, extra=COMPLEX) for n in ("atan", "arctan")],
    *[unary(n, np.arctanh, *SMALL) for n in ("atanh", "arctanh")],
    unary("angle", np.angle, extra=COMPLEX),
    unary("ceil", np.ceil),
    unary("conj", np.conj, extra=COMPLEX),
    unary("cos", np.cos, extra=COMPLEX + [sample(ints(2, 3))]),
    unary("cosh", np.cosh, extra=COMPLEX),
    unary("deg2rad", np.deg2rad),
    unary("digamma", sp.digamma, *POSITIVE, rtol=1e-9),
    unary("erf", sp.erf),
    unary("erfc", sp.erfc),
    unary("erfinv", sp.erfinv, *SMALL, rtol=1e-9),
    unary("exp", np.exp, extra=COMPLEX + [sample(ints(2, 3))]),
    unary("exp2", np.exp2),
    unary("expm1", np.expm1),
    unary("fix", np.trunc),
    unary("floor", np.floor),
    unary("frac", lambda x: x - np.trunc(x)),
    unary("i0", sp.i0),
    unary("isfinite", np.isfinite, **FLAT),
    unary("isinf", np.isinf, **FLAT),
    unary("isnan", np.isnan, **FLAT),
    unary("isneginf", np.isneginf, **FLAT),
    unary("isposinf", np.isposinf, **FLAT),
    unary("isreal", np.isreal, extra=COMPLEX, **FLAT),
    unary("lgamma", sp.gammaln, *POSITIVE, rtol=1e-9, half=3),
    unary("log", np.log, *POSITIVE, extra=COMPLEX),
    unary("log10", np.log10, *POSITIVE),
    unary("log1p", np.log1p, -0.9, 3.0),
    unary("log2", np.log2, *POSITIVE),
    unary("logical_not", np.logical_not, extra=[sample(bools(2, 3))], **FLAT),
    unary("logit", lambda x, eps=0.0: sp.logit(np.clip(x, eps, 1 - eps)), 0.1, 0.9, half=5, extra=[sample(floats(2, 3), eps=0.2)]),
    unary(
        "mvlgamma",
        lambda x, p=2: sp.multigammaln(x, 2) if x.ndim == 0 else _multigammaln(x),
        1.0,
        4.0,
        fn=lambda x: fb.mvlgamma(x, 2),
        half=3,
    ),
    unary("nan_to_num", np.nan_to_num),
    *[unary(n, np.negative, extra=COMPLEX + [sample(ints(2, 3))]) for n in ("neg", "negative")],
    unary("polygamma", lambda x: sp.polygamma(1, x), *POSITIVE, fn=lambda x: fb.polygamma(1, x)),
    unary("positive", np.positive),
    unary("rad2deg", np.rad2deg),
    unary("reciprocal", np.reciprocal, *POSITIVE, extra=COMPLEX),
    unary("relu", lambda x: np.maximum(x, 0)),
    unary("round", np.round, extra=[sample(floats(2, 3), decimals=1)]),
    unary("rsqrt", lambda x: 1 / np.sqrt(x), *POSITIVE),
    unary("sgn", lambda x: x / np.abs(x) if x.dtype.kind == "c" else np.sign(x), extra=COMPLEX),
    unary("sigmoid", sigmoid, extra=COMPLEX + [sample(ints(2, 3))]),
    unary("sign", np.sign, extra=[sample(ints(2, 3))]),
    unary("signbit", np.signbit, **FLAT),
    unary("sin", np.sin, extra=COMPLEX),
    unary("sinc", np.sinc),
    unary("sinh", np.sinh, extra=COMPLEX),
    unary("sqrt", np.sqrt, *POSITIVE, extra=COMPLEX),
    unary("square", np.square, extra=COMPLEX + [sample(ints(2, 3))]),
    unary("tan", np.tan, -1.0, 1.0, extra=COMPLEX),
    unary("tanh", np.tanh, extra=COMPLEX),
    unary("trunc", np.trunc),
]


def _multigammaln(x):
    return np.vectorize(lambda v: sp.multigammaln(v, 2), otypes=[float])(x)


def trunc_div(x, y):
    return np.trunc(x / y)


def ldexp(x, y):
    return x * 2.0**y


INTEGERS = [sample(ints(2, 3, low=1, high=40), ints(3, low=1, high=6))]
BITS = INTEGERS + [sample(bools(2, 3), bools(3))]
BINARY = [
    binary("add", np.add, extra=[sample(complexes(2), complexes(2)), *INTEGERS, sample(floats(2), ints(2))]),
    binary("sub", np.subtract, extra=INTEGERS),
    binary("subtract", np.subtract),
    binary("mul", np.multiply, extra=[sample(complexes(2), complexes(2)), *INTEGERS]),
    binary("multiply", np.multiply),
    *[binary(n, np.divide, low2=0.5, high2=2.0) for n in ("div", "divide", "true_divide")],
    binary("div_complex", np.divide, fn=fb.div, low2=0.5, high2=2.0, extra=[sample(complexes(2), complexes(2)), *INTEGERS]),
    OpCase(
        "div rounding",
        fb.div,
        [sample(floats(2, 3), floats(3, low=0.5), rounding_mode=m) for m in ("floor", "trunc")]
        + [sample(ints(2, 3), ints(3, low=1), rounding_mode=m) for m in ("floor", "trunc")],
        reference=lambda x, y, rounding_mode: np.floor(x / y) if rounding_mode == "floor" else np.trunc(x / y),
    ),
    binary("rsub", lambda x, y: y - x),
    *[binary(n, np.arctan2, *POSITIVE) for n in ("atan2", "arctan2")],
    binary("copysign", np.copysign),
    binary("float_power", np.float_power, *POSITIVE, dtypes=()),
    binary("floor_divide", np.floor_divide, low2=0.5, extra=INTEGERS),
    binary("fmax", np.fmax),
    binary("fmin", np.fmin),
    binary("fmod", np.fmod, low2=0.5, extra=INTEGERS, dtypes=("float32",)),
    binary("remainder", np.remainder, low2=0.5, extra=INTEGERS, dtypes=("float32",)),
    binary("heaviside", np.heaviside),
    binary("hypot", np.hypot),
    binary("ldexp", ldexp),
    binary("logaddexp", np.logaddexp),
    binary("logaddexp2", np.logaddexp2),
    binary("maximum", np.maximum, extra=INTEGERS),
    binary("minimum", np.minimum, extra=INTEGERS),
    binary("nextafter", np.nextafter, dtypes=(), **FLAT),
    binary("pow", np.power, *POSITIVE, low2=-2.0, high2=2.0, extra=[sample(floats(2, 3), 3), sample(2.0, floats(2)), *INTEGERS], half=3),
    binary("xlogy", sp.xlogy, *POSITIVE, half=2),
    binary("polar", lambda r, a: r * np.exp(1j * a), *POSITIVE, dtypes=("float32",)),
    binary("complex", lambda x, y: x + 1j * y, dtypes=("float32",)),
    *[
        binary(n, f, extra=INTEGERS, **FLAT)
        for names, f in (
            (("eq",), np.equal),
            (("ne", "not_equal"), np.not_equal),
            (("lt", "less"), np.less),
            (("le", "less_equal"), np.less_equal),
            (("gt", "greater"), np.greater),
            (("ge", "greater_equal"), np.greater_equal),
        )
        for n in names
    ],
    *[
        binary(n, getattr(np, n), extra=BITS, **FLAT)
        for n in ("logical_and", "logical_or", "logical_xor")
    ],
]  # fmt: skip


def whole(name, reference, samples, fn=None, wrong=True):
    call = fn or getattr(fb, name)
    errors = [(lambda: call(fb.ones(2), fb.ones(2)), DtypeError, "integer")] if wrong else []
    return OpCase(name, call, samples, reference=reference, differentiable=False, errors=errors)


WHOLE = [
    *[whole(n, getattr(np, n), BITS) for n in ("bitwise_and", "bitwise_or", "bitwise_xor")],
    whole("bitwise_left_shift", np.left_shift, INTEGERS),
    whole("bitwise_right_shift", np.right_shift, INTEGERS),
    whole("gcd", np.gcd, INTEGERS),
    whole("lcm", np.lcm, INTEGERS),
    OpCase("bitwise_not", fb.bitwise_not, [sample(ints(2, 3)), sample(bools(2))], reference=np.invert, differentiable=False),
]


def clamp(x, min=None, max=None):
    return np.clip(x, -np.inf if min is None else min, np.inf if max is None else max)


CHOOSING = [
    OpCase(
        "clamp",
        fb.clamp,
        [
            sample(floats(2, 3), -0.5, 0.5),
            sample(floats(2, 3), max=0.3),
            sample(floats(3), floats(3, low=-1, high=0), floats(3, low=0.1, high=1)),
            sample(floats(), min=0.0),
            sample(floats(0), 0.0, 1.0),
            sample(ints(4), -2, 2),
        ],
        reference=clamp,
        shapes=lambda a: sample(floats(*a), -0.5, 1.0),
        errors=[(lambda: fb.clamp(fb.zeros(2)), ValueError, "min or max")],
    ),
    OpCase("clip", fb.clip, [sample(floats(2, 3), -0.5, 0.5)], reference=clamp),
    OpCase("clamp_min", fb.clamp_min, [sample(floats(2, 3), 0.5)], reference=np.maximum),
    OpCase("clamp_max", fb.clamp_max, [sample(floats(2, 3), 0.5)], reference=np.minimum),
    OpCase(
        "where",
        fb.where,
        [sample(bools(2, 3), floats(3), floats(2, 1)), sample(bools(2), 1.0, floats(2)), sample(bools(0), floats(0), floats(0))],
        reference=np.where,
        shapes=lambda c, x, y: sample(bools(*c), floats(*x), floats(*y)),
        operands=3,
        errors=[(lambda: fb.where(fb.zeros(2) > 0, fb.zeros(3), 0.0), ShapeError, "broadcast")],
    ),
    OpCase(
        "lerp",
        fb.lerp,
        [
            sample(floats(2, 3), floats(3), 0.3),
            sample(floats(2, 3), floats(2, 3), 0.8),
            sample(floats(2), floats(2), floats(2, low=0, high=1)),
        ],
        reference=lambda x, y, w: x + w * (y - x),
    ),
    OpCase(
        "addcmul",
        fb.addcmul,
        [sample(floats(2, 3), floats(3), floats(2, 1), value=0.5)],
        reference=lambda x, a, b, value: x + value * a * b,
    ),
    OpCase(
        "addcdiv",
        fb.addcdiv,
        [sample(floats(2, 3), floats(3), floats(2, 1, low=0.5), value=0.5)],
        reference=lambda x, a, b, value: x + value * a / b,
    ),
    OpCase("real", fb.real, [sample(complexes(2, 3)), sample(floats(2))], reference=np.real),
    OpCase("imag", fb.imag, [sample(complexes(2, 3))], reference=np.imag, errors=[(lambda: fb.imag(fb.zeros(2)), DtypeError, "complex")]),
]


def special(name, reference, low=-2.0, high=2.0, **options):
    return unary(f"special.{name}", reference, low, high, fn=getattr(fb.special, name), **options)


def special2(name, reference, *bounds, **options):
    return binary(f"special.{name}", reference, *bounds, fn=getattr(fb.special, name), **options)


SECOND = {"differentiable": True}
SPECIAL = [
    special("entr", sp.entr, *POSITIVE),
    special("erfcx", sp.erfcx),
    special("i0", sp.i0),
    special("i0e", sp.i0e),
    special("i1", sp.i1),
    special("i1e", sp.i1e),
    special("ndtr", sp.ndtr),
    special("log_ndtr", sp.log_ndtr, rtol=1e-9),
    special("ndtri", sp.ndtri, 0.1, 0.9, rtol=1e-9),
    special("expit", sp.expit),
    special("exp2", np.exp2),
    special("expm1", np.expm1),
    special("log1p", np.log1p, *POSITIVE),
    special("logit", sp.logit, 0.1, 0.9, half=5),
    special("erf", sp.erf),
    special("erfc", sp.erfc),
    special("erfinv", sp.erfinv, *SMALL),
    special("sinc", np.sinc),
    special("round", np.round),
    special("gammaln", sp.gammaln, *POSITIVE, half=3),
    *[special(n, sp.digamma, *POSITIVE) for n in ("digamma", "psi")],
    special2("xlogy", sp.xlogy, *POSITIVE),
    special2("xlog1py", sp.xlog1py, *POSITIVE),
    OpCase(
        "special.gammainc",
        fb.special.gammainc,
        [sample(floats(2, 3, low=0.5, high=3, grad=False), floats(3, low=0.2, high=4)), sample(floats(0, grad=False), floats(0))],
        reference=sp.gammainc,
        rtol=1e-9,
    ),
    OpCase("igamma", fb.igamma, [sample(floats(2, 3, low=0.5, high=3, grad=False), floats(3, low=0.2, high=4))], reference=sp.gammainc),
    OpCase("igammac", fb.igammac, [sample(floats(2, 3, low=0.5, high=3, grad=False), floats(3, low=0.2, high=4))], reference=sp.gammaincc),
    OpCase(
        "special.gammaincc", fb.special.gammaincc, [sample(floats(2, low=0.5, high=3, grad=False), floats(2, low=0.2, high=4))], reference=sp.gammaincc
    ),
    OpCase("special.zeta", fb.special.zeta, [sample(floats(2, 3, low=1.5, high=3, grad=False), floats(3, low=0.5, high=4))], reference=sp.zeta),
    OpCase("special.polygamma", fb.special.polygamma, [sample(2, floats(2, 3, low=0.5, high=4))], reference=lambda n, x: sp.polygamma(n, x), half=3),
    OpCase(
        "special.multigammaln", fb.special.multigammaln, [sample(floats(3, low=2.0, high=4), 3)], half=3,
        reference=lambda x, p: np.array([sp.multigammaln(v, p) for v in x]),
    ),
]  # fmt: skip
CASES = [*UNARY, *BINARY, *WHOLE, *CHOOSING, *SPECIAL]
