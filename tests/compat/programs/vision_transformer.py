"""Pictures as words, in the style of PyTorch's `vision_transformer` example."""

import torch
import torch.nn as nn
import torch.optim as optim


class PatchExtractor(nn.Module):
    def __init__(self, patch_size=4):
        super().__init__()
        self.patch_size = patch_size

    def forward(self, input_data):
        batch_size, channels, height, width = input_data.size()
        assert height % self.patch_size == 0 and width % self.patch_size == 0
        rows = height // self.patch_size
        patches = input_data.unfold(2, self.patch_size, self.patch_size).unfold(3, self.patch_size, self.patch_size)
        patches = patches.permute(0, 2, 3, 1, 4, 5).contiguous()
        return patches.view(batch_size, rows * rows, -1)


class InputEmbedding(nn.Module):
    def __init__(self, input_size, n_patches, latent):
        super().__init__()
        self.linear = nn.Linear(input_size, latent)
        self.class_token = nn.Parameter(torch.randn(1, 1, latent))
        self.pos = nn.Parameter(torch.randn(1, n_patches + 1, latent))

    def forward(self, patches):
        x = self.linear(patches)
        return torch.cat((self.class_token.expand(x.size(0), -1, -1), x), dim=1) + self.pos


class EncoderBlock(nn.Module):
    def __init__(self, latent, heads, dropout):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(latent), nn.LayerNorm(latent)
        self.attention = nn.MultiheadAttention(latent, heads, dropout=dropout, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(latent, 4 * latent), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * latent, latent), nn.Dropout(dropout)
        )

    def forward(self, x):
        y = self.norm1(x)
        x = self.attention(y, y, y)[0] + x
        return self.mlp(self.norm2(x)) + x


class ViT(nn.Module):
    def __init__(self, latent=24, layers=2, heads=3, classes=5):
        super().__init__()
        self.patches = PatchExtractor()
        self.embedding = InputEmbedding(48, 9, latent)
        self.encoder = nn.ModuleList([EncoderBlock(latent, heads, 0.1) for _ in range(layers)])
        self.head = nn.Sequential(nn.LayerNorm(latent), nn.Linear(latent, classes))

    def forward(self, x):
        x = self.embedding(self.patches(x))
        for block in self.encoder:
            x = block(x)
        return self.head(x[:, 0])


torch.manual_seed(3)
labels = torch.randint(0, 5, (200,))
images = torch.rand(200, 3, 12, 12) + 0.4 * torch.nn.functional.one_hot(labels, 5).float().mean(1, keepdim=True)[:, :, None, None]
images[:, 0] += (labels.float() * 0.2)[:, None, None]
model = ViT()
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=50)
model.train()
for step in range(50):
    i = step * 20 % 200
    optimizer.zero_grad(set_to_none=True)
    loss = criterion(model(images[i : i + 20]), labels[i : i + 20])
    loss.backward()
    optimizer.step()
    scheduler.step()
    print(f"step {step} loss: {loss.item():.9g}")
