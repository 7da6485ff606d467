"""Two generators that undo each other, with instance norm, reflection padding and an LR lambda, in the style of the PyTorch-GAN scripts."""

import itertools

import torch
import torch.nn as nn
import torch.nn.functional as F


def weights_init_normal(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        torch.nn.init.normal_(m.weight.data, 0.0, 0.02)
        if hasattr(m, "bias") and m.bias is not None:
            torch.nn.init.constant_(m.bias.data, 0.0)


class ResidualBlock(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(n, n, 3),
            nn.InstanceNorm2d(n),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(n, n, 3),
            nn.InstanceNorm2d(n),
        )

    def forward(self, x):
        return x + self.block(x)


class GeneratorResNet(nn.Module):
    def __init__(self, channels=2, n=4):
        super().__init__()
        self.model = nn.Sequential(
            nn.ReflectionPad2d(channels),
            nn.Conv2d(channels, n, 2 * channels + 1),
            nn.InstanceNorm2d(n),
            nn.ReLU(inplace=True),
            nn.Conv2d(n, 2 * n, 3, stride=2, padding=1),
            nn.InstanceNorm2d(2 * n),
            nn.ReLU(inplace=True),
            ResidualBlock(2 * n),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * n, n, 3, stride=1, padding=1),
            nn.InstanceNorm2d(n),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(channels),
            nn.Conv2d(n, channels, 2 * channels + 1),
            nn.Tanh(),
        )

    def forward(self, x):
        return self.model(x)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(2, 6, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(6, 12, 4, stride=2, padding=1),
            nn.InstanceNorm2d(12),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ZeroPad2d((1, 0, 1, 0)),
            nn.Conv2d(12, 1, 4, padding=1),
        )

    def forward(self, img):
        return self.model(img)


class LambdaLR:
    def __init__(self, n_epochs, decay_start_epoch):
        self.n_epochs, self.decay_start_epoch = n_epochs, decay_start_epoch

    def step(self, epoch):
        return 1.0 - max(0, epoch - self.decay_start_epoch) / (self.n_epochs - self.decay_start_epoch)


torch.set_default_dtype(torch.float64)  # in single precision the last bit of a loss has grown to the fourth digit after 20 steps
torch.manual_seed(0)
criterion_GAN, criterion_cycle, criterion_identity = torch.nn.MSELoss(), torch.nn.L1Loss(), torch.nn.L1Loss()
G_AB, G_BA, D_A, D_B = GeneratorResNet(), GeneratorResNet(), Discriminator(), Discriminator()
for net in (G_AB, G_BA, D_A, D_B):
    net.apply(weights_init_normal)
optimizer_G = torch.optim.Adam(itertools.chain(G_AB.parameters(), G_BA.parameters()), lr=0.0002, betas=(0.5, 0.999))
optimizer_D = torch.optim.Adam(itertools.chain(D_A.parameters(), D_B.parameters()), lr=0.0002, betas=(0.5, 0.999))
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer_G, lr_lambda=LambdaLR(16, 4).step)
images = F.interpolate(torch.rand(2, 24, 2, 4, 4).flatten(0, 1), scale_factor=4, mode="bilinear").view(2, 24, 2, 16, 16) * 2 - 1
for epoch in range(9):
    for i in range(0, 24, 4):
        real_A, real_B = images[0, i : i + 4], images[1, i : i + 4]
        optimizer_G.zero_grad()
        fake_B, fake_A = G_AB(real_A), G_BA(real_B)
        pred = D_B(fake_B)
        valid, fake = torch.ones_like(pred), torch.zeros_like(pred)
        loss_gan = (criterion_GAN(pred, valid) + criterion_GAN(D_A(fake_A), valid)) / 2
        loss_cycle = (criterion_cycle(G_BA(fake_B), real_A) + criterion_cycle(G_AB(fake_A), real_B)) / 2
        loss_id = (criterion_identity(G_BA(real_A), real_A) + criterion_identity(G_AB(real_B), real_B)) / 2
        loss_G = loss_gan + 10.0 * loss_cycle + 5.0 * loss_id
        loss_G.backward()
        optimizer_G.step()
        optimizer_D.zero_grad()
        loss_D = sum(
            (criterion_GAN(D(real), valid) + criterion_GAN(D(made.detach()), fake)) / 2
            for D, real, made in ((D_A, real_A, fake_A), (D_B, real_B, fake_B))
        )
        loss_D.backward()
        optimizer_D.step()
        print(f"G loss: {loss_G.item():.9g}")
        print(f"D loss: {loss_D.item():.9g}")
    scheduler.step()
