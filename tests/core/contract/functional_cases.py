"""Contract cases of activations, losses and norms, from their formulas."""

from __future__ import annotations

import itertools
import math

import numpy as np
import scipy.special as sp

import flambeau as fb
from flambeau.base.errors import FlambeauError, ShapeError
from flambeau.testing import bools, floats, ints, sample
from tests.core.contract.tables import op

F = fb.nn.functional
X = floats(2, 3)


def activation(name, reference, *more, **options):
    """Elementwise (where nothing else is said): any shape, zero-dimensional and empty inputs."""
    samples = [sample(X), sample(floats()), sample(floats(0, 2)), *more]
    return op(f"nn.functional.{name}", reference, *samples, shapes=lambda a: sample(floats(*a)), **options)


def both(name, reference, *more, **options):
    """An activation, and its in-place form, which computes the same."""
    place = op(
        f"nn.functional.{name}_", reference, sample(X), *more, fn=lambda x, *a, **k: getattr(F, f"{name}_")(x.clone(), *a, **k), **options
    )
    return [activation(name, reference, *more, **options), place]


def softplus(x, beta=1.0):
    return np.logaddexp(0, beta * x) / beta


def selu(x):
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    return scale * np.where(x > 0, x, alpha * np.expm1(x))


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(x))


def celu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(x / alpha))


def gelu(x, approximate="none"):
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x * sp.ndtr(x)


def glu(x, dim=-1):
    a, b = np.split(x, 2, dim)
    return a * sp.expit(b)


def leaky(x, slope=0.01):
    return np.where(x > 0, x, slope * x)


def prelu(x, w):
    return np.where(x > 0, x, (w.reshape(-1, *(1,) * (x.ndim - 2)) if x.ndim > 1 else w) * x)


def hard_sigmoid(x):
    return np.clip(x / 6 + 0.5, 0, 1)


ACTIVATIONS = [
    *both("relu", lambda x: np.maximum(x, 0)),
    *both("leaky_relu", leaky, sample(X, 0.3)),
    *both("elu", elu, sample(X, 0.5)),
    *both("celu", celu, sample(X, 0.5)),
    *both("selu", selu),
    *both("hardtanh", lambda x, lo=-1.0, hi=1.0: np.clip(x, lo, hi), sample(X, -0.5, 0.7)),
    op("nn.functional.threshold", lambda x, t, v: np.where(x > t, x, v), sample(X, 0.1, 0.5)),
    op("nn.functional.threshold_", lambda x, t, v: np.where(x > t, x, v), sample(X, 0.1, 0.5), fn=lambda x, t, v: F.threshold_(x.clone(), t, v)),
    op("nn.functional.rrelu", lambda x: leaky(x, (1 / 8 + 1 / 3) / 2), sample(X)),
    op("nn.functional.rrelu_", lambda x: leaky(x, (1 / 8 + 1 / 3) / 2), sample(X), fn=lambda x: F.rrelu_(x.clone())),
    activation("relu6", lambda x: np.clip(x, 0, 6)),
    activation("gelu", gelu, sample(X, approximate="tanh")),
    activation("silu", lambda x: x * sp.expit(x)),
    activation("mish", lambda x: x * np.tanh(softplus(x))),
    activation("hardsigmoid", hard_sigmoid),
    activation("hardswish", lambda x: x * hard_sigmoid(x)),
    activation("hardshrink", lambda x, l=0.5: np.where(np.abs(x) > l, x, 0)),
    activation("softshrink", lambda x, l=0.5: np.sign(x) * np.maximum(np.abs(x) - l, 0)),
    activation("softplus", softplus, sample(X, 2.0)),
    activation("softsign", lambda x: x / (1 + np.abs(x))),
    activation("tanhshrink", lambda x: x - np.tanh(x), half=3),
    activation("logsigmoid", sp.log_expit),
    activation("sigmoid", sp.expit),
    activation("tanh", np.tanh),
    op("nn.functional.glu", glu, sample(floats(2, 4)), sample(floats(4, 3), dim=0), errors=[(lambda: F.glu(fb.zeros(3)), ShapeError, "glu")]),
    op("nn.functional.prelu", prelu, sample(floats(2, 3, 2), floats(3)), sample(X, floats(1)), sample(floats(3), floats(1))),
    op("prelu", prelu, sample(floats(2, 3), floats(3))),
    *[op(f"nn.functional.{n}", f, sample(X, dim=1), sample(floats(3, 2), dim=0), half=2) for n, f in (
        ("softmax", lambda x, dim: sp.softmax(x, dim)), ("softmin", lambda x, dim: sp.softmax(-x, dim)), ("log_softmax", lambda x, dim: sp.log_softmax(x, dim)),
    )],
    *[op(n, f, sample(X)) for n, f in (("celu", celu), ("selu", selu), ("hardshrink", lambda x: np.where(np.abs(x) > 0.5, x, 0)))],
    *[op(f"{n}_", f, sample(X), fn=lambda x, n=n: getattr(fb, f"{n}_")(x.clone())) for n, f in (("celu", celu), ("selu", selu), ("relu", lambda x: np.maximum(x, 0)))],
    op("threshold", lambda x, t, v: np.where(x > t, x, v), sample(X, 0.1, 0.5)),
    op("rrelu", lambda x: leaky(x, (1 / 8 + 1 / 3) / 2), sample(X)),
]  # fmt: skip


# -- losses --------------------------------------------------------------------------------------------------------------------------------
def reduced(loss, reduction):
    return {"none": lambda: loss, "mean": loss.mean, "sum": loss.sum}[reduction]()


def elementwise_loss(formula):
    """A loss of each pair, then reduced."""

    def reference(x, y, *args, reduction="mean", **kwargs):
        return reduced(formula(x, y, *args, **kwargs), reduction)

    return reference


REDUCTIONS = ("none", "mean", "sum")


def loss(name, formula, x=X, y=X, *more, reference=None, path="nn.functional.", **options):
    samples = [sample(x, y, reduction=r) for r in REDUCTIONS]
    options = {"half": 2, **options}
    return op(f"{path}{name}", reference or elementwise_loss(formula), *samples, *more, **options)


def smooth_l1(x, y, beta=1.0):
    d = np.abs(x - y)
    return np.where(d < beta, d * d / (2 * beta), d - beta / 2)


def huber(x, y, delta=1.0):
    d = np.abs(x - y)
    return np.where(d <= delta, d * d / 2, delta * (d - delta / 2))


def bce(x, y, weight=1.0):
    return -weight * (y * np.log(x) + (1 - y) * np.log(1 - x))


def bce_logits(x, y, weight=1.0, pos_weight=1.0):
    return -weight * (pos_weight * y * sp.log_expit(x) + (1 - y) * sp.log_expit(-x))


def kl(x, y, log_target=False):
    return np.exp(y) * (y - x) if log_target else sp.xlogy(y, y) - y * x


def kl_reference(x, y, reduction="mean", log_target=False):
    return kl(x, y, log_target).sum() / len(x) if reduction == "batchmean" else reduced(kl(x, y, log_target), reduction)


def poisson(x, y, log_input=True, full=False, eps=1e-8):
    value = np.exp(x) - y * x if log_input else x - y * np.log(x + eps)
    stirling = np.where(y > 1, y * np.log(np.maximum(y, 1)) - y + 0.5 * np.log(2 * np.pi * np.maximum(y, 1)), 0)
    return value + stirling if full else value


def gaussian(x, y, var, full=False, eps=1e-6, reduction="mean"):
    var = np.maximum(var, eps)
    value = 0.5 * (np.log(var) + (x - y) ** 2 / var)
    return reduced(value + (0.5 * math.log(2 * math.pi) if full else 0), reduction)


def focal(x, y, alpha=0.25, gamma=2, reduction="none"):
    p = sp.expit(x)
    p_t, a_t = p * y + (1 - p) * (1 - y), alpha * y + (1 - alpha) * (1 - y)
    return reduced(a_t * (1 - p_t) ** gamma * bce_logits(x, y), reduction)


def nll(x, target, weight=None, ignore_index=-100, reduction="mean"):
    x = np.moveaxis(x, 1, -1) if x.ndim > 1 else x
    w = np.ones(x.shape[-1]) if weight is None else weight
    keep = target != ignore_index
    safe = np.where(keep, target, 0)
    w = w[safe] * keep
    losses = -w * np.take_along_axis(x, safe[..., None], -1)[..., 0]
    return losses.sum() / w.sum() if reduction == "mean" else reduced(losses, reduction)


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    log_p = sp.log_softmax(x, 1 if x.ndim > 1 else 0)
    n = x.shape[1 if x.ndim > 1 else 0]
    if target.dtype.kind == "f":
        target = target * (1 - label_smoothing) + label_smoothing / n
        losses = -(log_p * target * (1 if weight is None else weight)).sum(1 if x.ndim > 1 else 0)
        return losses.sum() / max(len(x) if x.ndim > 1 else 1, 1) if reduction == "mean" else reduced(losses, reduction)
    hard = nll(log_p, target, weight, ignore_index, reduction)
    if not label_smoothing:
        return hard
    w = np.ones(n) if weight is None else weight
    keep = target != ignore_index
    spread = -(np.moveaxis(log_p, 1, -1) * w).sum(-1) * keep
    smooth = spread.sum() / (w[np.where(keep, target, 0)] * keep).sum() if reduction == "mean" else reduced(spread, reduction)
    return (1 - label_smoothing) * hard + label_smoothing / n * smooth


def hinge(x, y, margin=1.0):
    return np.where(y == 1, x, np.maximum(0, margin - x))


def ranking(x1, x2, y, margin=0.0, reduction="mean"):
    return reduced(np.maximum(0, -y * (x1 - x2) + margin), reduction)


def cosine_embedding(x1, x2, y, margin=0.0, reduction="mean"):
    cos = (x1 * x2).sum(-1) / np.sqrt(((x1**2).sum(-1) + 1e-12) * ((x2**2).sum(-1) + 1e-12))
    return reduced(np.where(y == 1, 1 - cos, np.maximum(0, cos - margin)), reduction)


def multi_margin(x, y, p=1, margin=1.0, weight=None, reduction="mean"):
    w = np.ones(x.shape[1]) if weight is None else weight
    rows = []
    for row, t in zip(x, y):
        gaps = np.maximum(0, margin - row[t] + row) ** p
        gaps[t] = 0
        rows.append(w[t] * gaps.sum() / x.shape[1])
    return reduced(np.array(rows), reduction)


def multilabel_margin(x, y, reduction="mean"):
    rows = []
    for row, targets in zip(x, y):
        wanted = list(itertools.takewhile(lambda t: t >= 0, targets))
        rows.append(sum(max(0.0, 1 - (row[t] - row[i])) for t in wanted for i in range(len(row)) if i not in wanted) / len(row))
    return reduced(np.array(rows), reduction)


def multilabel_soft(x, y, weight=None, reduction="mean"):
    return reduced((bce_logits(x, y) * (1 if weight is None else weight)).mean(-1), reduction)


def triplet(a, p, n, margin=1.0, p_norm=2, swap=False, reduction="mean"):
    near, far = (np.linalg.norm(a - o + 1e-6, p_norm, axis=-1) for o in (p, n))
    if swap:
        far = np.minimum(far, np.linalg.norm(p - n + 1e-6, p_norm, axis=-1))
    return reduced(np.maximum(near - far + margin, 0), reduction)


def ctc(log_probs, targets, input_lengths, target_lengths, reduction="mean"):
    """The definition: the sum over all paths that spell the target."""
    losses = []
    for i in range(log_probs.shape[1]):
        length, classes = int(input_lengths[i]), log_probs.shape[2]
        wanted = tuple(targets[i, : int(target_lengths[i])])
        total = -np.inf
        for path in itertools.product(range(classes), repeat=length):
            spelt = tuple(k for k, _ in itertools.groupby(path) if k != 0)
            if spelt == wanted:
                total = np.logaddexp(total, sum(log_probs[t, i, k] for t, k in enumerate(path)))
        losses.append(-total)
    losses = np.array(losses)
    return (losses / np.maximum(target_lengths, 1)).mean() if reduction == "mean" else reduced(losses, reduction)


PROBABILITY = floats(2, 3, low=0.1, high=0.9)
SIGN = ints(2, 3, low=0, high=2, build=lambda a: 2 * a - 1)
SIGNS = ints(4, low=0, high=2, build=lambda a: 2 * a - 1)
CLASSES, TARGET = floats(4, 3), ints(4, low=0, high=3)
LABELS = ints(2, 4, build=lambda a: np.array([[2, 0, -1, 1], [1, -1, 0, 0]]))
LOG_PROBS = floats(4, 2, 3, build=lambda a: sp.log_softmax(a, -1))
POSITIVE = floats(2, 3, low=0.3, high=2)
LOSSES = [
    loss("mse_loss", lambda x, y: (x - y) ** 2, errors=[(lambda: F.mse_loss(fb.zeros(2), fb.zeros(2), reduction="avg"), FlambeauError, "reduction")]),
    loss("l1_loss", lambda x, y: np.abs(x - y)),
    loss("smooth_l1_loss", smooth_l1, X, X, sample(X, X, beta=0.5)),
    loss("huber_loss", huber, X, X, sample(X, X, delta=0.5)),
    loss("binary_cross_entropy", bce, PROBABILITY, floats(2, 3, low=0, high=1), sample(PROBABILITY, PROBABILITY, weight=floats(3, low=0.5, grad=False))),
    *[
        loss("binary_cross_entropy_with_logits", bce_logits, X, PROBABILITY, sample(X, PROBABILITY, pos_weight=floats(3, low=0.5, grad=False)), path=path)
        for path in ("nn.functional.", "")
    ],
    *[
        loss("kl_div", None, X, PROBABILITY, sample(X, PROBABILITY, reduction="batchmean"), sample(X, X, reduction="sum", log_target=True), reference=kl_reference, path=path)
        for path in ("nn.functional.", "")
    ],
    loss("poisson_nll_loss", poisson, X, POSITIVE, sample(POSITIVE, POSITIVE, log_input=False), sample(X, floats(2, 3, low=1.5, high=4, grad=False), full=True)),
    op("poisson_nll_loss", lambda x, y, log_input, full, eps, reduction: poisson(x, y).mean(), sample(X, POSITIVE, True, False, 1e-8, 1), fn=fb.poisson_nll_loss),
    op("nn.functional.gaussian_nll_loss", gaussian, sample(X, X, POSITIVE), sample(X, X, POSITIVE, full=True, reduction="none"),
       skip={"vmap": "it looks at the variances to refuse negative ones"}),
    op("nn.functional.sigmoid_focal_loss", focal, *[sample(X, floats(2, 3, low=0, high=1, grad=False), reduction=r) for r in REDUCTIONS], half=3),
    op("nn.functional.nll_loss", nll, *[sample(CLASSES, TARGET, reduction=r) for r in REDUCTIONS], sample(floats(2, 3, 2), ints(2, 2, low=0, high=3)),
       sample(CLASSES, TARGET, weight=floats(3, low=0.5, high=2, grad=False)), sample(CLASSES, TARGET, ignore_index=1, reduction="sum"),
       errors=[(lambda: F.nll_loss(fb.zeros(2, 3), fb.tensor([0, 3])), FlambeauError, "nll_loss|class")]),
    op("nn.functional.cross_entropy", cross_entropy, *[sample(CLASSES, TARGET, reduction=r) for r in REDUCTIONS], sample(floats(2, 3, 2), ints(2, 2, low=0, high=3)),
       sample(CLASSES, TARGET, label_smoothing=0.1), sample(CLASSES, TARGET, weight=floats(3, low=0.5, high=2, grad=False), label_smoothing=0.2),
       sample(CLASSES, floats(4, 3, build=lambda a: sp.softmax(a, -1))), sample(CLASSES, TARGET, ignore_index=0, reduction="sum"), half=2,
       errors=[(lambda: F.cross_entropy(fb.zeros(2, 3), fb.tensor([0, 5])), FlambeauError, "cross_entropy|class")]),
    op("nn.functional.linear_cross_entropy", lambda x, w, t, linear_bias: cross_entropy(x @ w.T + linear_bias, t), sample(floats(4, 2), floats(3, 2), TARGET, linear_bias=floats(3)), half=4),
    loss("hinge_embedding_loss", hinge, X, SIGN, half=1),
    op("hinge_embedding_loss", elementwise_loss(lambda x, y, *a: hinge(x, y)), sample(X, SIGN, 1.0, 1), fn=fb.hinge_embedding_loss),
    loss("soft_margin_loss", lambda x, y: np.log1p(np.exp(-y * x)), X, SIGN),
    op("nn.functional.margin_ranking_loss", ranking, sample(floats(4), floats(4), SIGNS), sample(floats(4), floats(4), SIGNS, margin=0.3, reduction="none")),
    op("margin_ranking_loss", lambda a, b, y, m, r: ranking(a, b, y, m), sample(floats(4), floats(4), SIGNS, 0.3, 1)),
    op("nn.functional.cosine_embedding_loss", cosine_embedding, sample(floats(4, 3), floats(4, 3), SIGNS), sample(floats(4, 3), floats(4, 3), SIGNS, margin=0.2, reduction="none"), half=4),
    op("cosine_embedding_loss", lambda a, b, y, m, r: cosine_embedding(a, b, y, m), sample(floats(4, 3), floats(4, 3), SIGNS, 0.2, 1), half=4),
    op("nn.functional.multi_margin_loss", multi_margin, sample(CLASSES, TARGET), sample(CLASSES, TARGET, p=2, margin=0.5, reduction="none"),
       sample(CLASSES, TARGET, weight=floats(3, low=0.5, grad=False)), half=3),
    op("nn.functional.multilabel_margin_loss", multilabel_margin, sample(floats(2, 4), LABELS), sample(floats(2, 4), LABELS, reduction="none"), half=3, vmap=False),
    op("nn.functional.multilabel_soft_margin_loss", multilabel_soft, sample(X, bools(2, 3)), fn=lambda x, y, **k: F.multilabel_soft_margin_loss(x, y.to(x.dtype), **k), half=2),
    op("nn.functional.triplet_margin_loss", triplet, sample(floats(4, 3), floats(4, 3), floats(4, 3)), sample(floats(4, 3), floats(4, 3), floats(4, 3), swap=True, reduction="none"), half=4),
    op("triplet_margin_loss", lambda a, p, n, m, o: triplet(a, p, n, m), sample(floats(4, 3), floats(4, 3), floats(4, 3), 0.5, 2), half=4),
    op("nn.functional.triplet_margin_with_distance_loss", triplet, sample(floats(4, 3), floats(4, 3), floats(4, 3)), half=4),
    *[
        op(name, ctc, *[sample(LOG_PROBS, ints(2, 2, low=1, high=3), np.array([4, 3]), np.array([2, 1]), reduction=r) for r in REDUCTIONS],
           fn=lambda x, t, i, n, reduction, f=f: f(x, t, tuple(map(int, i)), tuple(map(int, n)), reduction=reduction), dtypes=("float32",), meta=False, vmap=False,
           skip={"gradient": "PyTorch's gradient is that of scores before a log-softmax: checked in the parity tests", "second_gradient": "the same"})
        for name, f in (("nn.functional.ctc_loss", F.ctc_loss), ("ctc_loss", fb.ctc_loss))
    ],
    op("ctc of scores", lambda x, t: ctc(sp.log_softmax(x, -1), t, np.array([4, 3]), np.array([2, 1])), sample(floats(4, 2, 3), ints(2, 2, low=1, high=3)),
       fn=lambda x, t: F.ctc_loss(x.log_softmax(-1), t, (4, 3), (2, 1)), dtypes=("float32",), twice=False, meta=False, vmap=False),
]  # fmt: skip


# -- norms ----------------------------------------------------------------------------------------------------------------------------------
def standard(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def along(v, x):
    return v.reshape(-1, *(1,) * (x.ndim - 2))


def affine(z, weight, bias):
    z = z if weight is None else z * along(weight, z)
    return z if bias is None else z + along(bias, z)


def batch_norm(x, mean, var, weight=None, bias=None, training=False):
    if training:
        return affine(standard(x, (0, *range(2, x.ndim))), weight, bias)
    return affine((x - along(mean, x)) / np.sqrt(along(var, x) + 1e-5), weight, bias)


def group_norm(x, groups, weight=None, bias=None):
    z = standard(x.reshape(len(x), groups, -1), -1).reshape(x.shape)
    return affine(z, weight, bias)


def layer_norm(x, shape, weight=None, bias=None):
    z = standard(x, tuple(range(-len(shape), 0)))
    return z * (1 if weight is None else weight) + (0 if bias is None else bias)


def rms_norm(x, shape, weight=None, eps=None):
    axes = tuple(range(-len(shape), 0))
    z = x / np.sqrt((x * x).mean(axes, keepdims=True) + (np.finfo(x.dtype).eps if eps is None else eps))
    return z * (1 if weight is None else weight)


def local_response(x, size, alpha=1e-4, beta=0.75, k=1.0):
    padded = np.pad(x * x, [(0, 0), (size // 2, (size - 1) // 2)] + [(0, 0)] * (x.ndim - 2))
    mean = sum(padded[:, i : i + x.shape[1]] for i in range(size)) / size
    return x / (k + alpha * mean) ** beta


def normalize(x, p=2.0, dim=1):
    return x / np.maximum(np.linalg.norm(x, p, axis=dim, keepdims=True), 1e-12)


IMAGE = floats(3, 4, 2)
SCALE, SHIFT = floats(4), floats(4)
NORMS = [
    op("nn.functional.batch_norm", batch_norm, sample(IMAGE, floats(4, grad=False), floats(4, low=0.5, grad=False), SCALE, SHIFT),
       sample(floats(5, 4), None, None, SCALE, SHIFT, training=True), sample(IMAGE, None, None, training=True), half=4, vmap=False,
       errors=[(lambda: F.batch_norm(fb.zeros(1, 4), None, None, training=True), FlambeauError, "batch_norm")]),
    op("nn.functional.instance_norm", lambda x, weight=None, bias=None: affine(standard(x, tuple(range(2, x.ndim))), weight, bias),
       sample(floats(2, 3, 4)), sample(floats(2, 3, 2, 2), weight=floats(3), bias=floats(3)), half=4),
    *[op(n, group_norm, sample(IMAGE, 2), sample(IMAGE, 2, SCALE, SHIFT), half=4) for n in ("nn.functional.group_norm", "group_norm")],
    *[op(n, layer_norm, sample(floats(2, 3, 4), (4,), SCALE, SHIFT), sample(floats(2, 3, 4), (3, 4)), half=4,
         errors=[(lambda f=n: F.layer_norm(fb.zeros(2, 3), (4,)), ShapeError, "layer_norm")]) for n in ("nn.functional.layer_norm", "layer_norm")],
    *[op(n, rms_norm, sample(floats(2, 4), (4,), SCALE), sample(floats(2, 4), (4,), eps=1e-3), half=4, dtypes=("float32",)) for n in ("nn.functional.rms_norm", "rms_norm")],
    op("nn.functional.local_response_norm", local_response, sample(floats(2, 5, 3), 3, 0.5), sample(floats(2, 5, 2, 2), 2, 0.5), half=2),
    op("nn.functional.normalize", normalize, sample(floats(2, 3)), sample(floats(2, 3), p=1.0, dim=0), half=2),
]  # fmt: skip
CASES = [*ACTIVATIONS, *LOSSES, *NORMS]
