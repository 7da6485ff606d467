"""The cases of test_modules.py: which layers, with which arguments, on which inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One layer. Inputs are shapes (of normal floats) or arrays; arrays among the arguments become tensors. Shapes and the first input,
    where it is floating, require grad."""

    name: str
    args: tuple[Any, ...]
    inputs: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)
    modes: tuple[str, ...] = ("eval",)
    tolerance: float = 1e-9

    def __str__(self) -> str:
        shown = {k: "array" if isinstance(v, np.ndarray) else repr(v) for k, v in self.kwargs.items()}
        settings = [repr(a) for a in self.args] + [f"{k}={v}" for k, v in shown.items()]
        return f"{self.name}({', '.join(settings)})@{self.modes[0]}" + "".join(f",{k}" for k in self.call)


def case(name: str, args: Any, *inputs: Any, call: Any = None, modes: Any = ("eval",), tolerance: float = 1e-9, **kwargs: Any) -> Case:
    return Case(name, args if isinstance(args, tuple) else (args,), inputs, kwargs, call or {}, modes, tolerance)


rng = np.random.default_rng(0)
BOTH = ("train", "eval")
PROBABILITIES = rng.uniform(0.05, 0.95, (4, 5))
CLASSES = np.array([1, 0, 4, 2])
SIGNS = np.array([1.0, -1.0, 1.0, -1.0])
POSITIVE = rng.uniform(0.5, 2.0, (4, 5))
IDS = rng.integers(0, 10, (3, 4))
PADDING = np.array([[False, False, False, True], [False, True, True, True], [False] * 4])
CAUSAL = np.triu(np.ones((4, 4), bool), 1)
FLOAT_MASK = np.where(CAUSAL, -np.inf, 0.0)

LINEAR = [
    case("Identity", (), (3, 4)),
    case("Linear", (5, 4), (3, 5)),
    case("Linear", (5, 4), (2, 3, 5), bias=False),
    case("Linear", (5, 4), (5,)),
    case("Bilinear", (3, 4, 5), (2, 3), (2, 4)),
    case("Bilinear", (3, 4, 5), (2, 6, 3), (2, 6, 4), bias=False),
    case("Flatten", (), (2, 3, 4)),
    case("Flatten", (0, 1), (2, 3, 4)),
    case("Unflatten", (1, (2, 3)), (2, 6, 4)),
]

ACTIVATIONS = [
    *(
        case(name, (), (3, 4))
        for name in """ReLU ReLU6 SiLU Mish SELU Hardswish Sigmoid Tanh LogSigmoid Softsign Tanhshrink GELU LeakyReLU ELU CELU Hardtanh
        RReLU Softplus Hardshrink Softshrink PReLU GLU""".split()
    ),
    case("GELU", (), (3, 4), approximate="tanh"),
    case("LeakyReLU", 0.2, (3, 4)),
    case("ELU", 0.7, (3, 4)),
    case("CELU", 0.7, (3, 4), tolerance=1e-7),  # PyTorch keeps 1 / alpha and 1 / 6 in float32
    case("Hardsigmoid", (), (3, 4), tolerance=1e-7),
    case("Threshold", (0.1, 20.0), (3, 4)),
    case("Hardtanh", (-0.5, 0.7), (3, 4)),
    case("Softplus", (2.0, 1.0), (3, 4)),
    case("Hardshrink", 0.3, (3, 4)),
    case("Softshrink", 0.3, (3, 4)),
    case("PReLU", 4, (3, 4, 2), init=0.1),
    case("GLU", 1, (3, 4, 2)),
    case("Softmax", 1, (3, 4)),
    case("Softmin", 0, (3, 4)),
    case("LogSoftmax", -1, (3, 4)),
    case("Softmax2d", (), (2, 3, 4, 5)),
    *(case(name, (), (3, 4), inplace=False) for name in ("ReLU", "SiLU")),
    *(case(name, 0.3, (3, 4, 5)) for name in ("Dropout", "Dropout1d", "AlphaDropout", "FeatureAlphaDropout")),
    case("Dropout2d", 0.3, (3, 4, 5, 2)),
    case("Dropout3d", 0.3, (3, 4, 5, 2, 2)),
    case("Dropout", 0.0, (3, 4), modes=("train",)),
]

CONVOLUTIONS = [
    case("Conv1d", (4, 6, 3), (2, 4, 9)),
    case("Conv1d", (4, 6, 3), (4, 9), stride=2, padding=1, dilation=2, groups=2, bias=False),
    case("Conv1d", (2, 3, 4), (2, 2, 9), padding="same"),
    case("Conv1d", (2, 3, 3), (2, 2, 9), padding=2, padding_mode="circular"),
    case("Conv2d", (3, 6, 3), (2, 3, 7, 8), padding=1),
    case("Conv2d", (4, 8, (3, 2)), (1, 4, 7, 8), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=4),
    case("Conv2d", (3, 6, 4), (2, 3, 7, 8), padding="same", padding_mode="reflect"),
    case("Conv2d", (3, 6, 3), (2, 3, 7, 8), padding=(2, 1), padding_mode="replicate"),
    case("Conv2d", (3, 6, 3), (2, 3, 7, 8), padding="valid"),
    case("Conv3d", (2, 4, 3), (1, 2, 5, 6, 4), padding=1, stride=2),
    case("ConvTranspose1d", (4, 6, 3), (2, 4, 5), stride=2, padding=1, output_padding=1),
    case("ConvTranspose2d", (4, 6, 3), (2, 4, 5, 6), stride=2, padding=1, groups=2, dilation=2),
    case("ConvTranspose2d", (4, 6, 3), (2, 4, 5, 6), call={"output_size": [11, 13]}, stride=2, bias=False),
    case("ConvTranspose3d", (2, 3, 2), (1, 2, 3, 4, 3), stride=2),
    case("Unfold", (2,), (1, 3, 4, 5), padding=1, stride=2),
    case("Fold", ((4, 5), 2), (1, 8, 12)),
]

POOLS = [
    case("MaxPool1d", 3, (2, 3, 9), stride=2, padding=1),
    case("MaxPool2d", 2, (2, 3, 7, 8), ceil_mode=True),
    case("MaxPool2d", ((3, 2),), (3, 7, 8), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
    case("MaxPool2d", 2, (2, 3, 6, 8), return_indices=True),
    case("MaxPool3d", 2, (1, 2, 4, 6, 5)),
    case("AvgPool1d", 3, (2, 3, 9), stride=2, padding=1),
    case("AvgPool2d", 2, (2, 3, 7, 8), ceil_mode=True, count_include_pad=False),
    case("AvgPool2d", ((3, 2),), (2, 3, 7, 8), stride=2, padding=1, divisor_override=3),
    case("AvgPool3d", 2, (1, 2, 4, 6, 5)),
    case("LPPool1d", (2, 3), (2, 3, 9), stride=2),
    case("LPPool2d", (1.5, 2), (np.abs(rng.normal(size=(2, 3, 6, 8))) + 0.1,)[0]),
    case("LPPool3d", (2, 2), (1, 2, 4, 6, 4)),
    case("AdaptiveAvgPool1d", 4, (2, 3, 9)),
    case("AdaptiveAvgPool2d", ((3, None),), (2, 3, 7, 8)),
    case("AdaptiveAvgPool3d", 2, (1, 2, 4, 6, 5)),
    case("AdaptiveMaxPool1d", 4, (2, 3, 9)),
    case("AdaptiveMaxPool2d", ((3, 2),), (2, 3, 7, 8), return_indices=True),
    case("AdaptiveMaxPool3d", 2, (1, 2, 4, 6, 5)),
    case("MaxUnpool1d", 2, (1, 2, 3), np.array([[[0, 3, 4], [1, 2, 5]]])),
    case("MaxUnpool2d", 2, (1, 1, 2, 2), np.array([[[[0, 3], [9, 14]]]])),
    case("MaxUnpool3d", 2, (1, 1, 1, 2, 2), np.array([[[[[0, 3], [9, 14]]]]])),
    case("FractionalMaxPool2d", 2, (1, 2, 7, 8), output_size=(3, 4), _random_samples=rng.uniform(size=(1, 2, 2))),
    case(
        "FractionalMaxPool2d",
        ((3, 2),),
        (2, 7, 9),
        output_ratio=(0.5, 0.7),
        return_indices=True,
        _random_samples=rng.uniform(size=(1, 2, 2)),
    ),
    case("FractionalMaxPool3d", 2, (1, 2, 7, 8, 6), output_ratio=0.5, _random_samples=rng.uniform(size=(1, 2, 3))),
    case(
        "FractionalMaxPool3d", 2, (2, 2, 5, 4, 6), output_size=(1, 2, 4), return_indices=True, _random_samples=rng.uniform(size=(2, 2, 3))
    ),
]

NORMS = [
    case("BatchNorm1d", 4, (3, 4), modes=("train",)),
    case("BatchNorm1d", 4, (3, 4, 5)),
    case("BatchNorm1d", 4, (3, 4, 5), modes=("train",), momentum=None),
    case("BatchNorm2d", 3, (2, 3, 4, 5), modes=("train",), affine=False),
    case("BatchNorm2d", 3, (2, 3, 4, 5), track_running_stats=False),
    case("BatchNorm3d", 2, (2, 2, 3, 4, 2), modes=("train",), bias=False),
    case("LayerNorm", 4, (3, 4)),
    case("LayerNorm", ((4, 5),), (2, 4, 5), bias=False),
    case("LayerNorm", 4, (3, 4), elementwise_affine=False, eps=0.1),
    case("RMSNorm", 4, (3, 4)),
    case("RMSNorm", ((4, 5),), (2, 4, 5), eps=0.1, elementwise_affine=False),
    case("GroupNorm", (2, 6), (3, 6, 4)),
    case("GroupNorm", (3, 6), (3, 6, 4, 2), affine=False),
    case("InstanceNorm1d", 4, (3, 4, 5)),
    case("InstanceNorm1d", 4, (4, 5), affine=True),
    case("InstanceNorm2d", 3, (2, 3, 4, 5), modes=("train",), affine=True, track_running_stats=True),
    case("InstanceNorm3d", 2, (2, 2, 3, 4, 2), track_running_stats=True),
    case("LocalResponseNorm", 3, (2, 5, 4)),
    case("LocalResponseNorm", (2, 0.1, 0.5, 2.0), (2, 5, 4, 3)),
]

EMBEDDINGS = [
    case("Embedding", (10, 3), IDS),
    case("Embedding", (10, 3), IDS, padding_idx=-2),
    case("Embedding", (10, 3), IDS, max_norm=1.0, norm_type=1.0, scale_grad_by_freq=True),
    case("Embedding", (10, 3), IDS, _freeze=True),
    case("EmbeddingBag", (10, 3), IDS),
    case("EmbeddingBag", (10, 3), IDS, mode="sum", padding_idx=4),
    case("EmbeddingBag", (10, 3), IDS, mode="max"),
    case("EmbeddingBag", (10, 3), IDS.ravel(), np.array([0, 2, 7]), mode="sum", call={"per_sample_weights": rng.normal(size=12)}),
    case("EmbeddingBag", (10, 3), IDS.ravel(), np.array([0, 2, 7, 12]), include_last_offset=True),
]

SHAPES = [
    *(case(f"{kind}Pad1d", ((1, 2),), (2, 3, 5)) for kind in ("Zero", "Reflection", "Replication", "Circular")),
    *(case(f"{kind}Pad2d", ((1, 2, 0, 1),), (2, 3, 5, 4)) for kind in ("Zero", "Reflection", "Replication", "Circular")),
    *(case(f"{kind}Pad3d", 1, (1, 2, 3, 4, 5)) for kind in ("Zero", "Reflection", "Replication", "Circular")),
    case("ConstantPad1d", ((3, 1), 3.5), (2, 3, 5)),
    case("ConstantPad2d", (2, -1.0), (2, 3, 5, 4)),
    case("ConstantPad3d", (1, 2), (1, 2, 3, 4, 5)),
    case("ZeroPad2d", ((-1, 2, 0, -1),), (2, 3, 5, 4)),
    case("PixelShuffle", 2, (2, 8, 3, 4)),
    case("PixelUnshuffle", 2, (2, 2, 6, 4)),
    case("ChannelShuffle", 2, (2, 6, 3, 4)),
    case("Upsample", (), (1, 2, 3, 4), scale_factor=2),
    case("Upsample", (7,), (1, 2, 4), mode="linear", align_corners=True),
    case("Upsample", (), (1, 2, 3, 4), scale_factor=(2, 1.5), mode="bilinear"),
    case("Upsample", ((5, 7),), (1, 2, 3, 4), mode="bicubic"),
    case("Upsample", (), (1, 2, 3, 4, 2), scale_factor=2, mode="trilinear"),
    case("UpsamplingNearest2d", (), (1, 2, 3, 4), scale_factor=2),
    case("UpsamplingBilinear2d", ((6, 5),), (1, 2, 3, 4)),
    case("PairwiseDistance", (), (4, 5), (4, 5)),
    case("PairwiseDistance", 1, (4, 5), (4, 5), keepdim=True),
    case("CosineSimilarity", (), (4, 5), (4, 5)),
    case("CosineSimilarity", (0, 0.1), (4, 5), (4, 5)),
]

LOSSES = [
    *(
        case(name, (), (4, 5), rng.normal(size=(4, 5)), reduction=reduction)
        for name in ("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss")
        for reduction in ("mean", "sum", "none")
    ),
    case("SmoothL1Loss", (), (4, 5), rng.normal(size=(4, 5)), beta=0.3),
    case("HuberLoss", (), (4, 5), rng.normal(size=(4, 5)), delta=0.3),
    case("MSELoss", (), (4, 5), (4, 5), size_average=False),
    case("CrossEntropyLoss", (), (4, 5), CLASSES),
    case("CrossEntropyLoss", (), (4, 5), CLASSES, weight=POSITIVE[0], ignore_index=4, label_smoothing=0.1),
    case("CrossEntropyLoss", (), (4, 5), PROBABILITIES / PROBABILITIES.sum(1, keepdims=True), label_smoothing=0.2),
    case("CrossEntropyLoss", (), (2, 3, 4), rng.integers(0, 3, (2, 4)), reduction="none"),
    case("CrossEntropyLoss", (), (5,), np.array(2)),
    case("NLLLoss", (), (4, 5), CLASSES, weight=POSITIVE[0], ignore_index=0),
    case("NLLLoss", (), (2, 3, 4), rng.integers(0, 3, (2, 4)), reduction="sum"),
    case("BCELoss", (), PROBABILITIES, rng.integers(0, 2, (4, 5)).astype(float), weight=POSITIVE),
    case("BCEWithLogitsLoss", (), (4, 5), PROBABILITIES, pos_weight=POSITIVE[0]),
    case("BCEWithLogitsLoss", (), (4, 5), PROBABILITIES, weight=POSITIVE, reduction="none"),
    case("KLDivLoss", (), (4, 5), PROBABILITIES, reduction="batchmean"),
    case("KLDivLoss", (), (4, 5), (4, 5), reduction="sum", log_target=True),
    case("PoissonNLLLoss", (), (4, 5), POSITIVE),
    case("PoissonNLLLoss", (), POSITIVE, POSITIVE * 2, log_input=False, full=True),
    case("GaussianNLLLoss", (), (4, 5), rng.normal(size=(4, 5)), POSITIVE, full=True),
    case("SoftMarginLoss", (), (4,), SIGNS),
    case("MultiLabelSoftMarginLoss", (), (4, 5), rng.integers(0, 2, (4, 5)).astype(float), weight=POSITIVE[0]),
    case("MultiLabelMarginLoss", (), (2, 4), np.array([[3, 0, -1, 1], [1, -1, 2, 0]])),
    case("MultiMarginLoss", (), (4, 5), CLASSES, p=2, margin=0.7, weight=POSITIVE[0]),
    case("HingeEmbeddingLoss", (), (4,), SIGNS, margin=0.5),
    case("CosineEmbeddingLoss", (), (4, 5), (4, 5), SIGNS, margin=0.1),
    case("MarginRankingLoss", (), (4,), (4,), SIGNS, margin=0.2),
    case("TripletMarginLoss", (), (4, 5), (4, 5), (4, 5), swap=True),
    case("TripletMarginWithDistanceLoss", (), (4, 5), (4, 5), (4, 5), margin=2.0),
    case("CTCLoss", (), (6, 2, 4), np.array([[1, 2, 2], [3, 1, 0]]), np.array([6, 5]), np.array([3, 2]), zero_infinity=True),
]

STEPS = (5, 3, 4)  # time, batch, features
RECURRENT = [
    *(case(name, (4, 6), STEPS) for name in ("RNN", "LSTM", "GRU")),
    *(case(name, (4, 6), STEPS, num_layers=2, bidirectional=True) for name in ("RNN", "LSTM", "GRU")),
    *(case(name, (4, 6), STEPS, bias=False, batch_first=True) for name in ("RNN", "LSTM", "GRU")),
    *(case(name, (4, 6), (5, 4)) for name in ("RNN", "LSTM", "GRU")),
    case("RNN", (4, 6), STEPS, nonlinearity="relu"),
    case("LSTM", (4, 6), STEPS, num_layers=2, bidirectional=True, proj_size=3),
    case("LSTM", (4, 6), STEPS, num_layers=2, dropout=0.5),
    *(case(name, (4, 6), (3, 4)) for name in ("RNNCell", "LSTMCell", "GRUCell")),
    *(case(name, (4, 6), (4,), bias=False) for name in ("RNNCell", "LSTMCell", "GRUCell")),
    case("RNNCell", (4, 6), (3, 4), (3, 6), nonlinearity="relu"),
    case("GRUCell", (4, 6), (3, 4), (3, 6)),
]

X = (4, 3, 8)  # sequence, batch, features
ATTENTION = [
    case("MultiheadAttention", (8, 2), X, X, X),
    case("MultiheadAttention", (8, 2), (3, 4, 8), (3, 4, 8), (3, 4, 8), call={"key_padding_mask": PADDING}, batch_first=True, bias=False),
    case("MultiheadAttention", (8, 2), X, X, X, call={"attn_mask": CAUSAL, "average_attn_weights": False}),
    case("MultiheadAttention", (8, 2), X, X, X, call={"attn_mask": FLOAT_MASK, "need_weights": False}),
    case("MultiheadAttention", (8, 2), X, X, X, add_bias_kv=True, add_zero_attn=True),
    case("MultiheadAttention", (8, 4), (2, 3, 8), (5, 3, 6), (5, 3, 7), kdim=6, vdim=7),
    case("MultiheadAttention", (8, 2), (4, 8), (4, 8), (4, 8)),
    case("TransformerEncoderLayer", (8, 2, 16), X),
    case(
        "TransformerEncoderLayer",
        (8, 2, 16),
        (3, 4, 8),
        batch_first=True,
        norm_first=True,
        activation="gelu",
        dropout=0.0,
        modes=("train",),
    ),
    case("TransformerEncoderLayer", (8, 2, 16), X, call={"src_mask": FLOAT_MASK, "is_causal": True}, bias=False),
    case("TransformerEncoderLayer", (8, 2, 16), X, call={"src_key_padding_mask": PADDING}),
    case("TransformerDecoderLayer", (8, 2, 16), X, (5, 3, 8)),
    case("TransformerDecoderLayer", (8, 2, 16), X, X, call={"tgt_mask": CAUSAL, "memory_key_padding_mask": PADDING}, norm_first=True),
    case("Transformer", (8, 2, 2, 1, 16), (5, 3, 8), X, call={"tgt_mask": FLOAT_MASK}),
    case("Transformer", (8, 2, 1, 2, 16), (3, 5, 8), (3, 4, 8), batch_first=True, norm_first=True),
]

OTHER = [
    case("AdaptiveLogSoftmaxWithLoss", (8, 20, [4, 10]), (6, 8), np.array([0, 3, 5, 19, 11, 9])),
    case("AdaptiveLogSoftmaxWithLoss", (8, 20, [4]), (6, 8), np.array([0, 3, 1, 2, 1, 0]), head_bias=True, div_value=2.0),
]

CASES = [
    *LINEAR,
    *ACTIVATIONS,
    *CONVOLUTIONS,
    *POOLS,
    *NORMS,
    *EMBEDDINGS,
    *SHAPES,
    *LOSSES,
    *RECURRENT,
    *ATTENTION,
    *OTHER,
]
