"""Cases of normalisation, embedding, attention, padding, interpolation and sampling. See compare.py."""

from __future__ import annotations

import numpy as np

from tests.functional.compare import bools, exactly, fixed, ints, normal, uniform


def batch(training, **options):
    def program(F, lib, x, mean, var, w=None, b=None):
        y = F.batch_norm(x, mean, var, w, b, training, **options)
        return y, mean, var

    return program


STATS = [fixed(normal(3)), fixed(uniform(3))]


def instance(use, **options):
    def program(F, lib, x, mean, var, w, b):
        return F.instance_norm(x, mean, var, w, b, use, **options), mean, var

    return program


NORMS = [
    ("batch_norm-train", batch(True), [normal(4, 3), *STATS, normal(3), normal(3)]),
    ("batch_norm-train-2d", batch(True, momentum=0.3, eps=1e-2), [normal(2, 3, 4, 5), *STATS, normal(3), normal(3)]),
    ("batch_norm-train-3d", batch(True), [normal(2, 3, 2, 4, 3), *STATS, normal(3)]),
    ("batch_norm-plain", batch(True), [normal(2, 3, 5), *STATS]),
    ("batch_norm-eval", batch(False), [normal(2, 3, 4, 5), *STATS, normal(3), normal(3)]),
    ("batch_norm-eval-plain", batch(False), [normal(4, 3), *STATS]),
    ("batch_norm-no-stats", lambda F, lib, x: F.batch_norm(x, None, None, training=True), [normal(4, 3, 2)]),
    ("batch_norm-offset", batch(True), [lambda rng: rng.standard_normal((6, 3, 4)) + 30, *STATS, normal(3), normal(3)]),
    ("instance_norm", instance(True), [normal(2, 3, 4, 5), *STATS, normal(3), normal(3)]),
    ("instance_norm-running", instance(False), [normal(2, 3, 4, 5), *STATS, normal(3), normal(3)]),
    ("instance_norm-1d", lambda F, lib, x: F.instance_norm(x), [normal(2, 3, 7)]),
    ("layer_norm", lambda F, lib, x, w, b: F.layer_norm(x, (5,), w, b), [normal(4, 5), normal(5), normal(5)]),
    ("layer_norm-two", lambda F, lib, x, w: F.layer_norm(x, (3, 4), w, eps=0.1), [normal(2, 3, 4), normal(3, 4)]),
    ("layer_norm-one", lambda F, lib, x: F.layer_norm(x, (5,)), [normal(5)]),
    ("layer_norm-empty", lambda F, lib, x, w, b: F.layer_norm(x, (5,), w, b), [normal(0, 5), normal(5), normal(5)]),
    ("layer_norm-transposed", lambda F, lib, x, w: F.layer_norm(x.mT, (4,), w), [normal(4, 6), normal(4)]),
    ("rms_norm", lambda F, lib, x, w: F.rms_norm(x, (5,), w, 1e-5), [normal(4, 5), normal(5)]),
    ("rms_norm-default", lambda F, lib, x: F.rms_norm(x, (3, 4)), [normal(2, 3, 4)]),
    ("group_norm", lambda F, lib, x, w, b: F.group_norm(x, 3, w, b), [normal(2, 6, 4, 5), normal(6), normal(6)]),
    ("group_norm-one", lambda F, lib, x: F.group_norm(x, 1), [normal(3, 4)]),
    ("local_response_norm", lambda F, lib, x: F.local_response_norm(x, 3, 0.5, 0.7, 1.5), [normal(2, 5, 3, 4)]),
    ("local_response_norm-3", lambda F, lib, x: F.local_response_norm(x, 4), [normal(2, 5, 3)]),
    ("normalize", lambda F, lib, x: F.normalize(x), [normal(3, 4)]),
    ("normalize-p", lambda F, lib, x: F.normalize(x, p=3, dim=0, eps=0.1), [normal(3, 4)]),
    ("normalize-short", lambda F, lib, x: F.normalize(x * 1e-3, eps=0.1), [normal(3, 4)]),
    ("normalize-1", lambda F, lib, x: F.normalize(x, p=1, dim=-1), [normal(2, 3, 4)]),
]

TABLE = normal(7, 3)
EMBEDDINGS = [
    ("embedding", lambda F, lib, i, w: F.embedding(i, w), [ints(7, 4, 5), TABLE]),
    ("embedding-scalar", lambda F, lib, i, w: F.embedding(i, w), [ints(7), TABLE]),
    ("embedding-empty", lambda F, lib, i, w: F.embedding(i, w), [ints(7, 0, 2), TABLE]),
    ("embedding-padding", lambda F, lib, i, w: F.embedding(i, w, padding_idx=-2), [ints(7, 4, 5), TABLE]),
    ("embedding-frequency", lambda F, lib, i, w: F.embedding(i, w, scale_grad_by_freq=True), [ints(4, 4, 5), TABLE]),
    ("embedding-max_norm", lambda F, lib, i, w: (F.embedding(i, w, max_norm=1.0), w), [ints(5, 6), fixed(TABLE)]),
    ("embedding-max_norm-1", lambda F, lib, i, w: (F.embedding(i, w, max_norm=1.5, norm_type=1.0), w), [ints(5, 6), fixed(TABLE)]),
    *[(f"bag-{m}", lambda F, lib, i, w, m=m: F.embedding_bag(i, w, mode=m), [ints(7, 4, 5), TABLE]) for m in ("sum", "mean", "max")],
    *[
        (f"bag-offsets-{m}", lambda F, lib, i, w, m=m: F.embedding_bag(i, w, lib.tensor([0, 3, 3, 7]), mode=m), [ints(7, 9), TABLE])
        for m in ("sum", "mean", "max")
    ],
    *[
        (
            f"bag-padding-{m}",
            lambda F, lib, i, w, m=m: F.embedding_bag(i, w, lib.tensor([0, 2, 6]), mode=m, padding_idx=1),
            [ints(3, 9), TABLE],
        )
        for m in ("sum", "mean", "max")
    ],
    ("bag-weights", lambda F, lib, i, w, s: F.embedding_bag(i, w, per_sample_weights=s, mode="sum"), [ints(7, 4, 5), TABLE, normal(4, 5)]),
    ("bag-last-offset", lambda F, lib, i, w: F.embedding_bag(i, w, lib.tensor([0, 4, 9]), include_last_offset=True), [ints(7, 9), TABLE]),
    ("bag-empty-last", lambda F, lib, i, w: F.embedding_bag(i, w, lib.tensor([0, 4, 9]), mode="max"), [ints(7, 9), TABLE]),
    ("one_hot", lambda F, lib, i: F.one_hot(i), [ints(5, 3, 4)]),
    ("one_hot-classes", lambda F, lib, i: F.one_hot(i, 8), [ints(5, 3)]),
]

QKV = [normal(2, 3, 4, 5), normal(2, 3, 6, 5), normal(2, 3, 6, 7)]


def sdpa(**options):
    return lambda F, lib, q, k, v, *mask: F.scaled_dot_product_attention(q, k, v, *mask, **options)


DEAD = exactly(np.array([[True, False, True, True, False, True], [False] * 6, [True] * 6, [False, False, False, False, False, True]]))
ATTENTION = [
    ("sdpa", sdpa(), QKV),
    ("sdpa-3", sdpa(), [normal(2, 4, 5), normal(2, 6, 5), normal(2, 6, 5)]),
    ("sdpa-2", sdpa(scale=0.3), [normal(4, 5), normal(6, 5), normal(6, 5)]),
    ("sdpa-causal", sdpa(is_causal=True), [normal(2, 3, 6, 5), normal(2, 3, 6, 5), normal(2, 3, 6, 5)]),
    ("sdpa-causal-longer", sdpa(is_causal=True), [normal(2, 7, 5), normal(2, 4, 5), normal(2, 4, 5)]),
    ("sdpa-bool", sdpa(), [*QKV, bools(2, 1, 4, 6)]),
    ("sdpa-dead-rows", sdpa(), [*QKV, DEAD]),
    ("sdpa-float", sdpa(), [*QKV, normal(4, 6)]),
    (
        "sdpa-float-dead",
        lambda F, lib, q, k, v, m: F.scaled_dot_product_attention(q, k, v, lib.zeros(4, 6, dtype=q.dtype).masked_fill(~m, float("-inf"))),
        [*QKV, DEAD],
    ),
    ("sdpa-gqa", sdpa(enable_gqa=True), [normal(2, 6, 4, 5), normal(2, 2, 6, 5), normal(2, 2, 6, 5)]),
]


def mha(**options):
    """Self-attention with 2 heads of 3."""

    def program(F, lib, x, w, b, ow, ob):
        return F.multi_head_attention_forward(x, x, x, 6, 2, w, b, None, None, False, 0.0, ow, ob, **options)

    return program


SELF = [normal(4, 3, 6), normal(18, 6), normal(18), normal(6, 6), normal(6)]
PADDED = np.array([[False] * 4, [False, False, True, True], [False, True, False, False]])
CAUSAL = np.triu(np.ones((4, 4), bool), 1)


def with_masks(lib, padding=None, causal=None):
    return {
        "key_padding_mask": None if padding is None else lib.tensor(padding),
        "attn_mask": None if causal is None else lib.tensor(causal),
    }


def cross(F, lib, q, kv, w, ow, bk, bv):
    return F.multi_head_attention_forward(
        q, kv, kv, 6, 3, w, None, bk, bv, True, 0.0, ow, None, need_weights=True, average_attn_weights=False,
        **with_masks(lib, np.array([[False] * 5, [True, False, False, True, False]]), np.eye(4, 5, dtype=bool)),
    )  # fmt: skip


def separate(F, lib, q, k, v, qw, kw, vw, b, ow):
    return F.multi_head_attention_forward(
        q, k, v, 6, 2, None, b, None, None, False, 0.0, ow, None, use_separate_proj_weight=True, q_proj_weight=qw, k_proj_weight=kw,
        v_proj_weight=vw, need_weights=False,
    )  # fmt: skip


ATTENTION += [
    ("mha-self", mha(), SELF),
    ("mha-per-head", mha(average_attn_weights=False), SELF),
    ("mha-fast", mha(need_weights=False), SELF),
    ("mha-unbatched", mha(), [normal(4, 6), *SELF[1:]]),
    ("mha-padding", lambda F, lib, *a: mha(**with_masks(lib, PADDED))(F, lib, *a), SELF),
    ("mha-padding-fast", lambda F, lib, *a: mha(need_weights=False, **with_masks(lib, PADDED))(F, lib, *a), SELF),
    ("mha-masks", lambda F, lib, *a: mha(**with_masks(lib, PADDED, CAUSAL))(F, lib, *a), SELF),
    ("mha-causal", lambda F, lib, *a: mha(need_weights=False, is_causal=True, **with_masks(lib, None, CAUSAL))(F, lib, *a), SELF),
    ("mha-mask-3", lambda F, lib, *a: mha(attn_mask=lib.tensor(np.stack([CAUSAL] * 6)))(F, lib, *a), SELF),
    ("mha-cross", cross, [normal(4, 2, 6), normal(5, 2, 6), normal(18, 6), normal(6, 6), normal(1, 1, 6), normal(1, 1, 6)]),
    (
        "mha-separate",
        separate,
        [normal(4, 2, 6), normal(5, 2, 3), normal(5, 2, 4), normal(6, 6), normal(6, 3), normal(6, 4), normal(18), normal(6, 6)],
    ),
]


def resized(shape, **options):
    label = "-".join(f"{k}={v}" for k, v in options.items())
    return (f"interpolate-{shape}-{label}", lambda F, lib, x: F.interpolate(x, **options), [normal(*shape)])


ONE, TWO, THREE = (2, 3, 7), (2, 3, 7, 5), (1, 2, 3, 4, 5)
RESAMPLING = [
    *[
        (f"pad-{m}", lambda F, lib, x, m=m: F.pad(x, (2, 1, 0, 3), mode=m), [normal(2, 3, 5, 4)])
        for m in ("constant", "reflect", "replicate", "circular")
    ],
    *[(f"pad-{m}-1", lambda F, lib, x, m=m: F.pad(x, (1, 3), mode=m), [normal(2, 3, 5)]) for m in ("reflect", "replicate", "circular")],
    *[
        (f"pad-{m}-3", lambda F, lib, x, m=m: F.pad(x, (1, 2, 2, 0, 1, 1), mode=m), [normal(1, 2, 3, 4, 5)])
        for m in ("reflect", "replicate", "circular")
    ],
    ("pad-value", lambda F, lib, x: F.pad(x, (1, 0), value=2.5), [normal(3, 2)]),
    ("pad-crop", lambda F, lib, x: F.pad(x, (-1, 2, 1, -2)), [normal(3, 5, 4)]),
    ("pad-replicate-crop", lambda F, lib, x: F.pad(x, (-1, 2), mode="replicate"), [normal(3, 2, 5)]),
    ("pad-int", lambda F, lib, x: F.pad(x, (1, 2), value=7), [ints(9, 3, 4)]),
    ("pad-none", lambda F, lib, x: F.pad(x, (0, 0)), [normal(3, 2)]),
    *[resized(ONE, size=n, mode=m) for n in (3, 7, 14, 20) for m in ("nearest", "nearest-exact", "linear", "area")],
    *[
        resized(TWO, size=s, mode=m)
        for s in ((3, 9), (14, 10), (7, 5), (1, 1))
        for m in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
    ],
    *[resized(THREE, size=(5, 3, 9), mode=m) for m in ("nearest", "nearest-exact", "trilinear", "area")],
    *[resized(TWO, size=(4, 9), mode=m, align_corners=True) for m in ("bilinear", "bicubic")],
    resized(TWO, size=(1, 1), mode="bilinear", align_corners=True),
    resized(ONE, size=11, mode="linear", align_corners=True),
    resized(THREE, size=(5, 2, 7), mode="trilinear", align_corners=True),
    *[resized(TWO, scale_factor=f, mode=m) for f in (0.6, 1.3, 2.0, (1.7, 0.5)) for m in ("nearest", "bilinear", "bicubic", "area")],
    *[resized(TWO, scale_factor=1.3, mode=m, recompute_scale_factor=True) for m in ("nearest", "bilinear", "bicubic")],
    *[resized((1, 2, 17, 13), size=(5, 20), mode=m, antialias=True) for m in ("bilinear", "bicubic")],
    *[resized((1, 2, 17, 13), scale_factor=0.4, mode=m, antialias=True) for m in ("bilinear", "bicubic")],
    resized((1, 2, 17, 13), size=(6, 5), mode="bilinear", antialias=True, align_corners=True),
    resized((0, 2, 4, 5), size=(3, 3), mode="bilinear"),
    ("upsample_nearest", lambda F, lib, x: F.upsample_nearest(x, scale_factor=2), [normal(*TWO)]),
    ("upsample_bilinear", lambda F, lib, x: F.upsample_bilinear(x, scale_factor=2), [normal(*TWO)]),
    ("pixel_shuffle", lambda F, lib, x: F.pixel_shuffle(x, 2), [normal(2, 8, 3, 2)]),
    ("pixel_unshuffle", lambda F, lib, x: F.pixel_unshuffle(x, 3), [normal(8, 3, 6)]),
    ("channel_shuffle", lambda F, lib, x: F.channel_shuffle(x, 3), [normal(2, 6, 3, 2)]),
    *[
        (f"affine_grid-{a}", lambda F, lib, t, a=a: F.affine_grid(t, (2, 3, 4, 5), align_corners=a), [normal(2, 2, 3)])
        for a in (True, False)
    ],
    ("affine_grid-3d", lambda F, lib, t: F.affine_grid(t, (2, 3, 4, 5, 1), align_corners=False), [normal(2, 3, 4)]),
]


def points(mode, *shape):
    """For "nearest" PyTorch gives a gradient of zeros, and ours none."""
    grid = uniform(*shape, low=-1.6, high=1.6)
    return fixed(grid) if mode == "nearest" else grid


RESAMPLING += [
    (
        f"grid_sample-{dims}-{mode}-{padding}-{corners}",
        lambda F, lib, x, g, m=mode, p=padding, a=corners: F.grid_sample(x, g, m, p, a),
        [normal(2, 3, *(4, 5, 3)[:dims]), points(mode, 2, *(3, 6, 2)[:dims], dims)],
    )
    for dims in (2, 3)
    for mode in ("bilinear", "nearest", "bicubic")
    for padding in ("zeros", "border", "reflection")
    for corners in (True, False)
    if not (dims == 3 and mode == "bicubic")
]

CASES = NORMS + EMBEDDINGS + ATTENTION + RESAMPLING
