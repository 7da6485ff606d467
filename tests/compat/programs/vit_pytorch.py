"""A vision transformer and its relatives with patches by permutation, in the style of vit-pytorch."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import Module, ModuleList


def pair(t):
    return t if isinstance(t, tuple) else (t, t)


def posemb_sincos_2d(h, w, dim, temperature=10000, dtype=torch.float32):
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    omega = 1.0 / (temperature ** (torch.arange(dim // 4) / (dim // 4 - 1)))
    y, x = y.flatten()[:, None] * omega[None, :], x.flatten()[:, None] * omega[None, :]
    return torch.cat((x.sin(), x.cos(), y.sin(), y.cos()), dim=1).type(dtype)


class Patches(Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        b, c, h, w = x.shape
        x = x.reshape(b, c, h // self.p, self.p, w // self.p, self.p)
        return x.permute(0, 2, 4, 3, 5, 1).flatten(1, 2).flatten(2)


class FeedForward(Module):
    def __init__(self, dim, hidden_dim, dropout=0.0):
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden_dim, dim), nn.Dropout(dropout)
        )

    def forward(self, x):
        return self.net(x)


class Attention(Module):
    def __init__(self, dim, heads=2, dim_head=8, dropout=0.0):
        super().__init__()
        self.heads, self.scale = heads, dim_head**-0.5
        self.norm, self.attend, self.dropout = nn.LayerNorm(dim), nn.Softmax(dim=-1), nn.Dropout(dropout)
        self.temperature = nn.Parameter(torch.log(torch.tensor(self.scale)))
        self.to_qkv = nn.Linear(dim, heads * dim_head * 3, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * dim_head, dim), nn.Dropout(dropout))

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.to_qkv(self.norm(x)).chunk(3, dim=-1))
        dots = torch.matmul(q, k.transpose(-1, -2)) * self.temperature.exp()
        mask = torch.eye(dots.shape[-1], dtype=torch.bool)
        dots = dots.masked_fill(mask, -torch.finfo(dots.dtype).max)
        out = torch.matmul(self.dropout(self.attend(dots)), v)
        return self.to_out(out.transpose(1, 2).flatten(2))


class ViT(Module):
    def __init__(self, *, image_size, patch_size, num_classes, dim, depth, dropout=0.0, emb_dropout=0.0):
        super().__init__()
        h, w = pair(image_size)
        patch_dim = 3 * patch_size**2
        self.to_patch_embedding = nn.Sequential(Patches(patch_size), nn.LayerNorm(patch_dim), nn.Linear(patch_dim, dim), nn.LayerNorm(dim))
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.register_buffer("pos", posemb_sincos_2d(h // patch_size, w // patch_size, dim), persistent=False)
        self.dropout = nn.Dropout(emb_dropout)
        self.layers = ModuleList([ModuleList([Attention(dim, dropout=dropout), FeedForward(dim, 2 * dim, dropout)]) for _ in range(depth)])
        self.norm, self.mlp_head = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.to_patch_embedding(img) + self.pos
        x = self.dropout(torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1))
        for attn, ff in self.layers:
            x = attn(x) + x
            x = ff(x) + x
        return self.mlp_head(self.norm(x)[:, 0])


torch.manual_seed(0)
v = ViT(image_size=12, patch_size=4, num_classes=4, dim=16, depth=2, dropout=0.1, emb_dropout=0.1)
labels = torch.arange(80) % 4
images = torch.rand(80, 3, 12, 12)
for k in range(4):
    images[labels == k, k % 3, (k // 2) * 6 : (k // 2) * 6 + 6] += 0.8
optimizer = torch.optim.NAdam(v.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.SequentialLR(
    optimizer,
    [torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=5), torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 45)],
    milestones=[5],
)
for step in range(50):
    i = torch.randperm(80)[:16]
    loss = F.cross_entropy(v(images[i]), labels[i])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    print(f"step {step} loss: {loss.item():.9g}")
