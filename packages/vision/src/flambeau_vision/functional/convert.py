"""Between PIL images and tensors, and between dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError, explain
from flambeau_vision.functional.fused import fused
from flambeau_vision.types import Image

_ROUNDING = 1e-3  # keeps 1.0 below the next integer when floats become integers

_TOO_COARSE = ((flambeau.float32, flambeau.int32), (flambeau.float32, flambeau.int64), (flambeau.float64, flambeau.int64))


def is_pil(x: Any) -> bool:
    """Whether x is a PIL image, without importing Pillow."""
    return hasattr(x, "getbands")


def channels_of(x: Any) -> int:
    """The channels of a PIL image or of pixels (..., C, H, W)."""
    return len(x.getbands()) if is_pil(x) else int(x.shape[-3])


def pil_to_tensor(pic: Any) -> Any:
    """The pixels of a PIL image, (C, H, W), in its own range: uint8 for 8 bits, int32 for 16, float32 for mode "F".

    A palette becomes its colours (RGB, or RGBA where something is transparent); "1" becomes 0 and 1.
    """
    if not is_pil(pic):
        raise ArgumentTypeError(explain("pil_to_tensor", expected="a PIL image", got=type(pic).__name__))
    if pic.mode == "P":
        pic = pic.convert("RGBA" if "transparency" in pic.info else "RGB")
    elif pic.mode == "PA":
        pic = pic.convert("RGBA")
    array = np.array(pic)
    if pic.mode.startswith("I;16") or array.dtype == np.uint16:
        array = array.astype(np.int32)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8)
    return flambeau.from_numpy(np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1)))


def to_image(inpt: Any) -> Any:
    """An Image from a PIL image, an array (H, W) or (H, W, C), or a tensor (C, H, W)."""
    if isinstance(inpt, np.ndarray):
        if inpt.ndim not in (2, 3):
            raise ShapeError(explain("to_image", expected="an array (H, W) or (H, W, C)", got=f"shape {inpt.shape}"))
        inpt = np.ascontiguousarray(inpt[None] if inpt.ndim == 2 else inpt.transpose(2, 0, 1))
    return Image(inpt)


_MODES = {("u", 1): "L", ("u", 2): "LA", ("u", 3): "RGB", ("u", 4): "RGBA"}


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A PIL image from a tensor (C, H, W) or an array (H, W[, C]): uint8, floats from 0 to 1, or one channel of int32 or float32."""
    from PIL import Image as PILImage

    array = pic.detach().cpu().numpy() if isinstance(pic, Tensor) else np.asarray(pic)
    if isinstance(pic, Tensor) and array.ndim == 3:
        array = array.transpose(1, 2, 0)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4:
        raise ShapeError(explain("to_pil_image", expected="one image of 1 to 4 channels", got=f"shape {tuple(pic.shape)}"))
    if array.dtype.kind == "f" and mode != "F":
        array = np.clip(array * 255.0, 0, 255).astype(np.uint8)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if array.dtype == np.uint8:
        image = PILImage.fromarray(np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array))
        return image if mode in (None, image.mode) else image.convert(mode)
    if array.shape[2] == 1 and array.dtype.kind in "iuf":
        return PILImage.fromarray(np.ascontiguousarray(array[:, :, 0].astype(np.float32 if array.dtype.kind == "f" else np.int32)))
    raise DtypeError(explain("to_pil_image", expected="uint8 or floats", got=str(array.dtype), hint="to_dtype(image, uint8, scale=True)"))


def max_value(dtype: Any) -> float:
    """The value of white in this dtype: the largest integer, or 1.0."""
    return float(flambeau.iinfo(dtype).max) if not dtype.is_floating_point else 1.0


def to_dtype(inpt: Any, dtype: Any = flambeau.float32, scale: bool = False) -> Any:
    """Convert pixels; with `scale`, white stays white: uint8 255 becomes 1.0 and back.

    >>> to_dtype(flambeau.tensor([0, 51, 255], dtype=flambeau.uint8), scale=True)
    tensor([0.0000, 0.2000, 1.0000])
    """
    plain = inpt.as_subclass(Tensor)
    source = plain.dtype
    if source == dtype or not scale:
        return plain.to(dtype)
    if source.is_floating_point and dtype.is_floating_point:
        return plain.to(dtype)
    if source.is_floating_point:
        if (source, dtype) in _TOO_COARSE:
            raise DtypeError(explain("to_dtype", expected="integers that the floats can tell apart", got=f"{source} to {dtype}"))
        return (plain * (max_value(dtype) + 1.0 - _ROUNDING)).to(dtype)
    if dtype.is_floating_point:
        return fused(_unit, plain, flambeau.tensor(max_value(source), dtype=dtype, device=plain.device))
    old, new = (int(np.log2(max_value(kind) + 1)) for kind in (source, dtype))
    wide = plain.to(flambeau.int64)
    return (wide >> (old - new) if old > new else wide << (new - old)).to(dtype)


def _unit(x: Any, white: Any) -> Any:
    return x.to(white.dtype) / white


def check_image(op: str, x: Any, channels: tuple[int, ...] = ()) -> None:
    """ShapeError unless x is (..., C, H, W) with one of these numbers of channels."""
    if x.ndim < 3 or (channels and x.shape[-3] not in channels):
        wanted = f"(..., C, H, W) with {' or '.join(map(str, channels))} channels" if channels else "(..., C, H, W)"
        raise ShapeError(explain(op, expected=wanted, got=f"shape {tuple(x.shape)}"))


def check_range(op: str, name: str, value: Any, low: float, high: float = float("inf")) -> None:
    """ArgumentError unless every number of `value` lies in [low, high]."""
    numbers = np.asarray(value.detach().cpu().numpy() if isinstance(value, Tensor) else value, np.float64)
    if not ((numbers >= low) & (numbers <= high)).all():
        raise ArgumentError(explain(op, expected=f"{name} from {low:g} to {high:g}", got=repr(value)))
