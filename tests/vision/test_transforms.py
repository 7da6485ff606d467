"""Transforms: the same for an image, a PIL image and a batch; parameters of its own for each image of a batch; joint samples; errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from PIL import Image as PILImage

import flambeau as fb
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError
from flambeau_vision import functional as F
from flambeau_vision import transforms as T
from flambeau_vision.functional import fused
from flambeau_vision.types import BoundingBoxes, Image, KeyPoints, Mask

random = np.random.default_rng(0)
BYTES = random.integers(0, 256, (4, 3, 20, 24), dtype=np.uint8)
EVERY = [
    T.Resize(10),
    T.Resize((8, 9), "nearest-exact"),
    T.CenterCrop((8, 30)),
    T.Pad((1, 2), 3),
    T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(),
    T.RandomCrop(12),
    T.RandomCrop(22, padding=3, padding_mode="reflect"),
    T.RandomCrop(30, pad_if_needed=True),
    T.RandomResizedCrop((7, 9)),
    T.RandomRotation(40),
    T.RandomAffine(20, (0.2, 0.1), (0.8, 1.2), 5, "bilinear", fill=7),
    T.RandomPerspective(p=0.7),
    T.Grayscale(3),
    T.RandomGrayscale(0.5),
    T.RandomInvert(),
    T.RandomPosterize(3),
    T.RandomSolarize(100),
    T.RandomAutocontrast(),
    T.RandomEqualize(),
    T.RandomAdjustSharpness(2.0),
    T.ColorJitter(0.4, 0.4, 0.4, 0.2),
    T.GaussianBlur((3, 5)),
    T.RandomErasing(0.8),
    T.RandAugment(),
    T.TrivialAugmentWide(),
    T.RandomApply([T.RandomInvert(1.0)]),
    T.RandomChoice([T.RandomInvert(1.0), T.Grayscale(3)]),
    T.RandomOrder([T.RandomHorizontalFlip(1.0), T.ColorJitter(0.1)]),
    T.ToDtype(fb.float32, scale=True),
    T.Identity(),
]
NAMES = [f"{i} {type(t).__name__}" for i, t in enumerate(EVERY)]


def draw(transform, value):
    fb.manual_seed(3)
    return transform(value)


@pytest.mark.parametrize("transform", EVERY, ids=NAMES)
def test_every_form_of_an_image(transform):
    tensor = fb.from_numpy(BYTES[0].copy())
    plain, image = draw(transform, tensor), draw(transform, Image(tensor))
    assert type(plain) is fb.Tensor
    assert type(image) is Image
    np.testing.assert_array_equal(plain.numpy(), image.plain().numpy())
    np.testing.assert_array_equal(tensor.numpy(), BYTES[0])
    picture = draw(transform, PILImage.fromarray(BYTES[0].transpose(1, 2, 0)))
    assert isinstance(picture, PILImage.Image)
    if plain.dtype == fb.uint8:  # Pillow rounds otherwise, and does not blend with the fill; tests/parity/vision compares exactly
        assert np.median(np.abs(F.pil_to_tensor(picture).numpy().astype(int) - plain.numpy())) <= 1
    batch = draw(transform, fb.from_numpy(BYTES[:1].copy()))
    np.testing.assert_array_equal(batch.numpy()[0], plain.numpy())  # a batch of one draws what one image draws
    whole = draw(transform, fb.from_numpy(BYTES.copy()))
    assert whole.shape == (4, *plain.shape)
    assert whole.dtype == plain.dtype
    assert type(transform).__name__ in repr(transform)
    pickle.loads(pickle.dumps(transform))  # worker processes need it


SAME_ANSWER = fb.from_numpy(np.repeat(BYTES[:1] // 2 + 20, 16, axis=0))


@pytest.mark.parametrize("transform", [t for t in EVERY if type(t).__name__.startswith(("Rand", "Color", "Gaussian", "Trivial"))], ids=repr)
def test_each_image_of_a_batch_has_its_own_numbers(transform):
    fb.manual_seed(0)
    out = transform(SAME_ANSWER).numpy()
    assert len({image.tobytes() for image in out}) > 1


@pytest.mark.parametrize(
    "make", [lambda: T.RandomAffine(30, (0.1, 0.1)), lambda: T.ColorJitter(0.5, 0.5, 0.5), lambda: T.RandomResizedCrop(8)]
)
def test_a_batch_is_its_images(make):
    """With the parameters that a batch drew, each image alone gives the same pixels."""
    transform, batch = make(), fb.from_numpy(BYTES.astype(np.float32) / 255)
    frame = T.base.frame_of("", [Image(batch)])
    params = transform.make_params(frame)
    whole = transform.apply(Image(batch), params, frame).plain().numpy()
    for i in range(4):
        one = {k: v[i : i + 1] if isinstance(v, np.ndarray) else v for k, v in params.items()}
        if "factors" in params:
            one = {"order": params["order"], "factors": {k: v[i : i + 1] for k, v in params["factors"].items()}}
        image = Image(batch[i])
        alone = transform.apply(image, one, T.base.frame_of("", [image])).plain().numpy()
        np.testing.assert_allclose(alone, whole[i], atol=2e-6)


def scene():
    """A white rectangle: an image, its mask, its box, and its corners."""
    pixels = np.zeros((1, 40, 60), np.float32)
    pixels[0, 10:22, 15:39] = 1
    canvas = (40, 60)
    return {
        "image": Image(pixels),
        "mask": Mask(pixels[0].astype(np.uint8)),
        "boxes": BoundingBoxes([[15.0, 10.0, 39.0, 22.0]], format="XYXY", canvas_size=canvas),
        "points": KeyPoints([[15.5, 10.5], [38.5, 21.5]], canvas_size=canvas),
        "label": 7,
    }


JOINT = [
    T.Resize((20, 90)),
    T.Pad((3, 1, 2, 4)),
    T.RandomHorizontalFlip(1.0),
    T.RandomVerticalFlip(1.0),
    T.RandomCrop((30, 50)),
    T.CenterCrop((36, 70)),
    T.RandomResizedCrop((33, 44), scale=(0.6, 1.0)),
    T.RandomRotation((90, 90), expand=True),
    T.RandomAffine(0, (0.1, 0.1), (0.8, 1.1)),
]


@pytest.mark.parametrize("transform", JOINT, ids=repr)
@pytest.mark.parametrize("seed", range(4))
def test_boxes_masks_and_points_follow_the_pixels(transform, seed):
    fb.manual_seed(seed)
    out = transform(scene())
    assert out["label"] == 7
    assert out["boxes"].canvas_size == tuple(out["mask"].shape) == tuple(out["image"].shape[1:]) == out["points"].canvas_size
    for seen in (out["mask"].numpy() > 0, out["image"].numpy()[0] > 0.5):
        rows, columns = np.nonzero(seen)
        if len(rows) == 0:
            continue
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(out["boxes"].plain().numpy()[0], found, atol=2.2)
    if not isinstance(transform, (T.RandomCrop, T.CenterCrop, T.RandomResizedCrop)):
        for x, y in out["points"].plain().numpy().astype(int).clip(1, None):
            assert out["image"].numpy()[0, y - 1 : y + 2, x - 1 : x + 2].max() > 0.4


def test_a_joint_batch():
    images, masks = Image(fb.rand(3, 1, 8, 8)), Mask(fb.zeros(3, 8, 8, dtype=fb.uint8))
    boxes = BoundingBoxes(fb.tensor([[[1.0, 2.0, 3.0, 4.0]]] * 3), format="XYXY", canvas_size=(8, 8))
    fb.manual_seed(1)
    moved, mask, found = T.RandomHorizontalFlip()(images, masks, boxes)
    for i in range(3):
        flipped = not np.array_equal(moved.numpy()[i], images.numpy()[i])
        np.testing.assert_array_equal(found.numpy()[i, 0], [5, 2, 7, 4] if flipped else [1, 2, 3, 4])
    assert mask.shape == (3, 8, 8)
    with pytest.raises(ShapeError, match="expected 3 images, masks and sets of boxes"):
        T.RandomHorizontalFlip()(images, Mask(fb.zeros(2, 8, 8)))


def test_what_a_bare_tensor_means():
    image, label = fb.rand(3, 6, 6), fb.rand(3, 6, 6)
    out, other = T.RandomHorizontalFlip(1.0)(image, label)
    np.testing.assert_array_equal(out.numpy(), image.numpy()[..., ::-1])
    assert other is label
    nested = {"image": image}
    assert T.RandomHorizontalFlip(1.0)(nested) is nested  # nothing in it has a meaning
    assert T.RandomHorizontalFlip(1.0)("text") == "text"


def test_types():
    boxes = BoundingBoxes([], format="xywh", canvas_size=(4, 5))
    assert boxes.shape == (0, 4)
    for transform in JOINT[:4]:
        assert transform(boxes).shape == (0, 4)
    for thing in (Image(fb.rand(3, 2, 2)), boxes, KeyPoints([[1, 2]], canvas_size=(3, 3)), Mask(fb.zeros(2, 2))):
        for other in (copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):
            assert type(other) is type(thing)
            assert vars(other) == vars(thing)
            np.testing.assert_array_equal(other.numpy(), thing.numpy())
        assert type(thing + 1) is fb.Tensor
        assert type(thing).__name__ in repr(thing)
    for wrong in (
        lambda: BoundingBoxes([[1, 2, 3]], format="XYXY", canvas_size=(1, 1)),
        lambda: BoundingBoxes([[1, 2, 3, 4]], format="XYZ", canvas_size=(1, 1)),
        lambda: BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=(1, 1, 1)),
        lambda: Image(fb.zeros(3)),
        lambda: Mask(fb.zeros(3)),
        lambda: KeyPoints([[1, 2, 3]], canvas_size=(1, 1)),
    ):
        with pytest.raises((ArgumentError, ShapeError)):
            wrong()


def test_formats_of_boxes():
    boxes = fb.from_numpy(random.uniform(0, 10, (5, 4)).astype(np.float32))
    for old in ("XYXY", "XYWH", "CXCYWH"):
        for new in ("XYXY", "XYWH", "CXCYWH"):
            there = F.convert_bounding_box_format(boxes, new, old)
            np.testing.assert_allclose(F.convert_bounding_box_format(there, old, new).numpy(), boxes.numpy(), atol=1e-5)
    clamped = T.ClampBoundingBoxes()(BoundingBoxes([[-3, 2, 20, 5]], format="XYXY", canvas_size=(4, 10)))
    assert clamped.tolist() == [[0, 2, 10, 4]]
    assert T.ConvertBoundingBoxFormat("XYWH")(clamped).tolist() == [[0, 2, 10, 2]]
    target = {
        "boxes": BoundingBoxes([[0, 0, 5, 4], [3, 3, 3, 4], [8, 0, 20, 3]], format="XYXY", canvas_size=(4, 10)),
        "labels": fb.arange(3),
    }
    assert T.SanitizeBoundingBoxes()(target)["labels"].tolist() == [0]


def test_random_resized_crop_by_its_definition():
    """Windows have the share that is asked for, and lie anywhere."""
    transform = T.RandomResizedCrop(8, scale=(0.25, 0.25), ratio=(1.0, 1.0))
    frame = T.base.Frame(40, 40, 3, 100)
    fb.manual_seed(0)
    windows = transform.make_params(frame)["window"]
    assert (windows[:, 2:] == 20).all()
    assert windows[:, :2].min() == 0
    assert windows[:, :2].max() == 20
    tall = T.RandomResizedCrop(8, scale=(0.9, 1.0), ratio=(3.0, 3.0)).make_params(T.base.Frame(90, 30, 3, None))["window"]
    assert tall.tolist() == [[40, 0, 10, 30]]  # no such window fits: the widest one in the middle


def test_mixes():
    images, labels = fb.arange(4.0).reshape(4, 1, 1, 1).expand(4, 3, 8, 8).clone(), fb.tensor([0, 1, 2, 1])
    fb.manual_seed(0)
    mixed, shares = T.MixUp(num_classes=3)(images, labels)
    lam = float(shares[0, 0])
    np.testing.assert_allclose(mixed.numpy()[1], lam * 1 + (1 - lam) * 0, rtol=1e-5)
    np.testing.assert_allclose(shares.numpy()[2], [0, 1 - lam, lam], rtol=1e-5)
    cut, shares = T.CutMix(num_classes=3)(images, labels)
    for i in range(4):
        own = (cut.numpy()[i] == i).mean()
        np.testing.assert_allclose(shares.numpy()[i, labels[i]], own + (0 if labels[i] != labels[i - 1] else 1 - own), atol=1e-6)
    for wrong in (lambda: T.MixUp(alpha=0), lambda: T.MixUp()(images, labels)):
        with pytest.raises(ArgumentError):
            wrong()
    with pytest.raises(ShapeError):
        T.CutMix(num_classes=3)(images[0], labels)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: T.Resize(0),
        lambda: T.CenterCrop(0),
        lambda: T.RandomCrop((3, 0)),
        lambda: T.RandomCrop(50)(fb.zeros(3, 8, 8)),
        lambda: T.RandomHorizontalFlip(1.5),
        lambda: T.RandomRotation(-5),
        lambda: T.RandomAffine(5, (2, 0)),
        lambda: T.Compose([]),
        lambda: T.ColorJitter(-1),
        lambda: T.ColorJitter(hue=0.7),
        lambda: T.GaussianBlur(4),
        lambda: T.RandomErasing(value="x"),
        lambda: T.Pad((1, 2, 3)),
        lambda: T.Pad(-9)(fb.zeros(3, 8, 8)),
        lambda: T.RandAugment(magnitude=31),
        lambda: T.RandomPerspective(2.0),
        lambda: T.RandomRotation(5, expand=True)(fb.zeros(2, 3, 8, 8)),
        lambda: T.Resize(8, "lanczos"),
        lambda: T.Resize(5, max_size=4)(fb.zeros(1, 8, 8)),
        lambda: T.RandAugment()({"a": Image(fb.zeros(3, 8, 8)), "b": Mask(fb.zeros(8, 8))}),
        lambda: T.RandomChoice([]),
        lambda: F.resize(fb.zeros(3, 0, 4), 3),
        lambda: F.normalize(fb.zeros(3, 2, 2), [0], [0]),
        lambda: F.adjust_hue(fb.zeros(3, 2, 2), 0.6),
        lambda: F.affine(fb.zeros(1, 4, 4), 0, (0, 0), 0.0, (0, 0)),
    ],
)
def test_wrong_arguments(wrong):
    with pytest.raises(ArgumentError):
        wrong()


def test_wrong_images():
    with pytest.raises(DtypeError, match="to_dtype"):
        T.Normalize([0.5], [0.5])(fb.zeros(3, 4, 4, dtype=fb.uint8))
    with pytest.raises(ShapeError, match="1 or 3 channels"):
        F.adjust_brightness(fb.zeros(2, 4, 4), 1.0)
    with pytest.raises(ShapeError, match="of one size"):
        T.Resize(4)(Image(fb.zeros(3, 8, 8)), Mask(fb.zeros(9, 8)))
    assert F.crop(fb.zeros(3, 8, 8), 2, 2, 0, 4).shape == (3, 0, 4)


def test_gradients_go_through():
    x = fb.rand(2, 3, 8, 8, requires_grad=True)
    for transform in (
        T.RandomAffine(20, interpolation="bilinear"),
        T.RandomResizedCrop(6),
        T.ColorJitter(0.3, 0.3, 0.3),
        T.GaussianBlur(3),
    ):
        x.grad = None
        transform(x).sum().backward()
        assert float(x.grad.abs().sum()) > 0


def test_every_transform_is_registered():
    from flambeau_vision.registry import METRICS, TRANSFORMS

    assert {target for target, _ in TRANSFORMS.values()} == {f"transforms:{n}" for n in set(T.__all__) - {"InterpolationMode", "Transform"}}
    from flambeau_vision import metrics

    assert {target.partition(":")[2] for target, _ in METRICS.values()} == set(metrics.__all__) - {"average_precision"}


def test_large_batches_are_fused_to_the_same_pixels():
    """What runs as one compiled kernel from the third call on."""
    batch = fb.from_numpy(np.tile(BYTES, (32, 1, 2, 3)))
    assert batch.numel() >= fused.LEAST
    for transform in (T.ColorJitter(0.4, 0.4, 0.4), T.RandomHorizontalFlip(), T.ToDtype(fb.float32, scale=True)):
        frame = T.base.frame_of("", [Image(batch)])
        params = transform.make_params(frame)
        runs = [transform.apply(Image(batch), params, frame).plain().numpy() for _ in range(4)]
        assert all((run == runs[0]).all() for run in runs[1:])
        some = {k: v[:4] if isinstance(v, np.ndarray) else v for k, v in params.items()}
        if "factors" in params:
            some["factors"] = {k: v[:4] for k, v in params["factors"].items()}
        few = Image(batch[:4])
        np.testing.assert_array_equal(transform.apply(few, some, T.base.frame_of("", [few])).plain().numpy(), runs[0][:4])
