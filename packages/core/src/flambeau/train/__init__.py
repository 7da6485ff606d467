"""Training: the loop and its callbacks, metrics, and recipes."""

from __future__ import annotations

from flambeau.train.callbacks import (
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    GradientNorm,
    LearningCurve,
    LRMonitor,
    Profiler,
    ProgressBar,
    Report,
    TensorBoardLogger,
)
from flambeau.train.events import Callback, Loop
from flambeau.train.interrupt import Interrupted
from flambeau.train.loop import Trainer
from flambeau.train.metrics import Accuracy, Mean, Metric
from flambeau.train.recipe import Progress, Recipe, RunContext, RunResult, run_recipe

__all__ = [
    "Accuracy",
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "GradientNorm",
    "Interrupted",
    "LRMonitor",
    "LearningCurve",
    "Loop",
    "Mean",
    "Metric",
    "Profiler",
    "Progress",
    "ProgressBar",
    "Recipe",
    "Report",
    "RunContext",
    "RunResult",
    "TensorBoardLogger",
    "Trainer",
    "run_recipe",
]
