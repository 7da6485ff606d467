"""Networks that several agents use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flambeau import Tensor, nn, no_grad


def tower(size: int, widths: Sequence[int], activation: type[nn.Module], outputs: int | None = None) -> nn.Sequential:
    """A multilayer perceptron: `size` inputs, layers of `widths` units with an activation after each, and `outputs` outputs without.

    >>> [type(layer).__name__ for layer in tower(4, (64,), nn.Tanh, 2)]
    ['Linear', 'Tanh', 'Linear']
    """
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(size, width), activation()]
        size = width
    return nn.Sequential(*layers, *([] if outputs is None else [nn.Linear(size, outputs)]))


@no_grad()
def follow(targets: Iterable[Tensor], weights: Iterable[Tensor], tau: float) -> None:
    """Move target weights towards weights, in place: `target += tau * (weight - target)`; 1 copies."""
    for target, weight in zip(targets, weights, strict=True):
        if tau == 1.0:
            target.copy_(weight)
        else:
            target.lerp_(weight, tau)


def draw_weights(module: nn.Module, generator: object) -> None:
    """Draw the weights of linear and convolutional layers anew from a generator, as PyTorch does it: uniform in 1 / sqrt(inputs)."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            bound = layer.weight[0].numel() ** -0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
