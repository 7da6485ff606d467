"""`flambeau fit shapes-segmentation`: a small U-Net finds the class of each pixel of made pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

import flambeau
from flambeau import nn, optim
from flambeau.data import DataLoader
from flambeau.train import Recipe, RunContext
from flambeau_vision.datasets.shapes import CLASSES, Shapes
from flambeau_vision.metrics import mean_iou
from flambeau_vision.models.segmentation.unet import UNet
from flambeau_vision.recipes.epochs import run_epochs
from flambeau_vision.utils import draw_segmentation_masks, save_image


@dataclass(frozen=True)
class Config:
    """The options of the recipe."""

    epochs: Annotated[int, "how often each picture is seen"] = 8
    batch_size: Annotated[int, "pictures an update"] = 16
    train: Annotated[int, "pictures to learn from"] = 320
    test: Annotated[int, "pictures to judge with"] = 100
    size: Annotated[int, "side of a picture, a multiple of 4"] = 48
    width: Annotated[int, "channels at full resolution"] = 12
    lr: Annotated[float, "the largest learning rate"] = 1e-2


def run(config: Config, context: RunContext) -> dict[str, float]:
    """Train, judge, draw."""
    data = DataLoader(Shapes(config.train, config.size, seed=2 * context.seed), config.batch_size, shuffle=True, collate_fn=together)
    model = UNet(len(CLASSES), 3, (config.width, 2 * config.width, 4 * config.width)).to(context.device)
    optimizer = optim.AdamW(model.parameters(), lr=config.lr)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=config.epochs * len(data))
    criterion = nn.CrossEntropyLoss()

    def one_epoch(epoch: int) -> dict[str, float]:
        model.train()
        total = 0.0
        for images, masks in data:
            loss = criterion(model(images.to(context.device)), masks.to(context.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        return {"loss": total / len(data)}

    run_epochs(context, config.epochs, one_epoch, {"model": model, "optimizer": optimizer, "schedule": schedule}, every=1)
    flambeau.save(model.state_dict(), context.out / "model.safetensors")
    return judge(model.eval(), Shapes(config.test, config.size, seed=2 * context.seed + 1), context)


def together(samples: list[Any]) -> tuple[Any, Any]:
    """Images and masks of a batch."""
    return flambeau.stack([image.plain() for image, _ in samples]), flambeau.stack([target["mask"].plain() for _, target in samples])


def judge(model: Any, data: Shapes, context: RunContext) -> dict[str, float]:
    """mIoU on pictures that were not learnt from, and some of them drawn: the picture, the truth, and what was found."""
    truths, founds = [], []
    pictures: list[Any] = []
    with flambeau.no_grad():
        for images, masks in DataLoader(data, 25, collate_fn=together):
            found = model(images.to(context.device)).argmax(1).cpu()
            truths.append(masks.numpy())
            founds.append(found.numpy())
            if not pictures:
                pictures = [part for row in zip(images[:8], masks[:8], found[:8], strict=True) for part in _row(*row)]
    save_image(pictures, context.out / "predictions.png", nrow=6, padding=2, pad_value=1.0)
    mean, each = mean_iou(np.concatenate(truths), np.concatenate(founds), len(CLASSES))
    return {"miou": mean, **{f"iou_{name}": float(value) for name, value in zip(CLASSES, each, strict=True)}}


def _row(image: Any, truth: Any, found: Any) -> list[Any]:
    shown = [flambeau.stack([mask == k for k in range(1, len(CLASSES))]) for mask in (truth, found)]
    return [image, *(draw_segmentation_masks(image, masks, alpha=0.8) for masks in shown)]


recipe = Recipe(
    "shapes-segmentation",
    Config,
    run,
    "A small U-Net finds the class of each pixel of made pictures.",
    next_steps=["look at predictions.png, in the run's directory: pictures, the truth, and what was found"],
)
