"""What the core itself registers, through the same hooks as everybody else."""

from __future__ import annotations

from flambeau.cli.commands import COMMANDS
from flambeau.plugins.register import Register
from flambeau.plugins.specs import hookimpl

_CALLBACKS = {
    "checkpoint": ("Checkpoint", "Saves a run so that it can go on, bit for bit."),
    "early_stopping": ("EarlyStopping", "Ends a run when a metric no longer improves."),
    "gradient_norm": ("GradientNorm", "Adds the norm of the gradients to the metrics."),
    "learning_curve": ("LearningCurve", "Draws the metrics over the epochs."),
    "lr_monitor": ("LRMonitor", "Adds the learning rate to the metrics."),
    "profiler": ("Profiler", "Adds to the metrics where the time goes."),
    "progress_bar": ("ProgressBar", "Shows a live bar with loss, speed and the time left."),
}
_LOGGERS = {
    "csv": ("CSVLogger", "Writes the metrics as a table."),
    "tensorboard": ("TensorBoardLogger", "Writes the metrics for TensorBoard."),
}
_METRICS = {
    "accuracy": ("Accuracy", "How many of the predictions are right, 0..1."),
    "mean": ("Mean", "The weighted mean of numbers."),
}


@hookimpl
def flambeau_register(registry: Register) -> None:
    """The core's commands, callbacks, loggers and metrics."""
    for name, (target, summary) in COMMANDS.items():
        registry.command(name, target, summary=summary)
    for kind, table in (("callbacks", _CALLBACKS), ("loggers", _LOGGERS), ("metrics", _METRICS)):
        for name, (attribute, summary) in table.items():
            registry.add(kind, name, f"flambeau.train:{attribute}", summary=summary)
