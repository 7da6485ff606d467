"""What programs for torchvision use and Flambeau's vision package does otherwise: `ToTensor`, tensors in data sets, `VisionDataset`."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.data import Dataset
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


def __getattr__(name: str) -> Any:
    """A data set of MNIST's family whose `data` and `targets` are tensors; made at first use, for its package may not be installed."""
    if name not in ("MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base = getattr(import_module(home_of("torchvision.datasets")), name)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        base.__init__(self, *args, **kwargs)
        self.data, self.targets = flambeau.from_numpy(self.data), flambeau.from_numpy(self.targets)

    def image(self: Any, index: int) -> Any:
        from PIL import Image

        return Image.fromarray(self.data[index].numpy())

    body = {"__init__": __init__, "image": image, "__doc__": base.__doc__, "__module__": __name__, "__qualname__": name}
    made = type(
        name, (base,), {**body, "train_data": property(lambda self: self.data), "train_labels": property(lambda self: self.targets)}
    )
    globals()[name] = made
    return made


class VisionDataset(Dataset[Any]):
    """The base of torchvision's data sets: `root`, and transforms of image and target, or of both at once."""

    def __init__(self, root: Any = None, transforms: Any = None, transform: Any = None, target_transform: Any = None) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            got = "transforms and transform or target_transform"
            raise ArgumentError(explain(type(self).__name__, expected="transforms, or transform and target_transform", got=got))
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        self.transform, self.target_transform, self._both = transform, target_transform, transforms

    @property
    def transforms(self) -> Any:
        """What changes image and target together; None if nothing does."""
        if self._both is None and (self.transform is not None or self.target_transform is not None):
            return self._each
        return self._both

    @transforms.setter
    def transforms(self, value: Any) -> None:
        self._both = value

    def _each(self, image: Any, target: Any) -> tuple[Any, Any]:
        changed = image if self.transform is None else self.transform(image)
        return changed, target if self.target_transform is None else self.target_transform(target)

    def __len__(self) -> int:
        raise NotImplementedError(explain("len", expected=f"{type(self).__name__} to define __len__"))

    def extra_repr(self) -> str:
        """More for `repr`; nothing."""
        return ""

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"    Number of datapoints: {len(self)}"]
        lines += [f"    Root location: {self.root}"] if self.root is not None else []
        return "\n".join([*lines, *(f"    {line}" for line in self.extra_repr().splitlines())])
