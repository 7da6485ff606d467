"""RetinaNet (Lin et al. 2017, https://arxiv.org/abs/1708.02002)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau_vision.models import resnet
from flambeau_vision.models.detection.backbones import norm_for, resnet_fpn, trainable, use_eps
from flambeau_vision.models.detection.images import MEAN, STD, AnchorGenerator, GeneralizedRCNNTransform, rescaled
from flambeau_vision.models.detection.matching import NOTHING, UNSURE, BoxCoder, match
from flambeau_vision.models.weights import build, weights_enum
from flambeau_vision.ops.boxes import batched_nms
from flambeau_vision.ops.layers import Conv2dNormActivation
from flambeau_vision.ops.losses import generalized_box_iou_loss, sigmoid_focal_loss
from flambeau_vision.ops.pyramid import LastLevelP6P7

RetinaNet_ResNet50_FPN_Weights = weights_enum("RetinaNet_ResNet50_FPN_Weights")
RetinaNet_ResNet50_FPN_V2_Weights = weights_enum("RetinaNet_ResNet50_FPN_V2_Weights")

Norm = Callable[..., Any]


class _Tower(nn.Module):
    """Four convolutions and a last one, shared by all levels; `width` numbers for each anchor."""

    last: str
    width: int

    def __init__(self, in_channels: int, num_anchors: int, norm_layer: Norm | None, bias: float) -> None:
        super().__init__()
        self.conv = nn.Sequential(*(Conv2dNormActivation(in_channels, in_channels, norm_layer=norm_layer) for _ in range(4)))
        final = nn.Conv2d(in_channels, num_anchors * self.width, kernel_size=3, padding=1)
        setattr(self, self.last, final)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        nn.init.constant_(final.bias, bias)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for i in range(4):  # older checkpoints count activations as layers
            for kind in ("weight", "bias"):
                if f"{prefix}conv.{2 * i}.{kind}" in state_dict:
                    state_dict[f"{prefix}conv.{i}.0.{kind}"] = state_dict.pop(f"{prefix}conv.{2 * i}.{kind}")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, levels: Sequence[Any]) -> list[Any]:
        """For each level (N, C, H, W): (N, H * W * anchors, width)."""
        out = []
        for level in levels:
            x = getattr(self, self.last)(self.conv(level))
            n, _, h, w = x.shape
            out.append(x.reshape(n, -1, self.width, h, w).permute(0, 3, 4, 1, 2).reshape(n, -1, self.width))
        return out


class RetinaNetClassificationHead(_Tower):
    """A logit for each class and anchor; at first every object is improbable."""

    last = "cls_logits"

    def __init__(
        self, in_channels: int, num_anchors: int, num_classes: int, prior_probability: float = 0.01, norm_layer: Norm | None = None
    ) -> None:
        self.width = num_classes
        super().__init__(in_channels, num_anchors, norm_layer, -math.log((1 - prior_probability) / prior_probability))
        self.num_classes, self.num_anchors = num_classes, num_anchors


class RetinaNetRegressionHead(_Tower):
    """Four differences for each anchor."""

    last, width = "bbox_reg", 4

    def __init__(self, in_channels: int, num_anchors: int, norm_layer: Norm | None = None) -> None:
        super().__init__(in_channels, num_anchors, norm_layer, 0.0)
        self.loss_type = "l1"


class RetinaNetHead(nn.Module):
    """Classes and boxes for all anchors."""

    def __init__(self, in_channels: int, num_anchors: int, num_classes: int, norm_layer: Norm | None = None) -> None:
        super().__init__()
        self.classification_head = RetinaNetClassificationHead(in_channels, num_anchors, num_classes, norm_layer=norm_layer)
        self.regression_head = RetinaNetRegressionHead(in_channels, num_anchors, norm_layer)

    def forward(self, levels: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return self.classification_head(levels), self.regression_head(levels)


def default_anchors() -> AnchorGenerator:
    """Three sizes and three shapes on each of five levels."""
    sizes = tuple((x, int(x * 2 ** (1.0 / 3)), int(x * 2 ** (2.0 / 3))) for x in (32, 64, 128, 256, 512))
    return AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))


class RetinaNet(nn.Module):
    """A detector in one stage. What it takes and gives is in `flambeau_vision.models.detection`.

    Args:
        backbone: images to features by name; it has `out_channels`.
        num_classes: K, with class 0 for the background (which never occurs).
        min_size, max_size, image_mean, image_std: how images are prepared.
        anchor_generator, head: in place of the usual ones.
        score_thresh, nms_thresh, detections_per_img, topk_candidates: which detections are given.
        fg_iou_thresh, bg_iou_thresh: overlaps from which an anchor is an object, and below which it is none.
    """

    def __init__(
        self,
        backbone: Any,
        num_classes: int,
        min_size: Any = 800,
        max_size: int = 1333,
        image_mean: Sequence[float] = MEAN,
        image_std: Sequence[float] = STD,
        anchor_generator: AnchorGenerator | None = None,
        head: Any = None,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.5,
        detections_per_img: int = 300,
        fg_iou_thresh: float = 0.5,
        bg_iou_thresh: float = 0.4,
        topk_candidates: int = 1000,
    ) -> None:
        super().__init__()
        if not hasattr(backbone, "out_channels"):
            raise ArgumentError(explain("RetinaNet", expected="a backbone with out_channels", got=type(backbone).__name__))
        self.backbone = backbone
        self.anchor_generator = anchor_generator or default_anchors()
        anchors = self.anchor_generator.num_anchors_per_location()[0]
        self.head = head or RetinaNetHead(backbone.out_channels, anchors, num_classes)
        self.transform = GeneralizedRCNNTransform(min_size, max_size, image_mean, image_std)
        self.box_coder = BoxCoder()
        self.score_thresh, self.nms_thresh, self.detections_per_img = score_thresh, nms_thresh, detections_per_img
        self.fg_iou_thresh, self.bg_iou_thresh, self.topk_candidates = fg_iou_thresh, bg_iou_thresh, topk_candidates

    def forward(self, images: Sequence[Any], targets: Any = None) -> Any:
        if self.training and targets is None:
            raise ArgumentError(explain("RetinaNet", expected="targets in training", got="none", hint="model.eval()"))
        batch, sizes, boxes = self.transform(images, targets if self.training else None)
        levels = self.backbone(batch)
        levels = list(levels.values()) if isinstance(levels, dict) else [levels]
        logits, codes = self.head(levels)
        anchors = self.anchor_generator((batch.shape[-2], batch.shape[-1]), levels)
        if boxes is not None:
            labels = [target["labels"].detach().cpu().numpy() for target in targets]
            return self._losses(flambeau.cat(logits, 1), flambeau.cat(codes, 1), np.concatenate(anchors), boxes, labels)
        olds = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        return [self._detections(logits, codes, anchors, i, sizes[i], old) for i, old in enumerate(olds)]

    def _losses(self, logits: Any, codes: Any, anchors: np.ndarray, boxes: list[np.ndarray], labels: list[np.ndarray]) -> dict[str, Any]:
        classification: Any = 0.0
        regression: Any = 0.0
        for i, (truth, kinds) in enumerate(zip(boxes, labels, strict=True)):
            matched = match(truth, anchors, self.fg_iou_thresh, self.bg_iou_thresh, allow_low_quality=True)
            (found,), (sure,) = np.nonzero(matched > NOTHING), np.nonzero(matched != UNSURE)
            target = np.zeros((len(anchors), logits.shape[-1]), np.float32)
            target[found, kinds[matched[found]]] = 1.0
            chosen, wanted = (flambeau.from_numpy(v).to(logits.device) for v in (sure, target[sure]))
            count = max(1, len(found))
            classification = classification + sigmoid_focal_loss(logits[i][chosen], wanted.to(logits.dtype), reduction="sum") / count
            regression = regression + self._box_loss(codes[i], anchors[found], truth[matched[found]], found) / count
        n = max(1, len(boxes))
        return {"classification": classification / n, "bbox_regression": regression / n}

    def _box_loss(self, codes: Any, anchors: np.ndarray, truth: np.ndarray, found: np.ndarray) -> Any:
        mine = codes[flambeau.from_numpy(found).to(codes.device)]
        if self.head.regression_head.loss_type == "l1":
            target = self.box_coder.encode(truth, anchors).astype(np.float32)
            return F.l1_loss(mine, flambeau.from_numpy(target).to(codes.device), reduction="sum")
        target = flambeau.from_numpy(truth.astype(np.float32)).to(codes.device)
        return generalized_box_iou_loss(self.box_coder.decode(mine, anchors)[:, 0], target, reduction="sum")

    def _detections(
        self, logits: list[Any], codes: list[Any], anchors: list[np.ndarray], i: int, size: tuple[int, int], old: tuple[int, int]
    ) -> dict[str, Any]:
        boxes, scores, labels = [], [], []
        for level, code, places in zip(logits, codes, anchors, strict=True):
            score = level[i].detach().sigmoid().cpu().numpy().reshape(-1)
            (keep,) = np.nonzero(score > self.score_thresh)
            keep = keep[np.argsort(-score[keep], kind="stable")][: self.topk_candidates]
            anchor, label = np.divmod(keep, level.shape[-1])
            chosen = flambeau.from_numpy(anchor).to(code.device)
            box = self.box_coder.decode(code[i].detach()[chosen], places[anchor])[:, 0].cpu().numpy()
            boxes.append(np.stack([box[:, k].clip(0, size[1 - k % 2]) for k in range(4)], 1))
            scores.append(score[keep])
            labels.append(label)
        every, score, label = (np.concatenate(parts) for parts in (boxes, scores, labels))
        return chosen_best(every, score, label, self.nms_thresh, self.detections_per_img, size, old, logits[0])


def chosen_best(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    nms_thresh: float,
    count: int,
    size: tuple[int, int],
    old: tuple[int, int],
    like: Any,
) -> dict[str, Any]:
    """The detections of one image after suppression, on the image as it was given."""
    tensors = [flambeau.from_numpy(np.ascontiguousarray(value)) for value in (boxes, scores, labels.astype(np.int64))]
    keep = batched_nms(tensors[0], tensors[1], tensors[2], nms_thresh)[:count].numpy()
    final = rescaled(boxes[keep], size, old).astype(np.float32)
    values = {"boxes": final, "labels": labels[keep].astype(np.int64), "scores": scores[keep]}
    return {name: flambeau.from_numpy(value).to(like.device) for name, value in values.items()}


def retinanet_resnet50_fpn(
    *,
    weights: Any = None,
    progress: bool = True,
    weights_backbone: Any = None,
    trainable_backbone_layers: int | None = None,
    **kwargs: Any,
) -> RetinaNet:
    """RetinaNet on ResNet-50: 34.0 million parameters. `weights_backbone` is None by default: nothing is fetched unasked."""
    is_trained = weights is not None or weights_backbone is not None

    def make(num_classes: int = 91, **options: Any) -> RetinaNet:
        layers = trainable(is_trained, trainable_backbone_layers, 5, 3)
        body = resnet_fpn(resnet.resnet50, weights_backbone, norm_for(is_trained), layers, (2, 3, 4), extra_blocks=LastLevelP6P7(256, 256))
        return RetinaNet(body, num_classes, **options)

    model: RetinaNet = build(make, RetinaNet_ResNet50_FPN_Weights, weights, progress, kwargs)
    if weights is not None:
        use_eps(model, 0.0)
    return model


def retinanet_resnet50_fpn_v2(
    *,
    weights: Any = None,
    progress: bool = True,
    weights_backbone: Any = None,
    trainable_backbone_layers: int | None = None,
    **kwargs: Any,
) -> RetinaNet:
    """RetinaNet with group normalisation in its heads and GIoU as the loss of boxes: 38.2 million parameters."""
    is_trained = weights is not None or weights_backbone is not None

    def make(num_classes: int = 91, **options: Any) -> RetinaNet:
        layers = trainable(is_trained, trainable_backbone_layers, 5, 3)
        body = resnet_fpn(resnet.resnet50, weights_backbone, nn.BatchNorm2d, layers, (2, 3, 4), extra_blocks=LastLevelP6P7(2048, 256))
        anchors = default_anchors()
        head = RetinaNetHead(256, anchors.num_anchors_per_location()[0], num_classes, partial(nn.GroupNorm, 32))
        head.regression_head.loss_type = "giou"
        return RetinaNet(body, num_classes, anchor_generator=anchors, head=head, **options)

    model: RetinaNet = build(make, RetinaNet_ResNet50_FPN_V2_Weights, weights, progress, kwargs)
    return model
