"""Pictures cut into parts by a U-Net, with dice loss, RMSprop and a scaler, in the style of Pytorch-UNet."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor, optim
from torch.utils.data import DataLoader, Dataset, random_split


class DoubleConv(nn.Module):
    def __init__(self, in_channels, out_channels, mid_channels=None):
        super().__init__()
        mid_channels = mid_channels or out_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(mid_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, in_channels, out_channels, bilinear):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(in_channels + in_channels // 2, out_channels, in_channels // 2)
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
            self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        dy, dx = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self, n_channels, n_classes, bilinear=False):
        super().__init__()
        self.n_channels, self.n_classes = n_channels, n_classes
        self.inc, self.down1, self.down2 = DoubleConv(n_channels, 4), Down(4, 8), Down(8, 16)
        self.up1, self.up2 = Up(16, 8, bilinear), Up(8, 4, not bilinear)
        self.outc = nn.Conv2d(4, n_classes, kernel_size=1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        return self.outc(self.up2(self.up1(self.down2(x2), x2), x1))


def dice_coeff(input: Tensor, target: Tensor, reduce_batch_first: bool = False, epsilon: float = 1e-6):
    sum_dim = (-1, -2) if input.dim() == 2 or not reduce_batch_first else (-1, -2, -3)
    inter = 2 * (input * target).sum(dim=sum_dim)
    sets_sum = input.sum(dim=sum_dim) + target.sum(dim=sum_dim)
    sets_sum = torch.where(sets_sum == 0, inter, sets_sum)
    return ((inter + epsilon) / (sets_sum + epsilon)).mean()


def dice_loss(input: Tensor, target: Tensor):
    return 1 - dice_coeff(input.flatten(0, 1), target.flatten(0, 1), reduce_batch_first=True)


class Squares(Dataset):
    def __init__(self, n):
        self.masks = torch.zeros(n, 14, 14, dtype=torch.long)
        for k in range(n):
            self.masks[k, k % 6 : k % 6 + 6, k % 5 : k % 5 + 5] = 1 + k % 2
        self.images = self.masks.unsqueeze(1).float() / 2 + 0.3 * torch.randn(n, 1, 14, 14)

    def __len__(self):
        return len(self.masks)

    def __getitem__(self, idx):
        return {"image": self.images[idx], "mask": self.masks[idx]}


torch.manual_seed(0)
dataset = Squares(44)
train_set, val_set = random_split(dataset, [40, 4], generator=torch.Generator().manual_seed(0))
train_loader = DataLoader(train_set, shuffle=True, batch_size=4, num_workers=0, pin_memory=False)
model = UNet(1, 3).to(memory_format=torch.channels_last)
optimizer = optim.RMSprop(model.parameters(), lr=1e-3, weight_decay=1e-8, momentum=0.9, foreach=True)
scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", patience=1)
grad_scaler = torch.amp.GradScaler("cuda", enabled=False)
criterion = nn.CrossEntropyLoss()
for epoch in range(7):
    model.train()
    for batch in train_loader:
        images = batch["image"].to(device="cpu", dtype=torch.float32, memory_format=torch.channels_last)
        true_masks = batch["mask"].to(device="cpu", dtype=torch.long)
        with torch.autocast("cpu", enabled=False):
            masks_pred = model(images)
            loss = criterion(masks_pred, true_masks)
            loss = loss + dice_loss(
                F.softmax(masks_pred, dim=1).float(), F.one_hot(true_masks, model.n_classes).permute(0, 3, 1, 2).float()
            )
        optimizer.zero_grad(set_to_none=True)
        grad_scaler.scale(loss).backward()
        grad_scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        grad_scaler.step(optimizer)
        grad_scaler.update()
        print(f"loss: {loss.item():.9g}")
    model.eval()
    with torch.inference_mode():
        score = 0
        for batch in DataLoader(val_set, batch_size=2, drop_last=True):
            pred = F.one_hot(model(batch["image"]).argmax(dim=1), 3).permute(0, 3, 1, 2).float()
            score += dice_coeff(pred[:, 1:], F.one_hot(batch["mask"], 3).permute(0, 3, 1, 2).float()[:, 1:]).item()
    scheduler.step(score)
    print(f"lr loss: {optimizer.param_groups[0]['lr']:.9g}")
