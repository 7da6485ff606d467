"""Every architecture beside torchvision's: the same names and shapes; and the same outputs and gradients for the same weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

import flambeau  # noqa: E402
from flambeau_vision import models  # noqa: E402
from flambeau_vision.registry import builders  # noqa: E402
from tests.golden.vision_models import PATH, torchvision_outputs  # noqa: E402
from tests.vision.seeded import MODELS, seeded_images  # noqa: E402

CLASSIFIERS = [name for name in builders() if name in torchvision.models.list_models(module=torchvision.models)]
PLAIN = {"alexnet": {}, "vit_h_14": {"image_size": 28}}


def pair(name, **options):
    """Their model with random weights in every place, and ours with the same."""
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name, weights=None, **options).eval()
    with torch.no_grad():
        for key, value in theirs.state_dict().items():
            if key.endswith("running_var"):
                value.uniform_(0.5, 1.5)
            elif value.dtype.is_floating_point and value.ndim < 2:
                value.add_(0.1 * torch.randn(value.shape))
            elif value.dtype.is_floating_point and not value.any():
                value.normal_(std=0.05)
    ours = models.get_model(name, **options).eval()
    ours.load_state_dict({key: flambeau.from_numpy(value.numpy().copy()) for key, value in theirs.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_names_and_shapes(name):
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None, **PLAIN.get(name, {}))
    with flambeau.device("meta"):
        ours = models.get_model(name, **PLAIN.get(name, {}))
    assert [(key, tuple(value.shape)) for key, value in ours.state_dict().items()] == [
        (key, tuple(value.shape)) for key, value in theirs.state_dict().items()
    ]
    assert [(key, tuple(p.shape)) for key, p in ours.named_parameters()] == [(key, tuple(p.shape)) for key, p in theirs.named_parameters()]


@pytest.mark.parametrize("name", MODELS)
def test_outputs(name):
    options, size = MODELS[name]
    ours, theirs = pair(name, num_classes=10, **options)
    images = seeded_images(2, 3, size, size, seed=1)
    with torch.no_grad(), flambeau.no_grad():
        expected, got = theirs(torch.from_numpy(images)).numpy(), ours(flambeau.from_numpy(images)).numpy()
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(got, expected, atol=1e-4, rtol=1e-4)
    theirs.load_state_dict({key: torch.from_numpy(value.detach().numpy()) for key, value in ours.state_dict().items()})


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "swin_t", "swin_v2_t", "densenet121"]
)
def test_gradients(name):
    options, size = MODELS[name]
    ours, theirs = pair(name, num_classes=5, **options)
    images, weights = seeded_images(2, 3, size, size, seed=2), seeded_images(2, 5, seed=3)
    a, b = torch.from_numpy(images).requires_grad_(), flambeau.from_numpy(images.copy()).requires_grad_()
    (theirs(a) * torch.from_numpy(weights)).sum().backward()
    (ours(b) * flambeau.from_numpy(weights)).sum().backward()
    np.testing.assert_allclose(b.grad.numpy(), a.grad.numpy(), atol=1e-3 * float(a.grad.abs().max()), rtol=1e-3)
    for (key, mine), (_, other) in zip(ours.named_parameters(), theirs.named_parameters()):
        scale = float(other.grad.abs().max()) + 1e-6
        np.testing.assert_allclose(mine.grad.numpy() / scale, other.grad.numpy() / scale, atol=1e-3, err_msg=key)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_training_statistics(name):
    ours, theirs = pair(name, num_classes=5)
    for module in (*ours.modules(), *theirs.modules()):
        if type(module).__name__ == "Dropout":
            module.p = 0.0
    images = seeded_images(4, 3, 32, 32)
    expected, got = theirs.train()(torch.from_numpy(images)), ours.train()(flambeau.from_numpy(images))
    np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), atol=2e-4, rtol=1e-3)
    for key, value in theirs.state_dict().items():
        if "running" in key or key.endswith("tracked"):
            np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), rtol=1e-3, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "vit_b_32", "swin_t"])
def test_the_golden_file_is_torchvision(name):
    with np.load(PATH) as golden:
        np.testing.assert_allclose(torchvision_outputs(name), golden[name], rtol=1e-4, atol=1e-5)


def test_weights_are_those_of_torchvision():
    for name in CLASSIFIERS:
        theirs, ours = torchvision.models.get_model_weights(name), models.get_model_weights(name)
        assert list(ours.__members__) == list(theirs.__members__)
        for tag, member in theirs.__members__.items():
            mine = ours[tag]
            assert (mine.url, mine.meta["num_params"]) == (member.url, member.meta["num_params"])
            if tag != "IMAGENET1K_FEATURES":  # which have no accuracy
                assert mine.meta["metrics"] == member.meta["_metrics"]
            assert list(mine.meta["categories"] if "categories" in mine.meta else ()) == list(member.meta["categories"] or ())


@pytest.mark.parametrize("new", [56, 28])
def test_interpolated_positions(new):
    from torchvision.models.vision_transformer import interpolate_embeddings as their_interpolation

    from flambeau_vision.models.vision_transformer import interpolate_embeddings

    positions = seeded_images(1, 17, 8)
    theirs = their_interpolation(new, 7, {"encoder.pos_embedding": torch.from_numpy(positions), "heads.head.bias": torch.zeros(2)})
    ours = interpolate_embeddings(new, 7, {"encoder.pos_embedding": flambeau.from_numpy(positions), "heads.head.bias": flambeau.zeros(2)})
    np.testing.assert_allclose(ours["encoder.pos_embedding"].numpy(), theirs["encoder.pos_embedding"].numpy(), atol=1e-5)
    assert set(ours) == set(theirs)


def test_a_file_of_pytorch(tmp_path):
    """What torch.save wrote, in both of its formats, loads by path."""
    theirs = torchvision.models.mobilenet_v3_small(num_classes=3).eval()
    for zipped in (True, False):
        torch.save(theirs.state_dict(), tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
        ours = models.mobilenet_v3_small(weights=tmp_path / "net.pth", num_classes=3)
        images = seeded_images(2, 3, 32, 32)
        with torch.no_grad(), flambeau.no_grad():
            expected, got = theirs(torch.from_numpy(images)).numpy(), ours(flambeau.from_numpy(images)).numpy()
        np.testing.assert_allclose(got, expected, atol=1e-4)
