"""Operations and layers of vision models, under torchvision's names."""

from __future__ import annotations

from flambeau_vision.ops.boxes import (
    batched_nms,
    box_area,
    box_convert,
    box_iou,
    clip_boxes_to_image,
    complete_box_iou,
    distance_box_iou,
    generalized_box_iou,
    masks_to_boxes,
    nms,
    remove_small_boxes,
)
from flambeau_vision.ops.layers import (
    MLP,
    Conv2dNormActivation,
    FrozenBatchNorm2d,
    LayerNorm2d,
    Permute,
    SqueezeExcitation,
    StochasticDepth,
    stochastic_depth,
)
from flambeau_vision.ops.losses import generalized_box_iou_loss, sigmoid_focal_loss
from flambeau_vision.ops.pyramid import FeaturePyramidNetwork, LastLevelMaxPool, LastLevelP6P7
from flambeau_vision.ops.roi import MultiScaleRoIAlign, roi_align, roi_pool

__all__ = [
    "MLP",
    "Conv2dNormActivation",
    "FeaturePyramidNetwork",
    "FrozenBatchNorm2d",
    "LastLevelMaxPool",
    "LastLevelP6P7",
    "LayerNorm2d",
    "MultiScaleRoIAlign",
    "Permute",
    "SqueezeExcitation",
    "StochasticDepth",
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "complete_box_iou",
    "distance_box_iou",
    "generalized_box_iou",
    "generalized_box_iou_loss",
    "masks_to_boxes",
    "nms",
    "remove_small_boxes",
    "roi_align",
    "roi_pool",
    "sigmoid_focal_loss",
    "stochastic_depth",
]
