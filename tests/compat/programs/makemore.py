"""Names letter by letter with hand-written layers, a bag of words and a GRU, in the style of makemore."""

import torch
import torch.nn as nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from torch.utils.data.dataloader import DataLoader

NAMES = "emma olivia ava isabella sophia charlotte mia amelia harper evelyn abigail emily liam noah oliver elijah".split()


class Names(Dataset):
    def __init__(self):
        self.chars = sorted(set("".join(NAMES)))
        self.stoi = {c: i + 1 for i, c in enumerate(self.chars)}
        self.max = max(len(n) for n in NAMES)

    def __len__(self):
        return len(NAMES)

    def __getitem__(self, idx):
        ix = torch.tensor([self.stoi[c] for c in NAMES[idx]], dtype=torch.long)
        x = torch.zeros(self.max + 1, dtype=torch.long)
        y = torch.zeros(self.max + 1, dtype=torch.long)
        x[1 : 1 + len(ix)] = ix
        y[: len(ix)] = ix
        y[len(ix) + 1 :] = -1
        return x, y


class GRUCell(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.xh_to_z, self.xh_to_r, self.xh_to_hbar = nn.Linear(n + m, m), nn.Linear(n + m, m), nn.Linear(n + m, m)

    def forward(self, xt, hprev):
        xh = torch.cat([xt, hprev], dim=1)
        r = F.sigmoid(self.xh_to_r(xh))
        hbar = F.tanh(self.xh_to_hbar(torch.cat([xt, r * hprev], dim=1)))
        z = F.sigmoid(self.xh_to_z(xh))
        return (1 - z) * hprev + z * hbar


class RNN(nn.Module):
    def __init__(self, vocab, n=12, m=16):
        super().__init__()
        self.start = nn.Parameter(torch.zeros(1, m))
        self.wte = nn.Embedding(vocab, n)
        self.cell = GRUCell(n, m)
        self.lm_head = nn.Linear(m, vocab)

    def forward(self, idx, targets=None):
        b, t = idx.size()
        emb = self.wte(idx)
        hprev = self.start.expand((b, -1))
        hiddens = []
        for i in range(t):
            hprev = self.cell(emb[:, i, :], hprev)
            hiddens.append(hprev)
        logits = self.lm_head(torch.stack(hiddens, 1))
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)


class CausalBoW(nn.Module):
    def __init__(self, vocab, n=16, block=12):
        super().__init__()
        self.wte, self.wpe, self.lm_head = nn.Embedding(vocab, n), nn.Embedding(block, n), nn.Linear(n, vocab)
        self.mlpf = nn.Sequential(nn.Linear(n, n), nn.Tanh(), nn.Linear(n, n))
        self.register_buffer("bias", torch.tril(torch.ones(block, block)).view(1, block, block))

    def forward(self, idx, targets=None):
        b, t = idx.size()
        x = self.wte(idx) + self.wpe(torch.arange(t).unsqueeze(0))
        att = torch.zeros((b, t, t)).masked_fill(self.bias[:, :t, :t] == 0, float("-inf"))
        x = x + F.softmax(att, dim=-1) @ x
        logits = self.lm_head(x + self.mlpf(x))
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)


class Flattened:
    """A multilayer perceptron written out with tensors and batch normalisation by hand."""

    def __init__(self, vocab, block, g):
        self.C = torch.randn((vocab, 6), generator=g)
        self.W1 = torch.randn((6 * block, 24), generator=g) * (5 / 3) / ((6 * block) ** 0.5)
        self.bngain, self.bnbias = torch.ones((1, 24)), torch.zeros((1, 24))
        self.W2, self.b2 = torch.randn((24, vocab), generator=g) * 0.01, torch.randn(vocab, generator=g) * 0
        self.parameters = [self.C, self.W1, self.bngain, self.bnbias, self.W2, self.b2]
        for p in self.parameters:
            p.requires_grad = True

    def loss(self, X, Y):
        emb = self.C[X]
        pre = emb.view(emb.shape[0], -1) @ self.W1
        pre = self.bngain * (pre - pre.mean(0, keepdim=True)) / (pre.std(0, keepdim=True) + 1e-5) + self.bnbias
        return F.cross_entropy(torch.tanh(pre) @ self.W2 + self.b2, Y)


torch.manual_seed(3407)
data = Names()
vocab = len(data.chars) + 1
for model in (RNN(vocab), CausalBoW(vocab)):
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2, weight_decay=0.01, betas=(0.9, 0.99), eps=1e-8)
    for epoch in range(6):
        for x, y in DataLoader(data, batch_size=8, shuffle=True):
            logits, loss = model(x, y)
            model.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            print(f"loss: {loss.item():.9g}")
g = torch.Generator().manual_seed(2147483647)
X, Y = [], []
for name in NAMES:
    context = [0] * 3
    for c in [*name, None]:
        ix = 0 if c is None else data.stoi[c]
        X.append(context)
        Y.append(ix)
        context = context[1:] + [ix]
X, Y = torch.tensor(X), torch.tensor(Y)
net = Flattened(vocab, 3, g)
for i in range(30):
    ix = torch.randint(0, X.shape[0], (16,), generator=g)
    loss = net.loss(X[ix], Y[ix])
    for p in net.parameters:
        p.grad = None
    loss.backward()
    for p in net.parameters:
        p.data += -0.1 * p.grad
    print(f"mlp loss: {loss.item():.9g}")
