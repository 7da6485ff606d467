"""`flambeau fit digits`: a small convolutional net learns to read digits, in about a minute on two cores."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

import flambeau
from flambeau import nn, optim
from flambeau.base.files import atomic_write
from flambeau.data import DataLoader
from flambeau.train import Accuracy, Checkpoint, CSVLogger, LearningCurve, LRMonitor, Recipe, Report, RunContext, Trainer
from flambeau_vision.datasets import OpticalDigits
from flambeau_vision.models import digits_cnn
from flambeau_vision.recipes.pictures import mistakes


@dataclass(frozen=True)
class Config:
    """The options of the recipe."""

    epochs: Annotated[int, "how often each image is seen"] = 20
    batch_size: Annotated[int, "images an update"] = 64
    lr: Annotated[float, "the largest learning rate"] = 5e-3
    weight_decay: Annotated[float, "of AdamW"] = 1e-2
    width: Annotated[int, "channels of the first convolution"] = 16
    dropout: Annotated[float, "before the last layer"] = 0.2
    label_smoothing: Annotated[float, "how much of the target goes to all classes alike"] = 0.1
    workers: Annotated[int, "processes that load data"] = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more")


def run(config: Config, context: RunContext) -> dict[str, float]:
    """Train on four fifths of the digits; returns loss and accuracy on the others, which decide nothing in the training."""
    train = DataLoader(OpticalDigits("train"), config.batch_size, shuffle=True, num_workers=config.workers)
    test = DataLoader(OpticalDigits("test"), batch_size=256)
    model = digits_cnn(width=config.width, dropout=config.dropout).to(context.device)
    optimizer = optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    trainer = Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(label_smoothing=config.label_smoothing),
        scheduler=optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=config.epochs * len(train)),
        schedule_every="batch",
        metrics={"accuracy": Accuracy()},
        callbacks=[
            LRMonitor(),
            Report(context.report),
            CSVLogger(context.out / "metrics.csv"),
            *LearningCurve.if_possible(context.out / "learning_curve.png", metrics=("loss", "accuracy")),
            Checkpoint(context.out),
            *context.callbacks,
        ],
    )
    trainer.fit(train, test, epochs=config.epochs, resume=context.out if context.resume else None)
    flambeau.save(model.state_dict(), context.out / "model.safetensors")
    _draw_mistakes(trainer, test, context)
    return trainer.evaluate(test)


def _draw_mistakes(trainer: Trainer, loader: Any, context: RunContext) -> None:
    trainer.model.eval()
    with flambeau.no_grad():
        guesses = [trainer.model(images.to(context.device)).argmax(1).cpu().numpy() for images, _ in loader]
    picture = io.BytesIO()
    digits = loader.dataset
    mistakes(digits.images, digits.targets, np.concatenate(guesses), digits.classes).save(picture, "PNG")
    with atomic_write(context.out / "mistakes.png") as file:
        file.write(picture.getvalue())


recipe = Recipe(
    "digits",
    Config,
    run,
    "A small convolutional net learns the optical digits.",
    threads=1,
    next_steps=[
        "look at learning_curve.png and mistakes.png, in the run's directory",
        "flambeau fit digits --seed 1 --set width=32 --out runs/digits-wide",
        "use the model in three lines of Python:",
        "    from flambeau.vision.models import digits_cnn",
        '    model = digits_cnn("runs/digits/model.safetensors")',
        "    model(images).argmax(1)  # images: (N, 1, 8, 8), 0..1",
    ],
)
