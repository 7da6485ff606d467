"""Cases of losses and distances. See compare.py."""

from __future__ import annotations

from tests.functional.compare import exactly, fixed, ints, normal, uniform

MODES = ("none", "mean", "sum")


def every(name, makers, **options):
    """A case for each reduction."""

    def case(mode):
        return lambda F, lib, *tensors: getattr(F, name)(*tensors, reduction=mode, **options)

    label = "-".join([name, *(f"{k}={v}" for k, v in options.items())])
    return [(f"{label}-{mode}-{len(makers)}x{i}", case(mode), makers) for i, mode in enumerate(MODES)]


def signs(*shape):
    return fixed(lambda rng: rng.choice([-1.0, 1.0], shape))


PAIR = [normal(3, 4), normal(3, 4)]
REGRESSION = [
    *every("mse_loss", PAIR),
    *every("l1_loss", PAIR),
    *every("smooth_l1_loss", PAIR),
    *every("smooth_l1_loss", PAIR, beta=0.3),
    *every("smooth_l1_loss", PAIR, beta=0.0),
    *every("huber_loss", PAIR, delta=0.7),
    *every("mse_loss", [normal(0, 4), normal(0, 4)])[:1],
    ("mse-weight", lambda F, lib, x, y, w: F.mse_loss(x, y, weight=w), [*PAIR, uniform(3, 4)]),
    ("l1-weight", lambda F, lib, x, y, w: F.l1_loss(x, y, reduction="sum", weight=w), [*PAIR, uniform(3, 4)]),
    ("huber-weight", lambda F, lib, x, y, w: F.huber_loss(x, y, weight=w), [*PAIR, uniform(3, 4)]),
    *every("kl_div", [normal(3, 4), uniform(3, 4)], log_target=False)[::2],
    *every("kl_div", PAIR, log_target=True)[::2],
    ("kl_div-batchmean", lambda F, lib, x, y: F.kl_div(x, y, reduction="batchmean"), [normal(3, 4), uniform(3, 4)]),
    ("kl_div-zero", lambda F, lib, x, y: F.kl_div(x, y.detach(), reduction="sum"), [normal(3), exactly([0.0, 0.2, 0.8])]),
    *every("poisson_nll_loss", [normal(3, 4), uniform(3, 4, high=5.0)]),
    *every("poisson_nll_loss", [uniform(3, 4), uniform(3, 4, high=5.0)], log_input=False, full=True),
    *every("gaussian_nll_loss", [*PAIR, uniform(3, 4)]),
    *every("gaussian_nll_loss", [*PAIR, uniform(3, 1)], full=True),
    *every("gaussian_nll_loss", [*PAIR, uniform(3)], eps=0.4),
]

CLASSES = [normal(5, 4), ints(4, 5)]
IGNORED = exactly([1, -100, 3, 0, -100])
CLASSIFICATION = [
    *every("binary_cross_entropy", [uniform(3, 4), uniform(3, 4)]),
    ("bce-weight", lambda F, lib, x, y, w: F.binary_cross_entropy(x, y, w), [uniform(3, 4), uniform(3, 4), fixed(uniform(3, 1))]),
    *every("binary_cross_entropy_with_logits", [normal(3, 4), uniform(3, 4)]),
    (
        "bce-logits-weights",
        lambda F, lib, x, y, w, p: F.binary_cross_entropy_with_logits(x, y, w, pos_weight=p),
        [normal(3, 4), uniform(3, 4), fixed(uniform(3, 4)), fixed(uniform(4, high=3.0))],
    ),
    (
        "bce-logits-edges",
        lambda F, lib, x, y: F.binary_cross_entropy_with_logits(x, y.detach(), reduction="none"),
        [exactly([0.0, 100.0, -100.0, 1000.0, -1000.0]), exactly([1.0, 0.0, 1.0, 1.0, 0.0])],
    ),
    *every("nll_loss", CLASSES),
    *every("nll_loss", [normal(5, 4), IGNORED]),
    *every("nll_loss", [normal(5, 4), ints(4, 5), fixed(uniform(4))]),
    *every("nll_loss", [normal(2, 4, 3, 2), ints(4, 2, 3, 2)], ignore_index=2),
    *every("nll_loss", [normal(4), ints(4)]),
    *every("cross_entropy", CLASSES),
    *every("cross_entropy", CLASSES, label_smoothing=0.1),
    *every("cross_entropy", [normal(5, 4), IGNORED, fixed(uniform(4))]),
    *every("cross_entropy", [normal(5, 4), IGNORED, fixed(uniform(4))], label_smoothing=0.3),
    *every("cross_entropy", [normal(2, 4, 3, 2), ints(4, 2, 3, 2)], ignore_index=2, label_smoothing=0.2),
    *every("cross_entropy", [normal(4), ints(4)], label_smoothing=0.2),
    *every("cross_entropy", [normal(5, 4), uniform(5, 4)]),
    *every("cross_entropy", [normal(2, 4, 3), uniform(2, 4, 3), fixed(uniform(4))], label_smoothing=0.2),
    *every("cross_entropy", [normal(4), uniform(4)]),
    *every("cross_entropy", [normal(0, 4), ints(4, 0)]),
    ("cross_entropy-large", lambda F, lib, x, t: F.cross_entropy(x * 1000, t), CLASSES),
    ("cross_entropy-all-ignored", lambda F, lib, x, t: F.cross_entropy(x, t * 0 - 100), CLASSES),
    (
        "linear_cross_entropy",
        lambda F, lib, x, w, t: F.linear_cross_entropy(x, w, t, label_smoothing=0.1),
        [normal(5, 3), normal(4, 3), ints(4, 5)],
    ),
]

MARGINS = [
    *every("hinge_embedding_loss", [normal(3, 4), signs(3, 4)])[1:],
    ("hinge_embedding", lambda F, lib, x, y: F.hinge_embedding_loss(x, y.detach(), 0.7, reduction="none"), [normal(12), signs(12)]),
    ("margin_ranking", lambda F, lib, x, y, t: F.margin_ranking_loss(x, y, t, 0.3), [normal(6), normal(6), signs(6)]),
    ("cosine_embedding", lambda F, lib, x, y, t: F.cosine_embedding_loss(x, y, t.detach(), 0.2), [normal(6, 3), normal(6, 3), signs(6)]),
    ("cosine_embedding-one", lambda F, lib, x, y: F.cosine_embedding_loss(x, y, lib.tensor(-1), reduction="none"), [normal(3), normal(3)]),
    *every("soft_margin_loss", [normal(3, 4), signs(3, 4)]),
    *every("multi_margin_loss", CLASSES),
    *every("multi_margin_loss", [normal(5, 4), ints(4, 5)], p=2, margin=0.6),
    (
        "multi_margin-weight",
        lambda F, lib, x, t, w: F.multi_margin_loss(x, t, weight=w.detach()),
        [normal(5, 4), ints(4, 5), fixed(uniform(4))],
    ),
    ("multi_margin-one", lambda F, lib, x, t: F.multi_margin_loss(x, t, reduction="none"), [normal(4), ints(4)]),
    *every("multilabel_margin_loss", [normal(3, 4), exactly([[3, 0, -1, 1], [-1, 0, 1, 2], [0, 1, 2, 3]])]),
    ("multilabel_margin-one", lambda F, lib, x, t: F.multilabel_margin_loss(x, t, reduction="none"), [normal(4), exactly([3, 0, -1, 1])]),
    *every("multilabel_soft_margin_loss", [normal(3, 4), uniform(3, 4)]),
    (
        "multilabel_soft_margin-weight",
        lambda F, lib, x, t, w: F.multilabel_soft_margin_loss(x, t, w),
        [normal(3, 4), uniform(3, 4), uniform(4)],
    ),
    *every("triplet_margin_loss", [normal(5, 3), normal(5, 3), normal(5, 3)]),
    *every("triplet_margin_loss", [normal(5, 3), normal(5, 3), normal(5, 3)], p=1, swap=True, margin=2.0),
    *every("triplet_margin_with_distance_loss", [normal(5, 3), normal(5, 3), normal(5, 3)], swap=True),
    (
        "triplet-own-distance",
        lambda F, lib, a, p, n: F.triplet_margin_with_distance_loss(a, p, n, distance_function=lambda x, y: 1 - F.cosine_similarity(x, y)),
        [normal(5, 3), normal(5, 3), normal(5, 3)],
    ),
    ("pairwise_distance", lambda F, lib, x, y: F.pairwise_distance(x, y), PAIR),
    ("pairwise_distance-p", lambda F, lib, x, y: F.pairwise_distance(x, y, 3.0, keepdim=True), PAIR),
    ("pairwise_distance-broadcast", lambda F, lib, x, y: F.pairwise_distance(x, y, 1.0), [normal(3, 4), normal(4)]),
    ("cosine_similarity", lambda F, lib, x, y: F.cosine_similarity(x, y), PAIR),
    ("cosine_similarity-dim", lambda F, lib, x, y: F.cosine_similarity(x, y, dim=0), [normal(3, 4), normal(3, 1)]),
    ("cosine_similarity-small", lambda F, lib, x, y: F.cosine_similarity(x * 1e-3, y, eps=0.01), PAIR),
    *[(f"pdist-{p}", lambda F, lib, x, p=p: F.pdist(x, p), [normal(5, 3)]) for p in (1.0, 2.0, 3.0, float("inf"))],
]


def ctc(targets, input_lengths, target_lengths, **options):
    def program(F, lib, x):
        scores = F.log_softmax(x, -1)
        return F.ctc_loss(scores, lib.tensor(targets), lib.tensor(input_lengths), lib.tensor(target_lengths), **options)

    return program


PADDED = [[1, 2, 2, 3], [3, 1, 9, 9], [4, 4, 4, 9]]
CTC = [
    ("ctc-mean", ctc(PADDED, [9, 7, 8], [4, 2, 3]), [normal(9, 3, 5)]),
    ("ctc-none", ctc(PADDED, [9, 7, 8], [4, 2, 3], reduction="none"), [normal(9, 3, 5)]),
    ("ctc-sum-blank", ctc([[0, 1, 1], [2, 0, 2]], [6, 6], [3, 3], reduction="sum", blank=4), [normal(6, 2, 5)]),
    ("ctc-concatenated", ctc([1, 2, 2, 3, 3, 1, 4, 4, 4], [9, 7, 8], [4, 2, 3]), [normal(9, 3, 5)]),
    ("ctc-empty-target", ctc([[1, 2], [1, 1]], [5, 4], [2, 0], reduction="none"), [normal(5, 2, 5)]),
    ("ctc-zero-infinity", ctc(PADDED, [9, 2, 3], [4, 2, 3], reduction="none", zero_infinity=True), [normal(9, 3, 5)]),
    ("ctc-one", ctc([1, 2, 2], [7], [3]), [normal(7, 5)]),
    ("ctc-long", ctc([[1 + i % 7 for i in range(120)]], [700], [120]), [normal(700, 1, 8)]),
    ("ctc-sharp", ctc(PADDED, [9, 7, 8], [4, 2, 3]), [lambda rng: rng.standard_normal((9, 3, 5)) * 200]),
]

CASES = REGRESSION + CLASSIFICATION + MARGINS
