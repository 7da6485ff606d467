"""Small pictures made larger by sub-pixel convolution, in the style of PyTorch's `super_resolution` example."""

from math import log10

import torch
import torch.nn as nn
import torch.nn.init as init
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self, upscale_factor):
        super().__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 12, (5, 5), (1, 1), (2, 2))
        self.conv2 = nn.Conv2d(12, 8, (3, 3), (1, 1), (1, 1))
        self.conv3 = nn.Conv2d(8, upscale_factor**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)
        init.orthogonal_(self.conv1.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv2.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv3.weight)

    def forward(self, x):
        return self.pixel_shuffle(self.conv3(self.relu(self.conv2(self.relu(self.conv1(x))))))


torch.manual_seed(123)
coarse = torch.rand(96, 1, 4, 4)
large = torch.nn.functional.interpolate(coarse, size=(18, 18), mode="bicubic", align_corners=False)
small = torch.nn.functional.interpolate(large, size=(6, 6), mode="bilinear", align_corners=False)
loader = DataLoader(TensorDataset(small, large), batch_size=8, shuffle=True)
model = Net(3)
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters(), lr=0.01)
for epoch in range(5):
    epoch_loss = 0
    for input, target in loader:
        optimizer.zero_grad()
        loss = criterion(model(input), target)
        epoch_loss += loss.item()
        loss.backward()
        optimizer.step()
        print(f"loss: {loss.item():.9g}")
    print(f"Avg. PSNR loss: {10 * log10(1 / (epoch_loss / len(loader))):.9g} dB")
