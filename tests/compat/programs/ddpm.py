"""A small U-Net that removes noise, with an average of its weights, in the style of denoising-diffusion-pytorch."""

import copy
import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import einsum, nn
from torch.optim import Adam


def default(val, d):
    return val if val is not None else (d() if callable(d) else d)


class Residual(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, x, *args, **kwargs):
        return self.fn(x, *args, **kwargs) + x


class RMSNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.scale = dim**0.5
        self.g = nn.Parameter(torch.ones(1, dim, 1, 1))

    def forward(self, x):
        return F.normalize(x, dim=1) * self.g * self.scale


class SinusoidalPosEmb(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        half_dim = self.dim // 2
        emb = torch.exp(torch.arange(half_dim, device=x.device) * -(math.log(10000) / (half_dim - 1)))
        emb = x[:, None] * emb[None, :]
        return torch.cat((emb.sin(), emb.cos()), dim=-1)


class ResnetBlock(nn.Module):
    def __init__(self, dim, dim_out, time_emb_dim):
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(time_emb_dim, dim_out * 2))
        self.proj, self.norm, self.act = nn.Conv2d(dim, dim_out, 3, padding=1), nn.GroupNorm(2, dim_out), nn.SiLU()
        self.res_conv = nn.Conv2d(dim, dim_out, 1) if dim != dim_out else nn.Identity()

    def forward(self, x, time_emb):
        scale, shift = self.mlp(time_emb)[:, :, None, None].chunk(2, dim=1)
        return self.act(self.norm(self.proj(x)) * (scale + 1) + shift) + self.res_conv(x)


class Attention(nn.Module):
    def __init__(self, dim, heads=2, dim_head=8):
        super().__init__()
        self.scale, self.heads = dim_head**-0.5, heads
        self.norm = RMSNorm(dim)
        self.to_qkv = nn.Conv2d(dim, dim_head * heads * 3, 1, bias=False)
        self.to_out = nn.Conv2d(dim_head * heads, dim, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = map(lambda t: t.reshape(b, self.heads, -1, h * w), self.to_qkv(self.norm(x)).chunk(3, dim=1))
        sim = einsum("b h d i, b h d j -> b h i j", q * self.scale, k)
        out = einsum("b h i j, b h d j -> b h i d", sim.softmax(dim=-1), v)
        return self.to_out(out.permute(0, 1, 3, 2).reshape(b, -1, h, w))


class Unet(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.time_mlp = nn.Sequential(SinusoidalPosEmb(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, 2 * dim))
        block = partial(ResnetBlock, time_emb_dim=2 * dim)
        self.init_conv = nn.Conv2d(1, dim, 3, padding=1)
        self.down = nn.ModuleList([block(dim, dim), Residual(Attention(dim)), nn.Conv2d(dim, 2 * dim, 4, 2, 1)])
        self.mid = block(2 * dim, 2 * dim)
        self.up = nn.ModuleList(
            [nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(2 * dim, dim, 3, padding=1)), block(2 * dim, dim)]
        )
        self.final_conv = nn.Conv2d(dim, 1, 1)

    def forward(self, x, time):
        t = self.time_mlp(time)
        x = self.init_conv(x)
        skip = self.down[1](self.down[0](x, t))
        x = self.up[0](self.mid(self.down[2](skip), t))
        return self.final_conv(self.up[1](torch.cat((x, skip), dim=1), t))


def cosine_beta_schedule(timesteps, s=0.008):
    t = torch.linspace(0, timesteps, timesteps + 1, dtype=torch.float64) / timesteps
    alphas_cumprod = torch.cos((t + s) / (1 + s) * math.pi * 0.5) ** 2
    alphas_cumprod = alphas_cumprod / alphas_cumprod[0]
    return torch.clip(1 - alphas_cumprod[1:] / alphas_cumprod[:-1], 0, 0.999)


class GaussianDiffusion(nn.Module):
    def __init__(self, model, timesteps=20):
        super().__init__()
        self.model, self.timesteps = model, timesteps
        betas = cosine_beta_schedule(timesteps)
        alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
        prev = F.pad(alphas_cumprod[:-1], (1, 0), value=1.0)
        buffer = lambda name, val: self.register_buffer(name, val.to(torch.float32))
        buffer("betas", betas)
        buffer("sqrt_alphas_cumprod", torch.sqrt(alphas_cumprod))
        buffer("sqrt_one_minus", torch.sqrt(1.0 - alphas_cumprod))
        buffer("posterior_variance", betas * (1.0 - prev) / (1.0 - alphas_cumprod))

    def forward(self, img, noise=None):
        t = torch.randint(0, self.timesteps, (img.shape[0],)).long()
        noise = default(noise, lambda: torch.randn_like(img))
        pick = lambda a: a.gather(-1, t).reshape(-1, 1, 1, 1)
        x = pick(self.sqrt_alphas_cumprod) * img + pick(self.sqrt_one_minus) * noise
        loss = F.mse_loss(self.model(x, t), noise, reduction="none")
        return loss.flatten(1).mean(1).mean()

    @torch.inference_mode()
    def sample(self, n):
        img = torch.randn(n, 1, 8, 8)
        for t in reversed(range(self.timesteps)):
            beta = self.betas[t]
            eps = self.model(img, torch.full((n,), t, dtype=torch.long))
            img = (img - beta / self.sqrt_one_minus[t] * eps) / (1 - beta).sqrt()
            img = img + (self.posterior_variance[t].sqrt() * torch.randn_like(img) if t > 0 else 0.0)
            img.clamp_(-2.0, 2.0)
        return img


torch.manual_seed(0)
diffusion = GaussianDiffusion(Unet())
ema = copy.deepcopy(diffusion)
optimizer = Adam(diffusion.parameters(), lr=3e-3, betas=(0.9, 0.99))
images = F.interpolate(torch.rand(64, 1, 2, 2), scale_factor=4, mode="nearest") * 2 - 1
for step in range(50):
    optimizer.zero_grad()
    loss = diffusion(images[torch.randperm(64)[:8]])
    loss.backward()
    nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        for a, b in zip(ema.parameters(), diffusion.parameters()):
            a.lerp_(b, 0.1)
    print(f"step {step} loss: {loss.item():.9g}")
print(f"sample loss: {ema.sample(2).abs().mean().item():.5g}")
