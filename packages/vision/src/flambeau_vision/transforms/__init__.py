"""Transforms of images with their masks, boxes and points, with the names and meanings of torchvision's v2.

>>> import flambeau
>>> from flambeau_vision.transforms import Compose, RandomHorizontalFlip, Resize
>>> from flambeau_vision.types import BoundingBoxes, Image
>>> sample = {"image": Image(flambeau.zeros(3, 20, 40)), "boxes": BoundingBoxes([[0, 0, 10, 20]], format="XYXY", canvas_size=(20, 40))}
>>> out = Compose([Resize(10), RandomHorizontalFlip(p=1.0)])(sample)
>>> out["image"].shape, out["boxes"].tolist(), out["boxes"].canvas_size
(flambeau.Size([3, 10, 20]), [[15, 0, 20, 10]], (10, 20))
"""

from __future__ import annotations

from flambeau_vision.functional.geometry import InterpolationMode
from flambeau_vision.transforms.auto import RandAugment, TrivialAugmentWide
from flambeau_vision.transforms.base import Transform
from flambeau_vision.transforms.color import (
    ColorJitter,
    GaussianBlur,
    Grayscale,
    Normalize,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
)
from flambeau_vision.transforms.compose import Compose, RandomApply, RandomChoice, RandomOrder
from flambeau_vision.transforms.geometry import (
    CenterCrop,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomPerspective,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
)
from flambeau_vision.transforms.misc import (
    ClampBoundingBoxes,
    ConvertBoundingBoxFormat,
    Identity,
    Lambda,
    PILToTensor,
    SanitizeBoundingBoxes,
    ToDtype,
    ToImage,
    ToPILImage,
    ToPureTensor,
)
from flambeau_vision.transforms.mix import CutMix, MixUp

__all__ = [
    "CenterCrop",
    "ClampBoundingBoxes",
    "ColorJitter",
    "Compose",
    "ConvertBoundingBoxFormat",
    "CutMix",
    "GaussianBlur",
    "Grayscale",
    "Identity",
    "InterpolationMode",
    "Lambda",
    "MixUp",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomChoice",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomOrder",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomVerticalFlip",
    "Resize",
    "SanitizeBoundingBoxes",
    "ToDtype",
    "ToImage",
    "ToPILImage",
    "ToPureTensor",
    "Transform",
    "TrivialAugmentWide",
]
