"""`flambeau fit digits-vae`: a variational autoencoder learns codes of digits, and draws new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

import flambeau
from flambeau import optim
from flambeau.train import Recipe, RunContext
from flambeau_vision.datasets import OpticalDigits
from flambeau_vision.metrics import psnr
from flambeau_vision.models.vae import VAE, vae_loss
from flambeau_vision.recipes.digit_samples import Digits, Judge, picture, save_digits
from flambeau_vision.recipes.epochs import run_epochs
from flambeau_vision.utils import save_gif


@dataclass(frozen=True)
class Config:
    """The options of the recipe."""

    epochs: Annotated[int, "how often each image is seen"] = 60
    batch_size: Annotated[int, "images an update"] = 64
    lr: Annotated[float, "step size of Adam"] = 2e-3
    beta: Annotated[float, "weight of the prior"] = 0.5
    latent_dim: Annotated[int, "numbers in a code"] = 12
    width: Annotated[int, "channels of the first convolution"] = 24
    samples: Annotated[int, "drawings that are judged"] = 500


def run(config: Config, context: RunContext) -> dict[str, float]:
    """Train; then reconstruct the test digits, draw, and go from one digit to another."""
    digits, judge = Digits(context.device), Judge()
    model = VAE(1, 8, config.latent_dim, config.width).to(context.device)
    optimizer = optim.Adam(model.parameters(), lr=config.lr)

    def one_epoch(epoch: int) -> dict[str, float]:
        model.train()
        rows = []
        for images, _ in digits.batches(config.batch_size):
            losses = vae_loss(*_reordered(model(images), images), beta=config.beta)
            optimizer.zero_grad()
            losses[0].backward()
            optimizer.step()
            rows.append([float(loss.detach()) for loss in losses])
        return dict(zip(("loss", "reconstruction", "prior"), np.mean(rows, axis=0).tolist(), strict=True))

    run_epochs(context, config.epochs, one_epoch, {"model": model, "optimizer": optimizer})
    flambeau.save(model.state_dict(), context.out / "model.safetensors")
    return _results(config, context, model.eval(), judge)


def _reordered(outputs: Any, images: Any) -> tuple[Any, Any, Any, Any]:
    logits, mean, log_var = outputs
    return logits, images, mean, log_var


@flambeau.no_grad()
def _results(config: Config, context: RunContext, model: Any, judge: Judge) -> dict[str, float]:
    test = OpticalDigits("test")
    images = flambeau.from_numpy(test.images[:, None].astype(np.float32) / 16).to(context.device)
    logits, mean, log_var = model(images)
    _, reconstruction, prior = vae_loss(logits, images, mean, log_var)
    rows = [part for start in range(0, 50, 10) for part in (images[start : start + 10], logits[start : start + 10].sigmoid())]
    save_digits(context, "reconstructions.png", flambeau.cat(rows))
    save_digits(context, "samples.png", model.sample(100))
    shares = flambeau.linspace(0, 1, 24, device=context.device).reshape(-1, 1, 1)
    path = mean[:10] * (1 - shares) + mean[10:20] * shares
    save_gif([picture(model.decode(codes).sigmoid()) for codes in path], context.out / "morph.gif", duration=80)
    return {
        "test_reconstruction": float(reconstruction),
        "test_prior": float(prior),
        "psnr": psnr(logits.sigmoid(), images),
        **judge(model.sample(config.samples)),
    }


recipe = Recipe(
    "digits-vae",
    Config,
    run,
    "A variational autoencoder learns codes of digits.",
    threads=1,
    next_steps=["look at reconstructions.png, samples.png and morph.gif, in the run's directory", "flambeau fit digits-vae --set beta=2"],
)
