"""Pictures of what a classifier gets wrong, drawn with Pillow alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

CELL, TILE, MARGIN = 26, 64, 20  # pixels
TILES_A_ROW = 8
INK, PAPER, RIGHT, WRONG = (20, 20, 20), (255, 255, 255), (70, 130, 180), (200, 60, 50)


def confusion_matrix(targets: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """How often each class was taken for each: (K, K) counts, a row for each true class.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (targets, predictions), 1)
    return counts


def mistakes(images: np.ndarray, targets: np.ndarray, predictions: np.ndarray, classes: tuple[str, ...]) -> Image.Image:
    """The confusion matrix, and under it each image that was taken for something else.

    Args:
        images: (n, H, W), 0 is paper and the largest value is ink.
        targets: (n,) true classes.
        predictions: (n,) what they were taken for.
        classes: their names.
    """
    matrix = _draw_matrix(confusion_matrix(targets, predictions, len(classes)), classes)
    (wrong,) = np.nonzero(targets != predictions)
    rows = -(-len(wrong) // TILES_A_ROW)
    picture = Image.new("RGB", (max(matrix.width, TILES_A_ROW * (TILE + 8) + 8), matrix.height + rows * (TILE + MARGIN)), PAPER)
    picture.paste(matrix, (0, 0))
    draw = ImageDraw.Draw(picture)
    for number, index in enumerate(wrong):
        row, column = divmod(number, TILES_A_ROW)
        x, y = 8 + column * (TILE + 8), matrix.height + row * (TILE + MARGIN)
        picture.paste(_tile(images[index], images.max()), (x, y))
        draw.text((x, y + TILE + 2), f"{classes[targets[index]]}, not {classes[predictions[index]]}", fill=WRONG)
    return picture


def _tile(image: np.ndarray, ink: Any) -> Image.Image:
    grey = (255 * (1 - image / max(ink, 1))).astype(np.uint8)
    return Image.fromarray(grey).resize((TILE, TILE), Image.Resampling.NEAREST)


def _draw_matrix(counts: np.ndarray, classes: tuple[str, ...]) -> Image.Image:
    size = MARGIN + 8 + CELL * len(classes)
    picture = Image.new("RGB", (size, size + MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, 2), f"true class down, taken for across; {counts.trace()} of {counts.sum()} right", fill=INK)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    for row, name in enumerate(classes):
        draw.text((6, _at(row) + 7), name, fill=INK)
        draw.text((_at(row) + 9, MARGIN - 2), name, fill=INK)
        for column in range(len(classes)):
            colour = RIGHT if row == column else WRONG
            box = (_at(column), _at(row), _at(column) + CELL - 2, _at(row) + CELL - 2)
            draw.rectangle(box, fill=_mix(colour, shares[row, column] ** 0.5))  # the root makes single mistakes visible
            if counts[row, column]:
                draw.text((box[0] + 5, box[1] + 6), str(counts[row, column]), fill=INK)
    return picture


def _at(position: int) -> int:
    return MARGIN + 12 + CELL * position - 2


def _mix(colour: tuple[int, int, int], share: float) -> tuple[int, ...]:
    return tuple(round(paper + share * (full - paper)) for paper, full in zip(PAPER, colour, strict=True))
