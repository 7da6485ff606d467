"""Attention along the edges of a graph, in the style of PyTorch's `gat` example."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam


class GraphAttentionLayer(nn.Module):
    def __init__(self, in_features, out_features, n_heads, concat=False, dropout=0.4, leaky_relu_slope=0.2):
        super().__init__()
        self.n_heads, self.concat, self.dropout = n_heads, concat, dropout
        self.n_hidden = out_features // n_heads if concat else out_features
        self.W = nn.Parameter(torch.empty(size=(in_features, self.n_hidden * n_heads)))
        self.a = nn.Parameter(torch.empty(size=(n_heads, 2 * self.n_hidden, 1)))
        self.leakyrelu = nn.LeakyReLU(leaky_relu_slope)
        self.softmax = nn.Softmax(dim=1)
        nn.init.xavier_normal_(self.W)
        nn.init.xavier_normal_(self.a)

    def _scores(self, h):
        source = torch.matmul(h, self.a[:, : self.n_hidden, :])
        target = torch.matmul(h, self.a[:, self.n_hidden :, :])
        return self.leakyrelu(source + target.mT)

    def forward(self, h, adj):
        n_nodes = h.shape[0]
        h = F.dropout(torch.mm(h, self.W), self.dropout, training=self.training)
        h = h.view(n_nodes, self.n_heads, self.n_hidden).permute(1, 0, 2)
        e = self._scores(h)
        attention = torch.where(adj > 0, e, -9e16 * torch.ones_like(e))
        attention = F.dropout(F.softmax(attention, dim=-1), self.dropout, training=self.training)
        h_prime = torch.matmul(attention, h)
        return h_prime.permute(1, 0, 2).contiguous().view(n_nodes, -1) if self.concat else h_prime.mean(dim=0)


class GAT(nn.Module):
    def __init__(self):
        super().__init__()
        self.gat1 = GraphAttentionLayer(12, 16, 4, concat=True)
        self.gat2 = GraphAttentionLayer(16, 3, 1)

    def forward(self, x, adj):
        return F.log_softmax(self.gat2(F.elu(self.gat1(x, adj)), adj), dim=1)


torch.manual_seed(13)
n = 60
labels = torch.arange(n) % 3
features = torch.rand(n, 12)
features[torch.arange(n), labels] += 0.6
scale = 1 / torch.sum(features, dim=1)
features = 12 * (torch.diag(scale).to_sparse() @ features)
edges = ((labels[:, None] == labels[None, :]) & (torch.rand(n, n) < 0.2)).nonzero().numpy().astype("int32")
adj = torch.sparse_coo_tensor(edges.T, torch.ones(len(edges)), (n, n), dtype=torch.int64)
adj = torch.eye(n) + adj + torch.spmm(adj.t().float(), torch.eye(n))
idx = torch.randperm(n)
net = GAT()
optimizer = Adam(net.parameters(), lr=0.01, weight_decay=5e-4)
criterion = nn.NLLLoss()
for epoch in range(50):
    net.train()
    optimizer.zero_grad()
    loss = criterion(net(features, adj)[idx[:40]], labels[idx[:40]])
    loss.backward()
    optimizer.step()
    print(f"epoch {epoch} loss: {loss.item():.9g}")
net.eval()
print(f"test loss: {criterion(net(features, adj)[idx[40:]], labels[idx[40:]]).item():.9g}")
