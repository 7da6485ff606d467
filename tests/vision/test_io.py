"""Images of every kind, and damaged ones: right pixels, or an error that names the file. And the classifier that reads them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import flambeau as fb
import flambeau_vision
from flambeau.base.errors import ArgumentError, FileFormatError, NameNotFound
from flambeau_vision import utils
from flambeau_vision.datasets import OpticalDigits
from flambeau_vision.functional import pil_to_tensor, to_pil_image
from flambeau_vision.io import image_size, open_image, read_image
from tests.vision.test_datasets import refusal

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def saved(image, format="PNG", **options):
    memory = io.BytesIO()
    image.save(memory, format, **options)
    memory.seek(0)
    return memory


def test_kinds_of_images():
    grey = RGB[:, :, 0]
    plain = read_image(saved(Image.fromarray(RGB)))
    np.testing.assert_array_equal(plain.numpy(), RGB.transpose(2, 0, 1))
    np.testing.assert_array_equal(read_image(saved(Image.fromarray(grey))).numpy(), np.repeat(grey[None], 3, 0))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(saved(deep), "L").numpy()[0], grey)
    np.testing.assert_array_equal(read_image(saved(deep), None).numpy()[0], grey.astype(np.int32) * 257)
    palette = Image.fromarray(RGB).quantize(8)
    np.testing.assert_array_equal(read_image(saved(palette)).numpy(), np.asarray(palette.convert("RGB")).transpose(2, 0, 1))
    alpha = Image.fromarray(np.dstack([RGB, RGB[:, :, 0]]))
    np.testing.assert_array_equal(read_image(saved(alpha)).numpy(), RGB.transpose(2, 0, 1))
    assert read_image(saved(alpha), "RGBA").shape == (4, 6, 9)
    cmyk = Image.fromarray(RGB).convert("CMYK")
    assert read_image(saved(cmyk, "TIFF")).shape == (3, 6, 9)
    np.testing.assert_allclose(read_image(saved(cmyk, "TIFF")).numpy(), RGB.transpose(2, 0, 1), atol=1)
    bits = Image.fromarray(grey > 100)
    assert set(np.unique(read_image(saved(bits)).numpy())) == {0, 255}
    assert image_size(saved(Image.fromarray(RGB))) == (6, 9)


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation(turn):
    upright = np.zeros((8, 12, 3), np.uint8)
    upright[:4, :4] = 255  # the corner tells how the image lies
    exif = Image.Exif()
    exif[0x0112] = turn
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[turn]
    got = read_image(saved(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)).numpy()
    np.testing.assert_array_equal(got.transpose(1, 2, 0), upright)


@settings(max_examples=150)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "WEBP"]),
    st.integers(0, 400),
    st.binary(min_size=1, max_size=6),
    st.booleans(),
)
def test_damaged_files(tmp_path_factory, format, place, noise, cut):
    data = bytearray(saved(Image.fromarray(RGB), format).getvalue())
    place %= len(data)
    data = data[:place] if cut else data[:place] + noise + data[place + len(noise) :]
    path = tmp_path_factory.mktemp("damaged") / "image.bin"
    path.write_bytes(bytes(data))
    message = refusal(lambda: read_image(path, max_pixels=100_000))
    assert message is None or "image.bin" in message


def test_an_image_that_is_too_large(tmp_path):
    """A PNG that claims a hundred thousand pixels a side is refused by its header."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    path = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))
    with pytest.raises(FileFormatError, match=r"bomb\.png"):
        read_image(path)
    small = tmp_path / "small.png"
    Image.fromarray(RGB).save(small)
    with pytest.raises(FileFormatError, match=r"small\.png: expected at most 10 pixels, got 9 x 6"):
        read_image(small, max_pixels=10)
    with pytest.raises(FileNotFoundError):
        open_image(tmp_path / "absent.png")
    with pytest.raises(FileFormatError, match="an image"):
        image_size(io.BytesIO(b"nothing"))


def test_to_pil_and_back():
    for array in (RGB.transpose(2, 0, 1), RGB.transpose(2, 0, 1)[:1]):
        tensor = fb.from_numpy(np.ascontiguousarray(array))
        np.testing.assert_array_equal(pil_to_tensor(to_pil_image(tensor)).numpy(), array)
    deep = fb.from_numpy(RGB[None, :, :, 0].astype(np.int32) * 300)
    np.testing.assert_array_equal(pil_to_tensor(to_pil_image(deep)).numpy(), deep.numpy())


def test_from_a_name_to_a_labelled_prediction(tmp_path):
    read = flambeau_vision.classifier("digits_cnn")
    digits = OpticalDigits("test")
    guesses = read([digits[i][0] for i in range(len(digits))], top=1)
    right = np.mean([guess[0].label == str(label) for guess, label in zip(guesses, digits.targets)])
    assert right == pytest.approx(357 / 359, abs=1e-9)
    large = Image.fromarray((255 - digits.images[0] * 15.9).astype(np.uint8)).resize((64, 64), Image.Resampling.NEAREST)
    large.save(tmp_path / "digit.png")  # dark ink on white paper
    for source in (tmp_path / "digit.png", str(tmp_path / "digit.png"), large):
        best = read(source)
        assert (best[0].label, len(best)) == ("3", 5)
        assert best[0].probability > 0.5
    assert read([]) == []
    with pytest.raises(NameNotFound):
        flambeau_vision.classifier("unknown")
    with pytest.raises(ArgumentError):
        flambeau_vision.classifier("digits_cnn", weights=None)


def test_pictures(tmp_path):
    grid = utils.make_grid([fb.full((1, 2, 3), float(i)) for i in range(5)], nrow=2, padding=1, pad_value=9.0)
    assert grid.shape == (3, 10, 9)
    assert grid[0, 1:3, 1:4].tolist() == [[0.0] * 3] * 2
    assert grid[0, 7:9, 1:4].tolist() == [[4.0] * 3] * 2
    assert grid[0, 7:9, 5:8].tolist() == [[9.0] * 3] * 2
    scaled = utils.make_grid(fb.arange(8.0).reshape(2, 1, 2, 2), normalize=True, padding=0)
    assert (float(scaled.min()), float(scaled.max())) == (0.0, 1.0)
    utils.save_image(fb.ones(3, 4, 5) * 0.5, tmp_path / "a.png")
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[[128] * 3] * 5] * 4
    utils.save_gif([fb.zeros(1, 4, 4), fb.ones(1, 4, 4)], tmp_path / "a.gif", duration=50)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.info["duration"]) == (2, 50)
    blank = fb.zeros(3, 20, 20, dtype=fb.uint8)
    drawn = utils.draw_bounding_boxes(blank, fb.tensor([[2, 3, 10, 12]]), colors=(255, 0, 0)).numpy()
    assert (drawn[0, 3, 2:11] == 255).all()
    assert drawn[0, 5, 5] == 0
    assert drawn[1:].max() == 0
    masks = fb.zeros(1, 20, 20, dtype=fb.bool)
    masks[0, :5] = True
    painted = utils.draw_segmentation_masks(blank, masks, alpha=0.5, colors="white").numpy()
    assert (painted[:, :5] == 128).all()
    assert painted[:, 5:].max() == 0
    for wrong in (
        lambda: utils.save_gif([], tmp_path / "b.gif"),
        lambda: utils.draw_bounding_boxes(blank, fb.tensor([[5, 5, 2, 9]])),
        lambda: utils.draw_bounding_boxes(blank, fb.tensor([[1, 1, 2, 2]]), labels=[]),
        lambda: utils.make_grid(fb.zeros(0, 3, 2, 2)),
    ):
        with pytest.raises(ArgumentError):
            wrong()
