"""The first stage of Faster R-CNN: which anchors are objects of any kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau import nn
from flambeau.nn import functional as F
from flambeau_vision.models.detection.images import AnchorGenerator, Sizes
from flambeau_vision.models.detection.matching import NOTHING, UNSURE, BoxCoder, balanced, match
from flambeau_vision.ops.boxes import batched_nms
from flambeau_vision.ops.layers import Conv2dNormActivation

_SMALLEST = 1e-3  # pixels of a proposal's side


class RPNHead(nn.Module):
    """An objectness logit and four differences for each anchor, at every level."""

    def __init__(self, in_channels: int, num_anchors: int, conv_depth: int = 1) -> None:
        super().__init__()
        self.conv = nn.Sequential(*(Conv2dNormActivation(in_channels, in_channels, norm_layer=None) for _ in range(conv_depth)))
        self.cls_logits = nn.Conv2d(in_channels, num_anchors, kernel_size=1)
        self.bbox_pred = nn.Conv2d(in_channels, num_anchors * 4, kernel_size=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for kind in ("weight", "bias"):  # older checkpoints have one convolution, without a place in a row
            if f"{prefix}conv.{kind}" in state_dict:
                state_dict[f"{prefix}conv.0.0.{kind}"] = state_dict.pop(f"{prefix}conv.{kind}")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, levels: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """For each level (N, C, H, W): logits (N, H * W * anchors) and differences (N, H * W * anchors, 4)."""
        logits, codes = [], []
        for level in levels:
            hidden = self.conv(level)
            n, _, h, w = hidden.shape
            logits.append(self.cls_logits(hidden).permute(0, 2, 3, 1).reshape(n, -1))
            codes.append(self.bbox_pred(hidden).reshape(n, -1, 4, h, w).permute(0, 3, 4, 1, 2).reshape(n, -1, 4))
        return logits, codes


class RegionProposalNetwork(nn.Module):
    """Features to proposals (n, 4) for each image, and losses where the true boxes are given."""

    def __init__(
        self,
        anchor_generator: AnchorGenerator,
        head: nn.Module,
        fg_iou_thresh: float = 0.7,
        bg_iou_thresh: float = 0.3,
        batch_size_per_image: int = 256,
        positive_fraction: float = 0.5,
        pre_nms_top_n_train: int = 2000,
        pre_nms_top_n_test: int = 1000,
        post_nms_top_n_train: int = 2000,
        post_nms_top_n_test: int = 1000,
        nms_thresh: float = 0.7,
        score_thresh: float = 0.0,
    ) -> None:
        super().__init__()
        self.anchor_generator, self.head, self.box_coder = anchor_generator, head, BoxCoder()
        self.fg_iou_thresh, self.bg_iou_thresh = fg_iou_thresh, bg_iou_thresh
        self.batch_size_per_image, self.positive_fraction = batch_size_per_image, positive_fraction
        self.before = {True: pre_nms_top_n_train, False: pre_nms_top_n_test}
        self.after = {True: post_nms_top_n_train, False: post_nms_top_n_test}
        self.nms_thresh, self.score_thresh = nms_thresh, score_thresh

    def forward(
        self, size: tuple[int, int], sizes: Sizes, features: Mapping[str, Any], boxes: list[np.ndarray] | None
    ) -> tuple[list[np.ndarray], dict[str, Any]]:
        """`size` of the batch, `sizes` of its images before padding."""
        levels = list(features.values())
        logits, codes = self.head(levels)
        anchors = self.anchor_generator(size, levels)
        proposals = [self._proposals(logits, codes, anchors, i, own) for i, own in enumerate(sizes)]
        if boxes is None:
            return proposals, {}
        return proposals, self._losses(flambeau.cat(logits, 1), flambeau.cat(codes, 1), np.concatenate(anchors), boxes)

    def _proposals(self, logits: list[Any], codes: list[Any], anchors: list[np.ndarray], i: int, size: tuple[int, int]) -> np.ndarray:
        boxes, scores, numbers = [], [], []
        for number, (logit, code, places) in enumerate(zip(logits, codes, anchors, strict=True)):
            values = logit[i].detach().cpu().numpy()
            best = np.argsort(-values, kind="stable")[: self.before[self.training]]
            chosen = flambeau.from_numpy(best).to(code.device)
            boxes.append(self.box_coder.decode(code[i].detach()[chosen], places[best])[:, 0].cpu().numpy())
            scores.append(1 / (1 + np.exp(-values[best].astype(np.float64))))
            numbers.append(np.full(len(best), number))
        box, score, level = np.concatenate(boxes), np.concatenate(scores), np.concatenate(numbers)
        box = np.stack([box[:, k].clip(0, size[1 - k % 2]) for k in range(4)], 1)
        keep = (box[:, 2:] - box[:, :2] >= _SMALLEST).all(1) & (score >= self.score_thresh)
        box, score, level = box[keep], score[keep], level[keep]
        boxes_, scores_, levels_ = (flambeau.from_numpy(value) for value in (box, score, level))
        kept = batched_nms(boxes_, scores_, levels_, self.nms_thresh)[: self.after[self.training]].numpy()
        return np.asarray(box[kept], np.float64)

    def _losses(self, logits: Any, codes: Any, anchors: np.ndarray, boxes: list[np.ndarray]) -> dict[str, Any]:
        positive, chosen, labels, targets = [], [], [], []
        for i, truth in enumerate(boxes):
            matched = match(truth, anchors, self.fg_iou_thresh, self.bg_iou_thresh, allow_low_quality=True)
            label = np.where(matched == UNSURE, -1.0, np.where(matched == NOTHING, 0.0, 1.0))
            some, others = balanced(label, self.batch_size_per_image, self.positive_fraction)
            offset = i * len(anchors)
            positive.append(some + offset)
            chosen += [some + offset, others + offset]
            labels += [np.ones(len(some)), np.zeros(len(others))]
            targets.append(self.box_coder.encode(truth[matched[some]], anchors[some]))
        place, goal = _on(codes, np.concatenate(positive)), _on(codes, np.concatenate(targets).astype(np.float32))
        count = sum(map(len, chosen))
        box_loss = F.smooth_l1_loss(codes.reshape(-1, 4)[place], goal, beta=1 / 9, reduction="sum") / max(count, 1)
        wanted = _on(logits, np.concatenate(labels).astype(np.float32))
        objectness = F.binary_cross_entropy_with_logits(logits.reshape(-1)[_on(logits, np.concatenate(chosen))], wanted)
        return {"loss_objectness": objectness, "loss_rpn_box_reg": box_loss}


def _on(like: Any, value: np.ndarray) -> Any:
    return flambeau.from_numpy(value).to(like.device)
