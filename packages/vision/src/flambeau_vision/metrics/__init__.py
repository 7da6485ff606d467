"""Measures of classifiers, detectors, segmentations and generated images."""

from __future__ import annotations

from flambeau_vision.metrics.classification import accuracy_at_k, confusion_matrix
from flambeau_vision.metrics.detection import CocoAP, average_precision
from flambeau_vision.metrics.generated import frechet_distance, psnr, ssim
from flambeau_vision.metrics.segmentation import mean_iou

__all__ = ["CocoAP", "accuracy_at_k", "average_precision", "confusion_matrix", "frechet_distance", "mean_iou", "psnr", "ssim"]
