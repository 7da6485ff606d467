"""Convolutions, linear layers and the networks made of them, compiled, beside PyTorch eager and
`torch.compile`: `python -m benchmarks.contractions`.

Bars (compiler): linear-GELU-linear and convolutions 1.2x, ResNet-18, an MNIST network and DCGAN 1.3x. Times are of whole calls, on two
threads. GF/s stand beside the machine's peak: that of a matrix product times the threads. Names of rows given as arguments choose;
`--eager` leaves `torch.compile` out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import flambeau
from benchmarks.common import beside, chosen, columns, peer, report

THREADS = 2
Row = tuple[str, Callable[[Any], Callable[[], Any]], float, float]  # name, maker of a function, billions of operations, bar


def linear(m: Any) -> Callable[[], Any]:
    """256 rows, 768 to 3072 features and back."""
    net = m.nn.Sequential(m.nn.Linear(768, 3072), m.nn.GELU(), m.nn.Linear(3072, 768))
    return inference(m, net, m.randn(256, 768))


def inference(m: Any, net: Any, *inputs: Any) -> Callable[[], Any]:
    """A call of a network without gradients."""
    net.eval()

    def run() -> Any:
        with m.no_grad():
            return net(*inputs)

    return run


def training(m: Any, net: Any, *inputs: Any, classes: int = 10) -> Callable[[], Any]:
    """A training step with SGD."""
    optimizer = m.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    target = m.arange(inputs[0].shape[0]) % classes

    def run() -> Any:
        loss = m.nn.functional.cross_entropy(net(*inputs), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return run


def conv(channels: int, size: int, train: bool) -> Callable[[Any], Callable[[], Any]]:
    """A 3x3 convolution and ReLU on a batch of 8."""

    def make(m: Any) -> Callable[[], Any]:
        x, w = m.randn(8, channels, size, size), m.randn(channels, channels, 3, 3) * 0.05
        if not train:

            def forward() -> Any:
                with m.no_grad():
                    return m.relu(m.conv2d(x, w, padding=1))

            return forward

        def both() -> Any:
            a, b = x.detach().requires_grad_(), w.detach().requires_grad_()
            y = m.relu(m.conv2d(a, b, padding=1))
            return m.autograd.grad(y, [a, b], y.detach())

        return both

    return make


def resnet18(m: Any) -> Any:
    """He et al. 2015, with 18 layers."""

    class Block(m.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, a: int, b: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = m.nn.Conv2d(a, b, 3, stride, 1, bias=False), m.nn.BatchNorm2d(b)
            self.conv2, self.bn2 = m.nn.Conv2d(b, b, 3, 1, 1, bias=False), m.nn.BatchNorm2d(b)
            same = stride == 1 and a == b
            self.down = m.nn.Identity() if same else m.nn.Sequential(m.nn.Conv2d(a, b, 1, stride, bias=False), m.nn.BatchNorm2d(b))

        def forward(self, x: Any) -> Any:
            y = m.relu(self.bn1(self.conv1(x)))
            return m.relu(self.bn2(self.conv2(y)) + self.down(x))

    stages = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
    blocks = [block for a, b, s in stages for block in (Block(a, b, s), Block(b, b, 1))]
    stem = [m.nn.Conv2d(3, 64, 7, 2, 3, bias=False), m.nn.BatchNorm2d(64), m.nn.ReLU(), m.nn.MaxPool2d(3, 2, 1)]
    return m.nn.Sequential(*stem, *blocks, m.nn.AdaptiveAvgPool2d(1), m.nn.Flatten(), m.nn.Linear(512, 1000))


def mnist(m: Any) -> Callable[[], Any]:
    """The usual two convolutions and two linear layers, batch 64."""
    nn = m.nn
    net = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )
    return training(m, net, m.randn(64, 1, 28, 28))


def dcgan(m: Any) -> Callable[[], Any]:
    """A step of both players of a DCGAN on 64x64 images, batch 16. Radford et al. 2015."""
    nn, f = m.nn, m.nn.functional
    up, down = [], []
    for a, b in ((100, 512), (512, 256), (256, 128), (128, 64)):
        up += [nn.ConvTranspose2d(a, b, 4, *((1, 0) if a == 100 else (2, 1)), bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    for a, b in ((3, 64), (64, 128), (128, 256), (256, 512)):
        down += [nn.Conv2d(a, b, 4, 2, 1, bias=False), *([nn.BatchNorm2d(b)] if a > 3 else []), nn.LeakyReLU(0.2)]
    g = nn.Sequential(*up, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh())
    d = nn.Sequential(*down, nn.Conv2d(512, 1, 4, 1, 0, bias=False), nn.Flatten())
    optimizers = [m.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (g, d)]
    real, noise = m.randn(16, 3, 64, 64), m.randn(16, 100, 1, 1)

    def step() -> Any:
        fake = g(noise)
        loss_d = f.softplus(-d(real)).mean() + f.softplus(d(fake.detach())).mean()
        optimizers[1].zero_grad()
        loss_d.backward()
        optimizers[1].step()
        loss_g = f.softplus(-d(fake)).mean()
        optimizers[0].zero_grad()
        loss_g.backward()
        optimizers[0].step()
        return loss_d.detach() + loss_g.detach()

    return step


def rows() -> list[Row]:
    """All workloads. A multiplication and an addition are two operations; only the contractions are counted."""
    found: list[Row] = [("linear-GELU-linear 256x768x3072", linear, 4 * 256 * 768 * 3072 / 1e9, 1.2)]
    for channels, size in ((64, 56), (128, 28), (256, 14), (512, 7)):
        work = 2 * 8 * channels**2 * 9 * size**2 / 1e9
        found.append((f"conv 3x3 {channels}x{size}x{size}, ReLU", conv(channels, size, False), work, 1.2))
        found.append((f"conv 3x3 {channels}x{size}x{size}, ReLU, forward and backward", conv(channels, size, True), 3 * work, 1.2))
    image = (8, 3, 224, 224)
    found.append(("ResNet-18, batch 8, inference", lambda m: inference(m, resnet18(m), m.randn(*image)), 8 * 3.63, 1.3))
    found.append(("ResNet-18, batch 8, training step", lambda m: training(m, resnet18(m), m.randn(*image)), 8 * 3 * 3.63, 1.3))
    found.append(("MNIST network, batch 64, training step", mnist, 64 * 3 * 0.0241, 1.3))
    found.append(("DCGAN, batch 16, training step", dcgan, 0.0, 1.3))
    return found


def main() -> None:
    """Measure and report."""
    torch = peer()
    if torch:
        torch.set_num_threads(THREADS)
    flambeau.set_num_threads(THREADS)
    results = []
    for name, make, work, bar in rows():
        if not chosen(name):
            continue
        run = flambeau.compile(make(flambeau))
        run()
        start = time.perf_counter()
        run()
        build = time.perf_counter() - start
        found = beside(run, make(torch) if torch else None, torch, eager_only="--eager" in sys.argv, seconds=0.2)
        speed = work / found["flambeau"] if work else None
        results.append({"work": name, **columns(found, "ms", 1e3), "GF/s": speed, "bar": bar, "compile s": build})
    report("contractions", results, {"pytorch": torch.__version__ if torch else None, "threads": THREADS})


if __name__ == "__main__":
    main()
