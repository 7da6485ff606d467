"""Detectors, segmentation and features at named layers, at sizes that suit a test."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError
from flambeau.testing import ModelCase, floats, run, sample
from flambeau_vision import models
from flambeau_vision.models import features, resnet
from flambeau_vision.models.detection import matching
from flambeau_vision.models.detection.faster_rcnn import FasterRCNN, TwoMLPHead
from flambeau_vision.models.detection.images import AnchorGenerator
from flambeau_vision.models.detection.retinanet import RetinaNet, RetinaNetHead
from flambeau_vision.models.segmentation.base import SegmentationModel
from flambeau_vision.models.segmentation.deeplabv3 import ASPP
from flambeau_vision.models.segmentation.fcn import FCNHead
from flambeau_vision.models.segmentation.unet import UNet
from flambeau_vision.ops import MultiScaleRoIAlign, box_iou


class Backbone(nn.Module):
    """Two levels of features, an eighth and a sixteenth."""

    out_channels = 8

    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU())

    def forward(self, x):
        x = self.a(x)
        return {"0": x, "1": self.b(x)}


ANCHORS = (((16,), (32,)), ((0.5, 1.0, 2.0),) * 2)
SIZE = {"min_size": 64, "max_size": 64, "image_mean": (0.0,) * 3, "image_std": (1.0,) * 3}


def retinanet(**options):
    head = RetinaNetHead(8, 3, 3, norm_layer=lambda channels: nn.GroupNorm(2, channels))
    return RetinaNet(Backbone(), 3, anchor_generator=AnchorGenerator(*ANCHORS), head=head, **SIZE, **options)


def faster(**options):
    pool = MultiScaleRoIAlign(["0", "1"], 3, 2)
    head = TwoMLPHead(8 * 9, 1024)
    return FasterRCNN(Backbone(), 3, rpn_anchor_generator=AnchorGenerator(*ANCHORS), box_roi_pool=pool, box_head=head, **SIZE, **options)


def scene(seed=0):
    """Images of two sizes with a bright box each, and their targets."""
    random = np.random.default_rng(seed)
    images, targets = [], []
    for height, width in ((64, 64), (48, 64)):
        image = random.uniform(0, 0.1, (3, height, width)).astype(np.float32)
        x, y = random.integers(0, width - 24), random.integers(0, height - 24)
        kind = int(random.integers(1, 3))
        image[kind - 1, y : y + 24, x : x + 24] = 1.0
        images.append(fb.from_numpy(image))
        targets.append({"boxes": fb.tensor([[x, y, x + 24, y + 24]]).float(), "labels": fb.tensor([kind])})
    return images, targets


@pytest.mark.parametrize("make", [retinanet, faster])
def test_a_detector_learns_two_images(make):
    fb.manual_seed(0)
    quick = {"rpn_post_nms_top_n_train": 40, "rpn_pre_nms_top_n_train": 100, "box_batch_size_per_image": 32}
    model = make(**({} if make is retinanet else quick))
    images, targets = scene()
    optimizer = fb.optim.Adam(model.parameters(), lr=3e-3)
    first = None
    for _ in range(80 if make is retinanet else 40):
        loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first = float(loss) if first is None else first
    assert float(loss.detach()) < 0.3 * first
    for found, target in zip(model.eval()(images), targets):
        assert set(found) == {"boxes", "labels", "scores"}
        assert int(found["labels"][0]) == int(target["labels"][0])
        assert float(box_iou(found["boxes"][:1], target["boxes"])) > 0.6
        assert (found["scores"].numpy()[:-1] >= found["scores"].numpy()[1:]).all()
        assert found["boxes"].dtype == found["scores"].dtype == fb.float32
        assert found["labels"].dtype == fb.int64


@pytest.mark.parametrize("make", [retinanet, faster])
def test_images_without_objects_and_wrong_targets(make):
    model = make()
    images, _ = scene()
    empty = [{"boxes": fb.zeros(0, 4), "labels": fb.zeros(0, dtype=fb.int64)}] * 2
    losses = model(images, empty)
    assert all(bool(value.isfinite()) for value in losses.values())
    sum(losses.values()).backward()
    with pytest.raises(ArgumentError, match="positive width and height, got"):
        model(images, [{"boxes": fb.tensor([[5.0, 5.0, 5.0, 9.0]]), "labels": fb.tensor([1])}] * 2)
    with pytest.raises(ArgumentError, match="expected targets in training"):
        model(images)
    with pytest.raises(ShapeError, match=r"a list of images \(3, H, W\)"):
        model.eval()([fb.zeros(1, 3, 8, 8)])
    with pytest.raises(DtypeError):
        model([fb.zeros(3, 8, 8, dtype=fb.uint8)])
    with pytest.raises(ArgumentError, match="out_channels"):
        type(model)(nn.Identity(), 2)
    nothing = (make(score_thresh=1.1) if make is retinanet else make(box_score_thresh=1.1)).eval()(images)
    assert all(found["boxes"].shape == (0, 4) and found["labels"].shape == (0,) for found in nothing)


def test_matching():
    anchors = np.array([[0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30], [0, 0, 9, 8], [0.0, 0, 7, 7]])
    boxes = np.array([[0, 0, 10, 10], [21, 21, 40, 40.0]])
    assert matching.match(boxes, anchors, 0.7, 0.5, False).tolist() == [0, -2, -1, 0, -1]
    assert matching.match(boxes, anchors, 0.7, 0.5, True).tolist() == [0, -2, 1, 0, -1]
    assert matching.match(boxes[:0], anchors, 0.7, 0.5, True).tolist() == [-1] * 5
    coder = matching.BoxCoder((10.0, 10.0, 5.0, 5.0))
    codes = coder.encode(boxes, anchors[[0, 2]])
    np.testing.assert_allclose(coder.decode(fb.from_numpy(codes.astype(np.float32)), anchors[[0, 2]])[:, 0].numpy(), boxes, atol=1e-4)
    fb.manual_seed(0)
    positive, negative = matching.balanced(np.array([1, 0, 0, -1, 2, 0, 3.0]), 4, 0.5)
    assert len(positive) == len(negative) == 2
    assert set(positive) <= {0, 4, 6}
    assert set(negative) <= {1, 2, 5}


def test_anchors():
    made = AnchorGenerator(((8,), (16, 32)), (1.0, 2.0))
    first, second = made((16, 32), [fb.zeros(1, 1, 2, 4), fb.zeros(1, 1, 1, 1)])
    assert made.num_anchors_per_location() == [2, 4]
    assert (len(first), len(second)) == (16, 4)
    assert first[:2].tolist() == [[-4, -4, 4, 4], [-3, -6, 3, 6]]
    assert first[2].tolist() == [4, -4, 12, 4]  # the next place is to the right
    with pytest.raises(ArgumentError, match="2 feature maps"):
        made((8, 8), [fb.zeros(1, 1, 2, 2)])


def small_fcn():
    net = resnet.ResNet(resnet.BasicBlock, (1, 1, 1, 1), num_classes=2)
    body = features.IntermediateLayerGetter(net, {"layer1": "aux", "layer2": "out"})
    return SegmentationModel(body, FCNHead(128, 3), FCNHead(64, 3))


KINKS = {"gradient": "finite differences cross the kinks of ReLU and pooling; gradients are compared with PyTorch's in tests/parity/vision"}
test_contract = run(
    [
        ModelCase("unet", lambda: UNet(3, 2, (4, 8, 8)), [sample(floats(2, 2, 8, 12))], shapes=[(2, 3, 8, 12)], skip=KINKS),
        ModelCase("fcn", small_fcn, [sample(floats(2, 3, 32, 24))], shapes=[(2, 3, 32, 24)], skip=KINKS),
        ModelCase("aspp", lambda: ASPP(4, (2, 3), 8), [sample(floats(2, 4, 9, 7))], shapes=[(2, 8, 9, 7)], skip=KINKS),
    ]
)


def test_features_at_named_layers():
    model = models.resnet18(num_classes=2).eval()
    x = fb.rand(1, 3, 32, 32)
    extract = models.create_feature_extractor(model, ["layer1.0.conv2", "layer3", "fc"])
    out = extract(x)
    assert list(out) == ["layer1.0.conv2", "layer3", "fc"]
    np.testing.assert_array_equal(out["fc"].detach().numpy(), model(x).detach().numpy())
    stem = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    np.testing.assert_array_equal(out["layer3"].detach().numpy(), model.layer3(model.layer2(model.layer1(stem))).detach().numpy())
    out["layer3"].sum().backward()  # gradients go back into the model
    assert model.conv1.weight.grad is not None
    getter = features.IntermediateLayerGetter(model, {"layer2": "0"})
    assert "layer3" not in getter
    assert getter(x)["0"].shape == (1, 128, 4, 4)
    for wrong in (["layer9"], [], [""]):
        with pytest.raises(ArgumentError):
            models.create_feature_extractor(model, wrong)
    with pytest.raises(ArgumentError, match="did you mean|Did you mean"):
        models.create_feature_extractor(model, ["layer_3"])


def test_unet_errors():
    with pytest.raises(ShapeError, match="multiples of 2"):
        UNet(2, widths=(4, 8))(fb.zeros(1, 3, 7, 8))
    with pytest.raises(ArgumentError):
        UNet(2, widths=(4,))
