"""Reductions, norms, attention, recurrence and transformers, compiled, beside PyTorch eager and `torch.compile`:
`python -m benchmarks.sequences`.

Bars (compiler), against the better of the two: softmax and layer norm forward and backward 1.2x; causal attention, an LSTM's and a GPT's
training step and GPT-2's inference 1.3x. Times are of whole calls from Python, on two threads. GF/s stand beside the machine's peak: that
of a matrix product times the threads. Names of rows given as arguments choose; `--eager` leaves `torch.compile` out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import flambeau
from benchmarks.common import beside, chosen, columns, peer, report

THREADS = 2
Run = Callable[..., Any]
Make = Callable[[Any], tuple[Run, tuple[Any, ...]]]  # on one library: a function, and its arguments


def reduction(kind: str) -> Make:
    """Softmax, layer norm or cross-entropy of 1024 x 1024, with gradients."""

    def make(m: Any) -> tuple[Run, tuple[Any, ...]]:
        f = m.nn.functional
        x, g, w, b = m.randn(1024, 1024), m.randn(1024, 1024), m.randn(1024), m.randn(1024)
        target = m.arange(1024)

        def softmax(x: Any, g: Any) -> Any:
            x = x.detach().requires_grad_()
            return m.autograd.grad(f.softmax(x, -1), x, g)

        def layer_norm(x: Any, g: Any, w: Any, b: Any) -> Any:
            x, w, b = (t.detach().requires_grad_() for t in (x, w, b))
            return m.autograd.grad(f.layer_norm(x, (1024,), w, b), (x, w, b), g)

        def cross_entropy(x: Any, target: Any) -> Any:
            x = x.detach().requires_grad_()
            return m.autograd.grad(f.cross_entropy(x, target), x)

        chosen: dict[str, tuple[Run, tuple[Any, ...]]] = {
            "softmax": (softmax, (x, g)),
            "layer norm": (layer_norm, (x, g, w, b)),
            "cross-entropy": (cross_entropy, (x, target)),
        }
        return chosen[kind]

    return make


def attention(m: Any) -> tuple[Run, tuple[Any, ...]]:
    """Causal attention, 4 x 8 heads, 512 positions, 64 wide, with gradients."""

    def both(q: Any, k: Any, v: Any, g: Any) -> Any:
        q, k, v = (t.detach().requires_grad_() for t in (q, k, v))
        return m.autograd.grad(m.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True), (q, k, v), g)

    return both, tuple(m.randn(4, 8, 512, 64) for _ in range(4))


def training(m: Any, net: Any, loss_of: Callable[..., Any]) -> Run:
    """A step of AdamW."""
    optimizer = m.optim.AdamW(net.parameters(), lr=1e-4)

    def step(*batch: Any) -> Any:
        loss = loss_of(*batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def lstm(m: Any) -> tuple[Run, tuple[Any, ...]]:
    """32 steps of 64 rows, 128 to 256 units."""
    net = m.nn.LSTM(128, 256)
    return training(m, net, lambda x: net(x)[0].square().mean()), (m.randn(32, 64, 128),)


def block(m: Any, width: int, heads: int) -> Any:
    """A transformer block as in GPT-2."""

    class Block(m.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.before, self.middle = m.nn.LayerNorm(width), m.nn.LayerNorm(width)
            self.qkv, self.out = m.nn.Linear(width, 3 * width), m.nn.Linear(width, width)
            self.up, self.down = m.nn.Linear(width, 4 * width), m.nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            n, length, _ = x.shape
            parts = self.qkv(self.before(x)).split(width, dim=2)
            q, k, v = (t.view(n, length, heads, width // heads).transpose(1, 2) for t in parts)
            y = m.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(n, length, width))
            return x + self.down(m.nn.functional.gelu(self.up(self.middle(x)), approximate="tanh"))

    return Block()


def gpt(m: Any, layers: int, width: int, heads: int, vocabulary: int, length: int) -> Any:
    """A GPT."""

    class Gpt(m.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = m.nn.Embedding(vocabulary, width), m.nn.Embedding(length, width)
            self.blocks = m.nn.Sequential(*(block(m, width, heads) for _ in range(layers)))
            self.norm, self.head = m.nn.LayerNorm(width), m.nn.Linear(width, vocabulary, bias=False)

        def forward(self, t: Any) -> Any:
            return self.head(self.norm(self.blocks(self.tokens(t) + self.places(m.arange(t.shape[1])))))

    return Gpt()


def gpt_training(m: Any) -> tuple[Run, tuple[Any, ...]]:
    """6 layers, 384 wide, 4 x 128 tokens of 65."""
    net = gpt(m, 6, 384, 6, 65, 128)
    tokens, targets = m.randint(0, 65, (4, 128)), m.randint(0, 65, (4, 128))
    return training(m, net, lambda t, y: m.nn.functional.cross_entropy(net(t).view(-1, 65), y.view(-1))), (tokens, targets)


def gpt2_inference(m: Any) -> tuple[Run, tuple[Any, ...]]:
    """124 million parameters, 4 x 256 tokens, the logits of the last."""
    net = gpt(m, 12, 768, 12, 50257, 256).eval()

    def run(t: Any) -> Any:
        with m.no_grad():
            x = net.norm(net.blocks(net.tokens(t) + net.places(m.arange(256))))
            return net.head(x[:, -1])

    return run, (m.randint(0, 50257, (4, 256)),)


ROWS: list[tuple[str, Make, float, float]] = [  # name, maker, billions of operations, bar
    ("softmax 1024x1024, forward and backward", reduction("softmax"), 0.0, 1.2),
    ("layer norm 1024x1024, forward and backward", reduction("layer norm"), 0.0, 1.2),
    ("cross-entropy 1024x1024, forward and backward", reduction("cross-entropy"), 0.0, 1.2),
    ("causal attention 4x8x512x64, forward and backward", attention, 3.76, 1.3),
    ("LSTM 32x64x128 to 256, training step", lstm, 4.83, 1.3),
    ("GPT 6 layers, 384 wide, 4x128, training step", gpt_training, 33.0, 1.3),
    ("GPT-2 124M, 4x256, inference", gpt2_inference, 176.0, 1.3),
]


def main() -> None:
    """Measure and report."""
    torch = peer()
    if torch:
        torch.set_num_threads(THREADS)
    flambeau.set_num_threads(THREADS)
    results = []
    for name, make, work, bar in ROWS:
        if not chosen(name):
            continue
        fn, arguments = make(flambeau)
        mine, theirs = flambeau.compile(fn), make(torch) if torch else None
        for _ in range(3):
            mine(*arguments)
        peer_call = partial(theirs[0], *theirs[1]) if theirs else None
        found = beside(partial(mine, *arguments), peer_call, torch, eager_only="--eager" in sys.argv)
        speed = work / found["flambeau"] if work else None
        results.append({"work": name, **columns(found, "ms", 1e3), "GF/s": speed, "bar": bar})
    report("sequences", results, {"pytorch": torch.__version__ if torch else None, "threads": THREADS})


if __name__ == "__main__":
    main()
