"""Functions on images, masks, boxes and points: what the transforms are made of."""

from __future__ import annotations

from flambeau_vision.functional.boxes import clamp_bounding_boxes, convert_bounding_box_format
from flambeau_vision.functional.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    equalize,
    invert,
    posterize,
    rgb_to_grayscale,
    solarize,
)
from flambeau_vision.functional.convert import pil_to_tensor, to_dtype, to_image, to_pil_image
from flambeau_vision.functional.filters import gaussian_blur, normalize
from flambeau_vision.functional.geometry import InterpolationMode
from flambeau_vision.functional.single import (
    affine,
    center_crop,
    crop,
    horizontal_flip,
    pad,
    perspective,
    resize,
    resized_crop,
    rotate,
    vertical_flip,
)

__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "clamp_bounding_boxes",
    "convert_bounding_box_format",
    "crop",
    "equalize",
    "gaussian_blur",
    "horizontal_flip",
    "invert",
    "normalize",
    "pad",
    "perspective",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "to_dtype",
    "to_image",
    "to_pil_image",
    "vertical_flip",
]
