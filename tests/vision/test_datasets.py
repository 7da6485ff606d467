"""Datasets on small files in the real layouts: what they give, their contracts, and what damaged or missing files lead to."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import struct
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import flambeau as fb
from flambeau.base.errors import ArgumentError, DownloadError, FileFormatError
from flambeau.testing import DatasetCase, check
from flambeau_vision import datasets
from flambeau_vision.datasets import coco, mnist
from flambeau_vision.functional import pil_to_tensor

random = np.random.default_rng(0)


def refusal(read):
    """The message of the FileFormatError, or None when there is none; nothing else may be raised."""
    try:
        read()
    except FileFormatError as error:
        return str(error)
    return None


def idx(array):
    code = {np.dtype("u1"): 8, np.dtype(">i4"): 12}[array.dtype]
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()


PIXELS, LABELS = random.integers(0, 256, (5, 28, 28), np.uint8), np.array([3, 0, 9, 1, 1], np.uint8)


def write_mnist(folder, images="train-images-idx3-ubyte", labels="train-labels-idx1-ubyte", target=LABELS):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / images).write_bytes(idx(PIXELS))
    (folder / f"{labels}.gz").write_bytes(gzip.compress(idx(target)))


def test_mnist_and_its_family(tmp_path):
    write_mnist(tmp_path / "MNIST" / "raw")
    write_mnist(tmp_path / "flat", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    write_mnist(
        tmp_path / "q", "qmnist-test-images-idx3-ubyte", "qmnist-test-labels-idx2-int", np.column_stack([LABELS, LABELS]).astype(">i4")
    )
    write_mnist(tmp_path / "e", "emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte", LABELS + 1)
    for data in (
        datasets.MNIST(tmp_path),
        datasets.FashionMNIST(tmp_path / "flat", train=False),
        datasets.KMNIST(tmp_path / "flat", train=False),
        datasets.QMNIST(tmp_path / "q", train=False),
    ):
        assert [data[i][1] for i in range(5)] == data.targets.tolist() == LABELS.tolist()
        np.testing.assert_array_equal(np.asarray(data[2][0]), PIXELS[2])
        assert len(data.classes) == 10
    letters = datasets.EMNIST(tmp_path / "e", "letters")
    assert (len(letters.classes), letters.targets.tolist()) == (27, (LABELS + 1).tolist())
    assert len(set(letters.classes)) == 27
    tensors = datasets.MNIST(tmp_path, transform=pil_to_tensor, target_transform=lambda label: label + 1)
    assert (tensors[0][0].shape, tensors[0][1]) == ((1, 28, 28), 4)
    check(DatasetCase("MNIST", lambda: datasets.MNIST(tmp_path, transform=pil_to_tensor), length=5, types=(fb.Tensor, int)))
    with pytest.raises(FileFormatError, match=r"t10k-images-idx3-ubyte.*no such file or directory. Try: get it from http"):
        datasets.MNIST(tmp_path, train=False)
    with pytest.raises(ArgumentError, match="a split of"):
        datasets.EMNIST(tmp_path, "all")
    write_mnist(tmp_path / "bad", target=LABELS + 5)
    with pytest.raises(FileFormatError, match="labels below 10, got 14"):
        datasets.MNIST(tmp_path / "bad")
    write_mnist(tmp_path / "few", target=LABELS[:4])
    with pytest.raises(FileFormatError, match=r"images \(n, H, W\) of bytes and n labels"):
        datasets.MNIST(tmp_path / "few")


def local(monkeypatch, tmp_path):
    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path / "home"))
    served = tmp_path / "served"
    served.mkdir()
    return served


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_mnist_is_fetched_when_one_asks_for_it(tmp_path, monkeypatch):
    served = local(monkeypatch, tmp_path)
    for stem, content in (("t10k-images-idx3-ubyte", PIXELS), ("t10k-labels-idx1-ubyte", LABELS)):
        (served / f"{stem}.gz").write_bytes(gzip.compress(idx(content)))
    rows = tuple((path.name, md5(path)) for path in sorted(served.iterdir()))
    monkeypatch.setattr(datasets.FashionMNIST, "resources", rows)
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", (served.as_uri() + "/nowhere/", served.as_uri() + "/"))
    root = tmp_path / "data"
    data = datasets.FashionMNIST(root, train=False, download=True)
    assert data.targets.tolist() == LABELS.tolist() and {p.name for p in (root / "FashionMNIST" / "raw").iterdir()} == {r[0] for r in rows}
    for path in served.iterdir():
        path.unlink()
    assert len(datasets.FashionMNIST(root, train=False, download=True)) == 5
    monkeypatch.setattr(datasets.FashionMNIST, "resources", tuple((name, "0" * 32) for name, _ in rows))
    with pytest.raises(DownloadError, match=r"to fetch t10k-images-idx3-ubyte.gz[^$]*other[^$]*raw"):
        datasets.FashionMNIST(tmp_path / "other", train=False, download=True)
    with pytest.raises(ArgumentError, match="put the files from"):
        datasets.EMNIST(root, "letters", download=True)


def test_cifar_is_fetched_when_one_asks_for_it(tmp_path, monkeypatch):
    served = local(monkeypatch, tmp_path)
    write_cifar(tmp_path / "made", python=True)
    with tarfile.open(served / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "made" / "cifar-10-batches-py", "cifar-10-batches-py")
        archive.add(tmp_path / "made" / "cifar-10-batches-py" / "test_batch", "../../outside")
    source = served / "cifar-10-python.tar.gz"
    monkeypatch.setattr(datasets.CIFAR10, "archive", (source.as_uri(), "md5-" + md5(source)))
    for _ in range(2):
        data = datasets.CIFAR10(tmp_path / "data", train=False, download=True)
        assert len(data) == 2 and not (tmp_path.parent / "outside").exists() and not (tmp_path / "outside").exists()
        source.unlink(missing_ok=True)
    empty = served / "empty.tar.gz"
    tarfile.open(empty, "w:gz").close()
    monkeypatch.setattr(datasets.CIFAR10, "archive", (empty.as_uri(), "md5-" + md5(empty)))
    with pytest.raises(FileFormatError, match="a file cifar-10-batches-py/batches.meta in it"):
        datasets.CIFAR10(tmp_path / "new", download=True)


@settings(max_examples=60)
@given(st.binary(max_size=8), st.integers(0, 60), st.integers(-3, 3))
def test_damaged_idx_files(tmp_path_factory, noise, place, more):
    data = bytearray(idx(PIXELS[:1, :4, :4]))
    data[place : place + len(noise)] = noise
    data = bytes(data[:more] if more < 0 else data + b"x" * more)
    path = tmp_path_factory.mktemp("idx") / "file-idx3-ubyte"
    for content, name in ((data, path), (gzip.compress(data)[: len(data)], path.with_suffix(".gz"))):
        name.write_bytes(content)
        message = refusal(lambda name=name: mnist.read_idx(name))
        assert message is None or str(name) in message


def python2_pickle(pixels, labels):
    """A batch as Python 2 pickled it: texts of bytes, and an array that is restored from one."""
    raw = pixels.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K" + bytes([len(pixels)]) + b"M\x00\x0c\x86"
        b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(raw))
        + raw
        + b"tb"
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + array + b"U\x06labels" + numbers + b"u."


def write_cifar(root, python, n=2):
    images = random.integers(0, 256, (n, 3072), np.uint8)
    labels = [1, 0][:n]
    if python:
        folder = root / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["cat", "dog"]}, protocol=2))
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
            packed = (
                python2_pickle(images, labels) if name == "test_batch" else pickle.dumps({"data": images, "labels": labels}, protocol=2)
            )
            (folder / name).write_bytes(packed)
    else:
        folder = root / "cifar-10-batches-bin"
        folder.mkdir(parents=True)
        (folder / "batches.meta.txt").write_text("cat\ndog\n\n")
        for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
            (folder / name).write_bytes(b"".join(bytes([label]) + image.tobytes() for label, image in zip(labels, images)))
    return images


@pytest.mark.parametrize("python", [True, False])
def test_cifar(tmp_path, python):
    images = write_cifar(tmp_path, python)
    data = datasets.CIFAR10(tmp_path, train=False)
    assert (data.classes, data.targets) == (("cat", "dog"), [1, 0])
    np.testing.assert_array_equal(np.asarray(data[1][0]), images[1].reshape(3, 32, 32).transpose(1, 2, 0))
    assert len(datasets.CIFAR10(tmp_path)) == 10
    check(DatasetCase("CIFAR10", lambda: datasets.CIFAR10(tmp_path, transform=pil_to_tensor), length=10, types=(fb.Tensor, int)))
    with pytest.raises(FileFormatError, match="cifar-100-python or .*cifar-100-binary"):
        datasets.CIFAR100(tmp_path)


def test_cifar_100(tmp_path):
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    (folder / "fine_label_names.txt").write_text("\n".join(f"c{i}" for i in range(100)))
    image = random.integers(0, 256, 3072, np.uint8).tobytes()
    (folder / "train.bin").write_bytes(bytes([7, 99]) + image)
    data = datasets.CIFAR100(tmp_path)
    assert data.targets == [99]
    (folder / "train.bin").write_bytes(bytes([7, 99]) + image[:-1])
    with pytest.raises(FileFormatError, match="train.bin: expected whole records of 3074 bytes, got 3073 bytes"):
        datasets.CIFAR100(tmp_path)
    (folder / "train.bin").write_bytes(bytes([7, 100]) + image)
    with pytest.raises(FileFormatError, match="labels below 100, got 100"):
        datasets.CIFAR100(tmp_path)


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('it ran')",))


def test_pickles_of_cifar_run_nothing(tmp_path):
    write_cifar(tmp_path, python=True)
    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    for content in (pickle.dumps({"data": Evil(), "labels": []}), b"", b"garbage", pickle.dumps([1]), path.read_bytes()[:-100]):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="test_batch"):
            datasets.CIFAR10(tmp_path, train=False)


def test_image_folder(tmp_path):
    for i, name in enumerate(("b/2.png", "b/1.PNG", "a/sub/x.jpg", "a/notes.txt")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("txt"):
            path.write_text("no image")
        else:
            Image.new("RGB", (6, 4), (i * 40, 0, 0)).save(path)
    data = datasets.ImageFolder(tmp_path)
    assert (data.classes, data.class_to_idx, data.targets) == (["a", "b"], {"a": 0, "b": 1}, [0, 1, 1])
    assert [path.rpartition("/")[2] for path, _ in data.samples] == ["x.jpg", "1.PNG", "2.png"]
    assert data[1][0].size == (6, 4)
    check(DatasetCase("ImageFolder", lambda: datasets.ImageFolder(tmp_path, pil_to_tensor), length=3, types=(fb.Tensor, int)))
    (tmp_path / "c").mkdir()
    with pytest.raises(FileFormatError, match="expected files of every class, got none of c"):
        datasets.ImageFolder(tmp_path)
    assert len(datasets.ImageFolder(tmp_path, allow_empty=True).classes) == 3
    (tmp_path / "b" / "2.png").write_bytes((tmp_path / "b" / "2.png").read_bytes()[:40])
    damaged = datasets.ImageFolder(tmp_path, allow_empty=True)
    assert damaged.targets == [0, 1, 1]  # labels need no decoding
    with pytest.raises(FileFormatError, match=r"read .*2\.png: expected a whole image"):
        damaged[2]
    for wrong in (tmp_path / "nothing", tmp_path / "c"):
        with pytest.raises(FileFormatError, match="a directory"):
            datasets.ImageFolder(wrong)


XML = """<annotation><size><width>8</width><height>6</height></size>
<object><name>dog</name><difficult>1</difficult><bndbox><xmin>2</xmin><ymin>1</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>"""


def write_voc(root):
    base = root / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main", "ImageSets/Segmentation", "SegmentationClass"):
        (base / folder).mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(base / "JPEGImages" / "one.jpg")
    (base / "Annotations" / "one.xml").write_text(XML)
    mask = Image.fromarray(np.array([[0, 12, 255, 0]] * 3, np.uint8)).convert("P")
    mask.putpalette([0] * 768)
    mask.putdata([0, 12, 255, 0] * 3)
    mask.save(base / "SegmentationClass" / "one.png")
    for part in ("Main", "Segmentation"):
        (base / "ImageSets" / part / "train.txt").write_text("one 1\n")
    return base


def test_voc(tmp_path):
    base = write_voc(tmp_path)
    image, target = datasets.VOCDetection(tmp_path)[0]
    assert image.size == (8, 6)
    assert target["annotation"]["object"][0]["name"] == "dog"
    found = datasets.voc_target(target, (6, 8))
    assert (found["boxes"].tolist(), found["labels"].tolist(), found["difficult"].tolist()) == ([[1, 0, 5, 6]], [12], [True])
    _, mask = datasets.VOCSegmentation(tmp_path)[0]
    assert np.asarray(mask)[0].tolist() == [0, 12, 255, 0]
    check(DatasetCase("VOC", lambda: datasets.VOCSegmentation(tmp_path, transform=pil_to_tensor, target_transform=np.array), length=1))
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb">]><annotation>&b;</annotation>'
    for text, expected in ((bomb, "without definitions"), (XML[:60], "whole XML")):
        (base / "Annotations" / "one.xml").write_text(text)
        with pytest.raises(FileFormatError, match=f"one.xml: expected .*{expected}"):
            datasets.VOCDetection(tmp_path)[0]
    (base / "ImageSets" / "Main" / "train.txt").write_text("../one\n")
    with pytest.raises(FileFormatError, match="names of images"):
        datasets.VOCDetection(tmp_path)
    (base / "ImageSets" / "Main" / "train.txt").write_text("two\n")
    with pytest.raises(FileFormatError, match=r"two\.jpg, got no such file"):
        datasets.VOCDetection(tmp_path)
    with pytest.raises(FileFormatError, match=r"val\.txt"):
        datasets.VOCDetection(tmp_path, image_set="val")


def write_coco(root, **changes):
    Image.new("RGB", (6, 4)).save(root / "7.png")
    rows = [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 3,
            "bbox": [1, 1, 3, 2],
            "area": 6,
            "iscrowd": 0,
            "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]],
        },
        {
            "id": 2,
            "image_id": 7,
            "category_id": 90,
            "bbox": [0, 0, 2, 2],
            "area": 4,
            "iscrowd": 1,
            "segmentation": {"size": [4, 6], "counts": [0, 2, 22]},
        },
    ]
    content = {
        "images": [{"id": 9, "file_name": "9.png"}, {"id": 7, "file_name": "7.png"}],
        "annotations": rows,
        "categories": [{"id": 3, "name": "car"}],
        **changes,
    }
    (root / "instances.json").write_text(json.dumps(content))
    return root / "instances.json"


def test_coco(tmp_path):
    path = write_coco(tmp_path)
    data = datasets.CocoDetection(tmp_path, path)
    assert (data.ids, data.categories, len(data.target(1))) == ([7, 9], {3: "car"}, 0)
    image, rows = data[0]
    target = datasets.coco_target(rows, (image.height, image.width), masks=True)
    assert target["boxes"].tolist() == [[1, 1, 4, 3], [0, 0, 2, 2]]
    assert (target["labels"].tolist(), target["iscrowd"].tolist(), target["area"].tolist()) == ([3, 90], [0, 1], [6, 4])
    assert target["masks"].shape == (2, 4, 6)
    assert target["masks"][1].tolist()[:2] == [[1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    empty = datasets.coco_target([], (4, 6), masks=True)
    assert (empty["boxes"].shape, empty["masks"].shape, empty["labels"].shape) == ((0, 4), (0, 4, 6), (0,))
    with pytest.raises(FileNotFoundError):
        data[1]
    for changes, expected in (
        ({"images": [{"id": 7, "file_name": "../7.png"}]}, "below the root"),
        ({"images": [{"id": 9, "file_name": "9.png"}]}, "some of image 7"),
        ({"images": [{"file_name": "9.png"}]}, "KeyError"),
    ):
        with pytest.raises(FileFormatError, match=expected):
            datasets.CocoDetection(tmp_path, write_coco(tmp_path, **changes))
    path.write_text('{"images": [')
    with pytest.raises(FileFormatError, match=r"instances\.json: expected JSON"):
        datasets.CocoDetection(tmp_path, path)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 1000))
def test_run_lengths(height, width, seed):
    mask = (np.random.default_rng(seed).uniform(size=(height, width)) < 0.5).astype(np.uint8)
    np.testing.assert_array_equal(coco.rle_decode(coco.rle_encode(mask)), mask)


@given(st.one_of(st.text(max_size=6), st.lists(st.integers(-3, 9), max_size=4), st.none()))
def test_damaged_run_lengths(counts):
    try:
        assert coco.rle_decode({"size": [2, 3], "counts": counts}).shape == (2, 3)
    except FileFormatError:
        pass


CASES = [
    DatasetCase("FakeData", lambda: datasets.FakeData(7, (3, 5, 6), 4, transform=pil_to_tensor), length=7, types=(fb.Tensor, int)),
    DatasetCase("FakeData grey", lambda: datasets.FakeData(3, (1, 5, 6), 4, transform=pil_to_tensor), length=3),
    DatasetCase("Shapes", lambda: datasets.Shapes(4, 32), length=4, collates=False),
    DatasetCase("OpticalDigits", lambda: datasets.OpticalDigits("test"), length=359, types=(fb.Tensor, int)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_contract(case):
    check(case)


def test_shapes_are_what_they_say():
    data = datasets.Shapes(30, 48, seed=3)
    for image, target in (data[i] for i in range(30)):
        mask = target["mask"].numpy()
        assert image.shape == (3, 48, 48)
        assert set(np.unique(mask)) - {0} == set(target["labels"].tolist())
        for (x1, y1, x2, y2), label in zip(target["boxes"].plain().numpy().astype(int), target["labels"].tolist()):
            inside = mask[y1:y2, x1:x2] == label
            assert inside.any(0).all()
            assert inside.any(1).all()  # the box is tight
            assert image.numpy()[:, y1:y2, x1:x2][:, inside].mean() > 0.5
    with pytest.raises(ArgumentError):
        datasets.Shapes(size=8)


def test_images_through_transforms_and_workers():
    """PIL images of a dataset become batches of normalised floats, in this process and in others alike."""
    from flambeau.data import DataLoader
    from flambeau_vision import transforms as T

    steps = [T.CenterCrop(16), T.ToImage(), T.ToDtype(fb.float32, scale=True), T.Normalize([0.5] * 3, [0.5] * 3)]
    data = datasets.FakeData(6, (3, 20, 20), transform=T.Compose(steps))
    for workers in (0, 2):
        images, labels = next(iter(DataLoader(data, 4, num_workers=workers)))
        assert (type(images), images.shape, images.dtype) == (fb.Tensor, (4, 3, 16, 16), fb.float32)
        assert labels.tolist() == data.targets[:4]
        pixels = np.asarray(data.image(0))[2:18, 2:18].transpose(2, 0, 1)
        np.testing.assert_allclose(images[0].numpy(), (pixels / 255 - 0.5) / 0.5, atol=1e-5)
