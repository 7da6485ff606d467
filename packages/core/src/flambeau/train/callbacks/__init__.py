"""Callbacks of training loops, one short class each."""

from __future__ import annotations

from flambeau.train.callbacks.checkpoint import Checkpoint
from flambeau.train.callbacks.csv_logger import CSVLogger
from flambeau.train.callbacks.early_stopping import EarlyStopping
from flambeau.train.callbacks.learning_curve import LearningCurve
from flambeau.train.callbacks.monitors import GradientNorm, LRMonitor, Profiler
from flambeau.train.callbacks.progress import ProgressBar, Report
from flambeau.train.callbacks.tensorboard import TensorBoardLogger

__all__ = [
    "CSVLogger",
    "Checkpoint",
    "EarlyStopping",
    "GradientNorm",
    "LRMonitor",
    "LearningCurve",
    "Profiler",
    "ProgressBar",
    "Report",
    "TensorBoardLogger",
]
