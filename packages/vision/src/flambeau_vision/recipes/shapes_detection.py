"""`flambeau fit shapes-detection`: a small RetinaNet finds the shapes in made pictures."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import flambeau
from flambeau import nn, optim
from flambeau.data import DataLoader
from flambeau.train import Recipe, RunContext
from flambeau_vision.datasets.shapes import CLASSES, Shapes
from flambeau_vision.metrics import CocoAP
from flambeau_vision.models.detection.images import AnchorGenerator
from flambeau_vision.models.detection.retinanet import RetinaNet, RetinaNetHead
from flambeau_vision.ops.layers import Conv2dNormActivation
from flambeau_vision.ops.pyramid import FeaturePyramidNetwork
from flambeau_vision.recipes.epochs import run_epochs
from flambeau_vision.utils import draw_bounding_boxes, save_image

COLOURS = [(255, 255, 255), (255, 60, 60), (60, 255, 60), (60, 160, 255)]


@dataclass(frozen=True)
class Config:
    """The options of the recipe."""

    epochs: Annotated[int, "how often each picture is seen"] = 12
    batch_size: Annotated[int, "pictures an update"] = 16
    train: Annotated[int, "pictures to learn from"] = 480
    test: Annotated[int, "pictures to judge with"] = 100
    size: Annotated[int, "side of a picture, a multiple of 32"] = 64
    width: Annotated[int, "channels of the pyramid, a multiple of 8"] = 32
    lr: Annotated[float, "the largest learning rate"] = 4e-3


class Backbone(nn.Module):
    """Five convolutions, and a pyramid of an eighth and a sixteenth of the resolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv2dNormActivation(3, width // 2, stride=2), Conv2dNormActivation(width // 2, width, stride=2))
        self.fine = nn.Sequential(Conv2dNormActivation(width, 2 * width, stride=2), Conv2dNormActivation(2 * width, 2 * width))
        self.coarse = Conv2dNormActivation(2 * width, 2 * width, stride=2)
        self.fpn = FeaturePyramidNetwork([2 * width, 2 * width], width)
        self.out_channels = width

    def forward(self, x: Any) -> Any:
        fine = self.fine(self.stem(x))
        return self.fpn(OrderedDict(fine=fine, coarse=self.coarse(fine)))


def make_detector(config: Config) -> RetinaNet:
    """A RetinaNet for small pictures: anchors of four sizes, and group normalisation in the heads."""
    backbone = Backbone(config.width)
    anchors = AnchorGenerator(((10.0, 14.0), (18.0, 25.0)), ((1.0,),) * 2)
    head = RetinaNetHead(config.width, 2, len(CLASSES), partial(nn.GroupNorm, 8))
    mean, std = (0.3,) * 3, (0.3,) * 3
    return RetinaNet(backbone, len(CLASSES), config.size, config.size, mean, std, anchors, head, score_thresh=0.05, detections_per_img=20)


def run(config: Config, context: RunContext) -> dict[str, float]:
    """Train, judge, draw."""
    data = DataLoader(Shapes(config.train, config.size, seed=2 * context.seed), config.batch_size, shuffle=True, collate_fn=together)
    model = make_detector(config).to(context.device)
    optimizer = optim.AdamW(model.parameters(), lr=config.lr)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=config.epochs * len(data))

    def one_epoch(epoch: int) -> dict[str, float]:
        model.train()
        sums = {"classification": 0.0, "bbox_regression": 0.0}
        for images, targets in data:
            losses = model([image.to(context.device) for image in images], targets)
            optimizer.zero_grad()
            sum(losses.values()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            for name in sums:
                sums[name] += float(losses[name].detach()) / len(data)
        return sums

    run_epochs(context, config.epochs, one_epoch, {"model": model, "optimizer": optimizer, "schedule": schedule}, every=1)
    flambeau.save(model.state_dict(), context.out / "model.safetensors")
    return judge(model.eval(), Shapes(config.test, config.size, seed=2 * context.seed + 1), context)


def together(samples: list[Any]) -> tuple[list[Any], list[dict[str, Any]]]:
    """Lists of images and of targets: detectors take images of any sizes."""
    return [image.plain() for image, _ in samples], [target for _, target in samples]


def judge(model: Any, data: Shapes, context: RunContext) -> dict[str, float]:
    """COCO's average precision on pictures that were not learnt from, and some of them drawn with what was found."""
    metric = CocoAP()
    pictures: list[Any] = []
    with flambeau.no_grad():
        for images, targets in DataLoader(data, 20, collate_fn=together):
            found = model([image.to(context.device) for image in images])
            metric.update(found, targets)
            pictures += [_drawn(image, each) for image, each in zip(images, found, strict=True)][: max(0, 16 - len(pictures))]
    save_image(pictures, context.out / "predictions.png", nrow=4, padding=3, pad_value=1.0)
    result = metric.compute()
    return {name: result[name] for name in ("map", "map50", "map75")}


def _drawn(image: Any, found: dict[str, Any]) -> Any:
    sure = found["scores"] > 0.3
    boxes, labels = found["boxes"][sure].cpu(), found["labels"][sure].tolist()
    large = nn.functional.interpolate(image[None], scale_factor=3, mode="nearest")[0]
    return draw_bounding_boxes(large, boxes * 3, [CLASSES[k] for k in labels], [COLOURS[k] for k in labels] or None, width=2)


recipe = Recipe(
    "shapes-detection",
    Config,
    run,
    "A small RetinaNet finds the shapes in made pictures.",
    next_steps=["look at predictions.png, in the run's directory"],
)
