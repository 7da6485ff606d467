"""`torchvision.models`: Flambeau's, whose builders also take `pretrained`, as programs written before `weights` do."""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any

from flambeau.torch._table import PACKAGES

_HOME = f"{PACKAGES['torchvision']}.models"


def __getattr__(name: str) -> Any:
    value = getattr(import_module(_HOME), name)
    if name in import_module(_HOME.replace("models", "registry")).builders():
        value = _builder(name, value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return dir(import_module(_HOME))


def _builder(name: str, build: Any) -> Any:
    @functools.wraps(build)
    def made(*args: Any, **options: Any) -> Any:
        for position, value in enumerate(args):
            options[("weights", "progress")[position]] = value
        for old, new in (("pretrained", "weights"), ("pretrained_backbone", "weights_backbone")):
            value = options.pop(old, options.get(new))
            if isinstance(value, bool):  # True meant the first weights that there were
                trained = name if new == "weights" else name.partition("_")[2].removesuffix("_v2").removesuffix("_fpn").removesuffix("_320")
                value = next(iter(import_module(_HOME).get_model_weights(trained))) if value else None
            if old in options or value is not None:
                options[new] = value
        return build(**options)

    return made
