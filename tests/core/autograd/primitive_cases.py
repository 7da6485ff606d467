"""An example call of every primitive, of random shapes: `CASES[name](d)` gives its inputs (arrays) and parameters; `d` is a `Draw`."""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau as fb

F = np.float64


class Draw:
    """Random sizes and values, decided by a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def int(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def one_of(self, *values: Any) -> Any:
        return values[self.rng.integers(len(values))]

    def shape(self, low: int = 0, high: int = 3, least: int = 0) -> tuple[int, ...]:
        sizes = (least, 1, 2, 3) if least == 0 else (1, 2, 3)
        return tuple(self.one_of(*sizes) for _ in range(self.int(low, high)))

    def floats(self, *shape: int, low: float = 0.1, high: float = 0.9) -> np.ndarray:
        return self.rng.uniform(low, high, shape)

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape)

    def complex(self, *shape: int) -> np.ndarray:
        return self.normal(*shape) + 1j * self.normal(*shape)

    def ints(self, low: int, high: int, *shape: int) -> np.ndarray:
        return self.rng.integers(low, max(high, low + 1), shape)

    def bools(self, *shape: int) -> np.ndarray:
        return self.rng.random(shape) < 0.5

    def broadcast(self) -> list[tuple[int, ...]]:
        """Three shapes that broadcast together."""
        full = self.shape(0, 3)
        cuts = [self.int(0, len(full)) for _ in range(3)]
        return [tuple(self.one_of(1, n) for n in full[cut:]) for cut in cuts]


CASES: dict[str, Any] = {}


def case(*names: str) -> Any:
    def add(fn: Any) -> Any:
        for name in names:
            CASES[name] = lambda d, name=name: fn(d, name)
        return fn

    return add


# -- elementwise ------------------------------------------------------------------------------------------------------------------------
UNARY = """neg sign abs floor ceil trunc conj angle exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal square sin cos tan asin acos
atan sinh cosh tanh asinh atanh sigmoid relu erf erfc erfinv lgamma digamma i0 i0e i1 i1e ndtri log_ndtr isnan isinf isfinite signbit copy
entr erfcx spherical_bessel_j0 bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_k0 modified_bessel_k1 ndtr""".split()
BINARY = """add sub mul div floor_divide remainder fmod pow maximum minimum fmax fmin atan2 hypot logaddexp logaddexp2 copysign nextafter
xlogy ldexp eq ne lt le gt ge igamma igammac zeta xlog1py""".split()


@case(*UNARY)
def unary(d, name):
    return [d.floats(*d.shape())], {}


@case("acosh")
def above_one(d, name):
    return [d.floats(*d.shape(), low=1.1, high=2)], {}


@case("real", "imag")
def parts(d, name):
    return [d.complex(*d.shape())], {}


@case(*BINARY)
def binary(d, name):
    x, y, _ = d.broadcast()
    low = 1.1 if name == "zeta" else 0.1
    return [d.floats(*x, low=low, high=2.0), d.floats(*y)], {}


@case("complex")
def to_complex(d, name):
    x, y, _ = d.broadcast()
    return [d.normal(*x), d.normal(*y)], {}


@case("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor")
def bits(d, name):
    x, y, _ = d.broadcast()
    return [d.bools(*x), d.bools(*y)], {}


@case("logical_not", "bitwise_not")
def negation(d, name):
    return [d.bools(*d.shape())], {}


@case("gcd", "lcm", "shift_left", "shift_right")
def whole(d, name):
    x, y, _ = d.broadcast()
    return [d.ints(1, 30, *x), d.ints(1, 5, *y)], {}


@case("where")
def where(d, name):
    c, x, y = d.broadcast()
    return [d.bools(*c), d.normal(*x), d.normal(*y)], {}


@case("clamp")
def clamp(d, name):
    return [d.normal(*d.shape())], d.one_of({"lo": -0.5, "hi": 0.5}, {"lo": None, "hi": 0.1}, {"lo": 0.0, "hi": None})


@case("round")
def rounded(d, name):
    return [d.normal(*d.shape())], {"decimals": d.int(0, 2)}


@case("hardtanh")
def hardtanh(d, name):
    return [d.normal(*d.shape())], {"lo": -0.5, "hi": 0.5}


@case("bce")
def bce(d, name):
    x, y, _ = d.broadcast()
    return [d.floats(*x), d.floats(*y)], {}


@case("gamma_sample", "gamma_slope")
def gamma(d, name):
    x, y, _ = d.broadcast()
    return [d.floats(*x, low=0.5, high=2.0), d.floats(*y)], {}


@case("polygamma")
def polygamma(d, name):
    return [d.floats(*d.shape())], {"n": d.int(1, 3)}


@case("cast")
def cast(d, name):
    return [d.normal(*d.shape())], {"dtype": np.dtype(d.one_of("f4", "i8", "c16"))}


@case("fill")
def fill(d, name):
    return [d.normal(*d.shape())], {"value": 3}


# -- movement ---------------------------------------------------------------------------------------------------------------------------
@case("reshape")
def reshape(d, name):
    a, b, c = d.int(1, 3), d.int(0, 3), d.int(1, 2)
    return [d.normal(a, b, c)], {"shape": d.one_of((a * b * c,), (c, b, a), (a, 1, b * c), (b, a, c))}


@case("permute")
def permute(d, name):
    shape = d.shape()
    return [d.normal(*shape)], {"axes": tuple(int(i) for i in d.rng.permutation(len(shape)))}


@case("expand")
def expand(d, name):
    shape = d.shape(0, 2)
    wide = tuple(d.one_of(2, 3) if n == 1 else n for n in shape)
    return [d.normal(*shape)], {"shape": (*d.shape(0, 2), *wide)}


@case("flip")
def flip(d, name):
    shape = d.shape()
    return [d.normal(*shape)], {"axes": tuple(i for i in range(len(shape)) if d.one_of(True, False))}


def key_of(d, shape):
    key = []
    for n in shape:
        key.append(d.one_of(slice(None), slice(1, None), slice(0, 2), slice(None, None, 2), *([0, n - 1] if n else [])))
        if d.one_of(True, False, False):
            key.append(None)
    if shape and d.one_of(True, False):
        cut = d.int(0, len(key))
        if all(isinstance(k, slice) and k == slice(None) for k in key[cut:]):
            key[cut:] = [Ellipsis]
    return tuple(key)


@case("slice")
def slice_(d, name):
    shape = d.shape()
    return [d.normal(*shape)], {"key": key_of(d, shape)}


@case("place")
def place(d, name):
    shape = d.shape()
    key = key_of(d, shape)
    return [d.normal(*np.empty(shape)[key].shape)], {"key": key, "shape": shape}


@case("diagonal")
def diagonal(d, name):
    shape = d.shape(2, 3)
    dim1, dim2 = (int(i) for i in d.rng.permutation(len(shape))[:2])
    bound = max(min(shape[dim1], shape[dim2]) - 1, 0)
    return [d.normal(*shape)], {"offset": d.int(-bound, bound), "dim1": dim1, "dim2": dim2}


@case("place_diagonal")
def place_diagonal(d, name):
    n, lead, k = d.int(1, 3), d.shape(0, 1), d.int(-1, 1)
    m = n + abs(k)
    return [d.normal(*lead, n)], {"shape": (*lead, m, m), "offset": k, "dim1": len(lead), "dim2": len(lead) + 1}


@case("triangle")
def triangle(d, name):
    return [d.normal(*d.shape(2, 3))], {"diagonal": d.int(-1, 1), "upper": d.one_of(True, False)}


@case("pack", "view_as_real")
def pack(d, name):
    return [d.complex(*d.shape())], {}


@case("view_as_complex")
def view_as_complex(d, name):
    return [d.normal(*d.shape(0, 2), 2)], {}


@case("pad")
def pad(d, name):
    shape = d.shape()
    return [d.normal(*shape)], {"widths": tuple((d.int(-(n // 2), 2), d.int(-(n // 2), 2)) for n in shape), "value": 1.5}


@case("cat")
def cat(d, name):
    shape = d.shape(1, 3)
    axis = d.int(0, len(shape) - 1)
    parts = [tuple(d.int(0, 2) if i == axis else n for i, n in enumerate(shape)) for _ in range(d.int(1, 3))]
    return [d.normal(*s) for s in parts], {"axis": axis}


@case("split")
def split(d, name):
    shape = d.shape(1, 3)
    axis = d.int(0, len(shape) - 1)
    first = d.int(0, shape[axis])
    return [d.normal(*shape)], {"sizes": (first, shape[axis] - first), "axis": axis}


def geometry(d):
    """A transposed matrix of 3 x 2 in memory, and a window in that memory."""
    window = d.one_of({"shape": (2, 2), "strides": (1, 2), "offset": 1}, {"shape": (3,), "strides": (2,), "offset": 0})
    return window, {"x_strides": (1, 3), "x_offset": 0}


@case("take_strided")
def take_strided(d, name):
    window, own = geometry(d)
    return [d.normal(3, 2)], {**window, **own}


@case("strided_sum")
def strided_sum(d, name):
    window, own = geometry(d)
    return [d.normal(*window.pop("shape"))], {"x_shape": (3, 2), **window, **own}


@case("put_strided")
def put_strided(d, name):
    window, own = geometry(d)
    return [d.normal(3, 2), d.normal(*window.pop("shape"))], {**window, **own}


# -- reductions, scans, sorting ------------------------------------------------------------------------------------------------------------
@case("sum", "prod", "amax", "amin", "any", "all")
def reduction(d, name):
    shape = d.shape(0, 3, least=1)
    axes = tuple(i for i in range(len(shape)) if d.one_of(True, False))
    return [d.normal(*shape)], {"axis": axes, "keepdim": d.one_of(True, False)}


@case("argmax", "argmin")
def position(d, name):
    shape = d.shape(1, 3, least=1)
    return [d.normal(*shape)], {"axis": d.int(0, len(shape) - 1), "keepdim": d.one_of(True, False)}


@case("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")
def scan(d, name):
    shape = d.shape(1, 3, least=1)
    return [d.normal(*shape)], {"axis": d.int(0, len(shape) - 1)}


@case("sort", "argsort", "topk", "kthvalue", "mode")
def order(d, name):
    shape = d.shape(1, 3, least=1)
    axis = d.int(0, len(shape) - 1)
    x = d.rng.permuted(np.linspace(-1, 1, int(np.prod(shape)))).reshape(shape)
    extra = {
        "sort": {"descending": d.one_of(True, False)},
        "argsort": {"descending": d.one_of(True, False)},
        "topk": {"k": d.int(1, shape[axis]), "largest": d.one_of(True, False), "in_order": True},
        "kthvalue": {"k": d.int(1, shape[axis])},
        "mode": {},
    }
    return [x], {"axis": axis, **extra[name]}


@case("searchsorted")
def searchsorted(d, name):
    n, m = d.int(1, 4), d.int(0, 3)
    if d.one_of(True, False):
        return [np.sort(d.normal(n)), d.normal(*d.shape(0, 2))], {"right": d.one_of(True, False)}
    lead = d.shape(1, 1, least=1)
    return [np.sort(d.normal(*lead, n)), d.normal(*lead, m)], {"right": d.one_of(True, False)}


@case("histc")
def histc(d, name):
    return [d.normal(d.int(1, 5))], {"bins": 4, "low": -1.0, "high": 1.0}


@case("histogram")
def histogram(d, name):
    n = d.int(1, 5)
    return [d.normal(n), np.array([-1.0, 0.0, 0.5, 2.0]), *([d.floats(n)] if d.one_of(True, False) else [])], {}


# -- indexing
# -------------------------------------------------------------------------------------------------------------------------------
@case("gather", "scatter", "scatter_add", "scatter_mul", "scatter_max", "scatter_min")
def along(d, name):
    shape = d.shape(1, 3, least=1)
    axis = d.int(0, len(shape) - 1)
    # every position once where the result would depend on the order
    small = tuple(d.int(1, n) for n in shape)
    if name == "scatter":
        index = np.argsort(d.normal(*[shape[i] if i == axis else n for i, n in enumerate(small)]), axis=axis)
        index = np.take(index, range(small[axis]), axis=axis)
    else:
        index = d.ints(0, shape[axis], *small)
    values = [] if name == "gather" else [d.floats(*small)]
    return [d.floats(*shape), index, *values], {"axis": axis}


@case("in_range")
def in_range(d, name):
    params = {"op": "index", "low": -2, "high": 3, "expected": "small ones", "ignore": d.one_of(None, -1)}
    return [d.ints(-2, 3, *d.shape())], params


def index_of(d):
    shape = d.shape(1, 3, least=1)
    axes = tuple(i for i in range(len(shape)) if d.one_of(True, False)) or (0,)
    ranks = [d.shape(0, 2, least=1) for _ in axes]
    common = ranks[0]
    shapes = [common if d.one_of(True, False) else tuple(1 for _ in common) for _ in axes]
    return shape, axes, [d.ints(-shape[a], shape[a], *s) for a, s in zip(axes, shapes)]


def indexed_shape(shape, axes, indices):
    key = [slice(None)] * len(shape)
    for a, i in zip(axes, indices):
        key[a] = i
    return np.empty(shape)[tuple(key)].shape


@case("index")
def index(d, name):
    shape, axes, indices = index_of(d)
    return [d.normal(*shape), *indices], {"axes": axes}


@case("index_put")
def index_put(d, name):
    shape, axes, indices = index_of(d)
    full = indexed_shape(shape, axes, indices)
    cut = d.int(0, len(full))
    values = d.normal(*[d.one_of(1, n) for n in full[cut:]])
    return [d.normal(*shape), values, *indices], {"axes": axes, "accumulate": True}


@case("embedding")
def embedding(d, name):
    n = d.int(2, 4)
    params = {"padding_idx": d.one_of(None, 0), "by_frequency": d.one_of(True, False)}
    return [d.normal(n, *d.shape(1, 1, least=1)), d.ints(0, n, *d.shape(0, 2))], params


# -- contractions, convolutions, windows -------------------------------------------------------------------------------------------------
@case("matmul")
def matmul(d, name):
    n, k, m = (d.int(0, 3) for _ in range(3))
    lead = d.shape(0, 2, least=1)
    left, right = (tuple(d.one_of(1, s) for s in lead[d.int(0, len(lead)) :]) for _ in range(2))
    return [d.normal(*left, n, k), d.normal(*right, k, m)], {}


def conv_sizes(d):
    dims = d.int(1, 2)
    groups = d.int(1, 2)
    c, o = d.int(1, 2) * groups, d.int(1, 2) * groups
    kernel = [d.int(1, 2) for _ in range(dims)]
    stride, dilation = (tuple(d.int(1, 2) for _ in range(dims)) for _ in range(2))
    padding = tuple((d.int(0, 1), d.int(0, 1)) for _ in range(dims))
    spatial = [d.int(3, 5) for _ in range(dims)]
    out = [(n + sum(p) - e * (k - 1) - 1) // s + 1 for n, p, e, k, s in zip(spatial, padding, dilation, kernel, stride)]
    params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    n = d.int(1, 2)
    return (n, c, *spatial), (o, c // groups, *kernel), (n, o, *out), params


@case("conv")
def conv(d, name):
    x, w, _, params = conv_sizes(d)
    return [d.normal(*x), d.normal(*w)], params


@case("conv_input_grad")
def conv_input_grad(d, name):
    x, w, y, params = conv_sizes(d)
    return [d.normal(*y), d.normal(*w)], {"input_shape": x, **params}


@case("conv_weight_grad")
def conv_weight_grad(d, name):
    x, w, y, params = conv_sizes(d)
    return [d.normal(*x), d.normal(*y)], {"weight_shape": w, **params}


def window(d):
    dims = d.int(1, 2)
    shape = (d.int(1, 2), d.int(1, 2), *[d.int(3, 5) for _ in range(dims)])
    params = {"kernel": (2,) * dims, "stride": tuple(d.int(1, 2) for _ in range(dims)), "padding": (d.int(0, 1),) * dims}
    return dims, shape, params


@case("max_pool", "max_pool_values")
def max_pool(d, name):
    dims, shape, params = window(d)
    return [d.normal(*shape)], {**params, "dilation": (1,) * dims, "ceil_mode": d.one_of(True, False)}


@case("adaptive_max_pool")
def adaptive(d, name):
    dims, shape, _ = window(d)
    return [d.normal(*shape)], {"output_size": (2,) * dims}


@case("unpool")
def unpool(d, name):
    dims, shape, _ = window(d)
    small = (*shape[:2], *[2] * dims)
    return [d.normal(*small), d.ints(0, int(np.prod(shape[2:])), *small)], {"input_shape": shape}


@case("sum_pool")
def sum_pool(d, name):
    dims, shape, params = window(d)
    return [d.normal(*shape)], {**params, "ceil_mode": False}


@case("sum_pool_grad")
def sum_pool_grad(d, name):
    dims, shape, params = window(d)
    params = {**params, "ceil_mode": False}
    (y,) = run("sum_pool", [np.zeros(shape)], params)
    return [d.normal(*y.shape)], {"input_shape": shape, **params}


@case("unfold")
def unfold(d, name):
    dims, shape, params = window(d)
    return [d.normal(*shape)], {**params, "dilation": (1,) * dims}


@case("fold")
def fold(d, name):
    dims, shape, params = window(d)
    params = {**params, "dilation": (1,) * dims}
    (y,) = run("unfold", [np.zeros(shape)], params)
    return [d.normal(*y.shape)], {"output_size": shape[2:], **params}


@case("resample")
def resample(d, name):
    shape = d.shape(1, 3, least=2)
    method = d.one_of("nearest", "linear")
    return [d.normal(*shape)], {"axis": d.int(0, len(shape) - 1), "size": 3, "method": method, "step": None, "align_corners": False}


@case("resample_grad")
def resample_grad(d, name):
    shape = d.shape(1, 3, least=2)
    method = d.one_of("nearest", "linear")
    return [d.normal(*shape)], {"axis": d.int(0, len(shape) - 1), "length": 4, "method": method, "step": None, "align_corners": False}


# -- normalisation, loss -----------------------------------------------------------------------------------------------------------------
@case("softmax", "log_softmax", "softmax_grad", "log_softmax_grad", "standardize")
def normalised(d, name):
    shape = d.shape(1, 3, least=1)
    axis = tuple(i for i in range(len(shape)) if d.one_of(True, False)) or (0,)
    if name.startswith(("softmax", "log_softmax")):
        axis = axis[:1]
    params = {"axis": axis, **({"eps": 0.1, "center": d.one_of(True, False)} if name == "standardize" else {})}
    return [d.normal(*shape) for _ in range(2 if name.endswith("grad") else 1)], params


@case("standardize_grad")
def standardize_grad(d, name):
    shape = d.shape(1, 3, least=1)
    axis = (d.int(0, len(shape) - 1),)
    small = tuple(1 if i in axis else n for i, n in enumerate(shape))
    return [d.normal(*shape), d.normal(*shape), d.floats(*small)], {"axis": axis, "eps": 0.1, "center": d.one_of(True, False)}


@case("attention", "attention_grad")
def attention(d, name):
    lead = d.shape(0, 2, least=1)
    group = d.int(1, 2) if lead else 1
    heads = (*lead[:-1], lead[-1] * group) if lead else ()
    length, source, e, width = (d.int(1, 3) for _ in range(4))
    causal = d.one_of(True, False)
    shapes = [(*heads, length, e), (*lead, source, e), (*lead, source, width)]
    if name == "attention_grad":
        shapes += [heads + (length,), (*heads, length, width), heads + (length,)]
    mask = [] if causal or d.one_of(True, False) else [d.one_of(d.bools(length, source), d.bools(*heads, length, source))]
    return [*[d.normal(*s) for s in shapes], *mask], {"scale": 0.7, "causal": causal}


@case("lstm", "lstm_grad")
def lstm(d, name):
    steps, n, h = (d.int(1, 3) for _ in range(3))
    w = d.normal(4 * h, h)
    if name == "lstm":
        return [d.normal(steps, n, 4 * h), d.normal(n, h), d.normal(n, h), w], {}
    return [d.normal(steps, n, h), d.normal(n, h), d.normal(steps, n, h), d.floats(steps, n, 4 * h), d.normal(n, h), w], {}


@case("product_sum")
def product_sum(d, name):
    shape = d.shape(1, 3, least=1)
    return [d.normal(*shape), d.normal(*shape)], {"axis": tuple(i for i in range(len(shape)) if d.one_of(True, False))}


@case("scale_shift")
def scale_shift(d, name):
    shape = d.shape(1, 3, least=1)
    small = [tuple(d.one_of(1, n) for n in shape[d.int(0, len(shape) - 1) :]) for _ in range(2)]
    return [d.normal(*shape), *[d.normal(*s) for s in small]], {}


@case("nll", "nll_grad")
def nll(d, name):
    n, c, rest = d.int(1, 3), d.int(2, 4), d.shape(0, 2, least=1)
    target = d.ints(0, c, n, *rest)
    if name == "nll":
        return [d.normal(n, c, *rest), target], {"ignore": 1}
    return [d.normal(n, *rest), target], {"classes": c, "ignore": 1}


@case("ctc")
def ctc(d, name):
    t, n, c = 4, d.int(1, 2), 3
    logits = d.normal(t, n, c)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    lengths = np.full(n, t), np.full(n, 2)
    return [log_probs, d.ints(1, c, n, 2), *lengths], {"blank": 0, "zero_infinity": False}


@case("ctc_grad")
def ctc_grad(d, name):
    inputs, params = ctc(d, name)
    return [*inputs, d.normal(inputs[0].shape[1])], params


# -- Fourier transforms, linear algebra ----------------------------------------------------------------------------------------------------
@case("fft")
def fft(d, name):
    shape = d.shape(1, 3, least=1)
    axes = tuple(-1 - i for i in range(d.int(1, len(shape))))
    return [d.complex(*shape)], {"axes": axes, "inverse": d.one_of(True, False), "norm": d.one_of("backward", "ortho", "forward")}


@case("rfft", "irfft", "weigh")
def rfft(d, name):
    shape = (*d.shape(0, 2, least=1), d.int(2, 5))
    if name == "rfft":
        return [d.normal(*shape)], {"axis": -1, "norm": "backward"}
    half = (*shape[:-1], shape[-1] // 2 + 1)
    extra = {"norm": "backward"} if name == "irfft" else {"factor": 2.0}
    return [d.complex(*half)], {"axis": -1, "n": shape[-1], **extra}


def square(d, extra=0.0):
    n = d.int(1, 3)
    lead = d.shape(0, 1, least=1)
    return d.normal(*lead, n, n) + (2.5 + extra) * np.eye(n)


@case("solve", "solve_triangular")
def solve(d, name):
    n, m = d.int(1, 3), d.int(1, 2)
    lead = d.shape(0, 2, least=1)
    left, right = (lead[d.int(0, len(lead)) :] for _ in range(2))
    params = {"upper": d.one_of(True, False), "unit": False} if name == "solve_triangular" else {}
    return [d.normal(*left, n, n) + 3 * np.eye(n), d.normal(*right, n, m)], params


@case("inv", "det", "cofactor", "slogdet", "eig", "eigvals", "matrix_exp", "qr", "lu_factor")
def matrix(d, name):
    params = {"complete": False} if name == "qr" else {}
    return [square(d)], params


@case("pinv", "svd", "svdvals")
def rectangular(d, name):
    params = {"pinv": {"rtol": 1e-12, "atol": 0.0, "hermitian": False}, "svd": {"full": False}}
    return [d.normal(*d.shape(0, 1, least=1), d.int(1, 3), d.int(1, 3))], params.get(name, {})


@case("cholesky", "eigh", "eigvalsh", "failed")
def symmetric(d, name):
    x = square(d)
    x = x @ x.swapaxes(-1, -2) + np.eye(x.shape[-1])
    params = {"eigh": {"lower": True}, "eigvalsh": {"lower": True}, "failed": {"op": "cholesky"}}
    return [x], params.get(name, {})


@case("permutation")
def permutation(d, name):
    (_, pivots) = run("lu_factor", [square(d)], {})
    return [pivots], {"n": pivots.shape[-1]}


def run(name: str, arrays: list[np.ndarray], params: dict[str, Any]) -> list[np.ndarray]:
    """The outputs of a primitive on arrays."""
    from flambeau.primitives.prim import table

    out = table[name](*[fb.from_numpy(np.array(a)) for a in arrays], **params)
    return [o.numpy() for o in (out if isinstance(out, tuple) else (out,))]
