"""Functions on images, boxes and masks beside torchvision's v2 functional."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from PIL import Image  # noqa: E402
from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms.v2 import functional as TF  # noqa: E402

import flambeau as fb  # noqa: E402
from flambeau_vision import functional as F  # noqa: E402
from flambeau_vision import types  # noqa: E402
from flambeau_vision.transforms import presets  # noqa: E402

random = np.random.default_rng(0)
BYTES = random.integers(0, 256, (2, 3, 23, 31), dtype=np.uint8)
SMOOTH = (
    torch.nn.functional.interpolate(torch.rand(2, 3, 6, 8, generator=torch.Generator().manual_seed(0)), size=(23, 31), mode="bicubic")
    .clamp(0, 1)
    .numpy()
)
MASK = random.integers(0, 5, (2, 23, 31), dtype=np.uint8)
BOXES = np.array([[2, 3, 11, 9], [0, 0, 31, 23], [20, 15, 28, 22]], np.float32)
START, END = [[0, 0], [30, 0], [30, 22], [0, 22]], [[3, 1], [28, 4], [27, 20], [1, 21]]
INTER = {"nearest": TF.InterpolationMode.NEAREST, "bilinear": TF.InterpolationMode.BILINEAR, "bicubic": TF.InterpolationMode.BICUBIC}

GEOMETRY = {
    "resize": ("resize", {"size": [11, 40]}),
    "resize shorter": ("resize", {"size": [9]}),
    "resize bicubic": ("resize", {"size": [11, 13], "interpolation": "bicubic"}),
    "resize nearest": ("resize", {"size": [11, 13], "interpolation": "nearest"}),
    "crop": ("crop", {"top": 3, "left": 4, "height": 10, "width": 12}),
    "crop outside": ("crop", {"top": -3, "left": 20, "height": 10, "width": 20}),
    "center_crop": ("center_crop", {"output_size": [12, 15]}),
    "center_crop larger": ("center_crop", {"output_size": [30, 20]}),
    "resized_crop": ("resized_crop", {"top": 3, "left": 4, "height": 10, "width": 12, "size": [8, 9]}),
    "horizontal_flip": ("horizontal_flip", {}),
    "vertical_flip": ("vertical_flip", {}),
    "pad": ("pad", {"padding": [1, 2, 3, 4], "fill": 7}),
    "pad reflect": ("pad", {"padding": [2, 3], "padding_mode": "reflect"}),
    "pad symmetric": ("pad", {"padding": [2, 3, 1, 0], "padding_mode": "symmetric"}),
    "pad edge": ("pad", {"padding": 2, "padding_mode": "edge"}),
    "rotate": ("rotate", {"angle": 33.0}),
    "rotate bilinear": ("rotate", {"angle": -75.0, "interpolation": "bilinear", "fill": 3}),
    "rotate expand": ("rotate", {"angle": 33.0, "expand": True}),
    "rotate center": ("rotate", {"angle": 12.0, "center": [3.0, 4.0]}),
    "affine": ("affine", {"angle": 20.0, "translate": [3, -2], "scale": 0.8, "shear": [10.0, -5.0]}),
    "affine bilinear": (
        "affine",
        {"angle": -10.0, "translate": [0, 1], "scale": 1.3, "shear": [0.0, 0.0], "interpolation": "bilinear", "center": [0.0, 0.0]},
    ),
    "perspective": ("perspective", {"startpoints": START, "endpoints": END}),
    "perspective nearest": ("perspective", {"startpoints": START, "endpoints": END, "interpolation": "nearest", "fill": 9}),
}


def both(name, options, ours, theirs):
    their_options = {key: INTER[value] if key == "interpolation" else value for key, value in options.items()}
    return getattr(F, name)(ours, **options), getattr(TF, name)(theirs, **their_options)


@pytest.mark.parametrize("case", GEOMETRY)
@pytest.mark.parametrize("kind", ["bytes", "floats"])
def test_geometry_of_images(case, kind):
    name, options = GEOMETRY[case]
    data = BYTES if kind == "bytes" else SMOOTH
    if kind == "bytes" and "resize" in case and "nearest" not in case:
        data = (SMOOTH * 255).astype(np.uint8)
    ours, theirs = both(name, options, types.Image(data.copy()), tv_tensors.Image(data.copy()))
    assert isinstance(ours, types.Image)
    assert ours.shape == tuple(theirs.shape)
    assert str(ours.dtype).rpartition(".")[2] == str(theirs.dtype).rpartition(".")[2]
    difference = np.abs(ours.plain().numpy().astype(np.float64) - theirs.numpy())
    if kind == "bytes":
        assert difference.max() <= 1 or (difference > 1).mean() < 0.005  # a pixel half way between two
    else:
        assert difference.max() < 1e-3 or (difference > 1e-3).mean() < 0.005


@pytest.mark.parametrize("case", GEOMETRY)
def test_geometry_of_boxes(case):
    name, options = GEOMETRY[case]
    if options.get("padding_mode", "constant") != "constant":  # which torchvision refuses for boxes
        return
    if case == "center_crop larger":  # torchvision moves boxes by another pixel than the image
        return
    for form in ("XYXY", "XYWH", "CXCYWH"):
        boxes = TF.convert_bounding_box_format(
            torch.from_numpy(BOXES), tv_tensors.BoundingBoxFormat.XYXY, tv_tensors.BoundingBoxFormat[form]
        )
        mine = types.BoundingBoxes(boxes.numpy().copy(), format=form, canvas_size=(23, 31))
        their = tv_tensors.BoundingBoxes(boxes, format=form, canvas_size=(23, 31))
        ours, theirs = both(name, options, mine, their)
        assert ours.canvas_size == tuple(theirs.canvas_size)
        assert ours.format.value == form
        # With `expand`, torchvision moves boxes to the corner, and the image to the middle of whole pixels; ours stay together.
        atol = 0.5 if case == "rotate expand" else 2e-4
        np.testing.assert_allclose(ours.plain().numpy(), theirs.as_subclass(torch.Tensor).numpy(), atol=atol, err_msg=form)


@pytest.mark.parametrize("case", GEOMETRY)
def test_geometry_of_masks(case):
    name, options = GEOMETRY[case]
    options = {key: value for key, value in options.items() if key != "fill"}
    ours, theirs = both(name, options, types.Mask(MASK.copy()), tv_tensors.Mask(torch.from_numpy(MASK)))
    assert isinstance(ours, types.Mask)
    assert (ours.plain().numpy() != theirs.numpy()).mean() < 0.01


COLOUR = {
    "adjust_brightness": [0.0, 0.4, 1.7],
    "adjust_contrast": [0.0, 0.4, 1.7],
    "adjust_saturation": [0.0, 0.4, 1.7],
    "adjust_hue": [-0.5, 0.0, 0.13],
    "adjust_sharpness": [0.0, 0.4, 1.7],
    "adjust_gamma": [0.5, 2.2],
    "posterize": [1, 4, 7],
    "rgb_to_grayscale": [1, 3],
    "invert": [None],
    "autocontrast": [None],
    "equalize": [None],
    "solarize": [0.4],
}


@pytest.mark.parametrize("name", COLOUR)
@pytest.mark.parametrize("kind", ["bytes", "floats"])
@pytest.mark.parametrize("channels", [1, 3])
def test_colours(name, kind, channels):
    data = (BYTES if kind == "bytes" else SMOOTH)[:, :channels].copy()
    for factor in COLOUR[name]:
        if name == "solarize" and kind == "bytes":
            factor = 100
        values = () if factor is None else (factor,)
        ours = getattr(F, name)(fb.from_numpy(data.copy()), *values)
        theirs = getattr(TF, name)(torch.from_numpy(data), *values)
        assert ours.shape == tuple(theirs.shape)
        difference = np.abs(ours.numpy().astype(np.float64) - theirs.numpy())
        assert difference.max() <= (1 if kind == "bytes" else 1e-5), (factor, difference.max())
        assert (difference > 0.5).mean() < 0.02


PICTURES = [Image.fromarray((SMOOTH[0] * 255).astype(np.uint8).transpose(1, 2, 0)), Image.fromarray(BYTES[0, 0])]


@pytest.mark.parametrize("name", COLOUR)
@pytest.mark.parametrize("picture", PICTURES, ids=["RGB", "L"])
def test_colours_of_pil_images(name, picture):
    factors = [100] if name == "solarize" else COLOUR[name] + (random.uniform(0, 2, 50).tolist() if name.startswith("adjust_") else [])
    for factor in factors:
        factor = factor % 1 - 0.5 if name == "adjust_hue" else factor
        values = () if factor is None else (factor,)
        ours, theirs = getattr(F, name)(picture, *values), getattr(TF, name)(picture, *values)
        assert ours.mode == theirs.mode
        np.testing.assert_array_equal(np.array(ours), np.array(theirs), err_msg=str(factor))


@pytest.mark.parametrize("case", GEOMETRY)
@pytest.mark.parametrize("picture", PICTURES, ids=["RGB", "L"])
def test_geometry_of_pil_images(case, picture):
    name, options = GEOMETRY[case]
    ours, theirs = both(name, options, picture, picture)
    assert (ours.mode, ours.size) == (theirs.mode, theirs.size)
    difference = np.abs(np.array(ours).astype(int) - np.array(theirs))
    assert (difference > (1 if name in ("rotate", "affine", "perspective") else 0)).mean() <= (0.005 if name == "rotate" else 0)


def test_blur_and_normalisation():
    for data in (BYTES, SMOOTH):
        for options in ({"kernel_size": 5}, {"kernel_size": [3, 7], "sigma": [0.7, 1.5]}):
            ours, theirs = F.gaussian_blur(fb.from_numpy(data.copy()), **options), TF.gaussian_blur(torch.from_numpy(data), **options)
            assert np.abs(ours.numpy().astype(np.float64) - theirs.numpy()).max() <= (1 if data.dtype == np.uint8 else 1e-5)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    ours, theirs = F.normalize(fb.from_numpy(SMOOTH), mean, std), TF.normalize(torch.from_numpy(SMOOTH), mean, std)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-6)


@pytest.mark.parametrize("old", ["uint8", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("new", ["uint8", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("scale", [False, True])
def test_dtypes(old, new, scale):
    if scale and old.startswith("float") and new == "int64" or (scale and (old, new) == ("float32", "int32")):
        with pytest.raises(fb.base.errors.DtypeError):
            F.to_dtype(fb.zeros(1, dtype=getattr(fb, old)), getattr(fb, new), scale)
        return
    values = (
        np.array([0, 1, 100, 255])
        if old == "uint8"
        else np.array([0, 5, 2**30, np.iinfo(old).max])
        if "int" in old
        else np.array([0, 0.25, 0.9999, 1.0])
    )
    data = values.astype(old).reshape(1, 2, 2)
    ours = F.to_dtype(fb.from_numpy(data), getattr(fb, new), scale)
    theirs = TF.to_dtype(torch.from_numpy(data), getattr(torch, new), scale)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def test_presets():
    from torchvision.transforms import _presets as theirs

    data = np.ascontiguousarray((np.kron(SMOOTH[0], np.ones((1, 2, 2))) * 255).astype(np.uint8))
    picture = Image.fromarray(data.transpose(1, 2, 0))
    for options in ({"crop_size": 32, "resize_size": 40}, {"crop_size": 60, "resize_size": 36, "interpolation": "bicubic"}):
        their_options = {key: INTER[value] if key == "interpolation" else value for key, value in options.items()}
        ours = presets.ImageClassification(**options)
        other = theirs.ImageClassification(**their_options)
        for image, tensor in ((picture, picture), (fb.from_numpy(data.copy()), torch.from_numpy(data))):
            np.testing.assert_allclose(ours(image).numpy(), other(tensor).numpy(), atol=0.03)  # a level of 255, normalised
    np.testing.assert_allclose(
        presets.SemanticSegmentation(resize_size=30)(picture).numpy(),
        theirs.SemanticSegmentation(resize_size=30)(picture).numpy(),
        atol=0.03,
    )
    np.testing.assert_array_equal(presets.ObjectDetection()(picture).numpy(), theirs.ObjectDetection()(picture).numpy())
