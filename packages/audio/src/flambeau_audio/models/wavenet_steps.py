"""One sample at a time from a WaveNet: queues of the layers' inputs, and the compiled step that moves them on."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.nn import functional as F

BLOCK = 256  # steps for which random numbers are drawn at once


class _Step:
    """The state of a batch of waveforms, changed in place: queues, the sample before, the place in time, and all samples."""

    def __init__(self, model: Any, count: int, length: int, c: Any, g: Any, temperature: float) -> None:
        weight = model.first_conv.weight
        self.model, self.c, self.g, self.temperature = model, c, g, temperature
        self.queues = [weight.new_zeros(count, weight.shape[1], layer.past) for layer in model.conv_layers]
        whole = {"dtype": flambeau.int64, "device": weight.device}
        self.time = flambeau.zeros(1, **whole)
        self.sample = flambeau.full((count,), model.classes // 2, **whole)
        self.out = flambeau.zeros(count, length, **whole)

    def __call__(self, noise: Any) -> Any:
        """Make one sample; `noise` (N, classes) is added to its scores."""
        x = self.model.first_conv(self.sample)[:, :, None]
        c = None if self.c is None else self.c.index_select(2, self.time)
        total: Any = 0.0
        for layer, queue in zip(self.model.conv_layers, self.queues, strict=True):
            oldest = self.time.remainder(layer.past)
            taps = flambeau.cat([oldest + j for j in range(0, layer.past, layer.dilation)]).remainder(layer.past)
            seen = flambeau.cat([queue.index_select(2, taps), x], 2)  # N R kernel
            queue.index_copy_(2, oldest, x)
            x, skip = layer.gated(x, F.conv1d(seen, layer.conv.weight, layer.conv.bias), c, self.g)
            total = total + skip
        scores = self.model.scores(total)[:, :, 0]
        if self.temperature:
            scores = scores / self.temperature + noise
        self.sample.copy_(scores.argmax(1))
        self.out.index_copy_(1, self.time, self.sample[:, None])
        self.time.add_(1)
        return self.sample


def generate(model: Any, length: int, c: Any, g: Any, count: int, temperature: float, generator: Any) -> Any:
    """(count, length) classes, drawn in proportion to exp(scores / temperature) by Gumbel's trick."""
    state = _Step(model, count, length, c, g, temperature)
    step = flambeau.compile(state.__call__)
    for start in range(0, length, BLOCK):
        steps = min(BLOCK, length - start)
        shape = (steps, count, model.classes)
        uniform = flambeau.rand(*shape, generator=generator, device=state.time.device).clamp(1e-20, 1 - 1e-7)
        noise = -(-uniform.log()).log() if temperature else uniform
        for i in range(steps):
            step(noise[i])
    return state.out
