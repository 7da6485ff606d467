"""The second stage of Faster R-CNN: the class and the exact box of each proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau import nn
from flambeau.nn import functional as F
from flambeau_vision.models.detection.images import Sizes
from flambeau_vision.models.detection.matching import NOTHING, UNSURE, BoxCoder, balanced, match
from flambeau_vision.models.detection.retinanet import chosen_best

_SMALLEST = 1e-2  # pixels of a detection's side


class RoIHeads(nn.Module):
    """Pools the features of proposals, and tells their classes and boxes."""

    def __init__(
        self,
        box_roi_pool: nn.Module,
        box_head: nn.Module,
        box_predictor: nn.Module,
        fg_iou_thresh: float = 0.5,
        bg_iou_thresh: float = 0.5,
        batch_size_per_image: int = 512,
        positive_fraction: float = 0.25,
        bbox_reg_weights: tuple[float, float, float, float] | None = None,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.5,
        detections_per_img: int = 100,
    ) -> None:
        super().__init__()
        self.box_roi_pool, self.box_head, self.box_predictor = box_roi_pool, box_head, box_predictor
        self.box_coder = BoxCoder(bbox_reg_weights or (10.0, 10.0, 5.0, 5.0))
        self.fg_iou_thresh, self.bg_iou_thresh = fg_iou_thresh, bg_iou_thresh
        self.batch_size_per_image, self.positive_fraction = batch_size_per_image, positive_fraction
        self.score_thresh, self.nms_thresh, self.detections_per_img = score_thresh, nms_thresh, detections_per_img

    def _predict(self, features: Mapping[str, Any], proposals: Sequence[np.ndarray], sizes: Sizes) -> tuple[Any, Any]:
        boxes = [flambeau.from_numpy(np.asarray(p, np.float32)) for p in proposals]
        logits, codes = self.box_predictor(self.box_head(self.box_roi_pool(features, boxes, sizes)))
        return logits, codes

    def losses(
        self, features: Mapping[str, Any], proposals: list[np.ndarray], sizes: Sizes, boxes: list[np.ndarray], labels: list[np.ndarray]
    ) -> dict[str, Any]:
        """`loss_classifier` and `loss_box_reg`, of a random choice of proposals; the true boxes are among them."""
        kept, classes, targets = [], [], []
        for found, truth, kinds in zip(proposals, boxes, labels, strict=True):
            candidates = np.concatenate([found, truth])
            matched = match(truth, candidates, self.fg_iou_thresh, self.bg_iou_thresh, allow_low_quality=False)
            label = np.where(matched == NOTHING, 0, -1)
            known = matched > NOTHING
            label[known] = kinds[matched[known]]
            label[matched == UNSURE] = -1
            some, others = balanced(label, self.batch_size_per_image, self.positive_fraction)
            chosen = np.sort(np.concatenate([some, others]))
            kept.append(candidates[chosen])
            classes.append(label[chosen])
            goal = np.zeros((len(chosen), 4))
            objects = label[chosen] > 0
            goal[objects] = self.box_coder.encode(truth[matched[chosen[objects]]], candidates[chosen[objects]])
            targets.append(goal)
        logits, codes = self._predict(features, kept, sizes)
        wanted, goals = np.concatenate(classes).astype(np.int64), np.concatenate(targets).astype(np.float32)
        (rows,) = np.nonzero(wanted > 0)
        device = logits.device
        row, kind, goal_of = (flambeau.from_numpy(v).to(device) for v in (rows, wanted[rows], goals[rows]))
        mine = codes.reshape(codes.shape[0], codes.shape[1] // 4, 4)[row, kind]
        box_loss = F.smooth_l1_loss(mine, goal_of, beta=1 / 9, reduction="sum") / max(len(wanted), 1)
        return {"loss_classifier": F.cross_entropy(logits, flambeau.from_numpy(wanted).to(device)), "loss_box_reg": box_loss}

    def detections(self, features: Mapping[str, Any], proposals: list[np.ndarray], sizes: Sizes, olds: Sizes) -> list[dict[str, Any]]:
        """For each image `boxes`, `labels` and `scores`, on the images as they were given (`olds`)."""
        logits, codes = self._predict(features, proposals, sizes)
        scores = F.softmax(logits.detach(), -1).cpu().numpy()
        decoded = self.box_coder.decode(codes.detach(), np.concatenate(proposals)).cpu().numpy()
        out, start = [], 0
        for found, size, old in zip(proposals, sizes, olds, strict=True):
            rows = slice(start, start + len(found))
            start += len(found)
            out.append(self._one(scores[rows, 1:], decoded[rows, 1:], size, old, logits))
        return out

    def _one(self, scores: np.ndarray, boxes: np.ndarray, size: tuple[int, int], old: tuple[int, int], like: Any) -> dict[str, Any]:
        labels = np.broadcast_to(np.arange(1, scores.shape[1] + 1), scores.shape).reshape(-1)
        box, score = boxes.reshape(-1, 4), scores.reshape(-1)
        box = np.stack([box[:, k].clip(0, size[1 - k % 2]) for k in range(4)], 1)
        keep = (score > self.score_thresh) & (box[:, 2:] - box[:, :2] >= _SMALLEST).all(1)
        return chosen_best(box[keep], score[keep], labels[keep], self.nms_thresh, self.detections_per_img, size, old, like)
