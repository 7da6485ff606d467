"""A Flambeau plugin in one module: a model, a dataset, a recipe and a command."""

from dataclasses import dataclass
from typing import Annotated

import click

import flambeau
from flambeau import nn
from flambeau.plugins import Register, hookimpl
from flambeau.train import Recipe, RunContext


@hookimpl
def flambeau_register(registry: Register) -> None:
    # A name and the place of the object, as text: it is imported when somebody asks for that name.
    registry.model("rings_net", "flambeau_hello:rings_net", summary="Two layers for points in the plane.")
    registry.dataset("rings", "flambeau_hello:rings_data", summary="Points on two rings.")
    registry.recipe("rings", "flambeau_hello:recipe", summary="Tells the rings apart.")
    registry.command("hello", "flambeau_hello:hello", summary="Say hello.")


def rings_net(hidden: int = 32) -> nn.Module:
    """(N, 2) points -> (N, 2) logits."""
    return nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, 2))


def rings_data(size: int = 400) -> flambeau.utils.data.TensorDataset:
    """Pairs of a noisy point (x, y) and its ring: 0 has radius 1, 1 has radius 2."""
    ring, angle = flambeau.arange(size) % 2, 6.2832 * flambeau.rand(size)
    radius = ring + 1 + 0.2 * flambeau.randn(size)
    return flambeau.utils.data.TensorDataset(flambeau.stack([radius * angle.cos(), radius * angle.sin()], dim=1), ring)


@dataclass(frozen=True)
class Config:
    steps: Annotated[int, "how many updates"] = 200


def run(config: Config, context: RunContext) -> dict[str, float]:
    flambeau.manual_seed(context.seed)
    net = rings_net().to(context.device)
    train, test = ([part.to(context.device) for part in rings_data().tensors] for _ in range(2))
    optimizer = flambeau.optim.Adam(net.parameters(), lr=0.02)
    for step in range(config.steps):
        loss = nn.functional.cross_entropy(net(train[0]), train[1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        context.report(step + 1, config.steps, loss=loss.item())
    return {"accuracy": (net(test[0]).argmax(dim=1) == test[1]).float().mean().item()}


recipe = Recipe("rings", Config, run, "Tells two rings of points apart.")


@click.command()
def hello() -> None:
    click.echo("Hello from a plugin.")
