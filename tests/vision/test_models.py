"""Architectures: the golden outputs of torchvision, parameter counts, contracts, and weights by name."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.base.errors import ArgumentError, FileFormatError, NameNotFound, ShapeError
from flambeau.hub import Weights
from flambeau.testing import ModelCase, floats, run, sample
from flambeau_vision import models
from flambeau_vision.models import convnext, densenet, efficientnet, mobilenetv3, resnet, swin_transformer, vgg, vision_transformer
from flambeau_vision.models.weights import (
    categories,
    find_weights,
    get_model,
    get_model_weights,
    get_weight,
    list_models,
    load_into,
    weights_enum,
)
from flambeau_vision.registry import FAMILIES, builders
from tests.golden.vision_models import PATH
from tests.vision.seeded import FIXED, MODELS, seeded_images, seeded_state

PRETRAINED = [name for name in builders() if name not in ("digits_cnn", "unet")]


QUICK = ("resnet18", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "swin_t")


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS])
def test_outputs_are_those_of_torchvision(name):
    options, size = MODELS[name]
    model = get_model(name, num_classes=10, **options).eval()
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items() if not key.endswith(FIXED)}
    state = {key: fb.from_numpy(value) for key, value in seeded_state(shapes).items()}
    assert not model.load_state_dict(state, strict=False).unexpected_keys
    with fb.no_grad(), np.load(PATH) as golden:
        np.testing.assert_allclose(model(fb.from_numpy(seeded_images(2, 3, size, size))).numpy(), golden[name], atol=1e-4, rtol=1e-4)


DENSE = ("fcn", "deeplab", "retinanet", "fasterrcnn")  # whose counts depend on options; see tests/parity/vision


@pytest.mark.parametrize("name", [name for name in PRETRAINED if not name.startswith(DENSE)])
def test_parameter_counts_are_those_that_the_weights_state(name):
    for member in get_model_weights(name):
        options = {"image_size": member.meta["min_size"][0]} if name.startswith("vit") else {}
        with fb.device("meta"):
            model = get_model(name, **options)
        assert sum(p.numel() for p in model.parameters()) == member.meta["num_params"]


TINY = {"num_classes": 3}
KINKS = {"gradient": "finite differences cross the kinks of ReLU and pooling; gradients are compared with PyTorch's in tests/parity/vision"}
IMAGES = [sample(floats(2, 3, 32, 32))]
CASES = [
    ModelCase("resnet basic", lambda: resnet.ResNet(resnet.BasicBlock, (1, 1, 1, 1), **TINY), IMAGES, shapes=[(2, 3)], skip=KINKS),
    ModelCase(
        "resnet bottleneck", lambda: resnet.ResNet(resnet.Bottleneck, (1, 1, 1, 1), groups=4, width_per_group=8, **TINY), IMAGES, skip=KINKS
    ),
    ModelCase("densenet", lambda: densenet.DenseNet(4, (2, 2, 1), 8, drop_rate=0.1, **TINY), IMAGES, shapes=[(2, 3)], skip=KINKS),
    ModelCase(
        "mobilenet_v2",
        lambda: models.mobilenet_v2(width_mult=0.1, inverted_residual_setting=[[1, 16, 1, 1], [6, 24, 2, 2]], **TINY),
        IMAGES,
        skip=KINKS,
    ),
    ModelCase("mobilenet_v3", lambda: models.mobilenet_v3_small(width_mult=0.2, **TINY), IMAGES, shapes=[(2, 3)], skip=KINKS),
    ModelCase(
        "efficientnet",
        lambda: efficientnet.EfficientNet(
            [efficientnet.FusedMBConvConfig(2, 3, 1, 8, 8, 2), efficientnet.MBConvConfig(4, 3, 2, 8, 16, 2)], 0.2, last_channel=16, **TINY
        ),
        IMAGES,
    ),
    ModelCase(
        "convnext",
        lambda: convnext.ConvNeXt([(convnext.CNBlockConfig(8, 16, 1)), convnext.CNBlockConfig(16, None, 2)], 0.1, 0.5, **TINY),
        IMAGES,
    ),
    ModelCase("vit", lambda: _random_head(vision_transformer.VisionTransformer(32, 8, 2, 2, 8, 16, **TINY)), IMAGES, shapes=[(2, 3)]),
    ModelCase("swin", lambda: swin_transformer.SwinTransformer((4, 4), 8, (1, 2), (1, 2), (3, 3), **TINY), IMAGES, shapes=[(2, 3)]),
    ModelCase(
        "swin_v2",
        lambda: _lively(
            swin_transformer.SwinTransformer(
                (4, 4),
                8,
                (2, 1),
                (1, 2),
                (3, 3),
                block=swin_transformer.SwinTransformerBlockV2,
                downsample_layer=swin_transformer.PatchMergingV2,
                **TINY,
            )
        ),
        IMAGES,
    ),
    ModelCase("digits_cnn", lambda: models.digits_cnn(width=4), [sample(floats(2, 1, 8, 8))], shapes=[(2, 10)]),
]


def _lively(model):
    """Initial values so small that the loss is almost nothing are replaced."""
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items() if not key.endswith(FIXED)}
    model.load_state_dict({key: fb.from_numpy(value) for key, value in seeded_state(shapes).items()}, strict=False)
    return model


def _random_head(model):
    """The head of a ViT starts at zero; a contract wants outputs that differ."""
    nn.init.normal_(model.heads.head.weight)
    return model


test_contract = run(CASES)


def test_vgg_and_alexnet_have_their_shapes():
    for make in (lambda: vgg.VGG(vgg.make_layers((1, 1, 1, 1, 1)), 3), lambda: models.alexnet(num_classes=3)):
        with fb.device("meta"):
            assert make()(fb.empty(2, 3, 64, 64)).shape == (2, 3)


def test_every_registered_name_is_public_and_has_its_class():
    for family in FAMILIES:
        for name in (*family.classes, *family.builders):
            assert getattr(models, name).__module__ == family.module
            assert name in dir(models)
    assert set(builders()) <= set(list_models())
    assert list_models("resnet1*") == ["resnet101", "resnet152", "resnet18"]
    with pytest.raises(AttributeError, match="resnet19"):
        models.resnet19  # noqa: B018


def test_stochastic_depth_and_zero_initialisation():
    from flambeau_vision.ops import stochastic_depth

    fb.manual_seed(0)
    x = fb.ones(1000, 2)
    rows = stochastic_depth(x, 0.25, "row").numpy()
    assert set(np.unique(rows)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (rows[:, 0] == rows[:, 1]).all()
    assert 650 < (rows[:, 0] > 0).sum() < 850
    assert len(np.unique(stochastic_depth(x, 0.5, "batch").numpy())) == 1
    assert not stochastic_depth(x, 1.0, "row").numpy().any()
    assert stochastic_depth(x, 0.5, "row", training=False) is x
    for p, mode in ((1.5, "row"), (0.5, "column")):
        with pytest.raises(ArgumentError):
            stochastic_depth(x, p, mode)
    model = resnet.ResNet(resnet.BasicBlock, (1, 1, 1, 1), zero_init_residual=True)
    assert not model.layer1[0].bn2.weight.detach().numpy().any()


def test_dilation_keeps_the_resolution():
    model = resnet.ResNet(resnet.Bottleneck, (1, 1, 2, 2), num_classes=2, replace_stride_with_dilation=(False, True, True))
    features = model.layer4(model.layer3(model.layer2(model.layer1(fb.zeros(1, 64, 16, 16)))))
    assert features.shape == (1, 2048, 8, 8)
    assert [block.conv2.dilation for block in model.layer4] == [(2, 2), (4, 4)]


def test_weights_by_name():
    weights = get_model_weights("resnet50")
    assert weights.DEFAULT is weights.IMAGENET1K_V2
    assert weights is models.ResNet50_Weights
    assert get_model_weights(models.resnet50) is weights
    assert get_weight("ResNet50_Weights.IMAGENET1K_V1") is weights.IMAGENET1K_V1
    assert find_weights(weights, "DEFAULT") is find_weights(weights, weights.IMAGENET1K_V2) is weights.DEFAULT
    assert find_weights(weights, None) is None
    assert repr(weights.DEFAULT) == "ResNet50_Weights.IMAGENET1K_V2"
    assert pickle.loads(pickle.dumps(weights_enum("ResNet18_Weights").IMAGENET1K_V1)).url.endswith("resnet18-f37072fd.pth")
    with pytest.raises(ArgumentError, match="one of ResNet50_Weights: IMAGENET1K_V1, IMAGENET1K_V2, DEFAULT, got 'IMAGENET1K_V3'"):
        models.resnet50(weights="IMAGENET1K_V3")
    with pytest.raises(ArgumentError, match="got ResNet18_Weights.IMAGENET1K_V1"):
        models.resnet50(weights=models.ResNet18_Weights.DEFAULT)
    with pytest.raises(ArgumentError, match="expected num_classes=1000, which they were trained for, got 5"):
        models.resnet18(weights="DEFAULT", num_classes=5)
    with pytest.raises(NameNotFound, match="a model with pretrained weights"):
        get_model_weights("nothing")
    with pytest.raises(NameNotFound, match="Did you mean 'ResNet50_Weights'"):
        get_weight("Resnet50_Weights.DEFAULT")


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_facts_about_weights(name):
    for member in get_model_weights(name):
        assert isinstance(member.value, Weights)
        assert member.value.sha256 == member.url.rpartition("-")[2].removesuffix(".pth")
        assert member.url.startswith("https://") and member.meta["licence"] in ("BSD-3-Clause", "CC-BY-NC-4.0")
        assert len(member.meta.get("categories", range(1000))) in (1000, 91, 21)
        assert all(0 < value < 100 for values in member.meta["metrics"].values() for value in values.values())
    assert (len(categories("coco")), len(categories("voc"))) == (91, 21)


def test_weights_from_a_file(tmp_path):
    model = models.mobilenet_v3_small(num_classes=3, width_mult=0.2)
    path = tmp_path / "net.safetensors"
    fb.save(model.state_dict(), path)
    for place in (path, str(path)):
        copy = models.mobilenet_v3_small(weights=place, num_classes=3, width_mult=0.2)
        assert not copy.training
        assert bool((copy.classifier[0].weight == model.classifier[0].weight).all())
    fb.save({"state_dict": model.state_dict()}, path)
    models.mobilenet_v3_small(weights=path, num_classes=3, width_mult=0.2)
    fb.save([1, 2], path)
    with pytest.raises(FileFormatError, match=r"net.safetensors: expected a state dict"):
        models.mobilenet_v3_small(weights=path)


def test_downloaded_weights(tmp_path, monkeypatch):
    """The whole way from a name to a loaded model, with a local file in place of the address."""
    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path / "home"))
    model = models.mobilenet_v3_small()
    path = tmp_path / "mobilenet.safetensors"
    fb.save(model.state_dict(), path)
    member = models.MobileNet_V3_Small_Weights.DEFAULT
    local = Weights(path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest()[:8], meta=member.meta)
    monkeypatch.setattr(type(member), "get_state_dict", lambda self, progress=True: fb.load(local.path()))
    loaded = models.mobilenet_v3_small(weights="DEFAULT")
    assert not loaded.training
    for key, value in model.state_dict().items():
        assert bool((loaded.state_dict()[key] == value).all())


def test_old_names_of_a_densenet():
    model = densenet.DenseNet(4, (2, 2), 8, **TINY)
    old = {key.replace("norm1", "norm.1").replace("conv2", "conv.2"): value for key, value in model.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    other = load_into(densenet.DenseNet(4, (2, 2), 8, **TINY), old)
    assert bool((other.features.denseblock1.denselayer1.norm1.weight == model.features.denseblock1.denselayer1.norm1.weight).all())


def test_old_names_of_a_vit():
    model = vision_transformer.VisionTransformer(32, 8, 1, 2, 8, 16, num_classes=3)
    old = {key.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"): value for key, value in model.state_dict().items()}
    vision_transformer.VisionTransformer(32, 8, 1, 2, 8, 16, num_classes=3).load_state_dict(old)


def test_errors():
    with pytest.raises(ShapeError, match=r"expected images of 32 x 32, got shape \(1, 3, 40, 32\)"):
        vision_transformer.VisionTransformer(32, 8, 1, 2, 8, 16)(fb.zeros(1, 3, 40, 32))
    for wrong in (
        lambda: vision_transformer.VisionTransformer(30, 8, 1, 2, 8, 16),
        lambda: resnet.BasicBlock(8, 8, groups=2),
        lambda: resnet.ResNet(resnet.BasicBlock, (1, 1, 1, 1), replace_stride_with_dilation=(True,)),
        lambda: models.mobilenet_v2(inverted_residual_setting=[]),
        lambda: mobilenetv3.MobileNetV3([], 8),
        lambda: efficientnet.EfficientNet([], 0.1),
        lambda: convnext.ConvNeXt([]),
        lambda: swin_transformer.ShiftedWindowAttention(8, (3,), (1, 1), 2),
    ):
        with pytest.raises(ArgumentError):
            wrong()
