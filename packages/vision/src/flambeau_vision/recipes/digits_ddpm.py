"""`flambeau fit digits-ddpm`: a small diffusion model learns to draw the digit that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import flambeau
from flambeau import optim
from flambeau.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from flambeau.train import Recipe, RunContext
from flambeau_vision.models.ddpm import Diffusion, DiffusionUNet, cosine_betas
from flambeau_vision.recipes.digit_samples import Digits, Judge, each_digit, picture, save_digits
from flambeau_vision.recipes.epochs import run_epochs
from flambeau_vision.utils import save_gif


@dataclass(frozen=True)
class Config:
    """The options of the recipe."""

    epochs: Annotated[int, "how often each image is seen"] = 60
    batch_size: Annotated[int, "images an update"] = 64
    lr: Annotated[float, "step size of Adam"] = 2e-3
    width: Annotated[int, "channels at full resolution"] = 24
    noise_steps: Annotated[int, "steps from an image to noise"] = 200
    ema: Annotated[float, "how slowly the averaged weights follow"] = 0.99
    sampler: Annotated[str, "ddim or ddpm"] = "ddim"
    sample_steps: Annotated[int, "steps back, for ddim"] = 25
    samples: Annotated[int, "drawings of each digit that are judged"] = 30


def run(config: Config, context: RunContext) -> dict[str, float]:
    """Train, draw with the averaged weights, judge."""
    digits, judge, diffusion = Digits(context.device), Judge(), Diffusion(cosine_betas(config.noise_steps), clip=1.0)
    model = DiffusionUNet(1, (config.width, 2 * config.width), num_classes=10).to(context.device)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema))
    optimizer = optim.Adam(model.parameters(), lr=config.lr)

    def one_epoch(epoch: int) -> dict[str, float]:
        losses = []
        for images, labels in digits.batches(config.batch_size):
            loss = diffusion.loss(model, images * 2 - 1, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update_parameters(model)
            losses.append(float(loss.detach()))
        return {"loss": sum(losses) / len(losses)}

    run_epochs(context, config.epochs, one_epoch, {"model": model, "average": average, "optimizer": optimizer})
    flambeau.save(average.module.state_dict(), context.out / "model.safetensors")
    wanted = each_digit(10, context.device)
    states = list(draw(config, diffusion, average.module, wanted))
    save_digits(context, "samples.png", states[-1])
    step = max(1, len(states) // 25)
    save_gif([picture(state) for state in [*states[::step], *[states[-1]] * 10]], context.out / "denoising.gif", duration=120)
    many = each_digit(config.samples, context.device)
    *_, images = draw(config, diffusion, average.module, many)
    return judge(images, many)


def draw(config: Config, diffusion: Diffusion, model: Any, labels: Any) -> Any:
    """From noise to images 0..1, state by state."""
    noise = flambeau.randn(len(labels), 1, 8, 8, device=labels.device)
    back = diffusion.ddpm(model, noise, labels) if config.sampler == "ddpm" else None
    for state in back or diffusion.ddim(model, noise, labels, steps=config.sample_steps):
        yield ((state + 1) / 2).clamp(0, 1)


recipe = Recipe(
    "digits-ddpm",
    Config,
    run,
    "A diffusion model learns to draw digits.",
    threads=1,
    next_steps=["look at samples.png and denoising.gif, in the run's directory", "flambeau fit digits-ddpm --set sampler=ddpm"],
)
