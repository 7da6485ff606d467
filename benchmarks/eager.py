"""How long do eager operations on large arrays take? Milliseconds beside PyTorch's and beside NumPy alone: `python -m benchmarks.eager`.

"numpy ms" is the same code with the compiled kernels of eager code switched off (FLAMBEAU_EAGER_KERNELS=0).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau
from benchmarks.common import paired, peer, report
from flambeau.device.cpu import CPU_BACKEND, NEVER


def cases(m: Any) -> dict[str, Any]:
    """The measured calls on one library."""
    rng = np.random.default_rng(0)

    def made(*shape: int, grad: bool = False) -> Any:
        x = m.from_numpy(rng.standard_normal(shape).astype(np.float32))
        return x.requires_grad_() if grad else x

    functional = m.nn.functional
    x, y, large, other = made(1024, 1024), made(1024, 1024), made(2048, 2048), made(2048, 2048)
    leaf, weight, bias = made(1024, 1024, grad=True), made(1024, grad=True), made(1024, grad=True)
    target = m.from_numpy(rng.integers(0, 1024, 1024))

    def batch_norm(t: Any) -> Any:
        return functional.batch_norm(t.view(16, 64, 32, 32), None, None, training=True)

    def both(fn: Any, *leaves: Any) -> Any:
        def run() -> None:
            for p in leaves:
                p.grad = None
            out = fn(*leaves)
            (out if out.ndim == 0 else out.sum()).backward()

        return run

    def step(rule: Any, **options: Any) -> Any:
        p = made(1024, 1024, grad=True)
        p.grad = made(1024, 1024)
        return rule([p], lr=1e-3, **options).step

    return {
        "x * 2 + 1, 4M": lambda: large * 2.0 + 1.0,
        "x + y, 4M": lambda: large + other,
        "exp, 4M": large.exp,
        "sigmoid, 4M": large.sigmoid,
        "GELU, 4M": lambda: functional.gelu(large),
        "SiLU, 4M": lambda: functional.silu(large),
        "where, 4M": lambda: m.where(large > 0, large, other),
        "sum, 4M": large.sum,
        "GELU, 1M, forward and backward": both(functional.gelu, leaf),
        "SiLU, 1M, forward and backward": both(functional.silu, leaf),
        "mean of rows, 1M": lambda: x.mean(1),
        "softmax, 1M": lambda: x.softmax(1),
        "softmax, 1M, forward and backward": both(lambda t: t.softmax(1), leaf),
        "layer norm, 1M": lambda: functional.layer_norm(x, (1024,)),
        "layer norm, 1M, forward and backward": both(lambda t, w, b: functional.layer_norm(t, (1024,), w, b), leaf, weight, bias),
        "batch norm, 1M, forward and backward": both(batch_norm, leaf),
        "cross-entropy, 1M, forward and backward": both(lambda t: functional.cross_entropy(t, target), leaf),
        "mean squared error, 1M, forward and backward": both(lambda t: functional.mse_loss(t, y), leaf),
        "Adam step, 1M": step(m.optim.Adam),
        "AdamW step, 1M": step(m.optim.AdamW),
        "SGD step with momentum, 1M": step(m.optim.SGD, momentum=0.9),
    }


def alone(fn: Any) -> float:
    """Milliseconds without compiled kernels."""
    large, CPU_BACKEND.large = CPU_BACKEND.large, NEVER
    try:
        return paired(fn, None, rounds=7)[0] * 1e3
    finally:
        CPU_BACKEND.large = large


def main() -> None:
    """Measure and report."""
    torch = peer()
    theirs = cases(torch) if torch else {}
    rows = []
    for name, ours in cases(flambeau).items():
        for _ in range(8):  # until all its kernels are compiled
            ours()
        mine, other = paired(ours, theirs.get(name))
        ratio = None if other is None else mine / other
        peer_ms = None if other is None else other * 1e3
        rows.append({"operation": name, "flambeau ms": mine * 1e3, "numpy ms": alone(ours), "pytorch ms": peer_ms, "ratio": ratio})
    report("eager", rows)


if __name__ == "__main__":
    main()
