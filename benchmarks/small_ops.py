"""How long does an operation on a tiny tensor take? Times per call beside PyTorch's, in one run: `python -m benchmarks.small_ops`.

Bars: add without gradient <= 1.0x PyTorch's time, with gradient <= 1.3x, forward and backward through 1,000 chained operations <= 1.5x.
"""

from __future__ import annotations

from typing import Any

import flambeau
from benchmarks.common import paired, peer, report

BARS = {"add": 1.0, "add, with gradient": 1.3, "1,000 chained ops, forward and backward": 1.5}


def cases(m: Any) -> dict[str, Any]:
    """The measured calls on one library."""
    x, y, w = m.ones(4, 4), m.ones(4, 4), m.ones(4, 4, requires_grad=True)
    weight, bias, rows = m.ones(64, 64, requires_grad=True), m.zeros(64, requires_grad=True), m.ones(32, 64)

    def chain() -> None:
        z = w
        for _ in range(500):
            z = z * y + y
        z.sum().backward()

    def layer() -> None:
        (rows @ weight.t() + bias).tanh().mean().backward()

    def update() -> None:
        with m.no_grad():
            x.mul_(0.5).add_(y)

    return {
        "add": lambda: x + y,
        "add, with gradient": lambda: w + y,
        "multiply, with gradient": lambda: w * y,
        "add a number": lambda: x + 1.5,
        "exp": lambda: x.exp(),
        "sum": lambda: x.sum(),
        "matmul 4x4": lambda: x @ y,
        "x[0]": lambda: x[0],
        "reshape": lambda: x.reshape(16),
        "softmax": lambda: x.softmax(-1),
        "in-place multiply and add": update,
        "linear-tanh-mean 32x64, forward and backward": layer,
        "1,000 chained ops, forward and backward": chain,
    }


def main() -> None:
    """Measure and report."""
    torch = peer()
    theirs = cases(torch) if torch else {}
    rows = []
    for name, ours in cases(flambeau).items():
        mine, other = paired(ours, theirs.get(name))
        ratio = None if other is None else mine / other
        micro = None if other is None else other * 1e6
        rows.append({"operation": name, "flambeau us": mine * 1e6, "pytorch us": micro, "ratio": ratio, "bar": BARS.get(name)})
    report("small_ops", rows, {"pytorch": torch.__version__ if torch else None, "threads": 1})


if __name__ == "__main__":
    main()
