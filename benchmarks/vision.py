"""Images beside torchvision on PyTorch, in one run: `python -m benchmarks.vision`.

Bars (flambeau-vision): images for training, decoded from JPEG, cropped, flipped, coloured and normalised, 1.0x torchvision's images a
second; a batch with random numbers of its own for each image 2x as fast as its images one by one; ResNet-50 on 8 images 1.2x PyTorch's,
ours compiled as a user compiles it. Names of rows given as arguments choose.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import flambeau
from benchmarks.common import chosen, paired, peer, report
from flambeau_vision import models
from flambeau_vision import transforms as T
from flambeau_vision.io import open_image

THREADS = 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Runs = tuple[Callable[[], Any], Callable[[], Any] | None]


def photographs(count: int, height: int = 375, width: int = 500) -> list[bytes]:
    """JPEG files that are as smooth, and as large, as photographs."""
    random, files = np.random.default_rng(0), []
    for _ in range(count):
        scales = [(height // step, width // step) for step in (100, 25, 6, 2)]
        layers = [Image.fromarray(random.integers(0, 256, (*scale, 3), np.uint8)).resize((width, height), 3) for scale in scales]
        pixels = sum(np.asarray(layer, np.float32) * share for layer, share in zip(layers, (0.5, 0.25, 0.15, 0.1)))
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def training_images(other: Any) -> Runs:
    """Eight files to normalised floats (3, 224, 224), one by one."""
    files = photographs(8)

    def pipeline(module: Any, image: Any, dtype: Any) -> Callable[[Any], Any]:
        colours = module.ColorJitter(0.4, 0.4, 0.4, 0.1)
        steps = [module.RandomResizedCrop(224), module.RandomHorizontalFlip(), colours, image]
        return module.Compose([*steps, module.ToDtype(dtype, scale=True), module.Normalize(MEAN, STD)])

    ours = pipeline(T, T.PILToTensor(), flambeau.float32)

    def mine() -> Any:
        return [ours(open_image(io.BytesIO(file))) for file in files]

    if not other:
        return mine, None
    v2 = importlib.import_module("torchvision.transforms.v2")
    theirs = pipeline(v2, v2.PILToTensor(), importlib.import_module("torch").float32)
    return mine, lambda: [theirs(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]


def batches(count: int, side: int) -> Callable[[Any], Runs]:
    """A batch in one call beside its images one by one; both are ours."""

    def make(other: Any) -> Runs:
        images = flambeau.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, side, side), np.uint8))
        steps = [T.RandomCrop(side, padding=side // 8), T.RandomHorizontalFlip(), T.ColorJitter(0.4, 0.4, 0.4)]
        transform = T.Compose([*steps, T.ToDtype(flambeau.float32, scale=True), T.Normalize(MEAN, STD)])
        return lambda: transform(images), lambda: flambeau.stack([transform(image) for image in images])

    return make


def resnet50(other: Any) -> Runs:
    """Eight images, in evaluation mode; ours compiled, theirs eager."""
    images = np.random.default_rng(0).standard_normal((8, 3, 224, 224), np.float32)
    flambeau.manual_seed(0)
    net, ours = models.resnet50().eval(), flambeau.from_numpy(images)
    program = flambeau.compile(net)

    def mine() -> Any:
        with flambeau.no_grad():
            return program(ours)

    if not other:
        return mine, None
    torch = importlib.import_module("torch")
    theirs, tensor = other.models.resnet50().eval(), torch.from_numpy(images)
    theirs.load_state_dict({key: torch.from_numpy(value.numpy()) for key, value in net.state_dict().items()})

    def other_run() -> Any:
        with torch.no_grad():
            return theirs(tensor)

    np.testing.assert_allclose(mine().numpy(), other_run().numpy(), atol=1e-3, rtol=1e-3)
    return mine, other_run


# What is measured: its name, how, how many images, beside what, threads, the bar.
ROWS: list[tuple[str, Callable[[Any], Runs], int, str, int, float]] = [
    ("training images from JPEG", training_images, 8, "torchvision", 1, 1.0),
    ("a batch of 128 images of 32x32", batches(128, 32), 128, "one by one", THREADS, 2.0),
    ("a batch of 32 images of 224x224", batches(32, 224), 32, "one by one", THREADS, 2.0),
    ("ResNet-50, batch 8, inference", resnet50, 8, "PyTorch eager", THREADS, 1.2),
]


def other_library() -> Any:
    """torchvision, or None; its compiled part may be absent, as in the tests."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "parity" / "vision"))
    importlib.import_module("conftest").import_torchvision()
    return importlib.import_module("torchvision")


def main() -> None:
    """Measure and report."""
    torch = peer()
    library = other_library() if torch else None
    results = []
    for name, make, count, beside, threads, bar in ROWS:
        if not chosen(name):
            continue
        flambeau.set_num_threads(threads)
        if torch:
            torch.set_num_threads(threads)
        mine, other = paired(*make(library), rounds=7, seconds=0.1)
        row = {"work": name, "flambeau images/s": count / mine, "beside": beside, "images/s": count / other if other else None}
        results.append({**row, "times faster": other / mine if other else None, "threads": threads, "bar": bar})
    report("vision", results, {"torchvision": library.__version__ if library else None})


if __name__ == "__main__":
    main()
