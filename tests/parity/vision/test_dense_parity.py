"""Detectors and segmentation beside torchvision: names, outputs, detections and losses for the same weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

import flambeau as fb  # noqa: E402
from flambeau_vision import models, ops  # noqa: E402
from flambeau_vision.registry import FAMILIES  # noqa: E402
from tests.vision.seeded import seeded_images, seeded_state  # noqa: E402

DENSE = [
    name for family in FAMILIES for name in family.builders if "models.detection" in family.module or "models.segmentation" in family.module
]
DENSE.remove("unet")
slow = pytest.mark.slow


def options(name):
    return {"weights_backbone": None, **({"aux_loss": True} if "fcn" in name or "deeplab" in name else {})}


@pytest.fixture(autouse=True)
def align(monkeypatch):
    """The compiled part may be absent; its results are those of tests/vision/test_ops.py's definition."""
    from torchvision.ops import boxes, poolers

    def nms(found, scores, threshold):
        return torch.from_numpy(ops.nms(fb.from_numpy(found.detach().numpy()), fb.from_numpy(scores.detach().numpy()), threshold).numpy())

    def roi_align(x, rois, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
        out = ops.roi_align(
            fb.from_numpy(x.detach().numpy()), fb.from_numpy(rois.detach().numpy()), output_size, spatial_scale, sampling_ratio, aligned
        )
        return torch.from_numpy(np.ascontiguousarray(out.numpy()))

    monkeypatch.setattr(boxes, "nms", nms)
    monkeypatch.setattr(poolers, "roi_align", roi_align)


@pytest.mark.parametrize("name", DENSE)
def test_names_and_shapes(name):
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None, **options(name))
    with fb.device("meta"):
        ours = models.get_model(name, **options(name))
    assert [(k, tuple(v.shape)) for k, v in ours.state_dict().items()] == [(k, tuple(v.shape)) for k, v in theirs.state_dict().items()]
    for tag, member in torchvision.models.get_model_weights(name).__members__.items():
        mine = models.get_model_weights(name)[tag]
        assert (mine.url, mine.meta["num_params"]) == (member.url, member.meta["num_params"])


def pair(name, **more):
    theirs = torchvision.models.get_model(name, weights=None, **options(name), **more).eval()
    ours = models.get_model(name, **options(name), **more).eval()
    values = seeded_state({k: tuple(v.shape) for k, v in theirs.state_dict().items()})
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in values.items()})
    ours.load_state_dict({k: fb.from_numpy(v) for k, v in values.items()})
    return ours, theirs


@pytest.mark.parametrize("name", [pytest.param("fcn_resnet50", marks=slow), "deeplabv3_resnet50", "deeplabv3_mobilenet_v3_large"])
def test_segmentation(name):
    ours, theirs = pair(name, num_classes=5)
    images = seeded_images(2, 3, 40, 56)
    with torch.no_grad(), fb.no_grad():
        expected, got = theirs(torch.from_numpy(images)), ours(fb.from_numpy(images))
    assert list(got) == list(expected)
    for key in expected:
        np.testing.assert_allclose(got[key].numpy(), expected[key].numpy(), atol=1e-4, rtol=1e-3)


SMALL = {"min_size": 96, "max_size": 128, "num_classes": 4}
THRESHOLDS = {"fasterrcnn": {"box_score_thresh": 0.2}, "retinanet": {"score_thresh": 0.3}}


@pytest.mark.parametrize(
    "name",
    [
        "retinanet_resnet50_fpn",
        pytest.param("retinanet_resnet50_fpn_v2", marks=slow),
        pytest.param("fasterrcnn_resnet50_fpn", marks=slow),
        "fasterrcnn_mobilenet_v3_large_fpn",
    ],
)
def test_detections(name):
    ours, theirs = pair(name, **SMALL, **THRESHOLDS[name.partition("_")[0]])
    images = [seeded_images(3, 60, 80).clip(0, 1), seeded_images(3, 70, 50, seed=1).clip(0, 1)]
    with torch.no_grad(), fb.no_grad():
        expected, got = theirs([torch.from_numpy(i) for i in images]), ours([fb.from_numpy(i) for i in images])
    for mine, other in zip(got, expected):
        assert len(other["boxes"]) > 0
        count = min(len(other["scores"]), len(mine["scores"]), 5)
        np.testing.assert_allclose(mine["scores"].numpy()[:count], other["scores"].numpy()[:count], atol=1e-3)
        assert abs(len(mine["boxes"]) - len(other["boxes"])) <= max(2, len(other["boxes"]) // 10)
        close = np.abs(mine["boxes"].numpy()[:, None] - other["boxes"].numpy()[None]).max(-1)
        same = (close < 0.05) & (mine["labels"].numpy()[:, None] == other["labels"].numpy()[None])
        assert same.any(1).mean() > 0.9


@pytest.mark.parametrize(
    "name",
    [
        "retinanet_resnet50_fpn",
        pytest.param("retinanet_resnet50_fpn_v2", marks=slow),
        pytest.param("fasterrcnn_resnet50_fpn", marks=slow),
        "fasterrcnn_mobilenet_v3_large_fpn",
    ],
)
def test_losses(name):
    """With every example in the loss (no random choice), losses and gradients are theirs."""
    more = {"rpn_batch_size_per_image": 100000, "box_batch_size_per_image": 100000} if name.startswith("faster") else {}
    ours, theirs = pair(name, **SMALL, **more)
    for model in (ours, theirs):
        model.train()
        for module in model.modules():
            if "BatchNorm" in type(module).__name__:
                module.eval()
    images = [seeded_images(3, 60, 80).clip(0, 1), seeded_images(3, 70, 50, seed=1).clip(0, 1)]
    targets = [([[5, 6, 40, 50], [30, 10, 75, 55]], [1, 3]), ([[2, 3, 30, 60]], [2])]
    expected = theirs(
        [torch.from_numpy(i) for i in images], [{"boxes": torch.tensor(b).float(), "labels": torch.tensor(k)} for b, k in targets]
    )
    got = ours([fb.from_numpy(i) for i in images], [{"boxes": fb.tensor(b).float(), "labels": fb.tensor(k)} for b, k in targets])
    assert set(got) == set(expected)
    for key, value in expected.items():
        assert float(got[key].detach()) == pytest.approx(float(value.detach()), rel=0.02 if "faster" in name else 2e-3), key
    if name.startswith("retinanet"):
        sum(expected.values()).backward()
        sum(got.values()).backward()
        for (key, mine), (_, other) in zip(ours.head.named_parameters(), theirs.head.named_parameters()):
            np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), atol=2e-3 * float(other.grad.abs().max()), err_msg=key)
