"""PASCAL VOC (Everingham et al. 2010): objects with boxes, and classes of pixels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from flambeau.base.errors import FileFormatError, explain
from flambeau_vision.datasets.base import Change, ImageDataset, require
from flambeau_vision.io import open_image
from flambeau_vision.models.weights import categories


class _VOC(ImageDataset):
    _splits, _folder, _ending = "Main", "Annotations", ".xml"
    source = "http://host.robots.ox.ac.uk/pascal/VOC"

    def __init__(
        self,
        root: str | os.PathLike[str],
        year: str = "2012",
        image_set: str = "train",
        transform: Change = None,
        target_transform: Change = None,
    ) -> None:
        super().__init__(transform, target_transform)
        name = type(self).__name__
        base = require(name, [Path(root) / "VOCdevkit" / f"VOC{year}", Path(root) / f"VOC{year}", Path(root)], self.source)
        listed = require(name, [base / "ImageSets" / self._splits / f"{image_set}.txt"], self.source)
        ids = [line.split()[0] for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
        for each in ids:
            if Path(each).name != each:
                raise FileFormatError(explain(f"read {listed}", expected="names of images", got=repr(each)))
        self.images = [base / "JPEGImages" / f"{each}.jpg" for each in ids]
        self.targets = [base / self._folder / f"{each}{self._ending}" for each in ids]
        for path in (*self.images, *self.targets):
            if not path.exists():
                raise FileFormatError(explain(name, expected=str(path), got="no such file", hint=f"get it from {self.source}"))
        self.classes = categories("voc")

    def image(self, index: int) -> Any:
        return open_image(self.images[index])


class VOCDetection(_VOC):
    """Images (PIL, RGB) and what their XML files say: a nested dict `{"annotation": {"object": [{"name": ..., "bndbox": ...}, ...]}}`.

    Args:
        root: the directory with `VOCdevkit/VOC<year>` in it.
        year, image_set: which images: "train", "val", "trainval", "test".
        transform, target_transform: what becomes of an image and of its target.
    """

    def target(self, index: int) -> dict[str, Any]:
        path = self.targets[index]
        text = path.read_bytes()
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:  # which could expand without end
            raise FileFormatError(explain(f"read {path}", expected="XML without definitions", got="some"))
        try:
            return _tree(ElementTree.fromstring(text))
        except ElementTree.ParseError as error:
            raise FileFormatError(explain(f"read {path}", expected="whole XML", got=str(error))) from error


def _tree(node: ElementTree.Element) -> dict[str, Any]:
    children = list(node)
    if not children:
        return {node.tag: (node.text or "").strip()}
    out: dict[str, Any] = {}
    for child in children:
        for tag, value in _tree(child).items():
            out.setdefault(tag, []).append(value)
    if node.tag == "annotation":
        out["object"] = [out.get("object", [])]
    return {node.tag: {tag: values[0] if len(values) == 1 else values for tag, values in out.items()}}


class VOCSegmentation(_VOC):
    """Images (PIL, RGB) and their masks (PIL, mode "P"): a class for each pixel, 255 where it is not known. Arguments as VOCDetection."""

    _splits, _folder, _ending = "Segmentation", "SegmentationClass", ".png"

    def target(self, index: int) -> Any:
        return open_image(self.targets[index], mode=None)


def voc_target(annotation: dict[str, Any], canvas_size: tuple[int, int]) -> dict[str, Any]:
    """Boxes (xyxy, from 0 on), labels (1..20) and the `difficult` marks of a VOCDetection target.

    >>> box = {"xmin": "1", "ymin": "1", "xmax": "3", "ymax": "5"}
    >>> found = voc_target({"annotation": {"object": [{"name": "cat", "bndbox": box}]}}, (10, 10))
    >>> found["boxes"].tolist(), found["labels"].tolist()
    ([[0.0, 0.0, 3.0, 5.0]], [8])
    """
    import flambeau
    from flambeau_vision.types import BoundingBoxes

    objects = annotation["annotation"]["object"]
    names = categories("voc")
    corners = [[float(o["bndbox"][k]) - k.endswith("min") for k in ("xmin", "ymin", "xmax", "ymax")] for o in objects]
    return {
        "boxes": BoundingBoxes(flambeau.tensor(corners).reshape(-1, 4), format="XYXY", canvas_size=canvas_size),
        "labels": flambeau.tensor([names.index(o["name"]) for o in objects], dtype=flambeau.int64),
        "difficult": flambeau.tensor([o.get("difficult", "0") == "1" for o in objects], dtype=flambeau.bool),
    }
