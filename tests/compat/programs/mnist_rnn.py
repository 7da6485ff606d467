"""Pictures read row by row by an LSTM, in the style of PyTorch's `mnist_rnn` example."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(input_size=10, hidden_size=24, num_layers=2, batch_first=True, dropout=0.1)
        self.batchnorm = nn.BatchNorm1d(24)
        self.dropout1 = nn.Dropout(0.25)
        self.fc1 = nn.Linear(24, 16)
        self.fc2 = nn.Linear(16, 10)

    def forward(self, input):
        input = input.reshape(-1, 10, 10)
        output, hidden = self.rnn(input)
        output = self.dropout1(self.batchnorm(output[:, -1, :]))
        return F.log_softmax(self.fc2(F.relu(self.fc1(output))), dim=1)


torch.manual_seed(0)
labels = torch.randint(0, 10, (320,))
images = torch.rand(320, 1, 10, 10)
images[torch.arange(320), 0, labels] += 1.0
model = Net()
optimizer = optim.Adam(model.parameters(), lr=1e-2)
scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
model.train()
for epoch in range(4):
    for i in range(0, 320, 20):
        optimizer.zero_grad()
        loss = F.nll_loss(model(images[i : i + 20]), labels[i : i + 20])
        loss.backward()
        optimizer.step()
        print(f"epoch {epoch} loss: {loss.item():.9g}")
    scheduler.step()
