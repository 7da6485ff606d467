"""Reading images: every usual kind to the same pixels, or an error that names the file."""

from __future__ import annotations

import os
import warnings
from typing import IO, Any

import numpy as np

from flambeau.base.errors import FileFormatError, explain
from flambeau_vision.functional.convert import pil_to_tensor

MAX_PIXELS = 200_000_000  # an image with more is taken for an attack on memory


def open_image(source: str | os.PathLike[str] | IO[bytes], mode: str | None = "RGB", max_pixels: int = MAX_PIXELS) -> Any:
    """A PIL image, decoded whole and turned upright as its EXIF data say.

    Args:
        source: a path, or an open binary file.
        mode: what it becomes: "RGB", "L", "RGBA", ...; None leaves it as stored. Grey levels of 16 bits become 8 bits, transparency goes.
        max_pixels: images with more are refused before they are decoded.

    Raises FileFormatError, which names the file, for anything that is not a whole image.
    """
    from PIL import Image, ImageOps

    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else str(getattr(source, "name", "an open file"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked here, and other oddities of metadata do not change pixels
            with Image.open(source) as image:
                if image.width * image.height > max_pixels:
                    expected, got = f"at most {max_pixels} pixels", f"{image.width} x {image.height}"
                    raise FileFormatError(explain(f"read {name}", expected=expected, got=got, hint="max_pixels=..., if you trust it"))
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
                return _converted(image, mode)
    except (FileNotFoundError, IsADirectoryError, PermissionError, FileFormatError):
        raise
    except Exception as error:  # decoders fail in many ways on damaged files
        raise FileFormatError(explain(f"read {name}", expected="a whole image", got=f"{type(error).__name__}: {error}")) from error


def _converted(image: Any, mode: str | None) -> Any:
    from PIL import Image

    if mode is None or image.mode == mode:
        return image.copy()
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        deep = image.mode.startswith("I;16") or values.max(initial=0) > 255
        image = Image.fromarray(np.clip(values / 257.0 if deep else values, 0, 255).round().astype(np.uint8))
    elif image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(mode)


def read_image(source: str | os.PathLike[str] | IO[bytes], mode: str | None = "RGB", max_pixels: int = MAX_PIXELS) -> Any:
    """The pixels of an image file, (C, H, W); arguments and errors as in `open_image`. With a mode they are uint8."""
    return pil_to_tensor(open_image(source, mode, max_pixels))


def image_size(source: str | os.PathLike[str] | IO[bytes]) -> tuple[int, int]:
    """(height, width) as stored, without decoding the pixels."""
    from PIL import Image

    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "an open file"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(source) as image:
                return int(image.height), int(image.width)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:
        raise FileFormatError(explain(f"read {name}", expected="an image", got=f"{type(error).__name__}: {error}")) from error
