"""A whole training step as one program, beside PyTorch eager and `torch.compile`: `python -m
benchmarks.compiled_step`.

The step of a 4-64-64-2 tanh network on 64 rows: forward, loss, backward, Adam. Bar (compiler): 15x. Also inference of one row. Times are of
the whole call from Python.
"""

from __future__ import annotations

from typing import Any

import flambeau
from benchmarks.common import beside, columns, peer, report


def network(m: Any) -> Any:
    """The network on one library."""
    return m.nn.Sequential(m.nn.Linear(4, 64), m.nn.Tanh(), m.nn.Linear(64, 64), m.nn.Tanh(), m.nn.Linear(64, 2))


def step(m: Any, compiled: bool) -> Any:
    """A call that trains once."""
    net = network(m)
    optimizer = m.optim.Adam(net.parameters(), lr=1e-3)
    x, y = m.randn(64, 4), m.randn(64, 2)

    def train(x: Any, y: Any) -> Any:
        loss = ((net(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = m.compile(train) if compiled else train
    for _ in range(3):
        run(x, y)
    return lambda: run(x, y)


def inference(m: Any, compiled: bool) -> Any:
    """A call that evaluates one row."""
    net = network(m)
    x = m.randn(1, 4)

    def act(x: Any) -> Any:
        with m.no_grad():
            return net(x)

    run = m.compile(act) if compiled else act
    for _ in range(3):
        run(x)
    return lambda: run(x)


def main() -> None:
    """Measure and report."""
    torch = peer()
    flambeau.set_num_threads(1)
    rows = []
    for name, make, bar in (("Adam step, 64 rows", step, 15.0), ("inference, 1 row", inference, 5.0)):
        theirs = make(torch, False) if torch else None
        for how in (False, True):
            found = beside(make(flambeau, how), theirs, torch, eager_only=not how, rounds=15, seconds=0.02)
            label = f"{name}, {'compiled' if how else 'eager'}"
            rows.append({"work": label, **columns(found, "us", 1e6), "bar": bar if how else None})
    report("compiled_step", rows, {"pytorch": torch.__version__ if torch else None, "threads": 1})


if __name__ == "__main__":
    main()
