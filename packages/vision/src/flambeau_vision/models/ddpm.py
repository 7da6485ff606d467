"""Diffusion: DDPM (Ho et al. 2020, https://arxiv.org/abs/2006.11239), sampled as there or by DDIM (https://arxiv.org/abs/2010.02502)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F


def time_embedding(t: Any, width: int) -> Any:
    """Sines and cosines of times (N,): (N, width)."""
    frequencies = flambeau.exp(-math.log(10000.0) * flambeau.arange(width // 2, device=t.device) / (width // 2))
    angles = t.to(flambeau.float32)[:, None] * frequencies
    return flambeau.cat([angles.sin(), angles.cos()], 1)


class ResBlock(nn.Module):
    """Two convolutions with a shortcut; the time shifts what is between them."""

    def __init__(self, inputs: int, outputs: int, time_width: int, groups: int = 8) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(min(groups, inputs), inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time_width, outputs)
        self.norm2 = nn.GroupNorm(min(groups, outputs), outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Any, time: Any) -> Any:
        h = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(time))[:, :, None, None]
        return self.conv2(F.silu(self.norm2(h))) + self.shortcut(x)


class DiffusionUNet(nn.Module):
    """Noisy images (N, channels, H, W), times (N,), and classes where `num_classes` is given, to the noise in them.

    Args:
        channels: of the images.
        widths: channels at each resolution, finest first; the sides are multiples of 2 ** (len(widths) - 1).
        num_classes: K, where the noise depends on a class.
    """

    def __init__(self, channels: int = 1, widths: Sequence[int] = (32, 64), num_classes: int | None = None) -> None:
        super().__init__()
        first, time_width = widths[0], 4 * widths[0]
        self.first, self.num_classes = first, num_classes
        self.time = nn.Sequential(nn.Linear(first, time_width), nn.SiLU(), nn.Linear(time_width, time_width))
        self.embed = None if num_classes is None else nn.Embedding(num_classes, time_width)
        self.stem = nn.Conv2d(channels, first, 3, padding=1)
        self.down = nn.ModuleList([ResBlock(a, b, time_width) for a, b in zip((first, *widths), widths, strict=False)])
        self.shrink = nn.ModuleList([nn.Conv2d(w, w, 3, stride=2, padding=1) for w in widths[:-1]])
        self.middle = ResBlock(widths[-1], widths[-1], time_width)
        pairs = list(zip(widths[::-1], (*widths[-2::-1], first), strict=True))
        self.up = nn.ModuleList([ResBlock(2 * a, b, time_width) for a, b in pairs])
        self.out = nn.Sequential(nn.GroupNorm(min(8, first), first), nn.SiLU(), nn.Conv2d(first, channels, 3, padding=1))
        nn.init.zeros_(self.out[-1].weight)

    def forward(self, x: Any, t: Any, labels: Any = None) -> Any:
        if (labels is None) != (self.embed is None):
            expected = "classes" if self.embed is not None else "no classes"
            raise ArgumentError(explain("DiffusionUNet", expected=expected, got="none" if labels is None else "some"))
        time = self.time(time_embedding(t, self.first))
        time = time if self.embed is None else time + self.embed(labels)
        x = self.stem(x)
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else self.shrink[i - 1](x), time)
            skips.append(x)
        x = self.middle(x, time)
        for i, block in enumerate(self.up):
            x = block(flambeau.cat([x, skips[-1 - i]], 1), time)
            if i < len(self.up) - 1:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
        return self.out(x)


def linear_betas(steps: int, low: float = 1e-4, high: float = 0.02) -> np.ndarray:
    """Ho et al.'s schedule; for other than 1,000 steps, scaled so that as much noise is added in all."""
    return np.clip(np.linspace(low, high, steps) * (1000 / steps), 0, 0.999)


def cosine_betas(steps: int, offset: float = 0.008) -> np.ndarray:
    """Nichol and Dhariwal's schedule (https://arxiv.org/abs/2102.09672)."""
    place = (np.arange(steps + 1) / steps + offset) / (1 + offset)
    kept = np.cos(place * np.pi / 2) ** 2
    return np.clip(1 - kept[1:] / kept[:-1], 0, 0.999)


class Diffusion:
    """The noising of images, its loss, and two ways back; a model is called as `model(noisy, times)`.

    Args:
        betas: the variance that each step adds, (T,).
        clip: what the values of images are known not to exceed; on the way back, guesses of the image are cut there. None for no bound.
    """

    def __init__(self, betas: np.ndarray, clip: float | None = None) -> None:
        if betas.ndim != 1 or not ((betas >= 0) & (betas < 1)).all() or not len(betas):
            raise ArgumentError(explain("Diffusion", expected="betas (T,) from 0 to below 1", got=repr(betas)))
        self.betas = betas.astype(np.float64)
        self.kept = np.cumprod(1 - self.betas)  # how much of the image's variance is left
        self.steps, self.clip = len(betas), clip

    def _at(self, values: np.ndarray, t: Any, x: Any) -> Any:
        chosen = values[t.detach().cpu().numpy()].astype(np.float32)
        return flambeau.from_numpy(chosen.reshape(-1, *[1] * (x.ndim - 1))).to(x.device)

    def noisy(self, images: Any, t: Any, noise: Any) -> Any:
        """Images after t + 1 steps, t (N,) from 0."""
        return self._at(np.sqrt(self.kept), t, images) * images + self._at(np.sqrt(1 - self.kept), t, images) * noise

    def loss(self, model: Callable[..., Any], images: Any, *conditions: Any) -> Any:
        """The mean squared error of the noise that the model sees, at random times."""
        t = flambeau.randint(0, self.steps, (images.shape[0],)).to(images.device)
        noise = flambeau.randn_like(images)
        return F.mse_loss(model(self.noisy(images, t, noise), t, *conditions), noise)

    def ddpm(self, model: Callable[..., Any], x: Any, *conditions: Any) -> Iterator[Any]:
        """From noise x back to images in T random steps; gives each state, the last one is the result."""
        for t in reversed(range(self.steps)):
            image, _ = self._guess(model, x, t, conditions)
            before, beta, gone = self.kept[t - 1] if t else 1.0, self.betas[t], 1 - self.kept[t]
            mean = math.sqrt(before) * beta / gone * image + math.sqrt(1 - beta) * (1 - before) / gone * x
            variance = beta * (1 - before) / gone
            x = mean + math.sqrt(variance) * flambeau.randn_like(x) if t else mean
            yield x

    def ddim(self, model: Callable[..., Any], x: Any, *conditions: Any, steps: int = 50, eta: float = 0.0) -> Iterator[Any]:
        """From noise x back to images in fewer steps; without chance for eta=0, and like DDPM's for eta=1 and all steps."""
        if not 1 <= steps <= self.steps:
            raise ArgumentError(explain("ddim", expected=f"1 to {self.steps} steps", got=repr(steps)))
        times = np.linspace(0, self.steps - 1, steps).round().astype(int)[::-1].tolist()
        for t, before in zip(times, [*times[1:], -1], strict=True):
            image, eps = self._guess(model, x, t, conditions)
            kept, kept_before = self.kept[t], self.kept[before] if before >= 0 else 1.0
            sigma = eta * math.sqrt((1 - kept_before) / (1 - kept) * (1 - kept / kept_before))
            x = math.sqrt(kept_before) * image + math.sqrt(max(1 - kept_before - sigma**2, 0.0)) * eps
            x = x + sigma * flambeau.randn_like(x) if sigma else x
            yield x

    def _guess(self, model: Callable[..., Any], x: Any, t: int, conditions: tuple[Any, ...]) -> tuple[Any, Any]:
        """The image and the noise that the model sees in x."""
        with flambeau.no_grad():
            eps = model(x, flambeau.full((x.shape[0],), t, dtype=flambeau.int64, device=x.device), *conditions)
        near, far = math.sqrt(self.kept[t]), math.sqrt(1 - self.kept[t])
        image = (x - far * eps) / near
        if self.clip is not None:
            image = image.clamp(-self.clip, self.clip)
            eps = (x - near * image) / far
        return image, eps
