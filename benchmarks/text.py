"""Models of text beside transformers on PyTorch, with the same weights, in one run: `python -m benchmarks.text`.

Bars (flambeau-text): GPT-2 124M reads 512 tokens 1.2x as fast and writes, one text at a time, 1.5x as many tokens a second; BERT-base reads
32 texts of 128 tokens 1.2x as fast. Ours are compiled as a user compiles them, `flambeau.compile(model)` and
`cache_implementation="static"`; theirs are eager, which is what `from_pretrained` and `generate` give. Two threads. Names of rows given as
arguments choose.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import flambeau
from benchmarks.common import chosen, paired, peer, report
from flambeau_text.models import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, load_model

THREADS = 2
NEW = 64  # tokens that are written
Runs = tuple[Callable[[], Any], Callable[[], Any] | None]


def reading(ours: Any, theirs: Any, torch: Any, ids: Any) -> Runs:
    """The first output for ids (N, L), without a cache."""
    options = {} if ours.config.model_type == "bert" else {"use_cache": False}
    program, tokens = flambeau.compile(lambda x: ours(x, **options)[0]), flambeau.from_numpy(ids)

    def mine() -> Any:
        with flambeau.no_grad():
            return program(tokens)

    def other() -> Any:
        with torch.no_grad():
            return theirs(torch.from_numpy(ids), **options)[0]

    if torch:
        np.testing.assert_allclose(mine().numpy(), other().numpy(), atol=1e-3)
    return mine, other if torch else None


def writing(ours: Any, theirs: Any, torch: Any, ids: Any) -> Runs:
    """NEW tokens after a prompt, the likeliest each time."""

    def mine() -> Any:
        return ours.generate(flambeau.from_numpy(ids), max_new_tokens=NEW, cache_implementation="static", eos_token_id=None)

    def other() -> Any:
        tokens = torch.from_numpy(ids)
        options = {"min_new_tokens": NEW, "do_sample": False, "pad_token_id": 0}
        return theirs.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=NEW, **options)

    return mine, other if torch else None


# What is measured: its name, the model, the other library's class, how, the ids' shape, how many tokens, the bar.
ROWS: list[tuple[str, Callable[[], Any], str, Any, tuple[int, int], int, float]] = [
    ("GPT-2 124M reads 1x512", lambda: GPT2LMHeadModel(GPT2Config()), "GPT2LMHeadModel", reading, (1, 512), 512, 1.2),
    ("GPT-2 124M writes, batch 1", lambda: GPT2LMHeadModel(GPT2Config()), "GPT2LMHeadModel", writing, (1, 16), NEW, 1.5),
    ("BERT-base reads 32x128", lambda: BertModel(BertConfig()), "BertModel", reading, (32, 128), 32 * 128, 1.2),
]


def other_library() -> Any:
    """transformers, or None; without a torchvision that does not fit, as in the tests."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "parity" / "text"))
    return importlib.import_module("reference").transformers


def main() -> None:
    """Measure and report."""
    torch = peer()
    library = other_library() if torch else None
    torch = torch if library else None
    if torch:
        torch.set_num_threads(THREADS)
    flambeau.set_num_threads(THREADS)
    results = []
    for name, make, their_class, kind, shape, tokens, bar in ROWS:
        if not chosen(name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            make().save_pretrained(folder)
            ours = load_model(folder)
            theirs = getattr(library, their_class).from_pretrained(folder).eval() if library else None
        ids = np.random.default_rng(0).integers(0, 30000, shape)
        mine, other = paired(*kind(ours, theirs, torch, ids), rounds=3, seconds=0.1)
        result = {"work": name, "flambeau tokens/s": tokens / mine, "transformers tokens/s": tokens / other if other else None}
        results.append({**result, "times faster": other / mine if other else None, "bar": bar})
    report("text", results, {"threads": THREADS})


if __name__ == "__main__":
    main()
