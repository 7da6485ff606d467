"""`flambeau.nn.functional`: layers as functions of tensors, under PyTorch's names. What they compute is in `flambeau.ops`.

>>> import flambeau as fb
>>> import flambeau.nn.functional as F
>>> F.softmax(fb.zeros(2), dim=0)
tensor([0.5000, 0.5000])
"""

from __future__ import annotations

from flambeau.ops.activation import (
    celu as celu,
)
from flambeau.ops.activation import (
    celu_ as celu_,
)
from flambeau.ops.activation import (
    elu as elu,
)
from flambeau.ops.activation import (
    elu_ as elu_,
)
from flambeau.ops.activation import (
    gelu as gelu,
)
from flambeau.ops.activation import (
    glu as glu,
)
from flambeau.ops.activation import (
    gumbel_softmax as gumbel_softmax,
)
from flambeau.ops.activation import (
    hardshrink as hardshrink,
)
from flambeau.ops.activation import (
    hardsigmoid as hardsigmoid,
)
from flambeau.ops.activation import (
    hardswish as hardswish,
)
from flambeau.ops.activation import (
    hardtanh as hardtanh,
)
from flambeau.ops.activation import (
    hardtanh_ as hardtanh_,
)
from flambeau.ops.activation import (
    leaky_relu as leaky_relu,
)
from flambeau.ops.activation import (
    leaky_relu_ as leaky_relu_,
)
from flambeau.ops.activation import (
    log_softmax as log_softmax,
)
from flambeau.ops.activation import (
    logsigmoid as logsigmoid,
)
from flambeau.ops.activation import (
    mish as mish,
)
from flambeau.ops.activation import (
    prelu as prelu,
)
from flambeau.ops.activation import (
    relu as relu,
)
from flambeau.ops.activation import (
    relu6 as relu6,
)
from flambeau.ops.activation import (
    relu_ as relu_,
)
from flambeau.ops.activation import (
    rrelu as rrelu,
)
from flambeau.ops.activation import (
    rrelu_ as rrelu_,
)
from flambeau.ops.activation import (
    selu as selu,
)
from flambeau.ops.activation import (
    selu_ as selu_,
)
from flambeau.ops.activation import (
    sigmoid as sigmoid,
)
from flambeau.ops.activation import (
    silu as silu,
)
from flambeau.ops.activation import (
    softmax as softmax,
)
from flambeau.ops.activation import (
    softmin as softmin,
)
from flambeau.ops.activation import (
    softplus as softplus,
)
from flambeau.ops.activation import (
    softshrink as softshrink,
)
from flambeau.ops.activation import (
    softsign as softsign,
)
from flambeau.ops.activation import (
    tanh as tanh,
)
from flambeau.ops.activation import (
    tanhshrink as tanhshrink,
)
from flambeau.ops.activation import (
    threshold as threshold,
)
from flambeau.ops.activation import (
    threshold_ as threshold_,
)
from flambeau.ops.convolution import (
    conv1d as conv1d,
)
from flambeau.ops.convolution import (
    conv2d as conv2d,
)
from flambeau.ops.convolution import (
    conv3d as conv3d,
)
from flambeau.ops.convolution import (
    conv_tbc as conv_tbc,
)
from flambeau.ops.convolution import (
    conv_transpose1d as conv_transpose1d,
)
from flambeau.ops.convolution import (
    conv_transpose2d as conv_transpose2d,
)
from flambeau.ops.convolution import (
    conv_transpose3d as conv_transpose3d,
)
from flambeau.ops.convolution import (
    fold as fold,
)
from flambeau.ops.convolution import (
    unfold as unfold,
)
from flambeau.ops.distance import (
    cosine_similarity as cosine_similarity,
)
from flambeau.ops.distance import (
    pairwise_distance as pairwise_distance,
)
from flambeau.ops.distance import (
    pdist as pdist,
)
from flambeau.ops.linear import bilinear as bilinear
from flambeau.ops.linear import linear as linear
from flambeau.ops.loss import (
    binary_cross_entropy as binary_cross_entropy,
)
from flambeau.ops.loss import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from flambeau.ops.loss import (
    cross_entropy as cross_entropy,
)
from flambeau.ops.loss import (
    ctc_loss as ctc_loss,
)
from flambeau.ops.loss import (
    gaussian_nll_loss as gaussian_nll_loss,
)
from flambeau.ops.loss import (
    huber_loss as huber_loss,
)
from flambeau.ops.loss import (
    kl_div as kl_div,
)
from flambeau.ops.loss import (
    l1_loss as l1_loss,
)
from flambeau.ops.loss import (
    linear_cross_entropy as linear_cross_entropy,
)
from flambeau.ops.loss import (
    mse_loss as mse_loss,
)
from flambeau.ops.loss import (
    nll_loss as nll_loss,
)
from flambeau.ops.loss import (
    poisson_nll_loss as poisson_nll_loss,
)
from flambeau.ops.loss import (
    sigmoid_focal_loss as sigmoid_focal_loss,
)
from flambeau.ops.loss import (
    smooth_l1_loss as smooth_l1_loss,
)
from flambeau.ops.margin import (
    cosine_embedding_loss as cosine_embedding_loss,
)
from flambeau.ops.margin import (
    hinge_embedding_loss as hinge_embedding_loss,
)
from flambeau.ops.margin import (
    margin_ranking_loss as margin_ranking_loss,
)
from flambeau.ops.margin import (
    multi_margin_loss as multi_margin_loss,
)
from flambeau.ops.margin import (
    multilabel_margin_loss as multilabel_margin_loss,
)
from flambeau.ops.margin import (
    multilabel_soft_margin_loss as multilabel_soft_margin_loss,
)
from flambeau.ops.margin import (
    soft_margin_loss as soft_margin_loss,
)
from flambeau.ops.margin import (
    triplet_margin_loss as triplet_margin_loss,
)
from flambeau.ops.margin import (
    triplet_margin_with_distance_loss as triplet_margin_with_distance_loss,
)
from flambeau.ops.pooling import (
    adaptive_avg_pool1d as adaptive_avg_pool1d,
)
from flambeau.ops.pooling import (
    adaptive_avg_pool2d as adaptive_avg_pool2d,
)
from flambeau.ops.pooling import (
    adaptive_avg_pool3d as adaptive_avg_pool3d,
)
from flambeau.ops.pooling import (
    adaptive_max_pool1d as adaptive_max_pool1d,
)
from flambeau.ops.pooling import (
    adaptive_max_pool1d_with_indices as adaptive_max_pool1d_with_indices,
)
from flambeau.ops.pooling import (
    adaptive_max_pool2d as adaptive_max_pool2d,
)
from flambeau.ops.pooling import (
    adaptive_max_pool2d_with_indices as adaptive_max_pool2d_with_indices,
)
from flambeau.ops.pooling import (
    adaptive_max_pool3d as adaptive_max_pool3d,
)
from flambeau.ops.pooling import (
    adaptive_max_pool3d_with_indices as adaptive_max_pool3d_with_indices,
)
from flambeau.ops.pooling import (
    avg_pool1d as avg_pool1d,
)
from flambeau.ops.pooling import (
    avg_pool2d as avg_pool2d,
)
from flambeau.ops.pooling import (
    avg_pool3d as avg_pool3d,
)
from flambeau.ops.pooling import (
    lp_pool1d as lp_pool1d,
)
from flambeau.ops.pooling import (
    lp_pool2d as lp_pool2d,
)
from flambeau.ops.pooling import (
    lp_pool3d as lp_pool3d,
)
from flambeau.ops.pooling import (
    max_pool1d as max_pool1d,
)
from flambeau.ops.pooling import (
    max_pool1d_with_indices as max_pool1d_with_indices,
)
from flambeau.ops.pooling import (
    max_pool2d as max_pool2d,
)
from flambeau.ops.pooling import (
    max_pool2d_with_indices as max_pool2d_with_indices,
)
from flambeau.ops.pooling import (
    max_pool3d as max_pool3d,
)
from flambeau.ops.pooling import (
    max_pool3d_with_indices as max_pool3d_with_indices,
)
from flambeau.ops.pooling import (
    max_unpool1d as max_unpool1d,
)
from flambeau.ops.pooling import (
    max_unpool2d as max_unpool2d,
)
from flambeau.ops.pooling import (
    max_unpool3d as max_unpool3d,
)
