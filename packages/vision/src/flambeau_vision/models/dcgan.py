"""DCGAN (Radford et al. 2015, https://arxiv.org/abs/1511.06434), and with classes a conditional GAN (https://arxiv.org/abs/1411.1784)."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain


def _steps(name: str, image_size: int) -> int:
    steps = image_size.bit_length() - 3
    if image_size < 8 or image_size & (image_size - 1):
        raise ArgumentError(explain(name, expected="an image_size that is a power of two from 8 on", got=repr(image_size)))
    return steps


def initialise(model: nn.Module) -> None:
    """The paper's initial values: normal with standard deviation 0.02."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)


class DCGANGenerator(nn.Module):
    """Noise (N, latent_dim), and classes (N,) where `num_classes` is given, to images (N, channels, image_size, image_size), -1..1.

    >>> DCGANGenerator(image_size=16, width=4, num_classes=10)(flambeau.randn(2, 64), flambeau.tensor([3, 4])).shape
    flambeau.Size([2, 1, 16, 16])
    """

    def __init__(
        self, latent_dim: int = 64, channels: int = 1, image_size: int = 64, width: int = 64, num_classes: int | None = None
    ) -> None:
        super().__init__()
        steps = _steps("DCGANGenerator", image_size)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.embed = None if num_classes is None else nn.Embedding(num_classes, latent_dim)
        inputs = latent_dim if num_classes is None else 2 * latent_dim
        widths = [width * 2**i for i in reversed(range(steps))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(inputs, widths[0], 4, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        layers += [nn.ConvTranspose2d(widths[-1], channels, 4, stride=2, padding=1), nn.Tanh()]
        self.net = nn.Sequential(*layers)
        initialise(self)

    def forward(self, z: Any, labels: Any = None) -> Any:
        if (labels is None) != (self.embed is None):
            expected = "classes" if self.embed is not None else "no classes"
            raise ArgumentError(explain("DCGANGenerator", expected=expected, got="none" if labels is None else "some"))
        if self.embed is not None:
            z = flambeau.cat([z, self.embed(labels)], 1)
        return self.net(z[:, :, None, None])


class DCGANDiscriminator(nn.Module):
    """Images (N, channels, image_size, image_size), and classes, to one logit each, (N,): how real they look.

    Args:
        channels, image_size: of the images.
        width: channels of the first convolution; each further one has twice as many.
        num_classes: K, where it judges whether an image is a real one *of its class*; the class comes as further channels.
        norm: "batch" as in the paper, "instance" (for WGAN-GP, whose penalty is for each image by itself), or None.
    """

    def __init__(
        self, channels: int = 1, image_size: int = 64, width: int = 64, num_classes: int | None = None, norm: str | None = "batch"
    ) -> None:
        super().__init__()
        steps = _steps("DCGANDiscriminator", image_size)
        if norm not in ("batch", "instance", None):
            raise ArgumentError(explain("DCGANDiscriminator", expected="norm 'batch', 'instance' or None", got=repr(norm)))
        self.image_size, self.num_classes = image_size, num_classes
        self.embed = None if num_classes is None else nn.Embedding(num_classes, image_size * image_size)
        layers: list[nn.Module] = []
        inputs = channels + (num_classes is not None)
        for i in range(steps):
            outputs = width * 2**i
            layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=i == 0 or norm is None))
            if i > 0 and norm is not None:
                layers.append(nn.BatchNorm2d(outputs) if norm == "batch" else nn.InstanceNorm2d(outputs, affine=True))
            layers.append(nn.LeakyReLU(0.2))
            inputs = outputs
        self.net = nn.Sequential(*layers, nn.Conv2d(inputs, 1, 4))
        initialise(self)

    def forward(self, images: Any, labels: Any = None) -> Any:
        if (labels is None) != (self.embed is None):
            expected = "classes" if self.embed is not None else "no classes"
            raise ArgumentError(explain("DCGANDiscriminator", expected=expected, got="none" if labels is None else "some"))
        if self.embed is not None:
            plane = self.embed(labels).reshape(-1, 1, self.image_size, self.image_size)
            images = flambeau.cat([images, plane], 1)
        return self.net(images).reshape(-1)
