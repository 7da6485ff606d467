"""COCO (Lin et al. 2014): objects with boxes and masks, from its JSON files; run-length codes are read here."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import FileFormatError, explain
from flambeau_vision.datasets.base import Change, ImageDataset
from flambeau_vision.io import open_image
from flambeau_vision.types import BoundingBoxes, Mask

_MOST = 100_000_000  # pixels of a mask


class CocoDetection(ImageDataset):
    """Images (PIL, RGB) and lists of their annotations, dicts as in the JSON file: `bbox`, `category_id`, `segmentation`, ...

    Args:
        root: the directory of the images.
        annFile: the JSON file.
        transform, target_transform: what becomes of an image and of its list.

    Attributes:
        ids: the images' numbers, rising; categories: number -> name.
    """

    def __init__(
        self, root: str | os.PathLike[str], annFile: str | os.PathLike[str], transform: Change = None, target_transform: Change = None
    ) -> None:
        super().__init__(transform, target_transform)
        self.root = Path(root)
        name = f"read {os.fspath(annFile)}"
        try:
            content = json.loads(Path(annFile).read_bytes())
            images = {int(row["id"]): str(row["file_name"]) for row in content["images"]}
            self.categories = {int(row["id"]): str(row["name"]) for row in content.get("categories", [])}
            grouped: dict[int, list[dict[str, Any]]] = defaultdict(list)
            for row in content.get("annotations", []):
                grouped[int(row["image_id"])].append(row)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            got = f"{type(error).__name__}: {error}"
            raise FileFormatError(explain(name, expected="JSON with images, categories and annotations", got=got)) from error
        strange = sorted(set(grouped) - set(images))
        if strange:
            raise FileFormatError(explain(name, expected="annotations of its images", got=f"some of image {strange[0]}"))
        for file in images.values():
            if os.path.isabs(file) or ".." in Path(file).parts:
                raise FileFormatError(explain(name, expected="names of files below the root", got=repr(file)))
        self.ids = sorted(images)
        self.files = [images[i] for i in self.ids]
        self.targets = [grouped.get(i, []) for i in self.ids]

    def image(self, index: int) -> Any:
        return open_image(self.root / self.files[index])


def coco_target(annotations: list[dict[str, Any]], canvas_size: tuple[int, int], masks: bool = False) -> dict[str, Any]:
    """Boxes (xyxy), labels (category numbers), `iscrowd` and `area`, and on request masks (n, H, W), of one image."""
    boxes = flambeau.tensor([[float(v) for v in row["bbox"]] for row in annotations], dtype=flambeau.float32).reshape(-1, 4)
    corners = flambeau.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    out: dict[str, Any] = {
        "boxes": BoundingBoxes(corners, format="XYXY", canvas_size=canvas_size),
        "labels": flambeau.tensor([int(row["category_id"]) for row in annotations], dtype=flambeau.int64),
        "iscrowd": flambeau.tensor([int(row.get("iscrowd", 0)) for row in annotations], dtype=flambeau.int64),
        "area": flambeau.tensor([float(row.get("area", row["bbox"][2] * row["bbox"][3])) for row in annotations], dtype=flambeau.float32),
    }
    if masks:
        drawn = [segmentation_mask(row["segmentation"], canvas_size) for row in annotations]
        out["masks"] = Mask(np.stack(drawn) if drawn else np.zeros((0, *canvas_size), np.uint8))
    return out


def segmentation_mask(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """A mask (H, W) of 0 and 1 from polygons, or from run lengths (a list, or COCO's text)."""
    if isinstance(segmentation, dict):
        return rle_decode(segmentation)
    from PIL import Image, ImageDraw

    picture = Image.new("L", (size[1], size[0]))
    for polygon in segmentation:
        if len(polygon) < 6 or len(polygon) % 2:
            raise FileFormatError(explain("polygon", expected="three points or more", got=f"{len(polygon)} numbers"))
        ImageDraw.Draw(picture).polygon([float(v) for v in polygon], fill=1, outline=1)
    return np.array(picture)


def rle_decode(rle: dict[str, Any]) -> np.ndarray:
    """A mask (H, W), uint8, from {"size": [H, W], "counts": ...}: run lengths column by column, zeros first.

    >>> rle_decode({"size": [2, 3], "counts": [1, 2, 3]}).tolist()
    [[0, 1, 0], [1, 0, 0]]
    """
    try:
        height, width = (int(side) for side in rle["size"])
        counts = rle["counts"]
        runs = np.array(counts if isinstance(counts, list) else rle_from_text(counts), np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(explain("run lengths", expected="a dict of size and counts", got=str(error))) from error
    whole = height * width
    if not 0 <= whole <= _MOST or (runs < 0).any() or runs.sum() != whole:
        got = f"{int(runs.sum())} for {height} x {width}"
        raise FileFormatError(explain("run lengths", expected="lengths that fill the mask", got=got))
    values = np.arange(len(runs)) % 2
    return np.repeat(values, runs).astype(np.uint8).reshape(width, height).T


def rle_encode(mask: np.ndarray) -> dict[str, Any]:
    """The run lengths of a mask, as COCO writes them for crowds.

    >>> rle_encode(np.array([[0, 1, 0], [1, 0, 0]]))
    {'size': [2, 3], 'counts': [1, 2, 3]}
    """
    flat = np.asarray(mask, bool).T.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]).astype(np.int8))).tolist()
    return {"size": list(mask.shape), "counts": np.diff([0, *edges, len(flat)]).tolist()}


def rle_from_text(text: str | bytes) -> list[int]:
    """Run lengths from COCO's text: five bits a character, from 48 on; the sixth says that more follow. Later runs are differences."""
    data = text.encode("ascii") if isinstance(text, str) else bytes(text)
    runs: list[int] = []
    place = 0
    while place < len(data):
        value = shift = 0
        more = True
        while more:
            if place >= len(data) or not 48 <= data[place] < 112 or shift > 40:
                raise ValueError("a damaged code of run lengths")
            bits = data[place] - 48
            value |= (bits & 0x1F) << shift
            more, shift, place = bool(bits & 0x20), shift + 5, place + 1
            if not more and bits & 0x10:
                value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
