"""Pretrained weights by name: `ResNet50_Weights.IMAGENET1K_V2`, with torchvision's names, and what is known about each.

The facts (addresses, checksums, preprocessing, measured accuracies, licences) are data, in `data/weights.json`; the names of the classes
are in text files beside it. Each architecture's file asks for its own with `weights_enum`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import flambeau
from flambeau.base.errors import ArgumentError, FileFormatError, NameNotFound, did_you_mean, explain
from flambeau.hub import Weights

_PRESETS = "flambeau_vision.transforms.presets"
_FACTS = ("url", "sha256", "preprocess", "options", "categories")  # of a row, apart from its meta


class WeightsEnum(Enum):
    """The pretrained weights of one architecture; `DEFAULT` is the best of them. Each value is a `flambeau.hub.Weights`.

    >>> from flambeau_vision.models import ResNet50_Weights
    >>> best = ResNet50_Weights.DEFAULT
    >>> best.name, best.meta["metrics"]["ImageNet-1K"]["acc@1"], best.meta["categories"][0]
    ('IMAGENET1K_V2', 80.858, 'tench')
    """

    @property
    def url(self) -> str:
        """Where the file is."""
        address: str = self.value.url
        return address

    @property
    def meta(self) -> Mapping[str, Any]:
        """What is known: categories, num_params, metrics, recipe, licence, min_size, ..."""
        facts: Mapping[str, Any] = self.value.meta
        return facts

    def transforms(self, **options: Any) -> Any:
        """The preprocessing that these weights want."""
        return self.value.transforms(**options)

    def get_state_dict(self, progress: bool = True) -> dict[str, Any]:
        """The parameters by name, from a checked local copy that is downloaded at most once."""
        return read_state(self.value.path())

    def __reduce_ex__(self, protocol: Any) -> Any:
        return getattr, (type(self), self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(_data("weights.json"))
    return table


def _data(name: str) -> str:
    return files(__package__).joinpath("data", name).read_text(encoding="utf-8")


@cache
def categories(name: str) -> tuple[str, ...]:
    """The class names of "imagenet" (1,000), "coco" (91, with gaps) or "voc" (21)."""
    return tuple(_data(f"{name}.txt").splitlines())


@cache
def weights_enum(name: str) -> Any:
    """The enum called `name`, such as "ResNet50_Weights", made from the table."""
    row = _table()[name]
    members = {tag: _weights(facts) for tag, facts in row["tags"].items()}
    members["DEFAULT"] = members[row["default"]]  # an equal value, hence an alias
    make: Any = WeightsEnum  # an enum without members makes enums
    return make(name, members, module=__name__)


def _weights(row: dict[str, Any]) -> Weights:
    meta = {key: value for key, value in row.items() if key not in _FACTS}
    if "categories" in row:
        meta["categories"] = categories(row["categories"])
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in row["options"].items()}
    return Weights(row["url"], row["sha256"], f"{_PRESETS}:{row['preprocess']}", options=options, meta=meta)


def __getattr__(name: str) -> Any:
    """Enums by name, so that their members can be pickled."""
    if name in _table():
        return weights_enum(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def find_weights(enum: Any, weights: Any) -> Any:
    """The member of `enum` that `weights` means: itself, its name ("IMAGENET1K_V1", "DEFAULT"), or None for None.

    Raises ArgumentError for anything else, and for the weights of another architecture.
    """
    if weights is None or isinstance(weights, enum):
        return weights
    name = weights.rpartition(".")[2] if isinstance(weights, str) and weights.startswith(f"{enum.__name__}.") else weights
    if isinstance(name, str) and name in enum.__members__:
        return enum[name]
    known = ", ".join(enum.__members__)
    hint = did_you_mean(name, enum.__members__) if isinstance(name, str) else ""
    raise ArgumentError(explain("weights", expected=f"None, a file, or one of {enum.__name__}: {known}", got=repr(weights), hint=hint))


def build(make: Callable[..., Any], enum: Any, weights: Any, progress: bool, options: dict[str, Any], **implied: str) -> Any:
    """A model, with pretrained weights or without.

    Args:
        make: makes the model from `options`.
        enum: the weights that exist for it.
        weights: None, a member of `enum` or its name, or the path of a file with a state dict.
        progress: accepted for torchvision's sake.
        options: what the caller wants of the model. With `weights` of `enum`, `num_classes` is theirs.
        implied: further options that weights decide: option="key of meta" (the first number of a size).
    """
    if isinstance(weights, os.PathLike) or (isinstance(weights, str) and Path(weights).suffix):
        if not (isinstance(weights, str) and weights.startswith(f"{enum.__name__}.")):
            return load_into(make(**options), read_state(weights))
    found = find_weights(enum, weights)
    if found is None:
        return make(**options)
    for option, key in implied.items():
        _imply(options, option, found.meta[key][0])
    if "categories" in found.meta:
        _imply(options, "num_classes", len(found.meta["categories"]))
    return load_into(make(**options), found.get_state_dict(progress=progress))


def _imply(options: dict[str, Any], name: str, value: Any) -> None:
    if options.setdefault(name, value) != value:
        hint = "leave it out, or load the weights and replace the last layer"
        raise ArgumentError(explain("weights", expected=f"{name}={value}, which they were trained for", got=repr(options[name]), hint=hint))


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state dict in a file. Raises FileFormatError when the file holds something else."""
    state = flambeau.load(path, map_location="cpu")
    if isinstance(state, Mapping) and set(state) == {"state_dict"}:
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise FileFormatError(explain(f"load {os.fspath(path)}", expected="a state dict: names and tensors", got=type(state).__name__))
    return dict(state)


# DenseNet's checkpoints are older than the rule that names of modules have no dot in them.
_OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")


def load_into(model: Any, state: dict[str, Any]) -> Any:
    """The model with this state, in evaluation mode; names of old checkpoints are understood."""
    renamed = {"".join(match.groups()) if (match := _OLD_DENSENET.fullmatch(key)) else key: value for key, value in state.items()}
    model.load_state_dict(renamed)
    return model.eval()


def get_model_weights(name: str | Callable[..., Any]) -> Any:
    """The enum of weights for a model, given by name ("resnet50") or by its builder.

    >>> get_model_weights("resnet50").__name__
    'ResNet50_Weights'
    """
    from flambeau_vision import models

    model = name if isinstance(name, str) else name.__name__
    wanted = f"{model}_weights".replace("_", "").lower()
    if model == "digits_cnn":
        return models.DigitsCNN_Weights
    for candidate in _table():
        if candidate.replace("_", "").lower() == wanted:
            return getattr(models, candidate)
    raise NameNotFound(explain(f"weights of {model!r}", expected="a model with pretrained weights", got="one without, or no model"))


def get_weight(name: str) -> Any:
    """Weights by full name: `get_weight("ResNet50_Weights.IMAGENET1K_V2")`."""
    from flambeau_vision import models

    enum, _, tag = name.partition(".")
    if enum not in _table():
        hint = did_you_mean(enum, _table())
        raise NameNotFound(explain("get_weight", expected="a name such as 'ResNet50_Weights.DEFAULT'", got=repr(name), hint=hint))
    return find_weights(getattr(models, enum), tag)


def get_model(name: str, **options: Any) -> Any:
    """A model by its registered name: `get_model("resnet18", weights="DEFAULT")`; plugins' models too.

    >>> get_model("resnet18", num_classes=3).fc.out_features
    3
    """
    from flambeau_vision import models
    from flambeau_vision.registry import builders

    return (getattr(models, name) if name in builders() else flambeau.get("models", name))(**options)


def list_models(include: str | None = None) -> list[str]:
    """The names of the image models of this package and of plugins; `include` is a pattern such as "resnet*"."""
    from fnmatch import fnmatch

    from flambeau_vision.registry import builders

    names = {*builders(), *(entry.name for entry in flambeau.list("models", domain="vision"))}
    return sorted(name for name in names if include is None or fnmatch(name, include))
