"""`flambeau fit digits-gan`: a conditional Wasserstein GAN learns to draw the digit that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import flambeau
from flambeau import optim
from flambeau.train import Recipe, RunContext
from flambeau_vision.models.dcgan import DCGANDiscriminator, DCGANGenerator
from flambeau_vision.recipes.digit_samples import Digits, Judge, each_digit, picture, save_digits
from flambeau_vision.recipes.epochs import run_epochs
from flambeau_vision.train import GANTrainer
from flambeau_vision.utils import save_gif


@dataclass(frozen=True)
class Config:
    """The options of the recipe."""

    epochs: Annotated[int, "how often each image is seen"] = 60
    batch_size: Annotated[int, "images an update"] = 64
    lr: Annotated[float, "step size of both optimizers"] = 1e-3
    loss: Annotated[str, "wgan-gp or bce"] = "wgan-gp"
    penalty: Annotated[float, "weight of the gradient penalty"] = 10.0
    critic_steps: Annotated[int, "updates of the critic for one of the generator"] = 2
    width: Annotated[int, "channels of the first convolutions"] = 48
    latent_dim: Annotated[int, "numbers that an image is drawn from"] = 32
    samples: Annotated[int, "drawings of each digit that are judged"] = 50


def run(config: Config, context: RunContext) -> dict[str, float]:
    """Train, draw, judge."""
    digits, judge = Digits(context.device), Judge()
    generator = DCGANGenerator(config.latent_dim, 1, 8, config.width, 10).to(context.device)
    norm = "batch" if config.loss == "bce" else None
    critic = DCGANDiscriminator(1, 8, config.width, 10, norm).to(context.device)
    for_g, for_d = (optim.Adam(model.parameters(), lr=config.lr, betas=(0.5, 0.9)) for model in (generator, critic))
    trainer = GANTrainer(generator, critic, for_g, for_d, config.loss, config.penalty, config.critic_steps)
    noise, wanted = flambeau.randn(100, config.latent_dim, device=context.device), each_digit(10, context.device)
    frames: list[Any] = []

    def one_epoch(epoch: int) -> dict[str, float]:
        rows = [trainer.step(images * 2 - 1, labels) for images, labels in digits.batches(config.batch_size)]
        if epoch % max(1, config.epochs // 20) == 0 or epoch == config.epochs - 1:
            frames.append(picture(draw(generator, noise, wanted)))
        means = {name: [row[name] for row in rows if name in row] for name in ("d", "g")}
        return {name: sum(values) / max(len(values), 1) for name, values in means.items()}

    run_epochs(context, config.epochs, one_epoch, {"trainer": trainer})
    save_digits(context, "samples.png", draw(generator, noise, wanted))
    if frames:
        save_gif(frames, context.out / "progress.gif", duration=200)
    flambeau.save(generator.state_dict(), context.out / "generator.safetensors")
    many = each_digit(config.samples, context.device)
    return judge(draw(generator, flambeau.randn(len(many), config.latent_dim, device=context.device), many), many)


def draw(generator: Any, noise: Any, labels: Any) -> Any:
    """Images 0..1, with the statistics of batches: they are what the generator was trained with."""
    with flambeau.no_grad():
        return (generator(noise, labels) + 1) / 2


recipe = Recipe(
    "digits-gan",
    Config,
    run,
    "A conditional GAN learns to draw digits.",
    threads=1,
    next_steps=[
        "look at samples.png and progress.gif, in the run's directory",
        "flambeau fit digits-gan --set loss=bce --out runs/digits-bce",
    ],
)
