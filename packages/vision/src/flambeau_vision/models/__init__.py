"""Models for images. `registry.py` lists them; each file is imported when one of its names is first used.

>>> from flambeau_vision.models import ResNet18_Weights, resnet18
>>> resnet18(num_classes=5).fc.out_features, ResNet18_Weights.DEFAULT.meta["num_params"]
(5, 11689512)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Files that are called like what they define: imported here, or the module would hide it.
from flambeau_vision.models.alexnet import AlexNet, alexnet
from flambeau_vision.models.digits_cnn import DigitsCNN, DigitsCNN_Weights, digits_cnn
from flambeau_vision.models.features import create_feature_extractor
from flambeau_vision.models.weights import WeightsEnum, get_model, get_model_weights, get_weight, list_models
from flambeau_vision.registry import FAMILIES

__all__ = [
    "AlexNet",
    "DigitsCNN",
    "DigitsCNN_Weights",
    "WeightsEnum",
    "alexnet",
    "create_feature_extractor",
    "digits_cnn",
    "get_model",
    "get_model_weights",
    "get_weight",
    "list_models",
]


def _place(name: str) -> str:
    """The module that defines a class, a builder, or the weights of a builder; empty where there is none."""
    builder = name.removesuffix("_Weights").replace("_", "").lower() if name.endswith("_Weights") else "-"
    for family in FAMILIES:
        if name in family.classes or name in family.builders or builder in [each.replace("_", "") for each in family.builders]:
            return family.module
    return ""


def __getattr__(name: str) -> Any:
    module = "" if name.startswith("__") else _place(name)
    if not module:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *(name for family in FAMILIES for name in (*family.classes, *family.builders))})
