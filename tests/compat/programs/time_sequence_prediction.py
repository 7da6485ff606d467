"""Sine waves continued by LSTM cells in double precision with LBFGS, in the style of PyTorch's `time_sequence_prediction` example."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm1 = nn.LSTMCell(1, 9)
        self.lstm2 = nn.LSTMCell(9, 9)
        self.linear = nn.Linear(9, 1)

    def forward(self, input, future=0):
        outputs = []
        h_t = torch.zeros(input.size(0), 9, dtype=torch.double)
        c_t = torch.zeros(input.size(0), 9, dtype=torch.double)
        h_t2 = torch.zeros(input.size(0), 9, dtype=torch.double)
        c_t2 = torch.zeros(input.size(0), 9, dtype=torch.double)
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        for _ in range(future):
            h_t, c_t = self.lstm1(output, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        return torch.cat(outputs, dim=1)


np.random.seed(0)
torch.manual_seed(0)
phase = np.random.randint(-40, 40, 5).reshape(5, 1)
data = np.sin((np.arange(21).reshape(1, -1) + phase) / 5.0).astype("float64")
input, target = torch.from_numpy(data[1:, :-1]), torch.from_numpy(data[1:, 1:])
test_input = torch.from_numpy(data[:1, :-1])
seq = Sequence()
seq.double()
criterion = nn.MSELoss()
optimizer = optim.LBFGS(seq.parameters(), lr=0.8)


def closure():
    optimizer.zero_grad()
    loss = criterion(seq(input), target)
    print(f"loss: {loss.item():.9g}")
    loss.backward()
    return loss


for _ in range(3):
    optimizer.step(closure)
    with torch.no_grad():
        pred = seq(test_input, future=10)
        print(f"pred loss: {pred[0, -1].item():.7g}")
