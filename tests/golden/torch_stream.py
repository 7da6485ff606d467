"""Draws from PyTorch's CPU generator, kept so that the `torch` stream is tested where PyTorch is not installed.

Run with PyTorch installed to make `torch_stream.npz` again. PyTorch 2.13.0 on x86-64 with AVX2, not an Intel processor (there
`bernoulli_(p)` and `exponential_` come from MKL).

A program is a list of steps (method, dtype name, n, arguments), drawn one after the other from one seed; the file
holds the bytes of all results in a row, then those of the final state. `torch_draw` makes a step with PyTorch
and `our_draw` with a Generator; both return NumPy arrays (bfloat16 widened to float32).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".npz")
FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "bool")


def weights(n, dtype):
    """Multinomial weights that every library computes alike, with a zero among them."""
    return (np.arange(2 * (n + 2)) * 7 % 11).reshape(2, n + 2).astype(dtype)


def probabilities(n, dtype):
    return (np.arange(n) % 9 / 8.0).astype(dtype)


def torch_draw(torch, step):
    method, name, n, args = step
    dtype = getattr(torch, name)
    wide = np.float64 if name == "float64" else np.float32
    empty = torch.empty(n, dtype=dtype)
    made = {
        "uniform": lambda: empty.uniform_(*args) if args else torch.rand(n, dtype=dtype),
        "normal": lambda: empty.normal_(*args) if args else torch.randn(n, dtype=dtype),
        "randint": lambda: torch.randint(*args, (n,), dtype=dtype),
        "integers": lambda: empty.random_(),
        "permutation": lambda: torch.randperm(n, dtype=dtype),
        "bernoulli": lambda: empty.bernoulli_(*args) if args else torch.bernoulli(torch.from_numpy(probabilities(n, wide)).to(dtype)),
        "exponential": lambda: empty.exponential_(*args),
        "cauchy": lambda: empty.cauchy_(*args),
        "geometric": lambda: empty.geometric_(*args),
        "log_normal": lambda: empty.log_normal_(*args),
        "multinomial": lambda: torch.multinomial(torch.from_numpy(weights(n, name)), *args),
        "dropout": lambda: torch.nn.functional.dropout(torch.ones(n, dtype=dtype), *args),
    }[method]()
    return (made.float() if name == "bfloat16" else made).numpy()


def our_draw(generator, step):
    import ml_dtypes

    method, name, n, args = step
    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    wide = np.float64 if name == "float64" else np.float32
    made = {
        "uniform": lambda: generator.uniform(n, dtype, *args),
        "normal": lambda: generator.normal(n, dtype, *args),
        "randint": lambda: generator.randint(*args, n, dtype),
        "integers": lambda: generator.integers(n, dtype),
        "permutation": lambda: generator.permutation(n, dtype),
        "bernoulli": lambda: generator.bernoulli(*args, n, dtype) if args else generator.bernoulli(probabilities(n, dtype), n, dtype),
        "exponential": lambda: generator.exponential(n, dtype, *args),
        "cauchy": lambda: generator.cauchy(n, dtype, *args),
        "geometric": lambda: generator.geometric(*args, n, dtype),
        "log_normal": lambda: generator.log_normal(n, dtype, *args),
        "multinomial": lambda: generator.multinomial(weights(n, name), *args),
        "dropout": lambda: (generator.bernoulli(1 - args[0], n, wide) / wide(1 - args[0])).astype(dtype),
    }[method]()
    return made.astype(np.float32) if name == "bfloat16" else made


def program():
    """The steps of the stored file: every method and dtype at the sizes where the algorithms change."""
    steps = []
    for n in (1, 5, 16, 15, 33, 0, 64):
        for name in FLOATS:
            steps += [(method, name, n, args) for method, args in (
                ("uniform", ()), ("uniform", (-0.123, 0.377)), ("normal", ()), ("normal", (0.1, 0.2)), ("integers", ()),
                ("bernoulli", (0.3,)), ("bernoulli", ()), ("exponential", (1.7,)), ("cauchy", (1.7, 0.3)), ("geometric", (0.3,)), ("log_normal", (0.7, 0.3)))]
        steps += [("integers", name, n, ()) for name in INTEGERS]
        steps += [("randint", "int64", n, span) for span in ((0, 10), (-5, 7), (0, 2**28), (0, 2**28 - 1), (-(2**62), 2**62))]
        steps += [("permutation", "int64", n, ()), ("permutation", "int32", n, ()), ("dropout", "float32", n, (0.4,))]
        if n:
            steps += [("multinomial", name, n, args) for name in ("float32", "float64")
                      for args in ((1, False), (1, True), (6, True), (2, False))]
    return steps


def main():
    import torch

    arrays = {}
    for seed in (0, 12345678901234):
        torch.manual_seed(seed)
        drawn = [torch_draw(torch, step).tobytes() for step in program()]
        arrays[str(seed)] = np.frombuffer(b"".join([*drawn, torch.get_rng_state().numpy().tobytes()]), dtype=np.uint8)
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main()
