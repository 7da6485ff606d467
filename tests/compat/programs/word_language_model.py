"""Recurrent networks and a transformer that predict the next word, in the style of PyTorch's `word_language_model` example."""

import argparse
import math
import os
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.onnx

TEXT = """the time traveller for so it will be convenient to speak of him was expounding a recondite matter to us his pale grey eyes
shone and twinkled and his usually pale face was flushed and animated the fire burnt brightly and the soft radiance of the
incandescent lights in the lilies of silver caught the bubbles that flashed and passed in our glasses""".split()


class RNNModel(nn.Module):
    def __init__(self, rnn_type, ntoken, ninp, nhid, nlayers, dropout=0.5, tie_weights=False):
        super().__init__()
        self.ntoken = ntoken
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(ntoken, ninp)
        if rnn_type in ["LSTM", "GRU"]:
            self.rnn = getattr(nn, rnn_type)(ninp, nhid, nlayers, dropout=dropout)
        else:
            self.rnn = nn.RNN(ninp, nhid, nlayers, nonlinearity={"RNN_TANH": "tanh", "RNN_RELU": "relu"}[rnn_type], dropout=dropout)
        self.decoder = nn.Linear(nhid, ntoken)
        if tie_weights:
            self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        self.rnn_type, self.nhid, self.nlayers = rnn_type, nhid, nlayers

    def forward(self, input, hidden):
        output, hidden = self.rnn(self.drop(self.encoder(input)), hidden)
        decoded = self.decoder(self.drop(output)).view(-1, self.ntoken)
        return F.log_softmax(decoded, dim=1), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        if self.rnn_type == "LSTM":
            return (weight.new_zeros(self.nlayers, bsz, self.nhid), weight.new_zeros(self.nlayers, bsz, self.nhid))
        return weight.new_zeros(self.nlayers, bsz, self.nhid)


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, dropout=0.1, max_len=100):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout)
        pe = torch.zeros(max_len, d_model)
        position = torch.arange(0, max_len, dtype=torch.float).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2).float() * (-math.log(10000.0) / d_model))
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe.unsqueeze(0).transpose(0, 1))

    def forward(self, x):
        return self.dropout(x + self.pe[: x.size(0), :])


class TransformerModel(nn.Transformer):
    def __init__(self, ntoken, ninp, nhead, nhid, nlayers, dropout=0.5):
        super().__init__(d_model=ninp, nhead=nhead, dim_feedforward=nhid, num_encoder_layers=nlayers)
        self.src_mask = None
        self.pos_encoder = PositionalEncoding(ninp, dropout)
        self.input_emb = nn.Embedding(ntoken, ninp)
        self.ninp = ninp
        self.decoder = nn.Linear(ninp, ntoken)
        nn.init.uniform_(self.input_emb.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, src):
        if self.src_mask is None or self.src_mask.size(0) != len(src):
            self.src_mask = torch.log(torch.tril(torch.ones(len(src), len(src))))
        src = self.pos_encoder(self.input_emb(src) * math.sqrt(self.ninp))
        return F.log_softmax(self.decoder(self.encoder(src, mask=self.src_mask)), dim=-1)


def repackage_hidden(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


parser = argparse.ArgumentParser()
parser.add_argument("--model", type=str, default="LSTM")
parser.add_argument("--tied", action="store_true")
args = parser.parse_args()
torch.manual_seed(1111)
words = sorted(set(TEXT))
ids = torch.tensor([words.index(w) for w in TEXT * 6], dtype=torch.int64)
bsz, bptt, clip, lr = 4, 8, 0.25, 5.0
data = ids.narrow(0, 0, ids.size(0) // bsz * bsz).view(bsz, -1).t().contiguous()
is_transformer = args.model == "Transformer"
if is_transformer:
    model = TransformerModel(len(words), 16, 2, 24, 2, 0.2)
else:
    model = RNNModel(args.model, len(words), 16, 16, 2, 0.2, args.tied)
criterion = nn.NLLLoss()


def get_batch(source, i):
    seq_len = min(bptt, len(source) - 1 - i)
    return source[i : i + seq_len], source[i + 1 : i + 1 + seq_len].view(-1)


path = os.path.join(tempfile.mkdtemp(), "model.pt")
for epoch in range(5):
    model.train()
    hidden = None if is_transformer else model.init_hidden(bsz)
    for i in range(0, data.size(0) - 1, bptt):
        x, targets = get_batch(data, i)
        model.zero_grad()
        if is_transformer:
            output = model(x).view(-1, len(words))
        else:
            output, hidden = model(x, repackage_hidden(hidden))
        loss = criterion(output, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-lr) if p.grad is not None else None
        print(f"loss: {loss.item():.9g} ppl {math.exp(loss.item()):8.2f}")
    with open(path, "wb") as f:
        torch.save(model, f)
with open(path, "rb") as f:
    model = torch.load(f, weights_only=False)
    if not is_transformer:
        model.rnn.flatten_parameters()
model.eval()
with torch.no_grad():
    x, targets = get_batch(data, 0)
    output = model(x).view(-1, len(words)) if is_transformer else model(x, model.init_hidden(bsz))[0]
    print(f"test loss: {criterion(output, targets).item():.9g}")
