"""Generative models: contracts, identities of diffusion, the gradient penalty, and that each learns something small."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn, optim
from flambeau.base.errors import ArgumentError
from flambeau.testing import ModelCase, floats, run, sample
from flambeau_vision.models.dcgan import DCGANDiscriminator, DCGANGenerator
from flambeau_vision.models.ddpm import Diffusion, DiffusionUNet, cosine_betas, linear_betas, time_embedding
from flambeau_vision.models.vae import VAE, vae_loss
from flambeau_vision.train import GANTrainer, gradient_penalty

KINKS = {"gradient": "finite differences cross the kinks of ReLU"}


class Noisy(nn.Module):
    """A diffusion model at two fixed times, as a contract wants tensors of floats."""

    def __init__(self):
        super().__init__()
        self.net = DiffusionUNet(1, (4, 8))
        nn.init.normal_(self.net.out[-1].weight, std=0.3)

    def forward(self, x):
        return self.net(x, fb.full((x.shape[0],), 3, device=x.device).to(fb.int64))


test_contract = run(
    [
        ModelCase("generator", lambda: DCGANGenerator(6, 1, 16, 4), [sample(floats(2, 6))], shapes=[(2, 1, 16, 16)], skip=KINKS),
        ModelCase("discriminator", lambda: DCGANDiscriminator(1, 16, 4), [sample(floats(2, 1, 16, 16))], shapes=[(2,)], skip=KINKS),
        ModelCase("critic", lambda: DCGANDiscriminator(1, 16, 4, norm="instance"), [sample(floats(2, 1, 16, 16))], skip=KINKS),
        ModelCase("vae", lambda: VAE(1, 8, 3, 4), [sample(floats(2, 1, 8, 8))], shapes=[(2, 1, 8, 8)]),
        ModelCase(
            "diffusion",
            Noisy,
            [sample(floats(2, 1, 8, 8))],
            shapes=[(2, 1, 8, 8)],
            skip={"precision": "the embedding of times is float32", "gradient": "the embedding of times is float32"},
        ),
    ]
)


def test_the_gradient_penalty_and_its_gradient():
    """For a linear critic w.x the penalty is (|w| - 1)^2, and its gradient 2 (|w| - 1) w / |w|."""
    w = fb.tensor([3.0, 0.0, 4.0], requires_grad=True)
    real, fake = fb.rand(5, 3), fb.rand(5, 3)
    penalty = gradient_penalty(lambda x: x @ w, real, fake)
    assert float(penalty) == pytest.approx(16.0, rel=1e-5)
    penalty.backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * 4 * np.array([3, 0, 4]) / 5, rtol=1e-4)


def test_noise_and_its_inverse():
    diffusion = Diffusion(linear_betas(50))
    images, noise = fb.randn(6, 1, 4, 4), fb.randn(6, 1, 4, 4)
    t = fb.tensor([0, 5, 10, 20, 40, 49])
    noisy = diffusion.noisy(images, t, noise)
    kept = np.cumprod(1 - diffusion.betas)[t.numpy()].reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(noisy.numpy(), np.sqrt(kept) * images.numpy() + np.sqrt(1 - kept) * noise.numpy(), rtol=1e-5, atol=1e-6)
    assert diffusion.kept[-1] < 0.01  # almost nothing of the image is left at the end
    for betas in (linear_betas(20), cosine_betas(20)):
        assert ((betas > 0) & (betas < 1)).all()


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_perfect_model_leads_back_to_the_image(eta):
    """With the noise that leads to one known image, both ways back end at that image."""
    diffusion, target = Diffusion(cosine_betas(40)), fb.randn(2, 1, 4, 4)

    def oracle(x, t):
        kept = float(diffusion.kept[int(t[0])])
        return (x - kept**0.5 * target) / (1 - kept) ** 0.5

    for way in (diffusion.ddpm(oracle, fb.randn(2, 1, 4, 4)), diffusion.ddim(oracle, fb.randn(2, 1, 4, 4), steps=10, eta=eta)):
        *_, last = way
        np.testing.assert_allclose(last.numpy(), target.numpy(), atol=2e-3)
    with pytest.raises(ArgumentError):
        next(diffusion.ddim(oracle, fb.randn(1), steps=41))


def test_time_embedding():
    values = time_embedding(fb.tensor([0, 7]), 8).numpy()
    np.testing.assert_allclose(values[0], [0, 0, 0, 0, 1, 1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(values[1, :4], np.sin(7 / 10000 ** (np.arange(4) / 4)), rtol=1e-4, atol=1e-5)


def test_the_bound_of_a_vae():
    logits, images, mean, log_var = (fb.randn(3, 1, 4, 4), fb.rand(3, 1, 4, 4), fb.randn(3, 2), fb.randn(3, 2))
    total, reconstruction, prior = vae_loss(logits, images, mean, log_var, beta=2.0)
    p = 1 / (1 + np.exp(-logits.numpy().astype(float)))
    expected = -(images.numpy() * np.log(p) + (1 - images.numpy()) * np.log(1 - p)).sum() / 3
    assert float(reconstruction) == pytest.approx(expected, rel=1e-5)
    normal, standard = fb.distributions.Normal(mean, (0.5 * log_var).exp()), fb.distributions.Normal(0.0, 1.0)
    assert float(prior) == pytest.approx(float(fb.distributions.kl_divergence(normal, standard).sum()) / 3, rel=1e-5)
    assert float(total) == pytest.approx(float(reconstruction) + 2 * float(prior), rel=1e-6)
    assert VAE(1, 8, 3, 4).sample(2).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("loss", ["bce", "wgan-gp"])
@pytest.mark.parametrize("classes", [None, 2])
def test_a_gan_learns_a_brightness(loss, classes):
    """Real images are bright (or dark, by class); so are the generated ones after a little training."""
    fb.manual_seed(0)
    generator = DCGANGenerator(4, 1, 8, 8, classes)
    discriminator = DCGANDiscriminator(1, 8, 8, classes, None if loss == "wgan-gp" else "batch")
    optimizers = [optim.Adam(m.parameters(), lr=5e-3, betas=(0.5, 0.9)) for m in (generator, discriminator)]
    trainer = GANTrainer(generator, discriminator, *optimizers, loss=loss, critic_steps=2 if loss == "wgan-gp" else 1)
    for i in range(60 if classes is None else 8):
        labels = fb.arange(16) % 2
        level = 0.5 if classes is None else (labels * 1.2 - 0.6).reshape(-1, 1, 1, 1)
        images = fb.zeros(16, 1, 8, 8) + level + 0.05 * fb.randn(16, 1, 8, 8)
        losses = trainer.step(images, *([] if classes is None else [labels]))
        assert ("g" in losses) == (loss == "bce" or i % 2 == 1)
    with fb.no_grad():
        if classes is None:
            assert float(generator(fb.randn(32, 4)).mean()) > 0.2
        else:
            dark, bright = (generator(fb.ones(1, 4), fb.full((1,), k)) for k in (0, 1))
            assert not bool((dark == bright).all())  # that it draws what it is asked for is shown by the recipe digits-gan
    state = trainer.state_dict()
    other = GANTrainer(DCGANGenerator(4, 1, 8, 8, classes), discriminator, *optimizers, loss=loss)
    other.load_state_dict(state)
    assert other.batches == trainer.batches


def test_a_diffusion_model_learns():
    fb.manual_seed(0)
    model, diffusion = DiffusionUNet(1, (8, 8)), Diffusion(cosine_betas(20))
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    images = fb.ones(16, 1, 4, 4) * 0.7
    losses = []
    for _ in range(60):
        loss = diffusion.loss(model, images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert np.mean(losses[-10:]) < 0.4 * np.mean(losses[:5])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: DCGANGenerator(image_size=12),
        lambda: DCGANDiscriminator(norm="layer"),
        lambda: DCGANGenerator(4, image_size=8)(fb.zeros(1, 4), fb.zeros(1)),
        lambda: DCGANDiscriminator(image_size=8, num_classes=2)(fb.zeros(1, 1, 8, 8)),
        lambda: VAE(image_size=6),
        lambda: Diffusion(np.array([1.5])),
        lambda: GANTrainer(None, None, None, None, "hinge"),
        lambda: GANTrainer(None, None, None, None, critic_steps=0),
        lambda: DiffusionUNet(1, (8,), num_classes=2)(fb.zeros(1, 1, 4, 4), fb.zeros(1)),
    ],
)
def test_wrong_arguments(wrong):
    with pytest.raises(ArgumentError):
        wrong()
