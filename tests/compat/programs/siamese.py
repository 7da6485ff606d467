"""Two pictures through one network, alike or not, in the style of PyTorch's `siamese_network` example."""

import random

import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, Dataset


class Pairs(Dataset):
    def __init__(self, images, labels):
        self.images, self.labels = images, labels
        self.groups = {k: [i for i in range(len(labels)) if labels[i] == k] for k in range(5)}

    def __len__(self):
        return 128

    def __getitem__(self, index):
        one = random.randint(0, 4)
        first = random.choice(self.groups[one])
        if index % 2 == 0:
            second, target = random.choice(self.groups[one]), torch.tensor(1, dtype=torch.float)
        else:
            other = random.choice([k for k in range(5) if k != one])
            second, target = random.choice(self.groups[other]), torch.tensor(0, dtype=torch.float)
        return self.images[first], self.images[second], target


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2))
        self.fc = nn.Sequential(nn.Linear(2 * 24, 16), nn.ReLU(inplace=True), nn.Linear(16, 1))
        self.sigmoid = nn.Sigmoid()
        self.features.apply(self.init_weights)
        self.fc.apply(self.init_weights)

    def init_weights(self, m):
        if isinstance(m, nn.Linear):
            torch.nn.init.xavier_uniform_(m.weight)
            m.bias.data.fill_(0.01)

    def forward_once(self, x):
        return self.features(x).view(x.size()[0], -1)

    def forward(self, a, b):
        return self.sigmoid(self.fc(torch.cat((self.forward_once(a), self.forward_once(b)), 1)))


random.seed(1)
torch.manual_seed(1)
labels = [k % 5 for k in range(50)]
images = torch.rand(50, 1, 12, 12) + torch.tensor(labels).view(-1, 1, 1, 1) * 0.3
loader = DataLoader(Pairs(images, labels), batch_size=16)
model = Siamese()
optimizer = optim.Adadelta(model.parameters(), lr=1.0)
criterion = nn.BCELoss()
model.train()
for _ in range(13):
    for a, b, target in loader:
        optimizer.zero_grad()
        loss = criterion(model(a, b).squeeze(), target)
        loss.backward()
        optimizer.step()
        print(f"loss: {loss.item():.9g}")
