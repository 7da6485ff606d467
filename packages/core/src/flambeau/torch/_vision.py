"""What programs for torchvision use and Flambeau's vision package does otherwise: `ToTensor`, and `download` of data sets."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentTypeError, explain
from flambeau.torch._facade import home_of


def to_tensor(pic: Any) -> flambeau.Tensor:
    """A picture (of Pillow, or an array `(H, W)` or `(H, W, C)`) as a tensor `(C, H, W)`; bytes become floats in 0..1.

    >>> to_tensor(np.full((2, 2, 3), 255, np.uint8)).shape
    flambeau.Size([3, 2, 2])
    """
    if isinstance(pic, flambeau.Tensor):
        raise ArgumentTypeError(explain("to_tensor", expected="a picture or an array", got="a tensor", hint="leave the transform out"))
    array = np.asarray(pic)
    if array.ndim not in (2, 3):
        raise ArgumentTypeError(explain("to_tensor", expected="an array with 2 or 3 axes", got=f"{array.ndim}"))
    if array.dtype == np.bool_:  # Pillow's pictures of one bit
        array = array.astype(np.uint8) * np.uint8(255)
    made = flambeau.from_numpy(np.array(array[..., None] if array.ndim == 2 else array)).permute(2, 0, 1).contiguous()
    return made.to(flambeau.get_default_dtype()).div(255) if made.dtype is flambeau.uint8 else made


class ToTensor:
    """`to_tensor` as a transform."""

    def __call__(self, pic: Any) -> flambeau.Tensor:
        return to_tensor(pic)

    def __repr__(self) -> str:
        return "ToTensor()"


DATASETS = ("MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100")


def __getattr__(name: str) -> Any:
    """A data set whose constructor takes `download`, as torchvision's; made at first use, for its package may not be installed."""
    if name not in DATASETS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base = getattr(import_module(home_of("torchvision.datasets")), name)

    def __init__(
        self: Any, root: Any, train: bool = True, transform: Any = None, target_transform: Any = None, download: bool = False
    ) -> None:
        base.__init__(self, root, train, transform, target_transform)  # whatever `download` says: if files are missing, this says which

    made = type(name, (base,), {"__init__": __init__, "__doc__": base.__doc__, "__module__": __name__, "__qualname__": name})
    globals()[name] = made
    return made
