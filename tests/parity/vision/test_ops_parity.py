"""Box operations, pyramids and average precision beside torchvision and pycocotools."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from torchvision import ops as theirs  # noqa: E402

import flambeau as fb  # noqa: E402
from flambeau_vision import metrics, ops  # noqa: E402
from tests.vision.test_metrics import scene  # noqa: E402
from tests.vision.test_ops import boxes  # noqa: E402

A, B = boxes(6), boxes(6, 1)


@pytest.mark.parametrize("name", ["box_iou", "generalized_box_iou", "distance_box_iou", "complete_box_iou"])
def test_overlaps(name):
    ours, other = fb.from_numpy(A.copy()).requires_grad_(), torch.from_numpy(A.copy()).requires_grad_()
    mine, their = getattr(ops, name)(ours, fb.from_numpy(B)), getattr(theirs, name)(other, torch.from_numpy(B))
    np.testing.assert_allclose(mine.detach().numpy(), their.detach().numpy(), rtol=1e-4, atol=1e-6)
    mine.sum().backward()
    their.sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), other.grad.numpy(), rtol=1e-3, atol=1e-5)


def test_focal_loss():
    x, t = np.random.default_rng(0).standard_normal((4, 5)), np.arange(20).reshape(4, 5) % 2.0
    for options in ({}, {"alpha": -1, "gamma": 1.5}, {"reduction": "mean"}):
        np.testing.assert_allclose(
            ops.sigmoid_focal_loss(fb.from_numpy(x), fb.from_numpy(t), **options).numpy(),
            theirs.sigmoid_focal_loss(torch.from_numpy(x), torch.from_numpy(t), **options).numpy(),
            rtol=1e-9,
        )


@pytest.mark.parametrize("extra", [None, "pool", "p6p7"])
def test_pyramids(extra):
    blocks = {None: lambda m: None, "pool": lambda m: m.LastLevelMaxPool(), "p6p7": lambda m: m.LastLevelP6P7(8, 4)}[extra]
    other = theirs.FeaturePyramidNetwork([4, 6, 8], 4, blocks(theirs.feature_pyramid_network))
    ours = ops.FeaturePyramidNetwork([4, 6, 8], 4, blocks(ops))
    ours.load_state_dict({key: fb.from_numpy(value.numpy()) for key, value in other.state_dict().items()})
    levels = {
        f"f{i}": np.random.default_rng(i).standard_normal((1, c, s, s)).astype(np.float32)
        for i, (c, s) in enumerate([(4, 13), (6, 7), (8, 4)])
    }
    mine, their = ours({k: fb.from_numpy(v) for k, v in levels.items()}), other({k: torch.from_numpy(v) for k, v in levels.items()})
    assert list(mine) == list(their)
    for name in mine:
        np.testing.assert_allclose(mine[name].detach().numpy(), their[name].detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision(seed, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    founds, truths = scene(seed, images=8)
    random = np.random.default_rng(seed)
    annotations, results = [], []
    for i, (found, truth) in enumerate(zip(founds, truths)):
        truth["iscrowd"] = (random.uniform(size=len(truth["labels"])) < 0.2).astype(int)
        truth["area"] = np.prod(truth["boxes"][:, 2:] - truth["boxes"][:, :2], axis=1)
        for box, label, crowd, area in zip(truth["boxes"], truth["labels"], truth["iscrowd"], truth["area"]):
            xywh = [*box[:2], *(box[2:] - box[:2])]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": i, "category_id": int(label), "bbox": xywh, "area": area, "iscrowd": int(crowd)}
            )
        for box, label, score in zip(found["boxes"], found["labels"], found["scores"]):
            results.append({"image_id": i, "category_id": int(label), "bbox": [*box[:2], *(box[2:] - box[:2])], "score": float(score)})
    truth = coco.COCO()
    truth.dataset = {"images": [{"id": i} for i in range(8)], "annotations": annotations, "categories": [{"id": c} for c in range(3)]}
    truth.createIndex()
    judge = evaluation.COCOeval(truth, truth.loadRes(results), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    capsys.readouterr()
    ours = metrics.CocoAP()
    ours.update(founds, truths)
    mine = ours.compute()
    for name, value in zip(("map", "map50", "map75", "map_small", "map_medium", "map_large"), judge.stats):
        np.testing.assert_allclose(-1 if np.isnan(mine[name]) else mine[name], value, atol=1e-9, err_msg=name)
