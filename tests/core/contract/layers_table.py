"""Contract cases of the layers of flambeau.nn: how each is built, on what it runs, and the names in its state dict (PyTorch's)."""

from __future__ import annotations

import numpy as np

import flambeau as fb
from flambeau import nn
from flambeau.testing import LayerCase, floats, ints, sample
from tests.core.contract.tables import permuted

AFFINE = ("weight", "bias")
RUNNING = (*AFFINE, "running_mean", "running_var", "num_batches_tracked")
SEQ, MAP, VOL = floats(2, 4, 6), floats(2, 4, 5, 4), floats(2, 4, 4, 3, 4)
IMAGES = {1: SEQ, 2: MAP, 3: VOL}
X, Y = floats(4, 5), floats(4, 5)
ONLY32 = {"dtypes": ("float64",)}


def layer(name, args, *inputs, kwargs=None, state=(), remark="", **options):
    make = options.pop("make", None) or (lambda: getattr(nn, name)(*args, **(kwargs or {})))
    return LayerCase(f"{name}{remark}", make, [sample(*inputs)], state=state, **options)


PLAIN = """
CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh Identity LeakyReLU LogSigmoid Mish RReLU ReLU ReLU6 SELU SiLU Sigmoid Softplus Softshrink
Softsign Tanh Tanhshrink
""".split()
ACTIVATIONS = [
    *[layer(n, (), X) for n in PLAIN],
    *[layer(n, (1,), X) for n in ("Softmax", "Softmin", "LogSoftmax")],
    layer("Softmax2d", (), MAP),
    layer("Threshold", (0.1, 0.5), X),
    layer("GLU", (), floats(3, 4)),
    layer("PReLU", (4,), MAP, state=("weight",)),
]
DROPOUTS = [
    layer(n, (0.5,), x)
    for n, x in (
        ("Dropout", X),
        ("Dropout1d", SEQ),
        ("Dropout2d", MAP),
        ("Dropout3d", VOL),
        ("AlphaDropout", X),
        ("FeatureAlphaDropout", MAP),
    )
]
LINEAR = [
    layer("Linear", (5, 3), X, state=AFFINE, shapes=[(4, 3)], reference=lambda m, x: x @ m.weight.t() + m.bias),
    layer("Bilinear", (5, 5, 3), X, Y, state=AFFINE, shapes=[(4, 3)]),
    layer("Flatten", (), MAP, shapes=[(2, 80)]),
    layer("Unflatten", (1, (2, 2)), SEQ, shapes=[(2, 2, 2, 6)]),
    layer("Embedding", (7, 3), ints(2, 4, low=0, high=7), state=("weight",), shapes=[(2, 4, 3)]),
    layer(
        "EmbeddingBag",
        (7, 3),
        ints(2, 4, low=0, high=7),
        state=("weight",),
        shapes=[(2, 3)],
        skip={"meta": "it looks at the numbers of the rows"},
    ),
]
CONVOLUTIONS = [
    layer(f"Conv{d}d", (4, 6, 3), IMAGES[d], kwargs={"padding": 1, "groups": 2}, state=AFFINE, shapes=[(2, 6, *IMAGES[d].shape[2:])])
    for d in (1, 2, 3)
] + [
    layer(f"ConvTranspose{d}d", (4, 3, 3), IMAGES[d], kwargs={"padding": 1}, state=AFFINE, shapes=[(2, 3, *IMAGES[d].shape[2:])])
    for d in (1, 2, 3)
]
NORMS = [
    *[layer(f"BatchNorm{d}d", (4,), IMAGES[d], state=RUNNING) for d in (1, 2, 3)],
    *[layer(f"InstanceNorm{d}d", (4,), IMAGES[d], kwargs={"affine": True}, state=AFFINE) for d in (1, 2, 3)],
    layer("LayerNorm", (5,), X, state=AFFINE),
    layer("RMSNorm", (5,), X, state=("weight",)),
    layer("GroupNorm", (2, 4), MAP, state=AFFINE),
    layer("LocalResponseNorm", (3,), MAP),
    layer("CrossMapLRN2d", (3,), MAP),
]
DISTINCT = {d: floats(*IMAGES[d].shape, build=permuted) for d in (1, 2, 3)}


def unpooling(d):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool, self.unpool = getattr(nn, f"MaxPool{d}d")(2, return_indices=True), getattr(nn, f"MaxUnpool{d}d")(2)

        def forward(self, x):
            return self.unpool(*self.pool(x), output_size=tuple(x.shape))

    return Both


POOLS = [
    *[layer(f"MaxPool{d}d", (2,), DISTINCT[d]) for d in (1, 2, 3)],
    *[layer(f"AvgPool{d}d", (2,), IMAGES[d]) for d in (1, 2, 3)],
    *[layer(f"LPPool{d}d", (2.0, 2), floats(*IMAGES[d].shape, low=0.1)) for d in (1, 2, 3)],
    *[layer(f"AdaptiveAvgPool{d}d", (2,), IMAGES[d]) for d in (1, 2, 3)],
    *[layer(f"AdaptiveMaxPool{d}d", (2,), DISTINCT[d]) for d in (1, 2, 3)],
    *[layer(f"MaxUnpool{d}d", (), DISTINCT[d], make=unpooling(d), skip={"copies": "the class is made here", "printing": "the same"}) for d in (1, 2, 3)],
    *[
        layer(
            f"FractionalMaxPool{d}d", (2, (2,) * d), DISTINCT[d],
            kwargs={"_random_samples": fb.tensor(np.full((2, 4, d), 0.4))}, state=("_random_samples",),
            skip={"meta": "it looks at the random numbers", "precision": "the random numbers have one dtype"},
        )
        for d in (2, 3)
    ],
]  # fmt: skip
RESHAPING = [
    *[layer(f"{kind}Pad{d}d", (1,), IMAGES[d]) for kind in ("Reflection", "Replication", "Circular", "Zero") for d in (1, 2, 3)],
    *[layer(f"ConstantPad{d}d", (1, 0.5), IMAGES[d]) for d in (1, 2, 3)],
    layer("Upsample", (), MAP, kwargs={"scale_factor": 2}),
    layer("UpsamplingNearest2d", (), MAP, kwargs={"scale_factor": 2}),
    layer("UpsamplingBilinear2d", (), MAP, kwargs={"scale_factor": 2}),
    layer("PixelShuffle", (2,), MAP, shapes=[(2, 1, 10, 8)]),
    layer("PixelUnshuffle", (2,), floats(2, 2, 4, 6), shapes=[(2, 8, 2, 3)]),
    layer("ChannelShuffle", (2,), MAP),
    layer("Unfold", ((2, 2),), MAP),
    layer("Fold", ((4, 3), (2, 2)), floats(2, 8, 6)),
]


def recurrent(name, gates, layers=1, directions=1):
    suffixes = [f"_l{i}{s}" for i in range(layers) for s in ("", "_reverse")[:directions]]
    state = [f"{kind}_{part}{s}" for kind in ("weight", "bias") for part in ("ih", "hh") for s in suffixes]
    kwargs = {"num_layers": layers, "bidirectional": directions == 2}
    return layer(
        name, (5, 3), floats(4, 2, 5), kwargs=kwargs, state=state, shapes=[(4, 2, 3 * directions)], remark=f" {layers} {directions}"
    )


CELL = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
ATTENTION = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")


def prefixed(prefix, names):
    return [f"{prefix}.{n}" for n in names]


def normed(*names):
    return [f"{n}.{part}" for n in names for part in AFFINE]


ENCODER = [*prefixed("self_attn", ATTENTION), *normed("linear1", "linear2", "norm1", "norm2")]
DECODER = [*ENCODER, *prefixed("multihead_attn", ATTENTION), *normed("norm3")]
SMALL = {"nhead": 2, "dim_feedforward": 6, "dropout": 0.0}
TARGET, MEMORY = floats(3, 2, 4), floats(5, 2, 4)


def encoder(layers=2):
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(4, **SMALL), layers, enable_nested_tensor=False)


def decoder(layers=1):
    return nn.TransformerDecoder(nn.TransformerDecoderLayer(4, **SMALL), layers)


SEQUENCES = [
    *[recurrent(n, g, *form) for n, g in (("RNN", 1), ("LSTM", 4), ("GRU", 3)) for form in ((1, 1), (2, 2))],
    *[layer(n, (5, 3), X, state=CELL) for n in ("RNNCell", "LSTMCell", "GRUCell")],
    layer("MultiheadAttention", (4, 2), TARGET, MEMORY, MEMORY, state=ATTENTION),
    layer("TransformerEncoderLayer", (4,), MEMORY, kwargs=SMALL, state=ENCODER),
    layer("TransformerDecoderLayer", (4,), TARGET, MEMORY, kwargs=SMALL, state=DECODER),
    layer("TransformerEncoder", (), MEMORY, make=encoder, state=[f"layers.{i}.{n}" for i in range(2) for n in ENCODER]),
    layer("TransformerDecoder", (), TARGET, MEMORY, make=decoder, state=prefixed("layers.0", DECODER)),
    layer(
        "Transformer", (4, 2, 1, 1, 6), MEMORY, TARGET, kwargs={"dropout": 0.0},
        state=[*prefixed("encoder.layers.0", ENCODER), *prefixed("decoder.layers.0", DECODER), *normed("encoder.norm", "decoder.norm")],
    ),
]  # fmt: skip

CLASSES, SIGNS = ints(4, low=0, high=5), ints(4, low=0, high=2, build=lambda a: 2 * a - 1)
PROBABILITIES = floats(4, 5, low=0.1, high=0.9)
TRIPLET = (floats(4, 3), floats(4, 3), floats(4, 3))
LOSSES = [
    *[layer(n, (), X, Y, shapes=[()]) for n in ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "PoissonNLLLoss")],
    layer("BCELoss", (), PROBABILITIES, floats(4, 5, low=0, high=1, grad=False)),
    layer("BCEWithLogitsLoss", (), X, PROBABILITIES),
    layer("KLDivLoss", (), X, PROBABILITIES, kwargs={"reduction": "batchmean"}),
    layer("CrossEntropyLoss", (), X, CLASSES),
    layer("NLLLoss", (), X, CLASSES),
    layer("MultiMarginLoss", (), X, CLASSES),
    layer("MultiLabelMarginLoss", (), X, ints(4, 5, build=lambda a: np.tile([2, 0, -1, 1, 1], (4, 1)))),
    layer("MultiLabelSoftMarginLoss", (), X, floats(4, 5, low=0, high=1, grad=False)),
    layer("HingeEmbeddingLoss", (), floats(4), SIGNS),
    layer("SoftMarginLoss", (), floats(4), SIGNS),
    layer("MarginRankingLoss", (), floats(4), floats(4), SIGNS),
    layer("CosineEmbeddingLoss", (), floats(4, 3), floats(4, 3), SIGNS),
    layer("TripletMarginLoss", (), *TRIPLET),
    layer("TripletMarginWithDistanceLoss", (), *TRIPLET),
    layer("GaussianNLLLoss", (), X, Y, floats(4, 5, low=0.5)),
    layer("CosineSimilarity", (), X, Y),
    layer("PairwiseDistance", (), X, Y),
    layer(
        "CTCLoss", (), floats(4, 2, 3, build=lambda a: a - np.log(np.exp(a).sum(-1, keepdims=True))), ints(2, 2, low=1, high=3), (4, 3), (2, 1),
        skip={"meta": "it looks at the targets", "gradient": "PyTorch's is that of the scores in front of a log-softmax"},
    ),
    layer(
        "AdaptiveLogSoftmaxWithLoss", (5, 6, [2, 4]), X, ints(4, low=0, high=6, build=lambda a: np.array([0, 2, 5, 3])),
        kwargs={"div_value": 2.0}, state=["head.weight", *[f"tail.{i}.{j}.weight" for i in (0, 1) for j in (0, 1)]],
        skip={"meta": "it looks at the targets"},
    ),
]  # fmt: skip
CONTAINERS = [
    LayerCase(
        "Sequential",
        lambda: nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 2)),
        [sample(X)],
        state=normed("0", "2"),
        shapes=[(4, 2)],
    ),
]


def seen(name, args, x):
    """A lazy layer that has seen its first input, in evaluation mode, and so has its shapes."""
    made = getattr(nn, name)(*args).eval()
    made(fb.zeros(x.shape))
    return made.train()


def lazy(name, args, x, state=AFFINE, **options):
    return layer(name, args, x, make=lambda: seen(name, args, x), state=state, **options)


LAZY = [
    lazy("LazyLinear", (3,), X, shapes=[(4, 3)]),
    *[lazy(f"LazyConv{d}d", (6, 3, 1, 1), IMAGES[d], shapes=[(2, 6, *IMAGES[d].shape[2:])]) for d in (1, 2, 3)],
    *[lazy(f"LazyConvTranspose{d}d", (3, 3, 1, 1), IMAGES[d], shapes=[(2, 3, *IMAGES[d].shape[2:])]) for d in (1, 2, 3)],
    *[lazy(f"LazyBatchNorm{d}d", (), IMAGES[d], state=RUNNING) for d in (1, 2, 3)],
    *[lazy(f"LazyInstanceNorm{d}d", (1e-5, 0.1, True), IMAGES[d]) for d in (1, 2, 3)],
]
CASES = [*ACTIVATIONS, *DROPOUTS, *LINEAR, *CONVOLUTIONS, *NORMS, *POOLS, *RESHAPING, *SEQUENCES, *LOSSES, *CONTAINERS, *LAZY]
