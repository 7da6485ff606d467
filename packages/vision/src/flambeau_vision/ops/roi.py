"""Features of boxes: RoIAlign (He et al. 2017, https://arxiv.org/abs/1703.06870) and RoIPool (https://arxiv.org/abs/1504.08083)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, ShapeError, explain

_CHUNK = 1 << 20  # sampled values of one channel that are held at a time


def _rois(op: str, input: Any, boxes: Any) -> np.ndarray:
    """(R, 5) of image, x1, y1, x2, y2 from such a tensor, or from a list with boxes (n, 4) for each image."""
    if input.ndim != 4:
        raise ShapeError(explain(op, expected="features (N, C, H, W)", got=f"shape {tuple(input.shape)}"))
    if isinstance(boxes, (list, tuple)):
        if len(boxes) != input.shape[0]:
            raise ArgumentError(explain(op, expected=f"boxes for {input.shape[0]} images", got=f"for {len(boxes)}"))
        arrays = [np.asarray(b.detach().cpu().numpy(), np.float64).reshape(-1, 4) for b in boxes]
        return np.concatenate([np.column_stack([np.full(len(a), i), a]) for i, a in enumerate(arrays)]) if arrays else np.zeros((0, 5))
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise ShapeError(explain(op, expected="boxes (R, 5), or a list of (n, 4)", got=f"shape {tuple(boxes.shape)}"))
    return np.asarray(boxes.detach().cpu().numpy(), np.float64)


def _size(output_size: Any) -> tuple[int, int]:
    return (output_size, output_size) if isinstance(output_size, int) else (int(output_size[0]), int(output_size[1]))


def _taps(start: np.ndarray, length: np.ndarray, bins: int, samples: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along one axis, for each box and sample: two pixels and the weight of the second; the third array is 0 outside the image."""
    step = (np.arange(bins * samples) + 0.5) / samples * (length[:, None] / bins)
    place = start[:, None] + step  # R bins * samples
    inside = (place >= -1.0) & (place <= size)
    place = np.clip(place, 0, size - 1)
    low = np.floor(place).astype(np.int64)
    return low, place - low, inside.astype(np.float64)


def roi_align(input: Any, boxes: Any, output_size: Any, spatial_scale: float = 1.0, sampling_ratio: int = -1, aligned: bool = False) -> Any:
    """The features in each box, averaged in bins: (R, C, *output_size). The gradient reaches the features, not the boxes.

    Args:
        input: (N, C, H, W).
        boxes: a list with boxes (n, 4) for each image, or (R, 5) with the image's number in front.
        output_size: bins down and across.
        spatial_scale: feature pixels a box unit.
        sampling_ratio: samples a bin and axis; 0 or less takes as many as the bin has pixels.
        aligned: whether the centre of the first pixel is at 0.5 (right) or at 0 (as the first implementations had it).
    """
    rois, (high, wide) = _rois("roi_align", input, boxes), _size(output_size)
    n, channels, height, width = input.shape
    corners = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    starts, lengths = corners[:, :2], corners[:, 2:] - corners[:, :2]
    if not aligned:
        lengths = np.maximum(lengths, 1.0)
    if sampling_ratio > 0:
        samples = np.full((len(rois), 2), sampling_ratio)
    else:
        samples = np.maximum(np.ceil(lengths / [wide, high]), 1).astype(np.int64)
    rows = input.permute(0, 2, 3, 1).reshape(n * height * width, channels)  # a pixel a row
    out: list[Any] = []
    places: list[np.ndarray] = []
    for across, down in np.unique(samples, axis=0).tolist():
        (which,) = np.nonzero((samples == (across, down)).all(1))
        step = max(1, _CHUNK // (high * down * wide * across))
        for part in np.array_split(which, -(-len(which) // step)):
            y = _taps(starts[part, 1], lengths[part, 1], high, down, height)
            x = _taps(starts[part, 0], lengths[part, 0], wide, across, width)
            sampled = _bilinear(rows, rois[part, 0].astype(np.int64), y, x, (height, width))
            pooled = sampled.reshape(len(part), high, down, wide, across, channels).mean((2, 4))
            out.append(pooled)
            places.append(part)
    if not out:
        return flambeau.zeros(0, channels, high, wide, dtype=input.dtype, device=input.device)
    back = np.argsort(np.concatenate(places))
    return flambeau.cat(out)[flambeau.from_numpy(back).to(input.device)].permute(0, 3, 1, 2)


def _bilinear(rows: Any, image: np.ndarray, y: Any, x: Any, size: tuple[int, int]) -> Any:
    """(R, Y, X, C): between four pixels."""
    height, width = size
    (y0, fy, oy), (x0, fx, ox) = y, x
    base = (image * height * width)[:, None, None]
    total: Any = None
    for down in (0, 1):
        for right in (0, 1):
            row, column = np.minimum(y0 + down, height - 1), np.minimum(x0 + right, width - 1)
            index = base + row[:, :, None] * width + column[:, None, :]
            weight = (oy * (fy if down else 1 - fy))[:, :, None] * (ox * (fx if right else 1 - fx))[:, None, :]
            values = rows[flambeau.from_numpy(np.ascontiguousarray(index)).to(rows.device)]
            part = values * flambeau.from_numpy(weight[..., None]).to(rows.device).to(rows.dtype)
            total = part if total is None else total + part
    return total


def roi_pool(input: Any, boxes: Any, output_size: Any, spatial_scale: float = 1.0) -> Any:
    """The largest feature in each bin of each box, with box and bins rounded to whole pixels: (R, C, *output_size)."""
    rois, (high, wide) = _rois("roi_pool", input, boxes), _size(output_size)
    n, channels, height, width = input.shape
    out = []
    for image, *corners in rois.tolist():
        x1, y1, x2, y2 = (int(np.floor(corner * spatial_scale + 0.5)) for corner in corners)
        rows, columns = _bins(y1, y2, high, height), _bins(x1, x2, wide, width)
        cells = [
            input[int(image), :, top:bottom, left:right].amax((-2, -1))
            if bottom > top and right > left
            else flambeau.zeros(channels, dtype=input.dtype, device=input.device)
            for top, bottom in rows
            for left, right in columns
        ]
        out.append(flambeau.stack(cells, -1).reshape(channels, high, wide))
    return flambeau.stack(out) if out else flambeau.zeros(0, channels, high, wide, dtype=input.dtype, device=input.device)


def _bins(start: int, stop: int, count: int, size: int) -> list[tuple[int, int]]:
    step = max(stop - start + 1, 1) / count
    edges = [(start + int(np.floor(i * step)), start + int(np.ceil((i + 1) * step))) for i in range(count)]
    return [(min(max(a, 0), size), min(max(b, 0), size)) for a, b in edges]


class MultiScaleRoIAlign(nn.Module):
    """RoIAlign from the level of a feature pyramid that suits each box (Lin et al. 2016, https://arxiv.org/abs/1612.03144, eq. 1).

    Args:
        featmap_names: the levels, largest first.
        output_size, sampling_ratio: as in `roi_align`.
        canonical_scale, canonical_level: a box of this side belongs to this level.
    """

    def __init__(
        self,
        featmap_names: Sequence[str],
        output_size: Any,
        sampling_ratio: int,
        *,
        canonical_scale: int = 224,
        canonical_level: int = 4,
    ) -> None:
        super().__init__()
        self.featmap_names, self.output_size, self.sampling_ratio = list(featmap_names), _size(output_size), sampling_ratio
        self.canonical_scale, self.canonical_level = canonical_scale, canonical_level

    def forward(self, x: Mapping[str, Any], boxes: Sequence[Any], image_shapes: Sequence[tuple[int, int]]) -> Any:
        """Features (R, C, *output_size) of all boxes of all images, in order.

        `image_shapes` are the images' sizes before they were padded to one batch.
        """
        levels = [value for name, value in x.items() if name in self.featmap_names]
        whole = tuple(max(shape[i] for shape in image_shapes) for i in (0, 1))
        scales = [2.0 ** float(np.round(np.log2(level.shape[-2] / whole[0]))) for level in levels]
        rois = _rois("MultiScaleRoIAlign", levels[0], list(boxes))
        if len(levels) == 1:
            return roi_align(levels[0], list(boxes), self.output_size, scales[0], self.sampling_ratio)
        lowest, highest = -np.log2(scales[0]), -np.log2(scales[-1])
        side = np.sqrt((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2]))
        wanted = np.floor(self.canonical_level + np.log2(np.maximum(side, 1e-12) / self.canonical_scale) + 1e-6)
        chosen = (np.clip(wanted, lowest, highest) - lowest).astype(np.int64)
        parts, order = [], []
        for number, (level, scale) in enumerate(zip(levels, scales, strict=True)):
            (which,) = np.nonzero(chosen == number)
            parts.append(roi_align(level, flambeau.from_numpy(rois[which]), self.output_size, scale, self.sampling_ratio))
            order.append(which)
        back = np.argsort(np.concatenate(order))
        return flambeau.cat(parts)[flambeau.from_numpy(back).to(levels[0].device)]
